"""What is still to be drawn, predicted at every position that draws: a second loss that ties words to codes.

Next-code prediction needs the text only where an object begins, a few codes of a picture; what stands next to a drawn
code follows from that code. So the link between words and codes gets little gradient and is learned last. Here each
state also predicts which codes the rest of the medium will hold, in any order, and the text helps at all of them.
The head serves training alone and is not exported.
Source: prediction of future summaries, Mahajan et al., arXiv 2510.14751; here a set of codes, learned by softmax.

B rows, S positions, M chosen positions, G codes a position, D width, C visual codes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.model.gpt import GPT


class Learner(nn.Module):
    """A GPT and the head that only training needs."""

    def __init__(self, gpt: GPT, summary: bool) -> None:
        super().__init__()
        self.gpt = gpt
        self.rest = nn.Linear(gpt.config.width, gpt.config.codes, bias=False) if summary else None
        if self.rest is not None:
            nn.init.zeros_(self.rest.weight)

    def summary_nats(self, before: Tensor, remaining: Tensor) -> Tensor:
        """Sum over positions of the cross-entropy, in nats, between `remaining` (M, C), as `rest_of` gives it, and what
        the states (M, D) say of it; less its own entropy, so that a perfect guess of the set costs 0."""
        assert self.rest is not None
        present = remaining.float()
        share = present / present.sum(1, keepdim=True).clamp(min=1)
        known = torch.xlogy(share, share).sum()
        return known - (share * F.log_softmax(self.rest(before).float(), -1)).sum()


def rest_of(codes: Tensor, counted: Tensor, count: int) -> Tensor:
    """Which codes each counted position and those after it in its row hold.

    Args:
        codes: (B, S, G) integers.
        counted: (B, S) bool; other positions hold nothing.
        count: C.

    Returns:
        (M, C) uint8, 1 where the code is still to come; M positions as `counted.nonzero()` orders them.
    """
    held = torch.zeros((*counted.shape, count), dtype=torch.uint8)
    held.scatter_(2, codes, counted[..., None].expand(codes.shape).to(torch.uint8))
    return held.flip(1).cummax(1).values.flip(1)[counted]
