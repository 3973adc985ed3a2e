"""Cleaning: good files stay, bad ones are named, a killed run goes on where it was."""

import hashlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.media import lines, moving, scene, troubled
from triptych.data.clean import Summary, clean
from triptych.data.records import Record
from triptych.data.settings import PrepareConfig
from triptych.errors import DataError, MediaError
from triptych.files import read_jsonl
from triptych.media import similar
from triptych.media.image import read
from triptych.media.worker import Workers

QUICK = PrepareConfig(workers=2)


def run(folder: Path, out: Path, **settings: object) -> tuple[Summary, dict[str, Record], dict[str, set[str]]]:
    """Clean; the records kept, and for each kind of finding the files it names."""
    summary = clean(folder, out, PrepareConfig(**{"workers": 2, **settings}), progress=False)
    records = [Record.model_validate(line) for line in read_jsonl(summary.manifest)]
    assert [record.file for record in records] == sorted(record.file for record in records)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    kinds: dict[str, set[str]] = {}
    for finding in report["list"]:
        kinds.setdefault(finding["kind"], set()).add(finding["file"])
        assert finding["detail"]
        assert finding["remedy"]
    assert summary.findings == report["findings"]
    assert summary.kept == len(records) == summary.pictures + summary.clips
    return summary, {record.file: record for record in records}, kinds


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("clean")
    return troubled(root / "media"), root / "out"


def tree(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_troubled_folder(example: tuple[Path, Path]) -> None:
    folder, out = example
    before = tree(folder)
    summary, records, kinds = run(folder, out)
    assert tree(folder) == before
    assert kinds["unreadable"] == {"bad/text.jpg", "bad/empty.png", "bad/list.mp4", "bad/sound.mp4"}
    assert kinds["truncated"] == {"bad/cut.jpg", "bad/cut.mp4"}
    assert kinds["too small"] == {"bad/tiny.png"}
    assert kinds["flat"] == {"bad/flat.png", "bad/flat.mp4"}
    assert kinds["exact duplicate"] == {"good/same.png"}
    assert kinds["near duplicate"] == {"good/similar.jpg"}
    assert kinds["long text"] == {"good/2.png"}
    assert kinds["hidden characters"] == {"bad/<img src=x onerror=alert(1)>.png"}
    assert kinds["empty text"] == {"good/1.png"}
    assert {"good/0.png", "good/3.png"} <= kinds["odd label"]  # "Ball" against "ball"; a label of its own
    assert len(kinds["bad metadata"]) == 5  # lines
    assert set(records) == {
        *(f"good/{i}.png" for i in range(5)), "good/similar.jpg", "good/clip.mp4", "bad/flat.png", "bad/flat.mp4",
        "bad/<img src=x onerror=alert(1)>.png", "红色 球/一.png", "红色 球/二.png",
    }  # fmt: skip
    assert summary.files == 20
    clip = records["good/clip.mp4"]
    assert (clip.width, clip.height, clip.duration) == (64, 64, pytest.approx(2.0, abs=0.01))
    assert records["good/0.png"].sha256 == hashlib.sha256((folder / "good/0.png").read_bytes()).hexdigest()
    assert sorted(p.name for p in out.iterdir()) == ["clean.sqlite", "manifest.jsonl", "report.html", "report.json"]


def test_a_second_run_examines_only_what_is_new(example: tuple[Path, Path]) -> None:
    folder, out = example
    clean(folder, out, QUICK, progress=False)
    manifest = (out / "manifest.jsonl").read_bytes()
    assert clean(folder, out, QUICK, progress=False).examined == 0
    assert (out / "manifest.jsonl").read_bytes() == manifest
    scene(99).save(folder / "good/new.png")
    os.utime(folder / "good/4.png", (1, 1))
    summary, records, _ = run(folder, out)
    assert summary.examined == 2
    assert "good/new.png" in records
    (folder / "good/new.png").unlink()
    assert clean(folder, out, QUICK, progress=False).examined == 0
    assert (out / "manifest.jsonl").read_bytes() == manifest


def test_settings_decide_without_examining_again(example: tuple[Path, Path]) -> None:
    folder, out = example
    clean(folder, out, QUICK, progress=False)
    summary, records, _ = run(
        folder, out, drop_near_duplicates=True, drop_flat=True, drop_small=False, drop_exact_duplicates=False,
        drop_odd_texts=True,
    )  # fmt: skip
    assert summary.examined == 0
    assert {"bad/tiny.png", "good/same.png"} <= set(records)
    assert not {"good/similar.jpg", "bad/flat.png", "bad/flat.mp4"} & set(records)
    assert records["good/2.png"].texts == []
    _, _, kinds = run(folder, out, min_side=100)
    assert len(kinds["too small"]) > 10


def test_a_damaged_store_is_begun_again(example: tuple[Path, Path]) -> None:
    folder, out = example
    clean(folder, out, QUICK, progress=False)
    manifest = (out / "manifest.jsonl").read_bytes()
    (out / "clean.sqlite").write_bytes(b"this is no database" * 100)
    assert clean(folder, out, QUICK, progress=False).examined > 0
    assert (out / "manifest.jsonl").read_bytes() == manifest


def test_a_killed_run_goes_on(tmp_path) -> None:
    for i in range(6):
        scene(i, 700).save(tmp_path / f"{i:03d}.jpg")
    for i in range(6, 200):
        os.link(tmp_path / f"{i % 6:03d}.jpg", tmp_path / f"{i:03d}.jpg")
    code = "import sys; from triptych.data.clean import clean; clean(sys.argv[1], sys.argv[2], progress=False)"
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(tmp_path / "out")])
    for _ in range(600):
        time.sleep(0.05)
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(f"file:{tmp_path}/out/clean.sqlite?mode=ro", uri=True)) as store,
        ):
            if store.execute("SELECT count(*) FROM results").fetchone()[0]:
                break
    child.send_signal(signal.SIGKILL)
    child.wait()
    summary = clean(tmp_path, tmp_path / "out", QUICK, progress=False)
    assert summary.examined < summary.files == 200
    whole = clean(tmp_path, tmp_path / "other", QUICK, progress=False)
    assert whole.examined == 200
    assert whole.manifest.read_bytes() == summary.manifest.read_bytes()


def test_duplicates(tmp_path) -> None:
    for i in range(12):
        scene(i).save(tmp_path / f"{i:02d}.png")
        buffer = io.BytesIO()
        scene(i, 128).save(buffer, "JPEG", quality=80)
        (tmp_path / f"copy-{i:02d}.jpg").write_bytes(buffer.getvalue())
    moving(tmp_path / "x.mp4", 1)
    moving(tmp_path / "y.mkv", 1)
    moving(tmp_path / "z.mp4", 2)
    frame = tmp_path / "step"
    frame.mkdir()
    for i in range(3):  # a storyboard in which nothing happens
        scene(50).save(frame / f"{i}.png", compress_level=i)
    (frame / "3.png").write_bytes((frame / "0.png").read_bytes())
    lines(
        frame / "metadata.jsonl",
        *({"file_name": f"{i}.png", "sequence": {"id": "s", "index": i}} for i in range(4)),
    )
    _, records, kinds = run(tmp_path, tmp_path / "out")
    assert kinds["near duplicate"] == {f"copy-{i:02d}.jpg" for i in range(12)} | {"y.mkv"}
    assert "exact duplicate" not in kinds
    assert len(records) == 31


def test_signatures() -> None:
    pictures = [np.asarray(scene(i, 224))[None] for i in range(40)]
    signatures = [similar.signature(picture) for picture in pictures]
    for i, one in enumerate(signatures):
        assert similar.keys(one)[0] in similar.keys(one)
        for other in signatures[:i]:
            assert similar.distance(one, other) > 16
    for picture, one in zip(pictures, signatures, strict=True):
        for options in ({"format": "JPEG", "quality": 50}, {"format": "WEBP", "quality": 80}):
            buffer = io.BytesIO()
            Image.fromarray(picture[0]).resize((120, 120)).save(buffer, **options)
            copy = similar.signature(read(buffer.getvalue())[None])
            assert similar.distance(one, copy) <= 10
            assert similar.keys(one)[0] in similar.keys(copy)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def stall() -> None:
    time.sleep(60)


def swell() -> int:
    return len(bytearray(8 * 2**30))


def chatter() -> str:
    os.write(1, b"noise from a library")
    return "well"


def same(number: int) -> int:
    return number


def burn() -> None:
    while True:
        pass


def test_workers_survive_what_their_files_do() -> None:
    names = [crash, chatter, stall, chatter, swell, chatter, burn, chatter]
    with Workers(2, memory=2**31) as workers:
        results = []
        for function in names:
            results += [result for _, result in workers.map(function, [1], lambda _: ("a.png", [], 1.0))]
    assert [str(r) for r in results[1::2]] == ["well"] * 4
    assert [type(r) for r in results[0::2]] == [MediaError] * 4
    assert "crashes its decoder" in str(results[0])
    assert "takes longer than 1 s" in str(results[2])
    assert "memory" in str(results[4])


def test_workers_keep_order_and_run_only_a_little_ahead() -> None:
    taken = []

    def items():
        for i in range(60):
            taken.append(i)
            yield i

    with Workers(2) as workers:
        for n, (item, result) in enumerate(workers.map(same, items(), lambda i: ("", [i], 9), ahead=3)):
            assert item == result == n
            assert len(taken) <= n + 7


def test_workers_stop_when_their_consumer_does() -> None:
    started = time.monotonic()
    with Workers(2) as workers:
        assert list(workers.map(same, [1], lambda i: ("", [i], 60))) == [(1, 1)]
        stalled = workers.map(stall, [1, 2, 3], lambda i: ("", [], 60))
        threading.Thread(target=next, args=(stalled, None), daemon=True).start()
        time.sleep(1)
    assert time.monotonic() - started < 30


def test_refusals(tmp_path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        clean(tmp_path / "missing", tmp_path / "out", progress=False)
    (tmp_path / "file").touch()
    with pytest.raises(DataError):
        clean(tmp_path, tmp_path / "file" / "out", progress=False)
    summary = clean(tmp_path, tmp_path / "out", progress=False)
    assert (summary.files, summary.kept, summary.findings) == (0, 0, {})


def test_words_of_things_are_checked_as_texts_are(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    scene(1).save(tmp_path / "in/a.png")
    objects = {"bbox": [[0, 0, 9, 9]] * 2, "categories": ["a ball", "a \u202eball"]}
    lines(tmp_path / "in/metadata.jsonl", {"file_name": "a.png", "objects": objects})
    for drop in (False, True):
        settings = QUICK.model_copy(update={"drop_odd_texts": drop})
        clean(tmp_path / "in", tmp_path / f"out-{drop}", settings, progress=False)
        report = json.loads((tmp_path / f"out-{drop}/report.json").read_text("utf-8"))
        assert "hidden characters" in json.dumps(report)
        (record,) = (tmp_path / f"out-{drop}/manifest.jsonl").read_text("utf-8").splitlines()
        assert len(json.loads(record)["objects"]) == 2 - drop
