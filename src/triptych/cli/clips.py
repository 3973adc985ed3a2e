"""Commands that read clips of any length: watch."""

from __future__ import annotations

import json as json_
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from triptych.cli.output import Device, Json, Model, bar, check_suffix, document, note

if TYPE_CHECKING:
    from triptych.api import Triptych
    from triptych.clip_results import Segment

LIVE = "-"
SURPRISES = (".png", ".json", ".csv", ".npz", ".mp4")
TIMELINES = (".json", ".csv", ".vtt", ".html")
Count = Annotated[int, Parameter(validator=validators.Number(gte=0))]
Out = Annotated[Path | None, Parameter(name=["--out", "-o"])]


def register(app: App) -> None:
    """Add the commands of this file."""
    for command in (watch, surprise):
        app.command(command)


def watch(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    out: Out = None,
    language: str = "en",
    workers: Count = 0,
    model: Model = "tabletop",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Tell what happens in a clip of any length, and when; or in all clips of a folder.

    Args:
        file: Clip; a folder of clips; or - for standard input, which is read as it comes.
        out: Timeline to write: .json, .csv, .vtt or .html (a page with the clip, to click). For a folder of clips:
            the folder for all four of each; FOLDER-timelines if not given.
        language: Tag of the language: en or zh.
        workers: Processes that watch a folder; 0 for one a core.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document when the whole clip is read; of standard input, one line a segment as it comes.
    """
    if file.is_dir():
        _watch_folder(file, out, language, workers, model, device, json)
        return
    check_suffix(out, TIMELINES)
    from triptych import load

    triptych = load(model, device)
    if str(file) == LIVE and out is None:
        _watch_live(triptych, language, json)
        return
    silent = json or out is not None
    with bar("watching") if silent else nullcontext() as progress:
        length = _seconds(file) if progress else 0.0

        def each(segment: Segment) -> None:
            if progress:
                progress(round(10 * segment.end), round(10 * max(length, segment.end)))
            else:
                told.add(segment)

        told = _Teller(triptych.usual_bits)
        timeline = triptych.watch(str(file), language=language, each=each)
    if silent and timeline.warning:
        note(f"note: {timeline.warning}")
    if out is not None:
        timeline.save(out)
    if json:
        document(timeline.as_dict())
    elif out is not None:
        print(out)


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
    from triptych.tasks.surprise import peaks

    triptych = load(model, device)
    if str(file) == LIVE:
        for part in triptych.surprise_parts(LIVE):
            bits, peak = float(part.bits.mean()), float(peaks(part.bits).max())
            line = {
                "start": part.start,
                "end": float(part.times[-1]),
                "bits": bits,
                "peak": peak,
                "unlike": part.unlike,
            }
            text = f"{part.start:.1f}-{part.times[-1]:.1f} s  {bits:.2f} bits a code, peak {peak:.2f}"
            print(json_.dumps(line) if json else text, flush=True)
        return
    length = _seconds(file)
    with bar("reading") as progress:
        found = triptych.surprise(
            file, moments=moments, each=lambda part: progress(round(10 * part.times[-1]), round(10 * length) or 1)
        )
    if found.warning:
        note(f"note: {found.warning}")
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


class _Teller:
    """Prints segments as they come: a warning before the first one that deserves it, then the events."""

    def __init__(self, usual: float | None) -> None:
        self.usual, self.warned = usual, False

    def add(self, segment: Segment) -> None:
        from triptych.clip_results import unlike_words

        if segment.unlike and not self.warned:
            note(f"note: {unlike_words([segment], 0, self.usual)}")
            self.warned = True
        for event in segment.events:
            print(event, flush=True)


def _watch_live(triptych: Triptych, language: str, json: bool) -> None:
    """One line an event, or one JSON object a segment, and nothing kept."""
    told = _Teller(triptych.usual_bits)
    for segment in triptych.watch_segments(LIVE, language=language):
        if json:
            print(json_.dumps(segment.as_dict(), ensure_ascii=False), flush=True)
        else:
            told.add(segment)


def _watch_folder(
    folder: Path, out: Path | None, language: str, workers: int, model: str, device: str, json: bool
) -> None:
    from triptych.folder_watch import clips_of, watch_folder

    out = out or folder.resolve().with_name(f"{folder.resolve().name}-timelines")
    total = len(clips_of(folder))
    results = []
    with bar("watching") as progress:
        for result in watch_folder(folder, out, model=model, device=device, language=language, workers=workers):
            results.append(result)
            progress(len(results), total)
            if result.error:
                note(f"skipped: {result.error}")
            elif result.warning:
                note(f"note: {result.file}: {result.warning}")
    counts = {status: sum(r.status == status for r in results) for status in ("watched", "finished", "failed")}
    if json:
        document({"folder": str(folder), "out": str(out), **counts, "clips": [vars(r) for r in results]})
    else:
        print(f"{out}: {counts['watched']} watched, {counts['finished']} finished before, {counts['failed']} failed")


def _seconds(file: Path) -> float:
    """What a clip's header says of its length; 0 where there is none to ask."""
    from triptych.media import video
    from triptych.tasks.common import is_clip

    return video.probe(file).duration if str(file) != LIVE and is_clip(file) else 0.0
