"""Rows -> vectors: what a block of the GPT makes of them, pooled, so that like lies near like.

N rows, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from triptych.model.gpt import GPT
from triptych.sequence.layout import Row
from triptych.sequence.pack import collate

DEPTH = 0.75  # how deep vectors are taken, as a share of the GPT; measured in docs/log.md
ROWS = 32  # read side by side


def layer_of(gpt: GPT, depth: float = DEPTH) -> int:
    """The block, from 0, whose output gives vectors."""
    count = len(gpt.blocks)
    return min(count - 1, max(0, round(depth * count) - 1))


@torch.no_grad()
def vectors(gpt: GPT, rows: Sequence[Row], layer: int, *, visual: bool) -> np.ndarray:
    """Rows -> float32 (N, D) of length 1: pooled over the codes of media, or over the words of texts."""
    device = next(gpt.parameters()).device
    out = np.zeros((len(rows), gpt.config.width), np.float32)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # of like length, so that little is padding
    for first in range(0, len(order), ROWS):
        some = order[first : first + ROWS]
        batch = collate([rows[i] for i in some], device)
        where = batch["is_visual"] if visual else _words(batch["ids"], [len(rows[i]) for i in some])
        pooled = gpt.pooled(batch["ids"], batch["values"], batch["is_visual"], batch["positions"], where, layer)
        out[some] = pooled.cpu().numpy()
    return out


def _words(ids: Tensor, lengths: Sequence[int]) -> Tensor:
    """All positions of the rows but the first, which every row begins with."""
    places = torch.arange(ids.shape[1], device=ids.device)
    return (places > 0) & (places < torch.tensor(lengths, device=ids.device)[:, None])
