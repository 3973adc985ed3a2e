"""A picture and an instruction -> the picture changed as the instruction says."""

from __future__ import annotations

from triptych.errors import ConfigError
from triptych.tasks.common import Media, Model
from triptych.tasks.request import Request
from triptych.tasks.settings import DrawSettings


def edit(model: Model, text: str, seed: int, settings: DrawSettings, *, image: Media) -> Request:
    """Draw a picture again, changed as the instruction says.

    The model reads the picture whole before it draws, so unlike a hole's filling the new picture knows all of the old
    one. Guidance leads from the picture without the instruction to the picture with it (arXiv 2211.09800). It works
    with a model that has learned from edits (the spelling `edit`; docs/data.md tells how to write them). One that plans
    them draws only around what its plan changes. Where the same codes come again, the picture's own pixels stay.

    Args:
        model: what draws.
        text: the instruction, such as "make the ball green".
        seed: of its random numbers.
        settings: how.
        image: the picture; scaled and cut to the model's own size.

    Returns:
        the request; see tasks.canvas.

    Raises:
        ConfigError: there is no instruction.
    """
    if not text:
        raise ConfigError('edit takes an instruction, such as "make the ball green"')
    pixels = model.frames(model.pixels(image))[0]
    views = tuple(view for view in model.read([pixels]) if view is not None)
    codes = views[0].maps[0].codes
    return Request(text, seed, settings, views, guided_from_views=True, original=pixels, before=codes)
