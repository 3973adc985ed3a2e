"""A clip of any length -> what happens in it, and when."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from triptych.generate.grammar import Say, Step, Write
from triptych.generate.sample import Sampling
from triptych.media import video
from triptych.results import Moment, Window
from triptych.sequence import spell
from triptych.sequence.layout import Row
from triptych.tasks.common import SAY_LIMIT, Medium, Model

STAMP = re.compile(r"\[\s*(\d+(?:\.\d+)?)\s*(?:s|秒)\s*\]")
_OPENING = "["  # how a description with times begins
_LOG_KNOWN = math.log(0.01)  # a model that learned such descriptions gives their beginning at least this
_SAME = 0.3  # seconds within which the same words in two windows mean the same event


def watch(model: Model, path: Path | str, *, language: str = "en") -> Iterator[Window]:
    """Read a clip window by window, in constant memory.

    Args:
        model: what reads.
        path: a file; it is read as it goes.
        language: tag of the language.

    Yields:
        each window with its caption, and its events in seconds from the beginning of the clip; what the window
        before has told already is left out.
    """
    info = model.bundle.info
    before: tuple[Moment, ...] = ()
    for clip in video.segments(path, fps=info.fps, frames=info.frames, size=info.size):
        start, end = float(clip.times[0]), float(clip.times[-1])
        medium = Medium(model.look([clip.frames])[0], (start, end))
        text = _describe(model, medium, language)
        events = events_of(text, start, end)
        yield Window(start, end, text, tuple(new(events, before)))
        before = events


def events_of(text: str, start: float = 0.0, end: float = float("inf")) -> tuple[Moment, ...]:
    """The events of a description with times, or the whole description as one event; in order, within the window.

    >>> [str(event) for event in events_of("[0.5s] the ball moves; [1.0s] it stops", start=2)]
    ['0:02.5  the ball moves', '0:03.0  it stops']
    """
    first, *rest = STAMP.split(text)
    parts = [("0", first), *zip(rest[::2], rest[1::2], strict=True)]
    said = [(float(seconds), what.strip(" ;；\n")) for seconds, what in parts]
    found = [Moment(round(min(start + seconds, end), 3), what) for seconds, what in said if what]
    return tuple(sorted(found, key=lambda event: event.start))


def new(events: tuple[Moment, ...], before: tuple[Moment, ...]) -> list[Moment]:
    """Events of a window that the window before has not told: neighbours share a frame, and a state may last."""
    if len(events) == len(before) == 1 and events[0].text == before[0].text:
        return []
    return [e for e in events if not any(e.text == o.text and abs(e.start - o.start) <= _SAME for o in before)]


def _describe(model: Model, medium: Medium, language: str) -> str:
    """A description with times where the model has learned such, else as it comes."""
    prompt = spell.caption_prompt(model.show(model.begin(), medium), model.encode(language)).finish()
    return _timed(model, prompt) or model.say([prompt])[0]


def _timed(model: Model, prompt: Row) -> str:
    start = model.encode(_OPENING)
    if model.likelihood([prompt], [start])[0] < _LOG_KNOWN:
        return ""
    plan: list[Step] = [Write(tuple(start)), Say(SAY_LIMIT)]
    said = model.engine.generate([prompt], plan, [Sampling(temperature=0)])[0].texts[0]
    return model.decode([*start, *said])
