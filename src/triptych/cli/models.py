"""Commands about models: info, evaluate."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter, validators

from triptych.cli.drawing import Given, Settings
from triptych.cli.output import Device, Json, document, size_text

LISTED = 8  # entries of a list that the table shows; --json has them all


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
    limit: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 200,
    only: str | None = None,
    seed: int = 0,
    resume: Annotated[bool, Parameter(negative=())] = False,
    device: Device = "auto",
    settings: Settings = Given(),
) -> None:
    """Score a model on a folder of media, each score beside its baselines.

    Args:
        model: Name or folder.
        data: Folder of media, such as `triptych world tabletop --split test` writes; what it lacks is skipped.
        json: File for the scores; it is written after each measure.
        limit: Media a measure at most, of some up to four times as many (docs/evaluation.md); of `search`, texts.
        only: Measures to take, with commas between them, e.g. `draw,ask`; all if not given.
        seed: Of the choice of media, of drawing and of the intervals.
        resume: Keep the measures that the file already holds, of the same model, media and settings.
        device: `cpu`, `cuda` or `auto`.
        settings: How pictures are drawn.
    """
    from triptych.evaluate.suite import evaluate as run

    drawing = {name: value for name, value in asdict(settings).items() if value is not None}
    run(model, data, json, limit=limit, only=only, seed=seed, resume=resume, device=device, **drawing)


def _list(json: bool) -> None:
    from triptych import zoo

    models = [(name, path, sum(file.stat().st_size for file in path.iterdir())) for name, path in zoo.shipped().items()]
    if json:
        document([{"name": name, "folder": str(path), "bytes": size} for name, path, size in models])
        return
    for name, path, size in models:
        print(f"{name:<16} {size_text(size):>9}  {path}")
    if not models:
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
        many = isinstance(value, dict) or (isinstance(value, list) and len(value) > LISTED)
        table.add_row(f"made: {name}", f"{len(value)} entries; see --json" if many else _line(value))
    for name, value in facts["bits"].items():
        table.add_row(f"held out: {name}", f"{value:g}")
    Console().print(table, highlight=False, markup=False)


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_line(part)}" for name, part in value.items())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
