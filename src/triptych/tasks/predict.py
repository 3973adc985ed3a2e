"""Frames, or one picture, with or without an instruction -> the frames that follow; k seeds, k futures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np

from triptych.clip_results import Future
from triptych.generate.grammar import DrawMap, Step, Write
from triptych.generate.sample import Sampling
from triptych.sequence import spell
from triptych.sequence.layout import Row
from triptych.sequence.plan import Thing
from triptych.sequence.vocab import Special
from triptych.tasks import kept, learned, moving, planning, verifying
from triptych.tasks.carried import carry
from triptych.tasks.common import Media, Medium, Model, chunks, counter, language_of
from triptych.tasks.settings import PredictSettings


def predict(
    model: Model,
    medium: Media,
    *,
    text: str = "",
    seconds: float = 1.0,
    seeds: Sequence[int] = (0,),
    start: float = 0.0,
    settings: PredictSettings = PredictSettings(),
    progress: Callable[[int, int], None] | None = None,
) -> list[Future]:
    """Draw what comes next.

    The model reads at most one window; what it has drawn is read in turn when more is asked for. One that has learned
    to tell where things will be does so first, and things come along with their own pixels (see tasks.carried); else,
    where nothing changes, the last given frame's own pixels stay.

    Args:
        model: what draws.
        medium: a picture, an array of frames, or a file of a clip, of which one window from `start` on is read.
        text: an instruction ("push the red cube"); empty for none.
        seconds: how far to go.
        seeds: one a future; a future depends on its own seed alone.
        start: where in a clip's file to begin, in seconds.
        settings: how.
        progress: called with (done, all) positions.

    Returns:
        one future a seed.

    Raises:
        ModelError: the model has not learned how clips go on.
    """
    learned.need(model, "predict")
    info = model.bundle.info
    span, most = info.visual.span, 1 + (info.frames - 1) // info.visual.span  # maps of a window
    given = model.frames(medium, start=start, filled=False)  # what fills a window up would stand still
    wanted = max(1, round(seconds * info.fps))
    films = [given] * len(seeds)
    rounds = _rounds(len(given), wanted, span, most)
    for number, (shown, drawn) in enumerate(rounds):
        contexts = [film[-(1 + span * (shown - 1)) :] for film in films]
        tell = counter(progress, number, len(rounds))
        later = _draw(model, contexts, text, drawn, seeds, number, settings, tell)
        films = [np.concatenate([film, more]) for film, more in zip(films, later, strict=True)]
    return [
        Future(film[len(given) : len(given) + wanted], given, info.fps, seed, text, asdict(settings), model.label)
        for film, seed in zip(films, seeds, strict=True)
    ]


def _rounds(given: int, wanted: int, span: int, most: int) -> list[tuple[int, int]]:
    """How many maps are shown and drawn in each round: as much is shown as leaves room for half a window."""
    rounds, known = [], 1 + (given - 1) // span
    left = -(-wanted // span)
    while left > 0:
        drawn = min(left, max(1, most // 2) if known >= most - most // 2 else most - known)
        rounds.append((min(known, most - drawn), drawn))
        known, left = known + drawn, left - drawn
    return rounds


def _draw(
    model: Model,
    contexts: Sequence[np.ndarray],
    text: str,
    drawn: int,
    seeds: Sequence[int],
    number: int,
    settings: PredictSettings,
    progress: Callable[[int, int], None] | None,
) -> list[np.ndarray]:
    """The frames of `drawn` more maps after each context."""
    info, side = model.bundle.info, model.codes // model.gpt.config.group
    out: list[np.ndarray] = []
    parts = list(chunks(list(zip(contexts, seeds, strict=True))))
    planned = settings.plan == "auto" and planning.is_learned(model, "track")
    look = None if model.bundle.verifier is None else partial(verifying.fit, model, language=language_of(text))
    for place, part in enumerate(parts):
        views = model.look_framed([frames for frames, _ in part], model.framings if planned else 1)
        media = [
            Medium(maps, (0.0, 1.0), tuple(others), frames[:: info.visual.span])
            for (frames, _), (maps, *others) in zip(part, views, strict=True)
        ]
        shown = len(media[0].maps)
        steps: list[Step] = []
        for index in range(shown, shown + drawn):
            stamp = model.encode(spell.time_text(spell.time_of(index, info.fps, info.visual.span)))
            steps += [Write((int(Special.TIME), *stamp)), DrawMap(side, side)]
        guided = replace(settings, guidance=settings.guidance if text else 1.0)
        how = [Sampling(**guided.sampling, seed=seed + 1_000_003 * number) for _, seed in part]
        prompts = [_prompt(model, medium, text) for medium in media]
        now: list[tuple[Thing, ...]] = [() for _ in part]
        later: list[list[tuple[Thing, ...]]] = [[] for _ in part]
        if planned:
            same = 1 if number else len(media)  # at first all seeds go on from the same clip
            told = planning.seen(model, media[::same], text, last=planning.ASKED - 1)
            shown_by = [frames for frames, _ in part[::same]]
            ending = [moving.at_end(*clip, info.visual.span) for clip in zip(shown_by, told, strict=True)] * same
            now = [tuple(one.thing for one in some) for some in ending]
            told = [[*plans[:-1], things] for plans, things in zip(told * same, now, strict=True)]
            later = moving.go_on(model, media, told, ending, text, drawn, how)
            prompts = [_by_plans(model, prompt, plans) for prompt, plans in zip(prompts, later, strict=True)]
        outputs = model.engine.generate(
            prompts,
            steps,
            how,
            unconditional=[_prompt(model, medium, "") for medium in media],
            progress=counter(progress, place, len(parts)),
        )
        before = [np.stack([map_.codes for map_ in medium.maps]) for medium in media]
        maps = [np.concatenate([b, o.maps]) for b, o in zip(before, outputs, strict=True)]
        films = [film[info.visual.span * (shown - 1) :] for film in model.project(maps)]
        for (frames, _), film, things, plans in zip(part, films, now, later, strict=True):
            if things or any(plans):
                out.append(carry(frames, film, things, plans, info.visual.span, draw_rest=bool(text), look=look))
            else:
                out.append(_kept(frames[-1], film))
    return out


def _by_plans(model: Model, prompt: Row, plans: Sequence[Sequence[Thing]]) -> Row:
    """A prompt with what is planned for each of the maps after it."""
    side, group = model.codes, model.gpt.config.group
    whole = slice(0, side), slice(0, side)
    return prompt.by([planning.beside(model, things, (side, side), whole) for things in plans], group)


def _kept(last: np.ndarray, film: np.ndarray) -> np.ndarray:
    """Drawn frames with the last given one's pixels where the drawing of it goes on as it was.

    Args:
        last: uint8 (size, size, 3), the last given frame.
        film: uint8 (1 + F, size, size, 3), the drawing of that frame, and those of the frames after it.
    """
    shares = kept.still(film[0], film[1:])
    return np.stack([kept.merged(frame, last, share) for frame, share in zip(film[1:], shares, strict=True)])


def _prompt(model: Model, medium: Medium, text: str) -> Row:
    return spell.predict_prompt(model.show(model.begin(), medium), model.encode(text)).finish()
