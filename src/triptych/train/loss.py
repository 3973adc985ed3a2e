"""What a batch costs a GPT: nats of the text ids and codes that count in it.

B rows, S positions, M positions that count, G codes a position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.train.summary import Learner, rest_of

FEW = 8  # places of a kind that every batch has at least
KINDS = 64  # of batches that may be compiled apart: ranges of their sizes; beyond, all would run uncompiled


def choose(batch: dict[str, Tensor], codes: int = 0) -> dict[str, Tensor]:
    """The batch with the places (row * S + position) of the text ids and of the codes that count, and, if the number of
    different codes is given, with those that are still to come at each of the latter (see train.summary).

    To be called before the batch moves to a GPU: there, finding them would make the CPU wait.
    """
    counted = batch["weights"] > 0
    counted[:, 0] = False  # nothing predicts the first position
    places = {
        name: (counted & (batch["is_visual"] == is_code)).flatten().nonzero()[:, 0]
        for name, is_code in (("text_places", False), ("code_places", True))
    }
    # A compiled network is compiled once more for none, one or very few of anything: the first position, which weighs
    # nothing, fills up.
    filled = {name: F.pad(found, (0, max(0, FEW - len(found)))) for name, found in places.items()}
    if codes:
        rest = rest_of(batch["codes"], counted & batch["is_visual"], codes)
        filled["rest"] = F.pad(rest, (0, 0, 0, len(filled["code_places"]) - len(rest)))
    return {**batch, **filled}


def losses(learner: Learner, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weighted nats of each text id (M,) and of each code (M, G) that counts, nats of all summaries, and the z-loss.

    Heads see only the positions that count, as `choose` found them.
    """
    model = learner.gpt
    given = (batch[name] for name in ("ids", "values", "is_visual", "positions"))
    states = model(*given, branches=batch.get("branches")).flatten(0, 1)
    summary = states.new_zeros((), dtype=torch.float32)
    z = states.new_zeros((), dtype=torch.float32)
    nats = []
    for is_code in (False, True):
        places = batch["code_places" if is_code else "text_places"]
        before = states[places - 1]  # in the same row, since no place is a row's first
        if is_code:
            targets = batch["codes"].flatten(0, 1)[places]
            logits = model.code_logits(before, targets, batch["before"].flatten(0, 1)[places]).float()
            if "rest" in batch:
                summary = learner.summary_nats(before, batch["rest"])
        else:
            targets = batch["ids"].flatten()[places]
            logits = model.text_logits(before).float()
        loss = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none").view(targets.shape)
        weight = batch["weights"].flatten()[places]
        nats.append(loss * (weight[:, None] if is_code else weight))
        z = z + logits.logsumexp(-1).square().sum()
    return nats[0], nats[1], summary, z


def sums(learner: Learner, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Nats of all weighted text ids, of all weighted codes and of the summaries, and the z-loss of the first two.

    Nothing here depends on values, so that the whole can be compiled: on a CPU that joins the many small passes over
    memory that otherwise cost most of a step.
    """
    text, code, summary, z = losses(learner, batch)
    return text.sum(), code.sum(), summary, z


def compiled() -> Callable[..., Any]:
    """`sums`, compiled for sizes that vary; rows of ten spellings come in more kinds than torch compiles unasked."""
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, KINDS)
    return torch.compile(sums, dynamic=True)


def counts(batch: dict[str, Tensor], slots: int) -> tuple[float, float]:
    """How many text ids and how many codes count in a batch, by weight."""
    weights, visual = batch["weights"][:, 1:], batch["is_visual"][:, 1:]
    return float(weights[~visual].sum()), float(weights[visual].sum()) * slots
