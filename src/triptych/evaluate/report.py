"""A run's JSON as a table: on the terminal, and as Markdown between two marks of a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from triptych.files import write_text

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
Results = dict[str, Any]


def table(results: Results) -> Table:
    """A rich table of a run: each number, its interval, on how many samples it stands, and its baselines."""
    title = f"{results['model']} on {results['data']['folder']}, seed {results['seed']}"
    out = Table(title=title, caption=_skipped(results), caption_justify="left")
    for column in ("measure", "value", "95%", "n", "beside it"):
        out.add_column(column, justify="right" if column in ("value", "n") else "left")
    for row in _rows(results):
        out.add_row(*row)
    return out


def render_markdown(results: Results | Path | str, only: Sequence[str] = ()) -> str:
    """A run, or its JSON file, as a Markdown table with a line on where it comes from.

    Args: only: names of the measures to show, in that order ("draw: objects"); all without it.
    Errors: ValueError if the run holds no measure of such a name.
    """
    run: Results = results if isinstance(results, dict) else json.loads(Path(results).read_text(encoding="utf-8"))
    missing = [name for name in only if name not in run["measures"]]
    if missing:
        raise ValueError(f"the run holds no measure {missing[0]!r}; it holds: {', '.join(run['measures'])}")
    if only:
        run = {**run, "measures": {name: run["measures"][name] for name in only}, "skipped": {}}
    lines = ["| measure | value | 95% | n | beside it |", "|---|---:|---|---:|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in _rows(run)]
    weights = run["weights"].get("gpt.safetensors", "")[:12]
    sampling = ", ".join(f"{name} {value:g}" for name, value in run["sampling"].items())
    source = (
        f"{run['model']}{f' {weights}' if weights else ''}, triptych {run['triptych']}, "
        f"{run['date'][:10]}, seed {run['seed']}, {sampling}. ↑ more is better, ↓ less is better."
    )
    skipped = _skipped(run)
    return "\n".join([*lines, "", source, *([skipped] if skipped else [])])


def insert_results(text: str, results: Results | Path | str, only: Sequence[str] = ()) -> str:
    """A page with the table between its marks replaced; all else stays. See render_markdown for `only`.

    Errors: ValueError if the page lacks the marks, or the run such a measure.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page holds no {BEGIN} and {END} for the results to stand between")
    return f"{head}{BEGIN}\n{render_markdown(results, only)}\n{END}{tail}"


def _rows(results: Results) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, score in results["measures"].items():
        unit = f", {score['unit']}" if score["unit"] else ""
        arrow = "↑" if score["better"] == "higher" else "↓"
        interval = "–".join(map(number, score["ci95"])) if score["ci95"] else ""
        beside = "; ".join(f"{other} {number(value)}" for other, value in score["baselines"].items())
        rows.append((f"{name}{unit} {arrow}", number(score["value"]), interval, str(score["n"]), beside))
    return rows


def number(value: float) -> str:
    """Three digits that matter, without an exponent.

    >>> number(0.98765), number(31.416), number(1234.5)
    ('0.988', '31.4', '1234')
    """
    if value == 0:
        return "0"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}"


def _skipped(results: Results) -> str:
    return " ".join(f"Not measured: {name} ({reason})." for name, reason in results["skipped"].items())


# What a first look at the README should see; the model's card holds every measure.
HEADLINES = (
    "draw: objects",
    "draw: scenes",
    "draw: relations",
    "caption: objects in pictures",
    "caption: events in clips",
)


def main() -> None:
    """`python -m triptych.evaluate.report RESULTS README CARD`: headlines into the first page, all into the second."""
    import sys

    results, readme, card = map(Path, sys.argv[1:])
    for page, only in ((readme, headlines(results)), (card, ())):
        write_text(page, insert_results(page.read_text(encoding="utf-8"), results, only))
        print(f"{page}: results of {results}")


def headlines(results: Path) -> list[str]:
    """Those of HEADLINES that a run holds."""
    measures = json.loads(results.read_text(encoding="utf-8"))["measures"]
    return [name for name in HEADLINES if name in measures]


if __name__ == "__main__":
    main()
