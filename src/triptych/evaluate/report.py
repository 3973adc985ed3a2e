"""A run's JSON as a table: on the terminal, and as Markdown between two marks of a page."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from triptych.errors import DataError
from triptych.files import write_text
from triptych.tasks.settings import DrawSettings

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
# What a first look at the README should see; the model's card holds every measure.
HEADLINES = (
    "draw: objects",
    "draw: scenes",
    "draw: relations",
    "caption: objects of pictures, en, F1",
    "caption: events of clips, times left aside, en, F1",
    "ask: accuracy, pictures",
    "ask: accuracy, clips",
    "view: position error of objects",
    "locate: within 0.25 s, en",
    "search: recall at 5, en",
    "surprise: AUROC of impossible events",
)
ALWAYS = ("guidance", "ramp", "temperature", "decode")  # settings that a table names; others where they are not usual
PARTS = ("model", "weights", "data", "seed", "sampling", "triptych", "date", "measures", "skipped")
Results = dict[str, Any]


def read_results(path: Path | str) -> Results:
    """A run's JSON; DataError where there is none, or where the file is something else."""
    try:
        results = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or "can't be read").lower()
        raise DataError(f"{path}: {reason}; give the file of `triptych evaluate --json`") from error
    except ValueError as error:
        raise DataError(f"{path}: is not JSON: {error}; give the file of `triptych evaluate --json`") from error
    lacking = [part for part in PARTS if part not in results] if isinstance(results, dict) else ["measures"]
    if lacking:
        raise DataError(f"{path}: holds no {lacking[0]!r}; give the file of `triptych evaluate --json`")
    return dict(results)


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
    run: Results = results if isinstance(results, dict) else read_results(results)
    missing = [name for name in only if name not in run["measures"]]
    if missing:
        raise ValueError(f"the run holds no measure {missing[0]!r}; it holds: {', '.join(run['measures'])}")
    if only:
        run = {**run, "measures": {name: run["measures"][name] for name in only}, "skipped": {}}
    lines = ["| measure | value | 95% | n | beside it |", "|---|---:|---|---:|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in _rows(run)]
    weights = run["weights"].get("gpt.safetensors", "")[:12]
    usual = asdict(DrawSettings())
    named = {name: value for name, value in run["sampling"].items() if name in ALWAYS or value != usual.get(name)}
    sampling = _told(named)
    for what in ("edits", "futures"):
        other = run.get(f"sampling of {what}", {})
        differs = {name: value for name, value in other.items() if value != run["sampling"].get(name)}
        sampling += f"; {what}: {_told(differs)}" if differs else ""
    framings = f"clips in {run['framings']} framings, " if run.get("framings", 1) > 1 else ""
    source = (
        f"{run['model']}{f' {weights}' if weights else ''}, triptych {run['triptych']}, "
        f"{run['date'][:10]}, seed {run['seed']}, {framings}{sampling}. ↑ more is better, ↓ less is better."
    )
    skipped = _skipped(run)
    return "\n".join([*lines, "", source, *([skipped] if skipped else [])])


def _told(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value if isinstance(value, str) else f'{value:g}'}" for name, value in settings.items())


def insert_results(text: str, results: Results | Path | str, only: Sequence[str] = ()) -> str:
    """A page's text with the table between its marks replaced; all else stays. See render_markdown for `only`.

    Errors: ValueError if the page lacks the marks, or the run such a measure.
    """
    return between(text, BEGIN, END, render_markdown(results, only))


def between(text: str, begin: str, end: str, body: str) -> str:
    """A page's text with what stands between two marks replaced.

    Errors: ValueError if the page lacks the marks.
    """
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page holds no {begin} and {end} for the results to stand between")
    return f"{head}{begin}\n{body}\n{end}{tail}"


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


def headlines(results: Results) -> list[str]:
    """Those of HEADLINES that a run holds: one of some measures only lacks the others.

    Errors: DataError if it holds none of them.
    """
    names = [name for name in HEADLINES if name in results["measures"]]
    if not names:
        raise DataError(
            f"the run holds none of the headlines ({'; '.join(HEADLINES)}): measure draw, caption, ask or view"
        )
    return names


def main(arguments: Sequence[str] | None = None) -> Literal[0, 1]:
    """Put headlines into a README and all measures into other pages; none is written unless all can be."""
    parser = argparse.ArgumentParser(prog="python -m triptych.evaluate.report", description=main.__doc__)
    parser.add_argument("results", type=Path, metavar="RESULTS", help="JSON that `triptych evaluate` wrote")
    parser.add_argument("readme", type=Path, metavar="README", help="page for the headlines, between its two marks")
    parser.add_argument(
        "pages", type=Path, nargs="+", metavar="PAGE", help="pages for every measure, between their two marks"
    )
    given = parser.parse_args(arguments)
    try:
        results = read_results(given.results)
        pages: dict[Path, Sequence[str]] = {given.readme: headlines(results), **dict.fromkeys(given.pages, ())}
        texts = {page: _filled(page, results, only) for page, only in pages.items()}
        for page, text in texts.items():
            write_text(page, text)
            print(f"{page}: results of {given.results}")
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _filled(page: Path, results: Results, only: Sequence[str]) -> str:
    try:
        return insert_results(page.read_text(encoding="utf-8"), results, only)
    except ValueError as error:  # no marks, or no UTF-8
        raise DataError(f"{page}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
