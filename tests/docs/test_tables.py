"""Tables of speed on the pages are those that their scripts render from the files beside them."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scripts(monkeypatch):
    """Scripts of `benchmarks`, by name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return __import__


@pytest.mark.parametrize(("script", "results"), [("speed_page", "speed.json"), ("decode", "decode.json")])
def test_the_page_holds_what_its_file_renders_to(scripts, script, results):
    module, file = scripts(script), ROOT / "docs" / results
    if not file.exists():
        pytest.skip(f"{file.name}: not measured yet")
    block = module.PAGE.read_text(encoding="utf-8").split(module.BEGIN)[1].split(module.END)[0]
    assert block.strip() == module.render(json.loads(file.read_text(encoding="utf-8"))).strip()


def test_each_target_stands_beside_what_was_measured(scripts):
    page = scripts("speed_page")
    engines = {page.PLAIN: {"ratio": 13.0}, page.LLAMA: {"ratio": 2.0}, page.OURS: {"share of bound": 0.8}}
    results = {
        "sizes": {"26M": {"decode": {"2": {"engines": engines}}}},
        "picture": {"ratio": 12.0, "cold_s": {"native": {"all": 3.0}}},
    }
    lines = page.targets(results)
    assert "| a guided step at 26M, transformers / int8 | at least 12x | 13.00x | reached |" in lines
    assert "| a guided step at 26M, llama.cpp / int8 | at least 2.5x | 2.00x | 20% short |" in lines
    assert "| a guided step at 26M, share of the bound | at least 0.8 | 0.80 | reached |" in lines
    assert "| a guided step at 113M, llama.cpp / int8 | at least 4x | not measured | |" in lines
    assert "| first picture of a fresh process, s | at most 2.5 | 3.00 | 20% over |" in lines


def test_each_goal_stands_beside_what_was_measured_of_it(scripts):
    progress = scripts("progress")
    assert (
        progress.table().strip() == (ROOT / "docs" / "progress.md").read_text("utf-8").split(progress.MARK)[1].strip()
    )
    measures = json.loads((ROOT / "docs" / "results.json").read_text("utf-8"))["measures"]
    assert [goal.measure for goal in progress.GOALS if goal.measure not in measures] == []
    points = json.loads((ROOT / "docs" / "progress.json").read_text("utf-8"))
    last = {goal.measure: round(measures[goal.measure]["value"], 4) for goal in progress.GOALS}
    assert points[-1]["scores"] == last
    most, least = progress.Goal("", "", most=8), progress.Goal("", "", 0.9)
    assert (most.short(9), most.short(7), least.short(0.5)) == (1, -1, 0.4)
