"""Things that come along: where a plan moves what a clip shows, its own pixels move, as in a codec that moves blocks.

What goes on unmoved keeps its pixels, what is new to the plan is drawn, and where a thing leaves, the ground around it
closes. So a future is as sharp as what was filmed, which a drawing of few codes isn't. What no plan names (a robot's
arm) stays as it was, or is drawn, as the caller wishes. A thing that doesn't look like itself where it comes to, since
something else was cut out with it or a part of it was hidden, is drawn instead, or stays. So does what is nothing like
its words to begin with.

F frames; S pixels of a frame's sides; K maps that are foretold, of `span` frames each; N things.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from triptych.sequence.boxes import travelled
from triptych.sequence.plan import Thing, overlap, paired, shared
from triptych.tasks import kept
from triptych.tasks.cutout import MARGIN, Box, cut_out, filled, hues, inside, pixels_of, wider

STILL = 0.03  # of a side: boxes are read some pixels off, so less than this is no motion
LEAP = 0.35  # of a side: what hasn't moved until now doesn't get so far before the next map
FAR = 0.5  # of a side: what moves doesn't get so far either
GROWN = 1.5  # times its area: a thing of which so much more is to be seen is drawn, since its pixels aren't known
SHOWN = 0.3  # of its box: a thing of which less is to be seen is drawn when it moves
LEAVING = 0.1  # of a side: what is so near the picture's edge, stirs and isn't told any more leaves
SEAM = 3  # pixels over which the closed ground goes over into what is around it, odd
STIRRED = 24.0  # levels of 255 by which pixels differ that have moved
SHADOW = 0.5  # of a thing's longer side: how far its shadow reaches
TINGE = 0.06  # sum of differences of red, green and blue shares up to which ground is only darker
SHADY, DARKEST = 0.9, 0.4  # parts of the ground's light from which on it is a shadow, and that are left at least
ALIKE = 0.3  # sum of differences of red, green and blue shares up to which things that overlap can't be told apart
OVER = 0.05  # part of the smaller of two boxes from which on they overlap
WORSE = 6.0  # nats by which a thing's words fit its pixels less where it has come to: something came out wrong
STRANGE = -50.0  # nats below which what is in a box isn't what was told
WHOLE = 0.9  # of its box: a thing that the picture's edge leaves less of isn't looked at
RIM, AROUND = 4, 8  # pixels (of 224) around a thing that close with it, and around what is drawn

Look = Callable[[np.ndarray, Thing], float | None]


@dataclass
class Carried:
    """A thing of the last given frame.

    Args:
        thing: its words, and its box in that frame.
        mask: bool (S, S), its pixels.
        boxes: where it is told to be at each map; 1 + K of them.
        places: (1 + K, 2) how far right and down it has come at each map, as shares of the sides; (0, 0) first.
        drawn: whether it is drawn anew where it comes to.
        shade: float32 (S, S), the part of the ground's light that is left beside it; 1 where it throws no shadow.
    """

    thing: Thing
    mask: np.ndarray
    boxes: list[Box]
    places: np.ndarray
    drawn: bool = False
    shade: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.shade = np.ones(self.mask.shape, np.float32)

    @property
    def moves(self) -> bool:
        """Whether it leaves its place."""
        return float(np.abs(self.places).max()) >= STILL

    def come(self, time: float) -> np.ndarray:
        """(2,) how far right and down it has come after so many maps, as shares of the sides."""
        step, part = int(time), time % 1
        until = self.places[min(step + 1, len(self.places) - 1)]
        return np.asarray(self.places[step] + part * (until - self.places[step]))

    def stay(self) -> None:
        """Let it stand where it stood."""
        self.places[:] = 0
        self.drawn = False


def carry(
    given: np.ndarray,
    film: np.ndarray,
    told: Sequence[Thing],
    plans: Sequence[Sequence[Thing]],
    span: int,
    *,
    draw_rest: bool = False,
    look: Look | None = None,
) -> np.ndarray:
    """The frames after those given, in which things come along as planned.

    Args:
        given: uint8 (F, S, S, 3); of all but the last, only what stirs is seen.
        film: uint8 (1 + n, S, S, 3), a drawing of the last given frame and of those after it; n at most K * span.
        told: what stands in the last given frame.
        plans: what is to stand where at each map after it.
        span: frames of a map.
        draw_rest: whether what no plan names is drawn, where the drawing of it changes; else it stays as it was.
        look: of a frame uint8 (S, S, 3) and a thing, the nats, at most 0, by which its words fit what is in its box;
            None where that can't be told. Without it nothing that has moved is looked at.

    Returns:
        uint8 (n, S, S, 3).
    """
    masks, found = cut_out(given[-1], told)
    carried, others = _followed(given, told, found, masks, plans, span)
    known = [(one, look(given[-1], one.thing)) for one in carried if one.moves] if look else []
    fits = [(one, fit) for one, fit in known if fit is not None]
    for one, fit in fits:
        if fit < STRANGE:
            one.stay()
    while True:
        out = _shown(given[-1], film, carried, others, span, draw_rest)
        worse = [one for one, fit in fits if look and _is_worse(out[-1], one, len(out) / span, fit, look)]
        if not worse:
            return out
        for one in worse:
            if one.drawn:
                one.stay()
            else:
                one.drawn = True


def _is_worse(frame: np.ndarray, one: Carried, time: float, fit: float, look: Look) -> bool:
    """Whether a thing that has moved looks less like itself in the frame after so many maps; of one that the picture's
    edge cuts off by then that can't be said."""
    if not one.moves:
        return False
    box = np.array(one.thing.box) + np.tile(one.come(time), 2)
    left, top, right, bottom = box.clip(0, 1).tolist()
    if _area((left, top, right, bottom)) < WHOLE * _area(one.thing.box):
        return False
    where = one.boxes[math.ceil(time)] if one.drawn else (left, top, right, bottom)
    now = look(frame, Thing(one.thing.words, where))
    return now is not None and now < fit - WORSE


def _shown(
    last: np.ndarray,
    film: np.ndarray,
    carried: Sequence[Carried],
    others: Sequence[Sequence[tuple[Box, Thing]]],
    span: int,
    draw_rest: bool,
) -> np.ndarray:
    """The frames uint8 (n, S, S, 3) after the last given one, as `carry` has them."""
    side = len(last)
    new = _regions(carried, others)
    ground = _grounded(last, carried)
    standing = np.zeros((side, side), bool)
    for one in carried:
        if not one.moves:
            standing |= one.mask
    bare = np.zeros((side, side), bool)  # where something was that moves
    for one in carried:
        if one.moves:
            rim = pixels_of(RIM, side)
            bare |= wider(one.mask, rim) & inside(one.thing.box, side, rim)
            bare |= wider(one.shade < 1, 2)
    bare &= ~standing
    share = kept.smoothed(bare, SEAM) * ~standing
    empty = np.rint(last + share[..., None] * (ground - last)).astype(np.uint8)
    out = []
    for number, drawing in enumerate(film[1:]):
        free = np.full((side, side), draw_rest)
        for box in new[number // span]:
            free |= inside(box, side, pixels_of(AROUND, side))
        for one in carried:
            if not one.moves:  # what of it was hidden until now
                free |= inside(one.thing.box, side, 0) & bare
        free &= ~standing
        picture = _drawn_where(free, film[0], drawing, empty) if free.any() else empty
        out.append(_with_what_moves(picture, last, carried, (number + 1) / span))
    return np.stack(out)


def _followed(
    given: np.ndarray,
    told: Sequence[Thing],
    found: Sequence[Thing],
    masks: Sequence[np.ndarray],
    plans: Sequence[Sequence[Thing]],
    span: int,
) -> tuple[list[Carried], list[list[tuple[Box, Thing]]]]:
    """Each thing with where plans take it, and at each map what is new to the plan, in the box that its way takes up.

    What isn't told any more and stirs at the picture's edge leaves over it; anything else was forgotten and stays
    where it was last. What overlaps another thing of its own hue stays too, or parts would go along with the wrong one.
    """
    earlier = given[-1 - min(span, len(given) - 1)].astype(np.int16)
    stirred = np.abs(given[-1] - earlier).max(-1) > STIRRED
    carried = [
        Carried(thing, mask, [before.box], np.zeros((1 + len(plans), 2)))
        for before, thing, mask in zip(told, found, masks, strict=True)
    ]
    stirs = [bool(one.mask.any()) and float(stirred[one.mask].mean()) >= SHOWN for one in carried]
    last_told = [0] * len(carried)
    entering: list[Thing] = []
    others: list[list[tuple[Box, Thing]]] = []
    for step, plan in enumerate(plans, 1):
        pairs = paired([Thing(one.thing.words, one.boxes[-1]) for one in carried], plan)
        for number, one in enumerate(carried):
            one.places[step] = one.places[step - 1]
            one.boxes.append(one.boxes[-1])
            if number not in pairs:
                continue
            last_told[number] = step
            box = plan[pairs[number]].box
            moved = travelled(np.array(one.boxes[0]), np.array(box))
            far = np.abs(moved - one.places[step - 1]).max()
            if far > (FAR if stirs[number] else LEAP):
                continue  # another thing was taken for it
            one.places[step], one.boxes[step] = moved, box
            one.drawn |= _area(box) > GROWN * _area(one.boxes[0])
            stirs[number] |= far >= STILL
        rest = [thing for place, thing in enumerate(plan) if place not in pairs.values()]
        known = paired(entering, rest)
        before = {place: entering[number].box for number, place in known.items()}
        others.append([(_hull(before.get(place, thing.box), thing.box), thing) for place, thing in enumerate(rest)])
        entering = rest
    for one, last, stir in zip(carried, last_told, stirs, strict=True):
        if last < len(plans) and stir:
            one.places[last + 1 :] += _way_out(one.thing.box, one.places[last])
        one.drawn |= one.mask.sum() < SHOWN * inside(one.thing.box, len(one.mask), 0).sum()
    for one in _mixed(given[-1], carried):
        one.stay()
    for one in carried:
        one.drawn &= one.moves
    return carried, others


def _regions(carried: Sequence[Carried], others: Sequence[Sequence[tuple[Box, Thing]]]) -> list[list[Box]]:
    """The boxes at each map in which something is drawn."""
    regions: list[list[Box]] = []
    for step, some in enumerate(others, 1):
        boxes = [_hull(one.boxes[step - 1], one.boxes[step]) for one in carried if one.drawn]
        for hull, thing in some:
            if all(one.moves or overlap(one.thing.box, thing.box) <= SHOWN for one in carried):
                boxes.append(hull)
        regions.append(boxes)
    return regions


def _mixed(last: np.ndarray, carried: Sequence[Carried]) -> list[Carried]:
    """Things that overlap others of their own hue in a frame uint8 (S, S, 3)."""
    shares = hues(last)
    means = [shares[one.mask].mean(0) if one.mask.any() else None for one in carried]

    def is_mixed(i: int, j: int) -> bool:
        hue, other = means[i], means[j]
        if i == j or hue is None or other is None or np.abs(hue - other).sum() >= ALIKE:
            return False
        one, two = carried[i].thing.box, carried[j].thing.box
        return shared(one, two) > OVER * min(_area(one), _area(two))

    return [one for i, one in enumerate(carried) if any(is_mixed(i, j) for j in range(len(carried)))]


def _way_out(box: Box, moved: np.ndarray) -> np.ndarray:
    """How much further a thing goes until it is out of the picture, if it stands near an edge; else nothing."""
    left, top, right, bottom = np.array(box) + np.tile(moved, 2)
    ways = [(left, (-right, 0.0)), (top, (0.0, -bottom)), (1 - right, (1 - left, 0.0)), (1 - bottom, (0.0, 1 - top))]
    room, way = min(ways)
    return np.array(way if room < LEAVING else (0.0, 0.0))


def _grounded(last: np.ndarray, carried: Sequence[Carried]) -> np.ndarray:
    """The ground float32 (S, S, 3) without things and without the shadows of what moves, which each is given: what is
    darker around a thing, of the same hue, and nearer to it than to others."""
    side = len(last)
    around = np.zeros((side, side), bool)
    for one in carried:
        around |= inside(one.thing.box, side, _reach(one, side) if one.moves else pixels_of(MARGIN, side))
    ground = filled(last.astype(np.float32), around)
    if not any(one.moves for one in carried):
        return ground
    light = last.mean(-1) / np.maximum(ground.mean(-1), 1)
    dark = (np.abs(hues(last) - hues(ground)).sum(-1) < TINGE) & (light < SHADY)
    nearest = np.argmin([_distance(one.thing.box, side) for one in carried], 0)
    for one in carried:
        dark &= ~wider(one.mask, 1)
    for number, one in enumerate(carried):
        if one.moves:
            shade = dark & (nearest == number) & inside(one.thing.box, side, _reach(one, side))
            one.shade = np.where(shade, light.clip(DARKEST, 1), 1).astype(np.float32)
    return ground


def _reach(one: Carried, side: int) -> int:
    left, top, right, bottom = one.thing.box
    return round(SHADOW * max(right - left, bottom - top) * side)


def _distance(box: Box, side: int) -> np.ndarray:
    """(side, side) how far each pixel is from a box, as a share of the sides."""
    place = (np.arange(side) + 0.5) / side
    across = np.maximum(np.maximum(box[0] - place, place - box[2]), 0)
    down = np.maximum(np.maximum(box[1] - place, place - box[3]), 0)
    return np.hypot(across, down[:, None])


def _drawn_where(free: np.ndarray, before: np.ndarray, drawing: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """A frame uint8 (S, S, 3) as it is drawn where that is free and differs from the drawing before, else empty."""
    changes = 1 - kept.still(before, drawing[None])[0]
    return kept.merged(drawing, empty, 1 - changes * kept.smoothed(free, kept.NEAR))


def _with_what_moves(frame: np.ndarray, last: np.ndarray, carried: Sequence[Carried], time: float) -> np.ndarray:
    """A frame uint8 (S, S, 3) and over it what moves, as far as it is after so many maps; nearer things in front.

    What stands lower in a picture is taken to stand nearer.
    """
    moving = [(one, one.come(time)) for one in carried if one.moves and not one.drawn]
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


def _hull(one: Box, two: Box) -> Box:
    """The box around two boxes."""
    return min(one[0], two[0]), min(one[1], two[1]), max(one[2], two[2]), max(one[3], two[3])


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
