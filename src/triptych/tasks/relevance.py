"""How much a medium makes a text likelier: what search, questions and events are ranked by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triptych.sequence import spell
from triptych.tasks import common
from triptych.tasks.common import Medium, Model


def language_of(model: Model, text: str) -> str:
    """The tag under which a text is spelled: zh where it holds Chinese characters, else en, if the model knows it."""
    known = model.bundle.info.made.get("languages") or ["en", "zh"]
    tag = common.language_of(text)
    return tag if tag in known else known[0]


def gains(model: Model, text: str, media: Sequence[Medium]) -> np.ndarray:
    """Nats by which each medium makes a text likelier as its description: float64 (N,), pointwise mutual information.

    What a text costs anyway (long, rare words) falls out, so that media can be compared, and texts too.
    """
    tag, ids = model.encode(language_of(model, text)), model.encode(text)
    shown: list[Medium | None] = [*media, None]
    prompts = [spell.caption_prompt(model.show(model.begin(), medium), tag).finish() for medium in shown]
    nats = np.array(model.likelihood(prompts, [ids] * len(prompts)))
    return nats[:-1] - nats[-1]
