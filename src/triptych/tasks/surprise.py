"""A picture, or a clip of any length -> bits per code over the picture and over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from triptych.media.container import is_live
from triptych.media.kind import is_clip
from triptych.surprise_results import Surprise, strange
from triptych.tasks import leaps, parts, surprisal
from triptych.tasks.common import Model, still_to

APART = 1.0  # seconds between two of the most surprising moments
ODDEST = 12  # codes whose mean is the peak: an impossible event is small, and may be in two places


@dataclass(frozen=True)
class Scored:
    """Some maps of a medium, in order.

    Args:
        times: float64 (T,), seconds at which each map ends.
        bits: float32 (T, y, x), of each code; the first map of a shot is scored alone, the others given those before.
        peaks: float32 (T,), as of `peaks`.
        leaps: float32 (T,), as of `leaps.by_map`, of sudden ones.
        fresh: bool (T,), whether a map begins a shot.
        frames: uint8 (F, size, size, 3) at `fps`, the frames of these maps, from `start` seconds on.
        start, fps: when the first of the frames is shown, and how many come a second.
        unlike: whether this is far beyond what is usual on data like the training data.
    """

    times: np.ndarray
    bits: np.ndarray
    peaks: np.ndarray
    leaps: np.ndarray
    fresh: np.ndarray
    frames: np.ndarray
    start: float
    fps: float
    unlike: bool


def surprise(model: Model, path: Path | str) -> Iterator[Scored]:
    """Score a picture, or a clip segment by segment in constant memory.

    Args:
        model: what is surprised.
        path: a file, or `-` for standard input.

    Yields:
        the maps of each segment that no segment before held: neighbours share a frame.
    """
    if not is_live(path) and not is_clip(path):
        frames = model.frames(path)
        costs = surprisal.clip_costs(model, [frames])[0]
        bits, unlike = costs[..., 0], surprisal.is_unlike(model, costs[..., 0])
        odd, none = peaks(costs[..., 1]), np.zeros(1, np.float32)
        yield Scored(np.zeros(1), bits, odd, none, np.ones(1, bool), frames, 0.0, model.bundle.info.fps, unlike)
        return
    info = model.bundle.info
    span, shot, last = info.visual.span, -1, 0.0
    for some in parts.batches(model, path):
        clips = [still_to(part.segment.frames, info.frames) for part in some]
        for part, costs in zip(some, surprisal.clip_costs(model, clips), strict=True):
            here = part.segment
            real = 1 + -(-(len(here.frames) - 1) // span)  # maps that hold a frame of the clip
            first = 0 if here.shot != shot else 1  # the first frame was the last one of the segment before
            times = here.start + np.minimum(np.arange(real) * span, len(here.frames) - 1) / info.fps
            bits, odd, found = costs[:real, ..., 0], peaks(costs[:real, ..., 1]), leaps.leaps(here.frames)
            leapt = leaps.by_map(leaps.sudden(found, last if here.shot == shot else 0.0), span)
            yield Scored(
                times[first:],
                bits[first:],
                odd[first:],
                leapt[first:],
                np.arange(first, real) == 0,
                here.frames,
                here.start,
                info.fps,
                surprisal.is_unlike(model, bits),
            )
            shot, last = here.shot, float(found[-1]) if len(found) else 0.0


def peaks(beyond: np.ndarray) -> np.ndarray:
    """How odd the oddest of each map is: the mean of its ODDEST codes that cost most beyond what was expected, in
    standard deviations; (T, y, x) -> (T,)."""
    flat = np.sort(beyond.reshape(len(beyond), -1), 1)
    return flat[:, -ODDEST:].mean(1)


def collect(
    model: Model,
    file: str,
    parts: Iterator[Scored],
    moments: int = 5,
    each: Callable[[Scored], object] | None = None,
) -> Surprise:
    """Join the parts of a medium; the frames of its most surprising moments are kept, no others.

    Args:
        model: what was surprised.
        file: name of the medium.
        parts: of `surprise`.
        moments: how many times to tell.
        each: called with every part.
    """
    joined: list[Scored] = []
    best: list[tuple[float, float, np.ndarray]] = []  # how strange, time, frame
    for part in parts:
        if each is not None:
            each(part)
        for time, height, begins in zip(part.times, strange(part.peaks, part.leaps), part.fresh, strict=True):
            if not begins or len(part.times) == 1:
                place = min(round((time - part.start) * part.fps), len(part.frames) - 1)
                best.append((float(height), float(time), part.frames[place].copy()))
        best = _apart(best, moments)
        joined.append(replace(part, frames=part.frames[:0]))
    bits = np.concatenate([part.bits for part in joined])
    usual = surprisal.usual(model, surprisal.FIRST if len(bits) == 1 else surprisal.next_spelling(model))
    size = model.bundle.info.size
    return Surprise(
        file,
        np.concatenate([part.times for part in joined]),
        bits.astype(np.float16),
        np.concatenate([part.peaks for part in joined]).astype(np.float32),
        np.concatenate([part.leaps for part in joined]).astype(np.float32),
        np.concatenate([part.fresh for part in joined]),
        tuple(time for _, time, _ in best),
        np.stack([frame for _, _, frame in best]) if best else np.zeros((0, size, size, 3), np.uint8),
        None if usual is None else usual.mean,
        surprisal.most(model),
        sum(part.unlike for part in joined) / len(joined),
    )


def _apart(best: list[tuple[float, float, np.ndarray]], count: int) -> list[tuple[float, float, np.ndarray]]:
    """The highest, at least APART seconds from each other."""
    kept: list[tuple[float, float, np.ndarray]] = []
    for here in sorted(best, key=lambda item: -item[0]):
        if len(kept) < count and all(abs(here[1] - other[1]) >= APART for other in kept):
            kept.append(here)
    return kept
