"""Which kind of medium a file is."""

from __future__ import annotations

from pathlib import Path

from triptych.errors import MediaError
from triptych.media import image, video
from triptych.media.limits import LOCAL


def is_clip(path: Path | str) -> bool:
    """Whether a file is a clip rather than a picture: by suffix, or by content where the suffix says nothing."""
    suffix = Path(path).suffix.lower()
    if suffix in video.SUFFIXES:
        return True
    if suffix in image.SUFFIXES:
        return suffix in video.ANIMATED and image.is_animated(path)
    LOCAL.check_file(path, "clip")
    for look, found in ((image.size_of, False), (video.probe, True)):
        try:
            look(path, limits=LOCAL)  # type: ignore[operator]
            return found
        except MediaError:
            pass
    kinds = ", ".join(suffix.lstrip(".") for suffix in (*image.SUFFIXES, *video.SUFFIXES))
    raise MediaError(path, "is neither a picture nor a clip", f"known kinds: {kinds}")
