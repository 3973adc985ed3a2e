"""Animated GIF and WebP as clips, read by Pillow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from triptych.errors import MediaError
from triptych.media import image
from triptych.media.limits import Limits


@contextmanager
def animated(path: Path | str, limits: Limits) -> Iterator[AnimatedSource]:
    """Open an animation; MediaError if it is a still picture, damaged, or beyond `limits`."""
    with image.quiet():
        try:
            picture = Image.open(path, formats=("GIF", "WEBP"))
        except Exception:
            raise MediaError(path, image.TRUNCATED, "copy or download it again") from None
        with picture:
            yield AnimatedSource(path, picture, limits)


class AnimatedFrame:
    """A frame of an animated GIF or WebP."""

    turns = 0

    def __init__(self, picture: Image.Image, time: float, duration: float) -> None:
        self.time, self.duration = time, duration
        self._picture = picture
        self.size = picture.size

    def rgb(self, width: int, height: int, *, rough: bool = False) -> np.ndarray:
        """See `Shown.rgb`."""
        picture = self._picture
        if (width, height) != picture.size:
            picture = picture.resize((width, height), Image.Resampling.BOX if rough else Image.Resampling.BICUBIC)
        return np.asarray(picture)


class AnimatedSource:
    """An animated GIF or WebP, read by Pillow."""

    duration = 0.0
    tolerance = 6e-3  # GIF counts hundredths of a second

    def __init__(self, path: Path | str, picture: Image.Image, limits: Limits) -> None:
        self.path, self.picture, self.limits = path, picture, limits
        self.codec = str(picture.format).lower()
        limits.check_size(path, *picture.size)
        self.fps = 1000 / (picture.info.get("duration", 0) or 100)
        lasting = picture.info.get("duration", 0)  # of one merged frame, when all are alike
        if not getattr(picture, "is_animated", False) and not lasting:
            raise MediaError(path, "is a still picture, not a clip", "read it as a picture")

    def shown_size(self) -> tuple[int, int]:
        """Width and height."""
        return self.picture.size

    def measure(self) -> float:
        """Seconds up to the end of the last frame."""
        return max((shown.time + shown.duration for shown in self.frames(0.0)), default=0.0)

    def frames(self, start: float) -> Iterator[AnimatedFrame]:
        """All frames by time; each is drawn upon the one before, so there is no short way to `start`."""
        time, pixels = 0.0, 0
        for index in itertools.count():
            pixels += self.picture.width * self.picture.height
            if pixels > self.limits.video_pixels:
                most = self.limits.video_pixels / 1e6
                raise MediaError(self.path, f"holds more than {most:.0f} decoded megapixels", "cut it or scale it down")
            try:
                self.picture.seek(index)
                self.picture.load()
                frame = image.to_rgb(self.picture)
            except MemoryError:
                raise MediaError(self.path, "there is not enough memory to decode it", "scale it down") from None
            except Exception:  # EOFError after the last frame, all sorts of errors in a damaged file
                return
            milliseconds = self.picture.info.get("duration", 0)
            if milliseconds <= (10 if self.codec == "gif" else 0):
                milliseconds = 100  # as browsers do
            self.limits.check_times(self.path, time, time + milliseconds / 1000)
            yield AnimatedFrame(frame, time, milliseconds / 1000)
            time += milliseconds / 1000
