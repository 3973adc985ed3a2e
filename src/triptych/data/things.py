"""Batches of pictures and moments of clips with the things in them, each by its words and box; pure functions of
(seed, step).

B pictures, N things, W words, Y, X pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from triptych.data.decode import decode
from triptych.data.frames import is_held
from triptych.data.prepare import Prepared
from triptych.data.records import Record, things
from triptych.data.shuffle import shuffled
from triptych.errors import DataError, MediaError

MOST = 4096  # words of a language that are learned, the commonest
NAMES = 1000  # names of a language that a model remembers, the commonest
NOTHING = 0.6  # boxes a picture, at most, in which nothing is
FEW = 64  # pictures of training that are looked at instead where none is held out
TRIES = 20  # files in a row that can't be read any more
ORDER = 13  # salt of this job's order

Box = tuple[float, float, float, float]
Named = dict[str, frozenset[int]]


@dataclass(frozen=True)
class Labelled:
    """A picture, or a clip at a time in seconds, and of each thing in it the box, as shares of the picture's sides, and
    by language its words' ids."""

    folder: int
    file: str
    time: float | None
    things: list[tuple[Box, Named]]


class ThingBatches(Dataset[dict[str, Tensor]]):
    """Batch number `step`: pictures (B, Y, X, 3) as bytes; `owner` (N,), `boxes` (N, 4), and of each word whether it
    names the thing (`named`, N, W) and whether the data say so (`told`, N, W); and a `seed` for what is random in it.

    Boxes lie as inexactly as a model plans them. Between those of the data lie some in which nothing is.

    Args:
        folders: prepared ones.
        encode: text -> text ids.
        batch: pictures a step.
        seed: of the order and of boxes.
        moments: whether clips count too.

    Raises:
        DataError: no folder has pictures or clips with objects.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        encode: Callable[[str], list[int]],
        batch: int,
        seed: int,
        *,
        moments: bool = False,
    ) -> None:
        self.batch, self.seed = batch, seed
        self.prepared = [Prepared.load(folder) for folder in folders]
        self.train: list[Labelled] = []
        self.held: list[Labelled] = []
        known: dict[str, frozenset[int]] = {}
        names: dict[str, Counter[str]] = {}
        counts: dict[str, Counter[int]] = {}
        for number, prepared in enumerate(self.prepared):
            for record in prepared.records():
                rows = _labelled(number, record, encode, known) if moments or record.kind == "picture" else []
                (self.held if is_held(record) else self.train).extend(rows)
                for _, named in (thing for row in rows for thing in row.things):
                    for language, ids in named.items():
                        counts.setdefault(language, Counter()).update(ids)
                for text in (text for item in record.objects if rows for text in item.texts):
                    names.setdefault(text.lang, Counter())[text.text] += 1
        if not self.train:
            which = "pictures or clips" if moments else "pictures"
            raise DataError(
                f"{', '.join(map(str, folders))}: no {which} with `objects` to learn from: what looks at pixels needs "
                "to be told what stands where, see docs/data.md"
            )
        self.apart = bool(self.held)
        """Whether pictures are kept apart: of a small folder, none may be, and some of training are looked at."""
        self.held = self.held or self.train[-FEW:]
        self.words = {
            language: sorted(id_ for id_, _ in count.most_common(MOST)) for language, count in sorted(counts.items())
        }
        """By language, the ids that words of things have."""
        self.names = {
            language: sorted(name for name, _ in count.most_common(NAMES)) for language, count in sorted(names.items())
        }
        """By language, what things are called."""

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        pictures, owner, boxes, rows = [], [], [], []
        for place in range(self.batch):
            number = step * self.batch + place
            row, pixels = self._one(number)
            pictures.append(pixels)
            rng = np.random.default_rng([self.seed, ORDER, number])
            shown: list[tuple[Box, Named | None]] = [(_moved(box, rng), called) for box, called in row.things]
            empty = _nothing([box for box, _ in row.things], rng)
            for box, called in [*shown, *([(empty, None)] if empty else [])]:
                owner.append(place)
                boxes.append(box)
                rows.append(called)
        names, told = self._words(rows)
        return {
            "pictures": torch.from_numpy(np.stack(pictures)),
            "owner": torch.tensor(owner),
            "boxes": torch.tensor(boxes, dtype=torch.float32),
            "named": torch.from_numpy(names),
            "told": torch.from_numpy(told),
            "seed": torch.tensor(self.seed + step),
        }

    def read(self, row: Labelled) -> np.ndarray:
        """A picture or a moment as bytes (Y, X, 3); MediaError if it can't be read any more."""
        prepared = self.prepared[row.folder]
        record = Record(file=row.file, kind="picture" if row.time is None else "clip")
        one = prepared.settings.model_copy(update={"frames": 1})
        return np.array(decode(record, prepared.source, one, row.time or 0.0)[0])

    def _one(self, number: int) -> tuple[Labelled, np.ndarray]:
        for attempt in range(TRIES):  # a file may have vanished since it was cleaned: another takes its place
            row = self.train[shuffled(number + attempt * 7919, len(self.train), self.seed, 0, ORDER)]
            try:
                return row, self.read(row)
            except MediaError:
                continue
        source = self.prepared[0].source
        raise DataError(f"{source}: {TRIES} files in a row can't be read any more; run `triptych prepare` again")

    def _words(self, rows: Sequence[Named | None]) -> tuple[np.ndarray, np.ndarray]:
        width = sum(map(len, self.words.values()))
        named, told = np.zeros((len(rows), width), np.float32), np.zeros((len(rows), width), np.float32)
        for place, row in enumerate(rows):
            first = 0
            for language, ids in self.words.items():
                columns = slice(first, first := first + len(ids))
                told[place, columns] = row is None or language in row
                if row is not None and language in row:
                    named[place, columns] = np.isin(ids, list(row[language]))
        return named, told


def _labelled(
    folder: int, record: Record, encode: Callable[[str], list[int]], known: dict[str, frozenset[int]]
) -> list[Labelled]:
    """A record with its things, at each time at which they are known; `known` remembers the ids of phrases."""
    out = []
    for time in sorted({item.time for item in record.objects}, key=lambda time: time or 0.0):
        if (time is None) != (record.kind == "picture"):
            continue
        by_box: dict[Box, Named] = {}
        here = [item for item in record.objects if item.time == time]
        for language in sorted({text.lang for item in here for text in item.texts}):
            spoken = [item for item in here if any(text.lang == language for text in item.texts)]
            for thing in things(record.model_copy(update={"objects": spoken}), language, time):
                if thing.words not in known:
                    known[thing.words] = word_ids(encode, thing.words)
                named = by_box.setdefault(thing.box, {})  # an edge can give two things one box: both are in it
                named[language] = named.get(language, frozenset()) | known[thing.words]
        if by_box:
            out.append(Labelled(folder, record.file, time, list(by_box.items())))
    return out


def word_ids(encode: Callable[[str], list[int]], words: str) -> frozenset[int]:
    """The text ids of a thing's words, spelt as within a sentence, so that the first word's are those of any other."""
    return frozenset(encode(f" {words}")) - frozenset(encode(" "))


def _moved(box: Box, rng: np.random.Generator) -> Box:
    """A box as a model might plan it: about here, about so large."""
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    x, y = (left + right) / 2 + rng.normal(0, 0.06) * wide, (top + bottom) / 2 + rng.normal(0, 0.06) * high
    wide, high = (side * float(np.exp(rng.normal(0, 0.12))) / 2 for side in (wide, high))
    return float(x - wide), float(y - high), float(x + wide), float(y + high)


def _nothing(boxes: Sequence[Box], rng: np.random.Generator) -> Box | None:
    """A box of the size of others whose middle none of them covers; none, if it falls on one of them."""
    if rng.random() > NOTHING or not boxes:
        return None
    like = boxes[int(rng.integers(len(boxes)))]
    wide, high = like[2] - like[0], like[3] - like[1]
    left, top = float(rng.uniform(0, 1 - wide)), float(rng.uniform(0, 1 - high))
    x, y = left + wide / 2, top + high / 2
    for other in boxes:
        across, down = 0.3 * (other[2] - other[0]), 0.3 * (other[3] - other[1])
        if other[0] - across < x < other[2] + across and other[1] - down < y < other[3] + down:
            return None
    return left, top, left + wide, top + high
