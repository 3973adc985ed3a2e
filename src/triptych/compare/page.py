"""A comparison's JSON as tables of Markdown: on the terminal, and between two marks of a page.

python -m triptych.compare.page docs/compare.json docs/compare.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from triptych.compare.run import read
from triptych.errors import DataError
from triptych.evaluate.report import between, number
from triptych.files import write_text

BEGIN, END = "<!-- compare:begin -->", "<!-- compare:end -->"
NAMES = {"gpt": "GPT", "cnn": "CNN", "fresh": "GPT from nothing"}
Results = dict[str, Any]


def render_markdown(results: Results, names: Sequence[str] = ()) -> str:
    """The tables of a comparison, of the data sets `names` where given; what is not measured yet stays blank."""
    sets = {name: facts for name, facts in results["sets"].items() if not names or name in names}
    parts = [
        _table(
            "Accuracy on the test, with 95% intervals",
            ("data", "labels", *NAMES.values(), "most frequent label"),
            _accuracy(sets),
        ),
        _table(
            "Speed: CPU milliseconds a medium, pixels to logits, in turns; a ratio above 1 means the GPT is faster",
            ("data", "batch", "GPT", "CNN", "ratio"),
            _speed(sets),
        ),
        _table(
            "Robustness: accuracy under attacks within ±ε of each pixel; the last two columns are what counts",
            ("data", "ε", "n", "GPT, PGD", "CNN, PGD", "GPT, transfer", "CNN, transfer", "GPT, worst", "CNN, worst"),
            _robustness(sets),
        ),
        _table(
            "How each was trained",
            ("data", "network", "parameters", "input", "learning rate", "labels", "CPU seconds", "media seen"),
            _training(sets),
        ),
    ]
    return "\n\n".join([part for part in parts if part] + list(_sources(sets)))


def _table(title: str, columns: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    head = [f"**{title}**", "", f"| {' | '.join(columns)} |", "|---|" + "---:|" * (len(columns) - 1)]
    return "\n".join([*head, *lines])


def _cells(facts: Results, network: str) -> dict[float, Results]:
    start = f"cell {network} "
    return {float(key[len(start) :]): cell for key, cell in facts.items() if key.startswith(start)}


def _accuracy(sets: Results) -> Iterator[Sequence[str]]:
    for name, facts in sets.items():
        cells = {network: _cells(facts, network) for network in NAMES}
        for share in sorted({share for some in cells.values() for share in some}, reverse=True):
            shown = {network: some[share] for network, some in cells.items() if share in some}
            best = max(cell["accuracy"] for cell in shown.values())
            labelled = next(iter(shown.values()))["labelled"]
            texts = [_score(shown.get(network), best) for network in NAMES]
            yield name, f"{share:.0%} ({labelled:,})", *texts, number(facts["baseline"]["accuracy"])


def _score(cell: Results | None, best: float) -> str:
    if cell is None:
        return ""
    value = number(cell["accuracy"])
    bold = f"**{value}**" if cell["accuracy"] == best else value
    more = f", mAP {number(cell['mean_ap'])}" if "mean_ap" in cell else ""
    return f"{bold} ({_interval(cell)}){more}"


def _interval(cell: Results) -> str:
    return "–".join(map(number, cell["ci95"]))


def _speed(sets: Results) -> Iterator[Sequence[str]]:
    for name, facts in sets.items():
        speed = facts.get("speed")
        for batch in speed["ratio"] if speed else ():
            times = [number(speed[network][batch] / int(batch)) for network in ("gpt", "cnn")]
            yield name, batch, *times, number(speed["ratio"][batch])


def _robustness(sets: Results) -> Iterator[Sequence[str]]:
    for name, facts in sets.items():
        found = facts.get("robustness")
        rivals = [network for network in ("gpt", "cnn") if found and network in found]
        for epsilon in ["0", *found[rivals[0]]] if rivals else ():
            texts = []
            for attack in ("pgd", "transfer", "worst"):
                for network in ("gpt", "cnn"):
                    by = found.get(network, {})
                    cell = next(iter(by.values()))["none"] if by and epsilon == "0" else by.get(epsilon, {}).get(attack)
                    blank = cell is None or (epsilon == "0" and attack != "worst")
                    texts.append("" if blank else number(cell["accuracy"]))
                    if attack == "worst" and not blank:
                        texts[-1] += f" ({_interval(cell)})"
            yield name, f"{epsilon}/255" if epsilon != "0" else "0", str(found["n"]), *texts


def _training(sets: Results) -> Iterator[Sequence[str]]:
    for name, facts in sets.items():
        for network, title in NAMES.items():
            for cell in _cells(facts, network).values():
                recipe, training = cell["recipe"], cell["training"]
                yield (
                    name,
                    title,
                    f"{cell['parameters']:,}",
                    f"{recipe['side']:g}",
                    f"{recipe['lr']:g}",
                    f"{cell['labelled']:,}",
                    f"{training['seconds']:g}",
                    f"{training['seen']:,}",
                )


def _sources(sets: Results) -> Iterator[str]:
    for name, facts in sets.items():
        data, settings, made = facts["data"], facts["settings"], facts.get("finished", {})
        weights = facts["model"]["weights"].get("gpt.safetensors", "")[:12]
        frames = f"{data['frames']} frame{'s' if data['frames'] > 1 else ''}"
        yield (
            f"{name}: {data['train']:,} media to train on, {data['validation']:,} for validation, {data['tested']:,} "
            f"to test on, {frames} of {data['side']}x{data['side']} pixels each, {data['labels']} labels; "
            f"{settings['minutes']:g} CPU minutes on all labels, seed {settings['seed']}; {facts['model']['name']} "
            f"{weights}, triptych {made.get('triptych')}, torch {made.get('torch')}, {made.get('date', '')[:10]}."
        )


def insert_tables(text: str, results: Results) -> str:
    """A page's text with the tables between its marks replaced; ValueError if it lacks the marks."""
    return between(text, BEGIN, END, render_markdown(results))


def main(arguments: Sequence[str] | None = None) -> Literal[0, 1]:
    """Put the tables of a comparison into a page."""
    parser = argparse.ArgumentParser(prog="python -m triptych.compare.page", description=main.__doc__)
    parser.add_argument("results", type=Path, metavar="RESULTS", help="compare.json that `triptych compare` wrote")
    parser.add_argument("page", type=Path, metavar="PAGE", help="page with the two marks")
    given = parser.parse_args(arguments)
    try:
        write_text(given.page, insert_tables(given.page.read_text(encoding="utf-8"), read(given.results)))
    except (DataError, OSError, ValueError) as error:
        print(f"error: {given.page}: {error}", file=sys.stderr)
        return 1
    print(f"{given.page}: tables of {given.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
