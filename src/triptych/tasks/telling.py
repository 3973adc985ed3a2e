"""What is told of a segment: descriptions with times, and the events in them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from triptych.clip_results import Moment
from triptych.generate.grammar import Say
from triptych.sequence import spell
from triptych.sequence.layout import Row
from triptych.tasks import naming
from triptych.tasks.common import SAY_LIMIT, Medium, Model
from triptych.tasks.reading import tell

STAMP = re.compile(r"\[\s*(\d+(?:\.\d+)?)\s*(?:s|秒)\s*\]")
_OPENING = "["  # how a description with times begins
_LOG_KNOWN = math.log(0.01)  # a model that learned such descriptions gives their beginning at least this
_ROUNDS = 4  # times that an event is told on end before nothing new is awaited
_SAME = 0.3  # seconds within which the same words in two segments mean the same event
_BREAK = "\0"


def describe(model: Model, media: Sequence[Medium], language: str) -> list[str]:
    """Descriptions with times where the model has learned such, else as they come; one a medium, by the names that its
    pixels show.

    Args:
        model: what reads.
        media: clips, or pictures.
        language: tag of the language.
    """
    tag = model.encode(language)
    (start,) = model.encode(_OPENING)

    def prompt(medium: Medium | None) -> Row:
        return spell.caption_prompt(model.show(model.begin(), medium), tag).finish()

    texts = tell(model, media, prompt, Say(SAY_LIMIT, start, _LOG_KNOWN, _ROUNDS))
    named = naming.of_media(model, media, [language] * len(media), texts)
    return [names.said(text) for names, text in zip(named, texts, strict=True)]


def events_of(text: str, start: float = 0.0, end: float = float("inf")) -> tuple[Moment, ...]:
    """The events of a description with times, or the whole description as one event; in order, within the segment.

    >>> [str(event) for event in events_of("[0.5s] the ball moves; [1.0s] it stops", start=2)]
    ['0:02.5  the ball moves', '0:03.0  it stops']
    """
    first, *rest = STAMP.split(text)
    parts = [("0", first), *zip(rest[::2], rest[1::2], strict=True)]
    said = [(float(seconds), what.strip(" ;；\n")) for seconds, what in parts]
    found = [Moment(round(min(start + seconds, end), 3), what) for seconds, what in said if what]
    return tuple(sorted(found, key=lambda event: event.start))


def plain(text: str) -> str:
    """A description without its times, as a caption.

    >>> plain("[0.5s] the ball moves; [1.0s] it stops")
    'the ball moves; it stops'
    """
    parts = [part.strip(" ;；\n") for part in STAMP.sub(_BREAK, text).split(_BREAK)]
    pause = "；" if "；" in text else "; "
    return pause.join(part for part in parts if part)


def new(events: tuple[Moment, ...], before: tuple[Moment, ...]) -> list[Moment]:
    """Events of a segment that the one before has not told: neighbours share a frame, and a state may last."""
    if len(events) == len(before) == 1 and events[0].text == before[0].text:
        return []
    return [e for e in events if not any(e.text == o.text and abs(e.start - o.start) <= _SAME for o in before)]
