"""Labelled media as arrays: a folder, or Fashion-MNIST -> pixels and targets of training, validation and test.

N media, F frames, Y rows, X columns, K labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from triptych.data.decode import decode
from triptych.data.folder import scan
from triptych.data.idx import FASHION_CLASSES, fashion_mnist
from triptych.data.prepare import Prepared
from triptych.data.records import Record
from triptych.data.settings import PrepareConfig
from triptych.data.shards import held_out
from triptych.errors import DataError, MediaError
from triptych.evaluate.truth import read_rows
from triptych.files import write_json

HELD = 0.2  # share of a folder that is tested on where no other folder is given
VALIDATION = 0.1  # share of what remains
FASHION = "fashion-mnist"
LABELS = "put media in one folder for each label, or write the key into metadata.jsonl (docs/data.md)"
Kind = Literal["pictures", "clips"]
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Part:
    """Media of one part: pixels uint8 (N, F, Y, X, 3), targets float32 (N, K) of zeros and ones, and their names."""

    pixels: np.ndarray
    targets: np.ndarray
    files: list[str]

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Labelled:
    """Media with labels.

    Args:
        labels: names of the labels. several: whether a medium may have any number of them rather than exactly one.
        train, validation, test: the parts. facts: what a report tells of them.
    """

    labels: list[str]
    several: bool
    train: Part
    validation: Part
    test: Part
    facts: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Frames of a medium, and the side of its pixels."""
        return self.train.pixels.shape[1], self.train.pixels.shape[2]


def fashion(limit: int) -> Labelled:
    """Fashion-MNIST: its own test part, a tenth of the rest for validation; grey as three channels."""
    pictures, numbers = fashion_mnist("train")
    tested, answers = fashion_mnist("t10k")
    held = len(pictures) - int(len(pictures) * VALIDATION)

    def part(pixels: np.ndarray, targets: np.ndarray) -> Part:
        rgb = np.broadcast_to(pixels[:limit, None, :, :, None], (*pixels[:limit, None].shape, 3))
        return Part(rgb, np.eye(len(FASHION_CLASSES), dtype=np.float32)[targets[:limit]], [])

    parts = part(pictures[:held], numbers[:held]), part(pictures[held:], numbers[held:]), part(tested, answers)
    return _checked("fashion-mnist", list(FASHION_CLASSES), False, parts, {"source": "Fashion-MNIST"})


def kind_of(folder: Path, target: str = "label") -> Kind:
    """Which kind of a folder's media is labelled; DataError if none is, or both are."""
    kinds = {record.kind for record, _ in _labelled(folder, target)}
    if not kinds:
        raise DataError(f"{folder}: no picture or clip has a {target!r}; {LABELS}")
    if len(kinds) > 1:
        raise DataError(
            f"{folder}: pictures and clips have a {target!r}; choose with --media pictures or --media clips"
        )
    return "pictures" if kinds == {"picture"} else "clips"


def read_folder(
    folder: Path,
    cache: Path,
    settings: PrepareConfig,
    *,
    test: Path | None = None,
    target: str = "label",
    kind: Kind | None = None,
    limit: int = 1_000_000,
    tell: Tell = lambda done, total: None,
) -> Labelled:
    """The labelled media of a folder, decoded once into `cache`.

    Args:
        folder, test: plain folders of media, or folders that `triptych prepare` wrote. Without `test`, a fifth of the
            media, chosen by the hash of their names, is held out; pictures of one sequence stay together.
        settings: side, rate and frames. target: `label`, or keys of a line of metadata.jsonl, dotted and joined by `+`,
            e.g. `tags` or `truth.objects.shape+truth.objects.color`; a list gives a medium several labels.
        kind: which media; by default the one kind that is labelled.
        limit: training media at most, by lot.
        tell: called with (done, all) while decoding.

    Raises: DataError: no labels, fewer than two, both kinds labelled, or a part without media.
    """
    wanted = "picture" if (kind or kind_of(folder, target)) == "pictures" else "clip"
    found = [pair for pair in _labelled(folder, target) if pair[0].kind == wanted]
    if not found:
        raise DataError(f"{folder}: no {wanted} has a {target!r}; {LABELS}")
    if test is None:
        tested = [(r, names) for r, names in found if held_out(f"compare {_group(r)}", HELD)]
        found = [(r, names) for r, names in found if not held_out(f"compare {_group(r)}", HELD)]
    else:
        tested = [pair for pair in _labelled(test, target) if pair[0].kind == wanted]
    if len(found) > limit:
        chosen = np.sort(np.random.default_rng(0).permutation(len(found))[:limit])
        found = [found[i] for i in chosen]
    validation = [(r, names) for r, names in found if held_out(f"tune {_group(r)}", VALIDATION)]
    training = [(r, names) for r, names in found if not held_out(f"tune {_group(r)}", VALIDATION)]
    several = any(len(names) != 1 for _, names in [*training, *validation, *tested])
    labels = sorted({name for _, names in training for name in names})
    lists = [(folder, training), (folder, validation), (test or folder, tested)]
    total, parts, done = sum(len(pairs) for _, pairs in lists), [], 0
    for name, (root, pairs) in zip(("train", "validation", "test"), lists, strict=True):
        known = [(r, names) for r, names in pairs if several or names[0] in labels]
        pixels, kept = _decoded(cache / name, _source(root), [r for r, _ in known], settings, done, total, tell)
        done += len(known)
        targets = np.array([[float(label in known[i][1]) for label in labels] for i in kept], np.float32)
        parts.append(Part(pixels, targets.reshape(len(kept), len(labels)), [known[i][0].file for i in kept]))
    facts = {"target": target, "left_out": total - sum(map(len, parts))}  # unreadable, or of labels not trained on
    return _checked(str(folder), labels, several, (parts[0], parts[1], parts[2]), facts)


def _checked(
    name: str, labels: list[str], several: bool, parts: tuple[Part, Part, Part], facts: dict[str, Any]
) -> Labelled:
    train, validation, test = parts
    if len(labels) < 2:
        raise DataError(f"{name}: all media have the same label ({', '.join(labels) or 'none'}); there must be two")
    for part, what in ((train, "training"), (validation, "validation"), (test, "test")):
        if not len(part):
            raise DataError(f"{name}: no labelled media are left for {what}; give more, or a folder by --test")
    frames, side = train.pixels.shape[1:3]
    counts = {"train": len(train), "validation": len(validation), "test": len(test), "labels": len(labels)}
    return Labelled(labels, several, train, validation, test, {**facts, **counts, "frames": frames, "side": side})


def _group(record: Record) -> str:
    return f"sequence {record.sequence.id}" if record.sequence else record.file


def _source(folder: Path) -> Path:
    return Prepared.load(folder).source if _is_prepared(folder) else folder


def _is_prepared(folder: Path) -> bool:
    return (folder / "manifest.jsonl").is_file()


def _labelled(folder: Path, target: str) -> Iterator[tuple[Record, list[str]]]:
    """Yield the records that have labels, and the labels."""
    records = Prepared.load(folder).records() if _is_prepared(folder) else scan(folder)
    values: dict[str, list[str]] = {}
    if target != "label":
        for file, row in read_rows(_source(folder)):
            names = [name for key in target.split("+") for name in _values(row, key.strip().split("."))]
            if names:
                values.setdefault(file, sorted(set(names)))
    for record in records:
        names = values.get(record.file, []) if target != "label" else [record.label] if record.label else []
        if names:
            yield record, names


def _values(value: Any, keys: Sequence[str]) -> list[str]:
    """All texts and whole numbers under dotted keys; lists are walked through."""
    if isinstance(value, list):
        return [name for item in value for name in _values(item, keys)]
    if keys:
        return _values(value[keys[0]], keys[1:]) if isinstance(value, dict) and keys[0] in value else []
    return [str(value)] if isinstance(value, str | int) and not isinstance(value, bool) else []


def _decoded(
    cache: Path, source: Path, records: list[Record], settings: PrepareConfig, done: int, total: int, tell: Tell
) -> tuple[np.ndarray, list[int]]:
    """Pixels (N, F, Y, X, 3) of those records that can be read, from a file that is mapped, and which those are."""
    facts = {"files": [str(source / r.file) for r in records], "settings": settings.model_dump(mode="json")}
    note, array = cache.with_suffix(".json"), cache.with_suffix(".npy")
    try:
        held = json.loads(note.read_text(encoding="utf-8"))
        if {name: held[name] for name in facts} == facts:
            tell(done + len(records), total)
            return np.load(array, mmap_mode="r")[: len(held["kept"])], held["kept"]
    except (OSError, ValueError, KeyError):
        pass
    note.unlink(missing_ok=True)
    cache.parent.mkdir(parents=True, exist_ok=True)
    frames = settings.frames if records and records[0].kind == "clip" else 1
    shape = (max(1, len(records)), frames, settings.size, settings.size, 3)
    pixels = np.lib.format.open_memmap(array, "w+", np.uint8, shape)
    kept: list[int] = []
    for number, record in enumerate(records):
        try:
            pixels[len(kept)] = decode(record, source, settings)
            kept.append(number)
        except MediaError:  # one bad file costs itself only
            pass
        tell(done + number + 1, total)
    pixels.flush()
    write_json(note, {**facts, "kept": kept}, indent=None)
    return np.load(array, mmap_mode="r")[: len(kept)], kept
