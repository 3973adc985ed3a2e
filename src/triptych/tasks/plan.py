"""What is to stand where: of a text, of a picture, or of a picture after an instruction."""

from __future__ import annotations

from triptych.errors import ConfigError, ModelError
from triptych.generate.sample import Sampling
from triptych.results import Plan
from triptych.tasks import naming, planning
from triptych.tasks.common import Media, Medium, Model, language_of


def plan(model: Model, text: str, *, image: Media | None, language: str, seed: int, temperature: float) -> Plan:
    """Tell what stands where.

    Args:
        model: what tells.
        text: what to draw; with a picture, an instruction that changes it, or nothing.
        image: a picture, of which the model reads the middle square; without a text, its own things are told.
        language: of the words; "" takes that of the text.
        seed, temperature: 0 tells the likeliest.

    Returns:
        the plan; what a model that has learned little writes may be empty.

    Raises:
        ConfigError: neither a text nor a picture, a number out of range, or a language that the model doesn't write.
        ModelError: the model has not learned plans.
        MediaError: the file is no picture.
    """
    if not text and image is None:
        raise ConfigError("plan takes a text, a picture, or both: give one")
    verb = "draw" if image is None else "edit" if text else "things"
    if not planning.is_learned(model, verb):
        of = {"draw": "plans", "edit": "plans of edits", "things": "to read plans off pictures"}[verb]
        raise ModelError(
            f"{model.label} has not learned {of}: train it on pictures with `objects` (docs/data.md), with the "
            "spellings `plan`, `lay` and `things`, and for edits `edit` and `foresee`, in its mix"
        )
    if not (0 <= temperature < float("inf") and 0 <= seed < 2**62):
        raise ConfigError(f"temperature={temperature}, seed={seed}: give numbers from 0")
    language = model.language(language) if language else language_of(text)
    frames = [] if image is None else [model.frames(model.pixels(image))]
    media = [Medium(maps, None) for maps in model.look(frames)]
    read = bool(media and not text)
    row = planning.reading(model, media[0], language) if read else planning.prompt(model, text, media, language)
    things = planning.write(model, [row], [Sampling(temperature, seed=seed)])[0]
    if read:
        things = naming.by_pixels(model, frames[0], [things], language).of(things)
    return Plan(text, things, model.label)
