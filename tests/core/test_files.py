"""Files are replaced whole or not at all."""

import hashlib
import os
import stat

import pytest

from triptych import files


def test_an_exception_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"x": "中"})

    def fail(temporary):
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        files.write_atomically(path, fail)
    assert path.read_text() == '{\n  "x": "中"\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_at_the_flush_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_the_new_file_is_flushed_before_it_replaces_the_old(tmp_path, monkeypatch):
    order = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, name=name: (order.append(name), real(*a))[1])
    files.write_text(tmp_path / "a", "x")
    assert order == ["fsync", "replace"]


def test_folders_are_made_and_the_umask_decides(tmp_path):
    old = os.umask(0o027)
    try:
        files.write_text(tmp_path / "b" / "c" / "d.txt", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "b/c/d.txt").stat().st_mode) == 0o640


def test_lines_and_hashes(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"a": 1}\n\n  \n{"a": "中\\u2028"}\n'.encode())
    assert list(files.read_jsonl(path)) == [{"a": 1}, {"a": "中\u2028"}]
    assert files.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
