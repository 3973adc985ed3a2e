"""The order in which a training run takes its media."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def shuffled(number: int, size: int, seed: int, tag: int, salt: int) -> int:
    """Which of `size` items comes `number`-th when each epoch takes all of them in an order of its own.

    Args:
        number: from 0, over all epochs.
        size: items an epoch.
        seed: of the run.
        tag: keeps streams within one job apart.
        salt: keeps jobs apart.
    """
    epoch, place = divmod(number, size)
    return int(_order(seed, tag, epoch, salt, size)[place])


@lru_cache(maxsize=16)
def _order(seed: int, tag: int, epoch: int, salt: int, size: int) -> np.ndarray:
    return np.random.default_rng([seed, tag, epoch, salt]).permutation(size)
