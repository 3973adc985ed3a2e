"""A timeline as files: JSON, a CSV table, WebVTT subtitles, and one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from string import Template

from triptych.clip_results import Segment, Timeline
from triptych.errors import ConfigError
from triptych.files import write_text
from triptych.results import clock

EMBEDDED = 16 * 2**20  # bytes of a clip that the page carries in itself; a larger one is linked
PLAYED = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mov": "video/mp4"}


def write(timeline: Timeline, path: Path) -> Path:
    """Write a timeline by the suffix of `path`; ConfigError for a suffix that none of WRITERS has."""
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ConfigError(f"{path}: a timeline is written as {', '.join(WRITERS)}")
    write_text(path, page(timeline, path.parent) if path.suffix.lower() == ".html" else writer(timeline))
    return path


def as_csv(timeline: Timeline) -> str:
    """One line a segment, times in seconds; opens in a spreadsheet."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("shot", "start", "end", "caption", "events", "bits", "unlike"))
    for s in timeline.segments:
        told = "; ".join(f"{event.start:g} {event.text}" for event in s.events)
        rows.writerow(
            (s.shot, f"{s.start:g}", f"{s.end:g}", _cell(s.caption), _cell(told), f"{s.bits:.3f}", int(s.unlike))
        )
    return out.getvalue()


def as_vtt(timeline: Timeline) -> str:
    """WebVTT: each segment's events, or its caption where it tells none, as a subtitle."""
    cues = ["WEBVTT\n"]
    for number, segment in enumerate(timeline.segments, 1):
        said = "\n".join(event.text for event in segment.events) or segment.caption
        text = html.escape(" ".join(said.split()), quote=False) if said else "-"
        end = max(segment.end, segment.start + 0.001)
        cues.append(f"{number}\n{stamp(segment.start)} --> {stamp(end)}\n{text}\n")
    return "\n".join(cues)


def stamp(seconds: float) -> str:
    """Seconds as WebVTT writes them.

    >>> stamp(3661.5)
    '01:01:01.500'
    """
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02d}:{whole // 60_000 % 60:02d}:{whole // 1000 % 60:02d}.{whole % 1000:03d}"


def page(timeline: Timeline, folder: Path = Path()) -> str:
    """One HTML page: the clip, a timeline to click, and each segment with its keyframe.

    Args:
        timeline: what to show; its file is read if it is there.
        folder: where the page will lie, for a link to a clip too large to be embedded.
    """
    template = Template(Path(__file__).with_name("timeline.html").read_text(encoding="utf-8"))
    unlike = sum(segment.unlike for segment in timeline.segments)
    facts = [
        (clock(timeline.duration), "length"),
        (str(len(timeline.shots)), "shots"),
        (str(len(timeline.segments)), "segments"),
        (str(len(timeline.events)), "events"),
        *([(str(unlike), "parts unlike the training data")] if unlike else []),
    ]
    return template.substitute(
        language=html.escape(timeline.language or "en"),
        title=_show(Path(timeline.file).name),
        subtitle=_show(f"read by {timeline.model}" if timeline.model else ""),
        warning=f'<p class="warning">{_show(timeline.warning)}.</p>' if timeline.warning else "",
        video=_video(timeline, folder),
        facts="".join(f'<div class="fact"><b>{value}</b><span>{name}</span></div>' for value, name in facts),
        bar="".join(_piece(segment, timeline) for segment in timeline.segments),
        shots="".join(_shot(number, timeline) for number in range(len(timeline.shots))),
    )


def _video(timeline: Timeline, folder: Path) -> str:
    path = Path(timeline.file)
    if not path.is_file():
        return ""
    kind = PLAYED.get(path.suffix.lower())
    if kind is None:
        return f"<p>Browsers don't play {_show(path.suffix or 'this file')}: open {_show(timeline.file)} beside it.</p>"
    if path.stat().st_size <= EMBEDDED:
        source = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    else:
        source = html.escape(Path(os.path.relpath(path, folder)).as_posix())
    return f'<video id="clip" controls preload="metadata" src="{source}"></video>'


def _piece(segment: Segment, timeline: Timeline) -> str:
    """A segment on the bar: as wide as it lasts, as tall as it is surprising, in the colour of its shot."""
    most = max(max(s.bits for s in timeline.segments), 1e-6)
    kind = "unlike" if segment.unlike else f"shot{segment.shot % 2}"
    said = segment.caption or "; ".join(event.text for event in segment.events)
    title = html.escape(f"{clock(segment.start)}  {said}  ({segment.bits:.1f} bits a code)")
    return (
        f'<button class="piece {kind}" data-t="{segment.start:g}" title="{title}" aria-label="{title}" '
        f'style="flex:{max(segment.end - segment.start, 0.05):.3f}">'
        f'<i style="height:{100 * segment.bits / most:.0f}%"></i></button>'
    )


def _shot(number: int, timeline: Timeline) -> str:
    start, end = timeline.shots[number]
    own = [segment for segment in timeline.segments if segment.shot == number]
    return (
        f'<section><h2>Shot {number + 1} <span class="n">{clock(start)} to {clock(end)}</span></h2>'
        + "".join(map(_row, own))
        + "</section>"
    )


def _row(segment: Segment) -> str:
    picture = ""
    if segment.keyframe:
        data = base64.b64encode(segment.keyframe).decode()
        picture = f'<img alt="" loading="lazy" src="data:image/jpeg;base64,{data}">'
    events = "".join(
        f'<li><button class="time" data-t="{event.start:g}">{clock(event.start)}</button> {_show(event.text)}</li>'
        for event in segment.events
    )
    tag = '<span class="tag">unlike the training data</span>' if segment.unlike else ""
    plain = segment.caption if not events else ""
    return (
        f'<article id="s{segment.start:g}" data-from="{segment.start:g}" data-to="{segment.end:g}">'
        f'<button class="picture" data-t="{segment.start:g}" aria-label="play from {clock(segment.start)}">{picture}'
        f"<span>{clock(segment.start)}</span></button><div>{f'<p>{_show(plain)}</p>' if plain else ''}"
        f"<ul>{events}</ul><small>{segment.end - segment.start:.1f} s · {segment.bits:.2f} bits a code {tag}</small>"
        "</div></article>"
    )


def _show(text: str) -> str:
    return f"<bdi>{html.escape(text)}</bdi>" if text else ""


def _cell(text: str) -> str:
    """A text that a spreadsheet doesn't take for a formula."""
    flat = " ".join(text.split())
    return f"'{flat}" if flat.startswith(("=", "+", "-", "@")) else flat


WRITERS: dict[str, Callable[[Timeline], str]] = {
    ".json": lambda timeline: json.dumps(timeline.as_dict(), ensure_ascii=False, indent=2) + "\n",
    ".csv": as_csv,
    ".vtt": as_vtt,
    ".html": page,
}
