"""Files of the IDX format, in which MNIST and its like come, and Fashion-MNIST as Debian installs it."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from triptych.errors import DataError

FASHION = Path("/usr/share/datasets/fashion-mnist")
FASHION_CLASSES = ("t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


def read_idx(path: Path | str) -> np.ndarray:
    """A gzipped IDX file of bytes -> uint8 of its shape.

    Raises: DataError if the file can't be read, or holds something else.
    """
    try:
        data = gzip.decompress(Path(path).read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: can't be read as gzip: {error}; install the data again") from error
    dimensions = data[3] if len(data) > 3 else 0
    shape = np.frombuffer(data, ">u4", dimensions, 4) if len(data) >= 4 + 4 * dimensions else np.zeros(0, int)
    if data[:3] != b"\0\0\x08" or not dimensions or len(data) != 4 + 4 * dimensions + int(np.prod(shape, dtype=int)):
        raise DataError(f"{path}: is no IDX file of bytes; install the data again")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def fashion_mnist(part: str = "train", folder: Path | str = FASHION) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (N, 28, 28) and labels uint8 (N,), numbers of FASHION_CLASSES; arXiv 1708.07747.

    Args: part: `train` (60,000) or `t10k` (10,000).
    Raises: DataError if the data is not there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is missing: apt-get install dataset-fashion-mnist, or name the folder that has it")
    return read_idx(folder / f"{part}-images-idx3-ubyte.gz"), read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
