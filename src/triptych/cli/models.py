"""Commands about models: info, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cyclopts import App

from triptych.cli.output import Device, Json, document, size_text


def register(app: App) -> None:
    """Add the commands of this file."""
    app.command(info)
    app.command(evaluate)


def info(model: str | None = None, /, *, json: Json = False) -> None:
    """Tell what a model is, what it costs and what made it, and check its files; without a name, list the shipped.

    Args:
        model: Name or folder.
        json: Print one JSON document instead.
    """
    from triptych import zoo
    from triptych.tasks.describe import describe

    if model is None:
        _list(json)
        return
    facts = describe(zoo.load(model)) | {"verified": True}  # a damaged file is refused before this
    if json:
        document(facts)
    else:
        _table(facts)


def evaluate(
    model: str,
    /,
    *,
    data: Path,
    json: Path | None = None,
    limit: int | None = None,
    only: str | None = None,
    device: Device = "auto",
) -> None:
    """Score a model on a folder of media with their truth.

    Args:
        model: Name or folder.
        data: Folder of media, as `triptych world` writes it.
        json: File for the scores.
        limit: Take so many media of each kind.
        only: Scores to take, with commas between them; all if not given.
        device: `cpu`, `cuda` or `auto`.
    """
    from triptych import load
    from triptych.evaluate.suite import evaluate as run

    names = only.split(",") if only else None
    scores = run(load(model, device), data, limit=limit, only=names)
    if json is not None:
        from triptych.files import write_json

        write_json(json, scores)
    document(scores)


def _list(json: bool) -> None:
    from triptych import zoo

    sizes = {name: sum(file.stat().st_size for file in path.iterdir()) for name, path in zoo.shipped().items()}
    if json:
        document([{"name": name, "folder": str(zoo.find(name)), "bytes": size} for name, size in sizes.items()])
        return
    for name, size in sizes.items():
        print(f"{name:<16} {size_text(size):>9}  {zoo.find(name)}")
    if not sizes:
        print("no models are shipped with this installation; give a folder that holds model.json")


def _table(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if name not in ("files", "made", "bits", "verified"):
            table.add_row(name, _line(value))
    for name, file in facts["files"].items():
        table.add_row(name, f"{size_text(file['bytes'])}  SHA-256 {file['sha256'][:16]}…")
    table.add_row("verified", "all files have the hashes they were written with")
    for name, value in facts["made"].items():
        table.add_row(f"made: {name}", _line(value))
    for name, value in facts["bits"].items():
        table.add_row(name, f"{value:g}")
    Console().print(table, highlight=False, markup=False)


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_line(part)}" for name, part in value.items())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
