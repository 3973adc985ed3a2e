"""A file of orders -> a folder of pictures: packed into full batches, safe to kill and to take up again."""

from __future__ import annotations

import csv
import io
import itertools
import json
import string
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from triptych.api import Triptych
from triptych.errors import ConfigError, MediaError, TriptychError
from triptych.files import slug
from triptych.media import image
from triptych.results import Picture
from triptych.tasks.canvas import Partial
from triptych.tasks.orders import Order, order_of
from triptych.tasks.settings import DrawSettings

PATTERN = "{n}-{seed}-{prompt}"
FIELDS = ("n", "seed", "prompt", "verb")
AT_ONCE = 256  # orders that are packed together
MOST = 1024  # pictures of one row
Row = tuple[int, Mapping[str, Any] | TriptychError]


@dataclass
class Report:
    """What became of a file of orders: the rows of `made`, `there` (before) and `failed` are their numbers, from 1.

    Args:
        made: row, file and picture. there: row and file. failed: row and what is wrong with it.
    """

    made: list[tuple[int, Path, Picture]] = field(default_factory=list)
    there: list[tuple[int, Path]] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        """All pictures that are there now, in the order of their rows."""
        rows = [(row, path) for row, path, _ in self.made] + self.there
        return [path for _, path in sorted(rows, key=lambda pair: pair[0])]


def read_rows(source: Path | str) -> Iterator[Row]:
    """The rows of a file, or of the standard input where it is "-": each one's number, from 1, and its values.

    A .csv file has a row of names first; in any other, a line that begins with `{` is a JSON object and any other
    line is a prompt. Empty lines are passed over. A line that can't be read gives what is wrong with it.

    Raises:
        ConfigError: there is no such file, or it is not UTF-8.
    """
    try:
        text = sys.stdin.read() if str(source) == "-" else Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: can't be read ({getattr(error, 'strerror', None) or 'not UTF-8'})") from None
    if Path(source).suffix.lower() == ".csv":
        yield from enumerate(csv.DictReader(io.StringIO(text)), 1)
        return
    for number, line in enumerate((line.strip() for line in text.splitlines() if line.strip()), 1):
        if not line.startswith("{"):
            yield number, {"prompt": line}
            continue
        try:
            value = json.loads(line)
            yield number, value if isinstance(value, dict) else ConfigError("is no JSON object")
        except ValueError as error:
            yield number, ConfigError(f"is not JSON ({error})")


def draw_rows(
    model: Triptych,
    rows: Iterable[Row],
    out: Path,
    *,
    name: str = PATTERN,
    defaults: Mapping[str, Any] = {},
    seed: int = 0,
    n: int = 1,
    folder: Path = Path(),
    metadata: bool = True,
    progress: Callable[[int, int], None] | None = None,
    partial: Partial | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> Report:
    """Draw every row that is not drawn yet.

    A picture that is there already under a row's name and was drawn from the same text, seed, settings, inputs and
    model is left alone; one that was drawn otherwise fails the row. Pictures are written as soon as they are there,
    each whole.

    Args:
        model: what draws.
        rows: as `read_rows` gives them: `prompt`, `seed`, `n` (pictures, of seeds that follow one another), `verb`,
            inputs and settings by name.
        out: folder to write.
        name: pattern of the files' names, with {n} (the row's number), {seed}, {prompt} and {verb}; .png is added where
            it has no suffix.
        defaults, seed, n: settings by name, seed and pictures for rows that don't say.
        folder: where the files that rows name lie.
        metadata: keep in each file how it was made.
        progress, partial: see Triptych.draw.
        told: called with one line for each row that fails.

    Raises:
        ConfigError: a pattern with an unknown field. MediaError: a suffix of no known kind.
    """
    report = Report()
    _check(name)
    paths: dict[Path, int] = {}

    def fail(row: int, error: object) -> None:
        report.failed.append((row, str(error)))
        told(f"row {row}: {error}")

    def orders() -> Iterator[tuple[int, Path, Order]]:
        for row, values in rows:
            try:
                for order in _orders(values, defaults, seed, n, folder):
                    path = out / _name(name, row, order)
                    if path in paths:
                        raise ConfigError(f"{path} is written by row {paths[path]}: give --name a pattern with {{n}}")
                    paths[path] = row
                    if _is_there(model, path, order, metadata):
                        report.there.append((row, path))
                    else:
                        yield row, path, order
            except TriptychError as error:
                fail(row, error)

    waiting = orders()
    while part := list(itertools.islice(waiting, AT_ONCE)):
        for place, picture in model.fulfil([order for _, _, order in part], progress=progress, partial=partial):
            row, path, _ = part[place]
            if isinstance(picture, TriptychError):
                fail(row, picture)
            else:
                report.made.append((row, picture.save(path, metadata), picture))
    return report


def _orders(
    values: Mapping[str, Any] | TriptychError, defaults: Mapping[str, Any], seed: int, n: int, folder: Path
) -> list[Order]:
    if isinstance(values, TriptychError):
        raise values
    given = {"seed": seed, **defaults, **{key: value for key, value in values.items() if value not in (None, "")}}
    count = given.pop("n", n)
    if not str(count).isdigit() or not 1 <= int(count) <= MOST:
        raise ConfigError(f"n={count!r}: give a whole number from 1 to {MOST}")
    first = order_of(given, folder)
    return [order_of({**given, "seed": first.seed + i}, folder) for i in range(int(count))]


def _check(name: str) -> None:
    try:
        fields = [part[1] for part in string.Formatter().parse(name) if part[1] is not None]
        name.format(**{**dict.fromkeys(FIELDS, ""), "n": 1, "seed": 1})
    except (ValueError, KeyError, IndexError):
        fields = [""]
    if not set(fields) <= set(FIELDS):
        known = ", ".join(f"{{{known}}}" for known in FIELDS)
        raise ConfigError(f"name={name!r}: a pattern of {known}")
    image.check_writable(Path(_suffixed(name)))


def _name(name: str, row: int, order: Order) -> str:
    return _suffixed(name.format(n=row, seed=order.seed, prompt=slug(order.text) or "picture", verb=order.verb))


def _suffixed(name: str) -> str:
    return name if Path(name).suffix.lower() in image.SUFFIXES else f"{name}.png"


def _whole(metadata: Mapping[str, str]) -> dict[str, Any]:
    """A picture's metadata with the defaults of settings that came later than the picture."""
    try:
        return {**metadata, "settings": {**asdict(DrawSettings()), **json.loads(metadata.get("settings", "{}"))}}
    except (ValueError, TypeError):
        return dict(metadata)


def _is_there(model: Triptych, path: Path, order: Order, metadata: bool) -> bool:
    if not path.exists():
        return False
    if not metadata:
        return True
    kept = image.read_metadata(path)
    kept.pop("plan", None)  # the settings say whose plan it was drawn by
    if _whole(kept) == _whole(model.metadata_of(order)):
        return True
    raise MediaError(path, "is another picture already", "choose another folder or pattern, or remove it")
