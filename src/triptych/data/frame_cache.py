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
from rich.console import Console
from rich.progress import track

from triptych.data.decode import decode_arguments, decode_window
from triptych.data.records import Record
from triptych.data.settings import PrepareConfig
from triptych.errors import DataError, MediaError
from triptych.files import sha256, write_atomically, write_json
from triptych.media.worker import Workers


class FrameCache:
    """The frames of a prepared folder's files of one kind, decoded once on all cores; a second run finds them there.

    They are decoded anew where the manifest or the size of frames has changed, and where some could not be read.

    Args:
        folder: a prepared folder; the frames go to its `frames`.
        source: the folder of media.
        kind: picture or clip.
        files: names below `source`, all of the manifest.
        settings: size, rate and number of frames.

    Raises:
        DataError: none of the files can be read, or the disk is full.
    """

    def __init__(self, folder: Path, source: Path, kind: str, files: Sequence[str], settings: PrepareConfig) -> None:
        self._path = folder / "frames" / f"{kind}.bytes"
        self._shape = (settings.frames if kind == "clip" else 1, settings.size, settings.size, 3)
        index = self._path.with_suffix(".json")
        stamp = {"manifest": sha256(folder / "manifest.jsonl"), "shape": list(self._shape), "fps": settings.fps}
        found: dict[str, Any] = json.loads(index.read_text()) if index.exists() and self._path.exists() else {}
        if {name: found.get(name) for name in stamp} != stamp or found.get("lost"):
            index.unlink(missing_ok=True)  # else a killed run would leave an index of frames that aren't there
            read: list[int] = []
            lost: list[str] = []
            try:
                write_atomically(self._path, lambda path: _fill(path, source, kind, files, settings, read, lost))
            except OSError as error:
                raise DataError(
                    f"{self._path}: {error.strerror or error}: make room, or leave out cached=true"
                ) from None
            if files and not read:
                self._path.unlink()
                raise DataError(f"none of the {len(files)} {kind}s of {source} can be read any more: {lost[0]}")
            if lost:
                told = f"{len(lost)} {kind}s can't be read any more, and are left out; the first: {lost[0]}"
                Console(stderr=True).print(told, markup=False)
            found = stamp | {"read": read, "lost": lost}
            write_json(index, found)
        self.files: list[str] = [files[place] for place in found["read"]]
        """Files that could be read, in order."""
        self._frames: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> np.ndarray:
        """Frames (F, Y, X, 3) of the number-th of `files`; F is 1 or that of the settings."""
        if self._frames is None:  # mapped by each process that reads
            self._frames = np.memmap(self._path, np.uint8, "r", shape=(len(self), *self._shape))
        return self._frames[number]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_frames": None}  # a loader's process maps the file, instead of being sent it


def _fill(
    path: Path,
    source: Path,
    kind: str,
    files: Sequence[str],
    settings: PrepareConfig,
    read: list[int],
    lost: list[str],
) -> None:
    """Write the frames of files one after another; put into `read` the places of those that could be decoded, into
    `lost` what was wrong with the others."""

    def arguments(place: int) -> tuple[str, list[Any], float]:
        record = Record(file=files[place], kind="clip" if kind == "clip" else "picture")
        given = decode_arguments(record, source, settings, 0.0)
        return given[0], list(given), settings.timeout

    # All cores: nothing is trained meanwhile, whatever share of them cleaning was given.
    with Workers(0, int(settings.memory * 2**30)) as workers, open(path, "wb") as file:
        decoded = workers.map(decode_window, range(len(files)), arguments)
        console = Console(stderr=True)
        for place, frames in track(decoded, f"decoding {kind}s", len(files), console=console, transient=True):
            if isinstance(frames, MediaError):
                lost.append(str(frames))
            else:
                file.write(frames.tobytes())
                read.append(place)
