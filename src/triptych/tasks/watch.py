"""A clip of any length -> its shots and segments, what happens in each, and when."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from triptych.clip_results import Moment, Segment
from triptych.generate.grammar import Say, Step, Write
from triptych.generate.sample import Sampling
from triptych.sequence import spell
from triptych.sequence.layout import Row
from triptych.tasks import parts, surprisal
from triptych.tasks.common import SAY_LIMIT, Model, still_to
from triptych.tasks.parts import Part

STAMP = re.compile(r"\[\s*(\d+(?:\.\d+)?)\s*(?:s|秒)\s*\]")
_OPENING = "["  # how a description with times begins
_LOG_KNOWN = math.log(0.01)  # a model that learned such descriptions gives their beginning at least this
_SAME = 0.3  # seconds within which the same words in two segments mean the same event


def watch(model: Model, path: Path | str, *, language: str = "en") -> Iterator[Segment]:
    """Read a clip segment by segment, in constant memory.

    Args:
        model: what reads.
        path: a file, or `-` for standard input; it is read as it goes.
        language: tag of the language.

    Yields:
        each segment with its caption, and its events in seconds from the beginning of the clip; what the segment
        before has told already is left out.
    """
    before: tuple[Moment, ...] = ()
    shot = 0
    for some in parts.batches(model, path):
        surprises = _surprises(model, some)
        texts = _describe(model, some, language)
        for part, (bits, unlike), text in zip(some, surprises, texts, strict=True):
            here = part.segment
            events = events_of(text, here.start, here.end)
            fresh = new(events, before) if here.shot == shot else list(events)
            yield Segment(here.shot, here.start, here.end, plain(text), tuple(fresh), bits, unlike, part.keyframe)
            before, shot = events, here.shot


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


_BREAK = "\0"


def new(events: tuple[Moment, ...], before: tuple[Moment, ...]) -> list[Moment]:
    """Events of a segment that the one before has not told: neighbours share a frame, and a state may last."""
    if len(events) == len(before) == 1 and events[0].text == before[0].text:
        return []
    return [e for e in events if not any(e.text == o.text and abs(e.start - o.start) <= _SAME for o in before)]


def _surprises(model: Model, some: Sequence[Part]) -> list[tuple[float, bool]]:
    """Bits per code of each part, and whether they are far beyond what is usual."""
    frames = [still_to(part.segment.frames, model.bundle.info.frames) for part in some]
    return [(float(bits.mean()), surprisal.is_unlike(model, bits)) for bits in surprisal.clip_bits(model, frames)]


def _describe(model: Model, some: Sequence[Part], language: str) -> list[str]:
    """Descriptions with times where the model has learned such, else as they come."""
    tag = model.encode(language)
    prompts = [spell.caption_prompt(model.show(model.begin(), part.medium), tag).finish() for part in some]
    start = model.encode(_OPENING)
    known = [nats >= _LOG_KNOWN for nats in model.likelihood(prompts, [start] * len(prompts))]
    timed = iter(_timed(model, [prompt for prompt, k in zip(prompts, known, strict=True) if k], start))
    free = iter(model.say([prompt for prompt, k in zip(prompts, known, strict=True) if not k]))
    return [next(timed) if k else next(free) for k in known]


def _timed(model: Model, prompts: Sequence[Row], start: list[int]) -> list[str]:
    if not prompts:
        return []
    plan: list[Step] = [Write(tuple(start)), Say(SAY_LIMIT)]
    outputs = model.engine.generate(prompts, plan, [Sampling(temperature=0)] * len(prompts))
    return [model.decode([*start, *output.texts[0]]) for output in outputs]
