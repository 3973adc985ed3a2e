"""Commands that read clips, and go on from them: surprise, locate, classify, track, predict."""

from __future__ import annotations

import json as json_
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter, validators

from triptych.cli.output import (
    Device,
    Framings,
    Json,
    Model,
    bar,
    check_suffix,
    document,
    numbered,
    split_choices,
    warn,
)
from triptych.tasks.settings import FRAMINGS, PredictSettings

if TYPE_CHECKING:
    from triptych.tasks.parts import Part

LIVE = "-"
FUTURES = PredictSettings()
FILMS = (".mp4", ".gif", ".webp", ".png")
SURPRISES = (".png", ".json", ".csv", ".npz", ".mp4")
Count = Annotated[int, Parameter(validator=validators.Number(gte=0))]
Out = Annotated[Path | None, Parameter(name=["--out", "-o"])]


def register(app: App) -> None:
    """Add the commands of this file."""
    for command in (surprise, locate, classify, track, predict):
        app.command(command)


def surprise(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    out: Out = None,
    moments: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=100))] = 5,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Tell how surprised the model is by a picture or clip: bits per code, the strangest moments, heat maps.

    Args:
        file: Picture, clip, or - for standard input, which is read as it comes.
        out: File to write: .png (the moments with their heat, above the curve), .json, .csv, .npz, or .mp4
            (the clip with its heat).
        moments: Most surprising times to tell.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead; of standard input, one line a part as it comes.
    """
    check_suffix(out, SURPRISES)
    from triptych import load

    triptych = load(model, device)
    if str(file) == LIVE:
        for part in triptych.surprise_parts(LIVE):
            bits, peak, leap = float(part.bits.mean()), float(part.peaks.max()), float(part.leaps.max())
            line = {
                "start": part.start,
                "end": float(part.times[-1]),
                "bits": bits,
                "peak": peak,
                "leap": leap,
                "unlike": part.unlike,
            }
            text = f"{part.start:.1f}-{part.times[-1]:.1f} s  {bits:.2f} bits a code, peak {peak:.2f}, leap {leap:.1f}"
            print(json_.dumps(line) if json else text, flush=True)
        return
    length = seconds_of(file)
    with bar("reading") as progress:
        found = triptych.surprise(
            file, moments=moments, each=lambda part: progress(round(10 * part.times[-1]), round(10 * length) or 1)
        )
    warn(found.warning)
    if out is not None and out.suffix.lower() == ".mp4":
        from triptych.media import video
        from triptych.surprise_files import heated_frames

        video.write_stream(out, heated_frames(found, triptych.surprise_parts(file)), triptych.info.fps)
    elif out is not None:
        found.save(out)
    if json:
        document(found.as_dict())
    else:
        print(found)
        if out is not None:
            print(out)


def locate(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    event: str,
    /,
    *,
    count: Annotated[int, Parameter(name=["--count", "-n"], validator=validators.Number(gte=1, lte=100))] = 5,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Find when something happens in a clip of any length: from, to, and how sure that is, the surest first.

    Args:
        file: Clip, or - for standard input.
        event: "the red ball hits the cube", or "when does the red ball hit the cube?"; in English or Chinese.
        count: Most moments to give; those less than half as sure as the first are left out.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead.
    """
    from triptych import load

    triptych = load(model, device)
    with bar("reading") as progress:
        spans = triptych.locate(str(file), event, count=count, each=_part(progress, file))
    if str(file) != LIVE:
        warn(triptych.unlike(file, start=spans[0].start))
    if json:
        document({"file": str(file), "event": event, "moments": [span.as_dict() for span in spans]})
        return
    for span in spans:
        print(span)


def classify(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    labels: str,
    /,
    *,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Give each of some labels its probability for a picture, or a clip of any length.

    Args:
        file: Picture, clip, or - for standard input.
        labels: Two or more texts with commas between them, in English or Chinese.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead.
    """
    from triptych import load

    triptych = load(model, device)
    with bar("reading") as progress:
        found = triptych.classify(str(file), split_choices(labels) or [], each=_part(progress, file))
    if str(file) != LIVE:
        warn(triptych.unlike(file))
    if json:
        document({"file": str(file), **found.as_dict()})
    else:
        print(found)


def track(
    file: Path,
    text: str = "",
    /,
    *,
    ahead: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 0.0,
    language: str = "",
    start: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 0.0,
    framings: Framings = FRAMINGS,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Tell what stands where at each time of a clip, and where it will be.

    Reads two seconds of it. A line a time: each thing's words, and left, top, right and bottom of its box in percent of
    the middle square.

    Args:
        file: Clip or picture.
        text: An instruction that is being followed, e.g. "push the red cube"; none if not given.
        ahead: Seconds to foretell after what was seen.
        language: Tag of the words' language, en or zh; that of the text if not given.
        start: Where in a clip to begin, in seconds.
        framings: In how many a clip is read: as it is, and with a little of its sides cut off. More are misread less,
            and take longer.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead.
    """
    from triptych import load

    triptych = load(model, device, framings)
    result = triptych.track(file, text=text, ahead=ahead, language=language, start=start)
    warn(triptych.unlike(file))
    if json:
        document({"file": str(file), **result.as_dict()})
    else:
        print(result)


def predict(
    file: Path,
    text: str = "",
    /,
    *,
    out: Out = None,
    seconds: Annotated[float, Parameter(validator=validators.Number(gt=0, lte=60))] = 1.0,
    n: Annotated[int, Parameter(name=["--n", "-n"], validator=validators.Number(gte=1, lte=64))] = 1,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0, lt=2**62))] = 0,
    start: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 0.0,
    guidance: Annotated[float, Parameter(validator=validators.Number(gte=0))] = FUTURES.guidance,
    temperature: Annotated[float, Parameter(validator=validators.Number(gte=0))] = FUTURES.temperature,
    top_k: Count = FUTURES.top_k,
    top_p: Annotated[float, Parameter(validator=validators.Number(gt=0, lte=1))] = FUTURES.top_p,
    plan: Literal["auto", "none"] = FUTURES.plan,
    with_given: Annotated[bool, Parameter(negative=())] = False,
    framings: Framings = FRAMINGS,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Draw the frames that may come after a picture or two seconds of a clip.

    Args:
        file: Picture or clip.
        text: An instruction, e.g. "push the red cube"; none if not given.
        out: File to write: .mp4, .gif, .webp, or .png for a strip; the default name is made of the file's.
        seconds: How far to go.
        n: Futures; more than one are written as out-1.mp4, out-2.mp4 and so on.
        seed: Of the first future; the same seed draws the same frames.
        start: Where in a clip to begin, in seconds.
        guidance: 1 is none; more follows the instruction more closely.
        temperature: Below 1 is safer, above 1 bolder; 0 takes the likeliest.
        top_k: Draw only from the k likeliest codes; 0 takes all.
        top_p: Draw only from the likeliest codes that together reach p; 1 takes all.
        plan: `auto` tells first where everything will be, if the model has learned to, and moves things there; `none`
            draws all that changes.
        with_given: Begin the file with the frames that were seen.
        framings: In how many a clip is read: as it is, and with a little of its sides cut off. More are misread less,
            and take longer.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document instead.
    """
    out = out or Path(f"{file.stem}-next.mp4")
    check_suffix(out, FILMS)
    from triptych import load

    triptych = load(model, device, framings)
    with bar("predicting") as progress:
        futures = triptych.predict(
            file,
            text=text,
            seconds=seconds,
            n=n,
            seed=seed,
            start=start,
            guidance=guidance,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            plan=plan,
            progress=progress,
        )
    paths = numbered(out, n)
    for future, path in zip(futures, paths, strict=True):
        future.save(path, with_given=with_given)
    if json:
        rows = [{"file": str(path), **future.as_dict()} for future, path in zip(futures, paths, strict=True)]
        document({"of": str(file), "futures": rows})
        return
    for path in paths:
        print(path)


def _part(progress: Callable[[int, int], None], file: Path) -> Callable[[Part], None]:
    """Progress by the seconds of a clip that are read."""
    length = seconds_of(file)
    return lambda part: progress(round(10 * part.segment.end), round(10 * max(length, part.segment.end)))


def seconds_of(file: Path) -> float:
    """What a clip's header says of its length; 0 where there is none to ask."""
    from triptych.media import video
    from triptych.media.kind import is_clip

    return video.probe(file).duration if str(file) != LIVE and is_clip(file) else 0.0
