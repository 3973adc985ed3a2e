"""Where a network runs, and in which arithmetic it trains, by name."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from triptych.errors import ConfigError


def device_of(name: str) -> torch.device:
    """The device of a name: `cpu`, `cuda` (or `cuda:N`), or `auto`, which is cuda where there is one.

    Errors: ConfigError for another name, or where torch sees no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {name!r}: use cpu, cuda or auto")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {name!r}: torch sees no such device here; use cpu")
    return device


def settle() -> None:
    """Choose, for this process, what suits training on a GPU: rows come in many shapes, and cuDNN's attention plans
    each new one, which takes longer than all the rest of a step."""
    torch.backends.cuda.enable_cudnn_sdp(False)


def arithmetic(precision: str, device: torch.device) -> torch.dtype:
    """What matrix products of training are computed in, by the name `fp32`, `bf16` or `auto`.

    `auto` is bf16 on cuda and on a CPU that multiplies bfloat16 matrices in tiles (AMX), where a step takes a third of
    the time; on other CPUs one or the other may be faster.
    """
    tiles = device.type == "cpu" and getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    bf16 = precision == "bf16" or (precision == "auto" and (device.type == "cuda" or tiles))
    return torch.bfloat16 if bf16 else torch.float32


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Within, the forward pass runs in `arithmetic`."""
    dtype = arithmetic(precision, device)
    return contextlib.nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
