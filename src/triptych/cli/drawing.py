"""Commands that draw: draw, complete, inpaint, outpaint, vary, edit, film."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter, validators

from triptych.cli.output import Device, Json, Model, bar, document, file_names, note
from triptych.errors import ConfigError
from triptych.tasks.settings import PICTURES_ONLY, DrawSettings

if TYPE_CHECKING:
    from triptych.api import Triptych
    from triptych.results import Picture
    from triptych.tasks.orders import Order

Share = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))]
Pixels = Annotated[int, Parameter(validator=validators.Number(gte=0))]


def _legal(name: str) -> Any:
    def check(kind: Any, value: Any) -> None:
        if value is not None:
            try:
                DrawSettings().changed({name: value})
            except ConfigError as error:
                raise ValueError(str(error)) from error

    return check


def _options(*without: str) -> list[tuple[str, Any, Any]]:
    """DrawSettings as options of which none need be given, so that what was given can be told from what was not."""
    out = []
    for setting in fields(DrawSettings):
        if setting.name in without:
            continue
        kind = {"float": float, "int": int, "str": str}[str(setting.type)]
        default = f" [default: {setting.default}]" if setting.default not in (MISSING, "") else ""
        told = Parameter(help=setting.metadata["help"] + default, validator=_legal(setting.name))
        out.append((setting.name, Annotated[kind | None, told], field(default=None)))
    return out


Given: Any = make_dataclass("Given", _options(), frozen=True, kw_only=True)
OfFilms: Any = make_dataclass("OfFilms", _options(*PICTURES_ONLY), frozen=True, kw_only=True)
Given.__module__ = OfFilms.__module__ = __name__  # or cyclopts takes them for types of Python's own, not to look into
Settings = Annotated[Given, Parameter(name="*")]
FilmSettings = Annotated[OfFilms, Parameter(name="*")]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Where pictures go and how many there are."""

    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None
    """File to write (.png, .jpg, .webp), or a folder; the default name is made of the text."""
    n: Annotated[int, Parameter(name=["--n", "-n"], validator=validators.Number(gte=1, lte=1024))] = 1
    """Pictures; more than one are written as out-1.png, out-2.png and so on."""
    seed: Annotated[int | None, Parameter(validator=validators.Number(gte=0, lt=2**62))] = None
    """Of the first picture; the same seed draws the same picture. 0 if not given."""
    model: Model = "tabletop"
    """Name or folder."""
    device: Device = "auto"
    """`cpu`, `cuda` or `auto`."""
    metadata: bool = True
    """Keep in the file how the picture was made."""
    show: bool | None = None
    """Show the pictures in the terminal; by default where there is one."""
    live: bool = False
    """Show the pictures in the terminal while they are drawn."""
    json: Json = False
    """Print one JSON document instead."""


Where = Annotated[Result, Parameter(name="*")]


def register(app: App) -> None:
    """Add the commands of this file."""
    for command in (draw, complete, inpaint, outpaint, vary, edit, film):
        app.command(command)


def draw(
    text: str | None = None,
    /,
    *,
    images: Annotated[list[Path] | None, Parameter(name="--image", negative=())] = None,
    again: Path | None = None,
    rows: Annotated[str | None, Parameter(name="--from", allow_leading_hyphen=True)] = None,
    name: str | None = None,
    sheet: Path | None = None,
    settings: Settings = Given(),
    result: Where = Result(),
) -> None:
    """Draw pictures of a text, in English or Chinese; or many, of the rows of a file.

    Args:
        text: What to draw; without it, anything.
        images: A picture that comes before, such as an earlier view of the scene; may be given several times.
        again: A picture that triptych drew: draw it again, with what else is given changed.
        rows: File of rows to draw, or - for the standard input: texts, JSON lines or .csv; see docs/draw.md.
        name: Pattern of the files' names for --from, of {n}, {seed}, {prompt} and {verb}.
        sheet: File for one picture of all pictures of --from, small.
        settings: How.
        result: Where to.
    """
    if rows is not None:
        _refuse("--from", text=text, image=images, again=again)
        _draw_rows(rows, name, sheet, settings, result)
        return
    _refuse("a single drawing (they belong to --from)", name=name, sheet=sheet)
    if again is not None:
        _refuse("--again", image=images)
        _again(again, text, settings, result)
        return
    inputs = {"images": tuple(map(str, images))} if images else {}
    _make("draw", text or "", inputs, settings, result)


def complete(
    file: Path, text: str = "", /, *, keep: Share = 0.5, settings: Settings = Given(), result: Where = Result()
) -> None:
    """Draw the rest of a picture of which the upper part is kept.

    Args:
        file: Picture.
        text: What the whole picture shows.
        keep: Share of its height that is kept, from the top.
        settings: How.
        result: Where to.
    """
    _make("complete", text, {"image": str(file), "keep": keep}, settings, result)


def inpaint(
    file: Path,
    text: str = "",
    /,
    *,
    mask: Path | None = None,
    box: str | None = None,
    settings: Settings = Given(),
    result: Where = Result(),
) -> None:
    """Draw a part of a picture anew; all other pixels stay. With --best-of 8 the lower and right seams fit better.

    Args:
        file: Picture.
        text: What the whole picture shows.
        mask: Picture of the same size, white where it is to be drawn anew.
        box: Instead of a mask: left,top,right,bottom in pixels.
        settings: How.
        result: Where to.
    """
    inputs = {"image": str(file), "mask": None if mask is None else str(mask), "box": box}
    _make("inpaint", text, inputs, settings, result)


def outpaint(
    file: Path,
    text: str = "",
    /,
    *,
    left: Pixels = 0,
    top: Pixels = 0,
    right: Pixels = 0,
    bottom: Pixels = 0,
    settings: Settings = Given(),
    result: Where = Result(),
) -> None:
    """Draw around a picture.

    Args:
        file: Picture.
        text: What the whole picture shows.
        left: Pixels to add there, rounded up to whole cells.
        top: As left.
        right: As left.
        bottom: As left.
        settings: How.
        result: Where to.
    """
    sides = {"left": left, "top": top, "right": right, "bottom": bottom}
    _make("outpaint", text, {"image": str(file), **sides}, settings, result)


def vary(
    file: Path, text: str = "", /, *, strength: Share = 0.5, settings: Settings = Given(), result: Where = Result()
) -> None:
    """Draw another picture like one.

    Args:
        file: Picture.
        text: What the picture shows.
        strength: Share of it that is drawn anew.
        settings: How.
        result: Where to.
    """
    _make("vary", text, {"image": str(file), "strength": strength}, settings, result)


def edit(file: Path, instruction: str, /, *, settings: Settings = Given(), result: Where = Result()) -> None:
    """Draw a picture changed as an instruction says, by a model that has learned from edits.

    Args:
        file: Picture.
        instruction: Such as "make the ball green", in English or Chinese.
        settings: How.
        result: Where to.
    """
    _make("edit", instruction, {"image": str(file)}, settings, result)


def film(
    text: str = "",
    /,
    *,
    start: Path | None = None,
    frames: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    settings: FilmSettings = OfFilms(),
    result: Where = Result(),
) -> None:
    """Draw short clips of a text, by a model that has learned from clips.

    Args:
        text: What happens, in English or Chinese.
        start: A picture or clip that it goes on from.
        frames: Frames of the whole clip, 1 + 4k; those that the model learned if not given.
        settings: How.
        result: Where to: .mp4, .gif or .webp.
    """
    from triptych import load
    from triptych.media.video import check_writable
    from triptych.terminal import show_pictures

    paths = file_names(result.out, text, result.n, ".mp4")
    check_writable(paths[0])
    model = load(result.model, result.device)
    with bar("drawing") as progress:
        films = model.film(
            text,
            start=None if start is None else str(start),
            frames=frames,
            n=result.n,
            seed=result.seed or 0,
            progress=progress,
            **_given(settings),
        )
    for drawn, path in zip(films, paths, strict=True):
        drawn.save(path)
    if result.json:
        document({"clips": [{"file": str(path), **f.as_dict()} for f, path in zip(films, paths, strict=True)]})
        return
    show_pictures([f.frames[place] for f in films for place in (0, len(f.frames) // 2, -1)], result.show)
    for path in paths:
        print(path)


def _given(settings: Any) -> dict[str, Any]:
    given = {f.name: value for f in fields(settings) if (value := getattr(settings, f.name)) is not None}
    # In a row of a CSV file an empty cell leaves the choice open; here somebody wrote a plan with nothing in it.
    return given | {"plan": "none"} if given.get("plan") == "" else given


def _refuse(where: str, **options: object) -> None:
    for option, value in options.items():
        if value is not None:
            what = "a text" if option == "text" else f"--{option}"
            raise ConfigError(f"{what} doesn't go with {where}: leave one out")


def _make(verb: str, text: str, inputs: dict[str, Any], settings: Any, result: Result) -> None:
    """Draw the pictures of one command."""
    from triptych.tasks.orders import order_of

    values = {"verb": verb, "prompt": text, "seed": result.seed, **inputs, **_given(settings)}
    _deliver(order_of(values), result, None)


def _again(path: Path, text: str | None, settings: Any, result: Result) -> None:
    from triptych.tasks.orders import again

    changes = {"prompt": text, "seed": result.seed, **_given(settings)}
    order, model = again(path, {name: value for name, value in changes.items() if value is not None})
    _deliver(order, result, model)


def _deliver(order: Order, result: Result, drawn_by: str | None) -> None:
    """Draw an order with as many seeds as asked for, write the pictures and tell of them."""
    from triptych import load
    from triptych.media.image import check_writable
    from triptych.terminal import show_pictures

    paths = file_names(result.out, order.text, result.n)
    check_writable(paths[0])
    model = load(result.model, result.device)
    if drawn_by is not None and drawn_by != model.metadata_of(order)["model"]:
        note(f"it was drawn by the model {drawn_by!r}, so another picture comes out; --model takes that one")
    orders = [replace(order, seed=order.seed + i) for i in range(result.n)]
    started = time.perf_counter()
    pictures = _drawn(model, orders, result.live)
    seconds = time.perf_counter() - started
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path, result.metadata)
    if result.json:
        files = [{"file": str(path), **picture.as_dict()} for picture, path in zip(pictures, paths, strict=True)]
        document({"pictures": files, "seconds": round(seconds, 3)})
        return
    show_pictures([picture.pixels for picture in pictures], result.show)
    for path in paths:
        print(path)


def _drawn(model: Triptych, orders: list[Order], live: bool) -> list[Picture]:
    pictures: dict[int, Picture] = {}
    with _told(live) as (progress, partial):
        for number, picture in model.fulfil(orders, progress=progress, partial=partial):
            if isinstance(picture, Exception):
                raise picture
            pictures[number] = picture
    return [pictures[number] for number in range(len(orders))]


@contextmanager
def _told(live: bool) -> Iterator[tuple[Any, Any]]:
    """What tells how far the drawing is: a bar, or the pictures themselves."""
    if live:
        from triptych.terminal import LiveView

        with LiveView() as view:
            yield None, view
    else:
        with bar("drawing") as progress:
            yield progress, None


def _draw_rows(rows: str, name: str | None, sheet: Path | None, settings: Any, result: Result) -> None:
    from triptych import load
    from triptych.batch import PATTERN, draw_rows, read_rows
    from triptych.media import image

    out = result.out or Path()
    if out.suffix and not out.is_dir():
        raise ConfigError(f"--out {out}: give a folder for the pictures of --from")
    if sheet is not None:
        image.check_writable(sheet)
    model = load(result.model, result.device)
    started = time.perf_counter()
    with _told(result.live) as (progress, partial):
        report = draw_rows(
            model,
            read_rows(rows),
            out,
            name=name or PATTERN,
            defaults=_given(settings),
            seed=result.seed or 0,
            n=result.n,
            folder=Path() if rows == "-" else Path(rows).parent,
            metadata=result.metadata,
            progress=progress,
            partial=partial,
            told=note,
        )
    if sheet is not None and report.files:
        image.write(sheet, image.sheet(image.read(path) for path in report.files))
    if result.json:
        made = [{"row": row, "file": str(path), **picture.as_dict()} for row, path, picture in report.made]
        there = [{"row": row, "file": str(path)} for row, path in report.there]
        failed = [{"row": row, "error": error} for row, error in report.failed]
        seconds = round(time.perf_counter() - started, 3)
        document({"pictures": made, "there": there, "failed": failed, "seconds": seconds})
    else:
        for _, path, _ in report.made:
            print(path)
        if report.there:
            note(f"{len(report.there)} were there already")
    sys.stdout.flush()
    if report.failed:
        raise ConfigError(f"{len(report.failed)} rows failed; mend them and run the same command again")
