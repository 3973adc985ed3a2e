"""Clips: exact times whatever the container, and every hostile file refused in one sentence."""

import contextlib
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tests.media.clips import numbered, numbers, save, save_sound
from triptych.errors import MediaError
from triptych.media import image, video
from triptych.media.limits import LOCAL, Limits

CONTAINERS = [
    ("mp4", "libx264", "yuv420p"),
    ("mov", "libx264", "yuv420p"),
    ("mkv", "libx264", "yuv420p"),
    ("webm", "libvpx-vp9", "yuv420p"),
    ("avi", "mpeg4", "yuv420p"),
    ("mpg", "mpeg2video", "yuv420p"),
    ("mts", "libx264", "yuv420p"),
]


def apart(frames: np.ndarray, expected: list[int]) -> int:
    """How far the numbers that frames carry are from those expected, at most."""
    return int(np.abs(np.array(numbers(frames)) - expected).max())


@pytest.mark.parametrize(("suffix", "codec", "pixels"), CONTAINERS)
def test_the_grid_is_exact_in_every_container(tmp_path, suffix: str, codec: str, pixels: str) -> None:
    path = save(tmp_path / f"clip.{suffix}", numbered(75), fps=25, codec=codec, pixel_format=pixels)
    clip = video.read(path, frames=17, fps=8)
    assert clip.frames.shape == (17, 224, 224, 3)
    assert np.array_equal(clip.times, np.arange(17) / 8)
    rounding = 1 if codec == "mpeg2video" else 0  # its own coarse greys
    assert apart(clip.frames, [int(i / 8 * 25 + 1e-6) for i in range(17)]) <= rounding
    later = video.read(path, frames=5, fps=8, start=1.5)
    assert later.times[0] == 1.5
    assert apart(later.frames, [int((1.5 + i / 8) * 25 + 1e-6) for i in range(5)]) <= rounding
    whole = video.read(path, frames=None, fps=25, size=None, limits=LOCAL)
    assert apart(whole.frames, list(range(75))) <= rounding
    info = video.probe(path)
    assert (info.width, info.height) == (64, 48)
    assert info.fps == pytest.approx(25, rel=0.01)
    assert info.duration == pytest.approx(3.0, abs=0.5 if suffix == "mpg" else 0.05)
    assert video.probe(path, scan=True).duration == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("suffix", ["mp4", "gif", "webp"])
def test_what_is_written_is_read(tmp_path, suffix: str) -> None:
    frames = numbered(17, 64, 96)
    for fps in (8, 5, 12.5):
        path = tmp_path / f"clip.{suffix}"
        video.write(path, frames, fps)
        clip = video.read(path, fps=fps, frames=None, size=None)
        assert clip.frames.shape == frames.shape
        assert np.abs(clip.frames.astype(int) - frames).max() <= 3
        assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_colours_survive(tmp_path) -> None:
    for height in (96, 720):
        frame = np.zeros((height, 96, 3), np.uint8)
        for i, colour in enumerate([(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30)]):
            frame[:, 24 * i : 24 * i + 24] = colour
        video.write(tmp_path / "a.mp4", np.stack([frame] * 3))
        back = video.read(tmp_path / "a.mp4", size=None).frames[0]
        assert np.abs(back.astype(int) - frame)[:, 12::24].max() <= 4
        untagged = save(tmp_path / "b.mp4", np.stack([frame[:96]] * 3))  # small ones are BT.601
        back = video.read(untagged, size=None).frames[0]
        assert np.abs(back.astype(int) - frame[:96])[:, 12::24].max() <= 4


def test_odd_sizes_are_padded_to_even_ones(tmp_path) -> None:
    video.write(tmp_path / "odd.mp4", numbered(3, 33, 51))
    assert video.read(tmp_path / "odd.mp4", size=None).frames.shape == (3, 34, 52, 3)
    save(tmp_path / "odd.mkv", numbered(3, 33, 51), codec="ffv1", pixel_format="yuv420p")
    assert video.read(tmp_path / "odd.mkv", size=None, fps=30).frames.shape == (3, 33, 51, 3)


def test_variable_frame_rate(tmp_path) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.52, 1.3, 1.34, 1.9, 2.0]
    for suffix in ("mp4", "mkv"):
        path = save(tmp_path / f"vfr.{suffix}", numbered(9), times)
        clip = video.read(path, fps=8, frames=17)
        expected = [max(n for n, t in enumerate(times) if t <= i / 8 + 1e-6) for i in range(17)]
        assert numbers(clip.frames) == expected


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_rotation_is_honoured(tmp_path, rotation: int, turns: int) -> None:
    frame = np.zeros((96, 160, 3), np.uint8)
    frame[:48, :80], frame[48:, 80:] = (250, 0, 0), (0, 0, 250)
    path = save(tmp_path / "turned.mp4", np.stack([frame] * 4), rotation=rotation)
    turned = np.rot90(frame, turns)
    info = video.probe(path)
    assert (info.height, info.width) == turned.shape[:2]
    shown = video.read(path, size=None).frames[0]
    assert np.abs(shown.astype(int) - turned).mean() < 5
    assert np.abs(video.read(path, size=48).frames[0].astype(int) - image.fit(turned, 48)).mean() < 8


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (64, 48), (50, 400), (600, 16), (226, 300)])
def test_frames_are_fitted_as_pictures_are(tmp_path, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
    frame = np.asarray(picture.resize(shape[::-1], Image.Resampling.BICUBIC))
    path = save(tmp_path / "clip.mkv", np.stack([frame] * 2), codec="ffv1", pixel_format="bgr0")
    fitted = video.read(path, frames=1).frames[0]
    assert np.abs(fitted.astype(int) - image.fit(frame)).mean() < 2


def test_the_last_frame_is_repeated_for_one_interval(tmp_path) -> None:
    clip = video.read(save(tmp_path / "a.mp4", numbered(60), fps=30), frames=None)
    assert len(clip.frames) == 17  # 0 to 2.0 s
    clip = video.read(save(tmp_path / "b.mp4", numbered(10), fps=30), frames=17)
    assert len(clip.frames) == 4
    slow = video.read(save(tmp_path / "c.mp4", numbered(3), fps=1), frames=None)
    assert len(slow.frames) == 24  # a frame of a slide show lasts its second
    with pytest.raises(MediaError, match=r"is over before 9 s; start earlier"):
        video.read(tmp_path / "a.mp4", start=9)


@pytest.mark.parametrize("count", [1, 2, 59, 60, 61, 63, 64, 65, 120, 130, 150])
def test_segments(tmp_path, count: int) -> None:
    path = save(tmp_path / "a.mp4", numbered(count) // 3 * 3 if count < 80 else numbered(count, 16, 16) // 2, fps=30)
    windows = list(video.segments(path, size=16))
    grid = video.read(path, frames=None, size=16, limits=LOCAL).frames
    for i, window in enumerate(windows):
        assert np.array_equal(window.times, i * 2.0 + np.arange(17) / 8)
        own = grid[16 * i : 16 * i + 17]
        assert np.array_equal(window.frames[: len(own)], own)
        assert (window.frames[len(own) :] == own[-1]).all()
    duration = count / 30
    assert len(windows) == max(1, sum(2.0 * i + 0.125 < duration - 1e-3 for i in range(10)))


def test_long_clips_take_constant_memory(tmp_path) -> None:
    def peak(count: int) -> int:
        path = save(tmp_path / "long.mp4", np.zeros((count, 128, 128, 3), np.uint8), fps=10)
        tracemalloc.start()
        for _ in video.segments(path, size=128):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(60)
    assert peak(600) < peak(60) * 1.2


def test_animations(tmp_path) -> None:
    pictures = [Image.fromarray(pixels) for pixels in numbered(5)]
    for suffix in ("gif", "webp"):
        path = tmp_path / f"a.{suffix}"
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=[100, 300, 50, 400, 150], lossless=True
        )
        assert numbers(video.read(path, fps=10, frames=None).frames) == [0, 1, 1, 1, 2, 3, 3, 3, 3, 4]
        assert video.probe(path).duration == pytest.approx(1.0)
        assert video.probe(path).fps == pytest.approx(10)
        pictures[0].save(path)
        with pytest.raises(MediaError, match="still picture"):
            video.read(path)


def test_refusals(tmp_path) -> None:
    whole = save(tmp_path / "whole.mp4", numbered(60, 240, 320), options={"movflags": "+faststart"}).read_bytes()
    late = save(tmp_path / "late.mp4", numbered(60, 240, 320)).read_bytes()
    (tmp_path / "secret.mp4").write_bytes(whole)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    (tmp_path / "m3u8.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.mp4\n")
    (tmp_path / "text.mp4").write_text("not a clip at all, but a letter to a friend\n" * 40)
    (tmp_path / "cut.mp4").write_bytes(late[: len(late) // 2])
    (tmp_path / "header.mp4").write_bytes(whole[: whole.index(b"mdat") + 8])
    (tmp_path / "empty.mp4").touch()
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.mp4", "PNG")
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.mp4", "JPEG")
    save(tmp_path / "none.mp4", numbered(1)[:0])
    save_sound(tmp_path / "sound.mp4")
    save(tmp_path / "frameless.avi", numbered(1)[:0], codec="mpeg4")
    cases = {
        "list.mp4": "not a clip of a known format",
        "m3u8.mp4": "not a clip of a known format",
        "text.mp4": "not a clip of a known format",
        "cut.mp4": "truncated",
        "empty.mp4": "empty",
        "picture.mp4": "not a clip",
        "photo.mp4": "not a clip",
        "sound.mp4": "has sound but no picture",
        "none.mp4": "no frame|no picture|damaged|truncated",
        "missing.mp4": "no such file",
        "": "regular file",
        "frameless.avi": "no frame|damaged",
        "header.mp4": "no frame|truncated|damaged",
    }
    for name, reason in cases.items():
        for action in (video.read, video.probe, lambda path: list(video.segments(path))):
            with pytest.raises(MediaError, match=reason) as caught:
                action(tmp_path / name)
            assert "\n" not in str(caught.value)
            assert "Errno" not in str(caught.value)


def test_a_header_that_claims_more_frames_gives_those_there_are(tmp_path) -> None:
    path = save(tmp_path / "a.mp4", numbered(60, 240, 320), options={"movflags": "+faststart"})
    noise = np.random.default_rng(0).integers(0, 255, (60, 120, 160, 3), dtype=np.uint8)
    path = save(tmp_path / "a.mp4", noise, options={"movflags": "+faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    clip = video.read(path, fps=30, frames=None)
    assert 20 <= len(clip.frames) <= 40
    assert video.probe(path).duration == pytest.approx(2.0)
    assert video.probe(path, scan=True).duration == pytest.approx(len(clip.frames) / 30, abs=0.1)


def test_limits(tmp_path) -> None:
    path = save(tmp_path / "a.mp4", numbered(75), fps=25)
    for limits, reason in [
        (Limits(video_bytes=100), "MiB"), (Limits(video_seconds=2), "lasts 3.0 s"), (Limits(side=50), "side of 50"),
        (Limits(image_pixels=2000), "pixels"), (Limits(video_pixels=20_000), "decoded megapixels"),
        (Limits(video_frames=5), "more than the 5 frames"),
    ]:  # fmt: skip
        with pytest.raises(MediaError, match=reason):
            video.read(path, limits=limits)
    pictures = [Image.fromarray(pixels) for pixels in numbered(9)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=500)
    with pytest.raises(MediaError, match="lasts more than"):
        video.read(tmp_path / "a.gif", limits=Limits(video_seconds=2), frames=None)


def test_names_are_never_taken_for_protocols(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.mp4", numbered(9)).rename(tmp_path / "concat:a%03d.mp4")
    assert len(video.read("concat:a%03d.mp4").frames) == 4
    with pytest.raises(MediaError, match="no such file"):
        video.read("http://127.0.0.1:1/a.mp4")


def test_damaged_bytes_never_break_out(tmp_path) -> None:
    random = np.random.default_rng(0)
    for suffix, codec in (("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4")):
        whole = save(tmp_path / f"whole.{suffix}", numbered(12), codec=codec).read_bytes()
        path = tmp_path / f"damaged.{suffix}"
        for _ in range(25):
            damaged = bytearray(whole)
            for place in random.integers(len(damaged), size=8):
                damaged[place] = random.integers(256)
            path.write_bytes(damaged)
            with contextlib.suppress(MediaError):
                video.read(path, size=32)


def test_nothing_is_printed(tmp_path) -> None:
    path = save(tmp_path / "a.mp4", numbered(12), options={"movflags": "+faststart"})
    data = bytearray(path.read_bytes())
    data[-200:] = b"\xff" * 200
    path.write_bytes(data)
    code = f"from triptych.media import video; video.read({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_write_refuses(tmp_path) -> None:
    with pytest.raises(MediaError, match=r"\.avi; use one of \.mp4, \.gif, \.webp"):
        video.write(tmp_path / "a.avi", numbered(2))
    with pytest.raises(ValueError, match="uint8"):
        video.write(tmp_path / "a.mp4", numbered(2)[0])
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="can't be written"):
        video.write(tmp_path / "file" / "a.mp4", numbered(2))
