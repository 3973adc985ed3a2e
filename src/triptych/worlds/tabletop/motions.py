"""Motions: where the things of the n-th clip are in each frame, without drawing it; hundreds for one that is drawn."""

from __future__ import annotations

from typing import Any

from triptych.worlds.tabletop.arm import arm_clip
from triptych.worlds.tabletop.arm_words import arm_record
from triptych.worlds.tabletop.clips import RefusedScene, is_arm, story_clip
from triptych.worlds.tabletop.physics import FPS, FRAMES


def write_motions(job: Any) -> list[dict[str, Any]]:
    """The motions of a chunk, as lines of motions.jsonl (docs/data.md); of a clip of this number and seed, the same."""
    return [_motion(job, index) for index in range(job.first, job.last)]


def _motion(job: Any, index: int) -> dict[str, Any]:
    skip = 0
    while True:
        try:
            return _of_frames(_frames(job, index, skip), job.size)
        except RefusedScene as refusal:  # the next attempt takes its place, as in clips
            skip = refusal.attempt + 1


def _frames(job: Any, index: int, skip: int) -> list[list[dict[str, Any]]]:
    """What can be seen of each thing in each frame.

    Raises: RefusedScene when the attempt can't be simulated.
    """
    attempt = skip
    try:
        if is_arm(index):
            work = arm_clip(job.seed, job.split, job.level, index, job.size, skip)
            attempt = work.attempt
            frames: list[list[dict[str, Any]]] = arm_record(work, job.seed, job.split, index)["truth"]["frames"]
            return frames
        clip = story_clip(job.seed, job.split, job.level, index, job.size, skip)
        return [[{"id": place, **seen} for place, seen in enumerate(row)] for row in clip.sights[:FRAMES]]
    except ValueError as error:
        raise RefusedScene(attempt) from error


def _of_frames(frames: list[list[dict[str, Any]]], size: int) -> dict[str, Any]:
    by_id = [{row["id"]: row for row in frame if row["box"] is not None} for frame in frames]
    things = []
    for id_ in sorted({id_ for frame in by_id for id_ in frame}):
        shown = [frame.get(id_) for frame in by_id]
        boxes = [row and _share(row["box"], size) for row in shown]
        seen = [round(float(row["visible"]), 2) if row and box else 0.0 for row, box in zip(shown, boxes, strict=True)]
        things.append({"boxes": boxes, "seen": seen})
    return {"fps": FPS, "things": things}


def _share(box: Any, size: int) -> list[float] | None:
    """A box as shares of the picture's sides; none where so little of it is inside that it has no width."""
    left, top, right, bottom = (round(float(edge) / size, 4) for edge in box)
    return [left, top, right, bottom] if left < right and top < bottom else None
