"""The page: shows every finding, runs nothing that a folder brings."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.data.media import scene, troubled
from triptych.data.clean import clean
from triptych.data.report import KINDS, dropped
from triptych.data.settings import PrepareConfig


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    clean(troubled(root / "照片 <b>&amp;"), root / "out", PrepareConfig(workers=2), progress=False)
    return root / "out"


def test_the_page_shows_what_was_found(out: Path) -> None:
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    for finding in report["list"]:
        assert finding["kind"] in KINDS
        assert finding["file"] in page.words
        assert finding["remedy"] in page.words
    for text in ("照片 <b>&amp;", "红色 球/一.png", "一个红色的球", "Unreadable", "exact duplicate", "left out"):
        assert text in page.words
    assert report["settings"]["min_side"] == PrepareConfig().min_side
    pictures = [value for name, value in page.attributes if name == "src"]
    assert len(pictures) >= 15
    assert all(re.fullmatch(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", value) for value in pictures)


def test_nothing_of_the_folder_runs_in_the_page(out: Path) -> None:
    text = (out / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not set(page.tags) & {"script", "iframe", "object", "embed", "form", "link", "base", "svg"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert('text')</script>" in page.words  # as text
    assert "<img src=x onerror=alert(1)>.png" in page.words
    assert "\u202e" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text


def test_an_empty_folder_and_a_good_one(tmp_path) -> None:
    (tmp_path / "media").mkdir()
    clean(tmp_path / "media", tmp_path / "out", progress=False)
    assert "Nothing to report" in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    scene(1).save(tmp_path / "media/a.png")
    clean(tmp_path / "media", tmp_path / "out", progress=False)
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "Nothing to report" in page
    assert page.count("<img") == 1


def test_the_page_stays_small_for_many_findings(tmp_path) -> None:
    from PIL import Image

    for i in range(250):
        Image.new("RGB", (40, 40), (i, 0, 0)).save(tmp_path / f"{i:03d}.png")
    clean(tmp_path, tmp_path / "out", PrepareConfig(workers=2), progress=False)
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert page.count("<img") < 450
    assert len(set(re.findall(r"base64,[^\"]+", page))) <= 200
    assert len(page) < 2_000_000
    assert "150 more in report.json" in page


def test_what_is_dropped_follows_the_settings() -> None:
    assert dropped(PrepareConfig()) == {"unreadable", "truncated", "too small", "exact duplicate"}
    assert "near duplicate" in dropped(PrepareConfig(drop_near_duplicates=True))
