"""Names of things as their pixels have them: the GPT reads codes, the verifier pixels.

A GPT that has never seen a green ball calls one a green cylinder, since it learned names, not words. The verifier
knows words (see model.verifier), so where another name that is conceivable (see sequence.names) fits a thing's pixels
far better than the one that the GPT told, that one counts. Of a clip, what all times show counts together: things hide,
and enter by parts.

K times at which a thing is told, W words, C names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from triptych.model.verifier import Verifier, misfit
from triptych.sequence.names import Variants
from triptych.sequence.plan import Thing
from triptych.tasks.common import Model

SURELY = 3.0  # nats by which another name must fit better than the one that the GPT told: see docs/log.md

Told = tuple[str, int]
"""A thing of several plans: its words, and which of those that have them in its plan."""


@dataclass(frozen=True)
class Names:
    """What things are called by their pixels."""

    known: Mapping[Told, str]

    def of(self, things: Sequence[Thing]) -> tuple[Thing, ...]:
        """Things of a plan by these names; those of which none is known keep theirs."""
        return tuple(replace(thing, words=self.known.get(told, thing.words)) for told, thing in _told(things))


@torch.inference_mode()
def by_pixels(model: Model, pictures: Iterable[np.ndarray], plans: Sequence[Sequence[Thing]], language: str) -> Names:
    """The names of things that a model told of pictures, or of a clip at several times.

    Args:
        model: what told; without a verifier that knows the language it keeps its names.
        pictures: uint8 (rows, columns, 3), square.
        plans: what stands where in each.
        language: tag of the language of the plans' words.
    """
    verifier = model.bundle.verifier
    if verifier is None or not verifier.names.get(language):
        return Names({})
    columns = verifier.columns(language)
    seen: dict[Told, list[Tensor]] = defaultdict(list)
    for pixels, things in zip(pictures, plans, strict=True):
        if things:
            shown = torch.from_numpy(np.array(pixels)).to(model.device)
            logits = verifier.read(shown, [thing.box for thing in things])[:, columns].float().cpu()
            for (told, _), row in zip(_told(things), logits, strict=True):
                if row.amax() > 0:  # else nothing is seen there
                    seen[told].append(row)
    variants = Variants(model.bundle.text.encode(f" {name}") for name in verifier.names[language])
    known = {}
    for told, rows in seen.items():
        ids = model.bundle.text.encode(f" {told[0]}")
        names = [tuple(ids), *variants.of(ids)]
        nats = _misfits(verifier, language, torch.stack(rows), names)
        best = int(nats.argmin())
        known[told] = told[0] if nats[best] > nats[0] - SURELY else model.bundle.text.decode(names[best]).strip()
    return Names(known)


def _misfits(verifier: Verifier, language: str, logits: Tensor, names: Sequence[Sequence[int]]) -> Tensor:
    """How little each of C names fits what a thing's pixels show (K, W): nats (C,), the mean of all times."""
    named = torch.stack([verifier.target(language, ids) for ids in names])
    return torch.stack([misfit(row.expand_as(named), named) for row in logits]).mean(0)


def _told(things: Sequence[Thing]) -> Iterator[tuple[Told, Thing]]:
    counts: Counter[str] = Counter()
    for thing in things:
        yield (thing.words, counts[thing.words]), thing
        counts[thing.words] += 1
