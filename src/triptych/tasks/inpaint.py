"""A picture and a mask -> the picture with what the mask covers drawn anew; and a picture -> a larger one around it.

The model draws line by line. A cell that is drawn anew knows the text and all codes above it and to its left, kept or
drawn, so the upper and left seams of a hole fit; it knows nothing of what is kept below and to its right, so the
lower and right seams fit by chance, and what a hole cuts in two may not meet again. `best_of` draws several fillings
and takes one in proportion to how likely the kept codes behind the hole are after it; 8 or 16 help, at their cost.
The same holds for outpaint: what is added on the right and below follows the picture, what is added above and on the
left is drawn before it. With `decode="parallel"` (see generate.engine) all that is kept is read first, wherever it
stands, and all seams are seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triptych.errors import ConfigError
from triptych.generate.engine import UNKNOWN
from triptych.media.image import fit
from triptych.tasks.common import Media, Model
from triptych.tasks.request import Request, encode, source
from triptych.tasks.settings import LARGEST, DrawSettings

BRIGHT = 127  # a mask is white above this


def inpaint(
    model: Model,
    text: str,
    seed: int,
    settings: DrawSettings,
    *,
    image: Media,
    mask: Media | None = None,
    box: Sequence[int] | None = None,
) -> Request:
    """Draw what a mask covers anew; every other pixel stays as it was.

    Args:
        model: what draws.
        text: what the whole picture shows; may be empty.
        seed: of its random numbers.
        settings: how.
        image: the picture.
        mask: a picture of the same size, or bool (Y, X): what is brighter than half is drawn anew.
        box: instead of a mask, left, top, right and bottom in pixels of the picture.

    Returns:
        the request; see tasks.canvas.

    Raises:
        ConfigError: neither a mask nor a box, one of another size, or one that covers nothing.
    """
    original = model.pixels(image)
    pixels = source(model, original)
    chosen = fit(_mask(model, original.shape[:2], mask, box), pixels.shape[:2])[..., 0] > BRIGHT
    if not chosen.any():
        raise ConfigError("the mask covers nothing: what is to be drawn anew is white in it")
    codes = encode(model, pixels)
    codes[_cells(chosen, codes.shape, model.gpt.config.group)] = UNKNOWN
    return Request(text, seed, settings, codes=codes, original=pixels, kept=~chosen)


def outpaint(
    model: Model,
    text: str,
    seed: int,
    settings: DrawSettings,
    *,
    image: Media,
    left: int = 0,
    top: int = 0,
    right: int = 0,
    bottom: int = 0,
) -> Request:
    """Draw around a picture.

    Args:
        model: what draws.
        text: what the whole picture shows; may be empty.
        seed: of its random numbers.
        settings: how.
        image: the picture; its pixels stay as they are.
        left, top, right, bottom: pixels to add on each side, rounded up to whole cells.

    Returns:
        the request; see tasks.canvas.

    Raises:
        ConfigError: nothing is added, or the picture becomes too large.
    """
    if min(left, top, right, bottom) < 0 or not any((left, top, right, bottom)):
        raise ConfigError("outpaint adds pixels on a side: give left, top, right or bottom, from 0")
    pixels, stride = source(model, image), model.bundle.info.visual.stride
    cell = stride * model.gpt.config.group
    sides = [-(-side // cell) * cell for side in (top, bottom, left, right)]
    grown = np.pad(pixels, (sides[:2], sides[2:], (0, 0)))
    if max(grown.shape) > LARGEST:
        raise ConfigError(f"the picture would have {grown.shape[1]}x{grown.shape[0]} pixels: at most {LARGEST} a side")
    kept = np.pad(np.ones(pixels.shape[:2], bool), (sides[:2], sides[2:]))
    codes = np.pad(encode(model, pixels), [[side // stride for side in pair] for pair in (sides[:2], sides[2:])],
                   constant_values=UNKNOWN)  # fmt: skip
    return Request(text, seed, settings, codes=codes, original=grown, kept=kept)


def _mask(model: Model, shape: tuple[int, ...], mask: Media | None, box: Sequence[int] | None) -> np.ndarray:
    """The mask as uint8 (Y, X, 3) of the picture's shape, white where it is to be drawn anew."""
    if (mask is None) == (box is None):
        raise ConfigError("inpaint takes a mask or a box: give one of them")
    if box is not None:
        if len(box) != 4:
            raise ConfigError(f"box={list(box)}: give left, top, right and bottom in pixels")
        left, top, right, bottom = (max(0, int(side)) for side in box)
        if left >= min(right, shape[1]) or top >= min(bottom, shape[0]):
            raise ConfigError(
                f"box={','.join(map(str, box))} covers nothing of {shape[1]}x{shape[0]} pixels: give left, top, right "
                "and bottom, counted from the upper left"
            )
        white = np.zeros((*shape, 3), np.uint8)
        white[top:bottom, left:right] = 255
        return white
    if isinstance(mask, np.ndarray) and mask.dtype == bool and mask.ndim == 2:
        mask = np.repeat(mask[..., None] * np.uint8(255), 3, 2)
    assert mask is not None
    white = model.pixels(mask)
    if white.shape[:2] != shape:
        sides = [f"{columns}x{rows}" for rows, columns in (white.shape[:2], shape)]
        raise ConfigError(f"the mask has {sides[0]} pixels, the picture {sides[1]}: make them alike")
    return white


def _cells(chosen: np.ndarray, shape: tuple[int, ...], group: int) -> np.ndarray:
    """(Y, X) bool: the codes of cells in which any pixel is chosen."""
    rows, columns = shape[0] // group, shape[1] // group
    cells = chosen.reshape(rows, chosen.shape[0] // rows, columns, -1).any((1, 3))
    return np.kron(cells, np.ones((group, group), bool))
