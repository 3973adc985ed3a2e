"""Clips: files <-> uint8 arrays (F frames, Y rows, X columns, 3 colours) on an exact grid of times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from triptych.errors import MediaError
from triptych.files import write_atomically
from triptych.media import container
from triptych.media.image import fit
from triptych.media.limits import LOCAL, Limits

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".3gp", ".mts", ".m2ts")
ANIMATED = (".gif", ".webp")
WRITABLE = (".mp4", ".gif", ".webp")


@dataclass(frozen=True)
class Clip:
    """Frames at exact times.

    Args:
        frames: uint8 (F, Y, X, 3).
        times: float64 (F,), seconds from the start of the file.
        fps: frames a second.
    """

    frames: np.ndarray
    times: np.ndarray
    fps: float


@dataclass(frozen=True)
class VideoInfo:
    """What a clip's file says of itself: seconds, pixels as shown, mean frames a second, codec's name."""

    duration: float
    width: int
    height: int
    fps: float
    codec: str


def probe(path: Path | str, *, limits: Limits = LOCAL, scan: bool = False) -> VideoInfo:
    """Read a clip's header.

    Args:
        path: the file.
        limits: what is refused.
        scan: take the duration from the packets instead of the header, which may be wrong; reads the whole
            file, decodes nothing.

    Raises:
        MediaError: not a clip, or too large.
    """
    with container.opened(path, limits) as source:
        seconds = source.measure() if scan or not source.duration else source.duration
        return VideoInfo(seconds, *source.shown_size(), source.fps, source.codec)


def read(
    path: Path | str,
    *,
    fps: float = 8.0,
    frames: int | None = 17,
    start: float = 0.0,
    size: int | None = 224,
    limits: Limits = Limits(),
) -> Clip:
    """Read `frames` frames at the times start + i / fps, each the last one shown at that time.

    The last frame is repeated for one interval at most, so a clip may come shorter than asked.

    Args:
        path: the file: MP4, MOV, Matroska, WebM, AVI, MPEG, animated GIF or WebP.
        fps: frames a second to take.
        frames: how many at most; None for all.
        start: seconds from the beginning of the file.
        size: each frame scaled and cropped to size x size as `image.fit` does; None keeps it as it is.
        limits: what is refused; `LOCAL` for files on one's own disk.

    Raises:
        MediaError: not a clip, damaged, without picture, too large, or over before `start`.
    """
    if frames is not None and frames < 1:
        raise ValueError(f"frames must be at least 1, not {frames}")
    kept: list[np.ndarray] = []
    for _, pixels, _ in samples(path, fps, start, size, limits):
        if len(kept) >= limits.video_frames:
            raise MediaError(
                path,
                f"holds more than the {limits.video_frames:g} frames allowed at {fps:g} a second",
                "ask for fewer with frames= or fps=",
            )
        kept.append(pixels)
        if len(kept) == frames:
            break
    if not kept:
        raise MediaError(path, f"is over before {start:g} s", "start earlier")
    return Clip(np.stack(kept), start + np.arange(len(kept)) / fps, fps)


def samples(
    path: Path | str, fps: float, start: float = 0.0, size: int | None = None, limits: Limits = LOCAL
) -> Iterator[tuple[float, np.ndarray, bool]]:
    """Yield (time, pixels, whether the time lies within the clip's duration) on the grid start + i / fps, as they come.

    Args:
        path: the file, or `container.LIVE` for standard input.
        fps: samples a second.
        start: seconds from the beginning of the file.
        size: as in `read`.
        limits: what is refused.
    """
    last: container.Shown | None = None
    pixels = np.empty(0)
    for time, shown, within in shown_at(path, fps, start, limits):
        if shown is not last:
            last, pixels = shown, pixels_of(shown, size)
        yield time, pixels, within


def shown_at(
    path: Path | str, fps: float, start: float = 0.0, limits: Limits = LOCAL, between: int = 1
) -> Iterator[tuple[float, container.Shown, bool]]:
    """As `samples`, with frames that aren't scaled yet; good until the next is asked for.

    Args:
        path, fps, start, limits: as in `samples`.
        between: so many times as many samples: every such is one of the grid start + i / fps.
    """
    if not (0 < fps <= 1000):
        raise ValueError(f"fps must be above 0 and at most 1000, not {fps}")
    if not 0 <= start < math.inf:
        raise ValueError(f"start must be 0 or later, not {start}")
    index = 0
    with container.opened(path, limits) as source:
        late = min(source.tolerance, 0.1 / fps)  # files round times: a frame this late still counts as in time
        shown: container.Shown | None = None
        for following in source.frames(start):
            while shown is not None and start + index / between / fps < following.time - late:
                yield start + index / between / fps, shown, True
                index += 1
            shown = following
        if shown is None:
            raise container.no_frame(path)
        end = shown.time + max(shown.duration, 1 / fps)
        while start + index / between / fps < end - late:
            yield (
                start + index / between / fps,
                shown,
                start + index / between / fps < shown.time + shown.duration - late,
            )
            index += 1


def segments(
    path: Path | str,
    *,
    fps: float = 8.0,
    frames: int = 17,
    size: int | None = 224,
    start: float = 0.0,
    limits: Limits = LOCAL,
) -> Iterator[Clip]:
    """Yield windows of `frames` frames from `start` on; each begins with the last frame of the one before.

    The last window is filled by repeating its last frame; a rest of a single frame makes no window of its
    own, but a clip of one frame makes one. Memory is that of one window.
    """
    if frames < 2:
        raise ValueError(f"a window has at least 2 frames, not {frames}")
    kept: list[np.ndarray] = []
    first, own = 0, 0  # index of kept[0]; frames of this window that lie within the clip's duration
    for _, pixels, within in samples(path, fps, start, size, limits):
        kept.append(pixels)
        own += within
        if len(kept) == frames:
            yield _clip(kept, frames, start + first / fps, fps)
            kept, first, own = [pixels], first + frames - 1, int(within)
    if own >= 2 or (first == 0 and kept):
        yield _clip(kept, frames, start + first / fps, fps)


def check_writable(path: Path | str) -> None:
    """Raise MediaError if a clip can't be written under this name."""
    suffix = Path(path).suffix
    if suffix.lower() not in WRITABLE:
        kind = suffix or "a file without suffix"
        raise MediaError(path, f"can't write clips as {kind}", f"use one of {', '.join(WRITABLE)}")


def write(path: Path | str, frames: np.ndarray, fps: float = 8.0) -> None:
    """Write uint8 (F, Y, X, 3) as MP4 (H.264), GIF or WebP, by suffix, whole or not at all.

    MP4 needs even sides: an odd one gains a row or column, a copy of the last.

    Raises:
        MediaError: unknown suffix, or the disk refuses.
    """
    path = Path(path)
    check_writable(path)
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise ValueError(f"a clip is uint8 (F, Y, X, 3), not {frames.dtype} {frames.shape}")
    if not (0 < fps <= 1000):
        raise ValueError(f"fps must be above 0 and at most 1000, not {fps}")
    encode: Callable[[Path, np.ndarray, float], None] = (
        _write_mp4 if path.suffix.lower() == ".mp4" else _write_animation
    )
    try:
        write_atomically(path, lambda temporary: encode(temporary, frames, fps))
    except OSError as error:
        raise MediaError(path, f"can't be written: {error.strerror or error}") from None


def pixels_of(shown: container.Shown, size: int | None) -> np.ndarray:
    """A frame as uint8 (Y, X, 3), upright; `size` as in `read`. swscale scales where that makes it smaller."""
    if size is None:
        return shown.rgb(*shown.size)
    width, height = shown.size
    short = min(width, height)
    if short > size and max(width, height) < 16 * short:
        width, height = max(size, round(width * size / short)), max(size, round(height * size / short))
        pixels = shown.rgb(width, height)
        height, width = pixels.shape[:2]
        top, left = (height - size) // 2, (width - size) // 2
        return np.ascontiguousarray(pixels[top : top + size, left : left + size])
    return fit(shown.rgb(width, height), size)


def _clip(kept: list[np.ndarray], frames: int, start: float, fps: float) -> Clip:
    filled = kept + [kept[-1]] * (frames - len(kept))
    return Clip(np.stack(filled), start + np.arange(frames) / fps, fps)


def write_stream(path: Path | str, frames: Iterable[np.ndarray], fps: float = 8.0) -> None:
    """Write frames uint8 (Y, X, 3) of one size as MP4 (H.264) while they come, in the memory of a few of them.

    Args:
        path: an .mp4 file; it appears whole or not at all.
        frames: at least one.
        fps: frames a second.

    Raises:
        MediaError: another suffix, no frame, or the disk refuses.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise MediaError(path, f"can't write long clips as {path.suffix or 'a file without suffix'}", "use .mp4")
    try:
        write_atomically(path, lambda temporary: _write_mp4(temporary, frames, fps))
    except OSError as error:
        raise MediaError(path, f"can't be written: {error.strerror or error}") from None


def cut(path: Path | str, out: Path | str, start: float, end: float, *, limits: Limits = LOCAL) -> None:
    """Write the part of a clip from `start` to `end` seconds as MP4: its own size, upright, without sound.

    It begins with the frame shown at `start`, be that a key frame or not; frames come at the clip's mean rate.

    Raises:
        MediaError: the clip can't be read or is over before `start`; `out` is no .mp4 or can't be written.
    """
    rate = min(60.0, max(1.0, probe(path, limits=limits).fps or 30.0))
    count = max(1, round((end - start) * rate))
    grid = (pixels for _, pixels, _ in samples(path, rate, start, None, limits))
    first = next(grid, None)
    if first is None:
        raise MediaError(path, f"is over before {start:g} s", "start earlier")
    write_stream(out, itertools.islice(itertools.chain([first], grid), count), rate)


def _write_mp4(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as output:
        encoder = output.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "medium"})
        for number, pixels in enumerate(frames):
            height, width = pixels.shape[:2]
            if number == 0:
                encoder.width, encoder.height, encoder.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
                context = encoder.codec_context
                context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
                context.color_range = 1  # limited
                context.thread_count = 1  # the same bytes on every machine
            even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            output.mux(encoder.encode(picture.reformat(format="yuv420p", dst_colorspace="ITU709")))
        output.mux(encoder.encode(None))


def _write_animation(path: Path, frames: np.ndarray, fps: float) -> None:
    tick = 10 if path.suffix.lower() == ".gif" else 1  # the format's unit of time, in milliseconds
    ends = np.maximum(np.round(np.arange(len(frames) + 1) * 1000 / fps / tick), np.arange(len(frames) + 1)) * tick
    pictures: Iterable[Image.Image] = (Image.fromarray(pixels) for pixels in frames[1:])
    options: dict[str, Any] = {"quality": 90, "method": 4} if tick == 1 else {}
    Image.fromarray(frames[0]).save(
        path, save_all=True, append_images=pictures, duration=[int(d) for d in np.diff(ends)], loop=0, **options
    )
