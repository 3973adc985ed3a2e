"""Measures of texts: captions, answers, and how likely held-out texts are.

Each takes a Bench and gives named scores with their baselines, or raises Skip with the reason.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from triptych.data.records import Question
from triptych.evaluate import metrics, words
from triptych.evaluate.bench import LANGUAGES, Bench, Item, Scores, Skip, chunks
from triptych.evaluate.metrics import Object

RARE = 10  # questions of a form that is rarer are counted by kind and language instead


def caption(bench: Bench) -> Scores:
    """Objects told of pictures, and events told of clips."""
    out: Scores = {}
    reasons = []
    for part in (_caption_pictures, _caption_clips):
        try:
            out |= part(bench)
        except Skip as skip:
            reasons.append(str(skip))
    if not out:
        raise Skip("; ".join(reasons))
    return out


def _told(text: str, truth: Sequence[Object]) -> tuple[int, int, int]:
    """(right, told, true) objects. A bare noun tells nothing: to be right a phrase must name one more look."""
    said = words.objects(text)
    hits = metrics.objects_found(said, truth)
    return sum(hit and len(o) > 1 for hit, o in zip(hits, said, strict=True)), len(said), len(truth)


def _f1(
    bench: Bench, name: str, counts: list[tuple[int, int, int]], most: list[tuple[int, int, int]], note: str
) -> Scores:
    out = {}
    for suffix, metric in (("F1", metrics.f1), ("precision", metrics.precision), ("recall", metrics.recall)):
        out[f"{name}, {suffix}"] = bench.score(counts, metric, note=note)
        out[f"{name}, {suffix}"].baselines["most frequent caption"] = metric(most)
    return out


def _most_frequent(texts: Sequence[str]) -> str:
    """The most frequent text; of equally frequent ones the first."""
    return Counter(texts).most_common(1)[0][0] if texts else ""


def _caption_pictures(bench: Bench) -> Scores:
    items = bench.readable(bench.choose(bench.known_pictures))
    out: Scores = {}
    for language in LANGUAGES:
        common = _most_frequent([text for item in bench.known_pictures for text in item.texts(language)])
        if not common:
            continue
        told = bench.captions(items, language)
        counts = [_told(text, item.objects) for text, item in zip(told, items, strict=True)]
        most = [_told(common, item.objects) for item in items]
        out |= _f1(
            bench, f"objects of pictures, {language}", counts, most, "an object is right if all that is told of it is"
        )
    if not out:
        raise Skip("no texts in English or Chinese")
    return out


def _caption_clips(bench: Bench) -> Scores:
    known = [item for item in bench.clips if "events" in item.truth and item.truth.get("kind", "events") == "events"]
    if not known:
        raise Skip("no clip has `truth` with events in metadata.jsonl")
    items = bench.readable(bench.choose(known))
    watch = getattr(bench.reader, "watch", None)
    out: Scores = {}
    for language in LANGUAGES:
        timed = [
            t for item in known for t in item.texts(language) if any(e[0] is not None for e in words.told_events(t))
        ]
        if watch is None:
            told = bench.captions(items, language)
        else:
            told = []
            for item in items:
                events = watch(item.path, language=language).events
                told.append("; ".join(f"[{event.start:.3f}s] {event.text}" for event in events))
                bench.advance(len(told), len(items))
        common = _most_frequent(timed)
        for name, tolerance in (("events of clips", 0.25), ("events of clips, times left aside", None)):

            def count(text: str, item: Item, tolerance: float | None = tolerance) -> tuple[int, int, int]:
                true = [(e["time"], e["type"], tuple(e["objects"])) for e in item.truth["events"]]
                said = words.events(text, item.objects)
                return metrics.match_events(said, true, tolerance), len(said), len(true)

            counts = [count(text, item) for text, item in zip(told, items, strict=True)]
            note = "right kind, right objects" + (", within 0.25 s" if tolerance else "")
            out |= _f1(bench, f"{name}, {language}", counts, [count(common, item) for item in items], note)
    return out


def ask(bench: Bench) -> Scores:
    """Answers to questions, by medium, language and kind; rare kinds are asked of more media than the others."""
    everything = [item for item in bench.items if item.record.qa and not item.truth.get("impossible")]
    if not everything:
        raise Skip("the folder holds no questions (qa in metadata.jsonl)")
    items = []
    for kind in ("picture", "clip"):
        some = [item for item in everything if item.record.kind == kind]
        items += bench.readable(bench.choose(some)) if some else []
    asked = [(item, question) for item in items for question in item.record.qa if question.answer]
    rows = [*asked, *_of_rare_kinds(bench, everything, items, asked)]
    told = bench.answers([(item.path, q.question) for item, q in rows])
    right = [words.same_answer(text, q.answer) for text, (_, q) in zip(told, rows, strict=True)]
    common = _guesses(everything)
    guessed = [words.same_answer(common[_form(q, item, common)], q.answer) for item, q in rows]
    blind = _without_media(bench, [q.question for _, q in rows])
    alone = [words.same_answer(text, q.answer) for text, (_, q) in zip(blind, rows, strict=True)]
    groups: dict[str, list[int]] = defaultdict(list)
    for index, (item, q) in enumerate(rows):
        medium = item.record.kind + "s"
        for name in [medium, f"{medium}, {q.lang or 'en'}"] if index < len(asked) else []:
            groups[name].append(index)
        if q.kind:
            groups[f"{medium}, {q.kind}"].append(index)

    def by_medium(hits: Sequence[bool], indices: list[int]) -> list[tuple[float, float]]:
        sums: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for index in indices:
            item = id(rows[index][0])
            sums[item][0] += hits[index]
            sums[item][1] += 1
        return [(a, b) for a, b in sums.values()]

    out: Scores = {}
    for name, indices in sorted(groups.items()):
        score = bench.score(by_medium(right, indices), metrics.ratio)
        score.n = len(indices)
        score.baselines["most frequent answer of the form"] = float(np.mean([guessed[i] for i in indices]))
        score.baselines["the same GPT without the medium"] = float(np.mean([alone[i] for i in indices]))
        out[f"accuracy, {name}"] = score
    return out


def _of_rare_kinds(
    bench: Bench, everything: Sequence[Item], items: Sequence[Item], asked: Sequence[tuple[Item, Question]]
) -> list[tuple[Item, Question]]:
    """Questions to other media, of those kinds of which fewer than the limit are asked: until there are as many."""
    out: list[tuple[Item, Question]] = []
    known = {id(item) for item in items}
    kinds = {(item.record.kind, q.kind) for item in everything for q in item.record.qa if q.kind and q.answer}
    for kind in sorted(kinds):
        missing = bench.limit - sum((item.record.kind, q.kind) == kind for item, q in asked)
        others = [item for item in everything if id(item) not in known and item.record.kind == kind[0]]
        some = [item for item in others if any(q.kind == kind[1] and q.answer for q in item.record.qa)]
        for item in bench.choose(some, missing) if some and missing > 0 else []:
            if missing > 0 and bench.is_readable(item):
                fitting = [(item, q) for q in item.record.qa if q.kind == kind[1] and q.answer]
                out, missing = [*out, *fitting], missing - len(fitting)
    return out


def _form(question: Any, item: Item, known: dict[Any, str]) -> Any:
    form = (item.record.kind, question.lang, words.question_form(question.question))
    return form if form in known else (item.record.kind, question.lang, "kind " + question.kind)


def _guesses(items: Sequence[Item]) -> dict[Any, str]:
    """The most frequent answer of each form of question, counted on the very data that is asked: a strong guesser."""
    counts: dict[Any, Counter[str]] = defaultdict(Counter)
    for item in items:
        for q in item.record.qa:
            form = (item.record.kind, q.lang, words.question_form(q.question))
            counts[form][q.answer] += 1
            counts[(item.record.kind, q.lang, "kind " + q.kind)][q.answer] += 1
    return {
        form: c.most_common(1)[0][0] for form, c in counts.items() if form[2].startswith("kind ") or c.total() >= RARE
    }


def _without_media(bench: Bench, questions: list[str]) -> list[str]:
    """What the model answers to the questions alone."""
    unique = list(dict.fromkeys(questions))
    known = dict(zip(unique, bench.answers([(None, question) for question in unique]), strict=True))
    return [known[question] for question in questions]


def language(bench: Bench) -> Scores:
    """Bits a byte of held-out texts, given their media."""
    nats = getattr(bench.reader, "text_nats", None)
    if nats is None:
        raise Skip("the model tells no likelihood of texts: it has no text_nats(media, texts, language)")
    out: Scores = {}
    for tag in LANGUAGES:
        told = [item for item in bench.items if item.texts(tag)]
        if not told:
            continue
        rows = [(item, item.texts(tag)[0]) for item in bench.readable(bench.choose(told))]
        texts = [text for _, text in rows]
        sizes = [len(text.encode()) for text in texts]

        def bits(media: list[Any], texts: list[str] = texts, tag: str = tag) -> list[float]:
            values: list[float] = []
            for part in chunks(list(zip(media, texts, strict=True))):
                values += [-v / math.log(2) for v in nats([m for m, _ in part], [t for _, t in part], tag)]
                bench.advance(len(values), len(media))
            return values

        pairs = list(zip(bits([item.path for item, _ in rows]), sizes, strict=True))
        score = bench.score(pairs, metrics.ratio, better="lower", unit="bits a byte")
        alone = bits([None] * len(rows))
        score.baselines["the same GPT without the medium"] = metrics.ratio(list(zip(alone, sizes, strict=True)))
        counts = Counter(b"".join(text.encode() for text in texts))
        total = counts.total()
        score.baselines["frequency of single bytes"] = -sum(c / total * math.log2(c / total) for c in counts.values())
        out[f"bits a byte, {tag}"] = score
    if not out:
        raise Skip("the folder holds no texts in English or Chinese")
    return out
