"""Small clips made on the spot: frame i carries its number as a grey level, so times can be checked."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

STEP = 3  # grey levels between one frame and the next


def numbered(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Frames (F, Y, X, 3); frame i is grey of 16 + STEP * i."""
    greys = (16 + STEP * np.arange(count)).astype(np.uint8)
    return np.broadcast_to(greys[:, None, None, None], (count, height, width, 3)).copy()


def numbers(frames: np.ndarray) -> list[int]:
    """The numbers that frames made by `numbered` carry."""
    return [int(n) for n in np.round((frames.mean(axis=(1, 2, 3)) - 16) / STEP)]


def save(
    path: Path,
    frames: np.ndarray,
    times: list[float] | None = None,
    *,
    fps: float = 30,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rotation: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode frames at `times` (seconds; default i / fps) in the container of the suffix."""
    with av.open(str(path), "w", options=options or {}) as output:
        stream = output.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixel_format
        stream.codec_context.thread_count, stream.bit_rate = 1, 8_000_000
        if codec == "mpeg2video":
            stream.codec_context.qmin, stream.codec_context.qmax = 1, 2
        if codec == "libx264":
            stream.options = {"crf": "10", "preset": "ultrafast", "g": "12"}
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 90000)
        if rotation:
            stream.set_display_rotation(rotation)
        output.start_encoding()
        for i, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pixel_format)
            if times is not None:
                frame.pts, frame.time_base = round(times[i] * 90000), Fraction(1, 90000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def save_sound(path: Path) -> Path:
    """A file with one second of silence and no picture."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000, layout="mono")
        for i in range(16):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, i * 1024
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
