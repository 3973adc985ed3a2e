"""What is to be drawn: a text, what comes before it, and a canvas of which some may be given.

Y, X rows and columns of codes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from triptych.errors import ConfigError, ModelError
from triptych.generate.engine import UNKNOWN
from triptych.media import image
from triptych.sequence import plan as plans
from triptych.tasks import learned, planning
from triptych.tasks.common import Media, Medium, Model
from triptych.tasks.settings import PLANS, DrawSettings


@dataclass(frozen=True)
class Request:
    """One picture to draw.

    Args:
        text: what to draw; may be empty.
        seed: of its random numbers: a picture depends on its own seed, not on its neighbours.
        settings: how.
        views: pictures and clips that come before the text, as the model reads them.
        codes: (Y, X) what is given, UNKNOWN where it is to be drawn; None draws all, at the size of the settings.
        guided_from_views: guidance leads away from the views without the text, instead of from nothing.
        original, kept: pixels uint8 and bool (rows, columns) that say which of them stay as they are; None for none.
        before: (Y, X) codes of the original: where they come again, its pixels stay; given where no plan changes them.
    """

    text: str
    seed: int
    settings: DrawSettings = field(default_factory=DrawSettings)
    views: tuple[Medium, ...] = ()
    codes: np.ndarray | None = None
    guided_from_views: bool = False
    original: np.ndarray | None = None
    kept: np.ndarray | None = None
    before: np.ndarray | None = None

    @property
    def candidates(self) -> int:
        """How many are drawn: where nothing could tell them apart, neither a text or views (by the plans made of them)
        nor given parts, one."""
        told = self.text or self.views or (self.codes is not None and bool((self.codes != UNKNOWN).any()))
        return self.settings.best_of if told else 1


def checked(model: Model, request: Request) -> Request:
    """A request that can be drawn, with its canvas; ConfigError or ModelError tell what is wrong with another."""
    for text in (request.text, request.settings.negative):
        model.encode(text)
    if request.views:
        learned.need(model, "edit" if request.guided_from_views else "view")
    given = request.settings.plan not in PLANS
    if given and not planning.is_learned(model):
        raise ModelError(f"{model.label} has not learned to draw by a plan (docs/data.md, `objects`): leave it out")
    for thing in plans.parse(request.settings.plan) if given else ():
        model.encode(thing.words)
    if request.settings.any_order:
        if given:
            raise ConfigError("decode='parallel' draws without a plan; by one, use exact or speculative")
        if request.views:
            raise ConfigError(
                "decode='parallel' draws from texts and given parts; after pictures, use exact or speculative"
            )
        if "shuffle bits/code" not in model.bundle.info.bits:
            raise ModelError(
                f"{model.label} has not learned to draw in any order: train it with the spelling `shuffle` in its mix, "
                "or use decode=exact"
            )
    settings = request.settings
    if request.views and not request.text and not planning.is_learned(model, "view"):
        settings = replace(settings, best_of=1)  # nothing could tell its candidates apart
    return replace(request, settings=settings, codes=blank(model, settings) if request.codes is None else request.codes)


def blank(model: Model, settings: DrawSettings) -> np.ndarray:
    """(Y, X) a canvas on which nothing is given; ConfigError names the nearest size that can be drawn."""
    cell = model.bundle.info.visual.stride * model.gpt.config.group
    sides = []
    for name in ("height", "width"):
        asked = getattr(settings, name) or model.bundle.info.size
        if asked % cell:
            raise ConfigError(
                f"{name}={asked}: give a multiple of {cell}, such as {max(1, round(asked / cell)) * cell}"
            )
        sides.append(asked // model.bundle.info.visual.stride)
    return np.full(sides, UNKNOWN)


def source(model: Model, media: Media) -> np.ndarray:
    """A picture to work on, uint8 (Y, X, 3): as it is where the model can draw its size, else scaled and cut.

    The short side becomes the model's own; of the long side, the middle stays, as long as whole cells fit.
    """
    pixels = model.pixels(media)
    cell, size = model.bundle.info.visual.stride * model.gpt.config.group, model.bundle.info.size
    height, width = pixels.shape[:2]
    if height % cell == 0 and width % cell == 0 and min(height, width) >= size and max(height, width) <= 4 * size:
        return pixels
    scale = size / min(height, width)
    sides = [max(size, min(4 * size, int(side * scale + 1e-6) // cell * cell)) for side in (height, width)]
    return image.fit(pixels, (sides[0], sides[1]))


def encode(model: Model, pixels: np.ndarray) -> np.ndarray:
    """Codes (Y, X) of a picture uint8 whose sides are whole cells."""
    return model.look([pixels[None]])[0][0].codes.astype(np.int64)
