"""Codes that hold still: what was not touched keeps its code, whatever changes elsewhere and however it was compressed.

Of two pictures of which one was edited, or of two frames in which little moves, a tokenizer trained on pixels alone
gives other codes to a good part of the cells that look the same: a neighbour changed, or rounding fell the other way.
To the GPT that is noise, which hides what is to be copied.

B batch, F frames, Y and X pixels, T maps, d latent dimensions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.tokenizers.quantize import FSQ

NOISE = 1.5 / 127.5  # largest deviation of the noise, about what a JPEG of high quality changes
MARGIN = 8  # pixels around a cell that must be untouched too: codes may look a little beyond their own square


def twin(pixels: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """The same media with a part of a neighbour's pasted in and noise on all, and which cells are still the same.

    Args:
        pixels: (B, F, 3, Y, X) in [-1, 1].
        stride: pixels of a cell on each side.

    Returns:
        Pixels of the same shape, and (Y/stride, X/stride) bool.
    """
    height, width = pixels.shape[-2:]
    tall, wide = (int(torch.randint(side // 4, side // 2 + 1, ())) for side in (height, width))
    top, left = int(torch.randint(height - tall + 1, ())), int(torch.randint(width - wide + 1, ()))
    other, square = pixels.clone(), (..., slice(top, top + tall), slice(left, left + wide))
    other[square] = pixels.roll(1, 0)[square] if len(pixels) > 1 else -pixels[square]  # alone, of its own negative
    level = torch.rand(len(pixels), 1, 1, 1, 1, device=pixels.device) * NOISE
    fine = torch.randn_like(pixels)
    coarse = F.interpolate(fine.flatten(0, 1)[..., ::4, ::4], size=(height, width)).view_as(pixels)
    touched = torch.zeros(1, 1, height, width, device=pixels.device)
    touched[..., max(0, top - MARGIN) : top + tall + MARGIN, max(0, left - MARGIN) : left + wide + MARGIN] = 1
    return other + level * (fine + coarse), F.max_pool2d(touched, stride)[0, 0] == 0


def wander(fsq: FSQ, latents: Tensor, others: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """How far the twins' latents lie from the codes of the media themselves, and how many fall to another code.

    Mean squared distance in steps of each dimension: it makes a latent heedless of what is elsewhere, and draws it from
    the edge between two codes to the middle of one (the commitment of VQ-VAE, arXiv 1711.00937).

    Args:
        fsq: the quantiser.
        latents, others: (B, T, Y, X, d) bounded latents of media and twins.
        same: (Y, X) cells that are the same.

    Returns:
        The distance, and the share of those cells whose code is another one; both 0 where no cell is the same.
    """
    steps, theirs = latents[:, :, same] * fsq.scale, others[:, :, same] * fsq.scale
    codes = steps.detach().round()
    if not same.any():
        return steps.new_zeros(()), steps.new_zeros(())
    return (theirs - codes).square().mean(), (theirs.round() != codes).any(-1).float().mean()
