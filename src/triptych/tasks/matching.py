"""Where the pixels of things are in the frames before or after one in which their boxes are known.

N things, F frames, S pixels of a picture's sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.sequence.plan import Thing
from triptych.tasks.cutout import OF, cut_out, pixels_of

REACH, NEXT = 36, 22  # pixels (of 224) from frame to frame: how far at first, and from what was foreseen after that
UNLIKE = 48.0  # levels of 255 from which on pixels are as unlike as can be: a thing may be hidden in part
POINTS = 300  # of a thing's pixels that are compared, at most
LEAST = 30  # pixels (of 224 x 224) by which a thing can be known again
LOST = 30.0  # levels from which on a thing isn't where it seems to be likest
OUTER = 0.01  # share of a thing's pixels that may lie beyond each edge of its box: specks


@dataclass(frozen=True)
class Matched:
    """How things go on from a frame, by their pixels.

    Args:
        shifts: float64 (N, F, 2), how far right and down they are in each of the other frames, as shares of the sides.
        costs: float64 (N, F), levels of 255 by which their pixels differ there, lost from LOST on; infinite where
            nothing is known.
        middles: float64 (N, 2), of their pixels in that frame, as shares; nan where too few can be told apart.
    """

    shifts: np.ndarray
    costs: np.ndarray
    middles: np.ndarray


def match(frames: np.ndarray, things: Sequence[Thing]) -> Matched:
    """Follow the pixels of things from a frame to the next ones, by the least difference of those that are theirs.

    What moves is taken to go on as it went (template matching with constant velocity), and so is what is lost, since
    something hides it or it is outside. What a thing looks like is what it looked like in the first frame, so errors
    don't add up.

    Args:
        frames: uint8 (1 + F, S, S, 3): the frame of the boxes, and others in order of time, forth or back.
        things: with their boxes in the first frame.
    """
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    # Large frames are made smaller first: the table of all ways would take hundreds of megabytes.
    pictures = F.avg_pool2d(pictures, max(1, len(frames[0]) // OF))
    side, others = pictures.shape[-1], len(frames) - 1
    masks, _ = cut_out(pictures[0].permute(1, 2, 0).numpy(), things)
    shifts, costs = np.zeros((len(things), others, 2)), np.full((len(things), others), np.inf)
    middles = np.full((len(things), 2), np.nan)
    for number, mask in enumerate(masks):
        rows, columns = np.nonzero(mask)
        if len(rows) < max(4, LEAST * (side / OF) ** 2):
            continue
        ends = [np.quantile(values, [OUTER, 1 - OUTER]).mean() + 0.5 for values in (columns, rows)]
        middles[number] = np.array(ends) / side
        chosen = np.linspace(0, len(rows) - 1, min(len(rows), POINTS)).astype(int)
        places = torch.from_numpy(np.stack([rows[chosen], columns[chosen]], 1))
        looks = pictures[0, :, places[:, 0], places[:, 1]]
        at, way = np.zeros(2, int), np.zeros(2, int)  # down and right, in pixels
        for place in range(others):
            reach = pixels_of(NEXT if place else REACH, side)
            found, cost = _nearest(pictures[place + 1], places + torch.from_numpy(at + way), looks, reach)
            way = way + found if cost < LOST else way
            at = at + way
            shifts[number, place], costs[number, place] = at[::-1] / side, cost
    return Matched(shifts, costs, middles)


def _nearest(picture: Tensor, places: Tensor, looks: Tensor, reach: int) -> tuple[np.ndarray, float]:
    """How far down and right of `places` (P, 2) those pixels of a picture (3, S, S) are that are likest to `looks`
    (3, P), at most `reach`, and by how many levels they differ. What lies outside is as unlike as can be."""
    size = 2 * reach + 1
    wide = F.pad(picture, (reach,) * 4, value=-1000.0)
    # Beyond that, the outermost of what was added is read: as unlike as can be, too.
    rows, columns = ((places[:, axis, None] + torch.arange(size)).clamp(0, wide.shape[1 + axis] - 1) for axis in (0, 1))
    seen = wide[:, rows[:, :, None], columns[:, None]]
    costs = (seen - looks[:, :, None, None]).abs().mean(0).clamp(max=UNLIKE).mean(0)
    best = int(costs.argmin())
    return np.array([best // size - reach, best % size - reach]), float(costs.flatten()[best])
