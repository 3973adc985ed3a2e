"""How each task is spelled in one sequence. Training and inference both come here, so they can't drift apart.

    draw      BEGIN text DRAW IMAGE codes END             text -> picture; no text: drawing from nothing
    shuffle   BEGIN text DRAW IMAGE (PLACE codes)... END     text -> picture, its codes in any order
    film      BEGIN text DRAW VIDEO (TIME t codes)... END
    view      BEGIN (IMAGE latents)... text DRAW IMAGE codes END
    edit      BEGIN IMAGE latents instruction DRAW IMAGE codes END
    plan      BEGIN text DRAW PLAN lang ANSWER plan END     what is to stand where (see `plan`)
    foresee   BEGIN (IMAGE latents)... text DRAW PLAN lang ANSWER plan END     in the next view, or after an edit
    track     BEGIN VIDEO (TIME t latents)... text DRAW (TIME t PLAN lang ANSWER plan END)...     at any times of a clip
    lay       as draw, with a plan laid beside the codes
    predict   BEGIN VIDEO (TIME t latents)... text DRAW (TIME t codes)... END     at times by plans, as `lay`
    read      BEGIN medium, then any of, apart        CAPTION lang ANSWER text END
                                                      ASK question ANSWER text END
                                                      LOCATE event ANSWER times END
                                                      LABEL ANSWER label END
                                                      PLAN lang ANSWER plan END
Texts are sequence ids (vocab.to_ids); a weight of 0 marks what is given, 1 what is to be learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from triptych.sequence.layout import Builder, Map
from triptych.sequence.vocab import Special

WHAT = {"en": "What is this?", "zh": "这是什么？"}  # asks for the label in words, by language

Ids = Sequence[int]
Encode = Callable[[str], list[int]]


def time_of(index: int, fps: float, span: int) -> float:
    """Seconds at which the last frame of map `index` stands: map 0 holds frame 0, map i ends at frame span*i."""
    return index * span / fps


def time_text(seconds: float) -> str:
    """How a time is written: one decimal, as in captions.

    >>> time_text(0.5)
    '0.5'
    """
    return f"{seconds:.1f}"


def begin(builder: Builder) -> Builder:
    """Open a sequence."""
    return builder.text([Special.BEGIN])


def picture(builder: Builder, map_: Map) -> Builder:
    """Give a picture as a condition."""
    return builder.text([Special.IMAGE]).map(map_, target=False)


def clip(builder: Builder, maps: Sequence[Map], encode: Encode, fps: float, span: int) -> Builder:
    """Give a clip as a condition, its times written before each map."""
    builder.text([Special.VIDEO])
    for index, map_ in enumerate(maps):
        stamp(builder, index, encode, fps, span)
        builder.map(map_, target=False)
    return builder


def stamp(builder: Builder, index: int, encode: Encode, fps: float, span: int) -> Builder:
    """Write the time of a map."""
    return builder.text([Special.TIME, *encode(time_text(time_of(index, fps, span)))])


def draw_prompt(builder: Builder, text: Ids) -> Builder:
    """Ask for a picture of a text, after any conditions."""
    return builder.text([*text, Special.DRAW, Special.IMAGE])


def edit_prompt(builder: Builder, map_: Map, instruction: Ids) -> Builder:
    """Ask for a picture changed as an instruction says; without one, for any change."""
    return draw_prompt(picture(builder, map_), instruction)


def film_prompt(builder: Builder, text: Ids) -> Builder:
    """Ask for a clip of a text."""
    return builder.text([*text, Special.DRAW, Special.VIDEO])


def predict_prompt(builder: Builder, text: Ids) -> Builder:
    """Ask, after the first maps of a clip, for the maps that follow."""
    return builder.text([*text, Special.DRAW])


def drawn(builder: Builder, map_: Map) -> Builder:
    """The picture that a prompt asked for, to be learned."""
    return builder.map(map_, target=True).text([Special.END])


def shuffled(builder: Builder, map_: Map, order: Sequence[int]) -> Builder:
    """The picture that a prompt asked for, to be learned in an order of its places."""
    return builder.scattered(map_, order).text([Special.END])


def filmed(
    builder: Builder,
    maps: Sequence[Map],
    first: int,
    encode: Encode,
    fps: float,
    span: int,
    plans: Callable[[int], np.ndarray | None] = lambda index: None,
) -> Builder:
    """The maps of a clip from `first` on, to be learned; their times are given, and by their index plans, if any."""
    for index, map_ in enumerate(maps[first:], first):
        stamp(builder, index, encode, fps, span)
        laid = plans(index)
        if laid is not None:
            builder.plan(laid)
        builder.map(map_, target=True)
    return builder.text([Special.END])


def caption_prompt(builder: Builder, language: Ids) -> Builder:
    """Ask for a description in a language, given by its tag."""
    return builder.text([Special.CAPTION, *language, Special.ANSWER])


def question_prompt(builder: Builder, question: Ids) -> Builder:
    """Ask a question."""
    return builder.text([Special.ASK, *question, Special.ANSWER])


def locate_prompt(builder: Builder, event: Ids) -> Builder:
    """Ask when an event happens."""
    return builder.text([Special.LOCATE, *event, Special.ANSWER])


def label_prompt(builder: Builder) -> Builder:
    """Ask for the label."""
    return builder.text([Special.LABEL, Special.ANSWER])


def plan_prompt(builder: Builder, text: Ids, language: Ids) -> Builder:
    """Ask what is to stand where in the picture that `draw_prompt` would ask for, in a language given by its tag."""
    return things_prompt(builder.text([*text, Special.DRAW]), language)


def track_prompt(builder: Builder, index: int, language: Ids, encode: Encode, fps: float, span: int) -> Builder:
    """Ask what stands where in a clip at the time of a map, whether it is given or to come."""
    return things_prompt(stamp(builder, index, encode, fps, span), language)


def things_prompt(builder: Builder, language: Ids) -> Builder:
    """Ask what stands where in a picture that is given."""
    return builder.text([Special.PLAN, *language, Special.ANSWER])


def answer(builder: Builder, text: Ids) -> Builder:
    """The answer that a prompt asked for, to be learned."""
    return builder.text([*text, Special.END], 1.0)
