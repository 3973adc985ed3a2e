"""Media -> vectors: what one layer of the GPT makes of them, so that like media lie near each other.

N media, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from triptych.sequence.pack import collate
from triptych.tasks.common import BATCH, Medium, Model, chunks

LAYER = 0.75  # how deep the vectors are taken, as a share of the depth; measured in docs/log.md


def layer_of(model: Model, depth: float = LAYER) -> int:
    """The block, from 0, whose output gives the vectors."""
    count = len(model.gpt.blocks)
    return min(count - 1, max(0, round(depth * count) - 1))


@torch.inference_mode()
def media_vectors(model: Model, media: Sequence[Medium], *, layer: int | None = None) -> np.ndarray:
    """Media -> float32 (N, D) of length 1: the mean, over the places that hold the medium, of a block's output.

    Args:
        model: what reads.
        media: pictures or clips; each alone, without any text.
        layer: the block, from 0; that of LAYER if not given.
    """
    block = model.gpt.blocks[layer_of(model) if layer is None else layer]
    seen: list[Tensor] = []
    handle = block.register_forward_hook(lambda module, given, output: seen.append(output))
    try:
        out = []
        for chunk in chunks(media, BATCH // 2):
            batch = collate([model.show(model.begin(), medium).finish() for medium in chunk], model.device)
            model.gpt(batch["ids"], batch["values"], batch["is_visual"], batch["positions"])
            weight = batch["is_visual"][..., None].float()
            mean = (seen.pop().float() * weight).sum(1) / weight.sum(1)
            out.append(nn.functional.normalize(mean, dim=-1).cpu().numpy())
    finally:
        handle.remove()
    return np.concatenate(out) if out else np.zeros((0, model.gpt.config.width), np.float32)
