"""A library of moments: captions in SQLite with full-text search, vectors in a numpy file beside it.

Every file is one transaction: vectors are written first, into rows that nothing refers to yet, then the moments that
refer to them. A run that is killed loses the file it was at, and leaves nothing half.
N moments, K vectors a moment, D width.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from triptych import nearest
from triptych.errors import DataError

FORMAT = 1
KINDS = 2  # vectors a moment: as a clip, and of its keyframe as a picture
FIRST = 1024  # rows of a new file of vectors; it doubles when it is full
COMMON = frozenset("a an and are at be by do does for from in is it of on or the there to what when with".split())  # noqa: SIM905
_WORD = re.compile(r"[\u3400-\u9fff]+|[^\W_\u3400-\u9fff]+")
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE files (path TEXT PRIMARY KEY, bytes INTEGER, modified INTEGER, error TEXT) WITHOUT ROWID;
CREATE TABLE moments (
  id INTEGER PRIMARY KEY, row INTEGER UNIQUE, file TEXT, start REAL, end REAL, caption TEXT,
  thumbnail BLOB, codes BLOB
);
CREATE INDEX moments_of ON moments (file);
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'porter unicode61');
"""


@dataclass(frozen=True)
class Entry:
    """A moment as it is stored.

    Args:
        file: relative to the folder. start, end: seconds; both 0 for a picture.
        captions: what is said of it, by language.
        thumbnail: JPEG.
        codes: int16 (T, y, x), what the GPT reads of it.
    """

    file: str
    start: float
    end: float
    captions: dict[str, str]
    thumbnail: bytes
    codes: np.ndarray


class Library:
    """The library of one folder of media.

    Args:
        path: the library's own folder.
        model: label of the model that reads; a library holds the work of one.
        width: D. None opens an existing library as it is.

    Raises:
        DataError: no library, damaged, or of another version.
    """

    def __init__(self, path: Path, model: str = "", width: int | None = None) -> None:
        self.path = path
        database = path / "library.sqlite"
        if width is None and not database.is_file():
            raise DataError(f"{path}: there is no library; make one with `triptych index {path.parent}`")
        path.mkdir(parents=True, exist_ok=True)
        self.store = sqlite3.connect(database, timeout=30, isolation_level=None)
        try:
            self.store.execute("PRAGMA journal_mode = WAL")
            if not self.store.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                self._create(model, width or 0)
            if self.meta("format") != str(FORMAT):
                raise DataError(f"{path}: a library of format {self.meta('format')}, this version reads {FORMAT}")
        except sqlite3.DatabaseError as error:
            self.store.close()
            raise DataError(f"{database}: damaged ({error}); delete {path} and index again") from error
        self.model, self.width = self.meta("model"), int(self.meta("width"))

    def _create(self, model: str, width: int) -> None:
        with self.transaction():
            for statement in _SCHEMA.split(";\n"):
                if statement.strip():
                    self.store.execute(statement)
            for key, value in (("format", FORMAT), ("model", model), ("width", width), ("vectors", "")):
                self._set(key, value)

    def close(self) -> None:
        """Close the files."""
        self.store.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self.store.execute("SELECT count(*) FROM moments").fetchone()[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written within."""
        self.store.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.store.execute("COMMIT")
        except BaseException:
            self.store.execute("ROLLBACK")
            raise

    def meta(self, key: str) -> str:
        """A fact of the library."""
        row = self.store.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def _set(self, key: str, value: object) -> None:
        self.store.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(value)))

    def known(self) -> dict[str, tuple[int, int, str]]:
        """Every file that was looked at -> its bytes, its time of change, and why it failed, or nothing."""
        rows = self.store.execute("SELECT path, bytes, modified, error FROM files")
        return {path: (size, modified, error) for path, size, modified, error in rows}

    def put(
        self, file: str, stamp: tuple[int, int], entries: Sequence[Entry], vectors: np.ndarray, error: str = ""
    ) -> None:
        """Store a file's moments in place of those it had.

        Args:
            file: relative to the folder.
            stamp: its bytes and its time of change.
            entries: its moments. vectors: float32 (N, KINDS, D), one row a moment.
            error: why there are none.
        """
        first = int(self.store.execute("SELECT coalesce(max(row) + 1, 0) FROM moments").fetchone()[0])
        name = self._write(first, vectors) if len(entries) else self.meta("vectors")
        old = self.meta("vectors")
        with self.transaction():
            self._forget(file)
            self._set("indexed", "")
            self.store.execute("INSERT INTO files VALUES (?, ?, ?, ?)", (file, *stamp, error))
            for place, entry in enumerate(entries):
                cursor = self.store.execute(
                    "INSERT INTO moments (row, file, start, end, caption, thumbnail, codes) VALUES (?,?,?,?,?,?,?)",
                    (
                        first + place,
                        entry.file,
                        entry.start,
                        entry.end,
                        json.dumps(entry.captions, ensure_ascii=False),
                        entry.thumbnail,
                        _packed(entry.codes),
                    ),
                )
                text = spaced(" ".join(entry.captions.values()))
                self.store.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (cursor.lastrowid, text))
            self._set("vectors", name)
        if old and old != name:
            (self.path / old).unlink(missing_ok=True)

    def forget(self, file: str) -> None:
        """Take a file and its moments out."""
        with self.transaction():
            self._forget(file)

    def _forget(self, file: str) -> None:
        self.store.execute("DELETE FROM words WHERE rowid IN (SELECT id FROM moments WHERE file = ?)", (file,))
        self.store.execute("DELETE FROM moments WHERE file = ?", (file,))
        self.store.execute("DELETE FROM files WHERE path = ?", (file,))

    def _write(self, first: int, vectors: np.ndarray) -> str:
        """Put vectors into rows from `first` on; gives the name of the file that holds them, a new one if it grew."""
        name, last = self.meta("vectors"), first + len(vectors)
        table = np.load(self.path / name, mmap_mode="r+") if name else None
        if table is None or last > table.shape[1]:
            number = int(name.split("-")[1].split(".")[0]) + 1 if name else 0
            room = max(FIRST, 2 * last)
            name = f"vectors-{number}.npy"
            shape = (KINDS, room, self.width)  # each kind in one piece, since a search reads one
            larger = np.lib.format.open_memmap(self.path / name, "w+", np.float32, shape)
            if table is not None:
                larger[:, :first] = table[:, :first]
            table = larger
        table[:, first:last] = vectors.swapaxes(0, 1)
        table.flush()
        return name

    def _is_indexed(self) -> bool:
        """Whether there is an index of the vectors as they are now; it may have been deleted, or be of other rows."""
        fresh = self.meta("indexed") == self.meta("vectors") != ""
        return fresh and nearest.installed() and (self.path / nearest.FOLDER).is_dir()

    def finish(self) -> None:
        """After files were put or forgotten: leave rows out that nothing refers to, and keep the mean of the rest."""
        rows = [row for (row,) in self.store.execute("SELECT row FROM moments ORDER BY row")]
        old = self.meta("vectors")
        if not rows:
            return
        table = np.load(self.path / old, mmap_mode="r")
        if rows[-1] + 1 > 2 * len(rows) and rows[-1] >= FIRST:
            number = int(old.split("-")[1].split(".")[0]) + 1
            name = f"vectors-{number}.npy"
            shape = (KINDS, max(FIRST, 2 * len(rows)), self.width)
            dense = np.lib.format.open_memmap(self.path / name, "w+", np.float32, shape)
            for place, row in enumerate(rows):
                dense[:, place] = table[:, row]
            dense.flush()
            with self.transaction():
                for place, row in enumerate(rows):  # ascending: a row's new place is free by then
                    self.store.execute("UPDATE moments SET row = ? WHERE row = ?", (place, row))
                self._set("vectors", name)
            (self.path / old).unlink(missing_ok=True)
            table, rows = dense, list(range(len(rows)))
        mean = np.zeros((KINDS, self.width))
        for first in range(0, len(rows), 4096):
            mean += table[:, rows[first : first + 4096]].sum(1, dtype=np.float64)
        mean /= len(rows)
        large = len(rows) > nearest.LARGE and nearest.installed()
        if large and not self._is_indexed():
            nearest.build(self.path, table, rows, mean.astype(np.float32))
        with self.transaction():
            self._set("mean", json.dumps(mean.tolist()))
            self._set("indexed", self.meta("vectors") if large else "")

    def near(self, vectors: np.ndarray, kind: int, count: int, *, directions: bool = False) -> list[tuple[int, float]]:
        """The moments nearest to any of some vectors, nearest first.

        Like media lie in one narrow cone: the mean of the library is taken off before angles are compared.

        Args:
            vectors: float32 (M, D), of length 1.
            kind: 0 compares clips, 1 keyframes.
            count: how many to give.
            directions: the vectors are seen from the mean already.

        Returns:
            (id, cosine) of each.
        """
        total = int(self.store.execute("SELECT coalesce(max(row) + 1, 0) FROM moments").fetchone()[0])
        if not total:
            return []
        mean = np.array(json.loads(self.meta("mean") or "0"), np.float32)
        mean = mean[kind] if mean.ndim else np.zeros(self.width, np.float32)
        queries = vectors.copy() if directions else vectors - mean
        queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-6)
        cosines: np.ndarray | None = None
        if not self._is_indexed():
            table = np.load(self.path / self.meta("vectors"), mmap_mode="r")[kind, :total]
            dots = table @ np.concatenate([queries, mean[None]]).T
            norms = np.sqrt(np.maximum(1 - 2 * dots[:, -1] + mean @ mean, 1e-6))
            cosines = ((dots[:, :-1] - queries @ mean) / norms[:, None]).max(1)
        wanted = min(total, 2 * count + 16)
        while True:  # rows that nothing refers to any more are passed over
            if cosines is None:
                best, values = nearest.near(self.path, kind, queries, wanted)
            else:
                best = np.argpartition(-cosines, wanted - 1)[:wanted]
                values = cosines[best]
            value = dict(zip(best.tolist(), values.tolist(), strict=True))
            marks = ",".join("?" * len(best))
            query = f"SELECT row, id FROM moments WHERE row IN ({marks})"
            found = {row: id_ for row, id_ in self.store.execute(query, best.tolist())}
            if len(found) >= count or wanted == total:
                ranked = sorted(found, key=lambda row: -value[row])[:count]
                return [(found[row], value[row]) for row in ranked]
            wanted = min(total, wanted * 4)

    def said(self, text: str, count: int) -> list[tuple[int, float]]:
        """The moments whose captions hold the words of a text, best first, by BM25: (id, score), more is better.

        All words first, and if that finds too few, any of them.
        """
        terms = query_terms(text)
        found: dict[int, float] = {}
        for joint in (" AND ", " OR ") if len(terms) > 1 else (" OR ",):
            if terms and len(found) < count:
                rows = self.store.execute(
                    "SELECT rowid, bm25(words) FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?",
                    (joint.join(terms), count),
                )
                for id_, score in rows:
                    found.setdefault(id_, -score)
        return list(found.items())[:count]

    def some(self, count: int) -> list[int]:
        """Up to `count` moments, spread evenly."""
        last = int(self.store.execute("SELECT coalesce(max(row), -1) FROM moments").fetchone()[0])
        query = "SELECT id FROM moments WHERE row >= ? ORDER BY row LIMIT 1"
        places = sorted(set(np.linspace(0, last, count).astype(int).tolist())) if last >= 0 else []
        found = [self.store.execute(query, (place,)).fetchone()[0] for place in places]
        return list(dict.fromkeys(found))

    def entries(self, ids: Sequence[int]) -> list[Entry]:
        """The moments of some ids, in their order."""
        marks = ",".join("?" * len(ids))
        query = f"SELECT id, file, start, end, caption, thumbnail, codes FROM moments WHERE id IN ({marks})"
        found = {
            id_: Entry(file, start, end, json.loads(caption), thumbnail, _unpacked(codes))
            for id_, file, start, end, caption, thumbnail, codes in self.store.execute(query, list(ids))
        }
        return [found[id_] for id_ in ids]


def spaced(text: str) -> str:
    """Text as it is indexed: Chinese characters stand alone, since no space parts its words.

    >>> spaced("a red 红色的球")
    'a red 红 色 的 球'
    """
    return " ".join(" ".join(word) if word[0] >= "\u3400" else word for word in _WORD.findall(text))


def query_terms(text: str) -> list[str]:
    """Terms of a full-text query: words without the most common ones, and pairs of Chinese characters as phrases.

    >>> query_terms("the red ball"), query_terms("红色的球")
    (['"red"', '"ball"'], ['"红 色"', '"色 的"', '"的 球"'])
    """
    terms: list[str] = []
    words = [word.lower() for word in _WORD.findall(text)]
    for word in words:
        if word[0] >= "\u3400":
            pairs = [word[i : i + 2] for i in range(len(word) - 1)] or [word]
            terms += [f'"{" ".join(pair)}"' for pair in pairs]
        elif word not in COMMON or len(words) == 1:
            terms.append(f'"{word}"')
    return list(dict.fromkeys(terms))


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold a library for writing; DataError where another process does."""
    path.mkdir(parents=True, exist_ok=True)
    with open(path / "lock", "w") as file:
        with suppress(ImportError):  # Windows: SQLite's own locks must do
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DataError(f"{path}: another process is indexing this folder; wait for it") from None
        yield


def stamp_of(path: Path) -> tuple[int, int]:
    """Bytes and time of change of a file, by which a changed one is known."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _packed(codes: np.ndarray) -> bytes:
    shape = np.array(codes.shape, np.int16)
    return shape.tobytes() + codes.astype(np.int16).tobytes()


def _unpacked(data: bytes) -> Any:
    shape = np.frombuffer(data[:6], np.int16)
    return np.frombuffer(data[6:], np.int16).reshape(*shape.tolist()).astype(np.int64)
