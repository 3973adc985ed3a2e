"""Fashion-MNIST as a folder a person would bring: PNG files in one folder a class.

    apt-get install dataset-fashion-mnist
    python examples/fashion_mnist.py OUT [--pictures 6000] [--test]

The names of the folders are the labels; nothing else is written.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import numpy as np
from PIL import Image

SOURCE = Path("/usr/share/datasets/fashion-mnist")
CLASSES = ["t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]


def read_idx(path: Path) -> np.ndarray:
    """An IDX file of bytes -> its array."""
    data = gzip.decompress(path.read_bytes())
    dimensions = data[3]
    shape = np.frombuffer(data, ">u4", dimensions, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pictures", type=int, default=6000)
    parser.add_argument("--test", action="store_true", help="take the test pictures")
    parser.add_argument("--source", type=Path, default=SOURCE)
    options = parser.parse_args()
    name = "t10k" if options.test else "train"
    if not options.source.is_dir():
        parser.error(f"{options.source} is missing: apt-get install dataset-fashion-mnist, or give --source")
    pictures = read_idx(options.source / f"{name}-images-idx3-ubyte.gz")
    labels = read_idx(options.source / f"{name}-labels-idx1-ubyte.gz")
    for index, (picture, label) in enumerate(zip(pictures[: options.pictures], labels, strict=False)):
        folder = options.out / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{index:05d}.png")
    print(f"{min(options.pictures, len(pictures))} pictures in {options.out}")


if __name__ == "__main__":
    main()
