"""Futures: as many frames as asked, by seed, and by what the network says."""

import numpy as np
import pytest
import torch

import triptych
from triptych.media import image, video
from triptych.tasks import kept
from triptych.tasks.predict import _kept, _rounds


@pytest.fixture(scope="module")
def model(tiny_model):
    return triptych.load(tiny_model, "cpu")


@pytest.fixture(scope="module")
def clip():
    return np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)


@pytest.fixture
def pale(monkeypatch):
    """A decoder that was never trained draws everything nearly the same: nothing it draws stays."""
    monkeypatch.setattr(kept, "SAME", -2.0)
    monkeypatch.setattr(kept, "OTHER", -1.0)


@pytest.mark.usefixtures("pale")
def test_a_future_is_its_seed_s(model, clip):
    one, two = model.predict(clip, n=2, seed=3, seconds=0.7)
    assert one.frames.shape == (6, 64, 64, 3)
    assert one.given.shape == (9, 64, 64, 3)
    np.testing.assert_array_equal(model.predict(clip, seed=4, seconds=0.7)[0].frames, two.frames)
    assert (one.frames != two.frames).any()
    told = one.as_dict()
    assert (told["seed"], told["frames"], told["given"]) == (3, 6, 9)


def test_it_is_what_the_network_finds_likeliest(model, clip, monkeypatch):
    """Drawn at temperature 0, each first code of a position is the argmax of the spelled row."""
    from triptych.sequence import spell
    from triptych.sequence.pack import collate

    inner = model._model
    painted = []
    paint = inner.project
    monkeypatch.setattr(inner, "project", lambda maps: painted.extend(maps) or paint(maps))
    model.predict(clip[:5], seconds=0.5, temperature=0.0)
    maps = inner.look([clip[:5]])[0]
    info = model.info
    builder = spell.clip(inner.begin(), maps, inner.encode, info.fps, info.visual.span)
    spell.stamp(spell.predict_prompt(builder, []), 2, inner.encode, info.fps, info.visual.span)
    row = builder.finish()
    batch = collate([row])
    states = inner.gpt(batch["ids"], batch["values"], batch["is_visual"], batch["positions"])
    slots: list[int] = []
    before = torch.from_numpy(row.shown.codes[:1] + 1)  # what stands at the first place of the map before
    for _ in range(4):
        logits = inner.gpt.code_logits(states[:, -1], torch.tensor([slots], dtype=torch.long), before)
        slots.append(int(logits[0, -1].argmax()))
    assert painted[0].shape == (3, 4, 4)
    np.testing.assert_array_equal(painted[0][:2], np.stack([m.codes for m in maps]))
    assert painted[0][2, :2, :2].ravel().tolist() == slots


@pytest.mark.usefixtures("pale")
def test_a_picture_and_an_instruction(model, clip, tmp_path):
    image.write(tmp_path / "a.png", clip[0])
    plain = model.predict(tmp_path / "a.png", seconds=2)[0]
    assert plain.frames.shape == (16, 64, 64, 3)
    told = model.predict(tmp_path / "a.png", text="push the red ball", seconds=2)[0]
    assert (told.frames != plain.frames).any()
    strong = model.predict(tmp_path / "a.png", text="push the red ball", seconds=2, guidance=4)[0]
    assert (strong.frames != told.frames).any()
    np.testing.assert_array_equal(model.predict(tmp_path / "a.png", seconds=2, guidance=4)[0].frames, plain.frames)


@pytest.mark.usefixtures("pale")
def test_a_short_clip_goes_on_from_its_own_end(model, clip, tmp_path):
    """What would fill the window up stands still."""
    video.write(tmp_path / "short.mp4", clip[:6])
    future = model.predict(tmp_path / "short.mp4", seconds=0.5)[0]
    assert future.given.shape == (9, 64, 64, 3)
    assert future.frames.shape == (4, 64, 64, 3)


def test_further_than_a_window(model, clip):
    seen = []
    future = model.predict(clip, seconds=3, progress=lambda done, total: seen.append((done, total)))[0]
    assert future.frames.shape == (24, 64, 64, 3)
    assert all(done <= total for done, total in seen)


@pytest.mark.parametrize(
    ("given", "wanted", "rounds"),
    [(1, 16, [(1, 4)]), (9, 8, [(3, 2)]), (17, 8, [(3, 2)]), (17, 20, [(3, 2), (3, 2), (4, 1)]), (5, 1, [(2, 1)])],
)
def test_rounds_fit_the_window(given, wanted, rounds):
    assert _rounds(given, wanted, 4, 5) == rounds


def test_files(model, clip, tmp_path):
    future = model.predict(clip, seconds=0.5)[0]
    assert len(video.read(future.save(tmp_path / "a.mp4"), size=None).frames) == 4
    assert len(video.read(future.save(tmp_path / "b.gif", with_given=True), size=None).frames) == 13
    assert image.read(future.save(tmp_path / "c.png")).shape == (64, 256, 3)
    with pytest.raises(triptych.MediaError, match=r"\.avi"):
        future.save(tmp_path / "d.avi")
    with pytest.raises(ValueError, match="at least one future"):
        model.predict(clip, n=0)


def test_what_does_not_change_keeps_its_pixels():
    """Where the drawing goes on as it was; what is drawn anew is drawn, and each frame is judged by itself."""
    rng = np.random.default_rng(0)
    last = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    film = np.full((3, 64, 64, 3), 100, np.uint8)
    film[1:] += 3  # the decoder wavers
    film[1, :24, :24] = 200
    frames = _kept(last, film)
    assert frames.shape == (2, 64, 64, 3)
    np.testing.assert_array_equal(frames[0, 32:, 32:], last[32:, 32:])
    np.testing.assert_array_equal(frames[1], last)
    assert np.abs(frames[0, :16, :16].astype(int) - 200).max() <= 12  # drawn, but for a shade


@pytest.mark.parametrize("place", [0, 24], ids=["corner", "middle"])
def test_what_comes_in_at_an_edge_is_drawn_as_in_the_middle(place):
    last = np.zeros((64, 64, 3), np.uint8)
    film = np.full((2, 64, 64, 3), 100, np.uint8)
    film[1, place : place + 20, place : place + 20] = 130
    (frame,) = _kept(last, film)
    inside = place and place + 8  # where no smoothing reaches beyond it
    assert frame[inside : inside + 3, inside : inside + 3].min() >= 130 - 12


def test_a_little_of_both_where_little_changes():
    last = np.zeros((64, 64, 3), np.uint8)
    film = np.full((2, 64, 64, 3), 100, np.uint8)
    film[1] += 14  # half way from alike to other
    (frame,) = _kept(last, film)
    inner = frame[16:48, 16:48].astype(int)
    assert np.ptp(inner) == 0
    assert abs(int(inner[0, 0, 0]) - (114 - 12) / 2) <= 1
