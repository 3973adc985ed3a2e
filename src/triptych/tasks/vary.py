"""A picture -> another one like it."""

from __future__ import annotations

import numpy as np

from triptych.errors import ConfigError
from triptych.generate.engine import UNKNOWN
from triptych.tasks.canvas import derived
from triptych.tasks.common import Media, Model
from triptych.tasks.request import Request, encode, source
from triptych.tasks.settings import DrawSettings


def vary(model: Model, text: str, seed: int, settings: DrawSettings, *, image: Media, strength: float = 0.5) -> Request:
    """Draw a share of a picture's codes anew.

    Which ones is drawn by the seed: cells of one position each, spread over the picture. More strength takes the same
    cells and others. A redrawn cell knows the codes above it and to its left, kept or redrawn, and the text; not those
    below and to its right.

    Args:
        model: what draws.
        text: what the picture shows; may be empty.
        seed: of the choice and of its random numbers.
        settings: how.
        image: the picture.
        strength: share of the codes that are drawn anew; 0 keeps all, 1 none.

    Returns:
        the request; see tasks.canvas.

    Raises:
        ConfigError: the strength is out of range.
    """
    if not 0 <= strength <= 1:
        raise ConfigError(f"strength={strength}: give a share from 0 to 1")
    codes, group = encode(model, source(model, image)), model.gpt.config.group
    cells = np.random.default_rng(derived(seed, "vary")).random((codes.shape[0] // group, codes.shape[1] // group))
    rank = cells.ravel().argsort().argsort().reshape(cells.shape)
    codes[np.kron(rank < round(strength * rank.size), np.ones((group, group), bool))] = UNKNOWN
    return Request(text, seed, settings, codes=codes)
