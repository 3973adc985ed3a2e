"""The head for retrieval: a text's vector -> where media of that text lie.

N texts, D width of the GPT.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PLAIN = 0.05  # temperature at the start of training


class RetrievalHead(nn.Module):
    """Turns the pooled vector of a text into a direction among those of media, which stay as they are: libraries of
    moments need not be read again for it.

    Trained by contrast, each text with its own medium against the others of its batch (InfoNCE, arXiv 1807.03748).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / PLAIN)))

    def forward(self, texts: Tensor) -> Tensor:
        """(N, D) -> (N, D) of length 1."""
        return F.normalize(self.down(F.gelu(self.up(texts))), dim=-1)
