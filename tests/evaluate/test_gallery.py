"""A gallery shows what a model makes of media that are chosen by a seed."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import triptych
from triptych.data.folder import scan
from triptych.errors import DataError
from triptych.evaluate import gallery
from triptych.files import read_jsonl
from triptych.media import image, video

from . import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.write(tmp_path_factory.mktemp("gallery") / "data", size=64, pictures=8)


def test_a_page_of_pictures_and_clips(tiny_model: Path, folder: Path, tmp_path: Path) -> None:
    model = triptych.load(tiny_model, device="cpu")
    page = gallery.gallery(model, folder, tmp_path / "out", pictures=5, clips=2)
    text = page.read_text(encoding="utf-8")
    files = {path.name for path in page.parent.iterdir()} - {"README.md"}
    assert files == {f"picture-{n:02d}.jpg" for n in range(5)} | {"clip-00.webp", "clip-01.webp"}
    assert all(f"![]({name})" in text for name in files)
    assert image.read(page.parent / "picture-00.jpg").shape == (64, 64, 3)
    assert video.read(page.parent / "clip-00.webp", size=64, fps=8).frames.shape[0] == 17
    asked = gallery.prompts(list(scan(folder)), 5, 0)
    assert all(sentence in text for sentence in asked)


def test_an_edit_stands_between_what_was_given_and_what_was_wanted(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small.write(tmp_path / "data", size=64, pictures=2, edits=("color", "remove"))
    model = triptych.load(tiny_model, device="cpu")
    asked = []

    def edit(picture: np.ndarray, instruction: str, *, seed: int) -> list[SimpleNamespace]:
        asked.append(instruction)
        return [SimpleNamespace(pixels=np.full((64, 64, 3), 200, np.uint8))]

    monkeypatch.setattr(model, "edit", edit)
    page = gallery.gallery(model, data, tmp_path / "out", pictures=0, clips=0).read_text(encoding="utf-8")
    told = [r for r in scan(data) if r.instruction]
    assert len(asked) == len(told) > 0
    assert all(instruction in page for instruction in asked)
    texts = [{t.text for t in r.instruction} for r in told]
    for number, instruction in enumerate(asked):
        after = told[next(i for i, some in enumerate(texts) if instruction in some)]
        shown = image.read(tmp_path / "out" / f"edit-{number:02d}.jpg")
        assert shown.shape == (gallery.SIDE, 3 * gallery.SIDE, 3)
        middle, right = shown[:, gallery.SIDE : 2 * gallery.SIDE], shown[:, 2 * gallery.SIDE :]
        assert abs(float(middle.mean()) - 200) < 3
        wanted = image.fit(image.read(data / after.file), gallery.SIDE)
        assert np.abs(right.astype(int) - wanted).mean() < 6


def test_clips_that_were_made_impossible_are_left_out(tiny_model: Path, folder: Path, tmp_path: Path) -> None:
    rows = [row for row in read_jsonl(folder / "metadata.jsonl") if row["file_name"].endswith(".mp4")]
    whole = [row for row in rows if not row["truth"].get("impossible")]
    assert 0 < len(whole) < len(rows)
    gallery.gallery(triptych.load(tiny_model, device="cpu"), folder, tmp_path / "out", pictures=0, clips=99)
    assert len(list((tmp_path / "out").glob("clip-*.webp"))) == len(whole)


def test_texts_are_chosen_by_a_seed_in_both_languages(folder: Path) -> None:
    records = list(scan(folder))
    one, again, other = (gallery.prompts(records, 6, seed) for seed in (0, 0, 1))
    assert one == again != other
    assert [any(character >= "\u3400" for character in text) for text in one] == [False, True] * 3


def test_nothing_to_show(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image.write(tmp_path / "a.png", small.paint([], 64))
    with pytest.raises(DataError, match="no picture with a text and no clip"):
        gallery.gallery(triptych.load(tiny_model, device="cpu"), tmp_path, tmp_path / "out")
    assert gallery.main([str(tiny_model), str(tmp_path / "none"), str(tmp_path / "out")]) == 1
    assert "error: " in capsys.readouterr().err
