"""Checkpoints: a folder a step with a manifest of SHA-256, written beside and renamed; a damaged one is passed over.

step-00001500/state.safetensors   weights, averaged weights, optimiser state
step-00001500/state.json          step, seconds so far, settings, scalars of the optimisers
step-00001500/SHA256.json         written last
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from triptych.files import sha256, write_json


def save(folder: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, Any], keep: int) -> Path:
    """Write the checkpoint of a step atomically, then delete all but the newest `keep`."""
    final = folder / f"step-{step:08d}"
    beside = folder / f".{final.name}.part"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, beside / "state.safetensors"
    )
    write_json(beside / "state.json", facts)
    write_json(beside / "SHA256.json", {name: sha256(beside / name) for name in ("state.safetensors", "state.json")})
    for path in [*beside.iterdir(), beside]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(beside, final)
    here = steps(folder)
    place = here.index(final) + 1
    # What is newer than the checkpoint just written was damaged, else the run would have gone on from there.
    for old in [*here[: max(place - keep, 0)], *here[place:]]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def steps(folder: Path) -> list[Path]:
    """Checkpoints of a run, oldest first."""
    return sorted(folder.glob("step-*"))


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that is whole, or none."""
    return next((path for path in reversed(steps(folder)) if whole(path)), None)


def whole(path: Path) -> bool:
    """Whether all files are there with the hashes they were written with."""
    try:
        sums = json.loads((path / "SHA256.json").read_text())
        return all(sha256(path / name) == sums[name] for name in ("state.safetensors", "state.json"))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a checkpoint."""
    return load_file(path / "state.safetensors"), json.loads((path / "state.json").read_text(encoding="utf-8"))


def pack_optimizer(optimizer: torch.optim.Optimizer, prefix: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as flat tensors and plain numbers."""
    state = optimizer.state_dict()["state"]
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for index, items in state.items():
        for name, value in items.items():
            key = f"{prefix}.{index}.{name}"
            if isinstance(value, Tensor):
                tensors[key] = value
            else:
                scalars[key] = value
    return tensors, scalars


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, Tensor], scalars: dict[str, Any]
) -> None:
    """Put back what `pack_optimizer` took; the learning rates are the caller's."""
    whole_state = optimizer.state_dict()
    state: dict[int, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *scalars.items()]:
        if key.startswith(prefix + "."):
            index, name = key[len(prefix) + 1 :].split(".", 1)
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": whole_state["param_groups"]})
