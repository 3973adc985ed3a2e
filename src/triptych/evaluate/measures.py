"""The measures: each takes a Bench and gives named scores with their baselines, or raises Skip with the reason."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from triptych.errors import TriptychError
from triptych.evaluate import metrics, words
from triptych.evaluate.bench import Bench, Item, Score, Scores, Skip, chunks
from triptych.evaluate.codecs import codecs
from triptych.evaluate.detector import CLASSES, Found
from triptych.evaluate.metrics import Object
from triptych.sequence import spell
from triptych.tasks.common import Model, ended
from triptych.train.features import perceptual_loss
from triptych.worlds.tabletop.scene import WITHHELD

LANGUAGES = ("en", "zh")
REACH = 24.0  # pixels within which an object before and after is the same one
FRECHET = "MobileNetV2 Fréchet distance"
RARE = 10  # questions of a form that is rarer are counted by kind and language instead


def tokenizer(bench: Bench) -> Scores:
    """What the visual codes keep of pictures and clips."""
    items = bench.readable(bench.choose(bench.pictures))
    originals = [bench.pixels(item) for item in items]
    kept = []
    for number, pixels in enumerate(originals):
        kept.append(bench.reconstruct(pixels))
        bench.advance(number + 1, len(originals))
    info = bench.reader.info
    budget = metrics.code_bytes(info.size, info.visual.stride, info.visual.codes)
    others = codecs(originals, budget)
    mean = np.stack(originals).astype(np.float64).mean(0).round().astype(np.uint8)
    others["mean image"] = [mean] * len(originals)
    out: Scores = {}
    note = f"the codes of a picture take {budget} bytes"
    for name, unit, metric in (("PSNR", "dB", metrics.psnr), ("SSIM", "", metrics.ssim)):
        out[name] = bench.score([metric(*pair) for pair in zip(kept, originals, strict=True)], unit=unit, note=note)
        out[name].baselines = {
            other: float(np.mean([metric(*pair) for pair in zip(pictures, originals, strict=True)]))
            for other, pictures in others.items()
        }
    _optional(lambda: _looks_kept(bench, originals, kept, others, out))
    _optional(lambda: _frechet_kept(bench, originals, kept, others, out))
    _optional(lambda: _clips_kept(bench, out))
    return out


def _optional(measure: Callable[[], None]) -> None:
    """A part of a measure that the rest can do without."""
    try:
        measure()
    except Skip:
        return


def _looks_kept(
    bench: Bench, originals: list[np.ndarray], kept: list[np.ndarray], others: dict[str, list[np.ndarray]], out: Scores
) -> None:
    before = bench.detect(originals)

    def alike(pictures: list[np.ndarray]) -> list[tuple[int, int]]:
        pairs = []
        for seen, again in zip(before, bench.detect(pictures), strict=True):
            same = [
                j is not None and thing[key] == again[j][key]
                for thing, j in zip(seen, metrics.match_places(seen, again, REACH), strict=True)
                for key in CLASSES
            ]
            pairs.append((sum(same), len(same)))
        return pairs

    score = bench.score(alike(kept), metrics.ratio, note="as the detector reads a picture before and after")
    score.baselines = {name: metrics.ratio(alike(pictures)) for name, pictures in others.items()}
    out["attributes kept"] = score


def _frechet_kept(
    bench: Bench, originals: list[np.ndarray], kept: list[np.ndarray], others: dict[str, list[np.ndarray]], out: Scores
) -> None:
    if len(originals) < 2:
        raise Skip("a distance of distributions needs two pictures")
    real = bench.features(originals)
    score = Score(metrics.frechet(bench.features(kept), real), len(kept), better="lower", note="not FID")
    for name, pictures in others.items():
        score.baselines[name] = metrics.frechet(bench.features(pictures), real)
    out[FRECHET] = score


def _clips_kept(bench: Bench, out: Scores) -> None:
    values, still = [], []
    for item in bench.readable(bench.choose(bench.clips, max(1, bench.limit // 8))):
        frames = bench.frames(item)
        again = bench.reader.reconstruct(frames)
        values.append(float(np.mean([metrics.psnr(*pair) for pair in zip(again, frames, strict=True)])))
        still.append(float(np.mean([metrics.psnr(frames[0], frame) for frame in frames])))
    out["PSNR of clips"] = bench.score(values, unit="dB")
    out["PSNR of clips"].baselines["first frame throughout"] = float(np.mean(still))


@dataclass
class Ask:
    """A text to draw: what it asks for, and the picture that it was told of."""

    item: Item
    text: str
    language: str
    objects: list[Object]
    relations: list[tuple[int, str, int]]


def asked(item: Item, language: str) -> Ask | None:
    """A text of middle length that names all objects of a picture, and what it says of them; None if there is none."""
    whole = []
    for text in item.texts(language):
        named = words.objects(text)
        if len(named) == len(item.objects) == metrics.objects_right(named, item.objects):
            whole.append(text)
    if not whole:
        return None
    text = sorted(whole, key=lambda t: (len(t), t))[len(whole) // 2]
    return Ask(item, text, language, words.objects(text), words.relations(text))


def draw(bench: Bench) -> Scores:
    """Whether pictures hold what their texts ask for, and look like the data."""
    items = bench.readable(bench.choose(bench.known_pictures))
    asks = [
        a for n, item in enumerate(items) if (a := asked(item, LANGUAGES[n % 2]) or asked(item, LANGUAGES[1 - n % 2]))
    ]
    if not asks:
        raise Skip("no text names all objects of its picture, in English or Chinese")
    bench.detector  # noqa: B018  before anything is drawn: without a judge there is nothing to measure
    drawn = bench.draw([a.text for a in asks], [bench.seed + n for n in range(len(asks))])
    true = [bench.pixels(a.item) for a in asks]
    kept = [bench.reconstruct(pixels) for pixels in true]
    seen = {"drawn": bench.detect(drawn), "reconstruction of the true picture": bench.detect(kept)}
    seen["true picture"] = bench.detect(true)
    shift = max(1, len(asks) // 2) if len(asks) > 1 else 0
    seen["another picture"] = [seen["true picture"][(n + shift) % len(asks)] for n in range(len(asks))]
    out = _drawn_right(bench, asks, seen)
    _optional(lambda: _drawn_alike(bench, asks, drawn, true, kept, out))
    return out


def _drawn_right(bench: Bench, asks: list[Ask], seen: dict[str, list[list[Found]]]) -> Scores:
    side = float(bench.size)

    def objects(which: list[list[Found]], rows: Sequence[int], withheld: bool | None = None) -> list[tuple[int, int]]:
        out = []
        for n in rows:
            hits = metrics.objects_found(asks[n].objects, which[n])
            wanted = [
                hit
                for hit, thing in zip(hits, asks[n].objects, strict=True)
                if withheld is None or ((thing.get("color"), thing["shape"]) in WITHHELD) == withheld
            ]
            out.append((sum(wanted), len(wanted)))
        return out

    def scenes(which: list[list[Found]], rows: Sequence[int]) -> list[float]:
        return [float(metrics.scene_right(asks[n].objects, which[n])) for n in rows]

    def relations(which: list[list[Found]], rows: Sequence[int]) -> list[tuple[int, int]]:
        return [
            (metrics.relations_right(asks[n].objects, asks[n].relations, which[n], side), len(asks[n].relations))
            for n in rows
        ]

    def told(name: str, values: Callable[[list[list[Found]]], list[Any]], score: Any = None, note: str = "") -> None:
        sample = values(seen["drawn"])
        if sample and (score is None or sum(pair[1] for pair in sample)):
            out[name] = bench.score(sample, score, note=note)
            whole = score or (lambda values: float(np.mean(values)))
            out[name].baselines = {other: whole(values(which)) for other, which in seen.items() if other != "drawn"}

    out: Scores = {}
    everyone = range(len(asks))
    told("objects", lambda w: objects(w, everyone), metrics.ratio, "asked objects with every look that the text names")
    told("scenes", lambda w: scenes(w, everyone), None, "all asked objects right, and no other")
    told("relations", lambda w: relations(w, everyone), metrics.ratio, "between objects that are right")
    for language in LANGUAGES:
        rows = [n for n in everyone if asks[n].language == language]
        told(f"objects, {language}", lambda w, rows=rows: objects(w, rows), metrics.ratio)  # type: ignore[misc]
        told(f"scenes, {language}", lambda w, rows=rows: scenes(w, rows))  # type: ignore[misc]
    unseen = [n for n in everyone if any((o.get("color"), o["shape"]) in WITHHELD for o in asks[n].objects)]
    note = "pairs of colour and shape that training never showed"
    told("objects, unseen combinations", lambda w: objects(w, unseen, True), metrics.ratio, note)
    told("scenes, with unseen combinations", lambda w: scenes(w, unseen), None, note)
    return out


def _drawn_alike(
    bench: Bench, asks: list[Ask], drawn: list[np.ndarray], true: list[np.ndarray], kept: list[np.ndarray], out: Scores
) -> None:
    """Distance to pictures that were not asked for, and how much pictures of one text differ."""
    chosen = {a.item.record.file for a in asks}
    others = bench.readable([i for i in bench.pictures if i.record.file not in chosen] or [a.item for a in asks])[:1000]
    if len(others) < 2 or len(drawn) < 2:
        return
    reference = bench.features([bench.pixels(item) for item in others])
    real = bench.features(true)
    note = f"not FID; to {len(others)} other pictures of the data"
    out[FRECHET] = Score(metrics.frechet(bench.features(drawn), reference), len(drawn), better="lower", note=note)
    out[FRECHET].baselines = {
        "reconstruction of the true picture": metrics.frechet(bench.features(kept), reference),
        "true picture": metrics.frechet(real, reference),
    }
    few, turns = asks[:8], 4
    again = bench.draw(
        [a.text for a in few for _ in range(turns)], [bench.seed + 10**6 + n for n in range(turns * len(few))]
    )
    spread = [metrics.diversity(bench.features(part)) for part in chunks(again, turns)]
    out["diversity"] = bench.score(spread, note=f"distance of features among {turns} pictures of one text")
    out["diversity"].baselines["pictures of the data, of many texts"] = metrics.diversity(real)


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
    """Answers to questions, by medium, language and kind."""
    everything = [item for item in bench.items if item.record.qa and not item.truth.get("impossible")]
    if not everything:
        raise Skip("the folder holds no questions (qa in metadata.jsonl)")
    items = []
    for kind in ("picture", "clip"):
        some = [item for item in everything if item.record.kind == kind]
        items += bench.readable(bench.choose(some)) if some else []
    rows = [
        (number, item, question) for number, item in enumerate(items) for question in item.record.qa if question.answer
    ]
    told = bench.answers([(item.path, q.question) for _, item, q in rows])
    right = [words.same_answer(text, q.answer) for text, (_, _, q) in zip(told, rows, strict=True)]
    common = _guesses(everything)
    guessed = [words.same_answer(common[_form(q, item, common)], q.answer) for _, item, q in rows]
    blind = _without_media(bench, [q.question for _, _, q in rows])
    alone = (
        []
        if blind is None
        else [words.same_answer(text, q.answer) for text, (_, _, q) in zip(blind, rows, strict=True)]
    )
    groups: dict[str, list[int]] = defaultdict(list)
    for index, (_, item, q) in enumerate(rows):
        medium = item.record.kind + "s"
        for name in (medium, f"{medium}, {q.lang or 'en'}", *([f"{medium}, {q.kind}"] if q.kind else [])):
            groups[name].append(index)

    def by_medium(hits: Sequence[bool], indices: list[int]) -> list[tuple[float, float]]:
        sums: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for index in indices:
            sums[rows[index][0]][0] += hits[index]
            sums[rows[index][0]][1] += 1
        return [(a, b) for a, b in sums.values()]

    out: Scores = {}
    for name, indices in sorted(groups.items()):
        score = bench.score(by_medium(right, indices), metrics.ratio)
        score.n = len(indices)
        score.baselines["most frequent answer of the form"] = float(np.mean([guessed[i] for i in indices]))
        if alone:
            score.baselines["the same GPT without the medium"] = float(np.mean([alone[i] for i in indices]))
        out[f"accuracy, {name}"] = score
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


def _without_media(bench: Bench, questions: list[str]) -> list[str] | None:
    """What the model answers to the questions alone; None if it can't be asked so."""
    unique = list(dict.fromkeys(questions))
    try:
        known = dict(zip(unique, bench.answers([(None, question) for question in unique]), strict=True))
    except (TypeError, ValueError, AttributeError, NotImplementedError, TriptychError):
        return None
    return [known[question] for question in questions]


def view(bench: Bench) -> Scores:
    """The next view of a scene, drawn from the views before it."""
    groups = [group for group in bench.choose(bench.views, max(1, bench.limit // 4)) if bench.readable(group) == group]
    drawn, last, true, kept = [], [], [], []
    for number, group in enumerate(groups):
        before = [bench.pixels(item) for item in group[:-1]]
        pictures = bench.reader.draw("", n=1, seed=bench.seed + number, images=before, **bench.settings)
        drawn.append(pictures[0].pixels)
        last.append(before[-1])
        true.append(bench.pixels(group[-1]))
        kept.append(bench.reconstruct(true[-1]))
        bench.advance(number + 1, len(groups))
    others = {"copy of the last view": last, "reconstruction of the true view": kept}
    out: Scores = {}

    def positions() -> None:
        truths = [group[-1].objects for group in groups]
        if not all(truths):
            raise Skip("no truth")

        def errors(pictures: list[np.ndarray]) -> list[float]:
            pairs = zip(truths, bench.detect(pictures), strict=True)
            return [float(np.mean(metrics.position_errors(t, seen, float(bench.size)))) for t, seen in pairs]

        note = "from each true object to the found one of its shape and colour; half the side where there is none"
        score = bench.score(errors(drawn), better="lower", unit="pixels", note=note)
        score.baselines = {name: float(np.mean(errors(pictures))) for name, pictures in others.items()}
        out["position error of objects"] = score

    def distance() -> None:
        def far(pictures: list[np.ndarray]) -> list[float]:
            pairs = zip(pictures, true, strict=True)
            return [float(perceptual_loss(bench.network, bench.tensor([a]), bench.tensor([b]))) for a, b in pairs]

        score = bench.score(far(drawn), better="lower", note="of MobileNetV2 features; not LPIPS")
        score.baselines = {name: float(np.mean(far(pictures))) for name, pictures in others.items()}
        out["perceptual distance"] = score

    _optional(positions)
    _optional(distance)
    if not out:
        raise Skip("neither a detector nor the MobileNetV2 weights are there to compare pictures")
    return out


def text_nats(reader: Any) -> Callable[[Sequence[Any], Sequence[str], str], list[float]] | None:
    """How a model tells the log-likelihood (nats) of a caption of each medium; None if it can't."""
    own = getattr(reader, "text_nats", None)
    model = getattr(reader, "_model", None)
    if own is not None or not isinstance(model, Model):
        return own

    def nats(media: Sequence[Any], texts: Sequence[str], language: str) -> list[float]:
        tag, known = model.encode(language), model.read(media)
        prompts = [spell.caption_prompt(model.show(model.begin(), medium), tag).finish() for medium in known]
        return model.likelihood(prompts, [ended(model.encode(text)) for text in texts])

    return nats


def language(bench: Bench) -> Scores:
    """Bits a byte of held-out texts, given their media."""
    nats = text_nats(bench.reader)
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
