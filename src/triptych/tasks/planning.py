"""Plans of pictures: what is to stand where. The GPT writes them as text; drawings lay them beside their codes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from triptych.generate.grammar import Say
from triptych.generate.sample import Sampling
from triptych.media import framing
from triptych.sequence import spell
from triptych.sequence.boxes import CUT
from triptych.sequence.layout import Row
from triptych.sequence.names import are_near
from triptych.sequence.plan import Thing, agreed, joined, laid, parse_what_can_be
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


def seen(
    model: Model, media: Sequence[Medium], text: str, language: str = "", *, last: int | None = None
) -> list[list[tuple[Thing, ...]]]:
    """What stands where in pictures and clips at the time of each of their maps, by the likeliest words in all of their
    framings.

    Where a clip's pixels are at hand, its frames are read as pictures too: they show what comes in late, and the two
    readings together where things are (docs/log.md).

    Args:
        model: what tells.
        media: pictures and clips.
        text: an instruction that clips follow, or nothing.
        language: of the words; "" takes that of the text.
        last: only so many maps at the end of each, one at least.

    Returns:
        of each medium, the things at each time.
    """
    language = language or language_of(text)
    framed = [each_framing(medium) for medium in media]
    prompts = [row for some in framed for view in some for row in _of_each_time(model, view, text, language, last)]
    told = iter(write(model, prompts, [Sampling(temperature=0)] * len(prompts)))
    each = [[list(itertools.islice(told, len(view.maps[_from(last) :]))) for view in some] for some in framed]
    out = [_agreed(model, some) for some in each]
    clips = [place for place, medium in enumerate(media) if medium.times is not None and medium.pixels is not None]
    if clips and is_learned(model, "things"):
        alone = _alone(model, [media[place] for place in clips], language, last)
        for place, stills in zip(clips, alone, strict=True):
            said = {thing.words for view in each[place] for things in view for thing in things}
            known = [model.encode(f" {words}") for words in said]
            shares = [*[0.5] * (len(stills) - 1), 1.0]  # where things go from a clip's last time nothing tells the clip
            out[place] = [
                joined(things, still, [thing for thing in still if _is_like(model, thing, known)], share)
                for things, still, share in zip(out[place], stills, shares, strict=True)
            ]
    return out


def _from(last: int | None) -> int | None:
    return None if last is None else -last


def _alone(model: Model, clips: Sequence[Medium], language: str, last: int | None) -> Iterator[list[tuple[Thing, ...]]]:
    """What the frames of each clip at the times of its maps tell, each as a picture in as many framings as the clip."""
    pictures: list[Medium] = []
    for clip in clips:
        assert clip.pixels is not None
        frames = [frame[None] for frame in clip.pixels[_from(last) :]]
        pictures += [
            Medium(maps, None, tuple(others)) for maps, *others in model.look_framed(frames, 1 + len(clip.others))
        ]
    told = iter(seen(model, pictures, "", language))
    for clip in clips:
        yield [things for (things,) in itertools.islice(told, len(clip.maps[_from(last) :]))]


def _is_like(model: Model, thing: Thing, known: Sequence[Sequence[int]]) -> bool:
    """Whether a thing's words are one of some names but for a small part: near what it never saw in pictures, as a
    robot's arm, a model sees things in single frames that aren't there."""
    own = model.encode(f" {thing.words}")
    return any(are_near(own, other) for other in known)


def _of_each_time(model: Model, view: Medium, text: str, language: str, last: int | None) -> list[Row]:
    if view.times is None:
        return [reading(model, view, language)]
    places = range(len(view.maps))[_from(last) :]
    return [_asked(model, view, text, {}, index, _tag(model, language)) for index in places]


def follow(
    model: Model,
    media: Sequence[Medium],
    told: Sequence[Sequence[Sequence[Thing]]],
    text: str,
    drawn: int,
    sampling: Sequence[Sampling],
    language: str = "",
) -> list[list[tuple[Thing, ...]]]:
    """What is to stand where as clips go on, as at least half of their framings tell it.

    Args:
        model: what tells.
        media: the clips, all of one length.
        told: of each clip, what stands where at the times of its last maps, one at least, as `seen` gives it.
        text: an instruction, or nothing.
        drawn: how many maps further, one at least.
        sampling: of each clip's plans.
        language: of the words; "" takes that of the text.

    Returns:
        of each clip the plan of each map after it.
    """
    tag = _tag(model, language or language_of(text))
    views: list[Medium] = []
    known: list[list[Sequence[Thing]]] = []  # of each framing, what it shows at each time up to now
    how: list[Sampling] = []
    for medium, plans, each in zip(media, told, sampling, strict=True):
        some = each_framing(medium)
        views += some
        latest = plans[-len(medium.maps) :]  # a medium may be the end of what was told
        known += [[_within(things, part) for things in latest] for part in _parts(model, len(some))]
        how += [Sampling(each.temperature, each.top_k, each.top_p, each.seed)] * len(some)  # plans aren't guided
    shown = len(media[0].maps)
    for index in range(shown, shown + drawn):
        prompts = []
        for view, plans in zip(views, known, strict=True):
            first = max(0, len(plans) - ASKED + 1)  # training asks for no more at once
            before = {index - len(plans) + place: plans[place] for place in range(first, len(plans))}
            prompts.append(_asked(model, view, text, before, index, tag))
        for plans, things in zip(known, write(model, prompts, how), strict=True):
            plans.append(things)
    later = iter(plans[-drawn:] for plans in known)
    return [_agreed(model, [next(later) for _ in each_framing(medium)]) for medium in media]


def _parts(model: Model, count: int) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of what each of so many framings shows, as shares of the whole."""
    side = model.bundle.info.size
    shares = ((room / side).tolist() for room in framing.rooms(side, count))
    return [(left, top, 1 - right, 1 - bottom) for top, bottom, left, right in shares]


def _within(things: Sequence[Thing], part: tuple[float, float, float, float]) -> list[Thing]:
    return [shown for thing in things if (shown := thing.within(*part))]


def _agreed(model: Model, framed: Sequence[Sequence[Sequence[Thing]]]) -> list[tuple[Thing, ...]]:
    """What at least half of the framings of a clip tell at each of its times, where the clip as it is shows it."""
    if len(framed) == 1:
        return [tuple(things) for things in framed[0]]
    whole = [
        [[_beyond(thing, thing.around(*part)) for thing in things] for things in times]
        for part, times in zip(_parts(model, len(framed)), framed, strict=True)
    ]
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
