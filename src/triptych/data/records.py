"""What is known of one picture or clip: the line of a manifest, shared by cleaning, cutting and training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from triptych.sequence.plan import THINGS, Thing

NEAR = 0.05  # seconds from which what is known of a time of a clip is true of it


class Text(BaseModel):
    """A text about a medium, with its language tag ("en", "zh", or "" where nobody said)."""

    model_config = ConfigDict(extra="forbid")
    text: str
    lang: str = ""


class Question(BaseModel):
    """A question about a medium and its answer."""

    model_config = ConfigDict(extra="forbid")
    question: str
    answer: str
    kind: str = ""
    lang: str = ""


class Event(BaseModel):
    """Something that happens in a clip, from `start` to `end` seconds."""

    model_config = ConfigDict(extra="forbid")
    start: float
    end: float
    text: str
    lang: str = ""


class Place(BaseModel):
    """The place of a picture in a sequence of pictures that belong together (views, a storyboard)."""

    model_config = ConfigDict(extra="forbid")
    id: str
    index: int


class Box(BaseModel):
    """A thing in a picture, or in a clip at a time in seconds: its words, and its box in pixels of the file (left, top,
    right, bottom)."""

    model_config = ConfigDict(extra="forbid")
    texts: list[Text]
    box: tuple[float, float, float, float]
    time: float | None = None


class Record(BaseModel):
    """One picture or clip of a folder, with all its texts.

    `file` is relative to the folder. Sizes are in pixels, `duration` in seconds (0 for a picture).
    """

    model_config = ConfigDict(extra="forbid")
    file: str
    kind: Literal["picture", "clip"]
    sha256: str = ""
    width: int = 0
    height: int = 0
    duration: float = 0.0
    texts: list[Text] = Field(default_factory=list)
    label: str | None = None
    qa: list[Question] = Field(default_factory=list)
    events: list[Event] = Field(default_factory=list)
    sequence: Place | None = None
    instruction: list[Text] = Field(default_factory=list)
    objects: list[Box] = Field(default_factory=list)


def things(record: Record, lang: str, time: float | None = None) -> list[Thing]:
    """What stands where in a picture, or in a clip at a time in seconds, cut to a square as the tokenizers see it
    (media.image.fit), in the words of a language, or in any where it has none; of more than a plan holds, the largest.
    """
    left, top, side = _square(record)
    out = []
    at = None if time is None else _nearest(record, time)
    for item in record.objects if side and (time is None or at is not None) else ():
        if item.time != at:
            continue
        words = next((t.text for t in item.texts if t.lang == lang), item.texts[0].text)
        edges = [(edge - start) / side for edge, start in zip(item.box, (left, top) * 2, strict=True)]
        shown = Thing(words, (edges[0], edges[1], edges[2], edges[3])).within(0, 0, 1, 1)
        out += [] if shown is None else [shown]
    return sorted(out, key=_area, reverse=True)[:THINGS] if len(out) > THINGS else out


def reframed(record: Record, top: float, bottom: float, left: float, right: float) -> list[Box]:
    """The boxes of a record as they stand where so much of its square, as a share of its side, was cut off each edge
    and the rest fitted back (see `things`)."""
    *starts, side = _square(record)
    cut, kept = (left, top), (1 - left - right, 1 - top - bottom)

    def moved(edge: float, axis: int) -> float:
        return starts[axis] + (edge - starts[axis] - cut[axis] * side) / kept[axis]

    boxes = [tuple(moved(edge, place % 2) for place, edge in enumerate(item.box)) for item in record.objects]
    return [item.model_copy(update={"box": box}) for item, box in zip(record.objects, boxes, strict=True)]


def _square(record: Record) -> tuple[float, float, float]:
    """Left and top edge and side, in pixels of the file, of the middle square that the tokenizers see."""
    side = min(record.width, record.height)
    return (record.width - side) / 2, (record.height - side) / 2, side


def _nearest(record: Record, time: float) -> float | None:
    """The time near to one at which it is known what stands where."""
    known = {item.time for item in record.objects if item.time is not None and abs(item.time - time) <= NEAR}
    return min(known, key=lambda other: (abs(other - time), other), default=None)


def _area(thing: Thing) -> float:
    left, top, right, bottom = thing.box
    return (right - left) * (bottom - top)


def edit_pairs(records: Iterable[Record]) -> list[tuple[Record, Record]]:
    """The pictures that instructions lead from one to the next, as (before, after), by sequence and place in it."""
    groups: dict[str, dict[int, Record]] = {}
    for record in records:
        if record.kind == "picture" and record.sequence is not None:
            groups.setdefault(record.sequence.id, {})[record.sequence.index] = record
    return [
        (group[index - 1], group[index])
        for group in groups.values()
        for index in sorted(group)
        if group[index].instruction and index - 1 in group
    ]


def as_texts(value: Any) -> list[Text]:
    """Spell out a `text`/`texts` value: a string, a list, or {"en": string or list, "zh": ...}.

    >>> [t.lang for t in as_texts({"en": ["a ball"], "zh": "一个球"})]
    ['en', 'zh']
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [Text(text=value)] if value.strip() else []
    if isinstance(value, dict) and "text" in value:
        return [Text.model_validate(value)]
    if isinstance(value, dict):
        return [Text(text=t.text, lang=lang) for lang, part in value.items() for t in as_texts(part)]
    return [text for part in value for text in as_texts(part)]
