"""Pictures: files <-> uint8 arrays (Y rows, X columns, 3 colours)."""

from __future__ import annotations

import io
import json
import math
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from triptych.errors import MediaError
from triptych.files import write_atomically
from triptych.media.limits import LOCAL, Limits

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
WRITABLE = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
TRUNCATED = "the file is truncated"

_ORIENTATION, _DESCRIPTION = 0x0112, 0x010E
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read(source: Path | str | bytes, *, limits: Limits = Limits(), at_least: int | None = None) -> np.ndarray:
    """Read a JPEG, PNG, WebP, GIF (first frame) or BMP as uint8 (Y, X, 3), upright, transparency over white.

    Args:
        source: a file's path, or its bytes.
        limits: sizes beyond which the file is refused before it is decoded.
        at_least: when given, a JPEG may come at 1/2, 1/4 or 1/8 of its size as long as its short side keeps
            this many pixels; decoding is then several times faster.

    Raises:
        MediaError: missing, too large, truncated, or not one of these formats.
    """
    name = _name(source)
    with _opened(source, limits) as picture:
        if at_least and picture.format in ("JPEG", "MPO") and min(picture.size) > at_least:
            shrink = min(picture.size) / at_least
            picture.draft(None, (int(picture.width / shrink) + 1, int(picture.height / shrink) + 1))
        try:
            picture.load()
            if picture.format == "PNG" and not _ended(source):
                raise OSError("truncated")
            return np.asarray(_upright(to_rgb(picture), picture))
        except MemoryError:
            raise MediaError(name, "there is not enough memory to decode it", "scale it down") from None
        except Exception as error:
            raise MediaError(name, *_explain(error, source)) from None


def fit(pixels: np.ndarray, size: int | tuple[int, int] = 224) -> np.ndarray:
    """Scale without aliasing until a side fits and keep the centre: (Y, X, 3) -> (size, size, 3), uint8.

    Args:
        pixels: the picture.
        size: side of a square, or (rows, columns).
    """
    rows, columns = (size, size) if isinstance(size, int) else size
    height, width = pixels.shape[:2]
    if (height, width) == (rows, columns):
        return pixels
    scale = min(height / rows, width / columns)
    # Rounded, a side that fits exactly may come out longer than the picture by the last bit.
    across, down = min(scale * columns, width), min(scale * rows, height)
    left, top = (width - across) / 2, (height - down) / 2
    box = (left, top, min(left + across, width), min(top + down, height))
    return np.asarray(_picture(pixels).resize((columns, rows), Image.Resampling.BICUBIC, box=box))


def sheet(pictures: Iterable[np.ndarray], side: int = 112) -> np.ndarray:
    """A contact sheet: pictures uint8 (Y, X, 3) of any sizes, small, in order, in about as many rows as columns."""
    cells = []
    for pixels in pictures:
        small = _picture(pixels)
        small.thumbnail((side, side), Image.Resampling.BICUBIC)
        cell = Image.new("RGB", (side, side), "white")
        cell.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
        cells.append(np.asarray(cell))
    columns = max(1, math.ceil(math.sqrt(len(cells))))
    cells += [np.full((side, side, 3), 255, np.uint8)] * (-len(cells) % columns or columns * (not cells))
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    return np.concatenate([np.concatenate(row, 1) for row in rows])


def check_writable(path: Path | str) -> str:
    """The format of a picture written under this name; MediaError for a suffix that none has."""
    suffix = Path(path).suffix
    if suffix.lower() not in WRITABLE:
        kind = suffix or "a file without suffix"
        raise MediaError(path, f"can't write pictures as {kind}", f"use one of {', '.join(WRITABLE)}")
    return WRITABLE[suffix.lower()]


def write(path: Path | str, pixels: np.ndarray, metadata: dict[str, str] | None = None, quality: int = 95) -> None:
    """Write uint8 (Y, X, 3) as PNG, JPEG or WebP, by suffix, replacing `path` whole or not at all.

    Args:
        path: where to; its suffix is one of WRITABLE.
        pixels: the picture.
        metadata: names and texts kept in the file: iTXt chunks in PNG, JSON in EXIF's description elsewhere.
        quality: 1 to 100, for JPEG and WebP.

    Raises:
        MediaError: unknown suffix, or the disk refuses.
    """
    path = Path(path)
    format = check_writable(path)
    picture = _picture(pixels)
    options: dict[str, object] = {}
    if format == "PNG":
        chunks = PngInfo()
        for key, text in (metadata or {}).items():
            chunks.add_itxt(key, text)
        options["pnginfo"] = chunks
        options["compress_level"] = 4  # a third of the time of the usual 6, for 4% more bytes of a drawn picture
    else:
        options["quality"] = quality
        if format == "JPEG":
            options["subsampling"] = 0
        if metadata:
            exif = Image.Exif()
            exif[_DESCRIPTION] = json.dumps(metadata)
            options["exif"] = exif
    try:
        write_atomically(path, lambda temporary: picture.save(temporary, format, **options))
    except (OSError, ValueError) as error:
        raise MediaError(path, f"can't be written: {_lower(error)}") from None


def thumbnail(pixels: np.ndarray, side: int = 160) -> bytes:
    """A picture uint8 (Y, X, 3) as a small JPEG, its middle square of `side` pixels."""
    out = io.BytesIO()
    _picture(fit(pixels, side)).save(out, "JPEG", quality=80)
    return out.getvalue()


def read_metadata(path: Path | str) -> dict[str, str]:
    """Names and texts that `write` kept in a picture; empty if there are none."""
    with _opened(path, LOCAL) as picture:
        try:
            if picture.format == "PNG":
                return {str(key): str(text) for key, text in getattr(picture, "text", {}).items()}
            value = json.loads(picture.getexif().get(_DESCRIPTION) or "{}")
            return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}
        except Exception:
            return {}


def size_of(path: Path | str, *, limits: Limits = Limits()) -> tuple[int, int]:
    """Width and height, upright, from the header alone; raises MediaError as `read` does."""
    with _opened(path, limits) as picture:
        width, height = picture.size
        return (height, width) if _orientation(picture) >= 5 else (width, height)


def is_animated(path: Path | str, *, limits: Limits = LOCAL) -> bool:
    """Whether a GIF or WebP holds more than one frame; other formats are stills.

    Raises:
        MediaError: the file can't be opened as a picture.
    """
    with _opened(path, limits) as picture:
        try:
            return picture.format in ("GIF", "WEBP") and bool(getattr(picture, "is_animated", False))
        except Exception as error:
            raise MediaError(path, *_explain(error, path)) from None


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert any mode to RGB: 16 bits to their upper 8, transparency composited over white."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture).astype(np.int64)
        return Image.fromarray(np.clip(values >> 8, 0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        above = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", above.size, "white"), above).convert("RGB")
    return picture.convert("RGB")


@contextmanager
def _opened(source: Path | str | bytes, limits: Limits) -> Iterator[Image.Image]:
    """Open without decoding, header checked against `limits`, Pillow's warnings kept quiet."""
    name = _name(source)
    if isinstance(source, bytes):
        limits.check_bytes(name, len(source), "picture")
    else:
        limits.check_file(source, "picture")
    with quiet():
        try:
            picture = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
        except Image.DecompressionBombError:
            raise MediaError(name, "has more pixels than allowed", "scale it down") from None
        except Exception as error:
            raise MediaError(name, *_explain(error, source)) from None
        with picture:
            limits.check_size(name, *picture.size)
            yield picture


class _Quiet:
    lock = threading.Lock()
    depth = 0
    catcher: warnings.catch_warnings | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings about odd files; safe when several threads read at once."""
    with _Quiet.lock:
        _Quiet.depth += 1
        if _Quiet.depth == 1:
            _Quiet.catcher = warnings.catch_warnings()
            _Quiet.catcher.__enter__()
            warnings.simplefilter("ignore")
    try:
        yield
    finally:
        with _Quiet.lock:
            _Quiet.depth -= 1
            if _Quiet.depth == 0 and _Quiet.catcher is not None:
                _Quiet.catcher.__exit__(None, None, None)


def _upright(rgb: Image.Image, opened: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(opened))
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(opened: Image.Image) -> int:
    try:
        return int(opened.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF: the pixels are still good
        return 1


def _ended(source: Path | str | bytes) -> bool:
    """Whether a PNG has its last chunk: Pillow is content once it has the pixels."""
    return b"IEND" in (source if isinstance(source, bytes) else Path(source).read_bytes())


def _explain(error: Exception, source: Path | str | bytes) -> tuple[str, str]:
    """Reason and remedy for what Pillow raised."""
    if isinstance(error, PermissionError):
        return "permission denied", "allow reading it"
    if isinstance(source, bytes):
        head, tail = source[:16], source[-4096:]
    else:
        with open(source, "rb") as file:
            head = file.read(16)
            file.seek(0, io.SEEK_END)
            file.seek(max(0, file.tell() - 4096))
            tail = file.read()
    known = _cut_short(head, tail, len(source) if isinstance(source, bytes) else Path(source).stat().st_size)
    if known or "truncated" in str(error).lower():
        return TRUNCATED, "copy or download it again"
    if isinstance(error, UnidentifiedImageError) and known is None:
        return "is not a JPEG, PNG, WebP, GIF or BMP picture", "convert it to PNG or JPEG"
    return "is damaged and can't be decoded", "copy or download it again"


def _cut_short(head: bytes, tail: bytes, size: int) -> bool | None:
    """Whether a file of a known format lacks its end; None for an unknown format."""
    if head.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" not in tail
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" not in tail
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return int.from_bytes(head[4:8], "little") + 8 > size
    if head.startswith((b"GIF87a", b"GIF89a")):
        return not tail.rstrip(b"\0").endswith(b";")
    if head.startswith(b"BM"):
        return int.from_bytes(head[2:6], "little") > size
    return None


def _picture(pixels: np.ndarray) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"a picture is uint8 (Y, X, 3), not {pixels.dtype} {pixels.shape}")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _name(source: Path | str | bytes) -> str:
    return "the picture" if isinstance(source, bytes) else str(source)


def _lower(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
