"""Pictures: every mode and format right, every damaged file refused in one sentence."""

import contextlib
import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from triptych.errors import MediaError
from triptych.media import image
from triptych.media.limits import LOCAL, Limits

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def corners() -> np.ndarray:
    """A picture whose four quarters differ: red, green / blue, white."""
    pixels = np.full((40, 60, 3), 255, np.uint8)
    pixels[:20, :30], pixels[:20, 30:], pixels[20:, :30] = RED, GREEN, BLUE
    return pixels


def encoded(picture: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def close(actual: np.ndarray, expected: np.ndarray, most: float = 8.0) -> bool:
    return actual.shape == expected.shape and np.abs(actual.astype(int) - expected).mean() < most


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_formats(corners: np.ndarray, format: str) -> None:
    pixels = image.read(encoded(Image.fromarray(corners), format))
    assert pixels.dtype == np.uint8
    assert close(pixels, corners)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(corners: np.ndarray, orientation: int) -> None:
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # the inverse of what is stored
    stored = Image.fromarray(corners)
    stored = stored if back is None else stored.transpose(Image.Transpose(back))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for format in ("JPEG", "PNG", "WEBP"):
        assert close(image.read(encoded(stored, format, exif=exif.tobytes())), corners)


def test_cmyk(corners: np.ndarray) -> None:
    assert close(image.read(encoded(Image.fromarray(corners).convert("CMYK"), "JPEG")), corners, 12)


def test_sixteen_bits() -> None:
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = image.read(encoded(Image.fromarray(values), "PNG"))
    assert np.array_equal(pixels[..., 0], values >> 8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_modes(mode: str) -> None:
    grey = Image.fromarray(np.full((9, 7), 255, np.uint8)).convert(mode)
    assert np.array_equal(image.read(encoded(grey, "PNG")), np.full((9, 7, 3), 255))


def test_transparency_is_over_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30, 200, 0, 0])
    for format in ("PNG", "WEBP"):
        assert (image.read(encoded(clear, format, lossless=True)) == 255).all()
        assert (abs(image.read(encoded(half, format, lossless=True)).astype(int) - 127) <= 1).all()
    for format in ("PNG", "GIF"):
        assert (image.read(encoded(palette, format, transparency=0)) == 255).all()
    assert (image.read(encoded(palette, "PNG", transparency=b"\x80\xff")) > 100).all()
    assert (image.read(encoded(Image.new("RGB", (8, 8), RED), "PNG", transparency=RED)) == 255).all()


def test_animations(tmp_path, corners: np.ndarray) -> None:
    first, second = Image.fromarray(corners), Image.fromarray(255 - corners)
    for suffix in ("gif", "webp"):
        path = tmp_path / f"moving.{suffix}"
        first.save(path, save_all=True, append_images=[second], duration=100)
        assert image.is_animated(path)
        assert close(image.read(path), corners, 8)
        first.save(path)
        assert not image.is_animated(path)
    first.save(tmp_path / "still.png")
    assert not image.is_animated(tmp_path / "still.png")
    with pytest.raises(MediaError):
        image.is_animated(tmp_path / "missing.gif")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_truncated(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise), format)
    for length in (40, len(whole) // 4, len(whole) // 2, len(whole) - 40):
        with pytest.raises(MediaError, match=r"truncated; copy or download it again$"):
            image.read(whole[:length])


def test_png_without_its_last_bytes() -> None:
    whole = encoded(Image.fromarray(np.zeros((80, 80, 3), np.uint8)), "PNG")
    for cut in (8, 12, 16, 30):
        with pytest.raises(MediaError, match=r"truncated|damaged"):
            image.read(whole[:-cut])


def test_a_flipped_byte_is_read_or_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    random = np.random.default_rng(1)
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        whole = encoded(Image.fromarray(noise), format)
        for _ in range(150):
            damaged = bytearray(whole)
            damaged[random.integers(len(damaged))] = random.integers(256)
            with contextlib.suppress(MediaError):
                pixels = image.read(bytes(damaged))
                assert pixels.ndim == 3
                assert pixels.dtype == np.uint8


def test_refusals(tmp_path) -> None:
    text = tmp_path / "notes.jpg"
    text.write_text("shopping list")
    tiff = tmp_path / "scan.png"
    Image.new("RGB", (9, 9)).save(tiff, "TIFF")
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    cases = [
        ("notes.jpg", "is not a JPEG"),
        ("scan.png", "is not a JPEG"),
        ("empty.png", "empty"),
        ("pipe.png", "regular"),
        ("", "regular"),
        ("missing.png", "no such file"),
        ("a\0b.png", "not a file name"),
    ]
    for name, reason in cases:
        with pytest.raises(MediaError, match=reason):
            image.read(tmp_path / name)


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    compressor = zlib.compressobj(9)
    row = b"\0" * (width * 3 + 1)
    body = b"".join(compressor.compress(row) for _ in range(8)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_decompression_bombs_are_refused_by_their_header(tmp_path) -> None:
    (tmp_path / "bomb.png").write_bytes(bomb(12000, 9000))
    for width, height in ((4097, 4097), (9000, 1), (20000, 20000), (60000, 60000)):
        with pytest.raises(MediaError, match=r"pixels are more than|more pixels than"):
            image.read(bomb(width, height))
    with pytest.raises(MediaError, match=r"bomb.png: 12000x9000 pixels .*; scale it down"):
        image.read(tmp_path / "bomb.png")
    with pytest.raises(MediaError, match="MiB"):
        image.read(b"\xff" * 1000, limits=Limits(image_bytes=999))
    assert LOCAL.image_pixels > Limits().image_pixels


def test_odd_files_give_no_warning() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 30
    apng = encoded(Image.new("RGB", (8, 8)), "PNG")
    apng = apng[:33] + struct.pack(">I", 3) + b"acTL" + b"\0\0\0" + struct.pack(">I", 0) + apng[33:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image.read(encoded(Image.new("RGB", (8, 8)), "JPEG", exif=exif))
        with pytest.raises(MediaError):
            image.read(apng)
        assert warnings.filters[0][0] == "error"


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 2), (224, 224), (300, 200), (3, 7)])
def test_fit_shapes(shape: tuple[int, int]) -> None:
    fitted = image.fit(np.full((*shape, 3), 77, np.uint8))
    assert fitted.shape == (224, 224, 3)
    assert (fitted[112, 112] == 77).all()


def test_fit_takes_any_side_to_any_size() -> None:
    """Rounding must not ask for pixels beyond the picture: 111 to 22 once did."""
    for side in range(50, 340, 7):
        for size in (16, 22, 82, 100, 166, 190, 223, 224):
            for shape in ((side, 224), (224, side), (side, side + 37)):
                assert image.fit(np.zeros((*shape, 3), np.uint8), size).shape == (size, size, 3)
    assert image.fit(np.zeros((111, 224, 3), np.uint8), 22).shape == (22, 22, 3)


def test_fit_keeps_the_centre_and_does_not_alias() -> None:
    stripes = np.zeros((400, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(image.fit(stripes, 50).astype(int) - 127).max() < 12
    half = np.zeros((100, 300, 3), np.uint8)
    half[:, 150:] = 255
    fitted = image.fit(half, 50)
    assert fitted[:, :24].max() < 30
    assert fitted[:, 26:].min() > 225


def test_a_large_jpeg_may_come_smaller(corners: np.ndarray) -> None:
    large = Image.fromarray(corners).resize((1200, 800), Image.Resampling.NEAREST)
    data = encoded(large, "JPEG", quality=95)
    reduced = image.read(data, at_least=100)
    assert 100 <= min(reduced.shape[:2]) < 800
    assert close(image.fit(reduced, 64), image.fit(image.read(data), 64), 3)
    assert image.read(data, at_least=900).shape == (800, 1200, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".PNG"])
def test_write_and_metadata(tmp_path, corners: np.ndarray, suffix: str) -> None:
    path = tmp_path / "new" / f"out{suffix}"
    metadata = {"prompt": "红色的球 <b>&", "seed": "7"}
    image.write(path, corners, metadata)
    assert close(image.read(path), corners)
    assert image.read_metadata(path) == metadata
    image.write(path, corners)
    assert image.read_metadata(path) == {}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_write_refuses(tmp_path, corners: np.ndarray) -> None:
    with pytest.raises(MediaError, match=r"\.tiff; use one of \.png, \.jpg, \.jpeg, \.webp"):
        image.write(tmp_path / "out.tiff", corners)
    with pytest.raises(ValueError, match="uint8"):
        image.write(tmp_path / "out.png", corners.astype(np.float32))
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="can't be written"):
        image.write(tmp_path / "file" / "out.png", corners)
