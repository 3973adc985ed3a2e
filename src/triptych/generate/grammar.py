"""Which ids are legal next: a generation is a plan of steps, and each step allows only its own kind.

Text can't run into a picture, a picture can't stop half-way, and no special id is ever written as text.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.sequence.vocab import OFFSET, Special


@dataclass(frozen=True)
class Write:
    """Ids that are given: the time before a map, the start of a picture."""

    ids: tuple[int, ...]


@dataclass(frozen=True)
class DrawMap:
    """One map of codes, `rows` x `columns` groups. Some of its codes may be given; see Engine.generate.

    passes: 0 draws row by row; else in any order, given codes first, the others in so many passes at most.
    """

    rows: int
    columns: int
    passes: int = 0


@dataclass(frozen=True)
class Say:
    """Text up to END, `limit` ids at most and one at least."""

    limit: int = 256


Step = Write | DrawMap | Say


def legal(said: int, vocabulary: int) -> Tensor:
    """(V,) bool: what may follow in a text of which `said` ids are there."""
    mask = torch.zeros(vocabulary, dtype=torch.bool)
    mask[OFFSET:] = True
    mask[Special.END] = said > 0
    return mask
