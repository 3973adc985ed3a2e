"""How large a picture or clip may be, checked against its header before anything is decoded."""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from triptych.errors import MediaError

LONGEST_STILL = 600.0  # seconds one frame may last; timestamps that jump further are damaged
CONVERT = "convert it to MP4 with H.264, e.g. ffmpeg -i IN OUT.mp4"


@dataclass(frozen=True)
class Limits:
    """Bounds on one medium; the defaults are for files that strangers send.

    Args:
        image_bytes: size of a picture's file, in bytes.
        image_pixels: width x height of a picture, or of one frame of a clip.
        side: longest side of a picture or clip, in pixels.
        video_bytes: size of a clip's file, in bytes.
        video_seconds: length of a clip, in seconds.
        video_pixels: pixels decoded in one call, over all frames, kept or not.
        video_frames: frames kept by one call.
    """

    image_bytes: int = 16 * 2**20
    image_pixels: int = 2**24
    side: int = 8192
    video_bytes: int = 64 * 2**20
    video_seconds: float = 60.0
    video_pixels: float = 2**28
    video_frames: float = 64

    def check_file(self, path: Path | str, kind: str) -> int:
        """Size in bytes of a regular file that may be opened as `kind`, "picture" or "clip".

        Raises:
            MediaError: no such file, not a regular file, empty, or larger than allowed.
        """
        try:
            status = os.stat(path)
        except OSError as error:
            raise MediaError(path, os.strerror(error.errno or 0).lower()) from None
        except ValueError:
            raise MediaError(repr(str(path)), "is not a file name") from None
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(path, "is not a regular file", "name a file, not a folder or a device")
        self.check_bytes(path, status.st_size, kind)
        return status.st_size

    def check_bytes(self, path: object, size: int, kind: str) -> None:
        """Raise MediaError if `size` bytes are none, or more than a `kind` may have."""
        most = self.image_bytes if kind == "picture" else self.video_bytes
        if size == 0:
            raise MediaError(path, "the file is empty")
        if size > most:
            raise MediaError(
                path,
                f"{size / 2**20:.1f} MiB is more than the {most / 2**20:g} MiB allowed",
                "make it smaller" if kind == "picture" else "cut or compress it",
            )

    def check_size(self, path: object, width: int, height: int) -> None:
        """Raise MediaError if a picture or frame of `width` x `height` pixels is too large."""
        if width > self.side or height > self.side or width * height > self.image_pixels:
            raise MediaError(
                path,
                f"{width}x{height} pixels are more than the {self.image_pixels / 1e6:.1f} megapixels "
                f"or the side of {self.side} allowed",
                "scale it down",
            )

    def check_times(self, path: object, previous: float, time: float) -> None:
        """Raise MediaError if a frame at `time` seconds, behind one at `previous`, comes too late."""
        if time - previous > LONGEST_STILL:
            jump = f"its timestamps jump from {previous:.1f} s to {time:.1f} s"
            raise MediaError(path, jump, CONVERT)
        if previous > self.video_seconds:
            raise MediaError(path, f"lasts more than the {self.video_seconds:g} s allowed", "cut it")


LOCAL = Limits(
    image_bytes=2**28,
    image_pixels=2**27,
    side=2**15,
    video_bytes=2**50,
    video_seconds=math.inf,
    video_pixels=math.inf,
    video_frames=math.inf,
)
"""For files on one's own disk: clips of any length, pictures up to 134 megapixels."""
