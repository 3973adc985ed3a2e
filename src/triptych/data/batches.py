"""Spelled rows -> batches. A batch is a pure function of (seed, step), so a run resumes exactly."""

from __future__ import annotations

import difflib
from dataclasses import replace

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from triptych.data.loader import DEFAULT_MIX, LIMIT, MEDIA, Rows
from triptych.data.shuffle import shuffled
from triptych.errors import ConfigError
from triptych.sequence.layout import Row
from triptych.sequence.pack import collate

ORDER = 7  # salt of this job's order


class Batches(Dataset[list[dict[str, Tensor]]]):
    """Batch number `step`: collated parts, each of rows of like length.

    Args:
        rows: what spells.
        mix: weight of each spelling; those without media are left out.
        batch: rows a step, over all parts; each spelling's share is rounded, and at least one row.
        limit: positions beyond which a row is cut off.
        seed: of all choices.
        multiple: lengths are padded up to a multiple of this.
        least: length of a part's shortest row, as a share of its longest, below which another part begins.
    """

    def __init__(
        self,
        rows: Rows,
        mix: dict[str, float],
        batch: int,
        seed: int,
        *,
        limit: int = LIMIT,
        multiple: int = 16,
        least: float = 0.7,
    ) -> None:
        for name in mix:
            if name not in MEDIA:
                near = difflib.get_close_matches(name, MEDIA, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"spellings: {', '.join(MEDIA)}"
                raise ConfigError(f"mix.{name}: no such spelling; {hint}")
        present = {name: weight for name, weight in (mix or DEFAULT_MIX).items() if weight > 0 and rows.has(name)}
        total = sum(present.values())
        self.counts = {name: max(1, round(batch * weight / total)) for name, weight in present.items()}
        self.rows, self.seed, self.limit, self.multiple, self.least = rows, seed, limit, multiple, least

    def __getitem__(self, step: int) -> list[dict[str, Tensor]]:
        rows: list[Row] = []
        for tag, (spelling, count) in enumerate(self.counts.items()):
            for place in range(count):
                number = step * count + place
                rng = np.random.default_rng([self.seed, tag, number])
                row = self.rows.spell(spelling, self._item(spelling, tag, number), rng)
                rows.append(_cut(row, self.limit))
        return [collate(part, multiple=self.multiple) for part in alike(rows, self.least)]

    def _item(self, spelling: str, tag: int, number: int) -> int:
        return shuffled(number, len(self.rows.items[MEDIA[spelling]]), self.seed, tag, ORDER)


def alike(rows: list[Row], least: float) -> list[list[Row]]:
    """Rows in groups of like length: a group ends before a row shorter than `least` of its longest one.

    No group has a single row where that can be helped: a compiled network would be compiled once more for it.
    """
    parts: list[list[Row]] = []
    for row in sorted(rows, key=len, reverse=True):
        if not parts or (len(parts[-1]) > 1 and len(row) < least * len(parts[-1][0])):
            parts.append([])
        parts[-1].append(row)
    if len(parts) > 1 and len(parts[-1]) == 1:
        last = parts.pop()
        parts[-1] += last
    return parts


def _cut(row: Row, limit: int) -> Row:
    if len(row) <= limit:
        return row
    names = ("ids", "values", "codes", "before", "positions", "weights", "branches")
    known = {name: getattr(row, name) for name in names}
    return replace(row, **{name: array[:limit] for name, array in known.items() if array is not None})
