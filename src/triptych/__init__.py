"""Triptych: one GPT over text, image and video. It draws pictures, reads pictures and clips, answers questions.

>>> import triptych
>>> model = triptych.load("tabletop")                               # doctest: +SKIP
>>> model.draw("a red ball to the left of a blue cube")[0].save("out.png")   # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.errors import ConfigError, DataError, MediaError, MissingExtra, ModelError, TriptychError

if TYPE_CHECKING:
    from triptych.api import Triptych
    from triptych.clip_results import Timeline
    from triptych.results import Answer, Caption, Film, Match, Picture, Plan

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Caption",
    "ConfigError",
    "DataError",
    "Film",
    "Match",
    "MediaError",
    "MissingExtra",
    "ModelError",
    "Picture",
    "Plan",
    "Timeline",
    "Triptych",
    "TriptychError",
    "__version__",
    "load",
]

_LAZY = {
    "Triptych": "triptych.api",
    **dict.fromkeys(("Answer", "Caption", "Film", "Match", "Picture", "Plan"), "triptych.results"),
    "Timeline": "triptych.clip_results",
}


def load(name: str | Path = "tabletop", device: str = "auto", framings: int | None = None) -> Triptych:
    """Load a model by its name or folder; see `Triptych.load`."""
    from triptych.api import Triptych
    from triptych.tasks.settings import FRAMINGS

    return Triptych.load(name, device, FRAMINGS if framings is None else framings)


def __getattr__(name: str) -> Any:
    # Names that need torch or Pillow are imported when first used, so that `import triptych` is quick.
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'triptych' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
