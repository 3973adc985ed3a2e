"""Logits -> ids, by one uniform number a row, so that a row's draws don't depend on its neighbours.

B rows, K choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 64  # uniform numbers drawn ahead for each row


@dataclass(frozen=True)
class Sampling:
    """How one row is drawn.

    Args:
        temperature: divides the logits; 0 takes the likeliest.
        top_k: only the k likeliest; 0 takes all.
        top_p: only the likeliest that together reach p; 1 takes all.
        seed: of the row's own stream of random numbers.
        guidance: 1 is none; more follows the condition more closely (classifier-free guidance, arXiv 2207.12598).
        ramp: the guidance grows from 1 to `guidance` over this share of a drawn medium; 0 holds it level.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    guidance: float = 1.0
    ramp: float = 0.0

    def __post_init__(self) -> None:
        for name, value, legal in (
            ("temperature", self.temperature, self.temperature >= 0),
            ("top_k", self.top_k, self.top_k >= 0),
            ("top_p", self.top_p, 0 < self.top_p <= 1),
            ("guidance", self.guidance, self.guidance >= 0),
            ("ramp", self.ramp, 0 <= self.ramp <= 1),
        ):
            if not legal:
                raise ValueError(f"{name}={value} is out of range: see triptych.generate.sample.Sampling")

    def guidance_at(self, progress: float) -> float:
        """Guidance when `progress` (0 to 1) of the medium is drawn."""
        if self.ramp == 0:
            return self.guidance
        return 1 + (self.guidance - 1) * min(1.0, progress / self.ramp)


class Sampler:
    """The settings of all rows as tensors, and each row's stream of uniform numbers."""

    def __init__(self, rows: Sequence[Sampling], device: torch.device) -> None:
        self.rows = list(rows)
        self.device = device
        self._streams = [torch.Generator().manual_seed(row.seed) for row in rows]
        self._drawn, self._used = torch.zeros(len(self.rows), 0, device=device), 0
        column = [(row.temperature, row.top_p, row.top_k) for row in rows]
        self._temperature, self._top_p, self._top_k = torch.tensor(column, dtype=torch.float32, device=device).unbind(1)
        self._greedy = self._temperature == 0
        self._plain = all(row.top_k == 0 and row.top_p == 1 for row in rows)

    def __call__(self, logits: Tensor) -> Tensor:
        """(B, K) logits -> (B,) int64 ids."""
        uniform = self.uniform(1)[:, 0]
        return choose(logits.float(), uniform, self._temperature, self._top_k, self._top_p, self._plain)

    def uniform(self, count: int) -> Tensor:
        """(B, count) the next numbers in [0, 1) of each row's stream."""
        while self._used + count > self._drawn.shape[1]:  # many at once: the same numbers as one by one, and cheaper
            more = torch.stack([torch.rand(BLOCK, generator=stream) for stream in self._streams]).to(self.device)
            self._drawn, self._used = torch.cat([self._drawn[:, self._used :], more], 1), 0
        self._used += count
        return self._drawn[:, self._used - count : self._used]

    def guidance(self, progress: float) -> Tensor:
        """(B, 1) guidance of each row at this progress."""
        return torch.tensor([[row.guidance_at(progress)] for row in self.rows], device=self.device)

    @property
    def guided(self) -> bool:
        """Whether any row is guided."""
        return any(row.guidance != 1 for row in self.rows)


def choose(
    logits: Tensor, uniform: Tensor, temperature: Tensor, top_k: Tensor, top_p: Tensor, plain: bool = False
) -> Tensor:
    """Draw one id a row by inverting the cumulative distribution at `uniform`.

    Args:
        logits: (B, K).
        uniform: (B,) in [0, 1).
        temperature, top_k, top_p: (B,); see Sampling.
        plain: no row cuts its tail, so nothing needs sorting.
    """
    scaled = logits / torch.where(temperature > 0, temperature, torch.ones_like(temperature))[:, None]
    probability = scaled.softmax(-1)
    if not plain:
        # The tail is cut by rank, but drawn from in the order of ids: a row that cuts nothing draws the same ids
        # whether or not another row of its batch made this sort necessary.
        ranked, order = probability.sort(-1, descending=True)
        rank = torch.arange(probability.shape[1], device=logits.device)
        before = ranked.cumsum(-1) - ranked
        cut = (before >= top_p[:, None]) & (rank > 0)  # the likeliest always stays
        cut |= (top_k[:, None] > 0) & (rank >= top_k[:, None])
        cut &= (top_p[:, None] < 1) | (top_k[:, None] > 0)
        probability = probability.masked_fill(torch.zeros_like(cut).scatter(1, order, cut), 0.0)
    total = probability.cumsum(-1)
    place = torch.searchsorted(total, (uniform * total[:, -1])[:, None], right=True)
    # Rounding may point one past the last choice that has any probability.
    last = probability.shape[1] - 1 - (probability > 0).flip(-1).int().argmax(-1, keepdim=True)
    drawn = torch.minimum(place, last)[:, 0]
    return torch.where(temperature > 0, drawn, logits.argmax(-1))
