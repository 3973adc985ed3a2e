"""The ids of one sequence: the only place that knows offsets.

    [0, 16)              special ids, which no text can spell
    [16, 16 + text)      text ids, shifted
Visual codes have no ids here: a position that holds codes carries the id VISUAL and the codes beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class Special(IntEnum):
    """Ids that mark what a part of the sequence is."""

    PAD = 0
    BEGIN = 1  # of every sequence
    END = 2  # of an answer, a caption or a drawn medium
    VISUAL = 3  # a position that holds visual codes
    IMAGE = 4  # a picture follows
    VIDEO = 5  # a clip follows
    CAPTION = 6  # a language tag and then a description follow
    ASK = 7  # a question follows
    ANSWER = 8  # an answer follows
    LABEL = 9  # a label follows
    LOCATE = 10  # a description of an event, then its times follow
    DRAW = 11  # what follows is to be drawn, given all before
    TIME = 12  # a time in seconds follows
    PLACE = 13  # the codes of this very position follow, whatever the order
    PLAN = 14  # a language tag and then a plan follow: what is to stand where


OFFSET = 16


def to_ids(text_ids: Sequence[int]) -> list[int]:
    """Text ids -> sequence ids."""
    return [i + OFFSET for i in text_ids]


def to_text_ids(ids: Sequence[int]) -> list[int]:
    """Sequence ids -> text ids; special ids are left out."""
    return [i - OFFSET for i in ids if i >= OFFSET]


def size(text_size: int) -> int:
    """Number of sequence ids for a text tokenizer of `text_size` ids."""
    return OFFSET + text_size
