"""Commands that use a model: draw, caption, ask, demo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators

from triptych.cli.output import (
    Device,
    Json,
    Model,
    bar,
    check_writable,
    document,
    file_names,
    note,
    split_choices,
    warn,
)

Count = Annotated[int, Parameter(name=["--n", "-n"], validator=validators.Number(gte=1, lte=1024))]
Positive = Annotated[float, Parameter(validator=validators.Number(gte=0))]
Share = Annotated[float, Parameter(validator=validators.Number(gt=0, lte=1))]


def register(app: App) -> None:
    """Add the commands of this file."""
    for command in (draw, caption, ask, demo):
        app.command(command)


def draw(
    text: str = "",
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    n: Count = 1,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0, lt=2**62))] = 0,
    guidance: Positive | None = None,
    temperature: Positive | None = None,
    top_k: Annotated[int | None, Parameter(validator=validators.Number(gte=0))] = None,
    top_p: Share | None = None,
    images: Annotated[list[Path] | None, Parameter(name="--image", negative=())] = None,
    model: Model = "tabletop",
    device: Device = "auto",
    metadata: bool = True,
    show: bool | None = None,
    json: Json = False,
) -> None:
    """Draw pictures of a text, in English or Chinese.

    Args:
        text: What to draw; without it, anything.
        out: File to write (.png, .jpg, .webp), or a folder; the default name is made of the text.
        n: Pictures; more than one are written as out-1.png, out-2.png and so on.
        seed: Of the first picture; the same seed draws the same picture.
        guidance: 1 is none; more follows the text more closely.
        temperature: Below 1 is safer, above 1 bolder; 0 takes the likeliest.
        top_k: Draw only from the k likeliest codes; 0 takes all.
        top_p: Draw only from the likeliest codes that together reach p; 1 takes all.
        images: A picture that comes before, such as an earlier view of the scene; may be given several times.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        metadata: Keep text, seed, model and settings in the file.
        show: Show the pictures in the terminal; by default where there is one.
        json: Print one JSON document instead.
    """
    from triptych import load
    from triptych.terminal import show_pictures

    paths = file_names(out, text, n)
    check_writable(paths[0])
    given = {"guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    settings = {name: value for name, value in given.items() if value is not None}
    triptych = load(model, device)
    started = time.perf_counter()
    with bar("drawing") as progress:
        pictures = triptych.draw(text, n=n, seed=seed, images=images, progress=progress, **settings)  # type: ignore[arg-type]
    seconds = time.perf_counter() - started
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path, metadata)
    if json:
        files = [{"file": str(path), **picture.as_dict()} for picture, path in zip(pictures, paths, strict=True)]
        document({"pictures": files, "seconds": round(seconds, 3)})
        return
    show_pictures([picture.pixels for picture in pictures], show)
    for path in paths:
        print(path)


def caption(
    file: Path,
    /,
    *,
    language: str = "en",
    start: Positive = 0.0,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Describe a picture, or two seconds of a clip.

    Args:
        file: Picture or clip.
        language: Tag of the language: en or zh.
        start: Where in a clip to begin, in seconds.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead.
    """
    from triptych import load

    triptych = load(model, device)
    result = triptych.caption(file, language=language, start=start)
    warn(triptych.unlike(file, start=start))
    if json:
        document({"file": str(file), **result.as_dict()})
        return
    print(result)
    _say_what_was_read(file, result.times)


def ask(
    file: Path,
    question: str,
    /,
    *,
    choices: str | None = None,
    start: Positive | None = None,
    together: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=8))] = 3,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Answer a question about a picture, or a clip of any length.

    Args:
        file: Picture or clip.
        question: In English or Chinese.
        choices: The answers allowed, with commas between them; each gets its probability.
        start: Read only the two seconds of a clip that begin here, in seconds.
        together: Segments of a longer clip, the most relevant ones, that are read together for the answer.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead.
    """
    from triptych import load
    from triptych.results import clock

    triptych = load(model, device)
    result = triptych.ask(file, question, choices=split_choices(choices), start=start, together=together)
    first = result.moments[0][0] if result.moments else start or 0.0
    warn(triptych.unlike(file, start=first))
    if json:
        document({"file": str(file), "question": question, **result.as_dict()})
        return
    print(result)
    if result.moments:
        told = ", ".join(f"{clock(first)}-{clock(last)}" for first, last in result.moments)
        note(f"from {told}, the most relevant first")
    else:
        _say_what_was_read(file, result.times)


def demo(
    *,
    out: Path = Path("triptych-demo"),
    model: Model = "tabletop",
    device: Device = "auto",
    show: bool | None = None,
) -> None:
    """Draw a picture, read a picture and a clip, and say what to try next.

    Args:
        out: Folder for the files.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        show: Show the pictures in the terminal; by default where there is one.
    """
    from triptych.demo import run

    run(out, model, device, show)


def _say_what_was_read(file: Path, times: tuple[float, float] | None) -> None:
    """Where a clip is longer than what was read of it, say so."""
    if times is None:
        return
    from triptych.media import video

    duration = video.probe(file).duration
    if duration > times[1] + 0.5:
        note(f"read {times[0]:.1f} s to {times[1]:.1f} s of {duration:.1f} s; --start takes another part, "
             f"`triptych watch {file}` the whole")  # fmt: skip
