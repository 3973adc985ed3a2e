"""Surprise as files: numbers, and pictures with the heat of each code over what was seen."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from triptych.errors import ConfigError
from triptych.files import write_atomically, write_text
from triptych.media import image
from triptych.results import clock
from triptych.surprise_results import Surprise
from triptych.tasks.surprise import Scored

SUFFIXES = (".json", ".csv", ".npz", ".png")
STOPS = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32)  # inferno
WIDTH, HEIGHT, EDGE = 960, 160, 28  # of the curve, in pixels


def write(found: Surprise, path: Path) -> Path:
    """Write it by the suffix of `path`; ConfigError for a suffix that is none of SUFFIXES."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        write_text(path, json.dumps(found.as_dict(), ensure_ascii=False, indent=2) + "\n")
    elif suffix == ".csv":
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(("time", "bits", "peak", "leap"))
        columns = found.times.round(3), found.curve.round(4), found.peaks.round(4), found.leaps.round(4)
        rows.writerows(zip(*columns, strict=True))
        write_text(path, out.getvalue())
    elif suffix == ".npz":
        arrays = {name: getattr(found, name) for name in ("times", "maps", "peaks", "leaps", "fresh")}
        write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    elif suffix == ".png":
        image.write(path, sheet(found))
    else:
        raise ConfigError(f"{path}: surprise is written as {', '.join(SUFFIXES)}; of a clip also as .mp4")
    return path


def heated(pixels: np.ndarray, bits: np.ndarray, low: float, high: float) -> np.ndarray:
    """A frame uint8 (Y, X, 3), grey, with the heat of its codes (y, x) over it; `low` bits are dark, `high` bright."""
    share = np.clip((bits - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    smooth = Image.fromarray(share).resize(pixels.shape[1::-1], Image.Resampling.BICUBIC)
    level = np.clip(np.asarray(smooth), 0, 1)
    grey = pixels.astype(np.float32).mean(2, keepdims=True)
    strength = 0.75 * level[..., None]
    return (grey * (1 - strength) + colours(level) * strength).round().clip(0, 255).astype(np.uint8)


def colours(levels: np.ndarray) -> np.ndarray:
    """Levels 0 to 1 -> float32 (..., 3) colours, dark to bright."""
    place = levels * (len(STOPS) - 1)
    first = np.minimum(place.astype(int), len(STOPS) - 2)
    part = (place - first)[..., None]
    return STOPS[first] * (1 - part) + STOPS[first + 1] * part


def bounds(found: Surprise) -> tuple[float, float]:
    """Bits that are shown dark and bright: what is usual here, and what few codes cost."""
    return float(np.median(found.maps)), float(max(np.percentile(found.maps, 99.5), np.median(found.maps) + 1))


def sheet(found: Surprise) -> np.ndarray:
    """The most surprising moments with their heat, above the curve: uint8 (Y, X, 3)."""
    low, high = bounds(found)
    places = [int(np.abs(found.times - time).argmin()) for time in found.moments]
    tiles = []
    for place, pixels, time in zip(places, found.pictures, found.moments, strict=True):
        tile = Image.fromarray(heated(pixels, found.maps[place].astype(np.float32), low, high))
        ImageDraw.Draw(tile).text((6, 4), clock(time), fill=(255, 255, 255), stroke_width=2, stroke_fill=(0, 0, 0))
        tiles.append(np.pad(np.asarray(tile), ((0, 0), (0, 4), (0, 0)), constant_values=255))
    top = np.concatenate(tiles, 1) if tiles else np.full((1, WIDTH, 3), 255, np.uint8)
    below = curve(found) if len(found.times) > 1 else np.full((1, top.shape[1], 3), 255, np.uint8)
    width = max(top.shape[1], below.shape[1])
    return np.concatenate(
        [np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0)), constant_values=255) for part in (top, below)]
    )


def curve(found: Surprise) -> np.ndarray:
    """Bits per code over time, and in a lighter line, on a scale of its own, how strange each moment was: uint8
    (HEIGHT, WIDTH, 3)."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    top = max(float(found.curve.max()), found.most or 0.0, 1e-6) * 1.05
    odd = np.clip(found.strange, 0, None)
    first, last = float(found.times[0]), max(float(found.times[-1]), float(found.times[0]) + 1e-6)

    def at(time: float, bits: float) -> tuple[float, float]:
        x = EDGE + (time - first) / (last - first) * (WIDTH - EDGE - 8)
        return x, HEIGHT - 16 - bits / top * (HEIGHT - 24)

    if found.most is not None:
        pen.line([at(first, found.most), at(last, found.most)], fill=(200, 120, 100))
    for values, colour in (
        (odd * (top / max(float(odd.max()), 1e-6) / 1.05), (170, 190, 205)),
        (found.curve, (47, 111, 94)),
    ):
        pen.line([at(t, b) for t, b in zip(found.times.tolist(), values.tolist(), strict=True)], fill=colour, width=2)
    for time in found.moments:
        x, _ = at(time, 0)
        pen.line([(x, HEIGHT - 16), (x, HEIGHT - 12)], fill=(0, 0, 0))
    pen.text((2, 2), f"{top:.1f}", fill=(90, 90, 90))
    pen.text((EDGE, HEIGHT - 12), clock(first), fill=(90, 90, 90))
    pen.text((WIDTH - 48, HEIGHT - 12), clock(last), fill=(90, 90, 90))
    return np.asarray(picture)


def heated_frames(found: Surprise, parts: Iterator[Scored]) -> Iterator[np.ndarray]:
    """Every frame of a clip with the heat of the map it belongs to, from a second reading of the clip."""
    low, high = bounds(found)
    for part in parts:
        count = len(part.frames)
        times = part.start + np.arange(count) / part.fps
        places = np.minimum(np.searchsorted(part.times, times - 1e-6), len(part.times) - 1)
        for index in range(0 if part.fresh[0] else 1, count):
            yield heated(part.frames[index], part.bits[places[index]], low, high)
