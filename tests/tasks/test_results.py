"""Results: saved, printed, shown, and as plain values."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from triptych.media import image
from triptych.results import Answer, Caption, Picture, Plan, clock
from triptych.sequence.plan import Thing


@pytest.fixture
def picture():
    pixels = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    return Picture(pixels, "一个红色的球", 7, {"guidance": 3.0}, "tiny 0123")


def test_a_picture_keeps_how_it_was_made(picture, tmp_path):
    path = picture.save(tmp_path / "a.png")
    kept = image.read_metadata(path)
    assert kept == {
        "prompt": "一个红色的球",
        "seed": "7",
        "model": "tiny 0123",
        "settings": '{"guidance": 3.0}',
        "task": '{"verb": "draw", "inputs": {}}',
    }
    np.testing.assert_array_equal(image.read(path), picture.pixels)
    assert image.read_metadata(picture.save(tmp_path / "b.png", metadata=False)) == {}
    assert image.read_metadata(picture.save(tmp_path / "c.jpg"))["seed"] == "7"


def test_a_picture_keeps_its_plan(picture, tmp_path):
    planned = replace(picture, plan="红球 0 0 50 50")
    assert image.read_metadata(planned.save(tmp_path / "a.png")) == picture.metadata() | {"plan": "红球 0 0 50 50"}
    assert planned.as_dict()["plan"] == "红球 0 0 50 50"


def test_a_prompt_that_is_no_text_can_be_kept(picture, tmp_path):
    odd = Picture(picture.pixels, "a\udc80\0b", 0, {}, "m")
    assert image.read_metadata(odd.save(tmp_path / "a.png"))["prompt"].startswith("a?")


def test_a_picture_in_a_notebook(picture):
    assert picture._repr_png_().startswith(b"\x89PNG")
    assert picture.to_pil().size == (32, 32)
    assert json.dumps(picture.as_dict())
    assert str(picture) == "32x32 picture of '一个红色的球', seed 7"


def test_texts_and_answers():
    assert str(Caption("a ball", "en")) == "a ball"
    assert Answer("a", {"b": 0.25, "a": 0.75}).as_dict()["probabilities"] == {"b": 0.25, "a": 0.75}
    assert str(Answer("a", {"b": 0.25, "a": 0.75})) == " 75.0%  a\n 25.0%  b"
    assert str(Answer("3")) == "3"


def test_a_plan_is_told_as_it_is_drawn_by():
    plan = Plan("two", (Thing("cube", (0.5, 0.0, 1.0, 0.125)), Thing("red ball", (0.0, 0.25, 0.4, 0.5))), "m")
    assert str(plan) == "red ball 0 25 40 50; cube 50 0 100 12"
    assert plan.as_dict()["things"][0] == {"words": "cube", "box": [0.5, 0.0, 1.0, 0.125]}
    assert str(Plan("none", (), "m")) == Picture(np.zeros((1, 1, 3), np.uint8), "", 0, {}, "m").plan == ""


def test_times_of_day():
    assert [clock(s) for s in (0, 59.96, 3661.04)] == ["0:00.0", "1:00.0", "1:01:01.0"]


def test_the_version_is_the_package_s():
    import tomllib

    import triptych

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert triptych.__version__ == project["version"]
    assert all(hasattr(triptych, name) for name in triptych.__all__)
