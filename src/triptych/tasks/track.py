"""A clip -> what stands where at each of its times, and what will as it goes on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from triptych.clip_results import Track
from triptych.errors import ConfigError, ModelError
from triptych.generate.sample import Sampling
from triptych.sequence import spell
from triptych.tasks import moving, naming, planning
from triptych.tasks.common import Media, Medium, Model, language_of


def track(
    model: Model, medium: Media, *, text: str = "", ahead: float = 0.0, language: str = "", start: float = 0.0
) -> Track:
    """Tell what stands where, as at least half of the framings of the clip and of its frames have it, by the names that
    the pixels show.

    Args:
        model: what tells.
        medium: a picture, an array of frames, or a file of a clip, of which one window from `start` on is read.
        text: an instruction that is being followed ("push the red cube"); empty for none.
        ahead: seconds to go on after what was seen, told by the likeliest words, rounded up to times that are told.
        language: of the words; "" takes that of the text.
        start: where in a clip's file to begin, in seconds.

    Returns:
        the things at each time that the model reads apart (0.5 s, for the shipped one).

    Raises:
        ConfigError: `ahead` goes beyond one window, or a language that the model doesn't write.
        ModelError: the model has not learned where things are in clips.
        MediaError: the file can't be read.
    """
    if not planning.is_learned(model, "track"):
        raise ModelError(
            f"{model.label} has not learned where things are in clips: train it on clips with `objects` "
            "(docs/data.md), with the spellings `track` and `predict` in its mix"
        )
    info = model.bundle.info
    step = info.visual.span / info.fps
    most = (info.frames - 1) // info.visual.span
    drawn = math.ceil(ahead / step - 1e-6)
    if ahead < 0 or drawn > most:
        raise ConfigError(f"ahead={ahead}: give seconds from 0 to {most * step:g}, one window of {info.name}")
    language = model.language(language) if language else language_of(text)
    frames = model.frames(medium, start=start, filled=False)
    seen = replace(_framed(model, frames, start), pixels=frames[:: info.visual.span])
    (told,) = planning.seen(model, [seen], text, language)
    ending = moving.at_end(frames, told, info.visual.span)
    told[-1] = tuple(one.thing for one in ending)
    names = naming.by_pixels(model, frames[:: info.visual.span], told, language)
    if drawn:
        last = frames[-(1 + info.visual.span * (most - drawn)) :]  # as much as leaves room in a window
        shown = [_framed(model, last, start)]
        told += moving.go_on(model, shown, [told], [ending], text, drawn, [Sampling(0.0)], language)[0]
    times = [start + spell.time_of(index, info.fps, info.visual.span) for index in range(len(told))]
    return Track(tuple(times), tuple(names.of(things) for things in told), len(seen.maps), text, model.label)


def _framed(model: Model, frames: np.ndarray, start: float) -> Medium:
    maps, *others = model.look_framed([frames], model.framings)[0]
    return Medium(maps, (start, start), tuple(others))
