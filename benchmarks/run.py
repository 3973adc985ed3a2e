"""How long the shipped model takes, as ratios within one run: `make bench`.

Each pair of ways is run in turn (A B A B ...), and the median of the pairwise ratios is printed. Absolute times are
those of this machine and this moment.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import triptych
from triptych.api import Triptych
from triptych.results import Picture

ROUNDS = 5
TEXT = "a red ball to the left of a blue cube"


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(one: Callable[[], object], two: Callable[[], object]) -> tuple[float, float, float]:
    """Median seconds of each, and the median of one / two, over interleaved rounds after a warm-up."""
    one(), two()
    pairs = [(timed(one), timed(two)) for _ in range(ROUNDS)]
    ratio = statistics.median(a / b for a, b in pairs)
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), ratio


def without_cache(model: Triptych) -> None:
    """The network's work for one guided picture if nothing were cached: every prefix is read again."""
    gpt, slots = model._model.gpt, model._model.gpt.config.slots
    positions = (model.info.size // 16) ** 2 // slots
    width = gpt.config.inputs
    with torch.inference_mode():
        for length in range(20, 20 + positions):
            ids = torch.zeros(2, length, dtype=torch.long)
            shape = torch.zeros(2, length, width), torch.zeros(2, length, dtype=torch.bool)
            states = gpt(ids, *shape, torch.zeros(2, length, 3, dtype=torch.long))[:, -1]
            for known in range(slots):
                gpt.code_logits(states, torch.zeros(2, known, dtype=torch.long))


def draw(model: Triptych, **how: Any) -> list[Picture]:
    """One candidate a picture."""
    return model.draw(TEXT, best_of=1, **how)


def main() -> None:
    """Print the table."""
    with mock.patch.dict(os.environ, TRIPTYCH_ENGINE="torch"):
        plain = triptych.load("tabletop")
    model = triptych.load("tabletop")
    choice = "native" if model._model.engine.choice.build else "torch"
    clip = np.zeros((17, model.info.size, model.info.size, 3), np.uint8)
    rows = {
        "a picture, on torch: no cache / engine": compare(lambda: without_cache(plain), lambda: draw(plain)),
        f"a picture: on torch / {choice}": compare(lambda: draw(plain), lambda: draw(model)),
        "8 pictures: one by one / together": compare(
            lambda: [draw(model, seed=seed) for seed in range(8)],
            lambda: draw(model, n=8),
        ),
        "a picture: guided / not": compare(lambda: draw(model), lambda: draw(model, guidance=1.0)),
        "2 s of video: describe / encode and decode": compare(
            lambda: model.caption(clip), lambda: model.reconstruct(clip)
        ),
    }
    table = Table(title=f"tabletop, {torch.get_num_threads()} threads, median of {ROUNDS}")
    for column in ("A / B", "A, s", "B, s", "ratio"):
        table.add_column(column)
    for name, (a, b, ratio) in rows.items():
        table.add_row(name, f"{a:.3f}", f"{b:.3f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
