"""Texts of media that are read in several framings at once: each word is chosen by what all of them make likely.

A framing moves everything over the grid of codes, so each is misread in its own way (docs/log.md has by how much less
they err together). What a medium costs, it costs once a framing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from triptych.generate.grammar import Say
from triptych.generate.sample import Sampling
from triptych.sequence.layout import Row
from triptych.tasks.common import BATCH, SAY_LIMIT, Medium, Model, chunks

Build = Callable[[Medium | None, int], Row]
"""What makes the prompt of a medium, in one of its framings, and its number among the media."""


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
    texts: dict[int, str] = {}
    by_count: dict[int, list[int]] = {}
    for number, medium in enumerate(media):
        by_count.setdefault(len(each_framing(medium)), []).append(number)
    for count, numbers in by_count.items():
        for some in chunks(numbers, max(1, BATCH // count)):
            rows = [build(framing, number) for number in some for framing in each_framing(media[number])]
            greedy = [Sampling(temperature=0)] * len(rows)
            outputs = model.engine.generate(rows, [how], greedy, together=count)[::count]
            texts |= {n: model.decode(output.texts[0]) for n, output in zip(some, outputs, strict=True)}
    return [texts[number] for number in range(len(media))]


def nats(model: Model, media: Sequence[Medium | None], build: Build, texts: Sequence[Sequence[int]]) -> np.ndarray:
    """Log-likelihoods of texts (sequence ids) after the prompt of each medium: float64 (media, texts), the mean over a
    medium's framings."""
    prompts = [[build(framing, number) for framing in each_framing(medium)] for number, medium in enumerate(media)]
    asked = [prompt for some in prompts for prompt in some for _ in texts]
    table = np.reshape(model.likelihood(asked, list(texts) * (len(asked) // len(texts))), (-1, len(texts)))
    ends = np.cumsum([len(some) for some in prompts])
    return np.stack([part.mean(0) for part in np.split(table, ends[:-1])])


def each_framing(medium: Medium | None) -> list[Medium | None]:
    """A medium as it is and in its other framings, each as a medium of its own."""
    if medium is None:
        return [None]
    return [Medium(maps, medium.times) for maps in (medium.maps, *medium.others)]
