"""A critic of drawn pictures: it learns to tell them from real ones, and the decoder to leave it nothing to tell.

Where codes leave a detail open, the mean of what it may be has the least error of pixels: edges and gloss blur. A
critic refuses the mean, since no real picture has it. It sees the latents too, so that what it asks for is what the
codes say: gloss where they say metal.
Sources: patches, Isola et al., arXiv 1611.07004; hinge loss and the projection of a condition, Miyato and Koyama,
arXiv 1802.05637; its weight by the ratio of gradients, Esser et al., arXiv 2012.09841 (there at the last layer).

B frames, Y, X pixels, d latent dimensions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

WIDTHS = (48, 96, 128)  # channels at strides 4, 8 and 16
MOST = 100.0  # weight at most, by which the critic's gradient is scaled up to that of the other losses


class Critic(nn.Module):
    """Pixels and the latents that they were drawn by -> how real each patch looks.

    Args:
        latent: d.
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        before = 12
        for width in WIDTHS:
            layers += [nn.Conv2d(before, width, 4, 2, 1), nn.GroupNorm(8, width), nn.LeakyReLU(0.2)]
            before = width
        self.look = nn.Sequential(*layers)
        self.real = nn.Conv2d(before, 1, 3, padding=1)
        self.fits = nn.Conv2d(latent, before, 3, padding=1)

    def forward(self, pixels: Tensor, latents: Tensor) -> Tensor:
        """(B, 3, Y, X) in [-1, 1] and (B, d, Y/16, X/16) -> (B, 1, Y/16, X/16)."""
        seen = self.look(pixels)
        return self.real(seen) + (seen * self.fits(latents)).mean(1, keepdim=True)


def told_apart(critic: Critic, real: Tensor, drawn: Tensor, latents: Tensor) -> Tensor:
    """What the critic still has to learn: the hinge loss of real and drawn pictures, which get no gradient."""
    right, wrong = critic(torch.cat([real, drawn.detach()]), latents.repeat(2, 1, 1, 1)).chunk(2)
    return F.relu(1 - right).mean() + F.relu(1 + wrong).mean()


def refused(critic: Critic, drawn: Tensor, latents: Tensor) -> Tensor:
    """How unreal the drawn pictures look to the critic, which gets no gradient."""
    still = {name: value.detach() for name, value in critic.named_parameters()}
    return -functional_call(critic, still, (drawn, latents)).mean()


def balance(one: Tensor, other: Tensor) -> Tensor:
    """The factor that makes the gradient `other` as long as `one`, `MOST` at the most."""
    return (one.norm() / (other.norm() + 1e-6)).clamp(0, MOST)
