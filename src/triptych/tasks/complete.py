"""A part of a picture -> the whole: the top rows, or any codes."""

from __future__ import annotations

import numpy as np

from triptych.errors import ConfigError
from triptych.generate.engine import UNKNOWN
from triptych.tasks.common import Media, Model
from triptych.tasks.request import Request, encode, source
from triptych.tasks.settings import DrawSettings


def complete(
    model: Model,
    text: str,
    seed: int,
    settings: DrawSettings,
    *,
    image: Media | None = None,
    keep: float = 0.5,
    codes: np.ndarray | None = None,
) -> Request:
    """Draw the rest of a picture.

    Args:
        model: what draws.
        text: what the whole picture shows; may be empty.
        seed: of its random numbers.
        settings: how.
        image: a picture, of which the upper part is kept.
        keep: share of its height that is kept, from the top; whole rows of codes.
        codes: instead of a picture, the codes (Y, X) that are given, with -1 where they are to be drawn.

    Returns:
        the request; see tasks.canvas.

    Raises:
        ConfigError: neither a picture nor codes, or a share out of range.
    """
    if (image is None) == (codes is None):
        raise ConfigError("complete takes a picture or codes: give one of them")
    if not 0 <= keep <= 1:
        raise ConfigError(f"keep={keep}: give a share of the height from 0 to 1")
    if codes is None:
        assert image is not None
        codes = encode(model, source(model, image))
        group = model.gpt.config.group
        codes[round(keep * len(codes) / group) * group :] = UNKNOWN
    return Request(text, seed, settings, codes=np.array(codes, np.int64))
