"""One sequence as arrays: ids, visual values, codes, positions and weights, built piece by piece.

S positions; G codes a position (1 or 4); d latent dimensions; y, x rows and columns of codes.
Beside what stands at a place of a map come what stood there, and at the next place, in the map before, as a codec's
block comes with its co-located one: what stays as it was need not be searched for, and what moved shows by the
difference. Both are zero in the first map, in one of another size, and where no place is next.
Positions are three-dimensional (time, row, column). Text walks all three together; the codes of one map share
their time, and what follows continues after the larger side. Rows and columns of every map are counted from 0, so that
the same place of two pictures differs in time alone: what stays where it was is copied from the same distance, whatever
text stands between.
Beside what stands at a place of a map that is drawn comes what a plan says of the next place (see `plan`); zero where
there is no plan.
Source: multimodal rotary embedding of Qwen2-VL, arXiv 2409.12191, which counts rows and columns on from the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from triptych.config import LAID, SEEN
from triptych.sequence.vocab import Special


@dataclass(frozen=True)
class Map:
    """One map of a visual medium, as the tokenizer gives it.

    codes: (y, x) integers. latents: (y, x, d) in [-1, 1], before rounding; read when the map is a condition.
    grid: (y, x, d), after rounding; read when the map is a target, since that is all that generation will know.
    """

    codes: np.ndarray
    latents: np.ndarray
    grid: np.ndarray


@dataclass(frozen=True)
class Shown:
    """The last map of a sequence, to whose places those of the next map are laid: rows and columns of groups, and row
    by row its values (rows * columns, G*d) and codes (rows * columns, G)."""

    rows: int
    columns: int
    values: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class Row:
    """A finished sequence.

    ids (S,) int64; values (S, SEEN*G*d + G*LAID) float32, zero where text stands: of each position its own, those of
    the same place in the map before, those of the next place there, and what is planned for the next place; codes
    (S, G) int64, zero where text stands; before (S, G) int64: the codes of the same place in the map before, plus one,
    zero where there are none; positions (S, 3) int64; weights (S,) float32: how much predicting this very position
    counts in training; shown: the last map, or None; plans: of each of the next maps that are to be drawn what is
    planned for its places, (N, G*LAID) float32, or None; the maps after those have no plan; branches (S,) int64 or
    None: positions of branch 0 are seen by all that follow, others by those of their own branch alone (see
    `Builder.branches`).
    """

    ids: np.ndarray
    values: np.ndarray
    codes: np.ndarray
    before: np.ndarray
    positions: np.ndarray
    weights: np.ndarray
    next_position: int = 0
    shown: Shown | None = None
    plans: tuple[np.ndarray | None, ...] = ()
    branches: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def parts(self) -> list[slice]:
        """The trunk, then each branch; the whole row, where it has no branches."""
        cuts = [] if self.branches is None else (np.flatnonzero(np.diff(self.branches)) + 1).tolist()
        return [slice(first, last) for first, last in pairwise([0, *cuts, len(self)])]

    def by(self, laid: Sequence[np.ndarray | None], group: int) -> Row:
        """This prompt with plans of the maps that are to be drawn next: each (y, x, LAID) as `plan.laid` gives it."""
        return replace(self, plans=tuple(None if part is None else _planned(part, group) for part in laid))


def grouped(array: np.ndarray, group: int) -> np.ndarray:
    """(y, x, ...) -> (y/g * x/g, g*g, ...): the neighbours that share a position, row by row.

    >>> grouped(np.arange(16).reshape(4, 4), 2)[0].tolist()
    [0, 1, 4, 5]
    """
    y, x, *rest = array.shape
    if y % group or x % group:
        raise ValueError(f"a map of {y}x{x} codes can't be grouped {group}x{group}: its sides must be multiples")
    parts = array.reshape(y // group, group, x // group, group, *rest).swapaxes(1, 2)
    return parts.reshape((y // group) * (x // group), group * group, *rest)


def ungrouped(array: np.ndarray, group: int, rows: int, columns: int) -> np.ndarray:
    """The inverse of `grouped`: (rows/g * columns/g, g*g, ...) -> (rows, columns, ...)."""
    rest = array.shape[2:]
    parts = array.reshape(rows // group, columns // group, group, group, *rest).swapaxes(1, 2)
    return parts.reshape(rows, columns, *rest)


def _planned(laid: np.ndarray, group: int) -> np.ndarray:
    """(y, x, LAID) -> (N, G*LAID)."""
    return grouped(laid, group).reshape(-1, group * group * LAID)


def map_positions(start: int, rows: int, columns: int) -> np.ndarray:
    """(rows * columns, 3) positions of one map of groups whose time is `start`."""
    y, x = np.divmod(np.arange(rows * columns), columns)
    return np.stack([np.full(rows * columns, start), y, x], 1)


def beside(values: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """(N, k) values of a map and those of the map before it, if that has the same size -> (N, SEEN*k).

    >>> beside(np.array([[1], [2]]), np.array([[3], [4]])).tolist()
    [[1, 3, 4], [2, 4, 0]]
    """
    same = np.zeros_like(values) if before is None else before
    return np.concatenate([values, same, np.concatenate([same[1:], np.zeros_like(same[:1])])], 1)


@dataclass
class Builder:
    """Collects the parts of a sequence; `finish` gives the arrays."""

    group: int
    latent: int
    position: int = 0
    _ids: list[int] = field(default_factory=list)
    _weights: list[float] = field(default_factory=list)
    _positions: list[np.ndarray] = field(default_factory=list)
    _visual: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    _shown: Shown | None = None
    _plan: np.ndarray | None = None
    _branch: int = 0
    _branches: list[int] = field(default_factory=list)

    def text(self, ids: Sequence[int], weight: float = 0.0) -> Builder:
        """Add sequence ids, each one position further."""
        count = len(ids)
        steps = np.arange(self.position, self.position + count)
        self._ids += list(ids)
        self._weights += [weight] * count
        self._branches += [self._branch] * count
        self._positions.append(np.stack([steps] * 3, 1))
        self.position += count
        return self

    def branches(self, parts: Iterable[Callable[[], object]]) -> Builder:
        """Add parts that don't see each other: each goes on from what stands here, as it would if it came alone.

        So one reading of a medium serves many questions, and none of them can be answered from another one's words.
        Nothing comes after them.

        Raises:
            ValueError: there is nothing to go on from; a part has parts itself; or something is to be learned at the
                first position of a part: what stands before it in the row is another one's end.
        """
        if not self._ids or self._branch:
            raise ValueError("branches go on from a row that has something, and no branches yet")
        fork = self.position, self._shown, self._plan
        for part in parts:
            first = len(self._ids)
            self._branch += 1
            self.position, self._shown, self._plan = fork
            part()
            if self._weights[first : first + 1] not in ([], [0.0]):
                raise ValueError("a branch begins with what is to be learned, where nothing of its own predicts it")
        return self

    def plan(self, laid: np.ndarray) -> Builder:
        """Plan the next target: (y, x, LAID) as `plan.laid` gives it, of the target's rows and columns."""
        self._plan = _planned(laid, self.group)
        return self

    def map(self, map_: Map, *, target: bool) -> Builder:
        """Add one map: as a condition by its latents, as a target by its rounded values, beside its plan."""
        values = grouped(map_.grid if target else map_.latents, self.group)
        codes = grouped(map_.codes, self.group)
        rows, columns = map_.codes.shape[0] // self.group, map_.codes.shape[1] // self.group
        values = values.reshape(len(values), -1)
        before = self._before(rows, columns)
        there = np.zeros_like(codes) if before is None else before.codes + 1
        seen = beside(values, None if before is None else before.values)
        plan = np.zeros((len(codes), codes.shape[1] * LAID), np.float32)
        if target and self._plan is not None:
            if len(self._plan) != len(codes):
                raise ValueError(f"a plan of {len(self._plan)} places is laid beside a map of {len(codes)}")
            plan[:-1], self._plan = self._plan[1:], None
        self._visual.append((len(self._ids), np.concatenate([seen, plan], 1), codes, there))
        self._shown = Shown(rows, columns, values, codes)
        self._ids += [int(Special.VISUAL)] * len(codes)
        self._weights += [float(target)] * len(codes)
        self._branches += [self._branch] * len(codes)
        self._positions.append(map_positions(self.position, rows, columns))
        self.position += max(rows, columns)
        return self

    def scattered(self, map_: Map, order: Sequence[int]) -> Builder:
        """Add one map as a target whose groups come in any order, each after an id PLACE at its own position.

        Args:
            map_: the map.
            order: every place of a group once, counted row by row.

        Source: position instruction tokens of RandAR, arXiv 2412.01827.
        """
        values, codes = grouped(map_.grid, self.group), grouped(map_.codes, self.group)
        rows, columns = map_.codes.shape[0] // self.group, map_.codes.shape[1] // self.group
        if sorted(order) != list(range(rows * columns)):
            raise ValueError(f"an order of {rows * columns} places names each of them once")
        values = values.reshape(len(values), -1)
        before = self._before(rows, columns)
        there = np.zeros_like(codes) if before is None else before.codes + 1
        seen = beside(values, None if before is None else before.values)
        seen[:, 2 * values.shape[1] :] = 0  # which place is next is not known yet
        self._shown = Shown(rows, columns, values, codes)
        for place in order:
            here = slice(place, place + 1)
            self._visual.append((len(self._ids) + 1, seen[here], codes[here], there[here]))
            self._ids += [int(Special.PLACE), int(Special.VISUAL)]
            self._weights += [0.0, 1.0]
            self._branches += [self._branch] * 2
        self._positions.append(map_positions(self.position, rows, columns)[np.repeat(order, 2)])
        self.position += max(rows, columns)
        return self

    def _before(self, rows: int, columns: int) -> Shown | None:
        shown = self._shown
        return shown if shown is not None and (shown.rows, shown.columns) == (rows, columns) else None

    def finish(self) -> Row:
        """The arrays of all parts so far."""
        count, slots = len(self._ids), self.group * self.group
        values = np.zeros((count, slots * (SEEN * self.latent + LAID)), np.float32)
        codes, before = np.zeros((count, slots), np.int64), np.zeros((count, slots), np.int64)
        for start, part_values, part_codes, there in self._visual:
            values[start : start + len(part_codes), : part_values.shape[1]] = part_values
            codes[start : start + len(part_codes)] = part_codes
            before[start : start + len(part_codes)] = there
        positions = np.concatenate(self._positions) if self._positions else np.zeros((0, 3), np.int64)
        return Row(
            np.array(self._ids, np.int64),
            values,
            codes,
            before,
            positions,
            np.array(self._weights, np.float32),
            self.position,
            self._shown,
            () if self._plan is None else (self._plan,),
            np.array(self._branches, np.int64) if self._branch else None,
        )
