"""The ways to decode, side by side:

    python benchmarks/decode.py [--model M] [--data FOLDER] [--json docs/decode.json]
    python benchmarks/decode.py --render docs/decode.json    # writes the table into docs/draw.md

For each way and batch: passes of the network, seconds as a ratio to `exact` (interleaved rounds, the median), and how
many pictures have the very codes of `exact` (rounding may differ where several positions go through at once). With
--data, a folder as `triptych world tabletop --split test` writes it: what `triptych evaluate` finds in drawings by each
way that draws others than `exact`.
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
from triptych.evaluate.report import number
from triptych.files import write_json, write_text
from triptych.tasks.settings import Drawing

WAYS: dict[str, Drawing] = {
    "exact": {"decode": "exact", "best_of": 1, "plan": "none"},
    "exact, by a plan": {"decode": "exact", "best_of": 1},
    "speculative": {"decode": "speculative", "best_of": 1, "plan": "none"},
    **{f"parallel, {n} passes": {"decode": "parallel", "passes": n, "best_of": 1} for n in (8, 16, 32)},
}
SHOWN = {
    "draw: objects": "objects right",
    "draw: scenes": "scenes right",
    "draw: MobileNetV2 Fréchet distance": "MobileNetV2 Fréchet distance",
}
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
        pictures = [picture.pixels for picture in model.draw(TEXT, n=count, **WAYS[way])]
    finally:
        del path.open
    return len(seen), pictures


def ratio(model: Triptych, way: str, count: int) -> float:
    """Seconds of a way by those of `exact`, the median of interleaved rounds."""
    pairs = []
    for _ in range(ROUNDS):
        one = timed(lambda: model.draw(TEXT, n=count, **WAYS[way]))
        pairs.append(one / timed(lambda: model.draw(TEXT, n=count, **WAYS["exact"])))
    return statistics.median(pairs)


def scores(model: Triptych, data: Path, limit: int) -> dict[str, Any]:
    """What the pictures of each way are worth, by the measures of drawing; `speculative` draws those of `exact`."""
    from triptych.evaluate.suite import evaluate

    out = {}
    for way, how in WAYS.items():
        if way != "speculative":
            run = evaluate(model, data, only="draw", limit=limit, progress=False, **how)
            out[way] = {name: run["measures"][name] for name in SHOWN}
    return {"limit": limit, "ways": out}


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
    if "scores" in results:
        limit = results["scores"]["limit"]
        lines += [
            "",
            f"What {limit} drawings of held-out texts are worth, each way by itself ([counted so](evaluation.md)):",
            "",
            f"| decode | {' | '.join(SHOWN.values())} |",
            "|---|" + "---:|" * len(SHOWN),
        ]
        for way, measures in results["scores"]["ways"].items():
            lines.append(f"| {way} | {' | '.join(_cell(measures[name]) for name in SHOWN)} |")
    return "\n".join([*lines, ""])


def _cell(score: dict[str, Any]) -> str:
    low_high = f" ({'–'.join(map(number, score['ci95']))})" if score["ci95"] else ""
    return f"{number(score['value'])}{low_high}"


def measure(model: Triptych) -> dict[str, Any]:
    """Passes, time and likeness of each way at each batch."""
    ways = []
    for count in (1, 4, 16):
        _, truth = passes(model, "exact", count)
        for way in WAYS:
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
    if given.data is not None:
        results["scores"] = scores(model, given.data, given.limit)
    print(render(results))
    if given.json:
        write_json(given.json, results)


if __name__ == "__main__":
    main()
