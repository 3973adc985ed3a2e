"""A text, a picture or a clip -> the moments of a library that fit it best."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from triptych.clip_results import Hit
from triptych.errors import DataError
from triptych.library import Entry, Library
from triptych.media.kind import is_clip
from triptych.tasks import parts
from triptych.tasks.common import Medium, Model
from triptych.tasks.index import reader_of
from triptych.tasks.relevance import gains, language_of
from triptych.tasks.vectors import media_vectors, text_directions

READ = 64  # moments that are read again for a text


def search(
    model: Model, query: str | Path | np.ndarray | Image.Image, folder: Path, library: Path, *, count: int = 10
) -> list[Hit]:
    """Find moments, best first.

    A text is looked up in the captions (BM25) and, where the model has a head for retrieval, among the vectors; the
    moments found (without a head, some others too) are then read again and ranked by how much each makes the text
    likelier, which served better than the words (docs/log.md). A picture is compared with keyframes by their vectors,
    a clip with clips.

    Args:
        model: the one that made the library.
        query: a text; a path, an array or a Pillow image of a picture or clip.
        folder: of the media, for the hits' files. library: the library's own folder.
        count: how many to give.

    Raises:
        DataError: no library, or another model's.
        MediaError: the query can't be read.
    """
    with Library(library) as store:
        made, mine = store.model.rpartition(" ")[0], reader_of(model)
        if made != mine:
            raise DataError(f"{library}: made by {made}, not {mine}: index again, or name that model")
        if isinstance(query, str):
            ranked = by_text(model, store, query, count)
            language = language_of(model, query)
        else:
            ranked = by_medium(model, store, query, count)
            language = "en"
        entries = store.entries([id_ for id_, _ in ranked])
    return [_hit(entry, score, folder, language) for entry, (_, score) in zip(entries, ranked, strict=True)]


def by_text(model: Model, store: Library, text: str, count: int) -> list[tuple[int, float]]:
    """(id, score) of the moments that fit a text, best first; the score is the bits by which each makes it likelier."""
    most = max(count, READ)
    said = [id_ for id_, _ in store.said(text, most)]
    directions = text_directions(model, [text])
    if directions is None:
        more = store.some(most)
    else:
        more = [id_ for id_, _ in store.near(directions, 0, most, directions=True)]
        said = said[: most // 2]
    short = list(dict.fromkeys([*said, *more]))[:most]
    gain = gains(model, text, [medium_of(model, entry) for entry in store.entries(short)]) / math.log(2)
    ranked = np.argsort(-gain, kind="stable")[:count]
    return [(short[place], float(gain[place])) for place in ranked]


def by_medium(
    model: Model, store: Library, query: Path | np.ndarray | Image.Image, count: int
) -> list[tuple[int, float]]:
    """(id, cosine) of the moments that look like a picture or a clip, nearest first."""
    if isinstance(query, Path) and is_clip(query):
        media, kind = [part.medium for part in parts.parts(model, query)], 0
    else:
        found = model.read([query])[0]
        assert found is not None
        media, kind = [found], 0 if found.times else 1
    return store.near(media_vectors(model, media), kind, count)


def medium_of(model: Model, entry: Entry) -> Medium:
    """What the GPT reads of a stored moment, from its codes."""
    return Medium(model.known_maps(entry.codes), None if entry.start == entry.end else (entry.start, entry.end))


def _hit(entry: Entry, score: float, folder: Path, language: str) -> Hit:
    said = entry.captions.get(language) or next(iter(entry.captions.values()), "")
    return Hit(str(folder / entry.file), entry.start, entry.end, score, said, entry.thumbnail)
