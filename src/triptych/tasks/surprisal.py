"""Bits per code: how surprised the GPT is by what it sees, and what is usual for it.

How many bits a code costs tells two things: how hard the place is, and how odd what stands there. The edge of a ball
that rolls costs many wherever it goes; the GPT knows that, its own distribution is wide there. So the odd shows in the
bits beyond those that it expects, its entropy, by the deviation that it expects of them.

T maps, y, x rows and columns of codes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from triptych.sequence import spell
from triptych.sequence.layout import Map, Row, ungrouped
from triptych.sequence.pack import collate
from triptych.tasks.common import BATCH, Model, chunks

FIRST = "draw"  # how the first map of a clip is spelled: a picture of nothing in particular
NEXT = ("predict", "view", "draw")  # how the later ones are: by the best that the model has learned
FAR = 4.0  # deviations from the mean beyond which something is unlike the training data
LEAST = 0.3  # nats squared added to a variance: where the network is sure, any other code would be endlessly odd
SPREAD = 0.05  # a deviation, where the model tells none, as a share of the way from its mean to knowing nothing


@dataclass(frozen=True)
class Usual:
    """Bits per code on data held out from training: mean and standard deviation of media."""

    mean: float
    deviation: float

    @property
    def most(self) -> float:
        """Bits per code beyond which a medium is unlike the training data."""
        return self.mean + FAR * self.deviation


def next_spelling(model: Model) -> str:
    """How later maps are spelled: `predict` where the model has learned it, else as views, or each alone."""
    known = model.bundle.info.bits
    if not known:
        return NEXT[0]
    return next((name for name in NEXT if f"{name} bits/code" in known), NEXT[-1])


def usual(model: Model, spelling: str) -> Usual | None:
    """What is usual for a spelling, from model.json; None where that doesn't say."""
    bits = model.bundle.info.bits
    mean = bits.get(f"{spelling} bits/code")
    if mean is None:
        return None
    nothing = math.log2(model.bundle.info.visual.codes)
    return Usual(mean, bits.get(f"{spelling} bits/code deviation", SPREAD * (nothing - mean)))


def most(model: Model) -> float | None:
    """Bits per code beyond which a clip is unlike the training data; None where model.json tells no usual."""
    known = [usual(model, spelling) for spelling in (FIRST, next_spelling(model))]
    return None if None in known else max(here.most for here in known if here)


def is_unlike(model: Model, bits: np.ndarray) -> bool:
    """Whether bits (T, y, x) of a medium lie far beyond what is usual; never where model.json tells no usual."""
    parts = [(FIRST, bits[:1]), (next_spelling(model), bits[1:])]
    known = [(usual(model, spelling), float(part.mean())) for spelling, part in parts if len(part)]
    return bool(known) and all(here is not None and value > here.most for here, value in known)


def clip_bits(model: Model, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The bits (T, y, x) of `clip_costs`."""
    return [costs[..., 0] for costs in clip_costs(model, frames)]


def clip_costs(model: Model, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Clips uint8 (F, size, size, 3) of one length 1 + 4k -> (T, y, x, 2) of their codes: bits, and by how many
    standard deviations they are more than expected.

    The first map is scored alone, as a picture; each later one given those before it.
    """
    spelling = next_spelling(model)
    maps = model.look(frames) if spelling == "predict" else _stills(model, frames)
    if spelling == "draw":
        flat = _picture_costs(model, [map_ for clip in maps for map_ in clip])
        return [np.stack(flat[i : i + len(maps[0])]) for i in range(0, len(flat), len(maps[0]))]
    first = _picture_costs(model, [stills[0] for stills in _stills(model, [clip[:1] for clip in frames])])
    if len(maps[0]) == 1:
        return [costs[None] for costs in first]
    if spelling == "predict":
        later = _costs(model, [_predicted(model, clip) for clip in maps])
    else:
        rows = [_after(model, one, two) for clip in maps for one, two in itertools.pairwise(clip)]
        flat = _costs(model, rows)
        each = len(maps[0]) - 1
        later = [np.concatenate(flat[i : i + each]) for i in range(0, len(flat), each)]
    return [np.concatenate([one[None], more]) for one, more in zip(first, later, strict=True)]


def picture_bits(model: Model, maps: Sequence[Map]) -> list[np.ndarray]:
    """Pictures' maps -> bits (y, x) of their codes, given nothing."""
    return [costs[..., 0] for costs in _picture_costs(model, maps)]


def _picture_costs(model: Model, maps: Sequence[Map]) -> list[np.ndarray]:
    rows = [spell.drawn(spell.draw_prompt(model.begin(), []), map_).finish() for map_ in maps]
    return [costs[0] for costs in _costs(model, rows)]


def _stills(model: Model, clips: Sequence[np.ndarray]) -> list[list[Map]]:
    """The frames at which maps end, each as a picture of its own."""
    span = model.bundle.info.visual.span
    stills = [frame[None] for clip in clips for frame in clip[::span]]
    maps = [medium[0] for some in chunks(stills) for medium in model.look(some)]
    each = len(clips[0][::span])
    return [maps[i : i + each] for i in range(0, len(maps), each)]


def _predicted(model: Model, maps: Sequence[Map]) -> Row:
    info = model.bundle.info
    builder = spell.clip(model.begin(), maps[:1], model.encode, info.fps, info.visual.span)
    spell.predict_prompt(builder, [])
    return spell.filmed(builder, maps, 1, model.encode, info.fps, info.visual.span).finish()


def _after(model: Model, before: Map, map_: Map) -> Row:
    return spell.drawn(spell.draw_prompt(spell.picture(model.begin(), before), []), map_).finish()


@torch.inference_mode()
def _costs(model: Model, rows: Sequence[Row]) -> list[np.ndarray]:
    """(T, y, x, 2), as of `clip_costs`, of the maps that rows ask for: those that count in training."""
    gpt, out = model.gpt, []
    group, side = gpt.config.group, model.codes
    for chunk in chunks(rows, BATCH // 2):
        batch = collate(chunk, model.device)
        states = gpt(batch["ids"], batch["values"], batch["is_visual"], batch["positions"])
        for place, row in enumerate(chunk):
            wanted = torch.from_numpy(np.flatnonzero(row.weights > 0)).to(model.device)
            wanted = wanted[batch["is_visual"][place, wanted]]
            codes = batch["codes"][place, wanted]
            before = batch["before"][place, wanted]
            logits = gpt.code_logits(states[place, wanted - 1], codes, before).float().log_softmax(-1)
            shares, nats = logits.exp(), -logits.gather(2, codes[..., None])[..., 0]  # (positions, G)
            expected = -(shares * logits).sum(-1)
            spread = (shares * logits.square()).sum(-1) - expected.square()
            beyond = (nats - expected) / (spread.clamp_min(0) + LEAST).sqrt()
            costs = torch.stack([nats / math.log(2), beyond], -1)
            tables = costs.cpu().numpy().reshape(-1, (side // group) ** 2, group * group, 2)
            out.append(np.stack([ungrouped(table, group, side, side) for table in tables]))
    return out
