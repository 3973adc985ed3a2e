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


def pictures(source, tmp_path):
    return FrameCache(tmp_path / "frames" / "picture.npy", source, "picture", [f"{i}.png" for i in range(6)], SETTINGS)


def test_frames_are_those_that_decoding_gives(source, tmp_path):
    cache = pictures(source, tmp_path)
    assert cache.files == [f"{i}.png" for i in (0, 1, 2, 4, 5)]  # what can't be read is left out
    assert len(cache) == 5
    for number, file in enumerate(cache.files):
        true = decode(Record(file=file, kind="picture"), source, SETTINGS)
        np.testing.assert_array_equal(cache[number], true)
    clips = FrameCache(tmp_path / "frames" / "clip.npy", source, "clip", ["a.mp4"], SETTINGS)
    np.testing.assert_array_equal(clips[0], decode(Record(file="a.mp4", kind="clip"), source, SETTINGS))


def test_a_second_run_decodes_nothing(source, tmp_path, monkeypatch):
    first = pictures(source, tmp_path)
    monkeypatch.setattr(frame_cache, "_fill", lambda *_: pytest.fail("decoded again"))
    second = pictures(source, tmp_path)
    assert second.files == first.files
    np.testing.assert_array_equal(second[3], first[3])


@pytest.mark.parametrize("change", ["size", "files", "killed"])
def test_other_frames_are_decoded_anew(change, source, tmp_path):
    pictures(source, tmp_path)
    path = tmp_path / "frames" / "picture.npy"
    files, settings = [f"{i}.png" for i in range(6)], SETTINGS
    if change == "size":
        settings = PrepareConfig(size=64, frames=5, workers=1)
    elif change == "files":
        files = ["5.png", "0.png"]
    else:
        path.with_suffix(".json").unlink()  # the list of what was read is written last
        path.write_bytes(b"half of it")
    cache = FrameCache(path, source, "picture", files, settings)
    for number, file in enumerate(cache.files):
        np.testing.assert_array_equal(cache[number], decode(Record(file=file, kind="picture"), source, settings))
    assert cache.files == [file for file in files if file != "3.png"]


def test_a_loaders_process_is_sent_no_frames(source, tmp_path):
    cache = pictures(source, tmp_path)
    frames = cache[2].copy()
    sent = pickle.dumps(cache)
    assert len(sent) < 32 * 32 * 3
    np.testing.assert_array_equal(pickle.loads(sent)[2], frames)


def test_batches_come_from_the_cache(source, tmp_path, monkeypatch):
    """Pictures whole or mirrored, clips from any frame on, and no file is opened any more."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    records = [Record(file=f"{i}.png", kind="picture") for i in range(6)]
    records += [Record(file="a.mp4", kind="clip", duration=1.5)]
    (folder / "manifest.jsonl").write_text("".join(record.model_dump_json() + "\n" for record in records))
    monkeypatch.setattr("triptych.data.frames.is_held", lambda record: False)
    settings = SETTINGS.model_copy(update={"frames": 9})
    batches = FrameBatches(folder, source, batch=20, clip_share=0.5, seed=0, settings=settings, frames=5, cached=True)
    known = [decode(record, source, settings) for record in records if record.file != "3.png"]
    for file in source.iterdir():
        file.unlink()
    seen, starts = set(), set()
    for step in range(8):
        batch = batches[step]
        assert batch["picture"].shape == (10, 1, 32, 32, 3)
        for picture in batch["picture"].numpy():
            (which,) = [i for i, true in enumerate(known[:-1])
                        if any((picture == side).all() for side in (true, true[:, :, ::-1]))]  # fmt: skip
            seen.add(which)
        for clip in batch["clip"].numpy():
            assert clip.shape == (5, 32, 32, 3)
            sides = known[-1], known[-1][:, :, ::-1]
            (start,) = [first for first in range(5) if any((clip == side[first : first + 5]).all() for side in sides)]
            starts.add(start)
    assert seen == set(range(5))
    assert len(starts) > 2


def test_a_folder_of_which_nothing_can_be_read(source, tmp_path):
    folder = tmp_path / "prepared"
    folder.mkdir()
    (folder / "manifest.jsonl").write_text(Record(file="3.png", kind="picture").model_dump_json() + "\n")
    with pytest.raises(DataError, match="lists no media to train on"):
        FrameBatches(folder, source, batch=4, clip_share=0, seed=0, settings=SETTINGS, cached=True)
