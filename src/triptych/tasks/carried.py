"""Things that come along: where a plan moves what a clip shows, its own pixels move, as in a codec that moves blocks.

What goes on unmoved keeps its pixels, what is new to the plan is drawn, and where a thing leaves, the ground around it
closes. So a future is as sharp as what was filmed, which a drawing of few codes isn't; but what no plan names (a robot
arm, a shadow) stays as it was.

F frames; S pixels of a frame's sides; K maps that are foretold, of `span` frames each; N things.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from triptych.sequence.plan import Thing, overlap, paired
from triptych.tasks import kept
from triptych.tasks.cutout import MARGIN, cut_out, filled, hues, inside, wider

ASTRAY = 0.2  # of a side: how far a box that was read in a clip may lie off the one that was read in its last frame
STILL = 0.03  # of a side: boxes are read some pixels off, so less than this is no motion
LEAP = 0.35  # of a side: what hasn't moved until now doesn't get so far before the next map
FAR = 0.5  # of a side: what moves doesn't get so far either
GROWN = 1.5  # times its area: a thing of which so much more is to be seen is drawn, since its pixels aren't known
SHOWN = 0.3  # of its box: a thing of which less is to be seen is drawn when it moves
LEAVING = 0.1  # of a side: what is so near the picture's edge, stirs and isn't told any more has left
EDGE = 0.015  # of a side: a box that ends so near the picture's edge is cut off by it
STIRRED = 24.0  # levels of 255 by which pixels differ that have moved
SHADOW = 0.5  # of a thing's longer side: how far its shadow reaches
TINGE = 0.06  # sum of differences of red, green and blue shares up to which ground is only darker
SHADY, DARKEST = 0.9, 0.4  # parts of the ground's light from which on it is a shadow, and that are left at least


@dataclass
class Carried:
    """A thing of the last given frame.

    Args:
        thing: its words and box.
        mask: bool (S, S), its pixels.
        places: (1 + K, 2) how far right and down it has come at each map, as shares of the sides; (0, 0) first.
        gone: the first map, from 1 on, at which it isn't there any more; K + 1 if it stays.
        shade: float32 (S, S), the part of the ground's light that is left beside it; 1 where it throws no shadow.
        drawn: whether it is drawn anew where it comes to.
    """

    thing: Thing
    mask: np.ndarray
    places: np.ndarray
    gone: int
    shade: np.ndarray
    drawn: bool = False

    @property
    def moves(self) -> bool:
        """Whether it leaves its place."""
        return self.gone < len(self.places) or float(np.abs(self.places).max()) >= STILL


def carry(
    given: np.ndarray,
    film: np.ndarray,
    told: Sequence[Thing],
    still: Sequence[Thing],
    plans: Sequence[Sequence[Thing]],
    span: int,
    *,
    still_else: bool = True,
) -> np.ndarray:
    """The frames after those given, in which things come along as planned.

    Args:
        given: uint8 (F, S, S, 3); of all but the last, only what stirs is seen.
        film: uint8 (1 + n, S, S, 3), a drawing of the last given frame and of those after it; n at most K * span.
        told: what stands in the last given frame, as the clip tells it; how far things move is told from there.
        still: the same, as the frame alone tells it, which is nearer to where they are (docs/log.md).
        plans: what is to stand where at each map after it.
        span: frames of a map.
        still_else: whether what no plan names stays as it was; else it is drawn, where the drawing of it changes.

    Returns:
        uint8 (n, S, S, 3).
    """
    last = given[-1]
    masks, found = cut_out(last, sharpened(told, still))
    carried = _followed(given, told, found, masks, plans, span)
    ground = _grounded(last, carried)
    new = [list(_new(carried, plan)) for plan in plans]
    left = np.zeros(last.shape[:2], bool)
    for one in carried:
        if one.moves:
            left |= wider(one.mask, MARGIN - 1) & inside(one.thing.box, len(last), MARGIN - 1)
            left |= wider(one.shade < 1, 2)
    for one in carried:
        if not one.moves:
            left &= ~one.mask
    share = kept.blur(torch.from_numpy(left).float()[None, None], 3)[0, 0, ..., None].numpy()
    empty = np.rint(last + share * (ground - last)).astype(np.uint8)
    out = []
    for number, drawing in enumerate(film[1:]):
        free = _to_draw(carried, new[number // span], left, not still_else)
        picture = _drawn_where(free, film[0], drawing, empty) if free.any() else empty
        out.append(_with_what_moves(picture, last, carried, (number + 1) / span))
    return np.stack(out)


def sharpened(told: Sequence[Thing], still: Sequence[Thing]) -> list[Thing]:
    """What a clip tells of its last frame, in the boxes that the frame alone tells, which are nearer (docs/log.md)."""
    pairs = paired(told, still, within=ASTRAY)
    return [Thing(thing.words, still[pairs[i]].box) if i in pairs else thing for i, thing in enumerate(told)]


def _followed(
    given: np.ndarray,
    told: Sequence[Thing],
    found: Sequence[Thing],
    masks: Sequence[np.ndarray],
    plans: Sequence[Sequence[Thing]],
    span: int,
) -> list[Carried]:
    """Each thing with where plans take it. What hasn't stirred and isn't told any more was forgotten, and stays."""
    earlier = given[-1 - min(span, len(given) - 1)].astype(np.int16)
    stirred = np.abs(given[-1] - earlier).max(-1) > STIRRED
    pairs = [paired(told, plan) for plan in plans]
    whole = np.ones(stirred.shape, np.float32)
    out = []
    for number, (before, thing, mask) in enumerate(zip(told, found, masks, strict=True)):
        quiet = not mask.any() or stirred[mask].mean() < SHOWN
        one = Carried(thing, mask, np.zeros((1 + len(plans), 2)), 1 + len(plans), whole)
        for step, (plan, pair) in enumerate(zip(plans, pairs, strict=True), 1):
            one.places[step] = one.places[step - 1]
            if number in pair:
                box = plan[pair[number]].box
                moved = _moved(before.box, box)
                if np.abs(moved - one.places[step - 1]).max() > (LEAP if quiet else FAR):
                    continue  # another thing was taken for it
                one.places[step] = moved
                one.drawn |= _area(box) > GROWN * _area(before.box)
            elif not quiet and _at_edge(thing.box):
                one.gone = min(one.gone, step)
        one.drawn |= mask.sum() < SHOWN * inside(thing.box, len(mask), 0).sum()
        one.drawn &= one.moves
        out.append(one)
    return out


def _grounded(last: np.ndarray, carried: Sequence[Carried]) -> np.ndarray:
    """The ground float32 (S, S, 3) without things and without the shadows of what moves, which each is given."""
    side = len(last)
    things = np.zeros((side, side), bool)
    for one in carried:
        things |= inside(one.thing.box, side, MARGIN)
    around = things.copy()
    for one in carried:
        if one.moves:
            around |= _around(one, side)
    ground = filled(last.astype(np.float32), around)
    light = last.mean(-1) / np.maximum(ground.mean(-1), 1)
    grey = np.abs(hues(last) - hues(ground)).sum(-1) < TINGE
    for one in carried:
        if one.moves:
            shade = _around(one, side) & grey & (light < SHADY) & ~wider(one.mask, 1)
            for other in carried:
                if other is not one:
                    shade &= ~inside(other.thing.box, side, 2)
            one.shade = np.where(shade, light.clip(DARKEST, 1), 1).astype(np.float32)
    return ground


def _around(one: Carried, side: int) -> np.ndarray:
    left, top, right, bottom = one.thing.box
    return inside(one.thing.box, side, round(SHADOW * max(right - left, bottom - top) * side))


def _new(carried: Sequence[Carried], plan: Sequence[Thing]) -> Iterator[Thing]:
    """What of a plan is drawn: things that weren't there, and those of which more is to be seen than was."""
    found = paired([one.thing for one in carried], plan)
    drawn = {place for number, place in found.items() if carried[number].drawn}
    for place, thing in enumerate(plan):
        stays = any(not one.moves and overlap(one.thing.box, thing.box) > SHOWN for one in carried)
        if not stays and (place in drawn or place not in found.values()):
            yield thing


def _to_draw(carried: Sequence[Carried], new: Sequence[Thing], left: np.ndarray, all_else: bool) -> np.ndarray:
    """bool (S, S): where a frame is drawn: new things, and what of a thing was hidden by another that leaves; or all
    else, but where that one was."""
    free = ~left & all_else
    for thing in new:
        free |= inside(thing.box, len(left), MARGIN)
    for one in carried:
        if not one.moves:
            free |= inside(one.thing.box, len(left), 0) & left
    for one in carried:
        if not one.moves:
            free &= ~one.mask
    return free


def _drawn_where(free: np.ndarray, before: np.ndarray, drawing: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """A frame uint8 (S, S, 3) as it is drawn where that is free and differs from the drawing before, else empty."""
    changes = 1 - kept.still(before, drawing[None])[0]
    soft = kept.blur(torch.from_numpy(free).float()[None, None], MARGIN)[0, 0].numpy()
    return kept.merged(drawing, empty, 1 - changes * soft)


def _with_what_moves(frame: np.ndarray, last: np.ndarray, carried: Sequence[Carried], time: float) -> np.ndarray:
    """A frame uint8 (S, S, 3) and over it what moves, as far as it is after so many maps; nearer things in front.

    What stands lower in a picture is taken to stand nearer.
    """
    step, part = int(time), time % 1
    moving = []
    for one in carried:
        if one.moves and not one.drawn and time < one.gone:
            until = one.places[min(step + 1, len(one.places) - 1)]
            moving.append((one, one.places[step] + part * (until - one.places[step])))
    if not moving:
        return frame
    picture = frame.astype(np.float32)
    for one, moved in moving:  # shadows fall on the ground
        where, shade = _shifted(1 - one.shade[..., None], moved * len(last))
        for other in carried:
            if not other.moves:
                shade = shade * ~other.mask[where][..., None]
        picture[where] *= 1 - shade
    for one, moved in sorted(moving, key=lambda pair: pair[0].thing.box[3] + pair[1][1]):
        share = one.mask[..., None].astype(np.float32)
        where, layer = _shifted(np.concatenate([last * share, share], -1), moved * len(last))
        for other in carried:
            if not other.moves and other.thing.box[3] > one.thing.box[3] + moved[1]:
                layer = layer * ~other.mask[where][..., None]
        picture[where] += layer[..., :3] - picture[where] * layer[..., 3:]
    return np.rint(picture.clip(0, 255)).astype(np.uint8)


def _shifted(layer: np.ndarray, by: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """What of a layer float32 (S, S, C) isn't 0, so many pixels further right and down: where in the picture it lies
    then, and what lies there, pixels being mixed in proportion."""
    side = len(layer)
    some = (layer != 0).any(axis=-1)
    if not some.any():
        return (slice(0), slice(0)), layer[:0, :0]
    first, size = [], []
    for line in (some.any(axis=1), some.any(axis=0)):
        there = np.flatnonzero(line)
        first.append(int(there[0]))
        size.append(int(there[-1]) + 1 - first[-1])
    piece = np.pad(layer[first[0] : first[0] + size[0], first[1] : first[1] + size[1]], ((1, 1), (1, 1), (0, 0)))
    down, right = math.floor(by[1]), math.floor(by[0])
    low, wide = float(by[1] - down), float(by[0] - right)
    piece = low * piece[:-1] + (1 - low) * piece[1:]
    piece = wide * piece[:, :-1] + (1 - wide) * piece[:, 1:]
    where, inner = [], []
    for start, length in ((first[0] + down, size[0] + 1), (first[1] + right, size[1] + 1)):
        begin, end = min(max(start, 0), side), min(max(start + length, 0), side)
        where.append(slice(begin, end))
        inner.append(slice(begin - start, end - start))
    return (where[0], where[1]), piece[inner[0], inner[1]]


def _moved(before: Sequence[float], after: Sequence[float]) -> np.ndarray:
    """How far right and down a box went, as shares: by its middle, or by the edge that the picture doesn't cut off."""
    out = []
    for low, high in ((0, 2), (1, 3)):
        cut = min(before[low], after[low]) < EDGE, max(before[high], after[high]) > 1 - EDGE
        edges = {(True, False): (high,), (False, True): (low,)}.get(cut, (low, high))
        out.append(sum(after[edge] - before[edge] for edge in edges) / len(edges))
    return np.array(out)


def _at_edge(box: Sequence[float]) -> bool:
    return min(*box[:2], *(1 - edge for edge in box[2:])) < LEAVING


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
