"""Texts of media that are read in several framings at once: each word is chosen by what all of them make likely.

A framing moves everything over the grid of codes, so each is misread in its own way (docs/log.md has by how much less
they err together). What a medium costs, it costs once a framing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from triptych.generate.grammar import Say
from triptych.sequence.layout import Row
from triptych.tasks.common import SAY_LIMIT, Medium, Model

Build = Callable[[Medium | None], Row]
"""What makes the prompt of a medium in one of its framings."""


def tell(model: Model, media: Sequence[Medium | None], build: Build, how: Say = Say(SAY_LIMIT)) -> list[str]:
    """The likeliest text after each medium's prompt, id by id.

    Args:
        model: what reads.
        media: what is read; None for nothing.
        build: makes a prompt.
        how: how texts open and end.

    Returns:
        one text a medium.
    """
    views: list[list[Medium | None]] = [[None] if medium is None else [*each_framing(medium)] for medium in media]
    texts = [""] * len(media)
    for count in sorted(set(map(len, views))):
        alike = [number for number, some in enumerate(views) if len(some) == count]
        rows = [build(view) for number in alike for view in views[number]]
        for number, text in zip(alike, model.say(rows, how, together=count), strict=True):
            texts[number] = text
    return texts


def each_framing(medium: Medium) -> list[Medium]:
    """A medium as it is and in its other framings, each as a medium of its own."""
    return [Medium(maps, medium.times) for maps in (medium.maps, *medium.others)]
