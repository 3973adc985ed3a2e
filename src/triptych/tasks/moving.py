"""How the things of a clip are moving at its end, by their pixels, and where the mover says that they go on to.

What the GPT tells of a clip's last time is its least sure word, since nothing after it tells where things go (docs/
log.md). But half a second before, it is sure of them, and from there their own pixels can be followed from frame to
frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from triptych.generate.sample import Sampling
from triptych.model.mover import Mover
from triptych.sequence.boxes import travelled
from triptych.sequence.plan import Thing, middle, paired, shared
from triptych.tasks import planning
from triptych.tasks.common import Medium, Model
from triptych.tasks.cutout import OF, Box
from triptych.tasks.matching import LOST, Matched, match

APART = 4 / OF  # of a side: from which on the place that was told and the one that was followed are not the same
ALIKE = 2.5 / OF  # of a side: so near to it, a thing's own pixels confirm a place that was told
STRAY = 15 / OF  # of a side: how far back a thing's way may end from where it was told to be then
HIDDEN = 0.6  # share of a box behind a lower one, from which on its pixels are taken to be the other's


@dataclass(frozen=True)
class Moving:
    """A thing at the end of a clip.

    Args:
        thing: its words and its box in the last frame.
        shifts: (S, 2), how far right and down it has come since 1, 2, ... S frames before, as shares of the sides.
        known: (S,) bool, where that is known.
        sure: whether its motion can be built on.
        late: frames since then, of a clip whose last frame was repeated.
    """

    thing: Thing
    shifts: np.ndarray
    known: np.ndarray
    sure: bool
    late: int = 0


def at_end(frames: np.ndarray, told: Sequence[Sequence[Thing]], span: int) -> list[Moving]:
    """The things told of a clip's last time, where their pixels are, and how they came there.

    Args:
        frames: uint8 (F, S, S, 3), the last frames of the clip, one at least.
        told: what stands where at its last times, `span` frames apart, one at least.
        span: frames from one time to the next.
    """
    last = told[-1]
    late = _repeated(frames, span)
    frames = frames[: len(frames) - late]
    if len(frames) + late <= span or len(frames) < 2 or not last:
        return [Moving(thing, np.zeros((span, 2)), np.zeros(span, bool), False, late) for thing in last]
    before = told[-2] if len(told) > 1 else ()
    back, forth = match(frames[: -2 - span : -1], last), match(frames[-1 - span + late :], before)
    same = paired(last, before)
    return [_one(last, number, back, before, forth, same.get(number), span, late) for number in range(len(last))]


def _repeated(frames: np.ndarray, span: int) -> int:
    """How many frames at the end only repeat the one before, fewer than `span`: what isn't a whole number of times long
    is filled up so, and nothing stands still for that."""
    count = 0
    while count < min(span, len(frames)) - 1 and np.array_equal(frames[-1 - count], frames[-2 - count]):
        count += 1
    return count


def _one(
    last: Sequence[Thing],
    number: int,
    back: Matched,
    before: Sequence[Thing],
    forth: Matched,
    earlier: int | None,
    span: int,
    late: int,
) -> Moving:
    thing, shifts, costs = last[number], -back.shifts[number], back.costs[number]
    here = np.array(middle(thing.box))
    strays = False
    if earlier is not None:
        start, way, unlike = np.array(middle(before[earlier].box)), forth.shifts[earlier], forth.costs[earlier]
        apart = float(np.linalg.norm(here - shifts[len(way) - 1] - start))
        strays = apart > STRAY and costs[len(way) - 1] < LOST
        if unlike[-1] < LOST and _is_other(here, start + way[-1], back.middles[number]):
            thing, strays = _moved(thing, start + way[-1] - here), False
            # Since so many frames before the last one, by the way that led to it.
            shifts = way[-1] - np.concatenate([way[-2::-1], np.zeros((1, 2))])
            costs = np.append(unlike[-2::-1], 0.0)
    known = costs < LOST
    sure = bool(known[0]) and not strays and not _is_hidden(thing, last, number)
    fill = span - len(known)
    return Moving(thing, np.pad(shifts, ((0, fill), (0, 0))), np.pad(known, (0, fill)), sure, late)


def _is_other(told: np.ndarray, followed: np.ndarray, pixels: np.ndarray) -> bool:
    """Whether a thing is where it was followed to, and not where it was told to be: these are apart, and its own pixels
    (nan where there are too few) aren't right where it was told, or are nearer to where it was followed."""
    confirmed = float(np.linalg.norm(told - pixels))  # nan compares as no
    if np.linalg.norm(told - followed) <= APART:
        return False
    return not (confirmed < ALIKE and confirmed < np.linalg.norm(followed - pixels))


def _is_hidden(thing: Thing, things: Sequence[Thing], number: int) -> bool:
    left, top, right, bottom = thing.box
    area = max((right - left) * (bottom - top), 1e-9)
    lower = (other.box for place, other in enumerate(things) if place != number and other.box[3] > bottom)
    return any(shared(thing.box, box) > HIDDEN * area for box in lower)


def _moved(thing: Thing, by: np.ndarray) -> Thing:
    left, top, right, bottom = thing.box
    x, y = by.tolist()
    moved = Thing(thing.words, (left + x, top + y, right + x, bottom + y)).within(0, 0, 1, 1)
    return moved or thing


def go_on(
    model: Model,
    media: Sequence[Medium],
    told: Sequence[Sequence[Sequence[Thing]]],
    moving: Sequence[Sequence[Moving]],
    text: str,
    drawn: int,
    sampling: Sequence[Sampling],
    language: str = "",
) -> list[list[tuple[Thing, ...]]]:
    """What is to stand where as clips go on: as the GPT tells it (see planning.follow), and where the motion of things
    is known, as the mover does. An instruction it can't read, so with one all is the GPT's.

    Args:
        model, media, told, text, drawn, sampling, language: as of planning.follow.
        moving: of each clip, the things at its end.
    """
    later = planning.follow(model, media, told, text, drawn, sampling, language)
    mover, span = model.bundle.mover, model.bundle.info.visual.span
    if mover is None or text:
        return later
    return [
        foretold(mover, some, plans, span, temperature=how.temperature, seed=how.seed)
        for some, plans, how in zip(moving, later, sampling, strict=True)
    ]


def foretold(
    mover: Mover,
    moving: Sequence[Moving],
    later: Sequence[Sequence[Thing]],
    span: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[tuple[Thing, ...]]:
    """What was told of a clip's next times, with the things whose motion is known where the mover says that they go.

    Args:
        mover: the network.
        moving: the things at the end of the clip.
        later: what the GPT tells of the next times; what comes in, and what isn't sure, stays as it is there.
        span: frames from one time to the next.
        temperature: 0 for the likeliest ways; above it others, by how unsure the mover is of each.
        seed: of these.
    """
    most = span * len(later) + max((one.late for one in moving), default=0)
    boxes = _ways(mover, moving, most, temperature, np.random.default_rng([seed % 2**63, 29]))
    known = [one.thing for one in moving]
    out = []
    for place, things in enumerate(later, 1):
        same = paired(known, things)
        plan = []
        for number, one in enumerate(moving):
            if one.sure:
                box = boxes[number][one.late + place * span - 1]
                inside = None if box is None else Thing(one.thing.words, box).within(0, 0, 1, 1)
            else:
                inside = things[same[number]] if number in same else None
            plan += [] if inside is None else [inside]
        out.append((*plan, *(thing for number, thing in enumerate(things) if number not in same.values())))
    return out


@torch.no_grad()
def _ways(
    mover: Mover, moving: Sequence[Moving], frames: int, temperature: float, rng: np.random.Generator
) -> list[list[Box | None]]:
    """Of each thing, its box in each of the next frames; none once it has left the picture. More frames than the mover
    tells at once are told after those."""
    if not moving:
        return []
    boxes = np.array([one.thing.box for one in moving])
    shifts, known = np.stack([one.shifts for one in moving]), np.stack([one.known for one in moving])
    there = np.ones(len(moving), bool)
    off = rng.normal(size=(len(moving), 1, 2))  # one way each, further off where that is less sure
    ways: list[list[Box | None]] = [[] for _ in moving]
    while len(ways[0]) < frames:
        given = (torch.tensor(np.asarray(part, np.float32))[None] for part in (boxes, shifts, known, there))
        ahead = mover(*given)
        later = boxes[:, None] + ahead.edges[0].numpy()
        later += np.tile(temperature * ahead.spread[0].numpy()[..., None] * off, 2)
        stays = np.logical_and.accumulate((ahead.stays[0].numpy() > 0) & there[:, None], 1)
        for way, places, some in zip(ways, later.tolist(), stays.tolist(), strict=True):
            way += [tuple(box) if stay else None for box, stay in zip(places, some, strict=True)]
        boxes, there = later[:, -1], stays[:, -1]
        shifts = travelled(later[:, -2 : -2 - mover.span : -1], later[:, -1:])
        known = np.ones_like(known)
    return ways
