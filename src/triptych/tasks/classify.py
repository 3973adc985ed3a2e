"""A picture, or a clip of any length, and labels given at call time -> the probability of each label."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from triptych.clip_results import Labels
from triptych.errors import ConfigError
from triptych.media.container import is_live
from triptych.media.kind import is_clip
from triptych.sequence import spell
from triptych.tasks import parts
from triptych.tasks.common import Media, Medium, Model, ended
from triptych.tasks.parts import Part
from triptych.tasks.relevance import gains, language_of

KNOWN = 0.01  # of the probability, that a model gives to all labels together if it has learned the spelling


def classify(
    model: Model, medium: Media, labels: Sequence[str], *, each: Callable[[Part], object] | None = None
) -> Labels:
    """Give each label its probability, by the likelihood of its words.

    A model that learned labels is asked for the label, or what this is; whichever makes the labels likelier, if they
    get at least KNOWN together. For any other model a label is a description, and what counts is by how much the medium
    makes it likelier. The parts of a clip count by their seconds.

    Args:
        model: what reads.
        medium: a picture, or a clip: a file of any length, or an array of one window.
        labels: two or more different texts, in one language.
        each: called with every segment of a clip as it is read.

    Raises:
        ConfigError: fewer than two labels, two alike, or one empty. MediaError: the medium can't be read.
    """
    if len(labels) < 2 or not all(label.strip() for label in labels) or len(set(labels)) < len(labels):
        raise ConfigError(f"labels {list(labels)}: give two or more different texts, none of them empty")
    spans: list[tuple[float, float]] = []
    tables: list[dict[str, np.ndarray]] = []
    for media, times in _media(model, medium, each):
        spans += times
        tables += _nats(model, media, labels)
    spelling = _known(tables)
    shares = np.stack([_softmax(table[spelling]) for table in tables])
    weights = [max(end - start, 1e-3) for start, end in spans]
    whole = np.average(shares, axis=0, weights=weights)
    told = [
        (start, end, dict(zip(labels, row.tolist(), strict=True)))
        for (start, end), row in zip(spans, shares, strict=True)
        if end > start
    ]
    best = labels[int(whole.argmax())]
    return Labels(best, dict(zip(labels, whole.tolist(), strict=True)), spelling, tuple(told))


def _media(
    model: Model, medium: Media, each: Callable[[Part], object] | None
) -> Iterator[tuple[list[Medium], list[tuple[float, float]]]]:
    """Yield some media at a time, with the seconds of each."""
    if not isinstance(medium, str | Path) or not (is_live(medium) or is_clip(medium)):
        found = model.read([medium])[0]
        assert found is not None
        yield [found], [found.times or (0.0, 0.0)]
        return
    for some in parts.batches(model, medium):
        yield [part.medium for part in some], [(part.segment.start, part.segment.end) for part in some]
        if each is not None:
            for part in some:
                each(part)


def _nats(model: Model, media: Sequence[Medium], labels: Sequence[str]) -> list[dict[str, np.ndarray]]:
    """Log-likelihoods of the labels by spelling, for each medium."""
    whole = [ended(model.encode(label)) for label in labels]
    question = model.encode(spell.WHAT.get(language_of(model, labels[0]), spell.WHAT["en"]))
    out: list[dict[str, np.ndarray]] = [{} for _ in media]
    for name in ("label", "question"):
        for table, medium in zip(out, media, strict=True):
            shown = model.show(model.begin(), medium)
            asked = spell.label_prompt(shown) if name == "label" else spell.question_prompt(shown, question)
            table[name] = np.array(model.likelihood([asked.finish()] * len(whole), whole))
    gained = np.stack([gains(model, label, media) for label in labels], 1)
    for table, row in zip(out, gained, strict=True):
        table["caption"] = row
    return out


def _known(tables: Sequence[dict[str, np.ndarray]]) -> str:
    """The spelling that the model has learned for these labels."""
    mass = {
        name: float(np.mean([np.logaddexp.reduce(table[name]) for table in tables])) for name in ("label", "question")
    }
    best = max(mass, key=lambda name: mass[name])
    return best if mass[best] >= math.log(KNOWN) else "caption"


def _softmax(values: np.ndarray) -> np.ndarray:
    shares = np.exp(values - values.max())
    return shares / shares.sum()
