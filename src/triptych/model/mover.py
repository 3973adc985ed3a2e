"""The mover: where things are and how they moved in the last frames -> where they will be in each of the next ones.

The GPT tells where things will be at times half a second apart, in whole percent of the picture, and it learned that
from as many clips as were drawn. How things go on is known far finer from frame to frame, and it can be learned without
a single picture: of what rolls, falls and is pushed, boxes are enough. So this network sees boxes alone. Things act on
each other in pairs, and what comes of all pairs is summed (interaction networks, Battaglia et al., arXiv 1612.00222),
so it knows no order and no number of things.

B scenes, N things, S frames before the last one, A frames ahead. Boxes are left, top, right and bottom, as shares of
the picture's sides.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

ROUNDS = 2
NEAR, FAST, FAR = 4.0, 8.0, 0.25  # what gaps and shifts are multiplied by, and what comes out, to be about one


class Ahead(NamedTuple):
    """What is to come of each thing.

    Args:
        edges: (B, N, A, 4), how far the box's edges will have gone.
        spread: (B, N, A), the distance by which its middle may well be off.
        stays: (B, N, A), logit that it can then be in the picture.
    """

    edges: Tensor
    spread: Tensor
    stays: Tensor


class Mover(nn.Module):
    """Things in motion -> how they go on.

    Args:
        span: S, frames before the last one that it looks at.
        ahead: A, frames that it tells; more than S.
        width: of its layers.
    """

    def __init__(self, span: int, ahead: int, width: int = 56) -> None:
        super().__init__()
        self.span, self.ahead, self.width = span, ahead, width
        own = 4 + 3 * span
        self.own = _two_layers(own, width, width)
        self.pair = _two_layers(2 * own + 6, width, width)
        self.acts = nn.ModuleList(_two_layers(3 * width, width, width) for _ in range(ROUNDS))
        self.turns = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(2 * width), _two_layers(2 * width, 2 * width, width)) for _ in range(ROUNDS)
        )
        self.tell = nn.Linear(width, ahead * 6)

    def forward(self, boxes: Tensor, shifts: Tensor, known: Tensor, there: Tensor) -> Ahead:
        """See above.

        Args:
            boxes: (B, N, 4), in the last frame.
            shifts: (B, N, S, 2), how far right and down each thing has come since 1, 2, ... frames before the last one.
            known: (B, N, S), 1 where that is known, else 0.
            there: (B, N), 1 for things, 0 for what fills rows up.
        """
        count = boxes.shape[1]
        moved = shifts * known[..., None]
        seen = torch.cat([boxes, FAST * moved.flatten(2), known], -1) * there[..., None]
        wide = (-1, count, count, -1)
        one, other = seen[:, :, None].expand(wide), seen[:, None].expand(wide)
        pair = self.pair(torch.cat([one, other, _between(boxes, moved[:, :, 0])], -1))
        acting = (there[:, None, :] * (1 - torch.eye(count, device=boxes.device)))[..., None]
        hidden = self.own(seen)
        for act, turn in zip(self.acts, self.turns, strict=True):
            both = torch.cat([hidden[:, :, None].expand(wide), hidden[:, None].expand(wide), pair], -1)
            hidden = hidden + turn(torch.cat([hidden, (act(both) * acting).sum(2)], -1))
        told = self.tell(hidden).unflatten(-1, (self.ahead, 6))
        return Ahead(FAR * told[..., :4], FAR * nn.functional.softplus(told[..., 4] - 3), told[..., 5])


def _between(boxes: Tensor, moved: Tensor) -> Tensor:
    """(B, N, N, 6): from each thing to each other one the way, the difference of their last shifts, and the gap."""
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    gap = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2]) - torch.minimum(
        boxes[:, :, None, 2:], boxes[:, None, :, 2:]
    )
    way, speed = (value[:, :, None] - value[:, None] for value in (middles, moved))
    return torch.cat([NEAR * way, FAST * speed, NEAR * gap], -1)


def _two_layers(start: int, width: int, end: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(start, width), nn.GELU(), nn.Linear(width, end))
