"""What a folder tells of its media beyond their texts: the `truth` of every metadata.jsonl below it."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from triptych.data.folder import METADATA
from triptych.files import sha256

CLEAR = 0.3  # the part of an object of a clip beyond which it counts as seen


def metadata_files(folder: Path) -> list[str]:
    """Every metadata.jsonl that `triptych.data.folder.scan` reads, relative to `folder`, sorted."""
    found = []
    for here, folders, files in os.walk(folder):  # links to folders are not followed
        folders[:] = [name for name in folders if not name.startswith(".")]
        if METADATA in files and Path(here, METADATA).is_file():
            found.append(Path(here, METADATA).relative_to(folder).as_posix())
    return sorted(found)


def read_truths(folder: Path) -> dict[str, dict[str, Any]]:
    """File, relative to `folder`, -> its `truth`, of those that have one; lines that can't be read are passed over."""
    truths: dict[str, dict[str, Any]] = {}
    for file, row in read_rows(folder):
        truth = row.get("truth")
        if isinstance(truth, dict) and truth:
            truths.setdefault(file, truth)
    return truths


def read_rows(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each line of every metadata.jsonl with the file that it names, relative to `folder`."""
    for source in metadata_files(folder):
        for row in _rows(folder / source):
            name = row.get("file_name")
            if isinstance(name, str):
                yield posixpath.normpath(posixpath.join(posixpath.dirname(source), name.replace("\\", "/"))), row


def seen(objects: Sequence[dict[str, Any]], frame: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a frame of a clip shows of its objects, each with its looks and with its place in that frame."""
    looks = {o["id"]: o for o in objects}
    return [{**looks[o["id"]], **o} for o in frame if o["id"] in looks and o["visible"] > CLEAR]


def metadata_hash(folder: Path) -> str | None:
    """SHA-256 of a folder's metadata.jsonl; of several, that of their hashes and names; None without any."""
    sources = metadata_files(folder)
    if not sources:
        return None
    if sources == [METADATA]:
        return sha256(folder / METADATA)
    lines = "".join(f"{sha256(folder / source)}  {source}\n" for source in sources)
    return hashlib.sha256(lines.encode()).hexdigest()


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line) if line.strip() else None
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                yield row
