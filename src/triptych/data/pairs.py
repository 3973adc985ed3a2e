"""Media and all texts that are true of them, for what learns which belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triptych.data.loader import Rows
from triptych.sequence import spell
from triptych.sequence.layout import Builder, Row


@dataclass(frozen=True)
class Pairs:
    """Rows of media, rows of texts, and for each text the number of its medium.

    media: N rows that show one medium each. texts: M rows, each BEGIN and a text. owner: int64 (M,), ascending.
    same: int64 (M,), a number for each different text: media that share one are no contrast to it.
    """

    media: list[Row]
    texts: list[Row]
    owner: np.ndarray
    same: np.ndarray


def pairs(rows: Rows, count: int, each: int, seed: int) -> Pairs:
    """Up to `count` media of a split, clips before pictures, with up to `each` texts (captions and events).

    Media without texts are left out.
    """
    dice = np.random.default_rng(seed)
    chosen: list[int] = []
    for name in ("clip", "picture"):
        items = rows.items[name]
        left = count - len(chosen)
        chosen += (items if len(items) <= left else items[np.sort(dice.permutation(len(items))[:left])]).tolist()
    media: list[Row] = []
    texts: list[Row] = []
    owner: list[int] = []
    names: dict[str, int] = {}
    same: list[int] = []
    for index in chosen:
        record = rows.shards.record(index)
        told = [text.text for text in record.texts if not text.text.startswith("[")]
        told += [event.text for event in record.events]
        told = list(dict.fromkeys(told)) or ([record.label] if record.label else [])
        if not told:
            continue
        for place in dice.permutation(len(told))[:each]:
            texts.append(spell.draw_prompt(_begin(rows), rows.encode(told[place])).finish())  # as one to draw from
            owner.append(len(media))
            same.append(names.setdefault(told[place], len(names)))
        media.append(_shown(rows, index))
    return Pairs(media, texts, np.array(owner, np.int64), np.array(same, np.int64))


def _begin(rows: Rows) -> Builder:
    return spell.begin(Builder(rows.config.group, rows.config.latent))


def _shown(rows: Rows, index: int) -> Row:
    builder, maps = _begin(rows), rows.shards.maps(index)
    if rows.shards.kind[index]:
        return spell.clip(builder, maps, rows.encode, rows.fps, rows.span).finish()
    return spell.picture(builder, maps[0]).finish()
