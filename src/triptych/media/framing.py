"""Other framings of a medium: a little of each side cut off, and fitted back, as another lens would show it.

Training learns from several of them; a clip that is read in several is misread less, since everything lies otherwise
over the grid of codes.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

REACH = 0.06  # share of a side that training cuts off at most
CUT = 0.045  # share of a side that reading cuts off
CORNERS = ((0, 1, 0, 1), (1, 0, 1, 0), (0, 1, 1, 0), (1, 0, 0, 1))  # top, bottom, left, right
MOST = 1 + len(CORNERS)


def framing(side: int, rng: np.random.Generator, reach: float = REACH) -> np.ndarray:
    """How many pixels another framing of a medium of this side cuts off at the top, bottom, left and right; each up to
    `reach` of it."""
    return rng.integers(0, int(side * reach) + 1, 4)


def framed(frames: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Frames (F, Y, X, 3) without what `framing` cuts off, fitted back to their size."""
    side = frames.shape[1]
    cut = frames[:, room[0] : side - room[1], room[2] : side - room[3]]
    # One crop for all frames; stretched by a few per cent at most, as another lens would.
    pixels = torch.from_numpy(cut.copy()).permute(0, 3, 1, 2).float()
    out = F.interpolate(pixels, (side, side), mode="bilinear", align_corners=False, antialias=True)
    return out.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def framings(frames: np.ndarray, count: int) -> list[np.ndarray]:
    """Frames uint8 (F, side, side, 3) as they are and without some of two of their sides: `count`, from 1 to MOST."""
    return [framed(frames, room) if room.any() else frames for room in rooms(frames.shape[1], count)]


def rooms(side: int, count: int) -> list[np.ndarray]:
    """How many pixels each of so many framings cuts off at the top, bottom, left and right; the first none."""
    if not 1 <= count <= MOST:
        raise ValueError(f"{count} framings: give 1 to {MOST}")
    room = round(side * CUT)
    return [room * np.array(corner) for corner in ((0, 0, 0, 0), *CORNERS)[:count]]
