"""What common codecs make of a picture at the bytes of a tokenizer: baselines of reconstruction."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from triptych.evaluate import metrics


def codecs(originals: list[np.ndarray], budget: int) -> dict[str, list[np.ndarray]]:
    """Each picture as JPEG and WebP at `budget` bytes, by name; at their lowest quality where even that takes more.

    Args:
        originals: uint8 (Y, X, 3).
        budget: bytes a picture. The names tell the mean of the real ones.
    """
    out = {}
    for codec in ("JPEG", "WebP"):
        files = [_encoded(pixels, codec, budget) for pixels in originals]
        size = round(float(np.mean([len(file) for file in files])))
        out[f"{codec}, {size} bytes"] = [_decoded(file) for file in files]
    scaled = [_scaled(pixels, budget) for pixels in originals]
    size = round(float(np.mean([len(file) for file, _ in scaled])))
    out[f"WebP of a smaller picture, {size} bytes"] = [pixels for _, pixels in scaled]
    return out


def _encode(picture: Image.Image, codec: str, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, codec, quality=quality, **({"method": 6} if codec == "WebP" else {"optimize": True}))
    return file.getvalue()


def _encoded(pixels: np.ndarray, codec: str, budget: int) -> bytes:
    """The best quality within the budget, else the lowest quality."""
    picture = Image.fromarray(pixels)
    low, high = 0, 95
    best = _encode(picture, codec, low)
    if len(best) > budget:
        return best
    while low < high:
        middle = (low + high + 1) // 2
        file = _encode(picture, codec, middle)
        if len(file) <= budget:
            low, best = middle, file
        else:
            high = middle - 1
    return best


def _scaled(pixels: np.ndarray, budget: int) -> tuple[bytes, np.ndarray]:
    """WebP of the picture scaled down until it fits the budget, and scaled up again; of all sides the best PSNR."""
    best: tuple[float, bytes, np.ndarray] | None = None
    whole = Image.fromarray(pixels)
    for part in (0.75, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05):
        side = (max(4, round(whole.width * part)), max(4, round(whole.height * part)))
        file = _encoded(np.asarray(whole.resize(side, Image.Resampling.LANCZOS)), "WebP", budget)
        again = np.asarray(Image.fromarray(_decoded(file)).resize(whole.size, Image.Resampling.BICUBIC))
        value = metrics.psnr(again, pixels) if len(file) <= budget else -math.inf
        if best is None or value > best[0]:
            best = value, file, again
    assert best is not None
    return best[1], best[2]


def _decoded(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
