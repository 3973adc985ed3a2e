"""Records -> frames: pictures, and windows of clips.

Long clips are cut into windows that share one frame: window i starts at i * (frames - 1) / fps seconds.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from triptych.data.records import NEAR, Event, Record
from triptych.data.settings import PrepareConfig
from triptych.errors import MediaError
from triptych.media import image, video
from triptych.media.limits import LOCAL

_SLACK = 2e-3  # seconds; files round their times


def windows(record: Record, settings: PrepareConfig) -> list[tuple[float, float]]:
    """Start and end of each window of a record, in seconds; a picture has the one window (0, 0).

    A window needs two frames of its own; a shorter rest belongs to the window before it. With frames = 1 a clip
    is its first frame.
    """
    if record.kind == "picture":
        return [(0.0, 0.0)]
    if settings.frames == 1:
        return [(0.0, record.duration)]
    step = (settings.frames - 1) / settings.fps
    count = max(1, math.ceil((record.duration - 1 / settings.fps - _SLACK) / step))
    starts = [i * step for i in range(count)]
    return list(zip(starts, [*starts[1:], max(record.duration, starts[-1])], strict=True))


def window_record(record: Record, start: float, end: float) -> Record:
    """What is true of one window of a clip.

    Texts and label go to every window; events are those that overlap it, their times counted from its start
    and clipped to it, and objects those seen in it; questions stay only if the window is the whole clip.
    """
    if start <= 0 and end >= record.duration:
        return record
    events = [
        event.model_copy(update={"start": max(event.start, start) - start, "end": min(event.end, end) - start})
        for event in record.events
        if _overlaps(event, start, end)
    ]
    objects = [
        item.model_copy(update={"time": item.time - start})
        for item in record.objects
        if item.time is not None and start - NEAR <= item.time <= end + NEAR
    ]
    return record.model_copy(update={"events": events, "objects": objects, "qa": [], "duration": end - start})


def decode(record: Record, folder: Path | str, settings: PrepareConfig, start: float = 0.0) -> np.ndarray:
    """Decode the window that begins at `start`: uint8 (F, size, size, 3), F = 1 or settings.frames.

    The last frame is repeated where a clip is shorter than its window.

    Raises:
        MediaError: the file can't be decoded, or is over before `start`.
    """
    return decode_window(*decode_arguments(record, folder, settings, start))


def decode_arguments(record: Record, folder: Path | str, settings: PrepareConfig, start: float) -> tuple[Any, ...]:
    """What `decode_window` takes for the window of a record."""
    return str(Path(folder) / record.file), record.kind, settings.size, settings.fps, settings.frames, start


def decode_window(path: str, kind: str, size: int, fps: float, frames: int, start: float) -> np.ndarray:
    """As `decode`, by plain values, so that a worker of media.worker can be asked for it."""
    if kind == "picture":
        return image.fit(image.read(path, limits=LOCAL, at_least=size), size)[None]
    if frames == 1:
        return video.read(path, fps=fps, frames=1, start=start, size=size, limits=LOCAL).frames
    for clip in video.segments(path, fps=fps, frames=frames, size=size, start=start, limits=LOCAL):
        return clip.frames
    raise MediaError(path, f"is over before {start:g} s", "clean the folder again")


def _overlaps(event: Event, start: float, end: float) -> bool:
    if event.start == event.end:  # a moment belongs to one window
        return start <= event.start < end
    return event.start < end and event.end > start
