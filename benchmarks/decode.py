"""The ways to decode, side by side:

    python benchmarks/decode.py [--model M] [--data FOLDER] [--json docs/decode.json]
    python benchmarks/decode.py --render docs/decode.json    # writes the table into docs/draw.md

For each way and batch: passes of the network, seconds as a ratio to `exact` (interleaved rounds, the median), and how
many pictures have the very codes of `exact` (rounding may differ where several positions go through at once). With
--data, a folder as `triptych world tabletop --split test` writes it: what `triptych evaluate` finds in each way's
drawings.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from run import ROUNDS, TEXT, timed

import triptych
from triptych.api import Triptych
from triptych.files import write_json, write_text
from triptych.tasks.settings import WINDOWS

PAGE = Path(__file__).parents[1] / "docs" / "draw.md"
BEGIN, END = "<!-- decode:begin -->", "<!-- decode:end -->"


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


def render(results: dict[str, Any]) -> str:
    """The results as a Markdown table."""
    lines = [
        f"{results['model']}, {results['engine']}, medians of {results['rounds']} interleaved rounds:",
        "",
        "| decode | pictures at once | passes of the network | time / `exact` | same pictures |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in results["ways"]:
        same = f"{row['same']}/{row['pictures']}"
        lines.append(f"| {row['decode']} | {row['pictures']} | {row['passes']} | {row['time / exact']:.2f} | {same} |")
    return "\n".join([*lines, ""])


def measure(model: Triptych) -> dict[str, Any]:
    """Passes, time and likeness of each way at each batch."""
    ways = []
    for count in (1, 4, 16):
        _, truth = passes(model, "exact", count)
        for way in WINDOWS:
            steps, pictures = passes(model, way, count)
            same = sum(bool((a == b).all()) for a, b in zip(pictures, truth, strict=True))
            facts = {"decode": way, "pictures": count, "passes": steps, "same": same}
            ways.append(facts | {"time / exact": 1.0 if way == "exact" else ratio(model, way, count)})
    engine = str(model._model.engine.choice).split(":")[0]
    return {"model": model.info.name, "engine": engine, "rounds": ROUNDS, "ways": ways}


def main() -> None:
    """Print the table, keep it, or render it into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--render", type=Path, metavar="JSON", help=f"only write these results into {PAGE.name}")
    given = parser.parse_args()
    if given.render:
        text = PAGE.read_text(encoding="utf-8")
        table = render(json.loads(given.render.read_text(encoding="utf-8")))
        write_text(PAGE, f"{text.split(BEGIN)[0]}{BEGIN}\n{table}{END}{text.split(END)[1]}")
        return
    model = triptych.load(given.model)
    results = measure(model)
    print(render(results))
    if given.json:
        write_json(given.json, results)
    if given.data is not None:
        for way in WINDOWS:
            for name, value in scores(model, way, given.data, given.limit).items():
                print(f"{way:<12} {name}: {value:.3f}")


if __name__ == "__main__":
    main()
