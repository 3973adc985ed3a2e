"""A text, a picture or a clip -> the moments of a library that fit it best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from triptych.clip_results import Hit
from triptych.errors import DataError
from triptych.library import Entry, Library
from triptych.tasks import parts
from triptych.tasks.common import Medium, Model, is_clip
from triptych.tasks.relevance import gains, language_of
from triptych.tasks.vectors import media_vectors

READ = 64  # moments that are read again for a text
FUSED = 60.0  # of reciprocal rank fusion (Cormack, Clarke, Büttcher, 2009): how little the first ranks weigh


def search(
    model: Model, query: str | Path | np.ndarray | Image.Image, folder: Path, library: Path, *, count: int = 10
) -> list[Hit]:
    """Find moments, best first.

    A text is looked up in the captions (BM25); the likeliest moments are then read again, to see how much each makes
    the text likelier, and the two rankings are joined. A picture is compared with keyframes by their vectors, a clip
    with clips.

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
        if not store.model.startswith(f"{model.label} "):
            made = store.model.rpartition(" ")[0]
            raise DataError(f"{library}: made by {made}, not {model.label}: index again, or name that model")
        if isinstance(query, str):
            ranked = by_text(model, store, query, count)
            language = language_of(model, query)
        else:
            ranked = by_medium(model, store, query, count)
            language = "en"
        entries = store.entries([id_ for id_, _ in ranked])
    return [_hit(entry, score, folder, language) for entry, (_, score) in zip(entries, ranked, strict=True)]


def by_text(model: Model, store: Library, text: str, count: int) -> list[tuple[int, float]]:
    """(id, score) of the moments that fit a text, best first; scores are 0 to 1."""
    said = store.said(text, max(count, READ))
    short = list(dict.fromkeys([*[id_ for id_, _ in said[:READ]], *store.some(READ)]))[:READ]
    if not short:
        return []
    gain = gains(model, text, [medium_of(model, entry) for entry in store.entries(short)])
    read = [short[place] for place in np.argsort(-gain, kind="stable")]
    scores = fused([[id_ for id_, _ in said], read])
    return sorted(scores.items(), key=lambda item: -item[1])[:count]


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


def fused(rankings: Sequence[Sequence[int]]) -> dict[int, float]:
    """Ids of some rankings -> score: 1 for what all put first, by the sum of reciprocal ranks."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for place, id_ in enumerate(ranking):
            scores[id_] = scores.get(id_, 0.0) + (FUSED + 1) / (FUSED + 1 + place) / len(rankings)
    return scores


def medium_of(model: Model, entry: Entry) -> Medium:
    """What the GPT reads of a stored moment, from its codes."""
    return Medium(model.known_maps(entry.codes), None if entry.start == entry.end else (entry.start, entry.end))


def _hit(entry: Entry, score: float, folder: Path, language: str) -> Hit:
    said = entry.captions.get(language) or next(iter(entry.captions.values()), "")
    return Hit(str(folder / entry.file), entry.start, entry.end, score, said, entry.thumbnail)
