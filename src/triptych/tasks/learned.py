"""What a model has learned to do, by the spellings that it was trained on."""

from __future__ import annotations

from triptych.errors import ModelError
from triptych.tasks.common import Model

_WHAT = {
    "edit": ("to change pictures", "pairs of pictures with an instruction"),
    "view": ("to draw what comes after pictures", "sequences of pictures"),
    "predict": ("how clips go on", "clips"),
    "film": ("to draw clips", "clips with texts"),
}


def need(model: Model, spelling: str) -> None:
    """Raise ModelError if a model is known not to have learned a spelling, of which it would make noise.

    What a training learned stands in the model's facts; models from before it did are let through, since the bits that
    they were measured by tell only what was among the media held out.
    """
    learned = model.bundle.info.made.get("spellings")
    if learned is not None and spelling not in learned:
        what, media = _WHAT[spelling]
        raise ModelError(
            f"{model.label} has not learned {what}: train it on {media} (docs/data.md), with `{spelling}` in its mix"
        )
