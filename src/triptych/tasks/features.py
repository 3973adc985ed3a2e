"""A clip of any length -> a vector for each segment, and one for the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from triptych.clip_results import Features
from triptych.tasks import parts
from triptych.tasks.common import Model
from triptych.tasks.vectors import layer_of, media_vectors


def features(model: Model, path: Path | str, *, layer: int | None = None) -> Features:
    """Read a clip in constant memory (but for the vectors).

    Args:
        model: what reads.
        path: a file, or `-` for standard input.
        layer: the block of the GPT, from 0; the one that served best by measurement if not given.
    """
    place = layer_of(model) if layer is None else layer
    vectors, times = [], []
    for some in parts.batches(model, path):
        vectors.append(media_vectors(model, [part.medium for part in some], layer=place))
        times += [(part.segment.start, part.segment.end) for part in some]
    segments, spans = np.concatenate(vectors), np.array(times, np.float64)
    mean = np.average(segments, axis=0, weights=np.maximum(spans[:, 1] - spans[:, 0], 1e-3))
    return Features(segments, (mean / np.linalg.norm(mean)).astype(np.float32), spans, place)
