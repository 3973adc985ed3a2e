"""Decoded frames in files that are read by memory map, for a device that is quicker than the decoders.

A picture of 224x224 pixels takes 147 KiB, a clip of 17 such frames 2.4 MiB, on disk and, as far as there is room, in
the system's cache. Of a clip longer than its window the first window is kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from triptych.data.decode import decode_arguments, decode_window
from triptych.data.records import Record
from triptych.data.settings import PrepareConfig
from triptych.errors import MediaError
from triptych.files import write_json
from triptych.media.worker import Workers


class FrameCache:
    """The frames of files of one kind, decoded once on all cores; a second run finds them there.

    Args:
        path: where the frames go; beside it a list of the files that could be read.
        source: the folder of media.
        kind: picture or clip.
        files: names below `source`.
        settings: size, rate and number of frames.
    """

    def __init__(self, path: Path, source: Path, kind: str, files: Sequence[str], settings: PrepareConfig) -> None:
        count = settings.frames if kind == "clip" else 1
        index, shape = path.with_suffix(".json"), (count, settings.size, settings.size, 3)
        stamp = {"files": list(files), "shape": list(shape), "fps": settings.fps}
        found: dict[str, Any] = json.loads(index.read_text()) if index.exists() and path.exists() else {}
        if {name: found.get(name) for name in stamp} != stamp:
            path.parent.mkdir(parents=True, exist_ok=True)
            index.unlink(missing_ok=True)  # else a killed run would leave an index of frames that aren't there
            frames = np.lib.format.open_memmap(path, "w+", np.uint8, (len(files), *shape))
            found = stamp | {"read": _fill(frames, source, kind, files, settings)}
            frames.flush()
            write_json(index, found)
        self.files: list[str] = [files[place] for place in found["read"]]
        """Files that could be read, in order."""
        self._places: list[int] = found["read"]
        self._path = path
        self._frames: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> np.ndarray:
        """Frames (F, Y, X, 3) of the number-th of `files`; F is 1 or that of the settings."""
        if self._frames is None:  # mapped by each process that reads
            self._frames = np.load(self._path, mmap_mode="r")
        return self._frames[self._places[number]]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_frames": None}  # a loader's process maps the file, instead of being sent it


def _fill(frames: np.ndarray, source: Path, kind: str, files: Sequence[str], settings: PrepareConfig) -> list[int]:
    """Decode files into `frames`; gives the places of those that could be."""

    def arguments(place: int) -> tuple[str, list[Any], float]:
        record = Record(file=files[place], kind="clip" if kind == "clip" else "picture")
        given = decode_arguments(record, source, settings, 0.0)
        return given[0], list(given), settings.timeout

    read = []
    with Workers(settings.workers, int(settings.memory * 2**30)) as workers:
        for place, decoded in workers.map(decode_window, range(len(files)), arguments):
            if not isinstance(decoded, MediaError):
                frames[place] = decoded
                read.append(place)
    return read
