"""Logits -> ids, by one uniform number a row, so that a row's draws don't depend on its neighbours.

B rows, W places, K choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 64  # uniform numbers drawn ahead for each row
UNKNOWN = -1  # marks a code that is to be drawn


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
    """The settings of all rows as tensors, and each row's stream of uniform numbers.

    A number belongs to a place in its stream, so places may be drawn in any order, several at once, and twice.
    """

    def __init__(self, rows: Sequence[Sampling], device: torch.device) -> None:
        self.rows = list(rows)
        self.device = device
        self._streams = [torch.Generator().manual_seed(row.seed) for row in rows]
        self._drawn, self._used = torch.zeros(len(self.rows), 0, device=device), 0
        column = [(row.temperature, row.top_p, row.top_k, row.guidance, row.ramp) for row in rows]
        columns = torch.tensor(column, dtype=torch.float32, device=device).unbind(1)
        self._temperature, self._top_p, self._top_k, self._guidance, self._ramp = columns
        self._plain = all(row.top_k == 0 and row.top_p == 1 for row in rows)

    def __call__(self, logits: Tensor) -> Tensor:
        """(B, K) logits -> (B,) int64 ids, by the next number of each stream."""
        places = torch.full((len(self.rows), 1), self.take(1), device=self.device)
        return self.at(logits[:, None], places)[:, 0]

    def take(self, count: int) -> int:
        """Set the next `count` numbers of each stream aside; gives the place of the first of them."""
        first, self._used = self._used, self._used + count
        while self._drawn.shape[1] < self._used:  # in blocks: the same numbers as one by one, and cheaper
            block = torch.stack([torch.rand(BLOCK, generator=stream) for stream in self._streams])
            self._drawn = torch.cat([self._drawn, block.to(self.device)], 1)
        return first

    def next(self) -> Tensor:
        """(B,) the next uniform number in [0, 1) of each row's stream."""
        place = self.take(1)
        return self._drawn[:, place].contiguous()

    def numbers(self, places: Tensor) -> Tensor:
        """The uniform numbers in [0, 1) at places (B, ...) of each row's stream, which were taken."""
        return self._drawn.gather(1, places.flatten(1)).view(places.shape)

    def at(self, logits: Tensor, places: Tensor) -> Tensor:
        """(B, W, K) logits -> (B, W) ids, by the numbers at places (B, W) of each row's stream."""
        uniform = self.numbers(places)
        width = places.shape[1]
        warm, top_k, top_p = (v.repeat_interleave(width) for v in (self._temperature, self._top_k, self._top_p))
        drawn = choose(logits.float().flatten(0, 1), uniform.flatten(), warm, top_k, top_p, self._plain)
        return drawn.unflatten(0, (-1, width))

    def nats(self, logits: Tensor, ids: Tensor) -> Tensor:
        """(B, W) log-probability of ids at the rows' temperatures (1 where it is 0), before any tail is cut."""
        warm = torch.where(self._temperature > 0, self._temperature, torch.ones_like(self._temperature))
        return (logits.float() / warm[:, None, None]).log_softmax(-1).gather(-1, ids[..., None])[..., 0]

    def guidance(self, progress: Tensor) -> Tensor:
        """(B, W) guidance of each row when so much (0 to 1) of its medium is drawn; see Sampling.guidance_at."""
        ramp = self._ramp[:, None]
        share = torch.where(ramp > 0, progress / ramp.clamp_min(1e-9), torch.ones_like(progress)).clamp_max(1.0)
        return 1 + (self._guidance[:, None] - 1) * share


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
