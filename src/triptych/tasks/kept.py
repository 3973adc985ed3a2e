"""Pixels that stay: where nothing changes, a picture shows what was there instead of what the decoder makes of it.

Y, X rows and columns of codes; rows and columns are those of pixels.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

SOFT = 17  # pixels over which a seam is smoothed, odd
SHADE = 12.0  # levels by which a seam is moved at most: more is an object's edge, not a shade
SAME, OTHER = 8.0, 20.0  # levels of 255 up to which two drawings are alike, and from which on they aren't
NEAR = 5  # pixels over which their difference is smoothed, odd


def unchanged(before: np.ndarray, after: np.ndarray, stride: int) -> np.ndarray:
    """Where pixels stay: those of codes that came again, unless one next to them changed: it throws its shadow there.

    Args:
        before, after: (Y, X) codes.
        stride: pixels on a side of a code.

    Returns:
        bool (Y * stride, X * stride).
    """
    changed = torch.from_numpy((before != after).astype(np.float32))[None, None]
    near = F.max_pool2d(changed, 3, 1, 1)[0, 0].numpy() > 0
    return ~np.kron(near, np.ones((stride, stride), bool))


def still(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far pixels stay from one drawing to others: 1 where they are alike, 0 where they aren't, and in between.

    Between drawings of the decoder rather than by codes: those of a clip waver without anything to be seen.

    Args:
        before: uint8 (rows, columns, 3).
        after: uint8 (F, rows, columns, 3).

    Returns:
        float32 (F, rows, columns).
    """
    apart = np.abs(after.astype(np.float32) - before).mean(-1)
    smooth = blur(torch.from_numpy(apart)[:, None], NEAR)[:, 0].numpy()
    return np.clip((OTHER - smooth) / (OTHER - SAME), 0, 1)


def merged(drawn: np.ndarray, original: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The drawn picture with the original's pixels where they are kept.

    What the codes lose of the original (a shade, a texture) would show as an edge: near it, drawn pixels are moved by
    what their kept neighbours are moved by, the less the further away.

    Args:
        drawn, original: uint8 (rows, columns, 3).
        kept: bool, or float of 0 to 1 for a part, (rows, columns).
    """
    share = kept.astype(np.float32)
    held = torch.from_numpy(share)[None, None]
    lost = np.clip(original.astype(np.float32) - drawn, -SHADE, SHADE)
    moved = torch.from_numpy(lost).permute(2, 0, 1)[None] * held
    near = blur(held, SOFT)
    shift = blur(moved, SOFT) / near.clamp_min(1e-6) * (2 * near).clamp_max(1)
    pixels = np.clip(drawn + shift[0].permute(1, 2, 0).numpy(), 0, 255)
    return np.rint(pixels + share[..., None] * (original - pixels)).astype(np.uint8)


def smoothed(plane: np.ndarray, side: int) -> np.ndarray:
    """As `blur`, of one plane (rows, columns) of numbers or of bool: float32 (rows, columns)."""
    return blur(torch.from_numpy(plane).float()[None, None], side)[0, 0].numpy()


def blur(planes: torch.Tensor, side: int) -> torch.Tensor:
    """The mean of what is around each place, and the mean of that: (N, 1, rows, columns) -> the same."""
    for _ in range(2):
        # Down and then across: so many additions a place instead of their square.
        for window in ((side, 1), (1, side)):
            pad = (window[0] // 2, window[1] // 2)
            planes = F.avg_pool2d(planes, window, 1, pad, count_include_pad=False)
    return planes
