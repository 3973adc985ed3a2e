"""The engine's steps in C++ (src/native), two calls a step: packed weights, guided rows beside their twins on one read.

B drawn rows, R rows with their unconditional twins (B or 2B), S positions, D width.
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

from triptych.generate.sample import Sampler
from triptych.model.gpt import GPT, seen
from triptych.sequence.layout import Row
from triptych.sequence.pack import collate
from triptych.sequence.vocab import Special

_VISUAL = int(Special.VISUAL)  # numpy takes ten times as long to compare with the name
INTERFACE = 4  # of the extension module that this file calls
DERIVED = ("width", "heads", "kv_heads", "hidden", "slots", "head_width", "head_hidden", "inputs")


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
    """Packs the weights of a GPT on a CPU.

    Raises:
        ValueError: weights that don't fit the configuration or are not finite; a level that this machine can't run.
    """

    least = 1  # every sum runs in one order, however many rows there are

    def __init__(self, model: GPT, build: Build) -> None:
        module, reason = extension()
        if module is None:
            raise RuntimeError(reason)
        self.module, self.build = module, build
        self.config = model.config
        config = {name: getattr(model.config, name) for name in (*type(model.config).model_fields, *DERIVED)}
        weights = {name: value.detach().float().numpy() for name, value in model.state_dict().items()}
        sizes = {name: value for name, value in config.items() if isinstance(value, int)}
        sizes["depth"] = model.config.layers
        self.gpt = module.GPT(sizes, weights, rates(), build.precision, build.level)
        self.pool = pool(build.threads)

    def open(self, rows: Sequence[Row], sampler: Sampler, room: int) -> tuple[NativeSession, Tensor]:
        """See `paths.Path`; keys and values are kept in pages that are added as a row grows, so `room` isn't needed."""
        session = NativeSession(self, sampler, len(rows))
        batch = collate(rows)
        ids, positions = batch["ids"].numpy(), batch["positions"].numpy()
        lengths = np.array([len(row) for row in rows], np.int64)
        session.inner.read(_marked(ids), self.seen(batch["values"], batch["positions"]), positions, lengths)
        return session, torch.from_numpy(session.inner.states())

    def seen(self, values: Tensor, positions: Tensor) -> np.ndarray:
        """What the network reads of positions (R, S, 3) with values (R, S, k)."""
        return seen(self.config, values, positions).contiguous().numpy()


def rates() -> np.ndarray:
    """The 32 rates of rotary positions: the angles that `model.layers.rotary` gives position (1, 1, 1)."""
    return torch.cat([10_000.0 ** -(torch.arange(n, dtype=torch.float32) / n) for n in (12, 10, 10)]).numpy()


@lru_cache
def pool(threads: int) -> Any:
    """The threads, shared by all models as the cores are."""
    return extension()[0].Pool(threads)


class NativeSession:
    """See `paths.Session`."""

    def __init__(self, path: NativePath, sampler: Sampler, rows: int) -> None:
        self.sampler = sampler
        self.branches = rows // len(sampler.rows)
        temperature = np.array([row.temperature for row in sampler.rows], np.float32)
        top_k = np.array([min(row.top_k, 2**62) for row in sampler.rows], np.int64)
        top_p = np.array([row.top_p for row in sampler.rows], np.float32)
        self.inner = path.module.Session(path.gpt, path.pool, temperature, top_k, top_p, self.branches > 1)
        self._each = np.ones(rows, np.int64)
        self._slots = torch.arange(path.config.slots)
        self._seen = path.seen
        self._read = 0

    def read(self, ids: Tensor, values: Tensor, positions: Tensor) -> Tensor:
        """See `paths.Session`."""
        self._read = ids.shape[1]
        parts = (
            _marked(ids.numpy()),
            self._seen(values, positions),
            positions.contiguous().numpy(),
            self._each * self._read,
        )
        return torch.from_numpy(self.inner.read(*parts, True))

    def advance(self, counts: Tensor | int) -> None:
        """See `paths.Session`."""
        if isinstance(counts, Tensor):
            self.inner.forget(self._read - counts.repeat(self.branches).numpy())
        elif counts < self._read:
            self.inner.forget(self._each * (self._read - counts))

    def choose_text(self, states: Tensor, legal: Tensor) -> Tensor:
        """See `paths.Session`."""
        parts = states.contiguous().numpy(), self.sampler.next().numpy(), legal.contiguous().numpy().view(np.uint8)
        return torch.from_numpy(self.inner.choose_text(*parts))

    def choose_codes(
        self, states: Tensor, before: Tensor, first: Tensor, known: Tensor, progress: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `paths.Session`."""
        uniform = self.sampler.numbers(first[..., None] + self._slots)
        guidance = self.sampler.guidance(progress)
        given = (part.contiguous().numpy() for part in (states, before))
        parts = *given, uniform.numpy(), guidance.numpy(), known.numpy()
        codes, nats = self.inner.choose_codes(*parts)
        return torch.from_numpy(codes), torch.from_numpy(nats)


def _marked(ids: np.ndarray) -> np.ndarray:
    """Ids as the extension takes them: -1 where latents stand."""
    return np.where(ids == _VISUAL, -1, ids)
