"""Weights for a network that has more layers, or reads other parts of a position, than the one they were learned by."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.model.gpt import GPT

SILENT = ("attention.out.weight", "feed.down.weight")  # all that a block adds goes through one of these


def fitted(start: GPT, gpt: GPT) -> dict[str, Tensor]:
    """Weights by which `gpt` says what `start` says, but for parts of a position (`config.parts`) that it leaves out.

    What `start` didn't read weighs nothing at first, and layers that it didn't have add nothing: they stand evenly
    among its own, and each begins as a copy of the one beneath, all but the weights by which it adds (as in LLaMA Pro,
    arXiv 2401.02415): what a trained layer attends to is a better beginning than noise.

    Raises:
        ValueError: `gpt` has fewer layers than `start`.
    """
    old, new = len(start.blocks), len(gpt.blocks)
    if new < old:
        raise ValueError(f"{old} layers don't fit into {new}")
    state = start.state_dict()
    weights = state["visual.weight"].split(start.config.parts, 1)
    parts = [F.pad(weight, (0, max(0, width - weight.shape[1])))[:, :width]
             for weight, width in zip(weights, gpt.config.parts, strict=True)]  # fmt: skip
    state["visual.weight"] = torch.cat(parts, 1)
    source = [layer * old // new for layer in range(new)]
    for layer, whose in enumerate(source):
        for name, value in start.blocks[whose].state_dict().items():
            added = layer > 0 and source[layer - 1] == whose and name in SILENT
            state[f"blocks.{layer}.{name}"] = torch.zeros_like(value) if added else value
    return {name: state.get(name, value) for name, value in gpt.state_dict().items()}
