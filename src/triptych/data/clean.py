"""A folder -> a clean manifest and a report: what is unreadable, doubled or odd is listed, nothing is deleted."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from triptych.data import report
from triptych.data.folder import HIDDEN, Finding, scan
from triptych.data.records import Record
from triptych.data.settings import PrepareConfig
from triptych.errors import DataError, MediaError
from triptych.files import sha256, write_atomically
from triptych.media import image, similar, video
from triptych.media.limits import LOCAL
from triptych.media.worker import Workers

VERSION = 1  # of what `examine` returns; another version examines every file again
_GROUP = 256  # candidates compared for one file and bucket, so that a hostile folder can't make it quadratic


@dataclass(frozen=True)
class Summary:
    """What cleaning found.

    `files` counts pictures and clips seen, `kept` those in the manifest, `examined` those decoded this time;
    `findings` counts findings by kind.
    """

    files: int
    kept: int
    pictures: int
    clips: int
    examined: int
    seconds: float
    findings: dict[str, int]
    manifest: Path
    report: Path


def clean(
    folder: Path | str, out: Path | str, settings: PrepareConfig = PrepareConfig(), *, progress: bool = True
) -> Summary:
    """Examine every file of `folder` on all cores and write manifest.jsonl, report.json and report.html to `out`.

    What was found of each file is kept in out/clean.sqlite, so that a second run, or one after a kill,
    examines only new and changed files. Files of `folder` are only read.

    Raises:
        DataError: `folder` is not a folder, or `out` can't be written.
    """
    started = time.monotonic()
    root, out = Path(folder), Path(out)
    if not root.is_dir():
        raise DataError(f"{folder}: is not a folder; name the folder that holds your pictures and clips")
    try:
        out.mkdir(parents=True, exist_ok=True)
        pool = Workers(settings.workers, int(settings.memory * 2**30))
        with closing(_store(out / "clean.sqlite")) as store, pool as workers:
            _collect(root, store)
            examined = _examine_all(root, store, workers, settings, progress)
            _compare(store, settings)
            write_atomically(out / "manifest.jsonl", lambda path: _write_manifest(path, store))
            counts = report.write(root, out, store, workers, settings, time.monotonic() - started)
    except sqlite3.Error as error:
        raise DataError(f"{out / 'clean.sqlite'}: {error}; remove the file and run again") from None
    except OSError as error:
        raise DataError(f"{error.filename or out}: {(error.strerror or str(error)).lower()}") from None
    return Summary(
        **counts,
        examined=examined,
        seconds=time.monotonic() - started,
        manifest=out / "manifest.jsonl",
        report=out / "report.html",
    )


def examine(path: str, kind: str) -> dict[str, Any]:
    """Decode one file and say what it is: SHA-256, upright size, duration, signature, whether it is flat.

    Runs in a worker. A file that can't be decoded gives its `error`: [reason, remedy].
    """
    try:
        digest = sha256(path)
        if kind == "clip":
            info = video.probe(path, limits=LOCAL, scan=True)
            width, height, duration = info.width, info.height, info.duration
            frames = np.concatenate(
                [
                    video.read(path, fps=100, frames=1, start=duration * part, size=128, limits=LOCAL).frames
                    for part in (1 / 6, 3 / 6, 5 / 6)
                ]
            )
        else:
            width, height = image.size_of(path, limits=LOCAL)
            duration, frames = 0.0, image.read(path, limits=LOCAL, at_least=256)[None]
    except MediaError as error:
        return {"error": [error.reason, error.remedy]}
    except OSError as error:
        raise MediaError(path, (error.strerror or "can't be read").lower(), "allow reading it") from None
    return {
        "sha256": digest,
        "width": width,
        "height": height,
        "duration": round(duration, 6),
        "flat": similar.is_flat(frames),
        "signature": similar.signature(frames).hex(),
    }


def _store(path: Path) -> sqlite3.Connection:
    store = sqlite3.connect(path)
    try:
        version = store.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError:  # a damaged store is only a cache: begin again
        store.close()
        path.unlink()
        store, version = sqlite3.connect(path), 0
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = NORMAL")
    if version != VERSION:
        store.execute("DROP TABLE IF EXISTS results")
        store.execute(f"PRAGMA user_version = {VERSION}")
    # `results` outlives a run; the other tables describe the run at hand.
    store.executescript(
        """
        CREATE TABLE IF NOT EXISTS results (
            path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, kind TEXT, error TEXT, remedy TEXT, sha256 TEXT,
            width INTEGER, height INTEGER, duration REAL, flat INTEGER, signature BLOB);
        DROP TABLE IF EXISTS records;
        DROP TABLE IF EXISTS findings;
        CREATE TABLE records (path TEXT PRIMARY KEY, kind TEXT, record TEXT, size INTEGER, mtime INTEGER,
            sequence TEXT, kept INTEGER DEFAULT 1);
        CREATE TABLE findings (file TEXT, kind TEXT, detail TEXT, remedy TEXT, other TEXT);
        """
    )
    return store


def _collect(root: Path, store: sqlite3.Connection) -> None:
    """List the folder: records and what is wrong with its metadata."""

    def note(finding: Finding) -> None:
        _note(store, finding)

    for record in scan(root, note):
        try:
            status = os.stat(os.path.join(root, record.file))
            size, mtime = status.st_size, status.st_mtime_ns
        except OSError:
            size, mtime = -1, -1
        row = (record.file, record.kind, record.model_dump_json(), size, mtime, record.sequence and record.sequence.id)
        store.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, 1)", row)
    store.execute("DELETE FROM results WHERE path NOT IN (SELECT path FROM records)")
    store.commit()


def _examine_all(
    root: Path, store: sqlite3.Connection, workers: Workers, settings: PrepareConfig, progress: bool
) -> int:
    """Examine the files that are new or have changed; what is found is safe a moment later."""
    changed = (
        "FROM records LEFT JOIN results USING (path) WHERE results.path IS NULL OR results.size != records.size"
        " OR results.mtime != records.mtime OR results.kind != records.kind OR records.size < 0"
    )
    total = store.execute(f"SELECT count(*) {changed}").fetchone()[0]
    results: Any = workers.map(
        examine,
        _batches(store, f"SELECT records.path, records.kind, records.size, records.mtime {changed}"),
        lambda row: (row[0], [os.path.join(root, row[0]), row[1]], settings.timeout + max(row[2], 0) / 20e6),
        ahead=8,
    )
    if progress and total:
        results = track(results, "Examining files", total, console=Console(stderr=True), transient=True)
    committed = time.monotonic()
    for (path, kind, size, mtime), found in results:
        if isinstance(found, MediaError):  # a worker's trouble, which another run may not have
            found, mtime = {"error": [found.reason, found.remedy]}, -1
        error, remedy = found.get("error", (None, None))
        columns = (found.get(key) for key in ("sha256", "width", "height", "duration", "flat"))
        row = (path, size, mtime, kind, error, remedy, *columns, bytes.fromhex(found.get("signature", "")))
        store.execute(f"INSERT OR REPLACE INTO results VALUES ({', '.join('?' * len(row))})", row)
        if time.monotonic() > committed + 0.25:
            store.commit()
            committed = time.monotonic()
    store.commit()
    return int(total)


def _batches(store: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Rows of a query ordered by path, in batches, so that the tables may change meanwhile."""
    after = ""
    while rows := store.execute(
        f"SELECT * FROM ({query}) WHERE path > ? ORDER BY path LIMIT 1000", (after,)
    ).fetchall():
        yield from rows
        after = rows[-1][0]


def _compare(store: sqlite3.Connection, settings: PrepareConfig) -> None:
    """Judge every file, on its own and against those before it in the order of paths."""
    store.executescript(
        """
        CREATE TEMP TABLE digests (sha256 TEXT PRIMARY KEY, path TEXT);
        CREATE TEMP TABLE buckets (kind TEXT, key INTEGER, path TEXT, sequence TEXT, signature BLOB);
        CREATE INDEX temp.by_key ON buckets (kind, key);
        CREATE TEMP TABLE labels (label TEXT, folded TEXT, path TEXT);
        """
    )
    query = (
        "SELECT path, records.kind, record, sequence, error, remedy, sha256, width, height, duration, flat, signature"
        " FROM records JOIN results USING (path)"
    )
    for path, kind, text, sequence, error, remedy, digest, width, height, duration, flat, signature in _batches(
        store, query
    ):
        if error is not None:
            problem = "truncated" if error == image.TRUNCATED else "unreadable"
            _note(store, Finding(path, problem, error, remedy or "replace or remove it"))
            _leave_out(store, path)
            continue
        keep = True
        if min(width, height) < settings.min_side:
            detail = f"{width}x{height} pixels; a side has fewer than {settings.min_side}"
            _note(store, Finding(path, "too small", detail, "give a larger one, or lower min_side"))
            keep = not settings.drop_small
        if flat:
            _note(store, Finding(path, "flat", "it holds one colour only", "remove it if that is not meant"))
            keep &= not settings.drop_flat
        keep &= _is_new(store, settings, (path, kind, sequence, digest, signature))
        if not keep:
            _leave_out(store, path)
            continue
        record = Record.model_validate_json(text).model_copy(
            update={"sha256": digest, "width": width, "height": height, "duration": duration}
        )
        _check_texts(store, record, settings)
        if record.label is not None:
            folded = " ".join(re.sub(r"[\s_-]+", " ", record.label.casefold()).split())
            store.execute("INSERT INTO labels VALUES (?, ?, ?)", (record.label, folded, path))
        store.execute("UPDATE records SET record = ? WHERE path = ?", (record.model_dump_json(), path))
    _check_labels(store)
    store.commit()


def _is_new(store: sqlite3.Connection, settings: PrepareConfig, row: tuple[str, str, str | None, str, bytes]) -> bool:
    """Note whether a file doubles one before; True if it is to stay."""
    path, kind, sequence, digest, signature = row
    same = store.execute("SELECT path FROM digests WHERE sha256 = ?", (digest,)).fetchone()
    if same:
        if sequence is not None:  # a storyboard may show one picture twice
            return True
        remedy = "keep one of the two; check that their texts agree"
        _note(store, Finding(path, "exact duplicate", f"equals {same[0]} byte for byte", remedy, same[0]))
        return not settings.drop_exact_duplicates
    store.execute("INSERT INTO digests VALUES (?, ?)", (digest, path))
    keys = similar.keys(signature)
    for key in keys:
        near = store.execute(
            "SELECT path, sequence, signature FROM buckets WHERE kind = ? AND key = ? LIMIT ?", (kind, key, _GROUP)
        )
        for other, its_sequence, its_signature in near:
            if sequence is not None and sequence == its_sequence:
                continue
            levels = similar.distance(signature, its_signature)
            if levels <= settings.near_duplicate_levels:
                detail = f"looks like {other}: no part differs by more than {levels} of 255 levels"
                remedy = "keep one of the two, or set drop_near_duplicates"
                _note(store, Finding(path, "near duplicate", detail, remedy, other))
                return not settings.drop_near_duplicates
    store.execute("INSERT INTO buckets VALUES (?, ?, ?, ?, ?)", (kind, keys[0], path, sequence, signature))
    return True


def _check_texts(store: sqlite3.Connection, record: Record, settings: PrepareConfig) -> None:
    """Note texts that are too long or hide characters; drop them where the settings say so."""

    def is_odd(text: str) -> bool:
        odd = False
        if len(text) > settings.longest_text:
            detail = f"{len(text):,} characters: {text[:60]}..."
            _note(store, Finding(record.file, "long text", detail, f"shorten it to {settings.longest_text:,}"))
            odd = True
        if hidden := sorted({f"U+{ord(c):04X}" for c in HIDDEN.findall(text)}):
            detail = f"holds {', '.join(hidden[:5])}: {HIDDEN.sub('�', text[:60])}"
            _note(store, Finding(record.file, "hidden characters", detail, "remove them: they can hide or turn text"))
            odd = True
        return odd and settings.drop_odd_texts

    record.texts = [t for t in record.texts if not is_odd(t.text)]
    record.instruction = [t for t in record.instruction if not is_odd(t.text)]
    record.events = [e for e in record.events if not is_odd(e.text)]
    record.qa = [q for q in record.qa if not is_odd(f"{q.question} {q.answer}")]
    for item in record.objects:
        item.texts = [t for t in item.texts if not is_odd(t.text)]
    record.objects = [item for item in record.objects if item.texts]
    if record.label is not None and is_odd(record.label):
        record.label = None


def _check_labels(store: sqlite3.Connection) -> None:
    lonely = "SELECT label, min(path) FROM labels GROUP BY label HAVING count(*) = 1 ORDER BY label"
    if store.execute("SELECT count(DISTINCT label) FROM labels").fetchone()[0] > 1:
        for label, path in store.execute(lonely):
            detail = f"no other file has its label {label[:60]!r}"
            _note(store, Finding(path, "odd label", detail, "check its spelling, or add more files"))
    alike = (
        "SELECT folded, label, min(path) FROM labels WHERE folded IN"
        " (SELECT folded FROM labels GROUP BY folded HAVING count(DISTINCT label) > 1)"
        " GROUP BY folded, label ORDER BY folded, count(*) DESC, label"
    )
    usual = ("", "")
    for folded, label, path in store.execute(alike):
        if folded != usual[0]:
            usual = (folded, label)
            continue
        detail = f"its label {label[:60]!r} differs from {usual[1][:60]!r} only in case, spaces or dashes"
        _note(store, Finding(path, "odd label", detail, f"write {usual[1][:60]!r}"))


def _write_manifest(path: Path, store: sqlite3.Connection) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for (record,) in store.execute("SELECT record FROM records WHERE kept ORDER BY path"):
            file.write(record + "\n")


def _note(store: sqlite3.Connection, finding: Finding) -> None:
    store.execute("INSERT INTO findings VALUES (:file, :kind, :detail, :remedy, :other)", asdict(finding))


def _leave_out(store: sqlite3.Connection, path: str) -> None:
    store.execute("UPDATE records SET kept = 0 WHERE path = ?", (path,))
