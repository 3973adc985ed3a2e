"""Pictures and texts -> how likely each text is of each picture, and each picture of each text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from triptych.results import Match
from triptych.sequence import spell
from triptych.sequence.layout import Builder
from triptych.tasks.common import Media, Model, language_of


def text_nats(
    model: Model, media: Sequence[Media | None], texts: Sequence[str], *, language: str = "en"
) -> list[float]:
    """The log-likelihood of each text as a caption of its medium.

    Args:
        model: what reads.
        media: pictures, and clips, of which one window is read; None for no medium, as a baseline.
        texts: one a medium.
        language: tag of the language.

    Returns:
        nats, 0 or less, of the whole text and its end.
    """
    return model.caption_nats(media, texts, language)


def likelihood(model: Model, pictures: Sequence[Media], texts: Sequence[str]) -> list[list[Match]]:
    """How well each text and each picture go together, by drawing and by reading.

    A picture's codes have an exact probability after a text; so has a text after a picture. Each is compared with
    what it is without the other, so that rich pictures and long texts are not at a disadvantage: the difference in
    bits is the pointwise mutual information, by which texts rank for a picture and pictures for a text.

    Args:
        model: what draws and reads.
        pictures: scaled and cut to the model's size.
        texts: in languages that the model knows.

    Returns:
        for each picture, one match a text.
    """
    known = model.read(pictures)
    maps = [medium.maps[0] for medium in known if medium is not None]
    drawn = [
        [float(nats.sum()) for nats in model.code_nats([_prompt(model, text) for _ in maps], maps)]
        for text in ("", *texts)
    ]
    read, alone = [], []
    for text in texts:
        nats = model.caption_nats([*pictures, None], [text] * (len(pictures) + 1), language_of(text))
        read.append(nats[:-1])
        alone.append(nats[-1])
    bits = 1 / math.log(2)
    return [
        [
            Match(
                text=text,
                bits=-drawn[1 + t][p] * bits,
                codes=maps[p].codes.size,
                draw_gain=(drawn[1 + t][p] - drawn[0][p]) * bits,
                read_bits=-read[t][p] * bits,
                read_gain=(read[t][p] - alone[t]) * bits,
            )
            for t, text in enumerate(texts)
        ]
        for p in range(len(pictures))
    ]


def _prompt(model: Model, text: str) -> Builder:
    return spell.draw_prompt(model.begin(), model.encode(text))
