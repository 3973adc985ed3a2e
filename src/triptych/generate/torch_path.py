"""The engine's steps on torch: on any device, and what the native path must equal.

R rows with twins (B drawn rows, or B and their B twins), S positions, G codes a position, d latent dimensions, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from triptych.generate.grammar import legal
from triptych.generate.sample import Sampler
from triptych.model.gpt import GPT
from triptych.sequence.layout import Row
from triptych.sequence.pack import collate
from triptych.sequence.vocab import Special


class TorchPath:
    """Opens sessions on a GPT as it is; `grid` (C, d) holds the latent of each visual code."""

    def __init__(self, model: GPT, grid: Tensor) -> None:
        self.model, self.grid = model, grid

    def open(self, rows: Sequence[Row], sampler: Sampler, room: int) -> TorchSession:
        """Read the prompts of R rows, with room for so many further positions."""
        return TorchSession(self, rows, sampler, room)


class TorchSession:
    """See `paths.Session`."""

    def __init__(self, path: TorchPath, rows: Sequence[Row], sampler: Sampler, room: int) -> None:
        self.model, self.grid, self.sampler = path.model, path.grid, sampler
        device = sampler.device
        self.count = len(sampler.rows)
        batch = collate(rows, device)
        self.cache = self.model.new_cache(len(rows), batch["ids"].shape[1] + room)
        states = self.model(batch["ids"], batch["values"], batch["is_visual"], batch["positions"], self.cache)
        lengths = torch.tensor([len(row) for row in rows], device=device)
        self.cache.advance(lengths)
        self.state = states[torch.arange(len(rows)), lengths - 1]  # (R, D)
        self.next = torch.tensor([row.next_position for row in rows], device=device)
        self._legal = [legal(said, self.model.config.vocabulary).to(device) for said in (0, 1)]

    def choose_text(self, first: bool) -> Tensor:
        """(B,) text ids."""
        logits = self.model.text_logits(self.state[: self.count]).float()
        return self.sampler(logits.masked_fill(~self._legal[0 if first else 1], -torch.inf))

    def choose_codes(self, progress: float) -> Tensor:
        """(B, G) codes of the next position, one after another."""
        rows = len(self.next)
        codes = torch.zeros(rows, 0, dtype=torch.long, device=self.state.device)
        for _ in range(self.model.config.slots):
            logits = self.model.code_logits(self.state, codes)[:, -1].float()
            if rows != self.count:
                with_, without = logits.log_softmax(-1).chunk(2)
                logits = without + self.sampler.guidance(progress) * (with_ - without)
            chosen = self.sampler(logits)
            codes = torch.cat([codes, chosen.repeat(rows // self.count)[:, None]], 1)
        return codes[: self.count]

    def write(self, ids: Sequence[int]) -> None:
        """Go on with the same text ids in each row."""
        self._text(torch.tensor(ids, device=self.state.device).expand(len(self.next), -1))

    def add_text(self, ids: Tensor) -> None:
        """Go on with one chosen text id a row."""
        self._text(ids.repeat(len(self.next) // self.count)[:, None])

    def add_codes(self, codes: Tensor, place: Sequence[int]) -> None:
        """Go on with the chosen codes, at a place (time, row, column) counted from the map's start."""
        both = codes.repeat(len(self.next) // self.count, 1)
        positions = torch.tensor(place, device=both.device) + self.next[:, None]
        ids = torch.full_like(both[:, :1], Special.VISUAL)
        self._feed(ids, self.grid[both].flatten(1)[:, None], positions[:, None])

    def skip(self, positions: int) -> None:
        """What follows stands so many positions further on."""
        self.next = self.next + positions

    @staticmethod
    def arrays(parts: Sequence[Tensor]) -> np.ndarray:
        """The codes of N positions as (B, N, G)."""
        return torch.stack(list(parts), 1).cpu().numpy()

    def _text(self, ids: Tensor) -> None:
        steps = torch.arange(ids.shape[1], device=ids.device)
        positions = (self.next[:, None] + steps)[..., None].expand(-1, -1, 3)
        width = self.model.config.slots * self.model.config.latent
        self._feed(ids, torch.zeros(*ids.shape, width, device=ids.device), positions)
        self.next = self.next + ids.shape[1]

    def _feed(self, ids: Tensor, values: Tensor, positions: Tensor) -> None:
        states = self.model(ids, values.to(self.state.dtype), ids == Special.VISUAL, positions, self.cache)
        self.cache.advance(ids.shape[1])
        self.state = states[:, -1]
