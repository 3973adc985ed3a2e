"""Files replaced whole or not at all, and their SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def write_atomically(path: Path | str, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to disk, then rename it over `path`.

    A reader sees the old file or the new one, never a half; a full disk leaves the old one in place.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; the user's umask decides instead
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_json(path: Path | str, value: Any, *, indent: int | None = 2) -> None:
    """Write JSON atomically, with Chinese left readable."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def read_jsonl(path: Path | str) -> Iterator[dict[str, Any]]:
    """Yield one object a line; memory stays that of one line."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def sha256(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes_of(folder: Path | str) -> dict[str, str]:
    """SHA-256 of a folder's files, as its SHA256.json states them; empty where there is none."""
    sums = Path(folder) / "SHA256.json"
    return dict(json.loads(sums.read_text(encoding="utf-8"))) if sums.is_file() else {}


def slug(text: str, most: int = 60) -> str:
    """A file's stem from a text: letters and digits of any script, joined by hyphens.

    >>> slug("A red ball, left of a blue cube!"), slug("一个红色的球")
    ('a-red-ball-left-of-a-blue-cube', '一个红色的球')
    """
    words = re.findall(r"[^\W_]+", text.lower())
    stem = ""
    for word in words:
        longer = f"{stem}-{word}" if stem else word[:most]
        if len(longer.encode()) > 3 * most or len(longer) > most:
            break
        stem = longer
    return stem
