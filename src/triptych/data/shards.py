"""Token shards: what each picture or clip became, read by memory map.

A shard is one safetensors file of up to `ROWS` windows:
    codes (N, y, x) uint16     latents (N, y, x, d) int8: round(127 * latent)     maps of all windows, in a row
    first (n + 1) int64        where each window's maps begin
    texts (bytes) uint8, text_first (n + 1) int64                                 each window's record as JSON
    kind (n) uint8: 0 picture, 1 clip     held (n) uint8: 1 where the window is kept for validation
    group (n) int64: hash of its sequence's id, 0 for none     place (n) int32: its place there
Its metadata lists, as JSON, the media of the shard that could not be read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from triptych.data.records import Record
from triptych.errors import DataError
from triptych.files import write_atomically
from triptych.sequence.layout import Map

ROWS = 2048
PATTERN = "[0-9]*.safetensors"  # a killed writer may leave a hidden, half-written file beside the shards
_DTYPES = {"U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I32": np.int32, "I64": np.int64}


def stable_hash(text: str) -> int:
    """A positive 62-bit number that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 2


@dataclass
class ShardWriter:
    """Collects windows and writes them as one file."""

    codes: list[np.ndarray] = field(default_factory=list)
    latents: list[np.ndarray] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def add(self, record: Record, codes: np.ndarray, latents: np.ndarray, *, held: bool, copy: int = 0) -> None:
        """Add a window: codes (T, y, x), latents (T, y, x, d) in [-1, 1]; `copy` numbers altered copies of one."""
        self.codes.append(codes.astype(np.uint16))
        self.latents.append(np.clip(np.rint(latents * 127), -128, 127).astype(np.int8))
        self.records.append(record.model_dump_json(exclude_defaults=True).encode())
        self.held.append(held)
        self.kinds.append(record.kind == "clip")
        place = record.sequence
        self.groups.append(stable_hash(f"{place.id}/{copy}") if place else 0)
        self.places.append(place.index if place else 0)

    def write(self, path: Path, lost: Sequence[str] = ()) -> None:
        """Write the shard atomically; `lost` tells what could not be read."""
        counts = [len(codes) for codes in self.codes]
        tensors = {
            "codes": np.concatenate(self.codes),
            "latents": np.concatenate(self.latents),
            "first": np.cumsum([0, *counts], dtype=np.int64),
            "texts": np.frombuffer(b"".join(self.records), np.uint8),
            "text_first": np.cumsum([0, *map(len, self.records)], dtype=np.int64),
            "kind": np.array(self.kinds, np.uint8),
            "held": np.array(self.held, np.uint8),
            "group": np.array(self.groups, np.int64),
            "place": np.array(self.places, np.int32),
        }
        metadata = {"lost": json.dumps(list(lost))}
        write_atomically(path, lambda file: save_file(tensors, file, metadata))


class Shards:
    """All shards of prepared folders as one list of windows; nothing is read before it is asked for.

    Args:
        folders: the `shards` folder of a prepared folder, or those of several.
        grid: (C, d) float32, the latent of each code.

    Raises:
        DataError: a folder holds no shards, or a shard is damaged.
    """

    def __init__(self, folders: Path | str | Sequence[Path], grid: np.ndarray) -> None:
        self.paths, salts = [], []
        for number, folder in enumerate([Path(folders)] if isinstance(folders, (str, Path)) else folders):
            found = sorted(folder.glob(PATTERN))
            if not found:
                raise DataError(f"{folder}: no token shards; run `triptych prepare` first")
            self.paths += found
            salts += [stable_hash(f"folder {number}") if number else 0] * len(found)
        self.grid = grid
        self._files = [_map(path) for path in self.paths]
        small = {name: [np.array(file[name]) for file in self._files] for name in ("kind", "held", "group", "place")}
        # Sequences of two folders may have one name: they are told apart.
        small["group"] = [np.where(g, g ^ salt, 0) for g, salt in zip(small["group"], salts, strict=True)]
        self.kind, self.held, self.group, self.place = (np.concatenate(parts) for parts in small.values())
        self._starts = np.cumsum([0, *(len(part) for part in small["kind"])])

    def __len__(self) -> int:
        return len(self.kind)

    def record(self, index: int) -> Record:
        """The record of a window, with the texts that are true of it."""
        return Record.model_validate_json(self._record_bytes(index))

    def maps(self, index: int) -> list[Map]:
        """The maps of a window."""
        file, row = self._where(index)
        first, last = file["first"][row], file["first"][row + 1]
        codes = np.asarray(file["codes"][first:last], np.int64)
        latents = np.asarray(file["latents"][first:last], np.float32) / 127
        grid = self.grid[codes]
        return [Map(*parts) for parts in zip(codes, latents, grid, strict=True)]

    def select(self, *, clips: bool, held: bool) -> np.ndarray:
        """Indices of the pictures or clips of one split."""
        return np.flatnonzero((self.kind == clips) & (self.held == held))

    def boxed(self, *, clips: bool, held: bool) -> np.ndarray:
        """Indices of the pictures or clips of one split of which it is known what stands where."""
        return np.array([i for i in self.select(clips=clips, held=held) if self._names(i, b"objects")], np.int64)

    def sequences(self, *, held: bool) -> list[np.ndarray]:
        """Indices of each sequence of two or more pictures, in order; those with instructions are `edits` instead."""
        return [part for part in self._sequences(held) if not any(self._told(index) for index in part)]

    def edits(self, *, held: bool) -> np.ndarray:
        """(n, 2) indices of each picture that an instruction leads to, after that of the picture before it."""
        pairs = [
            (before, after)
            for part in self._sequences(held)
            for before, after in pairwise(part)
            if self._told(after) and self.place[after] == self.place[before] + 1  # a file between may be lost
        ]
        return np.array(pairs, np.int64).reshape(-1, 2)

    def _sequences(self, held: bool) -> list[np.ndarray]:
        members = np.flatnonzero((self.group != 0) & (self.held == held) & (self.kind == 0))
        members = members[np.lexsort((self.place[members], self.group[members]))]
        cuts = np.flatnonzero(np.diff(self.group[members])) + 1
        return [part for part in np.split(members, cuts) if len(part) > 1]

    def _told(self, index: int) -> bool:
        """Whether a record has an instruction."""
        return self._names(index, b"instruction")

    def _names(self, index: int, key: bytes) -> bool:
        """Whether a record has a key, which is left out where it is empty; a text that holds these characters has its
        quotes escaped."""
        return b'"%s":' % key in self._record_bytes(index)

    def _record_bytes(self, index: int) -> bytes:
        file, row = self._where(index)
        first = file["text_first"]
        return file["texts"][first[row] : first[row + 1]].tobytes()

    def _where(self, index: int) -> tuple[dict[str, np.ndarray], int]:
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._files[shard], int(index - self._starts[shard])


def lost_in(path: Path) -> list[str]:
    """What could not be read when this shard was cut; DataError if the shard is damaged."""
    try:
        _, header = _header(path)
        return json.loads(header.get("__metadata__", {}).get("lost", "[]"))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:
            raise ValueError("its header is longer than the file")
        return size, json.loads(file.read(size))


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: damaged shard ({error}); delete it and run `triptych prepare` again")


def _map(path: Path) -> dict[str, np.ndarray]:
    try:
        size, header = _header(path)
        whole = np.memmap(path, np.uint8, "r")
        out = {}
        for name, item in header.items():
            if name == "__metadata__":
                continue
            begin, end = (8 + size + offset for offset in item["data_offsets"])
            out[name] = whole[begin:end].view(_DTYPES[item["dtype"]]).reshape(item["shape"])
        return out
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def held_out(key: str, share: float) -> bool:
    """Whether the file or sequence of this name is kept for validation: by its hash, so that it never changes side."""
    return stable_hash("held:" + key) % 10_000 < share * 10_000
