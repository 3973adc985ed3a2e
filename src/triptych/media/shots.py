"""Shots of a clip, and segments inside them: any length, in the memory of one segment and a second of samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triptych.errors import MediaError
from triptych.media import boundaries, container, video
from triptych.media.limits import LOCAL, Limits

BINS = 8  # of each colour
BLOCKS = 2  # on each side of a frame: two shots of like colours in other places still differ


@dataclass(frozen=True)
class Segment:
    """A part of a shot, short enough to be read at once.

    Args:
        shot: number of the shot, from 0.
        start, end: seconds from the beginning of the clip; the next segment of the shot begins at `end`.
        frames: uint8 (F, size, size, 3) at `fps`; within a shot the last one is the first of the next segment.
        fps: frames a second.
        key: index of the frame that stands for the segment: the one whose colours are nearest to the mean.
    """

    shot: int
    start: float
    end: float
    frames: np.ndarray
    fps: float
    key: int


def histogram(pixels: np.ndarray) -> np.ndarray:
    """Colours of uint8 (Y, X, 3): float32 (BLOCKS * BLOCKS, BINS ** 3), each row sums to 1."""
    small = pixels[:: max(1, pixels.shape[0] // 64), :: max(1, pixels.shape[1] // 64)] // (256 // BINS)
    index = (small[..., 0].astype(np.int64) * BINS + small[..., 1]) * BINS + small[..., 2]
    rows, columns = index.shape
    block = (np.arange(rows) * BLOCKS // rows)[:, None] * BLOCKS + np.arange(columns) * BLOCKS // columns
    counts = np.bincount((block * BINS**3 + index).ravel(), minlength=BLOCKS * BLOCKS * BINS**3)
    table = counts.reshape(BLOCKS * BLOCKS, BINS**3).astype(np.float32)
    return table / np.maximum(table.sum(1, keepdims=True), 1)


def segments(
    path: Path | str,
    *,
    fps: float = 8.0,
    frames: int = 17,
    size: int = 224,
    start: float = 0.0,
    limits: Limits = LOCAL,
) -> Iterator[Segment]:
    """Yield the segments of a clip as they are read.

    Args:
        path: the file, or `container.LIVE` for standard input, which is read as it comes.
        fps, frames, size: of what reads: frames a second, most frames of a segment, side of a frame in pixels.
        start: seconds from the beginning of the file.
        limits: what is refused.

    Raises:
        MediaError: not a clip, damaged, without picture, too large, or over before `start`.
    """
    if frames < 2:
        raise ValueError(f"a segment has at least 2 frames, not {frames}")
    kept: list[tuple[np.ndarray, np.ndarray]] = []  # pixels and histogram of the samples of this segment
    shot, first, own = 0, start, 0  # own: samples that no segment before held
    for time, pixels, within, begins in _marked(path, fps, start, size, limits):
        if not within and kept:
            break  # the last frame again, to fill its interval
        if begins and own:
            yield _segment(shot, first, time, kept, fps)
        if begins:
            shot, first, kept, own = shot + 1, time, [], 0
        kept.append((pixels, histogram(pixels)))
        own += 1
        if len(kept) == frames:
            yield _segment(shot, first, time, kept, fps)
            first, kept, own = time, [kept[-1]], 0
    if own:
        yield _segment(shot, first, first + len(kept) / fps, kept, fps)
    elif not kept:
        raise MediaError(path, f"is over before {start:g} s", "start earlier")


def glance(shown: container.Shown) -> np.ndarray:
    """A frame as `boundaries.Boundaries` looks at it; one that is turned by a quarter may lie on its side."""
    pixels = shown.rgb(*boundaries.SIZE, rough=True)
    return pixels if pixels.shape[1] == boundaries.SIZE[0] else pixels.swapaxes(0, 1)


def _marked(
    path: Path | str, fps: float, start: float, size: int, limits: Limits
) -> Iterator[tuple[float, np.ndarray, bool, bool]]:
    """As `video.samples`, each with whether a shot begins with it; `boundaries.DELAY` seconds late."""
    between = max(1, round(boundaries.RATE / fps))
    finder = boundaries.Boundaries()
    waiting: deque[tuple[float, np.ndarray, bool]] = deque()
    told: deque[float] = deque()

    def settled() -> Iterator[tuple[float, np.ndarray, bool, bool]]:
        while waiting and waiting[0][0] <= finder.settled:
            time, pixels, within = waiting.popleft()
            begins = bool(told) and told[0] <= time
            if begins:
                told.popleft()
            yield time, pixels, within, begins

    seen: container.Shown | None = None
    scaled: tuple[container.Shown | None, np.ndarray] = (None, np.empty(0))
    for index, (time, shown, within) in enumerate(video.shown_at(path, fps, start, limits, between)):
        if shown is not seen:
            seen = shown
            told.extend(sorted(finder.see(time, glance(shown))))
            yield from settled()
        if index % between == 0:
            scaled = scaled if scaled[0] is shown else (shown, video.pixels_of(shown, size))
            waiting.append((time, scaled[1], within))
    told.extend(finder.end())
    yield from settled()


def _segment(shot: int, start: float, end: float, kept: list[tuple[np.ndarray, np.ndarray]], fps: float) -> Segment:
    tables = np.stack([table for _, table in kept])
    key = int(np.abs(tables - tables.mean(0)).sum((1, 2)).argmin())
    return Segment(shot, round(start, 6), round(end, 6), np.stack([pixels for pixels, _ in kept]), fps, key)
