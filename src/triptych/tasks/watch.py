"""A clip of any length -> its shots and segments, what happens in each, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from triptych.clip_results import Moment, Segment
from triptych.media import image
from triptych.tasks import parts, surprisal
from triptych.tasks.common import Model, still_to
from triptych.tasks.parts import Part
from triptych.tasks.telling import describe, events_of, new, plain


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
    for some in parts.batches(model, path, framings=model.framings):
        surprises = _surprises(model, some)
        texts = describe(model, [part.medium for part in some], language)
        for part, (bits, unlike), text in zip(some, surprises, texts, strict=True):
            here = part.segment
            events = events_of(text, here.start, here.end)
            fresh = new(events, before) if here.shot == shot else list(events)
            key = image.thumbnail(part.keyframe)
            yield Segment(here.shot, here.start, here.end, plain(text), tuple(fresh), bits, unlike, key)
            before, shot = events, here.shot


def _surprises(model: Model, some: Sequence[Part]) -> list[tuple[float, bool]]:
    """Bits per code of each part, and whether they are far beyond what is usual."""
    frames = [still_to(part.segment.frames, model.bundle.info.frames) for part in some]
    return [(float(bits.mean()), surprisal.is_unlike(model, bits)) for bits in surprisal.clip_bits(model, frames)]
