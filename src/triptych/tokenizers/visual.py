"""The visual tokenizer: pictures and clips <-> codes, by one convolutional network that is causal in time.

A picture is a clip of one frame. 224x224 pixels become 14x14 codes; a clip of 1 + 4k frames becomes 1 + k maps:
the first frame has a map of its own, each further map holds four frames (0.5 s at 8 frames a second).

B batch, F frames, T maps (F = 1 + 4(T - 1)), C channels, Y rows, X columns, d latent dimensions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.config import VisualTokenizerConfig
from triptych.tokenizers.quantize import FSQ


class Residual(nn.Module):
    """x + 1x1(relu(3x3(x))), the identity at first so that depth costs nothing early on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(width, width, 3, padding=1)
        self.narrow = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, Y, X) -> the same."""
        return x + self.narrow(F.relu(self.wide(F.leaky_relu(x, 0.2))))


class Causal(nn.Module):
    """Mix each map with the two before it, then with its surroundings. (B, T, C, Y, X) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.past = nn.Conv2d(3 * width, width, 1)
        nn.init.zeros_(self.past.weight)
        nn.init.zeros_(self.past.bias)  # type: ignore[arg-type]
        self.around = Residual(width)

    def forward(self, x: Tensor) -> Tensor:
        """Before the first map stands the first map itself, so that a picture needs no special case."""
        batch, maps = x.shape[:2]
        first = x[:, :1]
        one, two = torch.cat([first, x[:, :-1]], 1), torch.cat([first, first, x[:, :-2]], 1)[:, :maps]
        mixed = self.past(torch.cat([x, one, two], 2).flatten(0, 1))
        return self.around(x.flatten(0, 1) + mixed).unflatten(0, (batch, maps))


def _one(*layers: nn.Module) -> nn.Module:
    """Layers in the place of one, so that the names of the weights after them don't depend on how many there are."""
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


class VisualTokenizer(nn.Module):
    """Pixels -> bounded latents -> codes -> pixels.

    Pixels are float in [-1, 1]; sides must be multiples of 16; frames 1 + 4k.
    """

    def __init__(self, config: VisualTokenizerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VisualTokenizerConfig()
        fine, middle, coarse = config.widths
        dims = len(config.levels)
        self.fsq = FSQ(config.levels)

        def blocks(width: int) -> list[nn.Module]:
            return [Residual(width) for _ in range(config.blocks)]

        def extra(width: int) -> list[nn.Module]:
            return [Residual(width) for _ in range(config.extra)]

        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(8),  # no convolution at full size: on a CPU it would cost more than all the rest
            nn.Conv2d(192, middle, 1),
            *blocks(middle),
            _one(*extra(middle), nn.PixelUnshuffle(2)),
            nn.Conv2d(4 * middle, coarse, 1),
            *blocks(coarse),
            *extra(coarse),
        )
        self.merge = nn.Conv2d(config.span * coarse, coarse, 1)
        self.encoder_time = Causal(coarse)
        self.to_latent = nn.Conv2d(coarse, dims, 1)
        self.from_latent = nn.Conv2d(dims, coarse, 3, padding=1)
        self.decoder_time = nn.Sequential(Causal(coarse), Causal(coarse))
        self.split = nn.Conv2d(coarse, config.span * coarse, 1)
        self.decoder = nn.Sequential(
            *blocks(coarse),
            nn.Conv2d(coarse, 4 * middle, 1),
            _one(nn.PixelShuffle(2), *extra(middle)),
            *blocks(middle),
            nn.Conv2d(middle, 4 * fine, 1),
            nn.PixelShuffle(2),
            _one(*extra(fine), nn.LeakyReLU(0.2)),
            nn.Conv2d(fine, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )

    @property
    def reading(self) -> tuple[nn.Module, ...]:
        """The parts that make codes of pixels; the others make pixels of codes."""
        return self.encoder, self.merge, self.encoder_time, self.to_latent

    def taps(self, pixels: Tensor) -> list[Tensor]:
        """What the encoder finds in pictures (B, 3, Y, X), before time: (B, C, y, x) of blocks that every size has."""
        x, out = pixels, []
        for layer in self.encoder:
            x = layer(x)
            if isinstance(layer, Residual):
                out.append(x)
        return out

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels (B, F, 3, Y, X) -> bounded latents (B, T, Y/16, X/16, d), in about [-1, 1], not yet rounded."""
        batch, frames = pixels.shape[:2]
        span, stride = self.config.span, self.config.stride
        if frames % span != 1 or pixels.shape[3] % stride or pixels.shape[4] % stride:
            raise ValueError(
                f"encode takes 1 + {span}k frames with sides that are multiples of {stride}, got "
                f"{frames} frames of {pixels.shape[4]}x{pixels.shape[3]}: pad the clip or resize it"
            )
        x = self.encoder(pixels.flatten(0, 1)).unflatten(0, (batch, frames))
        x = torch.cat([x[:, :1].expand(-1, span - 1, -1, -1, -1), x], 1)
        x = x.unflatten(1, (-1, span)).flatten(2, 3)
        maps = x.shape[1]
        x = self.encoder_time(self.merge(x.flatten(0, 1)).unflatten(0, (batch, maps)))
        z = self.to_latent(x.flatten(0, 1)).unflatten(0, (batch, maps))
        return self.fsq.bound(z.permute(0, 1, 3, 4, 2))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, T, Y/16, X/16, d), rounded or not -> pixels (B, F, 3, Y, X), about [-1, 1]."""
        batch, maps = latents.shape[:2]
        x = self.from_latent(latents.permute(0, 1, 4, 2, 3).flatten(0, 1)).unflatten(0, (batch, maps))
        x = self.decoder_time(x)
        x = self.split(x.flatten(0, 1)).unflatten(1, (self.config.span, -1)).unflatten(0, (batch, maps))
        x = x.flatten(1, 2)[:, self.config.span - 1 :]  # the first map's earlier frames do not exist
        frames = x.shape[1]
        return self.decoder(x.flatten(0, 1)).unflatten(0, (batch, frames))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels -> pixels through the rounded latents, for training."""
        return self.decode(self.fsq.quantize(self.encode(pixels)))

    @torch.no_grad()
    def tokenize(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Bytes (B, F, Y, X, 3) -> codes (B, T, Y/16, X/16) int64 and latents (..., d) float32."""
        latents = self.encode(to_float(frames))
        return self.fsq.to_codes(latents), latents

    @torch.no_grad()
    def draw(self, codes: Tensor) -> Tensor:
        """Codes (B, T, Y/16, X/16) -> bytes (B, F, Y, X, 3)."""
        return to_bytes(self.decode(self.fsq.to_latents(codes)))


def to_float(frames: Tensor) -> Tensor:
    """Bytes (B, F, Y, X, 3) -> float (B, F, 3, Y, X) in [-1, 1]."""
    return frames.permute(0, 1, 4, 2, 3).float().div(127.5).sub(1)


def to_bytes(pixels: Tensor) -> Tensor:
    """Float (B, F, 3, Y, X) -> bytes (B, F, Y, X, 3)."""
    return ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 1, 3, 4, 2)
