"""Pictures or clips, and questions -> answers; with choices, the probability of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triptych.errors import ConfigError
from triptych.results import Answer
from triptych.sequence import spell
from triptych.sequence.layout import Row
from triptych.tasks.common import Media, Medium, Model, ended


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
    prompts = [_prompt(model, medium, text) for medium, (_, text) in zip(media, questions, strict=True)]
    answers = _choose(model, prompts, choices) if choices else [Answer(text) for text in model.say(prompts)]
    return [_timed(answer, medium) for answer, medium in zip(answers, media, strict=True)]


def _prompt(model: Model, medium: Medium | None, question: str) -> Row:
    return spell.question_prompt(model.show(model.begin(), medium), model.encode(question)).finish()


def _choose(model: Model, prompts: Sequence[Row], choices: Sequence[str]) -> list[Answer]:
    """The likelihood of each whole choice, made to sum to 1 over the choices."""
    if not all(choices) or len(set(choices)) < len(choices):
        raise ConfigError(f"choices {list(choices)}: give different texts, none of them empty")
    spelled = [ended(model.encode(choice)) for choice in choices]
    nats = model.likelihood([p for p in prompts for _ in choices], [s for _ in prompts for s in spelled])
    out = []
    for row in np.array(nats, np.float64).reshape(len(prompts), len(choices)):
        shares = np.exp(row - row.max())
        shares /= shares.sum()
        out.append(Answer(choices[int(row.argmax())], dict(zip(choices, shares.tolist(), strict=True))))
    return out


def _timed(answer: Answer, medium: Medium | None) -> Answer:
    return Answer(answer.text, answer.probabilities, medium.times if medium else None)
