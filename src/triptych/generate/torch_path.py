"""The engine's steps on torch: on any device, and what the native path must equal.

B drawn rows, R rows with their unconditional twins (B or 2B), S positions, W positions whose codes are chosen, G codes
a position, D width. What the methods take and give stands in `paths.Session`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.generate.sample import UNKNOWN, Sampler
from triptych.model.cache import STEP
from triptych.model.gpt import GPT
from triptych.sequence.layout import Row
from triptych.sequence.pack import collate
from triptych.sequence.vocab import Special


class TorchPath:
    """Opens sessions on a GPT as it is."""

    # A CPU multiplies fewer than four vectors by other kernels, which round differently; with that many, a row's
    # numbers are the same whatever its batch, so the same seed draws the same codes.
    least = 4

    def __init__(self, model: GPT) -> None:
        self.model = model

    def open(self, rows: Sequence[Row], sampler: Sampler, room: int) -> tuple[TorchSession, Tensor]:
        """See `paths.Path`."""
        # Attention works in blocks of 32 positions: whole ones round alike whatever the longest row is.
        batch = collate(rows, sampler.device, multiple=32)
        session = TorchSession(self.model, sampler, len(rows), batch["ids"].shape[1] + room)
        states = session.read(batch["ids"], batch["values"], batch["positions"])
        lengths = torch.tensor([len(row) for row in rows], device=sampler.device)
        session.advance(lengths)
        return session, states[torch.arange(len(rows)), lengths - 1]


class TorchSession:
    """See `paths.Session`."""

    def __init__(self, model: GPT, sampler: Sampler, rows: int, room: int) -> None:
        self.model, self.sampler = model, sampler
        self.count, self.branches = len(sampler.rows), rows // len(sampler.rows)
        self.cache = model.new_cache(rows, -(-room // STEP) * STEP)

    def read(self, ids: Tensor, values: Tensor, positions: Tensor) -> Tensor:
        """See `paths.Session`."""
        dtype = self.model.norm.weight.dtype
        return self.model(ids, values.to(dtype), ids == Special.VISUAL, positions, self.cache)

    def advance(self, counts: Tensor | int) -> None:
        """See `paths.Session`."""
        self.cache.advance(counts if isinstance(counts, int) else counts.repeat(len(self.cache.lengths) // len(counts)))

    def choose_text(self, states: Tensor, legal: Tensor) -> Tensor:
        """See `paths.Session`."""
        logits = self.model.text_logits(states).float()
        return self.sampler(logits.masked_fill(~legal, -torch.inf))

    def choose_codes(
        self, states: Tensor, before: Tensor, first: Tensor, known: Tensor, progress: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `paths.Session`."""
        rows, width = states.shape[:2]
        flat, there = states.flatten(0, 1), before.flatten(0, 1)
        codes = torch.zeros(rows * width, 0, dtype=torch.long, device=states.device)
        nats = []
        for slot in range(self.model.config.slots):
            logits = self.model.code_logits(flat, codes, there)[:, -1].float().unflatten(0, (rows, width))
            if self.branches > 1:
                with_, without = logits.log_softmax(-1).chunk(2)
                logits = without + self.sampler.guidance(progress)[..., None] * (with_ - without)
            drawn = self.sampler.at(logits, first + slot)
            chosen = torch.where(known[..., slot] == UNKNOWN, drawn, known[..., slot])
            nats.append(self.sampler.nats(logits, chosen))
            codes = torch.cat([codes, chosen.repeat(self.branches, 1).flatten()[:, None]], 1)
        return codes[: self.count * width].unflatten(0, (-1, width)), torch.stack(nats, -1)
