"""Finite scalar quantisation: each latent dimension is bounded and rounded to a few steps.

No codebook is learned, so none can collapse, and no auxiliary loss is needed.
Source: Mentzer et al., "Finite Scalar Quantization: VQ-VAE Made Simple", arXiv 2309.15505.

Shapes: ... any, d latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FSQ(nn.Module):
    """Round vectors of `len(levels)` numbers to one of `prod(levels)` codes.

    Args:
        levels: steps of each dimension, at least 2 each.
    """

    steps: Tensor
    basis: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.codes = math.prod(levels)
        self.register_buffer("steps", torch.tensor(levels, dtype=torch.float32), persistent=False)
        basis = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("basis", torch.tensor(basis), persistent=False)

    def bound(self, z: Tensor) -> Tensor:
        """Squash raw latents (..., d) into the range of the steps, scaled to about [-1, 1]."""
        half = (self.steps - 1) * (1.001 / 2)  # a little more than the last step, so that it can be reached
        offset = torch.where(self.steps % 2 == 0, 0.5, 0.0)
        shift = torch.atanh(offset / half)
        return (torch.tanh(z.float() + shift) * half - offset) / self.scale

    @property
    def scale(self) -> Tensor:
        """Steps to either side of zero, by dimension."""
        return torch.div(self.steps, 2, rounding_mode="floor")

    def quantize(self, latent: Tensor) -> Tensor:
        """Round bounded latents (..., d) to the grid; gradients pass straight through."""
        steps = latent * self.scale
        return (steps + (steps.round() - steps).detach()) / self.scale

    def to_codes(self, latent: Tensor) -> Tensor:
        """Codes (...) int64 in [0, codes) of bounded latents (..., d)."""
        digits = (latent * self.scale).round() + self.scale
        return (digits.long() * self.basis).sum(-1)

    def to_latents(self, codes: Tensor) -> Tensor:
        """Grid points (..., d) of codes (...)."""
        levels = self.steps.long()
        digits = (codes[..., None] // self.basis) % levels
        return digits.float() / self.scale - 1
