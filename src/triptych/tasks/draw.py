"""Text -> a picture; also pictures and text -> a picture."""

from __future__ import annotations

from collections.abc import Sequence

from triptych.tasks.common import Media, Model
from triptych.tasks.request import Request
from triptych.tasks.settings import DrawSettings


def draw(model: Model, text: str, seed: int, settings: DrawSettings, *, images: Sequence[Media] = ()) -> Request:
    """Draw a picture of a text.

    Args:
        model: what draws.
        text: what to draw; an empty text draws from nothing.
        seed: of its random numbers.
        settings: how.
        images: pictures that come before the text: earlier views of the scene to draw.

    Returns:
        the request; see tasks.canvas.
    """
    views = tuple(view for view in model.read(images) if view is not None)
    return Request(text, seed, settings, views)
