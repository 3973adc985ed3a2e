"""A person's folder -> records: files joined with their texts, in constant memory for any number of files."""

from __future__ import annotations

import json
import math
import os
import posixpath
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from triptych.data.records import Box, Event, Place, Question, Record, Text, as_texts
from triptych.errors import DataError, MediaError
from triptych.media import image, video

PICTURES, CLIPS = frozenset(image.SUFFIXES), frozenset(video.SUFFIXES)
MEDIA = PICTURES | CLIPS  # a GIF or WebP that moves is a clip
METADATA = "metadata.jsonl"
LONGEST_LINE = 2**20  # characters; a longer line of metadata is not read
HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)  # control and direction
_WRONG_FORM = (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Finding:
    """Something in the folder that its owner should know.

    `file` is the file (and line), `kind` one of `report.KINDS`, `detail` what was seen, `remedy` what to do,
    `other` the file it was compared with.
    """

    file: str
    kind: str
    detail: str
    remedy: str
    other: str = ""


Report = Callable[[Finding], object]


def scan(folder: Path | str, report: Report = lambda finding: None) -> Iterator[Record]:
    """Yield a record for every picture and clip below `folder`, sorted by path, none of them decoded.

    Texts come from metadata.jsonl in any folder and from a .txt file of the same stem; a file that has neither
    takes the name of the folder it lies in as its label. Hidden files, and files that are no media, are passed over.

    Args:
        folder: where to look.
        report: called with every finding about metadata; nothing in the folder raises.

    Raises:
        DataError: `folder` is not a folder.
    """
    root = os.fspath(folder)  # strings, since pathlib interns every name it sees
    if not os.path.isdir(root):
        raise DataError(f"{folder}: is not a folder; name the folder that holds your pictures and clips")
    with tempfile.TemporaryDirectory(prefix="triptych-") as temporary:
        index = sqlite3.connect(os.path.join(temporary, "index.sqlite"))
        try:
            index.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                "CREATE TABLE files (path TEXT PRIMARY KEY) WITHOUT ROWID;"
                "CREATE TABLE lines (path TEXT, source TEXT, number INTEGER, line TEXT);"
            )
            _walk(root, index, report)
            index.execute("CREATE INDEX by_path ON lines (path)")
            _report_missing(index, report)
            for (path,) in index.execute("SELECT path FROM files ORDER BY path"):
                yield _record(root, path, index, report)
        finally:
            index.close()


def _walk(root: str, index: sqlite3.Connection, report: Report) -> None:
    """Index every media file and every line of metadata."""
    folders = [""]
    while folders:
        here = folders.pop()
        try:
            entries = os.scandir(os.path.join(root, here))
        except OSError as error:
            report(
                Finding(here, "unreadable folder", (error.strerror or "can't be listed").lower(), "allow reading it")
            )
            continue
        with entries:
            for entry in entries:
                path = posixpath.join(here, entry.name)
                if entry.name.startswith("."):
                    continue
                if not _is_utf8(path):
                    shown = path.encode("utf-8", "replace").decode()
                    report(Finding(shown, "bad name", "its name is not UTF-8", "rename it"))
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif entry.is_dir():
                    detail = "it is a link to a folder, which is not followed"
                    report(Finding(path, "bad name", detail, "copy the folder here"))
                elif entry.name == METADATA and entry.is_file():
                    _index_metadata(root, path, index, report)
                elif posixpath.splitext(entry.name)[1].lower() in MEDIA:
                    index.execute("INSERT OR IGNORE INTO files VALUES (?)", (path,))


def _index_metadata(root: str, path: str, index: sqlite3.Connection, report: Report) -> None:
    """Index the lines of one metadata.jsonl by the file they name."""

    def bad(number: int, detail: str, remedy: str = "mend the line") -> None:
        report(Finding(f"{path}:{number}", "bad metadata", detail, remedy))

    try:
        with open(os.path.join(root, path), encoding="utf-8-sig", errors="replace") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    while line and not line.endswith("\n"):
                        line = file.readline(LONGEST_LINE)
                    bad(number, f"is longer than {LONGEST_LINE:,} characters")
                    continue
                if not line.strip():
                    continue
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    bad(number, "is not JSON", "write one JSON object a line")
                    continue
                if "\\u" in line and not _is_utf8(json.dumps(value, ensure_ascii=False)):
                    bad(number, "holds half a character", "write the text as UTF-8")
                    continue
                name = value.get("file_name") if isinstance(value, dict) else None
                if not isinstance(name, str) or not name or "\0" in name:
                    bad(number, "names no file", 'add "file_name", relative to metadata.jsonl')
                    continue
                target = posixpath.normpath(posixpath.join(posixpath.dirname(path), name.replace("\\", "/")))
                if posixpath.isabs(target) or target.split("/")[0] == "..":
                    bad(number, f"{_short(name)} lies outside the folder", "name files inside the folder")
                    continue
                index.execute("INSERT INTO lines VALUES (?, ?, ?, ?)", (target, path, number, line))
    except OSError as error:
        report(Finding(path, "bad metadata", (error.strerror or "can't be read").lower(), "allow reading it"))


def _report_missing(index: sqlite3.Connection, report: Report) -> None:
    missing = (
        "SELECT path, source, number FROM lines WHERE path NOT IN (SELECT path FROM files) ORDER BY source, number"
    )
    for path, source, number in index.execute(missing):
        remedy = "correct the name, or remove the line"
        report(Finding(f"{source}:{number}", "bad metadata", f"{_short(path)} is no picture or clip here", remedy))


def _record(root: str, path: str, index: sqlite3.Connection, report: Report) -> Record:
    record = Record(file=path, kind=_kind(root, path))
    rows = "SELECT source, number, line FROM lines WHERE path = ? ORDER BY source, number"
    named = False
    for source, number, line in index.execute(rows, (path,)):
        _add(record, json.loads(line), f"{source}:{number}", report)
        named = True
    record.texts += _sidecar(root, path, report)
    if not named and not record.texts:
        record.label = posixpath.basename(posixpath.dirname(path)).strip() or None
    return record


def _kind(root: str, path: str) -> Any:
    suffix = posixpath.splitext(path)[1].lower()
    if suffix in video.ANIMATED:
        try:
            return "clip" if image.is_animated(os.path.join(root, path)) else "picture"
        except MediaError:
            return "picture"  # cleaning will say what is wrong with it
    return "clip" if suffix in CLIPS else "picture"


def _sidecar(root: str, path: str, report: Report) -> list[Text]:
    """Each line of the .txt file of the same stem that is not empty."""
    beside = posixpath.splitext(path)[0] + ".txt"
    if not os.path.isfile(os.path.join(root, beside)):
        return []
    try:
        with open(os.path.join(root, beside), encoding="utf-8-sig", errors="replace") as file:
            content = file.read(LONGEST_LINE)
    except OSError as error:
        report(Finding(beside, "bad metadata", (error.strerror or "can't be read").lower(), "allow reading it"))
        return []
    texts = [Text(text=line.strip()) for line in content.split("\n") if line.strip()]
    if not texts:
        report(Finding(beside, "empty text", "the file holds no text", "write a text, or remove the file"))
    return texts


def _add(record: Record, value: dict[str, Any], where: str, report: Report) -> None:
    """Add what one line of metadata says to `record`, key by key: a bad value costs its own key only."""

    def bad(key: str, form: str) -> None:
        report(Finding(f"{where} ({record.file})", "bad metadata", f"{key} has a wrong form", f"write {form}"))

    for key in ("text", "texts", "instruction"):
        try:
            texts, blank = as_texts(value.get(key)), _holds_blank(value.get(key))
        except _WRONG_FORM:
            bad(key, 'a string, a list of strings, or {"en": ..., "zh": ...}')
            continue
        if blank:
            report(Finding(record.file, "empty text", f"{key} holds an empty text", "write a text, or remove it"))
        (record.instruction if key == "instruction" else record.texts).extend(t for t in texts if t.text.strip())
    label = value.get("label")
    if isinstance(label, int) and not isinstance(label, bool):
        label = str(label)
    if isinstance(label, str):
        if label.strip():
            record.label = record.label or label.strip()
        else:
            report(Finding(record.file, "empty text", "its label is empty", "write a label, or remove it"))
    elif label is not None:
        bad("label", "a string")
    for item in _list(value, "qa", bad):
        try:
            record.qa.append(Question.model_validate(item))
            if not record.qa[-1].question.strip() or not record.qa[-1].answer.strip():
                record.qa.pop()
                report(Finding(record.file, "empty text", "a question or answer is empty", "write it, or remove it"))
        except ValidationError:
            bad("qa", '[{"question": "...", "answer": "..."}]')
    for item in _list(value, "events", bad):
        try:
            record.events += _events(item)
        except _WRONG_FORM:
            bad("events", '[{"start": 0.0, "end": 1.5, "text": "..."}] with start before end, in seconds')
    if value.get("objects") is not None:
        times = ', "times": [0.0, ...]' if record.kind == "clip" else ""
        form = (
            f'{{"bbox": [[x, y, width, height], ...], "categories": ["red ball", ...]{times}}}, in pixels'
            f"{' and seconds' if times else ''}, as many of each"
        )
        try:
            found = _boxes(value["objects"], timed=record.kind == "clip")
        except _WRONG_FORM:
            bad("objects", form)
            found = []
        if None in found:
            bad("objects", form)
        record.objects += [box for box in found if box is not None]
    if value.get("sequence") is not None:
        try:
            place = Place.model_validate(value["sequence"])
            # Two folders may both have a "scene-1": an id is local to its metadata.jsonl.
            record.sequence = Place(id=posixpath.join(posixpath.dirname(where), place.id), index=place.index)
        except ValidationError:
            bad("sequence", '{"id": "...", "index": 0}')


def _events(item: Any) -> list[Event]:
    start, end = item["start"], item["end"]
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in (start, end)):
        raise TypeError
    texts = as_texts(item["text"])
    if not (0 <= start <= end and math.isfinite(end)) or not texts:
        raise ValueError
    lang = item.get("lang", "")
    return [Event(start=start, end=end, text=t.text, lang=t.lang or lang) for t in texts]


def _boxes(value: Any, timed: bool) -> list[Box | None]:
    """The things of a picture, or of a clip at times; None where one has no words, no box of any size or no time."""
    boxes, names = value["bbox"], value["categories"]
    times = value["times"] if timed else [None] * len(boxes)
    if not all(isinstance(part, list) and len(part) == len(boxes) for part in (boxes, names, times)):
        raise ValueError
    return [_box(*parts) for parts in zip(boxes, names, times, strict=True)]


def _box(edges: Any, name: Any, time: Any) -> Box | None:
    try:
        if isinstance(time, bool) or (time is not None and not (math.isfinite(time) and time >= 0)):
            return None
        left, top, width, height = edges
        if any(isinstance(edge, bool) for edge in edges) or not (
            width > 0 and height > 0 and all(map(math.isfinite, (left, top, left + width, top + height)))
        ):
            return None
        texts = as_texts(str(name) if isinstance(name, int) and not isinstance(name, bool) else name)
        # In a plan, a semicolon or the end of a line would end the thing.
        clean = [Text(text=" ".join(re.sub("[;；]", ",", t.text).split()), lang=t.lang) for t in texts]
        words = [text for text in clean if text.text.strip(", ")]
        return Box(texts=words, box=(left, top, left + width, top + height), time=time) if words else None
    except _WRONG_FORM:
        return None


def _list(value: dict[str, Any], key: str, bad: Callable[[str, str], None]) -> list[Any]:
    items = value.get(key)
    if items is None:
        return []
    if not isinstance(items, list):
        bad(key, "a list")
        return []
    return items


def _holds_blank(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return any(_holds_blank(part) for part in parts)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(name: str) -> str:
    return name if len(name) <= 100 else name[:97] + "..."
