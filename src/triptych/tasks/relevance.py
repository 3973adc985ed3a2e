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


def gains(model: Model, text: str | Sequence[str], media: Sequence[Medium]) -> np.ndarray:
    """Nats by which each medium makes a text likelier as its description: float64 (N,), pointwise mutual information.

    What a text costs anyway (long, rare words) falls out, so that media can be compared, and texts too.

    Args:
        model: what reads.
        text: one of all media, or one of each, all in one language.
        media: any number.
    """
    texts = [text] * len(media) if isinstance(text, str) else list(text)
    alone = list(dict.fromkeys(texts))
    if not alone:
        return np.zeros(0)
    tag = model.encode(language_of(model, alone[0]))
    shown: list[Medium | None] = [*media, *[None] * len(alone)]
    prompts = [spell.caption_prompt(model.show(model.begin(), medium), tag).finish() for medium in shown]
    nats = np.array(model.likelihood(prompts, [model.encode(one) for one in [*texts, *alone]]))
    costs = dict(zip(alone, nats[len(texts) :], strict=True))
    return nats[: len(texts)] - [costs[one] for one in texts]
