"""What commands print: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from triptych.files import slug
from triptych.tasks.settings import MOST_FRAMINGS

Json = Annotated[bool, Parameter(name="--json", negative=())]
Model = Annotated[str, Parameter(name=["--model", "-m"])]
Device = Annotated[str, Parameter(name="--device")]
Framings = Annotated[int, Parameter(name="--framings", validator=validators.Number(gte=1, lte=MOST_FRAMINGS))]


def document(value: object) -> None:
    """Print one JSON document."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def note(text: str) -> None:
    """Tell something that is not the result."""
    print(text, file=sys.stderr)


def warn(text: str) -> None:
    """Tell, before the result, why it may be wrong; nothing if the text is empty."""
    if text:
        note(f"note: {text}")


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, where a person sees it; gives the function to call with (done, all)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def file_names(out: Path | None, text: str, count: int, suffix: str = ".png") -> list[Path]:
    """Where to write `count` pictures, or media of another suffix, of a text.

    `out` names the file, or the folder for it; without a name, it is made of the text and takes no other file's place.
    With several pictures, -1, -2 and so on are added.
    """
    folder = out if out is not None and out.is_dir() else Path()
    if out is not None and folder is not out:
        return numbered(out, count)
    stem = slug(text) or "picture"
    base, again = folder / f"{stem}{suffix}", 1
    while any(path.exists() for path in numbered(base, count)):
        again += 1
        base = folder / f"{stem}-{again}{suffix}"
    return numbered(base, count)


def check_suffix(path: Path | None, known: tuple[str, ...]) -> None:
    """Raise ConfigError before any work if a file of this name can't be written."""
    from triptych.errors import ConfigError

    if path is not None and path.suffix.lower() not in known:
        raise ConfigError(
            f"{path}: can't write {path.suffix or 'a file without suffix'}; use one of {', '.join(known)}"
        )


def numbered(path: Path, count: int) -> list[Path]:
    """A name for each of `count` files: itself for one, else with -1, -2 and so on."""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, count + 1)]


def split_choices(text: str | None) -> list[str] | None:
    """Choices written with commas, Chinese ones too."""
    if text is None:
        return None
    return [choice.strip() for choice in re.split(r"[,，]", text) if choice.strip()]


def size_text(count: float) -> str:
    """Bytes for people.

    >>> size_text(2_500_000)
    '2.5 MB'
    """
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
