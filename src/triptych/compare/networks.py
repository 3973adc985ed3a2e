"""The two networks that are compared: both take pixels (B, F, 3, Y, X) in [0, 1] and give a logit for each label.

B batch, F frames (1 for pictures), Y rows, X columns, K labels, T maps, S positions, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.errors import ConfigError, MissingExtra
from triptych.model.gpt import GPT
from triptych.sequence import spell, vocab
from triptych.sequence.layout import Builder, Map
from triptych.tokenizers.visual import VisualTokenizer
from triptych.zoo import Bundle

LIKE = 0.1  # how far apart the counts of parameters may lie
LAYERS = (2, 2, 2, 2)  # of the CNN: ResNet-18
SMALL = 64  # pixels; a CNN that reads a smaller side keeps it through its first layers, as is usual for such pictures


@dataclass(frozen=True)
class Shape:
    """What a network reads and says: frames of a medium, the side of its pixels, and the number of labels."""

    frames: int
    side: int
    labels: int


class GPTClassifier(nn.Module):
    """The encoder of the visual tokenizer, the GPT, and one linear layer on what the GPT makes of the medium.

    The medium is spelled as when the label is asked for, `BEGIN medium LABEL ANSWER`; the layer reads the mean state of
    the medium's positions beside the last state of all. Latents are read before rounding, as everywhere in reading.

    Args:
        bundle: the model whose tokenizer and GPT are taken.
        shape: what it reads and says.
        side: side of its input in pixels, a multiple of 32 (16 where the GPT reads single codes); pixels are resized.
        fresh: start from random weights instead of the model's.
    """

    def __init__(self, bundle: Bundle, shape: Shape, side: int, *, fresh: bool = False) -> None:
        super().__init__()
        given = bundle.need_gpt()
        group, span = given.config.group, bundle.info.visual.span
        if side % (bundle.info.visual.stride * group):
            raise ConfigError(f"side {side}: {bundle.info.name} reads multiples of {bundle.info.visual.stride * group}")
        self.side, self.group = side, group
        visual = VisualTokenizer(bundle.info.visual) if fresh else copy.deepcopy(bundle.visual)
        gpt = GPT(given.config) if fresh else copy.deepcopy(given)
        for part in ("from_latent", "decoder_time", "split", "decoder"):  # drawing is no part of reading
            delattr(visual, part)
        row = _template(bundle, side, 1 + (shape.frames - 1) // span)
        used, ids = np.unique(row.ids, return_inverse=True)
        gpt.text = nn.Embedding.from_pretrained(gpt.text.weight.detach()[torch.from_numpy(used)], freeze=False)
        gpt.head = nn.Identity()  # type: ignore[assignment]
        self.visual, self.gpt = visual, gpt
        self.head = nn.Linear(2 * given.config.width, shape.labels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        where = row.ids == vocab.Special.VISUAL
        self.register_buffer("ids", torch.from_numpy(ids.astype(np.int64))[None], persistent=False)
        self.register_buffer("positions", torch.from_numpy(row.positions)[None], persistent=False)
        self.register_buffer("is_visual", torch.from_numpy(where)[None], persistent=False)
        self.register_buffer("where", torch.from_numpy(np.flatnonzero(where)), persistent=False)
        for parameter in self.parameters():
            parameter.requires_grad_(True)

    ids: Tensor
    positions: Tensor
    is_visual: Tensor
    where: Tensor

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, F, 3, Y, X) in [0, 1] -> logits (B, K)."""
        return self.head(self.features(pixels))

    def features(self, pixels: Tensor) -> Tensor:
        """Pixels (B, F, 3, Y, X) in [0, 1] -> what the last layer reads (B, 2 D)."""
        latents = self.visual.encode(resized(pixels, self.side) * 2 - 1)
        g = self.group
        parts = latents.unflatten(3, (-1, g)).unflatten(2, (-1, g)).transpose(3, 4)  # B T y/g x/g g g d
        own = parts.flatten(4).flatten(2, 3)  # B T N k, and beside them what `sequence.layout` lays there
        same = torch.cat([torch.zeros_like(own[:, :1]), own[:, :-1]], 1)
        following = torch.cat([same[:, :, 1:], torch.zeros_like(same[:, :, :1])], 2)
        seen = torch.cat([own, same, following], 3).flatten(1, 2)
        values = latents.new_zeros(len(latents), self.ids.shape[1], self.gpt.config.laid)  # what is read has no plan
        values[:, self.where, : seen.shape[2]] = seen
        states = self.gpt(self.ids, values, self.is_visual, self.positions)
        return torch.cat([states[:, self.where].mean(1), states[:, -1]], 1)


def _template(bundle: Bundle, side: int, maps: int):  # type: ignore[no-untyped-def]
    """The row of a medium whose codes are not known yet."""
    cells, latent = side // bundle.info.visual.stride, bundle.need_gpt().config.latent
    blank = Map(np.zeros((cells, cells), np.int64), *[np.zeros((cells, cells, latent), np.float32)] * 2)
    builder = spell.begin(Builder(bundle.need_gpt().config.group, latent))

    def encode(text: str) -> list[int]:
        return vocab.to_ids(bundle.text.encode(text))

    if maps == 1:
        spell.picture(builder, blank)
    else:
        spell.clip(builder, [blank] * maps, encode, bundle.info.fps, bundle.info.visual.span)
    return spell.label_prompt(builder).finish()


class CNNClassifier(nn.Module):
    """MONAI's ResNet-18: 2D for pictures, 3D for clips (Hara et al., arXiv 1711.09577), of any width.

    Args:
        shape: what it reads and says.
        side: side of its input in pixels; pixels are resized.
        width: planes of the first stage; each further stage has twice as many.
        stride: of the first convolution in space; below SMALL pixels it is 3x3 without the pooling that follows.
    """

    def __init__(self, shape: Shape, side: int, width: int, stride: int = 2) -> None:
        super().__init__()
        ResNet = resnet()
        self.side, self.clip = side, shape.frames > 1
        small = side < SMALL
        kernel, flat = 3 if small else 7, 1 if self.clip else 2
        space = {"conv1_t_size": kernel, "conv1_t_stride": stride}
        if flat == 1:  # time is short: it is halved by the later stages alone
            space = {"conv1_t_size": (3, kernel, kernel), "conv1_t_stride": (1, stride, stride)}  # type: ignore[dict-item]
        self.net = ResNet(
            "basic",
            list(LAYERS),
            [width * 2**stage for stage in range(4)],
            spatial_dims=3 if self.clip else 2,
            n_input_channels=3,
            no_max_pool=small,
            num_classes=shape.labels,
            bias_downsample=False,
            **space,
        )
        self.to(memory_format=torch.channels_last_3d if self.clip else torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, F, 3, Y, X) in [0, 1] -> logits (B, K)."""
        x = resized(pixels, self.side) * 4 - 2
        if self.clip:
            return self.net(x.transpose(1, 2).contiguous(memory_format=torch.channels_last_3d))
        return self.net(x[:, 0].contiguous(memory_format=torch.channels_last))


def resnet() -> type[nn.Module]:
    """MONAI's class; MissingExtra where it is not installed."""
    try:
        from monai.networks.nets.resnet import ResNet
    except ImportError as error:
        raise MissingExtra("monai", "compare", "the CNN of a comparison") from error
    return ResNet


def resized(pixels: Tensor, side: int) -> Tensor:
    """(B, F, C, Y, X) -> (B, F, C, side, side); gradients pass through."""
    if pixels.shape[-2:] == (side, side):
        return pixels
    flat = F.interpolate(pixels.flatten(0, 1), (side, side), mode="bilinear", antialias=True, align_corners=False)
    return flat.unflatten(0, pixels.shape[:2])


def count(network: nn.Module) -> int:
    """Parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def matched(build: Callable[[int], nn.Module], wanted: int) -> int:
    """The width whose network has the nearest count of parameters, without building all: the count is a quadratic.

    Raises: ConfigError if it doesn't come within LIKE of `wanted`.
    """
    widths = np.array([8, 16, 24])
    a, b, c = np.polyfit(widths, [count(build(int(width))) for width in widths], 2)
    best = max(4, round(float((-b + np.sqrt(max(0.0, b * b - 4 * a * (c - wanted)))) / (2 * a))))
    found = count(build(best))
    if abs(found - wanted) > LIKE * wanted:
        raise ConfigError(f"no width gives the CNN {wanted:,} parameters within {LIKE:.0%}; the nearest has {found:,}")
    return best
