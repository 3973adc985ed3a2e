"""Which ids are legal next: a generation is a plan of steps, and each step allows only its own kind.

Text can't run into a picture, a picture can't stop half-way, and no special id is ever written as text.
"""

from __future__ import annotations

import itertools
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
    """Text up to END, `limit` ids at most and one at least.

    Args:
        limit: ids at most.
        opening: an id that the text, and each part of it, begins with wherever the model finds that likely enough; None
            leaves the beginning to it.
        least: log-probability that is enough.
        rounds: a text that tells the same part so many times on end stops, and tells it once; 0 lets it go on.
    """

    limit: int = 256
    opening: int | None = None
    least: float = 0.0
    rounds: int = 0


Step = Write | DrawMap | Say


def legal(said: int, vocabulary: int) -> Tensor:
    """(V,) bool: what may follow in a text of which `said` ids are there."""
    mask = torch.zeros(vocabulary, dtype=torch.bool)
    mask[OFFSET:] = True
    mask[Special.END] = said > 0
    return mask


def unwound(ids: list[int], opening: int, rounds: int) -> list[int] | None:
    """Ids whose last part begins anew with `opening`, without their repetition, where the `rounds` parts before it are
    alike; else None.

    >>> unwound([7, 1, 7, 2, 7, 2, 7], 7, 2), unwound([7, 2, 7, 2, 7, 3], 7, 2), unwound([7, 1, 7, 2, 7], 7, 2)
    ([7, 1, 7, 2], None, None)
    """
    if ids[-1:] != [opening]:
        return None
    begins = [place for place, id_ in enumerate(ids) if id_ == opening][-rounds - 1 :]
    parts = [ids[one:two] for one, two in itertools.pairwise(begins)]
    alike = len(parts) == rounds and all(part == parts[0] for part in parts)
    return ids[: begins[1]] if alike else None
