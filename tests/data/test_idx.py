"""IDX files are read as they were written, and nothing else is taken for one."""

import gzip

import numpy as np
import pytest

from triptych.data.idx import fashion_mnist, read_idx
from triptych.errors import DataError


def write(path, array, head=b"\0\0\x08"):
    shape = np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + bytes([array.ndim]) + shape + array.tobytes()))


def test_pictures_and_labels_come_back(tmp_path):
    pictures, labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.array([7, 1], np.uint8)
    write(tmp_path / "t10k-images-idx3-ubyte.gz", pictures)
    write(tmp_path / "t10k-labels-idx1-ubyte.gz", labels)
    for got, true in zip(fashion_mnist("t10k", tmp_path), (pictures, labels), strict=True):
        np.testing.assert_array_equal(got, true)


@pytest.mark.parametrize("damage", ["short", "head", "gzip"])
def test_damaged_files_are_refused(tmp_path, damage):
    path = tmp_path / "x.gz"
    write(path, np.zeros((2, 3), np.uint8), b"\0\0\x0d" if damage == "head" else b"\0\0\x08")
    if damage == "short":
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1]))
    if damage == "gzip":
        path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"x\.gz"):
        read_idx(path)


def test_a_missing_data_set_is_named_with_its_package(tmp_path):
    with pytest.raises(DataError, match="dataset-fashion-mnist"):
        fashion_mnist("train", tmp_path / "none")
