"""Whether a picture shows what was planned, by its pixels alone (see model.verifier)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from triptych.data.things import word_ids
from triptych.media import image
from triptych.model.verifier import misfit
from triptych.sequence.plan import Thing
from triptych.tasks.common import Model


@torch.inference_mode()
def nats(
    model: Model,
    pictures: Sequence[np.ndarray],
    planned: Sequence[Sequence[Thing]],
    language: str,
    *,
    whole: bool = True,
) -> list[np.ndarray]:
    """How likely the verifier finds it that the words of each planned thing name what is in its box.

    Args:
        model: one with a verifier.
        pictures: uint8 (rows, columns, 3), square.
        planned: a plan each.
        language: tag of the language of their words.
        whole: words that a plan leaves out name nothing in its boxes, as in plans that the model writes; else they may.

    Returns:
        of each picture the nats, at most 0, of its things, in order: float64 (things,). Things of which the verifier
        knows no word are left out.
    """
    verifier = model.bundle.verifier
    assert verifier is not None
    language = language if language in verifier.words else next(iter(verifier.words))
    columns, known = verifier.columns(language), set(verifier.words[language])
    out = []
    for pixels, things in zip(pictures, planned, strict=True):
        ids = [(thing.box, word_ids(model.bundle.text.encode, thing.words) & known) for thing in things]
        named = [(box, some) for box, some in ids if some]
        if not named:
            out.append(np.zeros(0))
            continue
        shown = torch.from_numpy(np.array(image.fit(pixels, model.bundle.info.size))).to(model.device)
        logits = verifier.read(shown, [box for box, _ in named])[:, columns]
        wanted = torch.stack([verifier.target(language, ids) for _, ids in named]).to(logits)
        out.append(-misfit(logits.float(), wanted, None if whole else wanted).double().cpu().numpy())
    return out


def fit(model: Model, picture: np.ndarray, thing: Thing, *, language: str) -> float | None:
    """The nats, at most 0, by which the verifier finds that a thing's words name what is in its box; None if it knows
    none of them."""
    found = nats(model, [picture], [[thing]], language)[0]
    return float(found[0]) if len(found) else None
