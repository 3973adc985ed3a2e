"""Frames decoded once: the same as decoded each time, kept for the next run, and honest about what can't be read."""

import pickle

import numpy as np
import pytest
from PIL import Image

from triptych.data import frame_cache
from triptych.data.decode import decode
from triptych.data.frame_cache import FrameCache
from triptych.data.frames import FrameBatches
from triptych.data.records import Record
from triptych.data.settings import PrepareConfig
from triptych.errors import DataError
from triptych.media import video

SETTINGS = PrepareConfig(size=32, frames=5, workers=1)


@pytest.fixture
def source(tmp_path):
    """Six pictures of noise, of which one is damaged, and a clip."""
    folder = tmp_path / "media"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(folder / f"{i}.png")
    (folder / "3.png").write_bytes(b"not a picture")
    video.write(folder / "a.mp4", rng.integers(0, 255, (12, 48, 64, 3), np.uint8), fps=8)
    return folder


@pytest.fixture
def folder(tmp_path):
    """A prepared folder, as far as the cache looks at it."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    records = [Record(file=f"{i}.png", kind="picture") for i in range(6)]
    records += [Record(file="a.mp4", kind="clip", duration=1.5)]
    (folder / "manifest.jsonl").write_text("".join(record.model_dump_json() + "\n" for record in records))
    return folder


PICTURES = [f"{i}.png" for i in range(6)]


def pictures(folder, source):
    return FrameCache(folder, source, "picture", PICTURES, SETTINGS)


def true_frames(cache, source, kind="picture"):
    for number, file in enumerate(cache.files):
        np.testing.assert_array_equal(cache[number], decode(Record(file=file, kind=kind), source, SETTINGS))


def test_frames_are_those_that_decoding_gives(folder, source, capsys):
    cache = pictures(folder, source)
    assert cache.files == [f"{i}.png" for i in (0, 1, 2, 4, 5)]
    assert "1 pictures can't be read any more" in capsys.readouterr().err
    true_frames(cache, source)
    clips = FrameCache(folder, source, "clip", ["a.mp4"], SETTINGS)
    assert len(clips[0]) == 5
    true_frames(clips, source, "clip")


def test_a_second_run_decodes_nothing(folder, source, monkeypatch):
    Image.new("RGB", (50, 40)).save(source / "3.png")
    first = pictures(folder, source)
    monkeypatch.setattr(frame_cache, "_fill", lambda *_: pytest.fail("decoded again"))
    second = pictures(folder, source)
    assert second.files == first.files == PICTURES
    np.testing.assert_array_equal(second[3], first[3])


def test_what_failed_once_may_be_readable_later(folder, source):
    assert len(pictures(folder, source)) == 5
    Image.new("RGB", (50, 40), (255, 0, 0)).save(source / "3.png")
    cache = pictures(folder, source)
    assert cache.files == PICTURES
    true_frames(cache, source)


@pytest.mark.parametrize("change", ["manifest", "killed", "killed early"])
def test_other_frames_are_decoded_anew(change, folder, source):
    Image.new("RGB", (50, 40)).save(source / "3.png")
    pictures(folder, source)
    path = folder / "frames" / "picture.bytes"
    Image.new("RGB", (50, 40), (0, 0, 255)).save(source / "1.png")
    if change == "manifest":  # it holds the files' hashes
        (folder / "manifest.jsonl").write_text(Record(file="1.png", kind="picture", sha256="ab").model_dump_json())
    elif change == "killed":
        path.with_suffix(".json").unlink()  # the index is written last
    else:
        path.unlink()
    cache = pictures(folder, source)
    assert cache.files == PICTURES
    true_frames(cache, source)


def test_nothing_that_can_be_read_is_told(folder, source):
    for file in source.iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"none of the 6 pictures of .*media can be read any more: .*0\.png"):
        pictures(folder, source)


def test_a_full_disk_is_told(folder, source, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frame_cache, "_fill", full)
    with pytest.raises(DataError, match=r"picture\.bytes: No space left on device: make room"):
        pictures(folder, source)


def test_a_loaders_process_is_sent_no_frames(folder, source):
    cache = pictures(folder, source)
    frames = cache[2].copy()
    sent = pickle.dumps(cache)
    assert len(sent) < 32 * 32 * 3
    np.testing.assert_array_equal(pickle.loads(sent)[2], frames)


def test_batches_come_from_the_cache(folder, source, monkeypatch):
    """Pictures whole or mirrored, clips from any frame on, and no file is opened any more."""
    monkeypatch.setattr("triptych.data.frames.is_held", lambda record: False)
    settings = SETTINGS.model_copy(update={"frames": 9})
    batches = FrameBatches(folder, source, batch=20, clip_share=0.5, seed=0, settings=settings, frames=5, cached=True)
    assert not (folder / "frames").exists()  # decoded when they are first needed
    batches.decode()
    known = [decode(Record(file=file, kind="picture"), source, settings) for file in PICTURES if file != "3.png"]
    clip_frames = decode(Record(file="a.mp4", kind="clip"), source, settings)
    for file in source.iterdir():
        file.unlink()
    seen, starts = set(), set()
    for step in range(8):
        batch = batches[step]
        assert batch["picture"].shape == (10, 1, 32, 32, 3)
        for picture in batch["picture"].numpy():
            (which,) = [i for i, true in enumerate(known)
                        if any((picture == side).all() for side in (true, true[:, :, ::-1]))]  # fmt: skip
            seen.add(which)
        for clip in batch["clip"].numpy():
            assert clip.shape == (5, 32, 32, 3)
            sides = clip_frames, clip_frames[:, :, ::-1]
            (start,) = [first for first in range(5) if any((clip == side[first : first + 5]).all() for side in sides)]
            starts.add(start)
    assert seen == set(range(5))
    assert len(starts) > 2


def test_a_short_clip_is_not_cut_out_of_its_stillness(folder, source, monkeypatch):
    """Of 12 frames in a window of 17 the last five are copies: no batch takes more of them than it must."""
    monkeypatch.setattr("triptych.data.frames.is_held", lambda record: record.kind == "picture")
    settings = SETTINGS.model_copy(update={"frames": 17})
    batches = FrameBatches(folder, source, batch=9, clip_share=1.0, seed=0, settings=settings, frames=9, cached=True)
    batches.decode()
    for step in range(12):
        (clip,) = batches[step]["clip"].numpy()
        moves = (np.diff(clip.astype(int), axis=0) != 0).any((1, 2, 3))
        assert moves.all()
