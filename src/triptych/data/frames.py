"""Batches of pixels for the visual tokenizer, decoded as they are needed; pure functions of (seed, step)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from triptych.data.decode import decode
from triptych.data.frame_cache import FrameCache
from triptych.data.records import Record
from triptych.data.settings import PrepareConfig
from triptych.data.shards import held_out
from triptych.data.shuffle import shuffled
from triptych.errors import DataError, MediaError
from triptych.files import read_jsonl

HELD = 0.02  # share of files and sequences kept for validation
ORDER = 11  # salt of this job's order


def is_held(record: Record) -> bool:
    """Whether a record is kept for validation; all pictures of a sequence go together."""
    return held_out(f"sequence {record.sequence.id}" if record.sequence else record.file, HELD)


def busiest(frames: np.ndarray, side: int, rng: np.random.Generator, tries: int = 3) -> np.ndarray:
    """Of a few random squares (F, side, side, 3), the one whose pixels vary most: small objects, not bare floor."""
    best, most = frames, -1.0
    for _ in range(tries):
        top, left = rng.integers(frames.shape[1] - side + 1), rng.integers(frames.shape[2] - side + 1)
        square = frames[:, top : top + side, left : left + side]
        spread = float(square[:, ::4, ::4].std())
        if spread > most:
            best, most = square, spread
    return best


class FrameBatches(Dataset[dict[str, Tensor]]):
    """Batch number `step`: pictures (B, 1, Y, X, 3) and, where there are clips, windows (b, F, Y, X, 3), as bytes.

    Args:
        folder: a prepared folder (its manifest).
        source: the folder of media.
        batch: frames a step that come as pictures.
        clip_share: clips' share of the frames of a step.
        crop: side of the square cut out of each medium where it shows most; 0 takes it whole.
        frames: of a clip in training, 1 + 4k; fewer than the model's are enough to learn motion, and cheaper.
        cached: read the media of training from files of frames (see `frame_cache`), which `decode` fills.
    """

    def __init__(
        self,
        folder: Path,
        source: Path,
        *,
        batch: int,
        clip_share: float,
        seed: int,
        settings: PrepareConfig,
        frames: int = 9,
        crop: int = 0,
        cached: bool = False,
    ) -> None:
        self.crop = crop
        self.source, self.seed, self.settings, self.frames = source, seed, settings, min(frames, settings.frames)
        # Files with their seconds; whole records of a large folder would not fit in memory.
        self.train: dict[str, list[tuple[str, float]]] = {"picture": [], "clip": []}
        self.held: dict[str, list[tuple[str, float]]] = {"picture": [], "clip": []}
        for line in read_jsonl(folder / "manifest.jsonl"):
            record = Record.model_validate(line)
            (self.held if is_held(record) else self.train)[record.kind].append((record.file, record.duration))
        self.folder, self.cached = folder, cached
        self.cache: dict[str, FrameCache] = {}
        pictures, clips = len(self.train["picture"]), len(self.train["clip"])
        if not pictures and not clips:
            raise DataError(f"{folder / 'manifest.jsonl'} lists no media to train on")
        share = 0.0 if not clips else (clip_share if pictures else 1.0)
        self.counts = {
            "clip": max(1, round(batch * share / self.frames)) if share else 0,
            "picture": round(batch * (1 - share)) if pictures else 0,
        }

    def decode(self) -> None:
        """Decode the media of training into the cache, if there is to be one."""
        if not self.cached or self.cache:
            return
        for kind, files in self.train.items():
            self.cache[kind] = FrameCache(self.folder, self.source, kind, [file for file, _ in files], self.settings)
            seconds = dict(files)
            self.train[kind] = [(file, seconds[file]) for file in self.cache[kind].files]

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        out = {}
        for tag, (kind, count) in enumerate(self.counts.items()):
            if count:
                arrays = [self._one(kind, tag, step * count + place) for place in range(count)]
                out[kind] = torch.from_numpy(np.stack(arrays))
        return out

    def held_frames(self, kind: str, count: int) -> Tensor | None:
        """Up to `count` held-out media as bytes (n, F, Y, X, 3), or none."""
        files = self.held[kind] or self.train[kind][-count:]
        read = [self._read(kind, file, 0.0, self.settings.frames) for file, _ in files[:count]]
        arrays = [array for array in read if array is not None]
        return torch.from_numpy(np.stack(arrays)) if arrays else None

    def _one(self, kind: str, tag: int, number: int) -> np.ndarray:
        files = self.train[kind]
        for attempt in range(20):  # a file may have vanished since it was cleaned: another takes its place
            place = shuffled(number + attempt * 7919, len(files), self.seed, tag, ORDER)
            file, seconds = files[place]
            rng = np.random.default_rng([self.seed, tag, number])
            array: np.ndarray | None
            if self.cache:
                whole = self.cache[kind][place]
                count = self.frames if kind == "clip" else 1
                shown = min(len(whole), max(count, round(seconds * self.settings.fps)))  # beyond, the last one stands
                first = rng.integers(shown - count + 1)
                array = whole[first : first + count]
            else:
                spare = max(0.0, seconds - self.frames / self.settings.fps)
                array = self._read(kind, file, rng.random() * spare, self.frames)
            if array is not None:
                array = array[:, :, ::-1] if rng.random() < 0.5 else array
                if self.crop:
                    array = busiest(array, self.crop, rng)
                return np.ascontiguousarray(array)
        raise DataError(f"{self.source}: 20 files in a row can't be read any more; run `triptych prepare` again")

    def _read(self, kind: str, file: str, start: float, frames: int) -> np.ndarray | None:
        record = Record(file=file, kind="clip" if kind == "clip" else "picture")
        try:
            return decode(record, self.source, self.settings.model_copy(update={"frames": frames}), start)
        except MediaError:
            return None
