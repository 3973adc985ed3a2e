"""Pictures or clips, and questions -> answers; with choices, the probability of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from triptych.errors import ConfigError
from triptych.results import Answer
from triptych.sequence import spell
from triptych.sequence.layout import Row
from triptych.tasks import naming, parts
from triptych.tasks.common import Media, Medium, Model, ended, language_of
from triptych.tasks.naming import Names
from triptych.tasks.parts import Part
from triptych.tasks.relevance import gains

TOGETHER = 3  # segments read for an answer: see docs/log.md
_TIME = re.compile(r"(\d+(?:\.\d+)?)(\s*(?:s|秒))")


def ask(
    model: Model,
    questions: Sequence[tuple[Media | None, str]],
    *,
    choices: Sequence[str] | None = None,
    start: float = 0.0,
) -> list[Answer]:
    """Answer each question about its medium.

    Args:
        model: what reads.
        questions: a medium (or None: the question alone, a baseline) and a question each.
        choices: the answers allowed; the likeliest is given, and the probability of each.
        start: where in a clip's file to begin, in seconds.

    Returns:
        one answer a question.

    Raises:
        ConfigError: two choices are alike, or one is empty.
    """
    media = model.read([medium for medium, _ in questions], start=start)
    languages, asked = [language_of(text) for _, text in questions], [text for _, text in questions]
    said = [" ".join([text, *(choices or ())]) for text in asked]
    named = naming.of_media(model, media, languages, said)
    prompts = [
        _prompt(model, medium, names.heard(text)) for medium, names, text in zip(media, named, asked, strict=True)
    ]
    if choices:
        answers = _choose(model, prompts, choices, named)
    else:
        texts = model.say(prompts)
        others = [None if names.known else medium for names, medium in zip(named, media, strict=True)]
        later = naming.of_media(model, others, languages, texts)
        named = [names if names.known else other for names, other in zip(named, later, strict=True)]
        answers = [Answer(names.said(text)) for names, text in zip(named, texts, strict=True)]
    return [_timed(answer, medium) for answer, medium in zip(answers, media, strict=True)]


def ask_whole(
    model: Model,
    path: Path | str,
    question: str,
    *,
    choices: Sequence[str] | None = None,
    together: int = TOGETHER,
    each: Callable[[Part], object] | None = None,
) -> Answer:
    """Answer a question about a clip of any length, in constant memory.

    Every segment is asked how much likelier it makes the question; those that do so most are then read together, in the
    order of time, as one clip.

    Args:
        model: what reads.
        path: the clip.
        question: what to answer.
        choices: as for `ask`.
        together: segments that are read for the answer.
        each: called with every segment as it is read.

    Returns:
        the answer; its moments are the segments it rests on, the most relevant first, its times the whole clip's.
    """
    best: list[tuple[float, Part]] = []
    end = 0.0
    for some in parts.batches(model, path):
        values = gains(model, question, [part.medium for part in some])
        best = sorted([*best, *zip(values.tolist(), some, strict=True)], key=lambda item: -item[0])[:together]
        end = some[-1].segment.end
        if each is not None:
            for part in some:
                each(part)
    chosen = [part for _, part in best]
    ordered = sorted(chosen, key=lambda part: part.segment.start)
    joined = Medium([map_ for part in ordered for map_ in part.medium.maps], (0.0, end))
    seen = [part.medium for part in chosen]
    first, *others = naming.of_media(model, seen, [language_of(question)] * len(seen))
    names = first.and_of(others)
    prompt = _prompt(model, joined, names.heard(question))
    if choices:
        answer = _choose(model, [prompt], choices, [names])[0]
    else:
        answer = Answer(_moved(model, names.said(model.say([prompt])[0]), ordered))
    spans = tuple((part.segment.start, part.segment.end) for part in chosen)
    return Answer(answer.text, answer.probabilities, (0.0, end), spans)


def _moved(model: Model, text: str, ordered: Sequence[Part]) -> str:
    """An answer that is a time, counted from the clip's beginning instead of that of what was read together."""
    match = _TIME.fullmatch(text)
    if match is None:
        return text
    info = model.bundle.info
    each = len(ordered[0].medium.maps) * info.visual.span / info.fps  # seconds between the first stamps of two segments
    place = min(int(float(match[1]) / each), len(ordered) - 1)
    return f"{spell.time_text(float(match[1]) - place * each + ordered[place].segment.start)}{match[2]}"


def _prompt(model: Model, medium: Medium | None, question: str) -> Row:
    return spell.question_prompt(model.show(model.begin(), medium), model.encode(question)).finish()


def _choose(model: Model, prompts: Sequence[Row], choices: Sequence[str], named: Sequence[Names]) -> list[Answer]:
    """The likelihood of each whole choice, made to sum to 1 over the choices."""
    if not all(choices) or len(set(choices)) < len(choices):
        raise ConfigError(f"choices {list(choices)}: give different texts, none of them empty")
    spelled = [ended(model.encode(choice)) for names in named for choice in names.choices(choices)]
    nats = model.likelihood([p for p in prompts for _ in choices], spelled)
    out = []
    for row in np.array(nats, np.float64).reshape(len(prompts), len(choices)):
        shares = np.exp(row - row.max())
        shares /= shares.sum()
        out.append(Answer(choices[int(row.argmax())], dict(zip(choices, shares.tolist(), strict=True))))
    return out


def _timed(answer: Answer, medium: Medium | None) -> Answer:
    return Answer(answer.text, answer.probabilities, medium.times if medium else None)
