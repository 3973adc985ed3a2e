"""Shots and segments of clips that are made here: cuts where they are, none where they are not."""

import io
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.media.clips import numbered, save
from triptych.errors import MediaError
from triptych.media import shots, video

COLOURS = [(200, 40, 40), (40, 160, 60), (50, 60, 200), (220, 210, 60), (90, 90, 90)]


def shot(colour: int, count: int, size: int = 64) -> np.ndarray:
    """A square that moves over a floor of one colour."""
    frames = np.zeros((count, size, size, 3), np.uint8) + np.array(COLOURS[colour], np.uint8)
    for i, frame in enumerate(frames):
        place = (3 * i) % (size - 16)
        frame[20:36, place : place + 16] = 255 - np.array(COLOURS[colour])
    return frames


def found(frames: np.ndarray, fps: float = 8) -> list[int]:
    told = list(shots.cuts(map(shots.histogram, frames), fps))
    assert len(told) == len(frames)
    return [i for i, cut in enumerate(told) if cut]


def test_cuts_are_found_where_they_are() -> None:
    assert found(np.concatenate([shot(0, 17), shot(1, 5), shot(2, 40), shot(3, 9)])) == [17, 22, 62]


def test_motion_flashes_and_flicker_are_no_cuts() -> None:
    moving = shot(0, 40)
    assert found(moving) == []
    flash = moving.copy()
    flash[20] = 255
    assert found(flash) == []
    flicker = np.stack([frame // (1 + i % 2) for i, frame in enumerate(moving)])
    assert found(flicker) == []


def test_a_dissolve_is_one_change() -> None:
    rng = np.random.default_rng(0)
    one, two = (np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))) for _ in range(2))
    mixed = [one * (1 - w) + two * w for w in np.linspace(0, 1, 12)]
    frames = np.stack([one] * 9 + mixed + [two] * 9).astype(np.uint8)
    assert len(found(frames)) == 1
    assert 10 <= found(frames)[0] <= 21


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_clips(count: int) -> None:
    assert found(shot(0, count)) == []


def test_segments_lie_inside_shots(tmp_path) -> None:
    frames = np.concatenate([shot(0, 40), shot(1, 12), shot(2, 17)])
    video.write(tmp_path / "a.mp4", frames)
    parts = list(shots.segments(tmp_path / "a.mp4", size=64))
    assert [(p.shot, p.start, p.end, len(p.frames)) for p in parts] == [
        (0, 0.0, 2.0, 17), (0, 2.0, 4.0, 17), (0, 4.0, 5.0, 8), (1, 5.0, 6.5, 12), (2, 6.5, 8.5, 17),
    ]  # fmt: skip
    for part in parts:
        first = round(part.start * 8)
        assert np.abs(part.frames.astype(int) - frames[first : first + len(part.frames)]).mean() < 4
        assert 0 <= part.key < len(part.frames)
    later = list(shots.segments(tmp_path / "a.mp4", size=64, start=6))
    assert [(p.shot, p.start, p.end) for p in later] == [(0, 6.0, 6.5), (1, 6.5, 8.5)]
    with pytest.raises(MediaError, match="is over before 9 s"):
        list(shots.segments(tmp_path / "a.mp4", start=9))


@pytest.mark.parametrize(("count", "ends"), [(1, [0.125]), (2, [0.25]), (17, [2.0]), (18, [2.0, 2.25])])
def test_short_rests(tmp_path, count: int, ends: list[float]) -> None:
    video.write(tmp_path / "a.mp4", shot(0, count))
    assert [part.end for part in shots.segments(tmp_path / "a.mp4", size=32)] == ends


@pytest.mark.parametrize(("suffix", "options"), [("mp4", {"movflags": "+faststart"}), ("mkv", {}), ("mts", {})])
def test_a_pipe_is_read_as_it_comes(tmp_path, monkeypatch, suffix: str, options: dict[str, str]) -> None:
    path = save(tmp_path / f"a.{suffix}", np.concatenate([shot(0, 40), shot(1, 40)]), fps=8, options=options)
    expected = [(p.shot, p.start, p.end) for p in shots.segments(path, size=64)]

    class Pipe(io.RawIOBase):
        data = io.BytesIO(path.read_bytes())

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            part = self.data.read(min(len(buffer), 4096))
            buffer[: len(part)] = part
            return len(part)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe()))
    got = [(p.shot, p.start, p.end) for p in shots.segments("-", size=64)]
    assert got == expected
    assert len(got) > 3


def test_what_a_pipe_cannot_give_is_told(tmp_path) -> None:
    late = save(tmp_path / "late.mp4", numbered(60)).read_bytes()  # its index stands at the end
    code = "from triptych.media import shots; list(shots.segments('-'))"
    for data in (b"", b"hello", late[: len(late) // 2]):
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=False)
        assert b"standard input: holds no clip that can be read as it comes" in done.stderr
