"""Nearest among very many vectors, by LanceDB (extra `[lance]`): larger libraries than `LARGE` are searched through it.

The numpy file stays what counts; this index is made from it, may be deleted at any time, and is made anew when the
library changes. K vectors a moment, D width.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

LARGE = 100_000  # moments up to which reading all vectors takes some 20 ms
FOLDER = "nearest"
CHUNK = 8192  # vectors written at once
PROBES, REFINE = 32, 8  # parts of the index that are looked through, and how many times as many are compared exactly


def installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec("lancedb") is not None


def build(path: Path, table: np.ndarray, rows: Sequence[int], mean: np.ndarray) -> None:
    """Index the vectors of some rows, seen from their mean.

    Args:
        path: the library's folder.
        table: float32 (K, rows, D).
        rows: those that count.
        mean: float32 (K, D).
    """
    import lancedb
    import pyarrow
    from lancedb.index import IvfPq

    shutil.rmtree(path / FOLDER, ignore_errors=True)
    store, width = lancedb.connect(path / FOLDER), table.shape[2]
    schema = pyarrow.schema([("row", pyarrow.int64()), ("vector", pyarrow.list_(pyarrow.float32(), width))])

    def parts(kind: int) -> Any:
        for first in range(0, len(rows), CHUNK):
            some = list(rows[first : first + CHUNK])
            vectors = table[kind, some] - mean[kind]
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
            flat = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.astype(np.float32).ravel()), width)
            yield pyarrow.RecordBatch.from_arrays([pyarrow.array(some, pyarrow.int64()), flat], schema=schema)

    for kind in range(len(table)):
        made = store.create_table(f"vectors{kind}", parts(kind), schema=schema)
        cells = max(1, round(len(rows) ** 0.5 / 4))
        config = IvfPq(distance_type="cosine", num_partitions=cells, num_sub_vectors=max(1, width // 8))
        made.create_index("vector", config=config)


def near(path: Path, kind: int, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosines of the `count` vectors nearest to any of some queries (M, D), seen from the mean; best first."""
    import lancedb

    table: Any = lancedb.connect(path / FOLDER).open_table(f"vectors{kind}")
    best: dict[int, float] = {}
    for query in queries:
        search = table.search(query.astype(np.float32), vector_column_name="vector").distance_type("cosine")
        found = search.nprobes(PROBES).refine_factor(REFINE).limit(count).select(["row", "_distance"]).to_arrow()
        for row, distance in zip(found["row"].to_pylist(), found["_distance"].to_pylist(), strict=True):
            best[row] = max(best.get(row, -2.0), 1 - distance)
    ranked = sorted(best.items(), key=lambda item: -item[1])[:count]
    return np.array([row for row, _ in ranked], np.int64), np.array([cosine for _, cosine in ranked], np.float64)
