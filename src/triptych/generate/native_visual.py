"""The visual tokenizer in C++ (src/native/images.cpp): the same convolutions, with channels last and packed weights.

B batch, F frames, T maps, Y rows, X columns, C channels, d latent dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triptych.generate.native_path import Build, extension, pool
from triptych.tokenizers.visual import Causal, Residual, VisualTokenizer


class NativeVisual:
    """Runs a visual tokenizer on a CPU, with the methods of `VisualTokenizer` that a model calls."""

    def __init__(self, visual: VisualTokenizer, build: Build) -> None:
        self.fsq, self.config = visual.fsq, visual.config
        span, dims = visual.config.span, len(visual.config.levels)
        self.encoder = extension()[0].Network(pool(build.threads), 3, build.level)
        _append(self.encoder, list(visual.encoder))
        self.encoder.merge(*_plain(visual.merge), span)
        _append(self.encoder, [visual.encoder_time, visual.to_latent])
        self.decoder = extension()[0].Network(pool(build.threads), dims, build.level)
        _append(self.decoder, [visual.from_latent, *visual.decoder_time, visual.split])
        self.decoder.split(span)
        _append(self.decoder, list(visual.decoder))

    def tokenize(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Bytes (B, F, Y, X, 3) -> codes (B, T, Y/16, X/16) int64 and latents (..., d) float32."""
        raw = self.encoder.run(frames.numpy().astype(np.float32) / 127.5 - 1)
        latents = self.fsq.bound(torch.from_numpy(raw))
        return self.fsq.to_codes(latents), latents

    def draw(self, codes: Tensor) -> Tensor:
        """Codes (B, T, Y/16, X/16) -> bytes (B, F, Y, X, 3)."""
        pixels = torch.from_numpy(self.decoder.run(self.fsq.to_latents(codes).numpy()))
        return pixels.clamp_(-1, 1).add_(1).mul_(127.5).round_().byte()


def _append(network: Any, modules: Sequence[nn.Module]) -> None:
    """Add torch's modules to a native network, one after another.

    Pixels that become channels, and the reverse, keep their channels together here, (y, x, C) where torch has
    (C, y, x): the convolution after or before them is turned round instead, so that only whole pieces of memory move.
    """
    leak = 1.0
    modules = [leaf for module in modules for leaf in (module if isinstance(module, nn.Sequential) else [module])]
    for index, module in enumerate(modules):
        before, after = (modules[i] if 0 <= i < len(modules) else None for i in (index - 1, index + 1))
        if isinstance(module, Residual):
            network.residual(*_plain(module.wide), *_plain(module.narrow))
        elif isinstance(module, Causal):
            network.causal(*_plain(module.past))
            _append(network, [module.around])
        elif isinstance(module, nn.PixelUnshuffle):
            network.unshuffle(module.downscale_factor)
        elif isinstance(module, nn.PixelShuffle):
            network.shuffle(module.upscale_factor)
        elif isinstance(module, nn.LeakyReLU):
            leak = module.negative_slope
        elif isinstance(module, nn.Conv2d):
            weight, bias = _plain(module)
            if isinstance(before, nn.PixelUnshuffle):
                weight = _pixels_first(weight.T, before.downscale_factor).T
            if isinstance(after, nn.PixelShuffle):
                weight, bias = (_pixels_first(part, after.upscale_factor) for part in (weight, bias))
            network.convolve(weight, bias, module.kernel_size[0], leak)
            leak = 1.0
        else:
            raise TypeError(f"no native operation for {module}")


def _plain(conv: nn.Conv2d) -> tuple[np.ndarray, np.ndarray]:
    """Weights (outputs, y * x * inputs) and bias (outputs); frames that stand in the channels stay where they are."""
    assert conv.bias is not None
    weight = conv.weight.detach().float().permute(0, 2, 3, 1).flatten(1)
    return weight.contiguous().numpy(), conv.bias.detach().float().numpy()


def _pixels_first(array: np.ndarray, side: int) -> np.ndarray:
    """(C * y * x, ...) -> (y * x * C, ...)."""
    parts = array.reshape(-1, side, side, *array.shape[1:])
    return np.moveaxis(parts, 0, 2).reshape(array.shape)
