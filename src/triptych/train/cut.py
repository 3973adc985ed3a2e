"""The windows that a run learns from: of its prepared folder, and of further ones that the same tokenizer cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from triptych import zoo
from triptych.data.shards import Shards
from triptych.errors import DataError
from triptych.tokenizers.visual import VisualTokenizer


def same(one: nn.Module, two: nn.Module) -> bool:
    """Whether two networks have the same weights, in the precision that models are stored in."""
    left, right = one.state_dict(), two.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[n].half(), right[n].half()) for n in left)


def same_codes(one: VisualTokenizer, two: VisualTokenizer) -> bool:
    """Whether two tokenizers read pixels as the same codes; their decoders may differ."""
    return one.config.levels == two.config.levels and same(nn.ModuleList(one.reading), nn.ModuleList(two.reading))


def shards(data: Path, more: Sequence[Path], parts: zoo.Bundle, device: torch.device) -> Shards:
    """The windows of a prepared folder, then those of `more`.

    Args:
        data: a prepared folder that `parts` cut, or another tokenizer with the same codes.
        more: further ones.
        parts: a model, or the tokenizers alone.
        device: where they are.

    Raises:
        DataError: a folder was cut by a tokenizer with other codes or for other frames, is named twice, or holds no
            windows.
    """
    folders = [data, *more]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise DataError(f"more={[str(folder) for folder in more]}: each prepared folder counts once, {data} among them")
    for folder in folders:
        own = zoo.load(folder / "tokenizers", str(device))
        frames = ("size", "fps", "frames")
        if not same_codes(own.visual, parts.visual) or any(
            getattr(own.info, n) != getattr(parts.info, n) for n in frames
        ):
            raise DataError(
                f"{folder} was cut with another visual tokenizer than {parts.path} has, or for other frames: "
                f"prepare it again with --tokenizer {parts.path}"
            )
    visual = parts.visual
    grid = visual.fsq.to_latents(torch.arange(visual.fsq.codes, device=device)).cpu().numpy()
    return Shards([folder / "shards" for folder in folders], grid)
