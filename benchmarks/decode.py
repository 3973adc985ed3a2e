"""The ways to decode, side by side: `python benchmarks/decode.py [--model M] [--data FOLDER]`.

For each way and batch: passes of the network, seconds as a ratio to `exact` (interleaved rounds, the median), and how
many pictures have the very codes of `exact` (rounding may differ where several positions go through at once). With
--data, a folder as `triptych world tabletop --split test` writes it: what `triptych evaluate` finds in each way's
drawings.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from run import ROUNDS, TEXT, timed

import triptych
from triptych.api import Triptych
from triptych.tasks.settings import WINDOWS


def passes(model: Triptych, way: str, count: int) -> tuple[int, list[np.ndarray]]:
    """How often the network runs for `count` pictures at once, the prompt included, and the pictures."""
    seen: list[int] = []
    path = model._model.engine.path
    opened = path.open

    def open_(*args: Any) -> Any:
        session, state = opened(*args)
        read = session.read

        def counted(*args: Any) -> Any:
            seen.append(1)
            return read(*args)

        session.read = counted  # type: ignore[method-assign]
        seen.append(1)
        return session, state

    path.open = open_  # type: ignore[method-assign]
    try:
        pictures = [picture.pixels for picture in model.draw(TEXT, n=count, decode=way)]
    finally:
        del path.open
    return len(seen), pictures


def ratio(model: Triptych, way: str, count: int) -> float:
    """Seconds of a way by those of `exact`, the median of interleaved rounds."""
    pairs = []
    for _ in range(ROUNDS):
        one = timed(lambda: model.draw(TEXT, n=count, decode=way))
        pairs.append(one / timed(lambda: model.draw(TEXT, n=count, decode="exact")))
    return statistics.median(pairs)


def scores(model: Triptych, way: str, data: Path, limit: int) -> dict[str, float]:
    """What the pictures of a way are worth, by the measures of drawing."""
    from triptych.evaluate.bench import Bench
    from triptych.evaluate.picture_measures import draw

    bench = Bench(model, data, limit=limit, settings={"decode": way})
    return {name: score.value for name, score in draw(bench).items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--limit", type=int, default=100)
    given = parser.parse_args()
    model = triptych.load(given.model)
    table = Table(title=f"{model.info.name}, {torch.get_num_threads()} threads, median of {ROUNDS}")
    for column in ("decode", "pictures at once", "passes", "time / exact", "same pictures"):
        table.add_column(column)
    for count in (1, 4, 16):
        _, truth = passes(model, "exact", count)
        for way in WINDOWS:
            steps, pictures = passes(model, way, count)
            same = sum(bool((a == b).all()) for a, b in zip(pictures, truth, strict=True))
            table.add_row(way, str(count), str(steps), f"{ratio(model, way, count):.2f}", f"{same}/{count}")
    console = Console()
    console.print(table)
    if given.data is not None:
        for way in WINDOWS:
            for name, value in scores(model, way, given.data, given.limit).items():
                console.print(f"{way:<12} {name}: {value:.3f}")


if __name__ == "__main__":
    main()
