"""Plans of pictures: what is to stand where. The GPT writes them as text; drawings lay them beside their codes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from triptych.generate.grammar import Say
from triptych.generate.sample import Sampling
from triptych.media import framing
from triptych.sequence import spell
from triptych.sequence.layout import Row
from triptych.sequence.plan import CUT, Thing, agreed, laid, parse_what_can_be
from triptych.sequence.plan import write as as_text
from triptych.tasks.common import Medium, Model, chunks, ended, language_of
from triptych.tasks.reading import each_framing

LIMIT = 512  # ids of a plan
ASKED = 3  # times of a clip in one prompt
TEMPERATURE, TOP_P = 0.7, 0.95  # of plans that are drawn from; the likeliest would be the same for every seed


def is_learned(model: Model, verb: str = "draw") -> bool:
    """Whether a model writes plans and draws by them: of texts (draw), of next views (view), of edits (edit), of clips
    that go on (track); or reads them off pictures (things)."""
    planned = model.bundle.info.made.get("planned") if model.gpt.config.planned else None
    return planned is not None and (verb in planned or (verb == "draw" and planned != ["track"]))


def prompt(model: Model, text: str, media: Sequence[Medium], language: str = "") -> Row:
    """Ask what is to stand where in the picture that a text, or pictures before it, ask for."""
    builder = model.begin()
    for medium in media:
        model.show(builder, medium)
    return spell.plan_prompt(builder, model.encode(text), _tag(model, language or language_of(text))).finish()


def reading(model: Model, medium: Medium | None, language: str) -> Row:
    """Ask what stands where in a picture; in any one, without it."""
    return spell.things_prompt(model.show(model.begin(), medium), _tag(model, language)).finish()


def seen(model: Model, media: Sequence[Medium], text: str, language: str = "") -> list[list[tuple[Thing, ...]]]:
    """What stands where in pictures and clips at the time of each of their maps, by the likeliest words in all of their
    framings; `text` is an instruction that clips follow, or nothing."""
    language = language or language_of(text)
    framed = [each_framing(medium) for medium in media]
    prompts = [row for some in framed for view in some for row in _of_each_time(model, view, text, language)]
    told = iter(write(model, prompts, [Sampling(temperature=0)] * len(prompts)))
    return [_agreed(model, [list(itertools.islice(told, len(view.maps))) for view in some]) for some in framed]


def _of_each_time(model: Model, view: Medium, text: str, language: str) -> list[Row]:
    if view.times is None:
        return [reading(model, view, language)]
    return [_asked(model, view, text, {}, index, _tag(model, language)) for index in range(len(view.maps))]


def follow(
    model: Model,
    media: Sequence[Medium],
    text: str,
    drawn: int,
    sampling: Sequence[Sampling],
    language: str = "",
) -> list[list[tuple[Thing, ...]]]:
    """What stands where at the end of clips, and is to as they go on, as at least half of their framings tell it.

    Args:
        model: what tells.
        media: the clips, all of one length.
        text: an instruction, or nothing.
        drawn: how many maps further.
        sampling: of each clip's plans; what stands where at its end is told by the likeliest words.
        language: of the words; "" takes that of the text.

    Returns:
        of each clip what its last map shows, and the plan of each of those after it.
    """
    tag = _tag(model, language or language_of(text))
    framed = [each_framing(medium) for medium in media]
    views = [view for some in framed for view in some]
    # Plans aren't guided.
    how = [
        Sampling(each.temperature, each.top_k, each.top_p, each.seed)
        for each, some in zip(sampling, framed, strict=True)
        for _ in some
    ]
    surely = [replace(each, temperature=0) for each in how]
    out: list[list[tuple[Thing, ...]]] = [[] for _ in views]
    shown = len(media[0].maps)
    for index in range(shown - 1, shown + drawn):
        prompts = []
        for view, told in zip(views, out, strict=True):
            first = max(0, len(told) - ASKED + 1)  # training asks for no more at once
            known = {shown - 1 + place: told[place] for place in range(first, len(told))}
            prompts.append(_asked(model, view, text, known, index, tag))
        for told, things in zip(out, write(model, prompts, how if index >= shown else surely), strict=True):
            told.append(things)
    each_ = iter(out)
    return [_agreed(model, [next(each_) for _ in some]) for some in framed]


def _agreed(model: Model, framed: Sequence[Sequence[Sequence[Thing]]]) -> list[tuple[Thing, ...]]:
    """What at least half of the framings of a clip tell at each of its times, where the clip as it is shows it."""
    if len(framed) == 1:
        return [tuple(things) for things in framed[0]]
    side = model.bundle.info.size
    whole = []
    for room, times in zip(framing.rooms(side, len(framed)), framed, strict=True):
        top, bottom, left, right = (room / side).tolist()
        part = left, top, 1 - right, 1 - bottom
        whole.append([[_beyond(thing, thing.around(*part)) for thing in things] for things in times])
    return [agreed(plans) for plans in zip(*whole, strict=True)]


def _beyond(thing: Thing, whole: Thing) -> Thing:
    """A thing of a framing where the whole picture shows it: one that the framing's edge cuts off goes on beyond it, as
    far as the picture's edge for all that can be told."""
    edges = zip(thing.box, whole.box, (0.0, 0.0, 1.0, 1.0), strict=True)
    return Thing(thing.words, tuple(end if abs(edge - end) < CUT else known for edge, known, end in edges))  # type: ignore[arg-type]


def _asked(
    model: Model, medium: Medium, text: str, known: Mapping[int, Sequence[Thing]], index: int, tag: Sequence[int]
) -> Row:
    """Ask what stands where at the time of a map, after what is known of other maps."""
    info = model.bundle.info
    builder = spell.predict_prompt(model.show(model.begin(), medium), model.encode(text))
    for place, things in known.items():
        spell.track_prompt(builder, place, tag, model.encode, info.fps, info.visual.span)
        spell.answer(builder, model.encode(as_text(things)))
    return spell.track_prompt(builder, index, tag, model.encode, info.fps, info.visual.span).finish()


def write(model: Model, prompts: Sequence[Row], sampling: Sequence[Sampling]) -> list[tuple[Thing, ...]]:
    """The plan after each prompt; what is no plan in what a model wrote is passed over."""
    out: list[tuple[Thing, ...]] = []
    for chunk in chunks(list(zip(prompts, sampling, strict=True))):
        outputs = model.engine.generate([row for row, _ in chunk], [Say(LIMIT)], [how for _, how in chunk])
        out += [parse_what_can_be(model.decode(output.texts[0])) for output in outputs]
    return out


def read_gains(
    model: Model, pictures: Sequence[np.ndarray], planned: Sequence[Sequence[Thing]], language: str
) -> np.ndarray:
    """Nats by which each of some pictures uint8 (rows, columns, 3) makes its own plan likelier: float64 (N,).

    What a plan costs anyway falls out, or those of fewer things would seem surer.

    Args:
        model: what reads.
        pictures: all of one size.
        planned: a plan each.
        language: tag of the language of their words.
    """
    prompts = [reading(model, medium, language) for medium in model.read(pictures)]
    texts = [ended(model.encode(as_text(things))) for things in planned]
    seen, alone = (model.likelihood(rows, texts) for rows in (prompts, [reading(model, None, language)] * len(texts)))
    return np.array(seen) - np.array(alone)


def beside(
    model: Model, things: Sequence[Thing], whole: tuple[int, ...], part: tuple[slice, slice]
) -> np.ndarray | None:
    """What a plan lays (see sequence.plan.laid) beside a part of a map of `whole` rows and columns of codes; None where
    it plans nothing there."""
    down, across = part
    left, right = across.start / whole[1], across.stop / whole[1]
    top, bottom = down.start / whole[0], down.stop / whole[0]
    seen = [shown for thing in things if (shown := thing.within(left, top, right, bottom))]
    return (
        laid(seen, lambda words: _ids(model, words), down.stop - down.start, across.stop - across.start)
        if seen
        else None
    )


def _ids(model: Model, words: str) -> list[int]:
    """Words as the model learned them: "red" at the beginning and " red" further on are two ids, and where all things
    of the data were small or large ones, only the latter was ever seen in a plan."""
    known = set(model.bundle.info.made.get("plan ids", ()))
    ways = [model.encode(words), model.encode(f" {words}")] if known else [model.encode(words)]
    return min(ways, key=lambda ids: sum(id_ not in known for id_ in ids))


def _tag(model: Model, language: str) -> list[int]:
    """The language's tag, or another one's where the model writes no such plans: in a plan, boxes matter most."""
    made = model.bundle.info.made
    known = made.get("plan languages") or made.get("languages") or ["en", "zh"]
    return model.encode(language if language in known else known[0])
