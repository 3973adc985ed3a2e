"""Text -> a short clip; also a picture or the beginning of a clip -> how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from triptych.errors import ConfigError
from triptych.generate.grammar import DrawMap, Step, Write
from triptych.results import Film
from triptych.sequence import spell
from triptych.sequence.layout import Row
from triptych.sequence.vocab import Special
from triptych.tasks import learned
from triptych.tasks.common import Media, Medium, Model, chunks, sampling
from triptych.tasks.settings import PICTURES_ONLY, DrawSettings, usual


def film(
    model: Model,
    text: str,
    seeds: Sequence[int],
    *,
    settings: DrawSettings,
    start: Media | None = None,
    frames: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Film]:
    """Draw clips of a text.

    Args:
        model: what draws; it must have learned from clips (the spellings `film` and `predict`).
        text: what happens; may be empty.
        seeds: one a clip.
        settings: how; of the model's own size, one candidate each.
        start: a picture or clip that the drawn one goes on from; its frames come first.
        frames: of the whole clip, 1 + 4k; those that the model learned if not given.
        progress: called with (done, all) positions.

    Returns:
        one film a seed.

    Raises:
        ConfigError: a number of frames that the model can't draw, or settings that are for pictures only.
        ModelError: the model has not learned to draw clips.
    """
    learned.need(model, "predict" if start is not None else "film")
    info, known = model.bundle.info, model.read([start])[0]
    count = info.frames if frames is None else frames
    given = len(known.maps) if known else 0
    if count % info.visual.span != 1 or not 1 + given * info.visual.span <= count + info.visual.span <= 4 * info.frames:
        span = info.visual.span
        raise ConfigError(f"frames={count}: give 1 + {span}k, more than the start has, up to {4 * info.frames}")
    own = usual("film")
    for name in PICTURES_ONLY:
        if (value := getattr(settings, name)) not in (getattr(own, name), "none"):
            raise ConfigError(
                f"{name}={value!r} is for pictures: films are drawn at the model's own size, one candidate each, "
                "without a plan; leave it out"
            )
    if settings.any_order:
        raise ConfigError("decode='parallel' draws pictures; for a film use exact or speculative")
    maps = 1 + (count - 1) // info.visual.span
    parts = list(chunks(seeds))
    films = []
    for number, part in enumerate(parts):
        outputs = model.engine.generate(
            [_prompt(model, text, known)] * len(part),
            [step for index in range(given, maps) for step in _steps(model, index)],
            [sampling(settings, seed, conditional=bool(text or known or settings.negative)) for seed in part],
            unconditional=[_prompt(model, settings.negative, known)] * len(part),
            window=settings.window,
            progress=progress and _part(progress, number, len(parts)),
        )
        first = [map_.codes for map_ in known.maps] if known else []
        clips = model.project([np.stack([*first, *output.maps]) for output in outputs])
        films += [
            Film(pixels, info.fps, text, seed, asdict(settings), model.label)
            for pixels, seed in zip(clips, part, strict=True)
        ]
    return films


def _prompt(model: Model, text: str, known: Medium | None) -> Row:
    """As `predict` is spelled where something is given, else as `film`."""
    ids = model.encode(text)
    if known is None:
        return spell.film_prompt(model.begin(), ids).finish()
    info = model.bundle.info
    builder = spell.clip(model.begin(), known.maps, model.encode, info.fps, info.visual.span)
    return spell.predict_prompt(builder, ids).finish()


def _steps(model: Model, index: int) -> tuple[Step, Step]:
    info = model.bundle.info
    time = model.encode(spell.time_text(spell.time_of(index, info.fps, info.visual.span)))
    side = model.codes // model.gpt.config.group
    return Write((int(Special.TIME), *time)), DrawMap(side, side)


def _part(progress: Callable[[int, int], None], number: int, parts: int) -> Callable[[int, int], None]:
    return lambda done, total: progress(number * total + done, parts * total)
