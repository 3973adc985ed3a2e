"""Rows of different lengths -> one batch of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from triptych.sequence.layout import Row
from triptych.sequence.vocab import Special


def collate(rows: Sequence[Row], device: torch.device | str = "cpu", multiple: int = 1) -> dict[str, Tensor]:
    """Rows of different lengths -> tensors padded on the right: ids, values, is_visual, positions, codes, before,
    weights, and branches where a row has any.

    Under a causal mask what stands to the right is never seen, so padding needs no mask of its own.
    """
    longest = -(-max(len(row) for row in rows) // multiple) * multiple

    def pad(arrays: Sequence[np.ndarray]) -> Tensor:
        out = np.zeros((len(rows), longest, *arrays[0].shape[1:]), arrays[0].dtype)
        for place, array in zip(out, arrays, strict=True):
            place[: len(array)] = array
        return torch.from_numpy(out).to(device, non_blocking=True)

    names = ("ids", "values", "positions", "codes", "before", "weights")
    batch = {name: pad([getattr(row, name) for row in rows]) for name in names}
    if any(row.branches is not None for row in rows):  # else attention needs no mask of its own, and is faster
        batch["branches"] = pad([np.zeros(len(r), np.int64) if r.branches is None else r.branches for r in rows])
    batch["is_visual"] = batch["ids"] == Special.VISUAL
    return batch
