"""The pixels of things whose boxes are known: what in a box differs from the ground around it, and has its hue.

S pixels of a picture's sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from triptych.sequence.plan import Thing
from triptych.tasks import kept

STANDS_OUT = 14.0  # levels of 255 by which a thing's pixels differ from the ground around it
CLEAR = 20  # pixels (of 224 x 224) of a thing's middle from which on its hue is known
DARK = 20.0  # levels of grey that are added to a colour, since dark pixels have no sure hue
OTHER = 0.4  # sum of differences of red, green and blue shares from which on it is another hue
LOWER = 0.1  # of that sum, by which a thing is taken to be in front that stands a whole picture lower
MARGIN = 5  # pixels (of 224) around a box in which no ground is taken to be
LOOSE = 2  # pixels (of 224) around a box of which some may be the thing's
GAP = 3  # pixels (of 224) of a gap in a thing, such as a highlight, that is closed
OF = 224  # a picture's side for which pixels are given; others have them in proportion
ASTRAY = 0.1  # of a side: how far a box is moved at most to where its thing is

Box = tuple[float, float, float, float]


def cut_out(picture: np.ndarray, things: Sequence[Thing]) -> tuple[list[np.ndarray], list[Thing]]:
    """The pixels of each thing, bool (S, S), and things as they are found.

    A thing's pixels are those in its box that differ from the ground, as what surrounds all boxes continues into them,
    and have about the hue of its middle. Boxes are read some pixels off, so each is first moved to where such pixels
    are (mean shift, as Bradski's CamShift of 1998). Where boxes overlap, a pixel is of the thing whose hue is likest,
    or of the one that stands lower.
    """
    side = len(picture)
    pixels = picture.astype(np.float32)
    shares = hues(pixels)
    apart = _apart(pixels, things, round(ASTRAY * side))
    found, unlike = [], []
    for thing in things:
        box, other = _centred(shares, apart, thing.box)
        found.append(Thing(thing.words, box))
        unlike.append(other)
    apart = _apart(pixels, found, pixels_of(MARGIN, side))
    if not found:
        return [], []
    boxes = [inside(thing.box, side, pixels_of(LOOSE, side)) for thing in found]
    costs = [
        np.where(mine & (other < OTHER), other - LOWER * thing.box[3], np.inf)
        for thing, mine, other in zip(found, boxes, unlike, strict=True)
    ]
    owner, several = np.argmin(costs, 0), np.sum(boxes, 0) > 1
    masks = []
    for number, mine in enumerate(boxes):
        own = owner == number
        whole = _closed(apart & own & np.isfinite(costs[number]), pixels_of(GAP, side))  # with its highlights
        masks.append(whole & mine & (own | ~several))
    return masks, found


def _apart(pixels: np.ndarray, things: Sequence[Thing], margin: int) -> np.ndarray:
    """bool (S, S): what differs from the ground without things and so many pixels around them."""
    hole = np.zeros(pixels.shape[:2], bool)
    for thing in things:
        hole |= inside(thing.box, len(pixels), margin)
    return np.abs(pixels - filled(pixels, hole)).max(-1) > STANDS_OUT


def _centred(shares: np.ndarray, apart: np.ndarray, box: Box) -> tuple[Box, np.ndarray]:
    """A box moved to where pixels of its middle's hue are, and how unlike that hue each pixel is, float32 (S, S)."""
    side = len(shares)
    left, top, right, bottom = box
    wide, high = (right - left) / 4, (bottom - top) / 4
    middle = inside((left + wide, top + high, right - wide, bottom - high), side, 0) & apart
    if middle.sum() < max(4, CLEAR * (side / OF) ** 2):
        return box, np.full(apart.shape, OTHER / 2, np.float32)
    unlike = np.abs(shares - np.median(shares[middle], 0)).sum(-1)
    alike = apart & (unlike < OTHER / 2)
    rows, columns = np.mgrid[:side, :side] + 0.5
    moved = np.zeros(2)
    for _ in range(10):
        here = inside((left + moved[0], top + moved[1], right + moved[0], bottom + moved[1]), side, 0) & alike
        if not here.any():
            break
        to = np.array([columns[here].mean(), rows[here].mean()]) / side - np.array([left + right, top + bottom]) / 2
        if np.abs(to - moved).max() * side < 0.5:
            break
        moved = to
    x, y = moved.tolist() if np.abs(moved).max() <= ASTRAY else (0.0, 0.0)
    return (left + x, top + y, right + x, bottom + y), unlike


def filled(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A picture float32 (rows, columns, 3) with a hole, bool (rows, columns), closed smoothly from what is around it.

    Push and pull: the picture is halved until nothing is unknown, and what is unknown takes its colour from the next
    smaller one (Gortler et al., The Lumigraph, 1996). Where all is unknown, the median of the picture is all there is.
    """
    if hole.all():
        return np.broadcast_to(np.median(picture, (0, 1)), picture.shape).astype(np.float32)
    known = torch.from_numpy(~hole).float()[None, None]
    sums = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] * known
    levels = [(sums, known)]
    while max(levels[-1][1].shape[-2:]) > 1:
        levels.append(tuple(F.avg_pool2d(plane, 2, 2, ceil_mode=True) for plane in levels[-1]))  # type: ignore[arg-type]
    sums, known = levels.pop()
    whole = sums / known.clamp_min(1e-6)
    for sums, known in reversed(levels):
        rough = F.interpolate(whole, sums.shape[-2:], mode="bilinear", align_corners=False)
        whole = sums + rough * (1 - known)  # sums are those of what is known
    return whole[0].permute(1, 2, 0).numpy()


def hues(pixels: np.ndarray) -> np.ndarray:
    """The shares of red, green and blue of pixels (..., 3); dark ones are taken for grey."""
    values = pixels.astype(np.float32) + DARK / 3
    return values / values.sum(-1, keepdims=True)


def pixels_of(count: float, side: int) -> int:
    """So many pixels of a picture of OF, of one of another side; 1 at least.

    >>> pixels_of(5, 224), pixels_of(5, 112), pixels_of(2, 64)
    (5, 2, 1)
    """
    return max(1, round(count * side / OF))


def inside(box: Sequence[float], side: int, margin: int) -> np.ndarray:
    """bool (side, side): the pixels of a box, and so many around it."""
    left, top, right, bottom = np.array(box) * side
    place = np.arange(side) + 0.5
    across = (place >= left - margin) & (place < right + margin)
    return across & ((place >= top - margin) & (place < bottom + margin))[:, None]


def wider(mask: np.ndarray, by: int) -> np.ndarray:
    """A mask and so many pixels around it."""
    return F.max_pool2d(torch.from_numpy(mask).float()[None, None], 2 * by + 1, 1, by)[0, 0].numpy() > 0


def _closed(mask: np.ndarray, by: int) -> np.ndarray:
    """A mask without specks, and without gaps of so many pixels."""
    smooth = kept.smoothed(mask, 3) > 0.4
    return ~wider(~wider(smooth, by), by)
