"""Media and texts -> vectors: what one layer of the GPT makes of them, so that like lies near like.

N media or texts, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from triptych.generate import vectors
from triptych.sequence import spell
from triptych.tasks.common import Medium, Model


def layer_of(model: Model) -> int:
    """The block, from 0, whose output gives the vectors."""
    return vectors.layer_of(model.gpt)


def media_vectors(model: Model, media: Sequence[Medium], *, layer: int | None = None) -> np.ndarray:
    """Media -> float32 (N, D) of length 1: the mean, over the places that hold the medium, of a block's output.

    Args:
        model: what reads.
        media: pictures or clips; each alone, without any text.
        layer: the block, from 0; the one that serves best if not given.
    """
    rows = [model.show(model.begin(), medium).finish() for medium in media]
    return vectors.vectors(model.gpt, rows, layer_of(model) if layer is None else layer, visual=True)


@torch.inference_mode()
def text_directions(model: Model, texts: Sequence[str]) -> np.ndarray | None:
    """Texts -> float32 (N, D) of length 1: where their media lie, seen from the middle of all; None without a head."""
    head = model.bundle.retrieval
    if head is None:
        return None
    rows = [spell.draw_prompt(model.begin(), model.encode(text)).finish() for text in texts]
    read = vectors.vectors(model.gpt, rows, layer_of(model), visual=False)
    return head(torch.from_numpy(read).to(model.device)).cpu().numpy()
