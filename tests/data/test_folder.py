"""The folder a person brings: every form of text is found, every wrong line is a finding."""

import os
import tracemalloc
from pathlib import Path

import pytest

from tests.data.media import lines, moving, scene, troubled
from triptych.data.folder import Finding, scan
from triptych.data.records import Record
from triptych.errors import DataError


def found(root: Path) -> tuple[dict[str, Record], list[Finding]]:
    findings: list[Finding] = []
    records = {record.file: record for record in scan(root, findings.append)}
    assert list(records) == sorted(records)
    return records, findings


def test_labels_come_from_folders(tmp_path) -> None:
    for name in ("cats/a.png", "cats/deep/b.JPG", "c.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        scene(1).save(tmp_path / name)
    records, findings = found(tmp_path)
    assert {name: record.label for name, record in records.items()} == {
        "c.webp": None, "cats/a.png": "cats", "cats/deep/b.JPG": "deep",
    }  # fmt: skip
    assert not findings


def test_sidecars(tmp_path) -> None:
    (tmp_path / "x").mkdir()
    for name in "ab":
        scene(1).save(tmp_path / f"x/{name}.png")
    (tmp_path / "x/a.txt").write_text("\ufeffa red ball\r\n\r\n一个红球\n", encoding="utf-8")
    (tmp_path / "x/b.txt").write_text("  \n")
    records, findings = found(tmp_path)
    assert [t.text for t in records["x/a.png"].texts] == ["a red ball", "一个红球"]
    assert records["x/a.png"].label is None
    assert records["x/b.png"].label == "x"
    assert [(f.file, f.kind) for f in findings] == [("x/b.txt", "empty text")]


def test_metadata_of_every_form(tmp_path) -> None:
    (tmp_path / "in/side").mkdir(parents=True)
    for name in ("in/a.png", "in/side/b.png"):
        scene(1).save(tmp_path / name)
    moving(tmp_path / "in/c.mp4", 1)
    lines(
        tmp_path / "in/metadata.jsonl",
        {"file_name": "a.png", "texts": {"en": ["one", "two"], "zh": "三"}, "label": "ball", "truth": 1,
         "qa": [{"question": "What?", "answer": "a ball", "kind": "shape", "lang": "en"}],
         "sequence": {"id": "s", "index": 0}, "instruction": {"en": "make it blue"}},
        {"file_name": "./side/../side/b.png", "text": "plain", "label": 3},
        {"file_name": "a.png", "text": ["again", {"text": "fünf", "lang": "de"}]},
        {"file_name": "c.mp4", "events": [{"start": 0, "end": 1.5, "text": {"en": "it falls", "zh": "它落下"}},
                                          {"start": 1, "end": 2, "text": "it rolls", "lang": "en"}]},
    )  # fmt: skip
    records, findings = found(tmp_path)
    assert not findings
    a, c = records["in/a.png"], records["in/c.mp4"]
    assert [(t.lang, t.text) for t in a.texts] == [
        ("en", "one"), ("en", "two"), ("zh", "三"), ("", "again"), ("de", "fünf"),
    ]  # fmt: skip
    assert (a.label, a.qa[0].answer, a.sequence.index, a.instruction[0].text) == ("ball", "a ball", 0, "make it blue")
    assert records["in/side/b.png"].label == "3"
    assert c.kind == "clip"
    assert [(e.start, e.end, e.lang, e.text) for e in c.events] == [
        (0, 1.5, "en", "it falls"), (0, 1.5, "zh", "它落下"), (1, 2, "en", "it rolls"),
    ]  # fmt: skip


def test_moving_pictures_are_clips(tmp_path) -> None:
    for suffix in ("gif", "webp"):
        scene(1).save(tmp_path / f"a.{suffix}", save_all=True, append_images=[scene(2)], duration=100)
        scene(1).save(tmp_path / f"b.{suffix}")
        (tmp_path / f"c.{suffix}").write_bytes(b"nothing")
    records, _ = found(tmp_path)
    assert [record.kind for record in records.values()] == ["clip", "clip"] + ["picture"] * 4


HOSTILE = [
    "{",
    "[]", "7", "null", '"text"', "[" * 50_000, '{"file_name": 7}', '{"file_name": ""}',
    '{"file_name": "a\\u0000"}', '{"file_name": "\\ud800.png"}', '{"file_name": "/etc/passwd"}',
    '{"file_name": "../../a.png"}',
    '{"file_name": ".."}',
    '{"file_name": "missing.png"}', '{"file_name": "a.png", "text": 7}', '{"file_name": "a.png", "texts": [1, null]}',
    '{"file_name": "a.png", "text": "\\ud800"}', '{"file_name": "a.png", "label": "\\udfff"}',
    '{"file_name": "a.png", "label": {"a": 1}}', '{"file_name": "a.png", "label": true}',
    '{"file_name": "a.png", "qa": "?"}', '{"file_name": "a.png", "qa": [{"question": 1}]}',
    '{"file_name": "a.png", "qa": [{"question": " ", "answer": "x"}]}', '{"file_name": "a.png", "events": [7]}',
    '{"file_name": "a.png", "events": [{"start": 2, "end": 1, "text": "x"}]}',
    '{"file_name": "a.png", "events": [{"start": 0, "end": NaN, "text": "x"}]}',
    '{"file_name": "a.png", "events": [{"start": 0, "end": 1' + "0" * 400 + ', "text": "x"}]}',
    '{"file_name": "a.png", "events": [{"start": 0, "end": 1, "text": 5}]}',
    '{"file_name": "a.png", "events": [{"start": 0, "end": 1, "text": "x", "lang": 5}]}',
    '{"file_name": "a.png", "sequence": "s"}', '{"file_name": "a.png", "sequence": {"id": 1}}',
    '{"file_name": "a.png", "instruction": 4.5}', '{"file_name": "a.png", "text": "' + "x" * 2**20 + '"}',
    '{"file_name": "a.png", "text": ' + "[" * 900 + "]" * 900 + "}", '{"file_name": "a.png", "text": " "}',
    '{"file_name": "a.png", "label": " "}', '{"file_name": "a.png", "objects": [[1, 2, 3, 4]]}',
    '{"file_name": "a.png", "objects": {"bbox": [[0, 0, 1, 1' + "0" * 400 + ']], "categories": ["x"]}}',
    '{"file_name": "a.png", "objects": {"bbox": [[0, 0, 1, 1]], "categories": [' + "[" * 900 + "]" * 900 + "]}}",
]  # fmt: skip


def test_objects_are_boxes_with_words(tmp_path) -> None:
    """As COCO and the folders of pictures of `datasets` write them: x, y, width and height in pixels."""
    for name in "abcd":
        scene(1).save(tmp_path / f"{name}.png")
    lines(
        tmp_path / "metadata.jsonl",
        {"file_name": "a.png", "objects": {"bbox": [[10, 20, 30.5, 5], [-4, 0, 90, 1e300]], "categories": [
            "red ball", {"en": ["cube", "blue cube"], "zh": "方块"}], "area": [152.5, 8100], "id": [1, 2]}},
        {"file_name": "b.png", "objects": {"bbox": [[0, 0, 1, 1]], "categories": [{"text": "le cube", "lang": "fr"}]}},
        {"file_name": "c.png", "objects": {"bbox": [], "categories": []}},
        {"file_name": "d.png", "objects": None},
    )  # fmt: skip
    records, findings = found(tmp_path)
    assert not findings
    ball, cube = records["a.png"].objects
    assert (ball.box, [(t.lang, t.text) for t in ball.texts]) == ((10, 20, 40.5, 25), [("", "red ball")])
    assert cube.box == (-4, 0, 86, 1e300)
    assert [(t.lang, t.text) for t in cube.texts] == [("en", "cube"), ("en", "blue cube"), ("zh", "方块")]
    assert records["b.png"].objects[0].texts[0].lang == "fr"
    assert records["c.png"].objects == records["d.png"].objects == []
    assert Record.model_validate_json(records["a.png"].model_dump_json()) == records["a.png"]


BOX = [0, 0, 1, 1]
WRONG_OBJECTS = {
    "no dict": [BOX],
    "a text": "red ball",
    "a number": 7,
    "no boxes": {"categories": ["x"]},
    "no words": {"bbox": [BOX]},
    "fewer words": {"bbox": [BOX, BOX], "categories": ["x"]},
    "more words": {"bbox": [BOX], "categories": ["x", "y"]},
    "a box that is none": {"bbox": [7], "categories": ["x"]},
    "three edges": {"bbox": [[0, 0, 1]], "categories": ["x"]},
    "five edges": {"bbox": [[0, 0, 1, 1, 1]], "categories": ["x"]},
    "texts": {"bbox": [["0", "0", "1", "1"]], "categories": ["x"]},
    "a text as box": {"bbox": ["0011"], "categories": ["x"]},
    "yes and no": {"bbox": [[True, True, True, True]], "categories": ["x"]},
    "null": {"bbox": [[0, 0, None, 1]], "categories": ["x"]},
    "a negative width": {"bbox": [[5, 5, -1, 1]], "categories": ["x"]},
    "no height": {"bbox": [[5, 5, 1, 0]], "categories": ["x"]},
    "not a number": {"bbox": [[float("nan"), 0, 1, 1]], "categories": ["x"]},
    "a width that is none": {"bbox": [[0, 0, float("nan"), 1]], "categories": ["x"]},
    "infinity": {"bbox": [[0, 0, 1, float("inf")]], "categories": ["x"]},
    "beyond all numbers": {"bbox": [[1e308, 0, 1e308, 1]], "categories": ["x"]},
    "no word": {"bbox": [BOX], "categories": [" "]},
    "null as words": {"bbox": [BOX], "categories": [None]},
}


@pytest.mark.parametrize("value", WRONG_OBJECTS.values(), ids=WRONG_OBJECTS)
def test_wrong_objects_cost_their_key_alone(tmp_path, value) -> None:
    scene(1).save(tmp_path / "a.png")
    lines(tmp_path / "metadata.jsonl", {"file_name": "a.png", "text": "good", "label": "x", "objects": value})
    records, findings = found(tmp_path)
    assert (records["a.png"].texts[0].text, records["a.png"].label, records["a.png"].objects) == ("good", "x", [])
    assert [(f.file, f.kind) for f in findings] == [("metadata.jsonl:1 (a.png)", "bad metadata")]
    assert findings[0].detail == "objects has a wrong form"
    assert "x, y, width, height" in findings[0].remedy


def test_boxes_that_are_right_stay_and_words_are_cleaned(tmp_path) -> None:
    scene(1).save(tmp_path / "a.png")
    moving(tmp_path / "c.mp4", 1)
    one = {"bbox": [BOX, [0, 0, 0, 0], BOX], "categories": ["x", "y", " red;\n ball； "]}
    two = {"bbox": [BOX], "categories": [3]}
    timed = {"bbox": [BOX] * 5, "categories": ["x", "x", "y", "y", "z"], "times": [0, 0.5, -1, float("inf"), True]}
    lines(
        tmp_path / "metadata.jsonl",
        {"file_name": "a.png", "objects": one},
        {"file_name": "a.png", "objects": two},
        {"file_name": "c.mp4", "objects": two},
        {"file_name": "c.mp4", "objects": timed},
    )
    records, findings = found(tmp_path)
    assert [box.texts[0].text for box in records["a.png"].objects] == ["x", "red, ball,", "3"]
    assert [(box.texts[0].text, box.time) for box in records["c.mp4"].objects] == [("x", 0), ("x", 0.5)]
    assert [f.detail for f in findings] == ["objects has a wrong form"] * 3
    assert ["times" in f.remedy for f in findings] == [False, True, True]
    assert [box.time for box in records["a.png"].objects] == [None] * 3


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_lines_are_findings(tmp_path, line: str) -> None:
    scene(1).save(tmp_path / "a.png")
    lines(tmp_path / "metadata.jsonl", line, {"file_name": "a.png", "text": "good"})
    records, findings = found(tmp_path)
    assert [t.text for t in records["a.png"].texts] == ["good"]
    records["a.png"].model_dump_json().encode()
    if "[" * 900 not in line or "objects" in line or line.startswith("["):
        assert len(findings) == 1
        assert findings[0].kind in ("bad metadata", "empty text")
        assert all(len(text) < 250 for text in (findings[0].file, findings[0].detail))
        assert findings[0].remedy


def test_bytes_that_are_no_text(tmp_path) -> None:
    scene(1).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00bad")
    (tmp_path / "metadata.jsonl").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xff\n" * 20)
    records, findings = found(tmp_path)
    assert len(records) == 1
    assert {f.kind for f in findings} == {"bad metadata"}


def test_odd_entries_of_a_folder(tmp_path) -> None:
    scene(1).save(tmp_path / "a.png")
    (tmp_path / ".hidden").mkdir()
    scene(1).save(tmp_path / ".hidden/b.png")
    (tmp_path / "dir.png").mkdir()
    os.symlink(tmp_path, tmp_path / "loop")
    os.symlink(tmp_path / "nowhere.png", tmp_path / "broken.png")
    os.mkfifo(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "dir.png/metadata.jsonl")
    with open(os.fsencode(tmp_path) + b"/\xff\xfe.png", "wb"):
        pass
    records, findings = found(tmp_path)
    assert list(records) == ["a.png", "broken.png"]
    assert sorted(f.kind for f in findings) == ["bad name", "bad name"]


def test_the_troubled_folder(tmp_path) -> None:
    records, findings = found(troubled(tmp_path))
    assert records["红色 球/一.png"].label == "红色 球"
    assert len(records["红色 球/二.png"].texts) == 2
    assert records["good/3.png"].label.startswith("</td>")
    assert sum(f.kind == "bad metadata" for f in findings) == 6
    with pytest.raises(DataError, match="not a folder"):
        next(scan(tmp_path / "good/0.png"))


def test_memory_does_not_grow_with_the_number_of_files(tmp_path) -> None:
    scene(1, 8).save(tmp_path / "seed.png")

    def peak(count: int) -> int:
        root = tmp_path / str(count)
        root.mkdir()
        with open(root / "metadata.jsonl", "w", encoding="utf-8") as file:
            for i in range(count):
                os.link(tmp_path / "seed.png", root / f"picture-{i:06d}.png")
                file.write(f'{{"file_name": "picture-{i:06d}.png", "text": "number {i}"}}\n')
        tracemalloc.start()
        assert sum(1 for record in scan(root) if record.texts) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(20_000) < peak(2_000) + 100_000
