"""A plan: what is to stand where in a picture, as text and as numbers beside the places of its map.

As text it is a list of things, each in words with its box in percent of the picture (left, top, right, bottom):
    small red ball 12 40 27 55; large blue metal cube 60 31 85 60
so a GPT writes it, a person reads and changes it, and it is parsed again. As numbers it is laid to the codes that it
covers, so that what a code is to show need not be searched for in the text: each place of a map holds, of each code at
the next place, whether a thing stands there, where the edges of its box lie from there, and its words. Words are sums
of one fixed random vector a text id (random indexing, Kanerva et al. 2000): what they mean is learned by the first
layer that reads them, and nothing but the numbers has to be kept.

G codes a position; y, x rows and columns of codes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

import numpy as np

from triptych.config import EDGES, LAID, WORDS

REACH = 4.0  # codes; edges further out count as that far
THINGS = 32  # of one plan
LONGEST = 4096  # characters of one plan
SAME = 0.3  # overlap from which two things of the same words, in two plans of one scene, are taken for one
APART = 0.15  # of a side: how far the middles of a thing may be apart in several readings of one picture
MISREAD = 0.2  # of a side: how far a box that was read in a clip may lie off the one that was read in its frame
ONE = 0.7  # overlap from which on two things of several readings are one, whatever it is called
_THING = re.compile(r"(?P<words>.*\S)\s+" + r"\s+".join([r"(\d{1,3})"] * 4), re.DOTALL | re.ASCII)

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Thing:
    """Something in a picture: its words, and its box as shares of the picture's sides (left, top, right, bottom)."""

    words: str
    box: tuple[float, float, float, float]

    def within(self, left: float, top: float, right: float, bottom: float) -> Thing | None:
        """As a part of the picture shows it, by its box as shares of that part; None if it lies outside."""
        wide, high = right - left, bottom - top
        a, b, c, d = self.box
        box = tuple(
            min(max(edge, 0.0), 1.0)
            for edge in ((a - left) / wide, (b - top) / high, (c - left) / wide, (d - top) / high)
        )
        return Thing(self.words, box) if box[0] < box[2] and box[1] < box[3] else None  # type: ignore[arg-type]

    def around(self, left: float, top: float, right: float, bottom: float) -> Thing:
        """As a picture shows it of which it was told in a part, by that part's box as shares of the picture."""
        wide, high = right - left, bottom - top
        a, b, c, d = self.box
        return Thing(self.words, (left + a * wide, top + b * high, left + c * wide, top + d * high))


def write(things: Sequence[Thing]) -> str:
    """A plan as text, from left to right.

    >>> write([Thing("red ball", (0.5, 0.25, 0.75, 0.5)), Thing("cone", (0.0, 0.0, 0.1, 0.2))])
    'cone 0 0 10 20; red ball 50 25 75 50'
    """
    ordered = sorted(things, key=lambda thing: thing.box[0] + thing.box[2])
    return "; ".join(f"{thing.words} {' '.join(map(str, _percent(thing.box)))}" for thing in ordered)


def _percent(box: Sequence[float]) -> tuple[int, ...]:
    """Edges in whole percent; a thin box is one percent wide, so that it can be read again."""
    left, top, right, bottom = (round(100 * edge) for edge in box)
    left, top = min(left, 99), min(top, 99)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def parse(text: str) -> tuple[Thing, ...]:
    """The things of a plan, each up to a semicolon or the end of its line.

    Raises:
        ValueError: a part that is no thing with a box, or too many or too much of them; the message says which.

    >>> parse("red ball 50 25 75 50")[0].box
    (0.5, 0.25, 0.75, 0.5)
    """
    if len(text) > LONGEST:
        raise ValueError(f"a plan of {len(text):,} characters: shorten it to {LONGEST:,}")
    things: list[Thing] = []
    for part in _parts(text):
        thing = _thing(part)
        if thing is None:
            raise ValueError(
                f"{part[:60]!r} is no thing with a box: write its words, then left, top, right and bottom in whole "
                "percent, left below right and top below bottom, such as 'small red ball 10 40 30 60'"
            )
        if len(things) == THINGS:
            raise ValueError(f"a plan of more than {THINGS} things: leave some out")
        things.append(thing)
    return tuple(things)


def parse_what_can_be(text: str) -> tuple[Thing, ...]:
    """As `parse`, of a text that a model wrote: what is no thing is passed over.

    >>> [thing.words for thing in parse_what_can_be("ball 1 2 3 4; cube 9; cone 5 6 7 8")]
    ['ball', 'cone']
    """
    things = [thing for part in _parts(text[:LONGEST]) if (thing := _thing(part))]
    return tuple(things[:THINGS])


def _parts(text: str) -> Iterator[str]:
    return (part.strip() for part in re.split("[;；\n]", text) if part.strip())


def _thing(part: str) -> Thing | None:
    found = _THING.fullmatch(part)
    if found is None:
        return None
    left, top, right, bottom = (int(edge) / 100 for edge in found.groups()[1:])
    return Thing(found["words"], (left, top, right, bottom)) if left < right <= 1 and top < bottom <= 1 else None


def overlap(one: Sequence[float], two: Sequence[float]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom), 0 to 1.

    >>> overlap((0, 0, 2, 2), (1, 0, 3, 2)) == 1 / 3
    True
    """
    both = shared(one, two)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)]
    return both / max(sum(areas) - both, 1e-9)


def shared(one: Sequence[float], two: Sequence[float]) -> float:
    """The area that two boxes have in common."""
    wide, high = (max(0.0, min(one[i + 2], two[i + 2]) - max(one[i], two[i])) for i in (0, 1))
    return wide * high


def changed(before: Sequence[Thing], after: Sequence[Thing]) -> list[Thing]:
    """The things of either of two plans that the other one hasn't in the same words and about the same place."""
    gone, new = list(before), list(after)
    pairs = ((overlap(a.box, b.box), a, b) for a in before for b in after if a.words == b.words)
    for share, a, b in sorted(pairs, key=lambda pair: -pair[0]):
        if share >= SAME and a in gone and b in new:
            gone.remove(a)
            new.remove(b)
    return gone + new


def middle(box: Sequence[float]) -> tuple[float, float]:
    """Middle of a box, across and down."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def paired(
    before: Sequence[Thing],
    after: Sequence[Thing],
    *,
    within: float = math.inf,
) -> dict[int, int]:
    """Which thing of a later plan is which one of an earlier plan: the nearest ones of the same words first.

    Args:
        before, after: the plans.
        within: how far apart their middles may be, as shares of the sides.

    >>> paired([Thing("ball", (0, 0, 0.2, 0.2))], [Thing("cube", (0, 0, 1, 1)), Thing("ball", (0.5, 0, 0.7, 0.2))])
    {0: 1}
    """
    pairs = (
        (math.dist(middle(a.box), middle(b.box)), i, j)
        for i, a in enumerate(before)
        for j, b in enumerate(after)
        if a.words == b.words
    )
    out: dict[int, int] = {}
    for apart, i, j in sorted(pairs):
        if apart <= within and i not in out and j not in out.values():
            out[i] = j
    return out


def agreed(plans: Sequence[Sequence[Thing]]) -> tuple[Thing, ...]:
    """What at least half of some plans of one picture tell, in the median of its boxes; of two plans the first decides.

    Where two things are told in one place, by other words, the one that more of them tell counts, or the first one; and
    of two things of the same words that no plan tells both.

    >>> ball, moved = Thing("ball", (0.0, 0.0, 0.2, 0.2)), Thing("ball", (0.02, 0.0, 0.22, 0.2))
    >>> [thing.box for thing in agreed([[ball, Thing("cube", (0.5, 0.5, 1, 1))], [moved], [moved, moved]])]
    [(0.02, 0.0, 0.22, 0.2)]
    """
    told: list[tuple[list[Thing], set[int]]] = []  # each thing as plans tell it, and by which; the first come first
    for index, plan in enumerate(plans):
        known = paired([some[0] for some, _ in told], plan, within=APART)
        for number, place in known.items():
            told[number][0].append(plan[place])
            told[number][1].add(index)
        told += [([thing], {index}) for place, thing in enumerate(plan) if place not in known.values()]
    if len(plans) == 2:
        told = told[: len(plans[0])]
    out: list[Thing] = []
    tellers: list[set[int]] = []  # of each of them, the plans
    for some, by in sorted(told, key=lambda pair: len(pair[0]), reverse=True):
        box = tuple(median(edges) for edges in zip(*(thing.box for thing in some), strict=True))
        one = Thing(some[0].words, box)
        is_other = all(
            overlap(box, other.box) < ONE and (other.words != one.words or by & others)
            for other, others in zip(out, tellers, strict=True)
        )
        if 2 * len(some) >= len(plans) and is_other:
            out.append(one)
            tellers.append(by)
    return tuple(out)


def joined(
    told: Sequence[Thing], alone: Sequence[Thing], new: Sequence[Thing] = (), share: float = 0.5
) -> tuple[Thing, ...]:
    """What a clip tells of a time and what the frame of that time tells alone: things of both between their two boxes,
    where these are near, and of what only the frame tells, those of `new` that stand where nothing else does.

    Args:
        told, alone: by the clip, and by the frame.
        new: a part of the latter.
        share: 0 to 1, how far from the clip's boxes to the frame's.

    >>> ball, cube, near = (Thing(*each) for each in (
    ...     ("ball", (0.0, 0.0, 0.2, 0.2)), ("cube", (0.5, 0.5, 0.7, 0.7)), ("ball", (0.1, 0.0, 0.3, 0.2))))
    >>> [thing.box for thing in joined([ball], [near, cube], [near, cube])]
    [(0.05, 0.0, 0.25, 0.2), (0.5, 0.5, 0.7, 0.7)]
    """
    pairs, same = paired(told, alone, within=MISREAD), paired(told, alone).values()
    out = []
    for number, thing in enumerate(told):
        other = alone[pairs[number]] if number in pairs else thing
        left, top, right, bottom = (a + share * (b - a) for a, b in zip(thing.box, other.box, strict=True))
        out.append(Thing(thing.words, (left, top, right, bottom)))
    for place, thing in enumerate(alone):
        if thing in new and place not in same and all(overlap(thing.box, o.box) < SAME for o in out):
            out.append(thing)
    return tuple(out)


def covered(things: Sequence[Thing], rows: int, columns: int, margin: int = 0) -> np.ndarray:
    """(rows, columns) bool: the codes of a map that the boxes of things touch, and so many around them."""
    out = np.zeros((rows, columns), bool)
    for thing in things:
        left, top, right, bottom = np.array(thing.box) * (columns, rows, columns, rows)
        down = slice(max(0, math.floor(top) - margin), math.ceil(bottom) + margin)
        out[down, max(0, math.floor(left) - margin) : math.ceil(right) + margin] = True
    return out


def laid(things: Sequence[Thing], encode: Encode, rows: int, columns: int) -> np.ndarray:
    """(y, x, LAID) float32: for each code of a map of `rows` x `columns`, the thing that covers most of it.

    Where two cover as much, the one whose box ends lower is taken to stand in front.
    """
    out = np.zeros((rows, columns, LAID), np.float32)
    best = np.zeros((rows, columns))
    for thing in sorted(things, key=lambda thing: -thing.box[3]):
        left, top, right, bottom = np.array(thing.box) * (columns, rows, columns, rows)
        across, down = np.arange(columns), np.arange(rows)
        wide = np.clip(np.minimum(right, across + 1) - np.maximum(left, across), 0, None)
        high = np.clip(np.minimum(bottom, down + 1) - np.maximum(top, down), 0, None)
        share = high[:, None] * wide
        here = share > best
        best[here] = share[here]
        edges = np.ones((rows, columns, EDGES), np.float32)
        for index, (edge, middle) in enumerate(((left, across + 0.5), (right, across + 0.5))):
            edges[..., 1 + index] = np.clip((edge - middle) / REACH, -1, 1)
        for index, (edge, middle) in enumerate(((top, down + 0.5), (bottom, down + 0.5))):
            edges[..., 3 + index] = np.clip((edge - middle) / REACH, -1, 1)[:, None]
        words = np.sum([_vector(id_) for id_ in encode(thing.words)], 0) if thing.words else np.zeros(WORDS)
        out[here, :EDGES] = edges[here]
        out[here, EDGES:] = words
    return out


@lru_cache(4096)
def _vector(id_: int) -> np.ndarray:
    """(WORDS,) of one text id: signs by lot, so that the vectors of two ids are nearly at right angles.

    Raw numbers of PCG64, which are the same in every version of numpy, as the trained weights that read them are.
    """
    raw = np.random.PCG64(id_).random_raw(WORDS // 2).astype("<u8").view("<u4")
    return (raw >> 31) - 0.5
