"""The engine's steps in C++ (src/native), one call a step: packed weights, guided rows beside their twins on one read.

R rows with twins (B drawn rows, or B and their B twins), S positions, G codes a position, d latent dimensions, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from triptych.generate.grammar import legal
from triptych.generate.sample import Sampler
from triptych.model.gpt import GPT
from triptych.sequence.layout import Row
from triptych.sequence.pack import collate
from triptych.sequence.vocab import Special

INTERFACE = 1  # of the extension module that this file calls
DERIVED = ("width", "heads", "kv_heads", "hidden", "slots", "head_width", "head_hidden")


@lru_cache
def extension() -> tuple[Any, str]:
    """The extension module, or None and why there is none."""
    try:
        module = import_module("_triptych_native")
    except ImportError as error:
        return None, f"the extension module can't be imported ({error}); install with a C++ compiler at hand"
    if getattr(module, "INTERFACE", None) != INTERFACE:
        return None, "the extension module was built from another version; install again"
    return module, ""


@dataclass(frozen=True)
class Build:
    """How weights are packed and run: precision (fp32, bf16, int8), level of the processor, threads."""

    precision: str
    level: str
    threads: int


class NativePath:
    """Packs the weights of a GPT on a CPU; `grid` (C, d) holds the latent of each visual code.

    Raises:
        ValueError: weights that don't fit the configuration or are not finite; a level that this machine can't run.
    """

    def __init__(self, model: GPT, grid: Tensor, build: Build) -> None:
        module, reason = extension()
        if module is None:
            raise RuntimeError(reason)
        self.module, self.build = module, build
        self.config = model.config
        config = {name: getattr(model.config, name) for name in (*type(model.config).model_fields, *DERIVED)}
        weights = {name: value.detach().float().numpy() for name, value in model.state_dict().items()}
        sizes = {name: value for name, value in config.items() if isinstance(value, int)}
        self.gpt = module.GPT(sizes, weights, rates(), build.precision, build.level)
        self.grid = grid.numpy().astype(np.float32)
        self.pool = pool(build.threads)

    def open(self, rows: Sequence[Row], sampler: Sampler, room: int) -> NativeSession:
        """Read the prompts of R rows; the cache grows by pages, so `room` isn't needed."""
        return NativeSession(self, rows, sampler)


def rates() -> np.ndarray:
    """The 32 rates of rotary positions: the angles that `model.layers.rotary` gives position (1, 1, 1)."""
    return torch.cat([10_000.0 ** -(torch.arange(n, dtype=torch.float32) / n) for n in (12, 10, 10)]).numpy()


@lru_cache
def pool(threads: int) -> Any:
    """The threads, shared by all models as the cores are."""
    return extension()[0].Pool(threads)


class NativeSession:
    """See `paths.Session`."""

    def __init__(self, path: NativePath, rows: Sequence[Row], sampler: Sampler) -> None:
        self.sampler, self.grid, self.slots = sampler, path.grid, path.config.slots
        self.count, self.all = len(sampler.rows), len(rows)
        temperature = np.array([row.temperature for row in sampler.rows], np.float32)
        top_k = np.array([min(row.top_k, 2**62) for row in sampler.rows], np.int64)
        top_p = np.array([row.top_p for row in sampler.rows], np.float32)
        self.session = path.module.Session(path.gpt, path.pool, temperature, top_k, top_p, self.all != self.count)
        self._ones = np.ones(self.all, np.int64)
        self._width = path.config.slots * path.config.latent
        self._legal = [legal(said, path.config.vocabulary).numpy().astype(np.uint8) for said in (0, 1)]
        batch = {name: value.numpy() for name, value in collate(rows).items()}
        ids = np.where(batch["is_visual"], -1, batch["ids"])
        lengths = np.array([len(row) for row in rows], np.int64)
        self.session.read(ids, batch["values"], batch["positions"], lengths)
        self.next = np.array([row.next_position for row in rows], np.int64)

    def choose_text(self, first: bool) -> np.ndarray:
        """(B,) text ids."""
        return self.session.choose_text(self.sampler.uniform(1)[:, 0].numpy(), self._legal[0 if first else 1])

    def choose_codes(self, progress: float) -> np.ndarray:
        """(B, G) codes of the next position, one after another."""
        guidance = np.array([row.guidance_at(progress) for row in self.sampler.rows], np.float32)
        return self.session.choose_codes(self.sampler.uniform(self.slots).numpy(), guidance)

    def write(self, ids: Sequence[int]) -> None:
        """Go on with the same text ids in each row."""
        self._text(np.tile(np.array(ids, np.int64), (self.all, 1)))

    def add_text(self, ids: np.ndarray) -> None:
        """Go on with one chosen text id a row."""
        self._text(self._both(ids)[:, None])

    def add_codes(self, codes: np.ndarray, place: Sequence[int]) -> None:
        """Go on with the chosen codes, at a place (time, row, column) counted from the map's start."""
        values = self.grid[self._both(codes)].reshape(self.all, 1, -1)
        positions = self.next[:, None, None] + np.array(place, np.int64)
        self.session.read(-self._ones[:, None], values, positions, self._ones)

    def skip(self, positions: int) -> None:
        """What follows stands so many positions further on."""
        self.next = self.next + positions

    @staticmethod
    def arrays(parts: Sequence[np.ndarray]) -> np.ndarray:
        """The codes of N positions as (B, N, G)."""
        return np.stack(parts, 1)

    def _both(self, rows: np.ndarray) -> np.ndarray:
        return rows if self.all == self.count else np.concatenate([rows, rows])

    def _text(self, ids: np.ndarray) -> None:
        if np.any(ids == Special.VISUAL):
            raise ValueError("a text can't hold the id of visual codes")
        count = ids.shape[1]
        positions = np.repeat((self.next[:, None] + np.arange(count))[..., None], 3, 2)
        self.session.read(ids, np.zeros((*ids.shape, self._width), np.float32), positions, self._ones * count)
        self.next = self.next + count
