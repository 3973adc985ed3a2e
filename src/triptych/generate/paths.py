"""What a path must do for the engine, and which one does it, and why: torch, or the native path. The only place that
decides.

A person forces a choice by the environment:
    TRIPTYCH_ENGINE      torch, native, or auto (native on a CPU, where it was built)
    TRIPTYCH_PRECISION   exact, fp32, bf16, int8, or auto (what the model was exported with), of the native path
    TRIPTYCH_LEVEL       a level that the processor runs, such as avx2, or auto (the fastest), of the native path
    TRIPTYCH_THREADS     threads of the native path; 0 takes as many as torch, within what the process may use

R rows, B of them drawn, S or W positions, V text ids, G codes a position, d latent dimensions, D width.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from triptych.errors import ConfigError
from triptych.generate.native_path import Build, NativePath, extension
from triptych.generate.native_visual import NativeVisual
from triptych.generate.sample import Sampler
from triptych.generate.torch_path import TorchPath
from triptych.model.gpt import GPT
from triptych.sequence.layout import Row
from triptych.tokenizers.visual import VisualTokenizer

ENGINES = ("auto", "native", "torch")
PRECISIONS = ("auto", "exact", "fp32", "bf16", "int8")


class Session(Protocol):
    """R rows side by side, B drawn ones and behind them their unconditional twins, where there are any: what was read
    of each, and what follows from it. Tensors are on the model's device."""

    def read(self, ids: Tensor, values: Tensor, positions: Tensor) -> Tensor:
        """Look S positions further on in each row; `advance` must say next how many of them count.

        Args:
            ids: (R, S) int64 in [0, V); Special.VISUAL where `values` stand instead.
            values: (R, S, k), as `sequence.layout.Row` holds them.
            positions: (R, S, 3) time, row, column.

        Returns:
            (R, S, D) states; the state of a position predicts the next one.
        """

    def advance(self, counts: Tensor | int) -> None:
        """Hold the first so many of the positions that were read last, the same number in each row or (B,), and forget
        the others."""

    def choose_text(self, states: Tensor, legal: Tensor) -> Tensor:
        """States (B, D) -> (B,) int64 text ids, by the next number of each row's stream; `legal` (V,) bool."""

    def choose_codes(
        self, states: Tensor, before: Tensor, first: Tensor, known: Tensor, progress: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The codes after each of W states of each row, one after another.

        Args:
            states: (R, W, D).
            before: (R, W, G) codes, plus one, of the same place in the map before; zero for none.
            first: (B, W) where in the row's stream of random numbers the G of this position begin.
            known: (B, W, G) codes that are given, UNKNOWN where they are to be drawn.
            progress: (B, W) share of the map (0 to 1) that stands before; guidance hangs on it.

        Returns:
            (B, W, G) int64 codes, and the log-probability of each, guided and at the row's temperature.
        """


class Path(Protocol):
    """Opens sessions on one GPT."""

    least: int
    """Vectors that must stand side by side for a row's numbers not to depend on how many do."""

    def open(self, rows: Sequence[Row], sampler: Sampler, room: int) -> tuple[Session, Tensor]:
        """Read prompts of any lengths, with room for so many more positions; unconditional twins, where there are any,
        stand behind the drawn rows. Gives the session and the state (R, D) of each prompt's last position."""


@dataclass(frozen=True)
class Choice:
    """What runs: `build` of the native path, or None for torch; and why, in a few words."""

    build: Build | None
    reason: str

    def __str__(self) -> str:
        if self.build is None:
            return f"torch: {self.reason}"
        return f"native, {self.build.precision}, {self.build.level}, {self.build.threads} threads: {self.reason}"


def choose(model: GPT, precision: str = "exact", engine: str | None = None) -> Choice:
    """Decide for a GPT.

    Args:
        model: where and in which type its weights are decides what is possible.
        precision: what the model was exported with; `exact` takes the weights as they are, in half the bytes where that
            loses nothing, as in a model that was exported as bfloat16.
        engine: `auto`, `native` or `torch`; None follows the environment.

    Raises:
        ConfigError: an unknown value, or `native` where that is impossible.
    """
    engine = engine or _asked("TRIPTYCH_ENGINE", ENGINES)
    if engine == "torch":
        return Choice(None, "asked for")
    against = _obstacle(model)
    if against and engine == "native":
        raise ConfigError(f"the native engine was asked for, but {against}; or set TRIPTYCH_ENGINE=torch")
    if against:
        return Choice(None, against)
    asked = _asked("TRIPTYCH_PRECISION", PRECISIONS)
    levels = extension()[0].levels()
    level = _asked("TRIPTYCH_LEVEL", ("auto", *levels))
    precision = precision if asked == "auto" else asked
    if precision == "exact":
        precision = "bf16" if _fits_bfloat16(model) else "fp32"
    build = Build(precision, levels[0] if level == "auto" else level, _threads())
    return Choice(build, "asked for" if engine == "native" else "the fastest on this CPU")


def open_path(model: GPT, choice: Choice) -> Path:
    """The path of a choice; packing the weights takes a moment."""
    return TorchPath(model) if choice.build is None else NativePath(model, choice.build)


def open_visual(visual: VisualTokenizer, choice: Choice) -> VisualTokenizer | NativeVisual:
    """What runs the visual tokenizer where the GPT's path is `choice`."""
    return visual if choice.build is None else NativeVisual(visual, choice.build)


def _obstacle(model: GPT) -> str:
    weight = model.norm.weight
    if weight.device.type != "cpu":
        return f"the weights are on {weight.device.type}"
    if weight.dtype != torch.float32:
        return f"the weights are {weight.dtype}"
    return extension()[1]


def _fits_bfloat16(model: GPT) -> bool:
    """Whether no matrix has anything in the 16 bits that bfloat16 lacks."""
    return not any((w.detach().view(torch.int32) & 0xFFFF).any() for w in model.parameters() if w.ndim == 2)


def _threads() -> int:
    text = os.environ.get("TRIPTYCH_THREADS", "0")
    if not text.isdecimal() or int(text) > 1024:
        raise ConfigError(f"TRIPTYCH_THREADS={text!r}: use a number from 1 to 1024, or 0 for the usual number")
    return int(text) or min(torch.get_num_threads(), extension()[0].allowed_threads())


def _asked(name: str, known: Sequence[str]) -> str:
    value = os.environ.get(name) or "auto"
    if value not in known:
        raise ConfigError(f"{name}={value!r}: use one of {', '.join(known)}")
    return value
