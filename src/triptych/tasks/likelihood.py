"""Media and texts -> how likely each text is as a description of its medium."""

from __future__ import annotations

from collections.abc import Sequence

from triptych.sequence import spell
from triptych.tasks.common import Media, Model, ended


def text_nats(
    model: Model, media: Sequence[Media | None], texts: Sequence[str], *, language: str = "en"
) -> list[float]:
    """The log-likelihood of each text as a caption of its medium.

    Args:
        model: what reads.
        media: pictures, and clips, of which one window is read; None for no medium, as a baseline.
        texts: one a medium.
        language: tag of the language.

    Returns:
        nats, 0 or less, of the whole text and its end.
    """
    tag = model.encode(language)
    known = model.read(media)
    prompts = [spell.caption_prompt(model.show(model.begin(), medium), tag).finish() for medium in known]
    return model.likelihood(prompts, [ended(model.encode(text)) for text in texts])
