"""Which code runs the engine's steps, and why: torch, or the native path. The only place that decides.

A person forces a choice by the environment:
    TRIPTYCH_ENGINE      torch, native, or auto (native on a CPU, where it was built)
    TRIPTYCH_PRECISION   exact, fp32, bf16, int8, or auto (what the model was exported with), of the native path
    TRIPTYCH_LEVEL       a level that the processor runs, such as avx2, or auto (the fastest), of the native path
    TRIPTYCH_THREADS     threads of the native path; 0 takes as many as torch, within what the process may use
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
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
    """Rows whose prompts were read, side by side. Chosen ids are of the path's own array type."""

    def choose_text(self, first: bool) -> Any:
        """(B,) text ids, `first` of a text or later ones."""

    def choose_codes(self, progress: float) -> Any:
        """(B, G) codes of the next position, when `progress` (0 to 1) of the map is drawn."""

    def write(self, ids: Sequence[int]) -> None:
        """Go on with the same text ids in each row."""

    def add_text(self, ids: Any) -> None:
        """Go on with one chosen text id a row."""

    def add_codes(self, codes: Any, place: Sequence[int]) -> None:
        """Go on with the chosen codes, at a place (time, row, column) counted from the map's start."""

    def skip(self, positions: int) -> None:
        """What follows stands so many positions further on."""

    def arrays(self, parts: Sequence[Any]) -> np.ndarray:
        """The codes of N positions as (B, N, G)."""


class Path(Protocol):
    """Opens sessions on one GPT."""

    def open(self, rows: Sequence[Row], sampler: Sampler, room: int) -> Session:
        """Read the prompts of rows; unconditional twins, where there are any, stand behind the drawn rows."""


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


def open_path(model: GPT, grid: Tensor, choice: Choice) -> Path:
    """The path of a choice; packing the weights takes a moment."""
    return TorchPath(model, grid) if choice.build is None else NativePath(model, grid, choice.build)


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
