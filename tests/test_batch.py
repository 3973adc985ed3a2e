"""Many orders from a file: each as if alone, what fails is told, and a second call makes only what is missing."""

import io
import json
import sys

import numpy as np
import pytest

import triptych
from triptych.batch import draw_rows, read_rows
from triptych.cli import main
from triptych.media import image
from triptych.tasks import canvas


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        status = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def model(tiny_model):
    return triptych.load(tiny_model, "cpu")


ROWS = [
    {"prompt": "a red ball", "seed": 4},
    {"prompt": "一个蓝色的方块", "seed": 5, "guidance": 3, "n": 2},
    {"prompt": "a", "width": 96},
]


def lines(path, *rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_rows_of_every_form(tmp_path, monkeypatch):
    path = lines(tmp_path / "a.jsonl", {"prompt": "a"}, "", "a red ball", "{broken", "[1]")
    rows = list(read_rows(path))
    assert [number for number, _ in rows] == [1, 2, 3, 4]
    assert rows[1][1] == {"prompt": "a red ball"}
    assert "is not JSON" in str(rows[2][1])
    assert rows[3][1] == {"prompt": "[1]"}
    (tmp_path / "a.csv").write_text('prompt,seed,guidance\n"a, b",3,\nc,,5\n', encoding="utf-8")
    assert [values for _, values in read_rows(tmp_path / "a.csv")] == [
        {"prompt": "a, b", "seed": "3", "guidance": ""},
        {"prompt": "c", "seed": "", "guidance": "5"},
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("一\n二\n"))
    assert [values["prompt"] for _, values in read_rows("-")] == ["一", "二"]
    with pytest.raises(triptych.ConfigError, match="missing"):
        list(read_rows(tmp_path / "missing.txt"))


def test_each_row_is_drawn_as_if_alone(run, tiny_model, model, tmp_path):
    lines(tmp_path / "rows.jsonl", *ROWS)
    status, out, err = run(
        "draw", "--from", "rows.jsonl", "-o", "out", "-m", tiny_model, "--guidance", 2, "--sheet", "s.png"
    )
    assert (status, err) == (0, "")
    names = ["1-4-a-red-ball.png", "2-5-一个蓝色的方块.png", "2-6-一个蓝色的方块.png", "3-0-a.png"]
    assert sorted(out.split()) == [f"out/{name}" for name in names]
    alone = model.draw("一个蓝色的方块", seed=6, guidance=3)[0]
    np.testing.assert_array_equal(image.read(tmp_path / "out" / names[2]), alone.pixels)
    assert json.loads(image.read_metadata(tmp_path / "out" / names[0])["settings"])["guidance"] == 2
    assert image.read(tmp_path / "out" / names[3]).shape == (64, 96, 3)
    assert image.read(tmp_path / "s.png").shape == (224, 224, 3)


def test_failing_rows_are_told_and_the_rest_go_on(run, tiny_model, tmp_path):
    image.write(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8))
    rows = [{"prompt": "a", "guidence": 1}, "{x", {"verb": "vary", "image": "b.png"}, {"prompt": "b", "n": 0}]
    rows += [{"verb": "vary", "image": "a.png", "prompt": "c"}, {"prompt": "d"}]
    lines(tmp_path / "rows.jsonl", *rows)
    status, out, err = run("draw", "--from", "rows.jsonl", "-o", "out", "-m", tiny_model, "--json")
    assert status == 1
    report = json.loads(out)
    assert [row["row"] for row in report["pictures"]] == [5, 6]
    assert [row["row"] for row in report["failed"]] == [1, 2, 4, 3]
    assert "row 1: no setting 'guidence': did you mean 'guidance'?" in err
    assert "row 3: b.png" in err
    assert err.splitlines()[-1].startswith("triptych: 4 rows failed")


def test_a_second_call_makes_only_what_is_missing(model, tmp_path, monkeypatch):
    rows = list(enumerate(ROWS, 1))
    drawn = []
    paint = canvas.paint
    monkeypatch.setattr(
        "triptych.tasks.orders.paint", lambda m, requests, **k: drawn.append(len(requests)) or paint(m, requests, **k)
    )
    first = draw_rows(model, rows, tmp_path)
    before = {path: path.read_bytes() for path in first.files}
    assert len(before) == 4
    first.files[1].unlink()
    second = draw_rows(model, rows, tmp_path)
    assert [len(second.made), len(second.there)] == [1, 3]
    assert drawn == [4, 1]
    assert {path: path.read_bytes() for path in second.files} == before
    assert second.files == first.files
    changed = draw_rows(model, [(1, {**ROWS[0], "top_k": 3})], tmp_path)
    assert changed.made == []
    assert "is another picture already" in changed.failed[0][1]
    assert first.files[0].read_bytes() == before[first.files[0]]


def test_a_picture_from_before_a_setting_is_the_same_picture(model, tmp_path):
    """And so is one that also keeps the plan that the model wrote for it."""
    rows = [(1, {"prompt": "a red ball", "seed": 1})]
    path = draw_rows(model, rows, tmp_path).files[0]
    kept = image.read_metadata(path)
    settings = json.loads(kept["settings"])
    del settings["plan"]
    older = {**kept, "settings": json.dumps(settings), "plan": "red ball 1 2 3 4"}
    image.write(path, image.read(path), older)
    assert len(draw_rows(model, rows, tmp_path).there) == 1
    image.write(path, image.read(path), {**older, "seed": "2"})
    assert "is another picture already" in draw_rows(model, rows, tmp_path).failed[0][1]


def test_killed_in_the_middle_it_goes_on(model, tmp_path, monkeypatch):
    """What was written before the end is whole, and stays."""
    save, count = triptych.Picture.save, []

    def killed(self, *given):
        if len(count) == 2:
            raise KeyboardInterrupt
        count.append(1)
        return save(self, *given)

    rows = [(n, {"prompt": "a", "seed": n}) for n in range(1, 6)]
    with monkeypatch.context() as patch:
        patch.setattr(triptych.Picture, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            draw_rows(model, rows, tmp_path)
    report = draw_rows(model, rows, tmp_path)
    assert [len(report.made), len(report.there)] == [3, 2]


def test_names_follow_the_pattern(model, tmp_path):
    rows = [(7, {"prompt": "A ball!", "seed": 3})]
    assert [p.name for p in draw_rows(model, rows, tmp_path, name="{n:04d}_{seed}_{verb}.webp").files] == [
        "0007_3_draw.webp"
    ]
    for name, words in (
        ("{m}", "a pattern of {n}"),
        ("{}", "a pattern"),
        ("{n.real}", "a pattern"),
        ("{n", "a pattern"),
    ):
        with pytest.raises(triptych.ConfigError, match=words):
            draw_rows(model, rows, tmp_path, name=name)
    two = draw_rows(model, [(1, {"prompt": "a"}), (2, {"prompt": "a"})], tmp_path, name="{prompt}")
    assert len(two.made) == 1
    assert "is written by row 1" in two.failed[0][1]


def test_a_text_can_t_leave_the_folder(model, tmp_path):
    report = draw_rows(model, [(1, {"prompt": "../../etc/passwd"})], tmp_path / "out")
    assert [path.parent for path in report.files] == [tmp_path / "out"]
