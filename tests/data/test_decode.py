"""Records -> frames: windows, what is true of each, order, and files that fail."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.media import moving, scene
from tests.media.clips import numbered, numbers, save
from triptych.data.decode import decode, window_record, windows
from triptych.data.records import Event, Question, Record, Text
from triptych.data.settings import PrepareConfig
from triptych.errors import MediaError
from triptych.media import image, video

SETTINGS = PrepareConfig(size=32, workers=2)


def record_of(path: Path, root: Path, **more: object) -> Record:
    """The record that cleaning would write."""
    if path.suffix in (".png", ".jpg"):
        return Record(file=str(path.relative_to(root)), kind="picture", **more)
    duration = video.probe(path, scan=True).duration if path.exists() else 2.0
    return Record(file=str(path.relative_to(root)), kind="clip", duration=duration, **more)


def test_a_picture(tmp_path) -> None:
    scene(1, 100).save(tmp_path / "a.png")
    record = record_of(tmp_path / "a.png", tmp_path)
    assert windows(record, SETTINGS) == [(0.0, 0.0)]
    assert np.array_equal(decode(record, tmp_path, SETTINGS)[0], image.fit(np.asarray(scene(1, 100)), 32))


@pytest.mark.parametrize("count", [1, 10, 30, 60, 61, 64, 120, 121, 200])
def test_windows_are_those_that_decode(tmp_path, count: int) -> None:
    record = record_of(save(tmp_path / "a.mp4", numbered(count, 16, 16) // 3), tmp_path)
    found = windows(record, SETTINGS)
    clips = list(video.segments(tmp_path / "a.mp4", size=32))
    assert [start for start, _ in found] == [clip.times[0] for clip in clips]
    assert found[-1][1] == pytest.approx(record.duration)
    for (start, end), clip in zip(found, clips, strict=True):
        assert start < end <= start + 2.0 + 0.13
        assert np.array_equal(decode(record, tmp_path, SETTINGS, start), clip.frames)
    with pytest.raises(MediaError, match="is over before 99 s"):
        decode(record, tmp_path, SETTINGS, 99)


def test_neighbouring_windows_share_a_frame(tmp_path) -> None:
    record = record_of(save(tmp_path / "a.mp4", numbered(60, 64, 64), fps=10), tmp_path)
    first, second = (decode(record, tmp_path, SETTINGS, start) for start in (0.0, 2.0))
    assert np.array_equal(first[-1], second[0])
    assert numbers(second) == [int((2 + i / 8) * 10 + 1e-6) for i in range(17)]


def test_what_is_true_of_a_window() -> None:
    record = Record(
        file="a.mp4",
        kind="clip",
        duration=6.0,
        label="ball",
        texts=[Text(text="a ball rolls")],
        qa=[Question(question="What?", answer="a ball")],
        events=[Event(start=s, end=e, text=t) for s, e, t in [(0, 1, "a"), (1.5, 4.5, "b"), (2, 2, "c"), (4, 6, "d")]],
    )
    parts = [window_record(record, start, end) for start, end in windows(record, SETTINGS)]
    assert [[(e.start, e.end, e.text) for e in part.events] for part in parts] == [
        [(0, 1, "a"), (1.5, 2, "b")],
        [(0, 2, "b"), (0, 0, "c")],
        [(0, 0.5, "b"), (0, 2, "d")],
    ]
    assert all(part.label == "ball" and part.texts == record.texts and not part.qa for part in parts)
    assert [part.duration for part in parts] == [2, 2, 2]
    short = record.model_copy(update={"duration": 2.125})
    assert [window_record(short, *window) for window in windows(short, SETTINGS)] == [short]


def test_one_frame_of_a_clip(tmp_path) -> None:
    record = record_of(moving(tmp_path / "a.mp4", 1, seconds=5), tmp_path)
    one = SETTINGS.model_copy(update={"frames": 1})
    assert windows(record, one) == [(0.0, record.duration)]
    assert np.array_equal(decode(record, tmp_path, one), decode(record, tmp_path, SETTINGS)[:1])
