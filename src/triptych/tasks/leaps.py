"""What no motion explains: parts of a frame that were nowhere near in the one before, or are nowhere near in the next.

A thing that moves is found again some way off; one that vanishes, appears in the middle or jumps isn't. That is seen
by comparing pixels (block matching, as codecs and the finder of shots do), without a model: the codes of a map tell
four frames together, so a thing that is gone between two of them leaves little that a network could be surprised by.

F frames; Y, X rows and columns of blocks.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

SIDE = 56  # pixels to which a frame's sides are brought
BLOCK, STEP = 8, 4  # pixels of a block's side, and from a block to the next
REACH = 6  # pixels that a thing may move from a frame to the next: 0.86 of the picture's sides a second, at 8 a second
MOST = 24  # blocks whose mean is told, of 169: a small thing leaps as a large one


def leaps(frames: np.ndarray) -> np.ndarray:
    """How much of each frame and the one before has no like in the other: float32 (F - 1,), levels of 255; of a single
    frame none.

    Args:
        frames: uint8 (F, rows, columns, 3), evenly spaced.
    """
    if len(frames) < 2:
        return np.zeros(0, np.float32)
    seen = torch.from_numpy(frames).permute(0, 3, 1, 2).float().mean(1, keepdim=True)
    seen = F.interpolate(seen, (SIDE, SIDE), mode="area")
    apart = torch.maximum(_unlike(seen[:-1], seen[1:]), _unlike(seen[1:], seen[:-1]))
    return apart.flatten(1).topk(MOST).values.mean(1).numpy()


def sudden(found: np.ndarray, before: float = 0.0) -> np.ndarray:
    """How far each leap of a segment rises above the mean of the one before and the one after it, at least 0.

    What falls or rolls beyond reach does so for several frames; what can't be happens between two. What is gone for a
    single frame leaps twice, and counts half.

    Args:
        found: float32 (F - 1,), levels of 255, as of `leaps`; after the last, none is taken to follow.
        before: the leap before the first of them, where the shot began earlier.

    Returns:
        float32 (F - 1,), levels of 255.
    """
    beside = np.concatenate([[before], found, [0.0]]).astype(np.float32)
    return np.maximum(0, found - (beside[:-2] + beside[2:]) / 2)


def by_map(found: np.ndarray, span: int) -> np.ndarray:
    """The largest leap into the frames of each map of a segment: float32 (F - 1,) -> (T,). The first map holds one
    frame and the others `span` each, the last one as many as are left."""
    later = [found[first : first + span].max() for first in range(0, len(found), span)]
    return np.array([0, *later], np.float32)


def _unlike(these: torch.Tensor, those: torch.Tensor) -> torch.Tensor:
    """Mean difference of each block of these pictures (N, 1, SIDE, SIDE) from the likest one within reach in those:
    (N, Y, X)."""
    wide = F.pad(those, (REACH,) * 4, mode="replicate")
    least = torch.full((), torch.inf)
    for down in range(2 * REACH + 1):
        for across in range(2 * REACH + 1):
            apart = (these - wide[..., down : down + SIDE, across : across + SIDE]).abs_()
            least = torch.minimum(least, F.avg_pool2d(apart, BLOCK, STEP)[:, 0])
    return least
