"""Clips read in several framings: what is asked of each, and that all of them count."""

import numpy as np
import pytest

import triptych
from triptych.generate.grammar import Say
from triptych.media import video
from triptych.media.framing import framings as cut
from triptych.sequence import spell
from triptych.tasks import ask, caption, classify, locate, parts, surprise, watch
from triptych.tasks.common import Medium
from triptych.tasks.reading import each_framing, tell


@pytest.fixture(scope="module")
def model(tiny_model):
    return triptych.load(tiny_model, "cpu")._model


@pytest.fixture(scope="module")
def clip():
    return np.random.default_rng(0).integers(0, 256, (17, 64, 64, 3), dtype=np.uint8)


def prompt(model):
    return lambda medium: spell.caption_prompt(model.show(model.begin(), medium), model.encode("en")).finish()


def test_a_clip_is_read_in_its_framings_and_a_picture_as_it_is(model, clip):
    whole, picture, nothing = model.read([clip, clip[0], None], framings=3)
    assert nothing is None
    assert (len(whole.others), len(picture.others)) == (2, 0)
    for maps, frames in zip([whole.maps, *whole.others], cut(clip, 3), strict=True):
        np.testing.assert_array_equal([m.codes for m in maps], [m.codes for m in model.look([frames])[0]])
    assert [medium.times for medium in each_framing(whole)] == [(0.0, 2.0)] * 3
    assert all(a.maps is b for a, b in zip(each_framing(whole), [whole.maps, *whole.others], strict=True))


def test_all_framings_write_one_text(model, clip):
    """As the engine says it together; media with and without framings beside each other, in their own order."""
    other = clip[::-1].copy()
    media = [None, *model.read([clip, clip[0], other], framings=2)]
    told = tell(model, media, prompt(model), Say(8))
    for medium, text in zip(media, told, strict=True):
        assert tell(model, [medium], prompt(model), Say(8)) == [text]
    same = Medium(media[1].maps, media[1].times, (media[1].maps,))
    alone = Medium(media[1].maps, media[1].times)
    assert tell(model, [same], prompt(model), Say(8)) == tell(model, [alone], prompt(model), Say(8))


@pytest.fixture
def wanted(model, monkeypatch):
    """In how many framings clips were looked at, one number a look."""
    wanted = []
    framed = model.look_framed
    monkeypatch.setattr(model, "look_framed", lambda frames, count: wanted.append(count) or framed(frames, count))
    return wanted


def test_what_is_asked_of_a_clip_is_read_so(model, clip, wanted):
    """Captions; answers gained nothing by it (docs/log.md)."""
    caption.caption(model, [clip])
    ask.ask(model, [(clip, "How many?")])
    ask.ask(model, [(clip, "How many?")], choices=["1", "2"])
    classify.classify(model, clip, ["a", "b"])
    assert wanted == [model.framings, 1, 1, 1]


def test_a_long_clip_is_read_so_to_be_told(model, tmp_path, wanted, brief, monkeypatch):
    """To be told; not from a live source."""
    frames = np.random.default_rng(1).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    video.write(tmp_path / "a.mp4", frames)
    path = str(tmp_path / "a.mp4")
    most = model.framings
    for task, counts in (
        (lambda: list(watch.watch(model, path)), [most]),
        (lambda: classify.classify(model, path, ["a", "b"]), [1]),
        (lambda: locate.locate(model, path, "a ball falls"), [1]),
        (lambda: ask.ask_whole(model, path, "How many?"), [1]),
        (lambda: list(surprise.surprise(model, path)), [1]),
    ):
        task()
        assert wanted == counts
        wanted.clear()
    monkeypatch.setattr(parts, "is_live", lambda path: True)
    list(watch.watch(model, path))
    assert set(wanted) == {1}


@pytest.mark.parametrize("count", [0, 6])
def test_a_number_of_framings_out_of_range_is_told(tiny_model, count):
    with pytest.raises(triptych.ConfigError, match=f"framings={count}"):
        triptych.load(tiny_model, "cpu", framings=count)
