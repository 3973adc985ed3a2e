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


def shards(data: Path, more: Sequence[Path], visual: VisualTokenizer, device: torch.device) -> Shards:
    """The windows of a prepared folder, then those of `more`.

    Args:
        data: what `visual` cut, or a tokenizer whose codes it is to learn (`new_codes`).
        more: further prepared folders.
        visual: the tokenizer whose codes the windows hold.
        device: where that is.

    Raises:
        DataError: one of `more` was cut by a tokenizer with other codes, or holds no windows.
    """
    for folder in more:
        if not same_codes(zoo.load(folder / "tokenizers", str(device)).visual, visual):
            raise DataError(
                f"{folder} was cut with another visual tokenizer than {data}: "
                f"prepare it again with --tokenizer {data / 'tokenizers'}"
            )
    grid = visual.fsq.to_latents(torch.arange(visual.fsq.codes, device=device)).cpu().numpy()
    return Shards([folder / "shards" for folder in (data, *more)], grid)
