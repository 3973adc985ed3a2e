"""The curve of an hour in docs/video.md is what was measured, and shows what the page says."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "video-curve.json"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("video_benchmark", ROOT / "benchmarks" / "video.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_rendered_from_the_measurement(script) -> None:
    page = (ROOT / "docs" / "video.md").read_text(encoding="utf-8")
    told = json.loads(MEASURED.read_text(encoding="utf-8"))
    assert script.markdown(told) == page.split(script.BEGIN)[1].split(script.END)[0].strip()


def test_time_is_a_line_and_memory_is_level() -> None:
    """Memory in each row of ten minutes or more; time in the hour, since other work on the machine bends the rest."""
    rows = [row for row in json.loads(MEASURED.read_text(encoding="utf-8"))["rows"] if row["length"] >= 600]
    assert max(row["length"] for row in rows) >= 3600
    for row in rows:
        later = [point for point in row["points"] if point[0] >= row["length"] / 4]
        assert len(later) > 10
        for time, cpu, peak in later:
            assert peak >= 0.95 * row["peak"]
            if row["length"] >= 3600:
                assert cpu == pytest.approx(row["cpu"] * time / row["length"], rel=0.1)


def test_a_film_of_minutes_repeats_the_first(script, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(script, "MINUTE", 2)
    monkeypatch.setattr(script, "SHOT", 1)
    script.film(tmp_path / "a.mp4", 6)
    from triptych.media import shots, video

    assert video.probe(tmp_path / "a.mp4", scan=True).duration == pytest.approx(6, abs=0.05)
    found = list(shots.segments(tmp_path / "a.mp4", size=32))
    assert [part.start for part in found] == [0, 1, 2, 3, 4, 5]
    assert found[-1].end == pytest.approx(6, abs=0.13)
