"""Shots of a clip, found by colour, and segments inside them: any length, in the memory of one segment.

A cut is a jump of the colour histogram that stands out from its neighbours and doesn't go back at once, as a flash
does. A slow change (a fade or a dissolve) is many small steps that together come to as much and then end.
Source: the twin comparison of Zhang, Kankanhalli, Smoliar, "Automatic partitioning of full-motion video", 1993.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triptych.errors import MediaError
from triptych.media import video
from triptych.media.limits import LOCAL, Limits

BINS = 8  # of each colour
BLOCKS = 2  # on each side of a frame: two shots of like colours in other places still differ
CUT = 0.35  # share of the pixels that change their colour in a cut, at least
STANDS_OUT = 2.5  # times as large as the jumps around it
STEP, CALM = 0.06, 0.03  # a slow change goes on above the one and has ended below the other
SLOW = 0.55  # share of the pixels that a slow change moves in all
SHORTEST = 0.5  # seconds between two cuts, at least


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


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the pixels that would have to change their colour, 0 to 1."""
    return float(np.abs(one - other).sum(1).mean() / 2)


def cuts(histograms: Iterable[np.ndarray], fps: float) -> Iterator[bool]:
    """For each sample, whether a shot begins with it; told one sample late, since a flash is known by what follows.

    Args:
        histograms: of the samples, in order.
        fps: samples a second.
    """
    recent: deque[np.ndarray] = deque(maxlen=3)  # the sample before, the one to be decided, the one after
    jumps: deque[float] = deque(maxlen=max(2, round(fps / 2)))
    least = max(1, round(SHORTEST * fps))
    since, calm = 0, None  # samples in this shot; the last histogram before a slow change
    for table in histograms:
        recent.append(table)
        if len(recent) == 1:
            yield False  # the clip's beginning is no cut
            continue
        if len(recent) == 2:
            continue
        before, here, after = recent
        since += 1
        cut, calm = _decide(before, here, after, jumps, calm)
        cut = cut and since >= least
        if cut:
            since, calm = 0, None
            jumps.clear()
        else:
            jumps.append(distance(before, here))
        yield cut
    if len(recent) == 2 or len(recent) == 3:
        yield False  # the last sample has no successor to confirm a cut


def _decide(
    before: np.ndarray, here: np.ndarray, after: np.ndarray, jumps: deque[float], calm: np.ndarray | None
) -> tuple[bool, np.ndarray | None]:
    jump, onward = distance(before, here), distance(here, after)
    around = max([*jumps, onward]) if jumps else onward
    if jump >= CUT and jump >= STANDS_OUT * around and distance(before, after) >= CUT:
        return True, None
    if jump >= STEP:
        return False, before if calm is None else calm
    if calm is not None and jump < CALM:
        return distance(calm, here) >= SLOW, None
    return False, calm


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
    waiting: deque[tuple[float, np.ndarray, bool]] = deque()
    tables: deque[np.ndarray] = deque()

    def told() -> Iterator[np.ndarray]:
        for sample in video.samples(path, fps, start, size, limits):
            table = histogram(sample[1])
            waiting.append(sample)
            tables.append(table)
            yield table

    shot, first, time, own = 0, start, start, 0  # own: samples that no segment before held
    for cut in cuts(told(), fps):
        time, pixels, within = waiting.popleft()
        table = tables.popleft()
        if not within and kept:
            break  # the last frame again, to fill its interval
        if cut and own:
            yield _segment(shot, first, time, kept, fps)
        if cut:
            shot, first, kept, own = shot + 1, time, [], 0
        kept.append((pixels, table))
        own += 1
        if len(kept) == frames:
            yield _segment(shot, first, time, kept, fps)
            first, kept, own = time, [kept[-1]], 0
    if own:
        yield _segment(shot, first, first + len(kept) / fps, kept, fps)
    elif not kept:
        raise MediaError(path, f"is over before {start:g} s", "start earlier")


def _segment(shot: int, start: float, end: float, kept: list[tuple[np.ndarray, np.ndarray]], fps: float) -> Segment:
    tables = np.stack([table for _, table in kept])
    key = int(np.abs(tables - tables.mean(0)).sum((1, 2)).argmin())
    return Segment(shot, round(start, 6), round(end, 6), np.stack([pixels for pixels, _ in kept]), fps, key)
