"""The command that tells what happens in clips: watch."""

from __future__ import annotations

import json as json_
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from triptych.cli.clips import LIVE, Count, Out, seconds_of
from triptych.cli.output import Device, Framings, Json, Model, bar, check_suffix, document, note, warn
from triptych.tasks.settings import FRAMINGS

if TYPE_CHECKING:
    from triptych.api import Triptych
    from triptych.clip_results import Segment

TIMELINES = (".json", ".csv", ".vtt", ".html")


def register(app: App) -> None:
    """Add the command of this file."""
    app.command(watch)


def watch(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    out: Out = None,
    language: str = "en",
    workers: Count = 0,
    framings: Framings = FRAMINGS,
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
        framings: In how many a clip is read: as it is, and with a little of its sides cut off. More are misread less,
            and take longer. Standard input is read in one, to keep up with it.
        model: Name or folder.
        device: `cpu`, `cuda` or `auto`.
        json: Print one JSON document when the whole clip is read; of standard input, one line a segment as it comes.
    """
    if file.is_dir():
        _watch_folder(file, out, language, workers, framings, model, device, json)
        return
    check_suffix(out, TIMELINES)
    from triptych import load

    triptych = load(model, device, framings)
    if str(file) == LIVE and out is None:
        _watch_live(triptych, language, json)
        return
    silent = json or out is not None
    with bar("watching") if silent else nullcontext() as progress:
        length = seconds_of(file) if progress else 0.0

        def each(segment: Segment) -> None:
            if progress:
                progress(round(10 * segment.end), round(10 * max(length, segment.end)))
            else:
                told.add(segment)

        told = _Teller(triptych.usual_bits)
        timeline = triptych.watch(str(file), language=language, each=each)
    if silent:
        warn(timeline.warning)
    if out is not None:
        timeline.save(out)
    if json:
        document(timeline.as_dict())
    elif out is not None:
        print(out)


class _Teller:
    """Prints segments as they come: a warning before the first one that deserves it, then the events."""

    def __init__(self, usual: float | None) -> None:
        self.usual, self.warned = usual, False

    def add(self, segment: Segment) -> None:
        from triptych.clip_results import unlike_words

        if segment.unlike and not self.warned:
            warn(unlike_words([segment], 0, self.usual))
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
    folder: Path,
    out: Path | None,
    language: str,
    workers: int,
    framings: int,
    model: str,
    device: str,
    json: bool,
) -> None:
    from triptych.folder_watch import clips_of, watch_folder

    out = out or folder.resolve().with_name(f"{folder.resolve().name}-timelines")
    total = len(clips_of(folder))
    results = []
    with bar("watching") as progress:
        for result in watch_folder(
            folder, out, model=model, device=device, language=language, framings=framings, workers=workers
        ):
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
