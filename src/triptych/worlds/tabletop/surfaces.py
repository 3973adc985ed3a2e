"""Textures of the table, light of the room, and mesh files, all computed: nothing is downloaded."""

from __future__ import annotations

import functools
import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.worlds.tabletop.geometry import unit_mesh

Array = NDArray[np.float64]

# Roughness of the table: lower values mirror the room.
FLOOR_ROUGHNESS = {"plain": 0.7, "wood": 0.5, "concrete": 0.85, "marble": 0.35, "tile": 0.4, "cloth": 0.95}
FLOOR_REPEAT = {"plain": 0.14, "wood": 0.14, "concrete": 0.14, "marble": 0.14, "tile": 0.2, "cloth": 0.5}
_PLAIN = (
    (0.62, 0.60, 0.56),
    (0.50, 0.56, 0.60),
    (0.58, 0.62, 0.54),
    (0.66, 0.58, 0.52),
    (0.54, 0.52, 0.58),
    (0.70, 0.69, 0.66),
)


def _noise(rng: np.random.Generator, size: int, octaves: int, sx: float = 1, sy: float = 1) -> Array:
    """Smooth noise (size, size) in 0..1 that repeats at its edges."""
    total = np.zeros((size, size))
    for octave in range(octaves):
        across, down = max(2, int(2 ** (octave + 1) * sx)), max(2, int(2 ** (octave + 1) * sy))
        cells = np.pad(rng.random((down, across)), 3, mode="wrap")
        image = Image.fromarray((cells * 255).astype(np.uint8)).resize(
            (size, size), Image.Resampling.BICUBIC, box=(3, 3, 3 + across, 3 + down)
        )
        total += np.asarray(image, float) / 255 / 2**octave
    return (total - total.min()) / (total.max() - total.min())


@functools.lru_cache(64)
def floor_texture(kind: str, variant: int, calm: bool) -> bytes:
    """A PNG of the table's surface that tiles without a seam.

    Args: kind: a name of FLOOR_ROUGHNESS. variant: which of the bank. calm: pale and soft, for level 1.
    """
    rng = np.random.default_rng([17, sorted(FLOOR_ROUGHNESS).index(kind), variant])
    size = 512 if kind in ("wood", "cloth", "tile") else 384
    if kind == "wood":
        grain = _noise(rng, size, 5, 1, 16)[..., None]
        planks = 6
        shade = rng.uniform(0.94, 1.03, planks) if calm else rng.uniform(0.78, 1.05, planks)
        dark, light = np.array([0.50, 0.37, 0.25]), np.array([0.62, 0.48, 0.33])
        if not calm:
            dark, light = np.array([0.30, 0.18, 0.10]) * rng.uniform(0.9, 1.6), light * rng.uniform(0.85, 1.2)
        rows = np.arange(size) * planks / size
        color = (dark + (light - dark) * grain) * shade[rows.astype(int)][:, None, None]
        color = color * np.where(rows % 1 < 0.025, 0.8, 1.0)[:, None, None]
    elif kind == "marble":
        # The phase runs through whole turns, so that the veins meet at the seam.
        phase = np.arange(size)[None] / size * 2 + _noise(rng, size, 5) * 2.2
        veins = np.abs(np.sin(phase * np.pi)) ** 0.3
        depth = 0.16 if calm else 0.4
        color = rng.uniform(0.62, 0.74) * np.array([1, 0.985, 0.96]) * (1 - depth + depth * veins[..., None])
    elif kind == "concrete":
        cloud = _noise(rng, size, 6)[..., None]
        low, high = (0.42, 0.56) if calm else (0.3, 0.6)
        color = rng.uniform(low, high) * np.array([1, 0.985, 0.96]) * (0.9 + 0.2 * cloud)
    elif kind == "cloth":
        weave = 0.9 + 0.1 * np.sin(np.arange(size) * 2 * np.pi / 8)
        color = rng.uniform(0.3, 0.62, 3) * (weave[:, None] * weave[None])[..., None]
        color = color * (0.9 + 0.2 * _noise(rng, size, 4)[..., None])
    elif kind == "tile":
        square = np.arange(size) * 4 // size
        first = rng.uniform(0.42, 0.72, 3)
        second = first * rng.uniform(0.65, 0.92)
        color = np.where(((square[:, None] + square[None]) % 2)[..., None], first, second)
        joint = np.arange(size) % (size // 4) < 4
        color = color * np.where(joint[:, None] | joint[None], 0.7, 1.0)[..., None]
    else:
        color = np.array(_PLAIN[variant % len(_PLAIN)]) * (0.95 + 0.08 * _noise(rng, size, 4)[..., None])
    pixels = np.broadcast_to(np.clip(color, 0, 1) * 255, (size, size, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


@functools.cache
def mesh_file(shape: str) -> bytes:
    """A Wavefront file of the unit mesh, with smooth normals."""
    vertices, faces = unit_mesh(shape)
    points, index = np.unique(np.round(vertices, 5), axis=0, return_inverse=True)
    faces = index.reshape(-1)[faces]
    sides = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    normals = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], sides)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    faces = faces[np.linalg.norm(sides, axis=1) > 1e-9] + 1
    lines = ["v {:g} {:g} {:g}".format(*row) for row in points]
    lines += ["vn {:g} {:g} {:g}".format(*row) for row in normals]
    lines += ["f " + " ".join(f"{i}//{i}" for i in row) for row in faces]
    return ("\n".join(lines) + "\n").encode()


def _directions(size: int) -> Array:
    """Unit directions (6, size, size, 3) of a cube map's texels."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    u, v = np.meshgrid(axis, axis)
    one = np.ones_like(u)
    sides = [(one, -v, -u), (-one, -v, u), (u, one, v), (u, -one, -v), (u, -v, one), (-u, -v, -one)]
    out = np.stack([np.stack(side, -1) for side in sides])
    return out / np.linalg.norm(out, axis=-1, keepdims=True)


def _radiance(direction: Array, seed: int) -> Array:
    """Light of a room with a few soft boxes and windows, seen along directions (..., 3)."""
    rng = np.random.default_rng([23, seed])
    up = np.clip(direction[..., 1:2], -1, 1)
    sky = np.array([0.95, 0.98, 1.02]) * rng.uniform(0.8, 1.0)
    ground = np.array([1.0, 0.96, 0.9]) * rng.uniform(0.8, 1.0)
    wall = rng.uniform(0.95, 1.2) * np.array([1, 0.96, 0.91])
    color = np.where(up > 0, wall * (1 - up) + sky * up, wall * (1 + up) - ground * up)
    for _ in range(int(rng.integers(2, 5))):
        azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 1.2)
        axis = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(elevation), np.sin(azimuth) * np.cos(elevation)])
        right = np.cross(axis, [0, 1, 0])
        right /= np.linalg.norm(right)
        top = np.cross(right, axis)
        front = direction @ axis
        x, y = (direction @ right) / np.maximum(front, 1e-3), (direction @ top) / np.maximum(front, 1e-3)
        width, height = rng.uniform(0.2, 0.55), rng.uniform(0.2, 0.5)
        mask = (front > 0.05) * np.clip((width - abs(x)) / 0.03, 0, 1) * np.clip((height - abs(y)) / 0.03, 0, 1)
        if rng.random() < 0.5:  # a window's cross
            mask = mask * np.clip((abs(x) - 0.02) / 0.01, 0, 1) * np.clip((abs(y) - 0.02) / 0.01, 0, 1)
        warmth = rng.uniform(-0.1, 0.14)
        color = color + mask[..., None] * rng.uniform(2.5, 5) * np.array([1 + warmth, 1, 1 - warmth])
    return color


def _packed(color: Array) -> NDArray[np.uint32]:
    """Three floats as one R11G11B10F word."""

    def small(x: Array, mantissa: int) -> NDArray[np.uint32]:
        bits = np.clip(x, 2.0**-14, 6e4).astype(np.float32).view(np.uint32)
        exponent = (bits >> 23).astype(np.int64) - 112
        return ((exponent << mantissa) | ((bits >> (23 - mantissa)) & ((1 << mantissa) - 1))).astype(np.uint32)

    red, green, blue = small(color[..., 0], 6), small(color[..., 1], 6), small(color[..., 2], 5)
    return (red | green << np.uint32(11) | blue << np.uint32(22)).astype(np.uint32)


@functools.cache
def environment_file(seed: int, size: int = 32, levels: int = 4) -> bytes:
    """A prefiltered KTX1 cube map with spherical harmonics, as Filament reads it for light of type image."""
    directions = _directions(size).reshape(-1, 3)
    source = _radiance(directions, seed)
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    u, v = np.meshgrid(axis, axis)
    weight = np.tile((1 / (1 + u * u + v * v) ** 1.5).reshape(-1), 6)
    normals = directions[::24]
    facing = np.maximum(normals @ directions.T, 0)
    irradiance = facing @ (source * weight[:, None]) / (facing @ weight[:, None])
    x, y, z = normals.T
    basis = np.stack([np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], -1)
    harmonics = np.linalg.lstsq(basis, irradiance, rcond=None)[0]
    images = [_packed(source.reshape(6, size, size, 3))]
    for level in range(1, levels):
        side = size >> level
        alpha = max((level / (levels - 1)) ** 2, 0.02)
        power = max((2 / alpha**2 - 2) / 4, 1)
        kernel = np.maximum(_directions(side).reshape(-1, 3) @ directions.T, 0) ** power * weight
        images.append(_packed(((kernel @ source) / kernel.sum(1, keepdims=True)).reshape(6, side, side, 3)))
    value = b"sh\0" + "\n".join(" ".join(f"{t:g}" for t in row) for row in harmonics).encode() + b"\n\0"
    block = struct.pack("<I", len(value)) + value + b"\0" * (-len(value) % 4)
    head = b"\xabKTX 11\xbb\r\n\x1a\n" + struct.pack(
        "<13I", 0x04030201, 0x8C3A, 1, 0x1907, 0x8C3A, 0x8C3A, size, size, 0, 0, 6, levels, len(block)
    )
    return head + block + b"".join(struct.pack("<I", image[0].nbytes) + image.tobytes() for image in images)
