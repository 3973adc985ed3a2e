"""Pictures and clips -> descriptions."""

from __future__ import annotations

from collections.abc import Sequence

from triptych.results import Caption
from triptych.sequence import spell
from triptych.tasks import naming
from triptych.tasks.common import Media, Model
from triptych.tasks.reading import tell


def caption(model: Model, media: Sequence[Media], *, language: str = "en", start: float = 0.0) -> list[Caption]:
    """Describe each medium in a language, by the likeliest words, and the names that its pixels show.

    Args:
        model: what reads.
        media: pictures, and clips, of which one window is read.
        language: tag of the language.
        start: where in a clip's file to begin, in seconds.

    Returns:
        one caption a medium.
    """
    tag = model.encode(language)
    known = model.read(media, start=start, framings=model.framings)
    texts = tell(model, known, lambda medium: spell.caption_prompt(model.show(model.begin(), medium), tag).finish())
    named = naming.of_media(model, known, [language] * len(known), texts)
    return [
        Caption(names.said(text), language, medium.times if medium else None)
        for text, names, medium in zip(texts, named, known, strict=True)
    ]
