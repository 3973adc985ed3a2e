"""Fashion-MNIST as a folder a person would bring: PNG files in one folder a class.

    apt-get install dataset-fashion-mnist
    python examples/fashion_mnist.py OUT [--pictures 6000] [--test]

The names of the folders are the labels; nothing else is written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

from triptych.data.idx import FASHION, FASHION_CLASSES, fashion_mnist
from triptych.errors import DataError


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pictures", type=int, default=6000)
    parser.add_argument("--test", action="store_true", help="take the test pictures")
    parser.add_argument("--source", type=Path, default=FASHION)
    options = parser.parse_args()
    try:
        pictures, labels = fashion_mnist("t10k" if options.test else "train", options.source)
    except DataError as error:
        sys.exit(f"error: {error}")
    for index, (picture, label) in enumerate(zip(pictures[: options.pictures], labels, strict=False)):
        folder = options.out / FASHION_CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{index:05d}.png")
    print(f"{min(options.pictures, len(pictures))} pictures in {options.out}")


if __name__ == "__main__":
    main()
