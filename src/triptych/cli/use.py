"""Commands that read, and the demo: caption, plan, ask, likelihood, demo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators

from triptych.cli.output import Device, Framings, Json, Model, document, note, split_choices, warn
from triptych.errors import ConfigError
from triptych.tasks.settings import FRAMINGS

Positive = Annotated[float, Parameter(validator=validators.Number(gte=0))]
Seed = Annotated[int, Parameter(validator=validators.Number(gte=0, lt=2**62))]


def register(app: App) -> None:
    """Add the commands of this file."""
    for command in (caption, plan, ask, likelihood, demo):
        app.command(command)


def caption(
    file: Path,
    /,
    *,
    language: str = "en",
    start: Positive = 0.0,
    framings: Framings = FRAMINGS,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Describe a picture, or two seconds of a clip.

    Args:
        file: Picture or clip.
        language: Tag of the language: en or zh.
        start: Where in a clip to begin, in seconds.
        framings: In how many a clip is read: as it is, and with a little of its sides cut off. More are misread less,
            and take longer.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead.
    """
    from triptych import load

    triptych = load(model, device, framings)
    result = triptych.caption(file, language=language, start=start)
    warn(triptych.unlike(file, start=start))
    if json:
        document({"file": str(file), **result.as_dict()})
        return
    print(result)
    _say_what_was_read(file, result.times)


def plan(
    text: str = "",
    /,
    *,
    image: Path | None = None,
    language: str = "",
    seed: Seed = 0,
    temperature: Positive = 0.0,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Tell what is to stand where: for a text to draw, in a picture, or in a picture after an instruction.

    A line a thing: its words, and left, top, right and bottom of its box in percent. `draw --plan` takes such lines.

    Args:
        text: What to draw; with a picture, an instruction, or nothing.
        image: Picture.
        language: Tag of the words' language, en or zh; that of the text if not given.
        seed: Of another plan, where the temperature isn't 0.
        temperature: 0 tells the likeliest.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead.
    """
    from triptych import load

    triptych = load(model, device)
    result = triptych.plan(text, image=image, language=language, seed=seed, temperature=temperature)
    if image is not None:
        warn(triptych.unlike(image))
    if json:
        document({"file": None if image is None else str(image), **result.as_dict()})
        return
    print(str(result).replace("; ", ";\n"))


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


def likelihood(
    *texts: str,
    images: Annotated[list[Path], Parameter(name="--image", negative=())],
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Rank texts for a picture and pictures for a text, by how likely the model finds them together.

    Args:
        texts: Texts that may tell what the pictures show.
        images: A picture; may be given several times.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead.
    """
    from triptych import load

    if not texts:
        raise ConfigError('likelihood takes texts: triptych likelihood "a red ball" "a blue cube" --image a.png')
    table = load(model, device).likelihood([str(path) for path in images], texts)
    if json:
        matches = [[match.as_dict() for match in row] for row in table]
        files = [{"file": str(path), "matches": row} for path, row in zip(images, matches, strict=True)]
        document({"pictures": files})
        return
    print("bits that the text saves in drawing the picture, and the picture in reading the text; the best first")
    for path, row in zip(images, table, strict=True):
        print(f"\n{path}")
        for match in sorted(row, key=lambda m: -m.draw_gain):
            print(match)
    for place, text in enumerate(texts if len(images) > 1 else ()):
        print(f"\n{text}")
        for path, row in sorted(zip(images, table, strict=True), key=lambda pair: -pair[1][place].draw_gain):
            print(replace(row[place], text=str(path)))


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
