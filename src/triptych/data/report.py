"""What cleaning found, as report.json and as a page for people: report.html, one file that needs nothing else."""

from __future__ import annotations

import base64
import io
import json
import sqlite3
from collections import Counter
from html import escape
from pathlib import Path
from string import Template
from typing import Any, TextIO

import numpy as np
from PIL import Image

from triptych.data.folder import HIDDEN
from triptych.data.records import Record
from triptych.data.settings import PrepareConfig
from triptych.files import write_atomically, write_text
from triptych.media import image, video
from triptych.media.limits import LOCAL
from triptych.media.worker import Workers

KINDS = {
    "unreadable": "It can't be opened or decoded.",
    "truncated": "Its end is missing, as after a broken download.",
    "too small": "A side is shorter than min_side.",
    "exact duplicate": "It equals another file byte for byte.",
    "near duplicate": "It looks like another file, as one picture saved twice does.",
    "flat": "It holds one colour and nothing else.",
    "bad metadata": "A line of metadata can't be used, in whole or in part.",
    "empty text": "A text, question or label holds nothing but spaces.",
    "long text": "A text has more characters than longest_text.",
    "hidden characters": "A text holds control characters, or characters that turn its direction.",
    "odd label": "A label that only one file has, or that is spelled in two ways.",
    "bad name": "A name that can't be used.",
    "unreadable folder": "A folder that can't be listed.",
}
"""Every kind of finding, and what it means."""

_ROWS, _PICTURES, _SAMPLE, _LABELS = 100, 200, 24, 24  # rows a kind, thumbnails in all, kept files shown, labels shown


def dropped(settings: PrepareConfig) -> set[str]:
    """The kinds of finding that leave a file out of the manifest."""
    choices = {
        "too small": settings.drop_small,
        "exact duplicate": settings.drop_exact_duplicates,
        "near duplicate": settings.drop_near_duplicates,
        "flat": settings.drop_flat,
    }
    return {"unreadable", "truncated"} | {kind for kind, drop in choices.items() if drop}


def write(
    root: Path, out: Path, store: sqlite3.Connection, workers: Workers, settings: PrepareConfig, seconds: float
) -> dict[str, Any]:
    """Write report.json and report.html to `out`; return the counts: files, kept, pictures, clips, findings."""
    one = "SELECT count(*) FROM records WHERE kept AND kind LIKE ?"
    pictures, clips = (store.execute(one, (kind,)).fetchone()[0] for kind in ("picture", "clip"))
    by_kind = dict(store.execute("SELECT kind, count(*) FROM findings GROUP BY kind").fetchall())
    counts = {
        "files": store.execute("SELECT count(*) FROM records").fetchone()[0],
        "kept": pictures + clips,
        "pictures": pictures,
        "clips": clips,
        "findings": {kind: by_kind[kind] for kind in KINDS if kind in by_kind},
    }
    write_atomically(out / "report.json", lambda path: _write_json(path, root, store, settings, counts))
    page = _page(root, store, workers, settings, counts, seconds)
    write_text(out / "report.html", page)
    return counts


def thumbnail(path: str, kind: str) -> str:
    """A JPEG of 128 x 128 pixels in base64; runs in a worker."""
    if kind == "clip":
        pixels = video.read(path, frames=1, size=128, limits=LOCAL).frames[0]
    else:
        pixels = image.fit(image.read(path, limits=LOCAL, at_least=128), 128)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=75)
    return base64.b64encode(buffer.getvalue()).decode()


def _write_json(
    path: Path, root: Path, store: sqlite3.Connection, settings: PrepareConfig, counts: dict[str, Any]
) -> None:
    head = json.dumps({"folder": str(root), **counts, "settings": settings.model_dump()}, ensure_ascii=False, indent=2)
    with open(path, "w", encoding="utf-8") as file:
        file.write(head.removesuffix("\n}") + ',\n  "list": [')
        _write_findings(file, store)
        file.write("\n  ]\n}\n")


def _write_findings(file: TextIO, store: sqlite3.Connection) -> None:
    names = ("file", "kind", "detail", "remedy", "other")
    comma = "\n"
    for row in store.execute(f"SELECT {', '.join(names)} FROM findings ORDER BY kind, file, rowid"):
        finding = {name: value for name, value in zip(names, row, strict=True) if value}
        file.write(f"{comma}    {json.dumps(finding, ensure_ascii=False)}")
        comma = ",\n"


def _page(
    root: Path,
    store: sqlite3.Connection,
    workers: Workers,
    settings: PrepareConfig,
    counts: dict[str, Any],
    seconds: float,
) -> str:
    query = "SELECT file, detail, remedy, other FROM findings WHERE kind = ? ORDER BY file, rowid LIMIT ?"
    found = {kind: store.execute(query, (kind, _ROWS)).fetchall() for kind in counts["findings"]}
    kept = counts["kept"]
    sample = store.execute(
        "SELECT record FROM (SELECT record, path, row_number() OVER (ORDER BY path) - 1 AS n FROM records WHERE kept)"
        " WHERE n % ? = 0 ORDER BY path LIMIT ?",
        (max(1, kept // _SAMPLE), _SAMPLE),
    )
    records = [Record.model_validate_json(text) for (text,) in sample]
    pictures = _thumbnails(root, store, workers, settings, records, found)
    facts, languages = _facts(store, counts)
    template = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=_show(root.resolve().name or str(root)),
        subtitle=f"{_count(counts['files'], 'file')} looked at in {_time(seconds)}. {languages}",
        facts="".join(f'<div class="fact"><b>{value}</b><span>{name}</span></div>' for name, value in facts),
        overview=_overview(counts, settings),
        gallery=_gallery(records, pictures),
        labels=_labels(store),
        sections="".join(_section(kind, found[kind], counts["findings"][kind], pictures) for kind in found),
    )


def _thumbnails(
    root: Path,
    store: sqlite3.Connection,
    workers: Workers,
    settings: PrepareConfig,
    records: list[Record],
    found: dict[str, list[tuple[str, str, str, str]]],
) -> dict[str, str]:
    """Small pictures of the files shown, shared fairly between the kinds of finding."""
    wanted = dict.fromkeys(record.file for record in records)
    visual = [rows for kind, rows in found.items() if kind not in ("unreadable", "truncated")]
    for place in range(_ROWS):
        for rows in visual:
            if place < len(rows) and len(wanted) < _PICTURES - 1:
                wanted |= dict.fromkeys(name for name in (rows[place][0], rows[place][3]) if name)
    kinds = {}
    for name in wanted:
        row = store.execute("SELECT kind FROM results WHERE path = ? AND error IS NULL", (name,)).fetchone()
        if row:
            kinds[name] = row[0]
    drawn = workers.map(thumbnail, kinds, lambda name: (name, [str(root / name), kinds[name]], settings.timeout))
    return {name: picture for name, picture in drawn if isinstance(picture, str)}


def _facts(store: sqlite3.Connection, counts: dict[str, Any]) -> tuple[list[tuple[str, str]], str]:
    """The numbers on top of the page, and a sentence on languages."""
    spoken: Counter[str] = Counter()
    silent, seconds = 0, 0.0
    for (text,) in store.execute("SELECT record FROM records WHERE kept"):
        record = Record.model_validate_json(text)
        spoken.update(part.lang for parts in (record.texts, record.events, record.qa) for part in parts)
        silent += not (record.texts or record.qa or record.events or record.instruction or record.label)
        seconds += record.duration
    facts = [
        ("pictures kept", f"{counts['pictures']:,}"),
        ("clips kept", f"{counts['clips']:,}"),
        ("left out", f"{counts['files'] - counts['kept']:,}"),
    ]
    if counts["clips"]:
        facts.append(("length of the clips", _time(seconds)))
    facts += [("texts, questions, events", f"{sum(spoken.values()):,}"), ("files without any text", f"{silent:,}")]
    named = [f"{_show(lang) or 'no language named'} {n:,}" for lang, n in spoken.most_common(6)]
    return facts, f"Texts by language: {', '.join(named)}." if named else ""


def _overview(counts: dict[str, Any], settings: PrepareConfig) -> str:
    if not counts["findings"]:
        return '<p class="good">Nothing to report: every file is good.</p>'
    out = dropped(settings)
    rows = "".join(
        f'<tr><td><a href="#{_anchor(kind)}">{kind}</a></td><td class="number">{count:,}</td><td>{KINDS[kind]}</td>'
        + f"<td>{_tag(kind in out)}</td></tr>"
        for kind, count in counts["findings"].items()
    )
    return (
        "<h2>What was found</h2><p>Left out: not in manifest.jsonl, so not trained on. Listed: kept, for you to look"
        f' at.</p><div class="wide"><table class="overview">{rows}</table></div>'
    )


def _gallery(records: list[Record], pictures: dict[str, str]) -> str:
    figures = ""
    for record in records:
        if record.file in pictures:
            texts = [t.text for t in record.texts] + [e.text for e in record.events] + [record.label or ""]
            said = _show(texts[0][:200]) or "<small>no text</small>"
            length = f" · {_time(record.duration)}" if record.kind == "clip" else ""
            figures += f"<figure>{_picture(pictures[record.file])}<figcaption><div>{said}</div>"
            figures += f"<small>{_show(record.file)}{length}</small></figcaption></figure>"
    if not figures:
        return ""
    return (
        f'<h2>A sample of what is kept</h2><p>Does each text fit its picture?</p><div class="gallery">{figures}</div>'
    )


def _labels(store: sqlite3.Connection) -> str:
    rows = store.execute(
        "SELECT label, count(*) FROM labels GROUP BY label ORDER BY count(*) DESC, label LIMIT ?", (_LABELS + 1,)
    ).fetchall()
    if not rows:
        return ""
    most = rows[0][1]
    bars = "".join(
        f'<tr><td>{_show(label[:80])}</td><td class="number">{count:,}</td>'
        f'<td><i style="width:{100 * count / most:.1f}%"></i></td></tr>'
        for label, count in rows[:_LABELS]
    )
    more = '<div class="more">The most frequent ones.</div>' if len(rows) > _LABELS else ""
    return f'<h2>Labels</h2><div class="wide"><table class="bars">{bars}</table>{more}</div>'


def _section(kind: str, rows: list[tuple[str, str, str, str]], count: int, pictures: dict[str, str]) -> str:
    with_pictures = any(row[0] in pictures for row in rows)
    body = ""
    for file, detail, remedy, other in rows:
        shown = "".join(_picture(pictures[name]) for name in (file, other) if name in pictures)
        body += f'<tr><td class="pictures">{shown}</td>' if with_pictures else "<tr>"
        body += (
            f'<td class="file">{_show(file)}</td><td>{_show(detail)}</td><td class="remedy">{_show(remedy)}</td></tr>'
        )
    more = f'<div class="more">and {count - len(rows):,} more in report.json</div>' if count > len(rows) else ""
    return (
        f'<h2 id="{_anchor(kind)}">{kind.capitalize()} <span class="n">{count:,}</span></h2><p>{KINDS[kind]}</p>'
        f'<div class="wide"><table class="findings">{body}</table>{more}</div>'
    )


def _show(text: str) -> str:
    """Text from the user's folder, safe in the page: escaped, hidden characters made visible, direction kept in."""
    return f"<bdi>{escape(HIDDEN.sub('�', text))}</bdi>" if text else ""


def _picture(data: str) -> str:
    return f'<img alt="" loading="lazy" src="data:image/jpeg;base64,{data}">'


def _tag(out: bool) -> str:
    return '<span class="tag out">left out</span>' if out else '<span class="tag see">listed</span>'


def _anchor(kind: str) -> str:
    return kind.replace(" ", "-")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
