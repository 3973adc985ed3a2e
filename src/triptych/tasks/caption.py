"""Pictures and clips -> descriptions."""

from __future__ import annotations

from collections.abc import Sequence

from triptych.results import Caption
from triptych.sequence import spell
from triptych.tasks.common import Media, Model
from triptych.tasks.reading import tell


def caption(model: Model, media: Sequence[Media], *, language: str = "en", start: float = 0.0) -> list[Caption]:
    """Describe each medium in a language, by the likeliest words.

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
    return [
        Caption(text, language, medium.times if medium else None) for text, medium in zip(texts, known, strict=True)
    ]
