"""Where a network runs, by name."""

from __future__ import annotations

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
