"""A folder of media -> a library of moments that can be searched; new, changed and deleted files are noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triptych.data.folder import scan
from triptych.errors import MediaError
from triptych.files import hashes_of
from triptych.library import KINDS, Entry, Library, only_writer, stamp_of
from triptych.media import image
from triptych.tasks import parts
from triptych.tasks.common import Medium, Model
from triptych.tasks.telling import describe, plain
from triptych.tasks.vectors import media_vectors

READERS = ("retrieval.safetensors", "namer.safetensors")  # beside the GPT, to which encoder and text ids belong


@dataclass(frozen=True)
class Indexed:
    """What became of a file: `new`, `changed`, `same`, `deleted` or `failed`, with the reason.

    Args:
        file: relative to the folder.
        status: what became of it.
        moments: how many it gave.
        error: why it failed.
        done, total: files so far, and of the folder.
    """

    file: str
    status: str
    moments: int = 0
    error: str = ""
    done: int = 0
    total: int = 0


def index(model: Model, folder: Path, library: Path, *, languages: Sequence[str] = ("en",)) -> Iterator[Indexed]:
    """Bring a library up to date with a folder, file by file; safe to kill, since each file is one transaction.

    Args:
        model: what reads; a library that another model made is read anew.
        folder: of pictures and clips.
        library: the library's own folder.
        languages: in which moments are described.

    Yields:
        what became of every file.
    """
    kinds = {record.file: record.kind for record in scan(folder)}
    mark = f"{reader_of(model)} {','.join(languages)}"
    with only_writer(library):
        with Library(library, mark, model.gpt.config.width) as old:
            stale = old.model != mark
        if stale:
            for part in library.iterdir():
                if part.name != "lock":
                    part.unlink()
        with Library(library, mark, model.gpt.config.width) as store:
            known = store.known()
            for file in sorted(known.keys() - kinds.keys()):
                store.forget(file)
                yield Indexed(file, "deleted", total=len(kinds))
            for done, (file, kind) in enumerate(kinds.items(), 1):
                stamp = stamp_of(folder / file)
                before = known.get(file)
                if before is not None and before[:2] == stamp:
                    yield Indexed(file, "failed" if before[2] else "same", 0, before[2], done, len(kinds))
                    continue
                try:
                    entries, vectors = _read(model, folder, file, kind, languages)
                except MediaError as error:
                    store.put(file, stamp, [], np.zeros((0, KINDS, store.width), np.float32), str(error))
                    yield Indexed(file, "failed", 0, str(error), done, len(kinds))
                    continue
                store.put(file, stamp, entries, vectors)
                status = "new" if before is None else "changed"
                yield Indexed(file, status, len(entries), "", done, len(kinds))
            store.finish()


def reader_of(model: Model) -> str:
    """What a library says of the model that read it: its label, and the hash of what else reads, since another head for
    retrieval gives other vectors, and another namer other names."""
    stated = hashes_of(model.bundle.path)
    digest = hashlib.sha256("".join(stated.get(name, "none") for name in READERS).encode()).hexdigest()
    return f"{model.label}+{digest[:8]}"


def _read(model: Model, folder: Path, file: str, kind: str, languages: Sequence[str]) -> tuple[list[Entry], np.ndarray]:
    """The moments of one file, with their vectors (N, KINDS, D)."""
    entries: list[Entry] = []
    vectors: list[np.ndarray] = []
    if kind == "picture":
        frames = model.frames(folder / file)
        medium = Medium(model.look([frames])[0], None, (), model.shown(frames))
        told = {language: plain(describe(model, [medium], language)[0]) for language in languages}
        entries.append(Entry(file, 0.0, 0.0, told, image.thumbnail(frames[0]), _codes(medium)))
        vectors.append(np.repeat(media_vectors(model, [medium])[:, None], KINDS, 1))
        return entries, np.concatenate(vectors)
    for some in parts.batches(model, folder / file):
        media = [part.medium for part in some]
        told_all = {language: describe(model, media, language) for language in languages}
        for number, part in enumerate(some):
            told = {language: plain(texts[number]) for language, texts in told_all.items()}
            here = part.segment
            entries.append(Entry(file, here.start, here.end, told, image.thumbnail(part.keyframe), _codes(part.medium)))
        stills = [Medium(maps, None) for maps in model.look([part.keyframe[None] for part in some])]
        vectors.append(np.stack([media_vectors(model, media), media_vectors(model, stills)], 1))
    return entries, np.concatenate(vectors)


def _codes(medium: Medium) -> np.ndarray:
    return np.stack([map_.codes for map_ in medium.maps])
