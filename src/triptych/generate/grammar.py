"""Which ids are legal next: a generation is a plan of steps, and each step allows only its own kind.

Text can't run into a picture, a picture can't stop half-way, and no special id is ever written as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from triptych.sequence.vocab import OFFSET, Special


@dataclass(frozen=True)
class Write:
    """Ids that are given: the time before a map, the start of a picture."""

    ids: tuple[int, ...]


@dataclass(frozen=True)
class DrawMap:
    """One map of codes, `rows` x `columns` groups."""

    rows: int
    columns: int


@dataclass(frozen=True)
class Say:
    """Text up to END, `limit` ids at most. With `choices`, only one of these id sequences can be said."""

    limit: int = 256
    choices: tuple[tuple[int, ...], ...] = field(default=())

    def __post_init__(self) -> None:
        if any(len(choice) == 0 for choice in self.choices):
            raise ValueError("an empty text can't be a choice")


Step = Write | DrawMap | Say


def legal(step: Say, said: Sequence[int], vocabulary: int) -> Tensor:
    """(V,) bool: what may follow `said` in a text."""
    mask = torch.zeros(vocabulary, dtype=torch.bool)
    if not step.choices:
        mask[OFFSET:] = True
        mask[Special.END] = len(said) > 0
        return mask
    prefix = tuple(said)
    for choice in step.choices:
        if choice[: len(prefix)] == prefix:
            mask[choice[len(prefix)] if len(choice) > len(prefix) else int(Special.END)] = True
    return mask
