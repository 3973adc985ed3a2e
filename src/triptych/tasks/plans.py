"""Plans of pictures: what is to stand where. The GPT writes them as text; drawings lay them beside their codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triptych.generate.grammar import Say
from triptych.generate.sample import Sampling
from triptych.sequence import spell
from triptych.sequence.layout import Row
from triptych.sequence.plan import THINGS, Thing, laid, parse
from triptych.tasks.common import Medium, Model, chunks, language_of

LIMIT = 512  # ids of a plan
TEMPERATURE, TOP_P = 0.7, 0.95  # of plans that are drawn from; the likeliest would be the same for every seed


def is_learned(model: Model) -> bool:
    """Whether a model writes plans, and draws by them."""
    return model.gpt.config.planned and {"plan bits/text", "lay bits/code"} <= model.bundle.info.bits.keys()


def prompt(model: Model, text: str, media: Sequence[Medium], language: str = "") -> Row:
    """Ask what is to stand where: in a picture of a text, in a picture that is given, or in one changed by a text."""
    builder = model.begin()
    for medium in media:
        model.show(builder, medium)
    tag = model.encode(_known(model, language or language_of(text)))
    return spell.plan_prompt(builder, model.encode(text), tag).finish()


def write(model: Model, prompts: Sequence[Row], sampling: Sequence[Sampling]) -> list[tuple[Thing, ...]]:
    """The plan after each prompt; one that is none, as a model that has learned little may write, plans nothing."""
    out: list[tuple[Thing, ...]] = []
    for chunk in chunks(list(zip(prompts, sampling, strict=True))):
        outputs = model.engine.generate([row for row, _ in chunk], [Say(LIMIT)], [how for _, how in chunk])
        out += [_read(model.decode(output.texts[0])) for output in outputs]
    return out


def beside(
    model: Model, things: Sequence[Thing], whole: tuple[int, ...], part: tuple[slice, slice]
) -> np.ndarray | None:
    """What a row's `plan` holds (sequence.layout.Row) for a part of a map of `whole` rows and columns of codes; None
    where nothing is planned there."""
    down, across = part
    left, right = across.start / whole[1], across.stop / whole[1]
    top, bottom = down.start / whole[0], down.stop / whole[0]
    seen = [shown for thing in things if (shown := thing.within(left, top, right, bottom))]
    if not seen:
        return None
    numbers = laid(seen, model.encode, down.stop - down.start, across.stop - across.start)
    return model.begin().plan(numbers).finish().plan


def _read(text: str) -> tuple[Thing, ...]:
    try:
        return tuple(parse(text)[:THINGS])
    except ValueError:
        return ()


def _known(model: Model, language: str) -> str:
    """The language, or another one where the model doesn't write it: in a plan, boxes matter most."""
    known = model.bundle.info.made.get("languages") or ["en", "zh"]
    return language if language in known else known[0]
