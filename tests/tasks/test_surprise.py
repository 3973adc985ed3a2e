"""Surprise: bits that are those of the network, over the picture and over time, and an honest word."""

import json
import math

import numpy as np
import pytest
import torch

import triptych
from triptych.errors import ConfigError
from triptych.media import image, video
from triptych.sequence import spell
from triptych.sequence.pack import collate
from triptych.surprise_results import LEAP
from triptych.tasks import surprisal
from triptych.tasks.leaps import by_map, leaps, sudden
from triptych.tasks.surprise import peaks


@pytest.fixture(scope="module")
def model(tiny_model):
    return triptych.load(tiny_model, "cpu")


@pytest.fixture(scope="module")
def clip():
    return np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)


def test_bits_are_those_of_the_network(model, clip):
    """Summed over the codes of a picture, they are the nats that training counts."""
    from triptych.train.loss import choose, sums
    from triptych.train.summary import Learner

    inner = model._model
    map_ = inner.look([clip[:1]])[0][0]
    row = spell.drawn(spell.draw_prompt(inner.begin(), []), map_).finish()
    expected = sums(Learner(inner.gpt, summary=False), choose(collate([row])))[1].item() / math.log(2)
    assert surprisal.picture_bits(inner, [map_])[0].sum() == pytest.approx(expected, rel=1e-4)
    one, two = surprisal.clip_bits(inner, [clip, clip[::-1].copy()])
    assert one.shape == (3, 4, 4)
    np.testing.assert_allclose(one[0], surprisal.picture_bits(inner, [map_])[0], atol=1e-4)
    np.testing.assert_allclose(two, surprisal.clip_bits(inner, [clip[::-1].copy()])[0], atol=1e-3)


def test_each_code_has_its_own_place(model, clip):
    """A code given by the codes before it: changing the last one changes the bits of no other."""
    inner = model._model
    map_ = inner.look([clip[:1]])[0][0]
    other = map_.codes.copy()
    other[-1, -1] = (other[-1, -1] + 7) % inner.gpt.config.codes
    changed = type(map_)(other, map_.latents, inner._grid[other])
    one, two = surprisal.picture_bits(inner, [map_])[0], surprisal.picture_bits(inner, [changed])[0]
    assert np.argwhere(np.abs(one - two) > 1e-4).tolist() == [[3, 3]]


@pytest.mark.parametrize("spelling", ["predict", "view", "draw"])
def test_maps_are_spelled_as_the_model_has_learned(model, clip, monkeypatch, spelling):
    inner = model._model
    known = {"draw bits/code": 1.0, f"{spelling} bits/code": 2.0}
    monkeypatch.setattr(inner.bundle, "info", inner.bundle.info.model_copy(update={"bits": known}))
    assert surprisal.next_spelling(inner) == spelling
    bits = surprisal.clip_bits(inner, [clip, clip])
    assert bits[0].shape == (3, 4, 4)
    np.testing.assert_allclose(bits[0], bits[1], atol=1e-4)
    assert surprisal.is_unlike(inner, bits[0])
    assert not surprisal.is_unlike(inner, np.ones((3, 4, 4), np.float32))


def test_the_spread_is_taken_from_the_model_where_it_tells_one(model, monkeypatch):
    inner = model._model
    bits = {"draw bits/code": 2.0, "draw bits/code deviation": 0.5}
    monkeypatch.setattr(inner.bundle, "info", inner.bundle.info.model_copy(update={"bits": bits}))
    assert surprisal.usual(inner, "draw").most == 4.0
    assert surprisal.usual(inner, "predict") is None


def test_a_clip_over_time(model, tmp_path):
    frames = np.random.default_rng(1).integers(0, 256, (23, 64, 64, 3), dtype=np.uint8)
    video.write(tmp_path / "a.mp4", frames)
    found = model.surprise(tmp_path / "a.mp4", moments=2)
    assert found.times.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 2.75]
    assert found.maps.shape == (7, 4, 4)
    assert found.fresh.tolist() == [True] + [False] * 6
    assert found.bits == pytest.approx(found.curve.mean())
    assert len(found.moments) == 2
    assert abs(found.moments[0] - found.moments[1]) >= 1
    assert found.pictures.shape == (2, 64, 64, 3)
    assert found.warning == ""  # this model tells nothing of what is usual
    strongest = found.strange[np.isin(found.times, found.moments)].max()
    assert strongest == found.strange[1:].max()
    np.testing.assert_allclose(found.strange, found.peaks + found.leaps / LEAP, rtol=1e-6)
    told = json.loads(found.save(tmp_path / "a.json").read_text("utf-8"))
    assert len(told["curve"]) == 7
    assert [row["leap"] for row in told["curve"]] == pytest.approx(found.leaps.tolist(), abs=1e-4)
    assert found.save(tmp_path / "a.csv").read_text("utf-8").splitlines()[0] == "time,bits,peak,leap"
    assert len((tmp_path / "a.csv").read_text("utf-8").splitlines()) == 8
    saved = np.load(found.save(tmp_path / "a.npz"))
    assert saved["maps"].shape == (7, 4, 4)
    np.testing.assert_array_equal(saved["leaps"], found.leaps)
    assert image.read(found.save(tmp_path / "a.png")).shape[0] == 64 + 160
    with pytest.raises(ConfigError, match="surprise is written as"):
        found.save(tmp_path / "a.txt")


def test_a_picture(model, tmp_path, clip):
    image.write(tmp_path / "a.png", clip[0])
    found = model.surprise(tmp_path / "a.png")
    assert found.maps.shape == (1, 4, 4)
    assert found.moments == (0.0,)
    assert image.read(found.save(tmp_path / "heat.png")).shape[:2] == (65, 68)


def scene(*places):
    """Frames of a dark square on a gentle slope of light, at (row, column) or nowhere."""
    frames = np.zeros((len(places), 224, 224, 3), np.uint8)
    frames[:] = np.linspace(140, 180, 224).astype(np.uint8)[:, None]
    for frame, place in zip(frames, places, strict=True):
        if place is not None:
            frame[place[0] : place[0] + 32, place[1] : place[1] + 32] = 30
    return frames


def test_what_no_motion_explains_leaps():
    """A thing that moves is found again; one that vanishes, appears or is elsewhere at once isn't."""
    assert leaps(scene(None, None, None)).tolist() == [0, 0]
    moved = leaps(scene((80, 80), (80, 96), (96, 96), (88, 112))).max()
    for places in (((80, 80), None), (None, (80, 80)), ((80, 40), (80, 140))):
        assert leaps(scene(*places))[0] > 10 * moved + 5
    assert leaps(scene((80, 80), (80, 80), None, None)).argmax() == 1
    small = scene((80, 80), None)[:, ::2, ::2]
    assert leaps(small)[0] == pytest.approx(leaps(scene((80, 80), None))[0], rel=0.05), "of any size of frame"


def test_a_leap_is_told_with_the_map_that_it_leads_into():
    here, gone = (80, 80), None
    for count, place, wanted in ((9, 1, 1), (9, 4, 1), (9, 5, 2), (9, 8, 2), (7, 6, 2)):
        found = by_map(sudden(leaps(scene(*[here] * place, *[gone] * (count - place)))), 4)
        assert found.shape == (3,)
        assert (found.argmax(), (found > 0).sum()) == (wanted, 1)
    assert by_map(sudden(leaps(scene(here))), 4).tolist() == [0]


def test_what_is_merely_fast_is_not_sudden():
    """It leaps in every frame for as long as it moves; what jumps once does so between two frames."""
    np.testing.assert_array_equal(sudden(np.array([1, 5, 6, 2, 0, 3], np.float32)), [0, 1.5, 2.5, 0, 0, 3])
    np.testing.assert_array_equal(sudden(np.array([6, 0], np.float32), before=8.0), [2, 0])
    fast = leaps(scene(*[(20, 10 + 45 * step) for step in range(4)], *[(20, 145)] * 5))
    once = leaps(scene(*[(20, 10)] * 4, *[(20, 145)] * 5))
    assert fast.max() > once.max() / 2
    assert by_map(sudden(fast), 4).max() < by_map(sudden(once), 4).max() * 0.6


def test_fast_motion_over_the_end_of_a_segment_is_none_either(model, tmp_path):
    """Segments of a shot share a frame; the leap into it is known to the next one."""
    steps = [(20, 10)] * 14 + [(20, 55), (20, 100), (20, 145)] + [(20, 190)] * 16
    video.write(tmp_path / "a.mp4", scene(*steps))
    alone = sudden(leaps(scene(*steps[16:])))
    found = model.surprise(tmp_path / "a.mp4")
    assert found.times[5] == 2.5
    assert found.leaps[5] < 0.8 * alone[0]


def test_what_leaps_is_a_strange_moment_of_a_clip_of_several_segments(model, tmp_path):
    frames = scene(*[(80, 80)] * 21, *[None] * 12)[:, ::2, ::2]
    video.write(tmp_path / "a.mp4", np.ascontiguousarray(frames))
    found = model.surprise(tmp_path / "a.mp4", moments=1)
    assert found.times[found.leaps.argmax()] == 3.0  # frames 21 to 24 end then; the second segment begins at 2.0
    assert np.sort(found.leaps)[-2] < found.leaps.max() / 3
    assert found.leaps[0] == 0


def test_heat_follows_the_codes(model, tmp_path):
    from triptych.surprise_files import heated, heated_frames

    bits = np.zeros((4, 4), np.float32)
    bits[0, 3] = 10
    grey = np.full((64, 64, 3), 100, np.uint8)
    shown = heated(grey, bits, 0, 10)
    assert shown[4, 60].sum() > shown[60, 4].sum() + 100
    frames = np.random.default_rng(1).integers(0, 256, (23, 64, 64, 3), dtype=np.uint8)
    video.write(tmp_path / "a.mp4", frames)
    found = model.surprise(tmp_path / "a.mp4")
    assert len(list(heated_frames(found, model.surprise_parts(tmp_path / "a.mp4")))) == 23


def test_the_peak_is_the_oddest_dozen():
    beyond = np.zeros((2, 6, 6), np.float32)
    beyond[1, 0:2, 3:6] = beyond[1, 4:6, 0:3] = 9
    beyond[0, 0, 0] = 12
    assert peaks(beyond).tolist() == [1, 9]
    assert peaks(np.ones((1, 2, 2), np.float32)).tolist() == [1]


def test_what_is_expected_to_be_hard_is_not_odd(model, clip, monkeypatch):
    """By the network's own chances, bits beyond the expected ones are 0 on average, with a variance below 1."""
    inner = model._model
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 2, inner.gpt.config.codes)).float()
    monkeypatch.setattr(inner.gpt, "code_logits", lambda states, codes, before: logits.expand(*codes.shape, -1))
    maps = inner.look([clip])[0]
    chances = logits.softmax(-1).numpy()
    beyond = np.zeros(len(chances))
    for code in range(len(chances)):
        filled = [type(m)(np.full_like(m.codes, code), m.latents, m.grid) for m in maps[:1]]
        beyond[code] = surprisal._picture_costs(inner, filled)[0][0, 0, 1]
    assert chances @ beyond == pytest.approx(0, abs=1e-4)
    assert 0.5 < chances @ beyond**2 < 1
    assert beyond[chances.argmin()] == beyond.max() > 2
