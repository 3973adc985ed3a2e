"""Pixels that stay: where codes come again, a picture shows what was there instead of what the decoder makes of it.

Y, X rows and columns of codes.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

SOFT = 17  # pixels over which a seam is smoothed, odd
SHADE = 12.0  # levels by which a seam is moved at most: more is an object's edge, not a shade


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


def merged(drawn: np.ndarray, original: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The drawn picture with the original's pixels where they are kept.

    What the codes lose of the original (a shade, a texture) would show as an edge: near it, drawn pixels are moved by
    what their kept neighbours are moved by, the less the further away.

    Args:
        drawn, original: uint8 (rows, columns, 3).
        kept: bool (rows, columns).
    """
    held = torch.from_numpy(kept.astype(np.float32))[None, None]
    lost = np.clip(original.astype(np.float32) - drawn, -SHADE, SHADE)
    moved = torch.from_numpy(lost).permute(2, 0, 1)[None] * held

    def blur(x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            x = F.avg_pool2d(x, SOFT, 1, SOFT // 2)
        return x

    near = blur(held)
    shift = blur(moved) / near.clamp_min(1e-6) * (2 * near).clamp_max(1)
    pixels = np.clip(np.rint(drawn + shift[0].permute(1, 2, 0).numpy()), 0, 255).astype(np.uint8)
    return np.where(kept[..., None], original, pixels)
