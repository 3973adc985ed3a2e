"""A model -> what it is, what it costs, and what its files are."""

from __future__ import annotations

from typing import Any

from torch import nn

from triptych import zoo
from triptych.files import hashes_of
from triptych.generate.paths import choose
from triptych.model.gpt import GPT


def describe(bundle: zoo.Bundle) -> dict[str, Any]:
    """Name, parts, parameters, cost a token, files with sizes and hashes, and what made it, as plain values."""
    info, gpt = bundle.info, bundle.gpt
    parts: dict[str, nn.Module | None] = {"visual tokenizer": bundle.visual, "gpt": gpt, "retrieval": bundle.retrieval}
    parts |= {"verifier": bundle.verifier, "namer": bundle.namer, "mover": bundle.mover}
    facts: dict[str, Any] = {
        "name": info.name,
        "folder": str(bundle.path),
        "pictures": f"{info.size}x{info.size}",
        "clips": f"{info.frames} frames at {info.fps:g} a second",
        "parameters": {name: _size(part) for name, part in parts.items() if part is not None},
        "text ids": bundle.text.size,
        "visual codes": info.visual.codes,
    }
    if gpt is not None:
        facts["engine"] = str(choose(gpt, info.precision))
        facts |= _cost(gpt, (info.size // info.visual.stride) ** 2)
    facts["files"] = _files(bundle)
    facts["bits"] = info.bits
    facts["made"] = info.made
    return facts


def _cost(gpt: GPT, codes: int) -> dict[str, Any]:
    """Multiply-adds count as two operations; attention to earlier positions is left out, it is small here."""
    config = gpt.config
    trunk = sum(p.numel() for block in gpt.blocks for p in block.parameters())
    head = _size(gpt.head) - gpt.head.code.weight.numel()
    passes = sum(range(1, config.slots + 1))  # the head reads the codes before each code of a position again
    position = 2 * (trunk + gpt.visual.weight.numel() + head * passes)
    return {
        "depth": config.layers,
        "width": config.width,
        "heads": config.heads,
        "codes a position": config.slots,
        "positions a picture": codes // config.slots,
        "flops a text token": 2 * (trunk + gpt.text.weight.numel()),
        "flops a drawn code": position // config.slots,
        "flops a picture": position * codes // config.slots,
        "cache bytes a position": config.cache_bytes,
    }


def _files(bundle: zoo.Bundle) -> dict[str, Any]:
    stated = hashes_of(bundle.path).items()
    return {name: {"bytes": (bundle.path / name).stat().st_size, "sha256": value} for name, value in stated}


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
