"""Shots and segments of clips that are made here: cuts where they are, none where they are not."""

import io
import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.media.clips import numbered, save
from triptych.errors import MediaError
from triptych.media import boundaries, shots, video

COLOURS = [(200, 40, 40), (40, 160, 60), (50, 60, 200), (220, 210, 60), (90, 90, 90)]


def shot(colour: int, count: int, size: int = 64) -> np.ndarray:
    """A square that moves over a floor of one colour."""
    frames = np.zeros((count, size, size, 3), np.uint8) + np.array(COLOURS[colour], np.uint8)
    for i, frame in enumerate(frames):
        place = (3 * i) % (size - 16)
        frame[20:36, place : place + 16] = 255 - np.array(COLOURS[colour])
    return frames


def small(frame: np.ndarray) -> np.ndarray:
    width, height = boundaries.SIZE
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX))


def times(frames: np.ndarray, fps: float) -> list[float]:
    """Seconds of the boundaries, each told while it still could be."""
    finder, told = boundaries.Boundaries(), []
    for i, frame in enumerate(frames):
        before = finder.settled
        new = finder.see(i / fps, small(frame))
        assert all(time > before for time in new)
        assert finder.settled >= i / fps - boundaries.DELAY
        told += new
    return sorted(told + finder.end())


def found(frames: np.ndarray, fps: float = 8) -> list[int]:
    return [math.ceil(time * fps - 1e-6) for time in times(frames, fps)]


def texture(seed: int, side: int = 160) -> np.ndarray:
    """Blobs of many sizes and colours, float (side, side, 3)."""
    rng = np.random.default_rng(seed)
    layers = [np.kron(rng.uniform(0, 1, (n, n, 3)), np.ones((side // n, side // n, 1))) for n in (5, 10, 20, 40)]
    mixed = sum(layer * w for layer, w in zip(layers, (4, 3, 2, 1), strict=True)) / 10
    return np.clip((mixed - 0.5) * 2 + 0.5, 0, 1) * 255


def seen(picture: np.ndarray, tops: np.ndarray, lefts: np.ndarray, height: int = 72, width: int = 96) -> np.ndarray:
    """A camera that moves over a picture: uint8 (F, height, width, 3)."""
    return np.stack([
        picture[y : y + height, x : x + width] for y, x in zip(tops.astype(int), lefts.astype(int), strict=True)
    ]).astype(np.uint8)  # fmt: skip


def handheld(seed: int, count: int) -> np.ndarray:
    """A walk over a texture, with shakes."""
    rng = np.random.default_rng(seed + 100)
    tops, lefts = (np.clip(30 + rng.normal(0, 1.2, count).cumsum() + rng.normal(0, 1, count), 0, 60) for _ in "yx")
    return seen(texture(seed), tops, lefts)


def mixed(one: np.ndarray, other: np.ndarray, steps: int) -> np.ndarray:
    """One clip, then the other, with a dissolve of so many frames between."""
    shares = (np.arange(1, steps + 1) / (steps + 1))[:, None, None, None]
    between = (1 - shares) * one[-steps:] + shares * other[:steps]
    return np.concatenate([one[:-steps], between.astype(np.uint8), other[steps:]])


def test_cuts_are_found_where_they_are() -> None:
    assert found(np.concatenate([shot(0, 17), shot(1, 5), shot(2, 40), shot(3, 9)])) == [17, 22, 62]


def test_cuts_are_found_in_motion() -> None:
    """A camera that moves faster than it did hides no cut."""
    pan = seen(texture(0), np.full(48, 30), np.linspace(0, 63, 48))
    frames = np.concatenate([handheld(1, 40), pan, handheld(2, 40), handheld(3, 30)])
    assert found(frames, 24) == [40, 88, 128]


def test_motion_flashes_and_flicker_are_no_cuts() -> None:
    moving = shot(0, 40)
    assert found(moving) == []
    flash = moving.copy()
    flash[20] = 255
    assert found(flash) == []
    flicker = np.stack([frame // (1 + i % 2) for i, frame in enumerate(moving)])
    assert found(flicker) == []


@pytest.mark.parametrize("seed", range(6))
def test_a_camera_that_moves_cuts_nothing(seed: int) -> None:
    assert found(handheld(seed, 96), 24) == []
    assert found(seen(texture(seed), np.linspace(0, 80, 48), np.linspace(60, 0, 48)), 24) == []
    picture = Image.fromarray(texture(seed).astype(np.uint8))
    edges = np.linspace(0, 30, 60)  # 1.6 times as large after 2.5 seconds
    zoom = [picture.resize((96, 72), Image.Resampling.BILINEAR, (x, x, 160 - x, 160 - x)) for x in edges]
    assert found(np.stack(zoom), 24) == []


def test_light_that_changes_cuts_nothing() -> None:
    frames = handheld(4, 72).astype(float)
    ramp = np.clip(np.linspace(-0.5, 1.5, 72), 0, 1)[:, None, None, None]
    assert found((frames * (0.3 + 0.7 * ramp)).astype(np.uint8), 24) == []
    switched = frames.copy()
    switched[30:] *= 0.4
    assert found(switched.astype(np.uint8), 24) == []
    flashes = frames.copy()
    flashes[20:23] = 255 - (255 - flashes[20:23]) * 0.2  # an eighth of a second
    assert found(flashes.astype(np.uint8), 24) == []


def test_a_dissolve_is_one_change() -> None:
    rng = np.random.default_rng(0)
    one, two = (np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((8, 8, 1))) for _ in range(2))
    between = [one * (1 - w) + two * w for w in np.linspace(0, 1, 12)]
    frames = np.stack([one] * 9 + between + [two] * 9).astype(np.uint8)
    assert len(found(frames)) == 1
    assert 10 <= found(frames)[0] <= 21


@pytest.mark.parametrize("steps", [8, 12, 24, 36])
def test_a_dissolve_is_told_at_its_middle(steps: int) -> None:
    frames = mixed(handheld(0, 60), handheld(1, 70), steps)
    (time,) = times(frames, 24)
    assert time * 24 == pytest.approx(60 - steps / 2, abs=5)


def test_a_fade_through_black_is_one_change() -> None:
    dark = np.zeros((30, 72, 96, 3), np.uint8)
    out = mixed(handheld(0, 60), dark, 12)
    assert found(out, 24) == []  # darkness is no shot
    assert len(found(mixed(out, handheld(1, 60), 12), 24)) == 1


def test_what_was_seen_is_forgotten() -> None:
    finder = boundaries.Boundaries()
    held = []
    for i in range(400):
        finder.see(i / 24, small(shot(0, 1)[0]))
        held.append(len(finder._looks))
    assert max(held) == held[-1] < 60


def test_a_segment_comes_soon(tmp_path, monkeypatch) -> None:
    """No more than DELAY after its end is read, as a live source needs it."""
    video.write(tmp_path / "a.mp4", shot(0, 80))
    given: list[float] = []
    real = video.shown_at

    def counted(*arguments):
        for item in real(*arguments):
            given.append(item[0])
            yield item

    monkeypatch.setattr(video, "shown_at", counted)
    first = next(shots.segments(tmp_path / "a.mp4", size=32))
    assert first.end == 2.0
    assert given[-1] <= 2.0 + boundaries.DELAY + 0.13


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
    noise = np.random.default_rng(0).integers(0, 255, (60, 120, 160, 3), dtype=np.uint8)
    large = save(tmp_path / "large.mp4", noise).read_bytes()  # too far to its index to go back
    for data in (b"", b"hello", late[: len(late) // 2], large):
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=False)
        assert b"standard input: holds no clip that can be read as it comes" in done.stderr
