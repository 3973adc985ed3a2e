"""Motions: where the things of clips are in each of their frames, without the clips; and batches of them for a mover.

A folder tells them in `motions.jsonl`, a line a clip (docs/data.md):
    {"fps": 8, "things": [{"boxes": [[0.1, 0.4, 0.2, 0.5], ...], "seen": [1.0, ...]}, ...]}

B motions, N things, F frames, S frames before the last one, A frames ahead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor
from torch.utils.data import Dataset

from triptych.data.shuffle import shuffled
from triptych.errors import DataError
from triptych.sequence.boxes import travelled

FILE = "motions.jsonl"
MOST = 8  # things of one motion; of more, the first
HELD_EVERY = 20  # one motion of so many, by lot, is kept for validation
EDGE = 0.01  # of a side: so far outside a box may end, of rounding
CLEAR = 0.3  # part of a thing from which on it counts as seen
ORDER = 17  # salt of this job's order
PLACED, MATCHED, SPEED = 0.007, 0.0025, 0.05
"""Shares of the sides by which a box's edges, and shifts, are read wrongly; and the share of a shift."""
ASTRAY, FAR_OFF = 0.03, 0.05  # share of shifts that are read quite wrongly, and by how much
FORGOTTEN, UNSEEN = 0.15, 0.05  # share of things of whose past only a part is known, and of things that aren't told

Edges = tuple[float, float, float, float]


class MovingThing(BaseModel):
    """A thing: its box in each frame (left, top, right, bottom, as shares of the sides), none where it is outside; and
    which part of it can be seen, 0 to 1, all of it if not given."""

    model_config = ConfigDict(extra="forbid")
    boxes: list[Edges | None]
    seen: list[Annotated[float, Field(ge=0, le=1)]] | None = None

    @model_validator(mode="after")
    def _are_boxes(self) -> MovingThing:
        for frame, box in enumerate(self.boxes):
            if box is None:
                continue
            left, top, right, bottom = box
            if not (-EDGE <= left < right <= 1 + EDGE and -EDGE <= top < bottom <= 1 + EDGE):
                raise ValueError(
                    f"frame {frame}: {list(box)} is no box: give left, top, right and bottom as shares of the "
                    "picture's sides, 0 to 1, and null where nothing can be seen"
                )
        return self


class Motion(BaseModel):
    """A line of motions.jsonl: the things of a clip, and its frames a second."""

    model_config = ConfigDict(extra="forbid")
    fps: float = Field(gt=0)
    things: list[MovingThing] = Field(min_length=1)

    @model_validator(mode="after")
    def _same_length(self) -> Motion:
        lengths = {len(values) for thing in self.things for values in (thing.boxes, thing.seen) if values is not None}
        if len(lengths) != 1:
            raise ValueError(f"lists of {sorted(lengths)} frames: tell each thing in as many frames")
        if not any(box for thing in self.things for box in thing.boxes):
            raise ValueError("no thing has a box in any frame: leave the line out")
        return self


def read(path: Path, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """The motions of a file.

    Args:
        path: a `motions.jsonl`.
        fps: frames a second that they must have.

    Returns:
        boxes float32 (M, F, MOST, 4), nan where a thing is outside, isn't there, or its clip has ended; and which part
        of it is seen, float32 (M, F, MOST), nan after the end of its clip.

    Raises:
        DataError: no such file, or a line that can't be used; says which.
    """
    if not path.is_file():
        raise DataError(f"{path.parent}: holds no {FILE}; write one (docs/data.md), or make a world with `--motions`")
    found: list[Motion] = []
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                motion = Motion.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                raise DataError(f"{path}, line {number}: {where and where + ': '}{first['msg']}") from error
            if abs(motion.fps - fps) > 0.01:
                raise DataError(
                    f"{path}, line {number}: {motion.fps:g} frames a second, the model reads {fps:g}: tell boxes "
                    "at that rate"
                )
            found.append(motion)
    if not found:
        raise DataError(f"{path}: holds no motion")
    frames = max(len(motion.things[0].boxes) for motion in found)
    boxes = np.full((len(found), frames, MOST, 4), np.nan, np.float32)
    seen = np.full((len(found), frames, MOST), np.nan, np.float32)
    for row, motion in enumerate(found):
        seen[row, : len(motion.things[0].boxes)] = 0
        things = [thing for thing in motion.things if any(thing.boxes)]
        for place, thing in enumerate(things[:MOST]):
            for frame, box in enumerate(thing.boxes):
                if box is not None:
                    boxes[row, frame, place] = box
                    seen[row, frame, place] = 1 if thing.seen is None else thing.seen[frame]
    return boxes, seen


class MotionBatches(Dataset[dict[str, Tensor]]):
    """Batch number `step`: `boxes` (B, N, 4), `shifts` (B, N, S, 2), `known` (B, N, S) and `there` (B, N) as a mover
    takes them; and what comes: `later` (B, N, A, 4), how far edges go, `told` (B, N, A), where that is known, `stays`
    (B, N, A), whether a thing is in the picture, and `judged` (B, N, A), where that is known.

    Boxes and shifts are as inexact as they are read off pictures, and half of the motions are mirrored.

    Args:
        folders: of files of motions.
        fps: frames a second.
        span: S. ahead: A.
        batch: motions a step.
        seed: of the order, and of all that is random.

    Raises:
        DataError: see `read`; or all motions are too short.
    """

    def __init__(self, folders: list[Path], fps: float, span: int, ahead: int, batch: int, seed: int) -> None:
        self.span, self.ahead, self.batch, self.seed = span, ahead, batch, seed
        parts = [read(folder / FILE, fps) for folder in folders]
        frames = max(boxes.shape[1] for boxes, _ in parts)
        self.boxes, self.seen = (np.concatenate([_longer(part[which], frames) for part in parts]) for which in (0, 1))
        if np.isfinite(self.seen[:, 2:, 0]).sum() == 0:
            raise DataError(f"{folders[0] / FILE}: no motion has three frames")
        held = np.random.default_rng(ORDER).permutation(len(self.boxes)) % HELD_EVERY == HELD_EVERY - 1
        self.held, self.train = np.flatnonzero(held), np.flatnonzero(~held)

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        numbers = range(step * self.batch, (step + 1) * self.batch)
        rows = [self.train[shuffled(number, len(self.train), self.seed, 0, ORDER)] for number in numbers]
        return self.examples(rows, np.random.default_rng([self.seed, ORDER, step]))

    def examples(self, rows: list[int] | np.ndarray, rng: np.random.Generator | None) -> dict[str, Tensor]:
        """Motions each at a moment by lot, read inexactly; at the middle of its clip and exactly without `rng`."""
        boxes, seen = self.boxes[rows], self.seen[rows]
        used = np.flatnonzero(np.isfinite(boxes[..., 0]).any((0, 1)))
        count = int(used[-1]) + 1  # most scenes have few things, and pairs cost most
        boxes, seen = boxes[:, :, :count], seen[:, :, :count]
        lengths = np.isfinite(seen[:, :, 0]).sum(1)
        if rng is None:
            now = lengths // 2
        else:
            mirrored = rng.random(len(boxes)) < 0.5
            boxes = np.where(mirrored[:, None, None, None], _mirrored(boxes), boxes)
            now = 1 + (rng.random(len(boxes)) * np.maximum(lengths - 2, 1)).astype(int)

        def at(values: np.ndarray, move: int) -> np.ndarray:
            place = now + move
            here = np.take_along_axis(
                values, np.clip(place, 0, values.shape[1] - 1).reshape(-1, *[1] * (values.ndim - 1)), 1
            )
            outside = (place < 0) | (place >= lengths)
            return np.where(outside.reshape(-1, *[1] * (values.ndim - 2)), np.nan, here[:, 0])

        start = at(boxes, 0)
        there = np.nan_to_num(at(seen, 0)) >= CLEAR
        past = [at(boxes, -back) for back in range(1, self.span + 1)]
        clear = [np.nan_to_num(at(seen, -back)) >= CLEAR for back in range(1, self.span + 1)]
        shifts = np.stack([travelled(box, start) for box in past], 2)
        known = np.stack(clear, -1)
        later = np.stack([at(boxes, forth) - start for forth in range(1, self.ahead + 1)], 2)
        judged = np.stack([np.isfinite(at(seen, forth)) for forth in range(1, self.ahead + 1)], -1) & there[..., None]
        told = np.isfinite(later[..., 0]) & there[..., None]
        shown = there
        if rng is not None:
            start, shifts, known = _inexact(start, shifts, known, rng)
            shown = there & (rng.random(there.shape) >= UNSEEN)
        arrays = {
            "boxes": start, "shifts": shifts, "known": known, "there": shown, "later": later,
            "told": told & shown[..., None], "stays": np.isfinite(later[..., 0]), "judged": judged & shown[..., None],
        }  # fmt: skip
        return {name: torch.from_numpy(np.nan_to_num(value.astype(np.float32))) for name, value in arrays.items()}


def _inexact(
    start: np.ndarray, shifts: np.ndarray, known: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, shifts, and which of these are known, as they are read off pictures."""
    start = start + rng.normal(0, PLACED, start.shape)
    wrong = rng.random((*shifts.shape[:2], 1, 1)) < ASTRAY
    off = np.where(wrong, FAR_OFF, MATCHED + SPEED * np.abs(shifts))
    shifts = shifts + off * rng.normal(0, 1, shifts.shape)
    reach = rng.integers(0, known.shape[-1], known.shape[:2])
    cut = (rng.random(known.shape[:2]) < FORGOTTEN)[..., None] & (np.arange(known.shape[-1]) >= reach[..., None])
    return start, shifts, known & ~cut


def _mirrored(boxes: np.ndarray) -> np.ndarray:
    left, top, right, bottom = np.moveaxis(boxes, -1, 0)
    return np.stack([1 - right, top, 1 - left, bottom], -1)


def _longer(values: np.ndarray, frames: int) -> np.ndarray:
    more = [(0, 0), (0, frames - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, more, constant_values=np.nan)
