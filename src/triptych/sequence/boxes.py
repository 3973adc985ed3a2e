"""Boxes as arrays (..., 4): left, top, right and bottom, as shares of a picture's sides."""

from __future__ import annotations

import numpy as np

CUT = 0.015  # of a side: a box that ends so near a picture's edge is cut off by it


def travelled(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far right and down what is in a box has gone, (..., 2): by the box's middle, or by the edge that the picture
    doesn't cut off, since the middle of what can be seen goes only half as fast.

    >>> travelled(np.array([0.0, 0.4, 0.1, 0.6]), np.array([0.0, 0.4, 0.2, 0.5])).round(3).tolist()
    [0.1, -0.05]
    """
    moved = after - before
    low = np.minimum(before, after)[..., :2] < CUT
    high = np.maximum(before, after)[..., 2:] > 1 - CUT
    return np.where(
        low & ~high, moved[..., 2:], np.where(high & ~low, moved[..., :2], (moved[..., :2] + moved[..., 2:]) / 2)
    )
