"""The files that hold clips: opened by allow-list, their frames in the order of showing."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from triptych.errors import MediaError
from triptych.media import image
from triptych.media.animated import animated
from triptych.media.limits import CONVERT, LONGEST_STILL, Limits

FORMATS = "mov,matroska,avi,mpegts,mpeg"  # nothing that names other files, as concat or HLS lists do
CODECS = (
    "h264,hevc,av1,libdav1d,vp8,vp9,mpeg4,mpeg1video,mpeg2video,mjpeg,msmpeg4,msmpeg4v2,h263,prores,dnxhd,ffv1,"
    "rawvideo,png,aac,mp3,mp3float,ac3,opus,vorbis,flac,mp2,mp2float,pcm_s16le,pcm_s24le"
)
LIVE = "-"  # the name of a clip that comes in on standard input
STDIN = "standard input"  # how messages call it

_NO_STREAM = (
    "holds no clip that can be read as it comes (MPEG-TS, Matroska, WebM, AVI, or MP4 with its index in front)",
    "send another format, e.g. ffmpeg -i IN -f mpegts - | triptych watch -",
)
_UNSPECIFIED = 2
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class Shown(Protocol):
    """One decoded frame: its time and duration in seconds, its size (width, height) as stored."""

    time: float
    duration: float
    size: tuple[int, int]

    def rgb(self, width: int, height: int, *, rough: bool = False) -> np.ndarray:
        """The frame scaled to `width` x `height`, then turned upright: uint8 (Y, X, 3); quickly where rough will do."""
        ...


class Source(Protocol):
    """An open clip.

    `duration` (0 if unknown), `fps` (an animation's is that of its first frame) and `codec` come from the header;
    `tolerance` is the precision of the file's times in seconds.
    """

    duration: float
    fps: float
    codec: str
    tolerance: float

    def shown_size(self) -> tuple[int, int]:
        """Width and height after rotation."""
        ...

    def measure(self) -> float:
        """Seconds up to the end of the last frame, from the file's contents."""
        ...

    def frames(self, start: float) -> Iterator[Shown]:
        """Frames by time, from the one shown at `start` or earlier."""
        ...


@contextmanager
def opened(path: Path | str, limits: Limits) -> Iterator[Source]:
    """Open a clip by what it holds, whatever its name; `LIVE` is what comes in on standard input.

    Raises:
        MediaError: not a clip, without picture, or beyond `limits`; each in one sentence.
    """
    head = b"" if is_live(path) else _head(path, limits)
    if head.startswith((b"GIF87a", b"GIF89a")) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        with animated(path, limits) as source:
            yield source
        return
    stream = StreamSource(path, limits)
    try:
        if stream.duration > limits.video_seconds:
            most = f"more than the {limits.video_seconds:g} s allowed"
            raise MediaError(path, f"lasts {stream.duration:.1f} s, {most}", "cut it")
        yield stream
    finally:
        stream.close()


def no_frame(path: Path | str) -> MediaError:
    """What to raise where a clip was opened and not one of its frames can be decoded."""
    if is_live(path) or path == STDIN:
        return MediaError(STDIN, *_NO_STREAM)
    return MediaError(path, "no frame can be decoded", "copy or convert the clip again")


def is_live(path: Path | str) -> bool:
    """Whether a name means standard input: a source that is read once, as it comes."""
    return str(path) == LIVE


def _head(path: Path | str, limits: Limits) -> bytes:
    limits.check_file(path, "clip")
    try:
        with open(path, "rb") as file:
            return file.read(16)
    except PermissionError:
        raise MediaError(path, "permission denied", "allow reading it") from None


# A container's tags may hold bytes that are no text; from version 19 on PyAV reads them unasked.
_LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def _container(path: Path | str, limits: Limits) -> InputContainer:
    options = {
        "format_whitelist": FORMATS,
        "codec_whitelist": CODECS,
        "protocol_whitelist": "file",
        "max_pixels": str(int(min(limits.image_pixels * 2, 2**31 - 1))),  # codecs count padding too
    }
    # Unbuffered: a camera's frames are not held back until a buffer is full.
    source: Any = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer) if is_live(path) else None
    try:
        return av.open(source or "file:" + os.path.abspath(path), "r", options=options, **_LENIENT)
    except (av.FFmpegError, ValueError, OSError):
        raise MediaError("standard input" if source else path, *(_NO_STREAM if source else _why_not(path))) from None


def _why_not(path: Path | str) -> tuple[str, str]:
    with open(path, "rb") as file:
        head = file.read(16)
        file.seek(0)
        boxes = b"".join(iter(lambda: file.read(2**20), b"")) if os.path.getsize(path) < 2**26 else b"moov"
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"free", b"wide") or head.startswith(b"\x1a\x45\xdf\xa3"):
        if b"moov" not in boxes and head[4:8] in (b"ftyp", b"mdat", b"free", b"wide"):
            return image.TRUNCATED, "copy or download it again"
        return "is damaged and can't be opened", "copy or convert the clip again"
    return "is not a clip of a known format (MP4, MOV, MKV, WebM, AVI, MPEG, GIF, WebP)", CONVERT


class StreamFrame:
    """A frame that FFmpeg decoded."""

    def __init__(self, frame: av.VideoFrame, source: StreamSource, time: float, duration: float) -> None:
        self.time, self.duration = time, duration
        self._frame, self._source = frame, source
        self.turns = round(frame.rotation / 90) % 4  # quarter turns against the clock
        self.size = (max(1, round(frame.width * source.aspect)), frame.height)

    def rgb(self, width: int, height: int, *, rough: bool = False) -> np.ndarray:
        """See `Shown.rgb`."""
        frame, source = self._frame, self._source
        matrix: int | None = None
        if frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb:
            matrix = Colorspace.ITU709 if frame.height > 576 else Colorspace.ITU601  # as players guess
        try:
            scaled = (source.rough_scaler if rough else source.scaler).reformat(
                frame,
                width,
                height,
                "rgb24",
                src_colorspace=matrix,
                src_color_range=frame.color_range,
                dst_color_range=ColorRange.JPEG,
                interpolation=Interpolation.AREA if rough else EXACT,
                threads=1,
            )
        except (av.FFmpegError, ValueError):
            raise MediaError(source.path, "a frame has an unknown pixel format", CONVERT) from None
        return np.ascontiguousarray(np.rot90(scaled.to_ndarray(), self.turns))


class StreamSource:
    """A clip that FFmpeg reads."""

    tolerance = 1e-3  # Matroska rounds to milliseconds

    def __init__(self, path: Path | str, limits: Limits) -> None:
        self.live = is_live(path)
        self.path, self.limits = STDIN if self.live else path, limits
        self.file = _container(path, limits)
        try:
            self._choose(self.file)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _choose(self, file: InputContainer) -> None:
        """Take the first stream that holds moving pictures, and what its header says."""
        path, limits = self.path, self.limits
        streams = [s for s in file.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            reason = "has sound but no picture" if file.streams.audio else "has no picture"
            raise MediaError(path, reason, "name a clip with a video stream")
        self.stream = stream = streams[0]
        context = stream.codec_context
        if context is None or context.name not in CODECS.split(","):
            name = getattr(context, "name", "unknown")
            raise MediaError(path, f"its codec {name} is not supported", CONVERT)
        if not context.width or not context.height:
            raise MediaError(path, "holds no frames", "copy or convert the clip again")
        limits.check_size(path, context.width, context.height)
        context.thread_type = "AUTO"
        # A worker of a pool keeps to its own core.
        context.thread_count = 1 if os.environ.get("TRIPTYCH_WORKER") else min(4, os.cpu_count() or 1)
        self.codec = context.name.removeprefix("lib")
        self.fps = float(stream.average_rate or stream.base_rate or 0)
        self.base = float(stream.time_base or 0)
        seconds = (stream.duration or 0) * self.base or (file.duration or 0) / av.time_base
        self.duration = max(0.0, seconds)
        aspect = float(stream.sample_aspect_ratio or 1)
        self.aspect = aspect if 0.25 <= aspect <= 4 else 1.0
        self.scaler, self.rough_scaler = VideoReformatter(), VideoReformatter()  # each keeps tables for one size
        self._origin = stream.start_time
        self._fresh = True

    def shown_size(self) -> tuple[int, int]:
        """Width and height after rotation, known once a frame is decoded."""
        for shown in self.frames(0.0):
            width, height = shown.size
            return (height, width) if shown.turns % 2 else (width, height)
        raise no_frame(self.path)

    def measure(self) -> float:
        """Seconds up to the end of the last frame, by the packets, none of them decoded."""
        self._rewind()
        self._fresh = False
        first, last, before, length = math.inf, -math.inf, -math.inf, 0
        for packet in self._packets():
            time = packet.pts if packet.pts is not None else packet.dts
            if time is None or packet.is_discard or not packet.size:
                continue
            first = min(first, time)
            if time > last:
                before, last, length = last, time, packet.duration or 0
        if last == -math.inf:
            return 0.0
        origin = self._origin if self._origin is not None else first
        tail = length * self.base or (last - before) * self.base
        if not 0 < tail <= LONGEST_STILL:
            tail = 1 / self.fps if self.fps else 0.0
        return max(0.0, (last - origin) * self.base + tail)

    def frames(self, start: float) -> Iterator[StreamFrame]:
        """Frames by time, from the one shown at `start` or earlier."""
        if start <= 0 or not self._seek(start):
            self._rewind()
            yield from self._decode()
            return
        decoded = self._decode()
        first = next(decoded, None)
        if first is not None and first.time <= start + self.tolerance:
            yield first
            yield from decoded
        else:  # the file has no good index: walk there
            self._rewind()
            yield from self._decode()

    def _decode(self) -> Iterator[StreamFrame]:
        self._fresh = False
        interval = 1 / self.fps if self.fps else 0.0
        previous, pixels = None, 0
        for packet in self._packets():
            try:
                frames = packet.decode()
            except MemoryError:
                raise MediaError(self.path, "there is not enough memory to decode it", "scale it down") from None
            except (av.FFmpegError, ValueError):
                continue  # a damaged packet costs its own frames, no more
            for frame in frames:
                self.limits.check_size(self.path, frame.width, frame.height)
                pixels += frame.width * frame.height
                if pixels > self.limits.video_pixels:
                    most = self.limits.video_pixels / 1e6
                    raise MediaError(
                        self.path, f"holds more than {most:.0f} decoded megapixels", "cut it or scale it down"
                    )
                ticks = frame.pts if frame.pts is not None else frame.dts
                if self._origin is None:
                    self._origin = ticks or 0
                time = (ticks - self._origin) * self.base if ticks is not None else (previous or 0.0) + interval
                if previous is not None:
                    time = max(time, previous)
                    self.limits.check_times(self.path, previous, time)
                    interval = time - previous or interval
                length = (frame.duration or 0) * self.base
                yield StreamFrame(frame, self, time, length if 0 < length <= LONGEST_STILL else interval)
                previous = time

    def _packets(self) -> Iterator[Packet]:
        try:
            yield from self.file.demux(self.stream)
        except (av.FFmpegError, ValueError):
            return  # the file ends early: what came before it is good

    def _seek(self, seconds: float) -> bool:
        if self.live:
            return False
        self._fresh = False
        ticks = int(seconds / self.base) if self.base else 0
        try:
            self.file.seek(ticks + (self._origin or 0), stream=self.stream)
        except (av.FFmpegError, OverflowError, ValueError):
            return False
        return True

    def _rewind(self) -> None:
        """Go back to the start by opening the file again: seeking there fails in some containers."""
        if not self._fresh:
            self.file.close()
            self.file = _container(self.path, self.limits)
            self._choose(self.file)
