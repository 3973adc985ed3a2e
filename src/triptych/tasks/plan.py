"""What is to stand where: of a text, of a picture, or of a picture after an instruction."""

from __future__ import annotations

from triptych.errors import ConfigError, ModelError
from triptych.generate.sample import Sampling
from triptych.results import Plan
from triptych.tasks import plans
from triptych.tasks.common import Media, Model


def plan(model: Model, text: str, *, image: Media | None, language: str, seed: int, temperature: float) -> Plan:
    """Tell what stands where.

    Args:
        model: what tells.
        text: what to draw; with a picture, an instruction that changes it, or nothing.
        image: a picture; without a text, its own things are told.
        language: of the words; "" takes that of the text.
        seed, temperature: 0 tells the likeliest.

    Returns:
        the plan; what a model that has learned little writes may be empty.

    Raises:
        ConfigError: neither a text nor a picture. ModelError: the model has not learned plans.
    """
    if not text and image is None:
        raise ConfigError("plan takes a text, a picture, or both: give one")
    if not plans.is_learned(model):
        raise ModelError(
            f"{model.label} has not learned plans: train it on pictures with `objects` (docs/data.md), with the "
            "spellings `plan` and `lay` in its mix"
        )
    media = [medium for medium in model.read([image]) if medium is not None]
    row = plans.prompt(model, text, media, language)
    things = plans.write(model, [row], [Sampling(temperature, 0, 1.0, seed)])[0]
    return Plan(text, tuple((thing.words, thing.box) for thing in things), model.label)
