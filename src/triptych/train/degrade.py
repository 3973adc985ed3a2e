"""Pictures made worse, for what learns to read pixels: hues turned, tinted, blurred, compressed, speckled.

B batch, Y rows, X columns.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


def recolour(pixels: Tensor, random: torch.Generator, share: float = 0.4) -> tuple[Tensor, Tensor]:
    """Turn the hues of a share of pictures (B, 3, Y, X) at random; returns them and which were turned (B,) bool.

    Training withholds pairs of colour and shape. A detector that only saw the others tells shapes by colour, and then
    finds no unseen pair even where it is drawn well; turned pictures, whose colours do not count, keep it from that.
    Nor do their materials: how pale or dark a colour is tells metal and rubber from plastic.
    """
    count = len(pixels)
    angle = torch.rand(count, generator=random) * 2 * math.pi
    strength = torch.rand(count, generator=random) * 1.2
    turned = torch.rand(count, generator=random) < share
    luma = torch.tensor([0.299, 0.587, 0.114])
    grey = luma.expand(3, 3)
    cos, sin = (angle.cos() * strength)[:, None, None], (angle.sin() * strength)[:, None, None]
    around = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)  # a quarter turn about grey
    matrix = grey + (cos * torch.eye(3) + sin * around) @ (torch.eye(3) - grey)
    matrix = torch.where(turned[:, None, None], matrix, torch.eye(3)).to(pixels)
    return torch.einsum("bij,bjyx->biyx", matrix, pixels).clamp(0, 1), turned.to(pixels.device)


def degrade(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Tint, blur, compress and speckle pictures (B, 3, Y, X) in 0..1, each by its own amounts; runs on their device."""
    count, device = len(pixels), pixels.device

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return (torch.rand(count, channels, 1, 1, generator=random) * (high - low) + low).to(device)

    def often(share: float) -> Tensor:
        return (torch.rand(count, 1, 1, 1, generator=random) < share).float().to(device)

    middle = pixels.mean((1, 2, 3), keepdim=True)
    x = (pixels - middle) * draw(0.85, 1.15) + middle * draw(0.85, 1.15)
    x = x * draw(0.96, 1.04, 3)
    factor = 1.5 + 2.0 * float(torch.rand((), generator=random))
    side = round(x.shape[-1] / factor)
    small = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
    soft = F.interpolate(small, x.shape[2:], mode="bilinear")
    x = torch.lerp(x, soft, often(0.6) * draw(0.0, 1.0))
    x = torch.lerp(x, compress(x, draw(0.02, 0.25)), often(0.4))
    grey = x[:, :1]
    noise = torch.randn(grey.shape, generator=random) if device.type == "cpu" else torch.randn_like(grey)
    return (x + noise * often(0.5) * draw(0.0, 0.03)).clamp(0, 1)


@lru_cache(maxsize=4)
def _cosines(device: torch.device) -> Tensor:
    k = torch.arange(8.0)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis.to(device)


def compress(pixels: Tensor, strength: Tensor) -> Tensor:
    """What JPEG's rounding of 8x8 cosine blocks does, at `strength` (B, 1, 1, 1) for the finest frequencies."""
    basis = _cosines(pixels.device)
    rows, columns = pixels.shape[2] // 8, pixels.shape[3] // 8
    pace = torch.arange(8.0, device=pixels.device)
    step = strength[..., None] * (0.3 + (pace[:, None] + pace.repeat(columns)) / 10)
    waves = (pixels.unflatten(3, (columns, 8)) @ basis.T).flatten(3).unflatten(2, (rows, 8))
    waves = basis @ waves
    waves = (waves / step).round() * step
    blocks = (basis.T @ waves).flatten(2, 3)
    return (blocks.unflatten(3, (columns, 8)) @ basis).flatten(3)
