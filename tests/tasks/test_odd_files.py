"""Odd and broken clips, made here: each is read right, or refused in one clear sentence, by what reads clips."""

import struct

import numpy as np
import pytest

import triptych
from tests.media.clips import save, save_sound
from tests.media.test_shots import shot
from triptych.errors import MediaError
from triptych.media import image, shots, video


@pytest.fixture(scope="module")
def model(tiny_model):
    return triptych.load(tiny_model, "cpu")


def spans(path):
    return [(s.shot, s.start, s.end) for s in shots.segments(path, size=64)]


def test_a_variable_frame_rate_keeps_its_times(tmp_path):
    """Ten frames a second, then one every 0.7 s: the cut is where it is shown, not where it is counted."""
    times = [i / 10 for i in range(20)] + [2 + 0.7 * i for i in range(6)]
    frames = np.concatenate([shot(0, 20), shot(1, 6)])
    found = spans(save(tmp_path / "vfr.mkv", frames, times))
    assert found[0] == (0, 0.0, 2.0)
    assert found[1][0] == 1
    assert found[1][1] == pytest.approx(2.0, abs=0.13)
    assert found[-1][2] == pytest.approx(5.5, abs=0.13)  # the container gives the last frame no longer time


def test_a_turned_clip_is_read_upright(tmp_path, model):
    frames = np.zeros((17, 64, 96, 3), np.uint8)
    frames[:, :32] = (250, 0, 0)
    path = save(tmp_path / "turned.mp4", frames, fps=8, rotation=90)
    key = image.read(next(model.watch_segments(path)).keyframe)
    assert key.shape == (160, 160, 3)
    assert key[:, :60, 0].mean() > 200  # what was above is left after a quarter turn against the clock
    assert key[:, -60:, 0].mean() < 60


def test_odd_sides(tmp_path, model):
    path = save(tmp_path / "odd.mkv", shot(0, 17, 51)[:, :33], fps=8, codec="ffv1", pixel_format="yuv420p")
    (segment,) = model.watch_segments(path)
    assert segment.end == 2.0
    video.cut(path, tmp_path / "cut.mp4", 0.5, 1.0)
    assert video.read(tmp_path / "cut.mp4", size=None).frames.shape == (4, 34, 52, 3)


def test_an_index_that_claims_too_many_frames(tmp_path):
    """As Debian's tree.avi: the header promises 444 frames, there are 68."""
    path = save(tmp_path / "lies.avi", shot(0, 68), fps=15, codec="mpeg4")
    data = bytearray(path.read_bytes())
    for tag, offset in ((b"avih", 24), (b"strh", 40)):  # total frames; length of the stream
        place = data.index(tag) + offset
        assert struct.unpack_from("<I", data, place)[0] == 68
        struct.pack_into("<I", data, place, 444)
    path.write_bytes(data)
    assert video.probe(path).duration == pytest.approx(444 / 15, abs=0.1)
    assert spans(path)[-1][2] == pytest.approx(68 / 15, abs=0.13)


def test_a_clip_cut_short_gives_what_there_is(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (60, 120, 160, 3), dtype=np.uint8)
    path = save(tmp_path / "cut.mp4", noise, options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 0.5 < spans(path)[-1][2] < 1.5


@pytest.mark.parametrize("verb", ["watch", "surprise", "features", "locate", "classify", "ask", "predict"])
def test_refusals_are_one_sentence(tmp_path, model, verb):
    late = save(tmp_path / "late.mp4", shot(0, 30)).read_bytes()
    (tmp_path / "truncated.mp4").write_bytes(late[: len(late) // 2])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("a letter to a friend\n" * 40)
    save_sound(tmp_path / "sound.mp4")
    save(tmp_path / "zero.avi", shot(0, 1)[:0], codec="mpeg4")
    more = {"locate": ["a ball stops"], "classify": [["a", "b"]], "ask": ["?"]}.get(verb, [])
    for name, reason in (
        ("truncated.mp4", "truncated"),
        ("empty.mp4", "empty"),
        ("text.mp4", "not a clip of a known format"),
        ("sound.mp4", "has sound but no picture"),
        ("zero.avi", "no frame|damaged"),
        ("missing.mp4", "no such file"),
    ):
        with pytest.raises(MediaError, match=reason) as caught:
            getattr(model, verb)(tmp_path / name, *more)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
