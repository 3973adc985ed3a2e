"""A clip of any length and an event -> when it happens, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from triptych.clip_results import Span
from triptych.errors import ConfigError
from triptych.sequence import spell
from triptych.tasks import parts
from triptych.tasks.common import Model, ended
from triptych.tasks.parts import Part
from triptych.tasks.relevance import gains, language_of

KEPT = 8  # segments that are looked at closely: those that make the event likeliest
STEP = 0.1  # seconds between times, as they are written
NEAR = 0.25  # seconds within which two starts are one
_ENGLISH = re.compile(r"^\s*(?:when|at what time)\s+(does|do|did|will|is|are|was|were)\s+(.+?)\s*\?*\s*$", re.I)
_CHINESE = re.compile(r"(?:在|是)?(?:什么时候|何时|几秒|第几秒)|的时候|[？?。]\s*$")


def locate(
    model: Model,
    path: Path | str,
    event: str,
    *,
    count: int = 5,
    each: Callable[[Part], object] | None = None,
) -> list[Span]:
    """Find when an event happens, in the memory of a few segments.

    Every segment is asked how much likelier it makes the event. The best are then asked when: every time that could be
    written gets its likelihood after LOCATE. A span's confidence is the probability that its segment shows the event,
    against the mean of the others, times the probability that it starts within NEAR of the answer.

    Args:
        model: what reads.
        path: a clip of any length.
        event: as a statement, "the red ball hits the cube", or as a question, "when does the red ball hit the cube?".
        count: most spans to give.
        each: called with every segment as it is read.

    Returns:
        spans apart from each other, the surest first; at least one.

    Raises:
        ConfigError: the event is empty. MediaError: the clip can't be read.
    """
    statement = as_statement(model, event)
    if not statement:
        raise ConfigError("the event is empty: say what happens, e.g. 'the red ball hits the cube'")
    best: list[tuple[float, Part]] = []
    total, count_read = 0.0, 0  # log of the sum of exp(gain), with 1 for no medium at all
    for some in parts.batches(model, path):
        values = gains(model, statement, [part.medium for part in some])
        total, count_read = float(np.logaddexp.reduce([total, *values])), count_read + len(some)
        best = sorted([*best, *zip(values.tolist(), some, strict=True)], key=lambda item: -item[0])[:KEPT]
        if each is not None:
            for part in some:
                each(part)
    spans = []
    for gain, part in best:
        # Beside the mean of all other segments, and of none: what most of the clip shows is no event.
        others = total + np.log1p(-min(np.exp(gain - total), 1 - 1e-9)) - np.log(count_read)
        spans += _spans(model, part, statement, float(1 / (1 + np.exp(others - gain))))
    return apart(spans, count)


def as_statement(model: Model, event: str) -> str:
    """A question for a time as the statement of its event; of the ways to say it, the one the model finds likeliest.

    "when does the ball hit the cube?" may be "the balls hit the cube" or "the ball hits the cube" and so on.
    """
    match = _ENGLISH.match(event)
    if not match:
        return _CHINESE.sub("", event).strip(" ?？。.\n")
    verb, words = match[1].lower(), match[2].split()
    if verb in ("do", "did", "will") or len(words) < 2:
        return " ".join(words)
    if verb == "does":
        ways = [[*words[:i], _third(words[i]), *words[i + 1 :]] for i in range(1, len(words))]
    else:
        ways = [[*words[:i], verb, *words[i:]] for i in range(1, len(words))]
    texts = [" ".join(way) for way in ways]
    prompt = spell.caption_prompt(model.begin(), model.encode(language_of(model, event))).finish()
    nats = model.likelihood([prompt] * len(texts), [model.encode(text) for text in texts])
    return texts[int(np.argmax(nats))]


def apart(spans: list[Span], count: int) -> list[Span]:
    """The surest spans that start apart, and of those only such as are at least half as sure as the first."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: -span.confidence):
        sure = not kept or span.confidence >= kept[0].confidence / 2
        if len(kept) < count and sure and all(abs(span.start - other.start) > 2 * NEAR for other in kept):
            kept.append(span)
    return kept


def _spans(model: Model, part: Part, statement: str, shown: float) -> list[Span]:
    """Where an event may be in a segment that shows it with probability `shown`: the likeliest start, and another."""
    here = part.segment
    prompt = spell.locate_prompt(model.show(model.begin(), part.medium), model.encode(statement)).finish()
    ticks = np.arange(0, here.end - here.start + STEP / 2, STEP)
    pairs = [(a, b) for a in ticks for b in ticks if b > a] or [(0.0, STEP)]
    texts = [ended(model.encode(f"{spell.time_text(a)}-{spell.time_text(b)}")) for a, b in pairs]
    nats = np.array(model.likelihood([prompt] * len(texts), texts))
    shares = np.exp(nats - nats.max())
    shares /= shares.sum()
    starts, ends = np.array(pairs).T
    spans = []
    for _ in range(2):
        mass = np.array([shares[np.abs(starts - tick) <= NEAR + 1e-6].sum() for tick in ticks])
        if mass.max() <= 0:
            break
        start = _middle(starts, shares, np.abs(starts - ticks[mass.argmax()]) <= NEAR + 1e-6)
        around = np.abs(starts - start) <= NEAR + 1e-6
        end = max(_middle(ends, shares, around), start + STEP)
        sure = float(shown * shares[around].sum())
        spans.append(Span(round(here.start + start, 2), round(min(here.start + end, here.end), 2), sure))
        shares = np.where(np.abs(starts - start) <= 2 * NEAR, 0, shares)
    return spans


def _middle(values: np.ndarray, shares: np.ndarray, among: np.ndarray) -> float:
    """The median of some values by their probabilities."""
    order = np.argsort(values[among], kind="stable")
    total = np.cumsum(shares[among][order])
    return float(values[among][order][np.searchsorted(total, total[-1] / 2)])


def _third(verb: str) -> str:
    """A verb's third person.

    >>> _third("hit"), _third("touch"), _third("fly")
    ('hits', 'touches', 'flies')
    """
    if verb.endswith("y") and verb[-2:-1] not in ("a", "e", "o", "u", ""):
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else "s")
