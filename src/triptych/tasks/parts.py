"""Clips of any length, part by part: their segments as the GPT reads them, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from triptych.media import shots, video
from triptych.media.container import is_live
from triptych.media.kind import is_clip
from triptych.media.shots import Segment
from triptych.tasks.common import Medium, Model, still_to

TOGETHER = 8  # segments read side by side; one where they come live, since nobody waits for the eighth
Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """A segment, and what the GPT reads of it: the segment filled up to the model's window by its last frame."""

    segment: Segment
    medium: Medium

    @property
    def keyframe(self) -> np.ndarray:
        """The frame that stands for it: uint8 (size, size, 3)."""
        return self.segment.frames[self.segment.key]


def batches(model: Model, path: Path | str, *, start: float = 0.0, framings: int = 1) -> Iterator[list[Part]]:
    """Segments of a clip in order, some at a time, so that the network reads them side by side.

    Args:
        model: what reads.
        path: a file, or `-` for standard input, which gives one at a time.
        start: seconds from the beginning of the file.
        framings: in how many each segment is read; in one where they come live, to keep up with them.
    """
    info = model.bundle.info
    found = shots.segments(path, fps=info.fps, frames=info.frames, size=info.size, start=start)
    live = is_live(path)
    for some in grouped(found, 1 if live else TOGETHER):
        yield read(model, some, 1 if live else framings, named=not live)


def parts(model: Model, path: Path | str, *, start: float = 0.0) -> Iterator[Part]:
    """As `batches`, one by one."""
    for some in batches(model, path, start=start):
        yield from some


def read(model: Model, segments: Sequence[Segment], framings: int = 1, *, named: bool = True) -> list[Part]:
    """What the GPT reads of segments, and a namer unless there is no time for it; times are those of the clip."""
    info = model.bundle.info
    frames = [still_to(segment.frames, info.frames) for segment in segments]
    views = model.look_framed(frames, framings)
    return [
        Part(s, Medium(maps, (s.start, s.end), tuple(others), model.shown(film) if named else None))
        for s, film, (maps, *others) in zip(segments, frames, views, strict=True)
    ]


def is_long(model: Model, path: Path | str) -> bool:
    """Whether a file is a clip that doesn't fit one window, by its header; standard input may be."""
    if is_live(path):
        return True
    info = model.bundle.info
    return is_clip(path) and video.probe(path).duration > info.frames / info.fps + 0.01


def grouped(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, the last one maybe shorter; no item is taken before it is needed."""
    some: list[Item] = []
    for item in items:
        some.append(item)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
