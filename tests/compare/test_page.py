"""The page shows what the JSON holds."""

from pathlib import Path

import pytest

from triptych.compare.page import BEGIN, END, insert_tables, main, render_markdown
from triptych.compare.run import read
from triptych.errors import DataError

DOCS = Path(__file__).parents[2] / "docs"


def cell(accuracy, labelled):
    training = {"steps": 5, "seen": 160, "seconds": 3.1, "loss": 0.5}
    return {
        "accuracy": accuracy,
        "ci95": [accuracy - 0.1, accuracy + 0.1],
        "n": 50,
        "parameters": 4_400_000,
        "labelled": labelled,
        "training": training,
        "recipe": {"side": 96, "lr": 1e-3},
    }


@pytest.fixture
def results():
    facts = {
        "settings": {"seed": 0, "minutes": 2.0},
        "data": {"train": 100, "validation": 10, "tested": 50, "frames": 1, "side": 28, "labels": 3},
        "model": {"name": "tiny", "weights": {}},
        "baseline": {"accuracy": 0.25},
        "cell gpt 1": cell(0.875, 100),
        "cell cnn 1": cell(0.625, 100),
        "cell gpt 0.1": cell(0.5, 10),
    }
    return {"format": 1, "sets": {"toys": facts}}


def test_the_page_holds_the_tables_of_the_json():
    text = (DOCS / "compare.md").read_text("utf-8")
    assert insert_tables(text, read(DOCS / "compare.json")) == text


def test_the_measured_networks_have_like_parameters():
    for facts in read(DOCS / "compare.json")["sets"].values():
        counts = [part["parameters"] for key, part in facts.items() if key.startswith("cell ")]
        assert max(counts) <= 1.1 * min(counts)


def test_tables_show_each_cell_and_leave_the_rest_blank(results):
    page = render_markdown(results)
    assert "| toys | 100% (100) | **0.875** (0.775–0.975) | 0.625 (0.525–0.725) |  | 0.250 |" in page
    assert "| toys | 10% (10) | **0.500** (0.400–0.600) |  |  | 0.250 |" in page
    assert "Speed" not in page
    results["sets"]["toys"]["speed"] = {"ratio": {"8": 1.5}, "gpt": {"8": 16.0}, "cnn": {"8": 24.0}}
    assert "| toys | 8 | 2.00 | 3.00 | 1.50 |" in render_markdown(results)


def test_other_files_and_pages_are_refused(tmp_path, results, capsys):
    with pytest.raises(ValueError, match="the page holds no"):
        insert_tables("no marks", results)
    (tmp_path / "compare.json").write_text("[]")
    with pytest.raises(DataError, match="holds no comparison"):
        read(tmp_path / "compare.json")
    (tmp_path / "page.md").write_text(f"{BEGIN}\n{END}")
    assert main([str(tmp_path / "compare.json"), str(tmp_path / "page.md")]) == 1
    assert "compare.json" in capsys.readouterr().err
