"""Shapes as meshes, and where they fall in the picture.

Lengths are metres of the simulated table, z points up, pixels start at the top left corner. Everything here is
numpy and Pillow: boxes and visibility are exact for convex shapes and need no renderer.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float64]

# Half height of a shape of radius 1 that rests on the table.
REST_HEIGHT = {"ball": 1.0, "cube": 0.82, "cylinder": 0.82, "cone": 0.95, "capsule": 0.5, "egg": 0.85}
# Half extents (x, y, z) of a shape of radius 1; the physics and the pictures both use them.
EXTENT = {
    "ball": (1.0, 1.0, 1.0),
    "cube": (0.82, 0.82, 0.82),
    "cylinder": (0.82, 0.82, 0.82),
    "cone": (0.95, 0.95, 0.95),
    "capsule": (1.15, 0.5, 0.5),
    "egg": (1.2, 0.85, 0.85),
}


def lathe(profile: list[tuple[float, float]], steps: int) -> tuple[Array, NDArray[np.int64]]:
    """Turn a profile of (radius, height) pairs around the z axis into vertices (V, 3) and triangles (T, 3)."""
    angle = 2 * np.pi * np.arange(steps) / steps
    radius, height = np.array(profile).T
    vertices = np.stack(
        [np.outer(np.cos(angle), radius), np.outer(np.sin(angle), radius), np.tile(height, (steps, 1))], -1
    ).reshape(-1, 3)
    count = len(profile)
    faces = []
    for i in range(steps):
        j = (i + 1) % steps
        for k in range(count - 1):
            a, b, c, d = i * count + k, j * count + k, j * count + k + 1, i * count + k + 1
            faces += [(a, b, c), (a, c, d)]
    return vertices, np.array(faces)


def bevelled_box(bevel: float = 0.1, steps: int = 4) -> tuple[Array, NDArray[np.int64]]:
    """A cube of half side 1 with rounded edges, as vertices (V, 3) and triangles (T, 3)."""
    curve = bevel * (1 - np.cos(np.linspace(0, np.pi / 2, steps)))
    grid = np.unique(np.concatenate([-1 + curve, [0.0], 1 - curve]))
    n = len(grid)
    vertices: list[Array] = []
    faces: list[tuple[int, int, int]] = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            start = len(vertices)
            for u in grid:
                for v in grid:
                    point = np.zeros(3)
                    point[axis], point[(axis + 1) % 3], point[(axis + 2) % 3] = side, u, v
                    inner = np.clip(point, -1 + bevel, 1 - bevel)
                    out = point - inner
                    vertices.append(inner + bevel * out / np.linalg.norm(out))
            for i in range(n - 1):
                for j in range(n - 1):
                    quad = [
                        start + i * n + j,
                        start + (i + 1) * n + j,
                        start + (i + 1) * n + j + 1,
                        start + i * n + j + 1,
                    ]
                    quad = quad[::-1] if side < 0 else quad
                    faces += [(quad[0], quad[1], quad[2]), (quad[0], quad[2], quad[3])]
    return np.array(vertices), np.array(faces)


@functools.cache
def unit_mesh(shape: str) -> tuple[Array, NDArray[np.int64]]:
    """Vertices (V, 3) and triangles (T, 3) of a lathed or bevelled shape, reaching from -1 to 1 on each axis."""
    if shape == "cube":
        return bevelled_box()
    if shape == "cylinder":
        bevel, turn = 0.09, np.linspace(0, np.pi / 2, 5)
        lower = [(1 - bevel + bevel * math.sin(t), -1 + bevel - bevel * math.cos(t)) for t in turn]
        upper = [(1 - bevel + bevel * math.cos(t), 1 - bevel + bevel * math.sin(t)) for t in turn]
        return lathe([(0, -1), *lower, *upper, (0, 1)], 48)
    if shape == "cone":
        return lathe([(0, -1), (0.94, -1), (0.982, -0.982), (0.994, -0.94), (0.08, 0.9), (0.05, 0.97), (0, 1)], 40)
    raise ValueError(f"no mesh for shape {shape!r}: cube, cylinder and cone have one")


@functools.cache
def outline(shape: str) -> Array:
    """Points (V, 3) whose convex hull is the shape of radius 1."""
    if shape == "cube":
        corner = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float) * 0.975
        return corner * EXTENT[shape]
    if shape == "cylinder":
        return lathe([(0.95, -1), (1, -0.94), (1, 0.94), (0.95, 1)], 32)[0] * EXTENT[shape]
    if shape == "cone":
        return lathe([(0.98, -1), (0.99, -0.95), (0.05, 0.97)], 32)[0] * EXTENT[shape]
    turn = np.linspace(-np.pi / 2, np.pi / 2, 13)
    ball = lathe([(math.cos(t), math.sin(t)) for t in turn], 24)[0]
    if shape == "capsule":
        return np.concatenate([ball * 0.5 + [0.65, 0, 0], ball * 0.5 - [0.65, 0, 0]])
    return ball * EXTENT[shape]


def rotation(quaternion: Array) -> Array:
    """The matrix (3, 3) of a unit quaternion (w, x, y, z)."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def hull(points: Array) -> Array:
    """Convex hull of points (N, 2), counter-clockwise (monotone chain)."""
    rows = sorted(map(tuple, np.round(points, 2).tolist()))
    if len(rows) < 3:
        return np.array(rows)

    def chain(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
        kept: list[tuple[float, float]] = []
        for x, y in ordered:
            while len(kept) > 1:
                (ax, ay), (bx, by) = kept[-2], kept[-1]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                kept.pop()
            kept.append((x, y))
        return kept[:-1]

    return np.array(chain(rows) + chain(rows[::-1]))


class View:
    """A pinhole camera that looks at a point: azimuth 0 stands at -y and sees +x on its right.

    Args: azimuth, elevation and fov (vertical) in degrees, distance in metres, size in pixels, target in metres.
    """

    def __init__(
        self,
        azimuth: float,
        elevation: float,
        distance: float,
        fov: float,
        size: int,
        target: tuple[float, float, float] = (0.0, 0.0, 0.2),
    ) -> None:
        a, e = math.radians(azimuth), math.radians(elevation)
        self.target, self.fov, self.size = np.array(target), fov, size
        away = np.array([math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)])
        self.position = self.target + distance * away
        self.forward = -away
        right = np.cross(self.forward, [0, 0, 1.0])
        self.right = right / np.linalg.norm(right)
        self.up = np.cross(self.right, self.forward)
        self.focal = size / 2 / math.tan(math.radians(fov / 2))

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixels (N, 2) and depths (N,) in metres along the camera's axis of points (N, 3)."""
        local = np.atleast_2d(points) - self.position
        depth = local @ self.forward
        safe = np.maximum(depth, 0.05)
        x = self.size / 2 + self.focal * (local @ self.right) / safe
        y = self.size / 2 - self.focal * (local @ self.up) / safe
        return np.stack([x, y], -1), depth


def sightings(view: View, things: list[tuple[str, float, Array, Array]]) -> list[dict]:
    """Where each thing is in the picture and how much of it can be seen.

    Args:
        view: the camera.
        things: (shape, radius, position (3,), quaternion (4,)) of each.

    Returns:
        one dict a thing: ``center`` [x, y] and ``box`` [x0, y0, x1, y1] in pixels (box cut at the frame, None if
        outside), ``inside`` the part of its outline within the frame, ``visible`` the part within the frame and
        not hidden by a nearer thing (both 0..1), ``depth`` in metres along the camera's axis.
    """
    size, outlines = view.size, []
    found: list[dict] = []
    for shape, radius, position, quaternion in things:
        pixels, depth = view.project(outline(shape) * radius @ rotation(quaternion).T + position)
        middle, middle_depth = view.project(position)
        border = hull(pixels) if depth.min() > 0.1 else np.zeros((0, 2))
        outlines.append(border)
        found.append({"center": [round(float(v), 1) for v in middle[0]], "depth": round(float(middle_depth[0]), 2)})
    order = sorted(range(len(things)), key=lambda i: float(found[i]["depth"]))
    # Painted on a canvas twice as wide, so that what lies outside the frame counts as well.
    wide, edge = 2 * size, size // 2
    covered = np.zeros((wide, wide), bool)
    for i in order:
        row, border = found[i], outlines[i]
        low, high = (border.min(0), border.max(0)) if len(border) > 2 else (np.full(2, -1.0), np.full(2, -1.0))
        if len(border) < 3 or high.min() <= 0 or low.max() >= size:
            row.update(box=None, inside=0.0, visible=0.0)
            continue
        mask = Image.new("L", (wide, wide))
        ImageDraw.Draw(mask).polygon([(x + edge, y + edge) for x, y in border.tolist()], fill=255)
        own = np.asarray(mask) > 0
        whole = max(int(own.sum()), 1)
        frame = slice(edge, edge + size)
        box = np.concatenate([np.clip(low, 0, size), np.clip(high, 0, size)])
        row["box"] = [round(float(v), 1) for v in box]
        row["inside"] = round(int(own[frame, frame].sum()) / whole, 2)
        row["visible"] = round(int((own & ~covered)[frame, frame].sum()) / whole, 2)
        covered |= own
    return found
