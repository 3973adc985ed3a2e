"""How much each code of a drawn map counts in training: rare ones more, so that floors don't drown the objects.

N maps, y, x rows and columns of codes, C visual codes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PRIOR = 20.0  # maps' worth of the place-blind frequencies, so that a code that a place never saw is merely rare


class Focus:
    """Weights of codes by their surprise: (-log2 p(code | place)) ** power, with a mean of 1 over the data.

    A text names objects; most codes show what lies behind them. The unweighted loss spends most of its gradient on the
    grain of backgrounds, and the link between words and objects is learned last. The weight depends on the code itself,
    so a model trained with it draws rare things too often: end with a phase of power 0.

    Args:
        codes: (N, y, x) of some thousand training maps of one size.
        count: C.
        power: 0 weighs all alike.
    """

    def __init__(self, codes: np.ndarray | Sequence[np.ndarray], count: int, power: float) -> None:
        codes = np.asarray(codes)
        number, self.shape = len(codes), codes.shape[1:]
        flat = codes.reshape(number, -1)
        seen = np.stack([np.bincount(place, minlength=count) for place in flat.T]).astype(np.float64)  # (y*x, C)
        overall = (seen.sum(0) + 1) / (seen.sum() + count)
        chance = (seen + PRIOR * overall) / (number + PRIOR)
        weights = (-np.log2(chance)) ** power
        self._weights = (weights / ((seen * weights).sum() / seen.sum())).astype(np.float32)

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Codes (y, x) -> weights (y, x); maps of another size weigh 1 throughout."""
        if codes.shape != self.shape:
            return np.ones(codes.shape, np.float32)
        return self._weights[np.arange(codes.size), codes.ravel()].reshape(codes.shape)
