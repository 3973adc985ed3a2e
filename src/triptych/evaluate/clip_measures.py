"""Measures of clips: when events happen, labels, search, what comes next, and surprise at what can't be.

Each takes a Bench and gives named scores with their baselines, or raises Skip with the reason.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from triptych.evaluate import metrics
from triptych.evaluate.bench import LANGUAGES, Bench, Item, Scores, Skip

NEAR = 0.25  # seconds within which a time is right
WAYS = 4  # texts to choose from where clips have events but no labels
MANY, FOUND = 500, 64  # clips that are searched, and moments that a search gives, at most
GIVEN, AHEAD = 9, 8  # frames that are seen, and predicted
FUTURES = 4  # times the limit of clips that are predicted: the judge misses some things, at half the side each
COPY = "copy of the last frame"
FOUND_AT = 20 / 224  # of a side, from where an object truly is, up to which the judge finds it


def _task(bench: Bench, name: str) -> Any:
    task = getattr(bench.reader, name, None)
    if task is None:
        raise Skip(f"the model has no {name}()")
    return task


def _eventful(bench: Bench) -> list[Item]:
    known = [item for item in bench.clips if item.record.events]
    if not known:
        raise Skip("no clip has `events` with times in metadata.jsonl")
    return bench.readable(bench.choose(known))


def locate(bench: Bench) -> Scores:
    """Events found in their clips: one event a clip and language."""
    find = _task(bench, "locate")
    items = _eventful(bench)
    out: Scores = {}
    for language in LANGUAGES:
        rows = []
        for number, item in enumerate(items):
            told = [event for event in item.record.events if (event.lang or "en") == language]
            if told:
                event = told[number % len(told)]
                span = find(item.path, event.text, count=1)[0]
                rows.append((event.start, event.end, span.start, span.end, item.record.duration or 2.0))
            bench.advance(number + 1, len(items))
        if not rows:
            continue
        table = np.array(rows, np.float64)
        true, said, whole = table[:, :2], table[:, 2:4], table[:, 4]
        half = (true[:, 1] - true[:, 0]).mean() / 2
        middle = np.stack([whole / 2 - half, whole / 2 + half], 1)
        near = np.abs(said[:, 0] - true[:, 0]) <= NEAR + 1e-9
        score = bench.score(near.astype(float).tolist(), note="the start, of one event a clip")
        score.baselines["middle of the clip"] = float((np.abs(middle.mean(1) - true[:, 0]) <= NEAR).mean())
        out[f"within {NEAR} s, {language}"] = score
        score = bench.score(_overlaps(true, said).tolist())
        score.baselines["middle of the clip"] = float(_overlaps(true, middle).mean())
        out[f"temporal IoU, {language}"] = score
    if not out:
        raise Skip("no event in English or Chinese")
    return out


def _overlaps(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Intersection over union of spans (N, 2) with spans (N, 2)."""
    shared = np.minimum(one[:, 1], two[:, 1]) - np.maximum(one[:, 0], two[:, 0])
    joint = np.maximum(one[:, 1], two[:, 1]) - np.minimum(one[:, 0], two[:, 0])
    return np.clip(shared, 0, None) / np.maximum(joint, 1e-9)


def classify(bench: Bench) -> Scores:
    """The right label among all; where clips have events instead, the event that happens among some of other clips."""
    task = _task(bench, "classify")
    labelled = [item for item in bench.items if item.record.label]
    if len({item.record.label for item in labelled}) > 1:
        counts = Counter(item.record.label for item in labelled)
        labels = [str(label) for label, _ in counts.most_common(20)]
        items = bench.readable(bench.choose([item for item in labelled if item.record.label in labels]))
        rights = [str(item.record.label) for item in items]
        return {"top-1": _labelled(bench, task, items, [labels] * len(items), rights, [labels[0]] * len(items))}
    items = _eventful(bench)
    rng = np.random.default_rng([bench.seed, 3])
    everything = {e.text for item in bench.clips for e in item.record.events if (e.lang or "en") == "en"}
    choices, rights, kept = [], [], []
    for item in items:
        own = [e.text for e in item.record.events if (e.lang or "en") == "en"]
        others = sorted(everything.difference(own))
        if own and len(others) >= WAYS - 1:
            right = own[0]
            some = [right, *(others[i] for i in rng.permutation(len(others))[: WAYS - 1])]
            choices.append([some[i] for i in rng.permutation(WAYS)])
            rights.append(right)
            kept.append(item)
    if not kept:
        raise Skip("no labels, and too few clips with different events to choose from")
    guesses = [min(some, key=len) for some in choices]
    return {f"top-1 of {WAYS} events": _labelled(bench, task, kept, choices, rights, guesses)}


def _labelled(
    bench: Bench, task: Any, items: Sequence[Item], choices: list[list[str]], rights: list[str], guesses: list[str]
) -> Any:
    hits = []
    for number, (item, labels, right) in enumerate(zip(items, choices, rights, strict=True)):
        hits.append(float(task(item.path, labels).text == right))
        bench.advance(number + 1, len(items))
    score = bench.score(hits)
    score.baselines["chance"] = float(np.mean([1 / len(labels) for labels in choices]))
    name = "most frequent label" if guesses == [guesses[0]] * len(guesses) else "shortest text"
    score.baselines[name] = float(np.mean([g == r for g, r in zip(guesses, rights, strict=True)]))
    return score


def search(bench: Bench) -> Scores:
    """Clips looked for among many, by all that a text tells of one, or by one event of it."""
    index, find = _task(bench, "index"), _task(bench, "search")
    known = [item for item in bench.clips if item.record.events or item.record.texts]
    if not known:
        raise Skip("no clip has texts or events")
    items = bench.readable(bench.choose(known, MANY))
    wanted = set(bench.choose(range(len(items))))
    out: Scores = {}
    with tempfile.TemporaryDirectory(prefix="triptych-") as temporary:
        folder = Path(temporary)
        names = [f"{number:05d}{item.path.suffix}" for number, item in enumerate(items)]
        for name, item in zip(names, items, strict=True):
            (folder / name).symlink_to(item.path.resolve())
        for done in index(folder, languages=LANGUAGES):
            bench.advance(done.done, done.total)
        for (kind, query), language in itertools.product(QUERIES.items(), LANGUAGES):
            ranks = []
            for number, item in enumerate(items):
                text = query(item, language) if number in wanted else ""
                if text:
                    # A clip has a moment every two seconds: it stands where its best one does.
                    found = list(dict.fromkeys(Path(hit.file).name for hit in find(text, folder, count=FOUND)))
                    ranks.append(found.index(names[number]) + 1 if names[number] in found else len(items) + 1)
            if not ranks:
                continue
            name = f"{kind}{language}"
            for most in (1, 5, 10):
                score = bench.score([float(rank <= most) for rank in ranks], note=f"among {len(items)} clips")
                score.baselines["random"] = min(1.0, most / len(items))
                out[f"recall at {most}, {name}"] = score
            score = bench.score([float(r) for r in ranks], lambda values: float(np.median(values)), better="lower")
            score.baselines["random"] = (len(items) + 1) / 2
            out[f"median rank, {name}"] = score
    return out


def _whole(item: Item, language: str) -> str:
    """The text that tells most of a clip, of those that hold no times."""
    return max((text for text in item.texts(language) if not text.startswith("[")), key=len, default="")


def _event(item: Item, language: str) -> str:
    """An event of a clip; other clips may well have the same."""
    return next((event.text for event in item.record.events if (event.lang or "en") == language), "")


QUERIES = {"": _whole, "by one event, ": _event}


def predict(bench: Bench) -> Scores:
    """The second that follows what was seen, against what was filmed."""
    task = _task(bench, "predict")
    fps, found, true, last, kept, items = bench.reader.info.fps, [], [], [], [], []
    chosen = bench.choose(bench.clips, FUTURES * bench.limit)
    for number, item in enumerate(bench.readable(chosen)):
        frames = bench.frames(item)
        if len(frames) < GIVEN + AHEAD:
            continue
        future = task(frames[:GIVEN], seconds=AHEAD / fps, seed=bench.seed)[0]
        found.append(future.frames[:AHEAD])
        true.append(frames[GIVEN : GIVEN + AHEAD])
        last.append(np.repeat(frames[GIVEN - 1 : GIVEN], AHEAD, 0))
        kept.append(bench.reader.reconstruct(frames[: GIVEN + AHEAD])[GIVEN:])
        items.append(item)
        bench.advance(number + 1, len(chosen))
    if not items:
        raise Skip(f"no clip has {GIVEN + AHEAD} frames at {fps:g} a second")
    others = {COPY: last, "reconstruction of the true frames": kept}
    out: Scores = {}
    half = AHEAD // 2
    for name, part in ((f"{half / fps:g} s ahead", slice(0, half)), (f"{AHEAD / fps:g} s ahead", slice(half, AHEAD))):

        def errors(films: list[np.ndarray], part: slice = part) -> list[float]:
            pairs = zip(films, true, strict=True)
            return [float(np.abs(a[part].astype(float) - b[part]).mean() / 255) for a, b in pairs]

        mine, by_others = errors(found), {other: errors(films) for other, films in others.items()}
        note = f"mean absolute difference of pixels, 0 to 1; {_less(bench, mine, by_others)}"
        score = bench.score(mine, better="lower", note=note)
        score.baselines = {other: float(np.mean(values)) for other, values in by_others.items()}
        out[f"error of pixels, {name}"] = score
    with suppress(Skip):  # without truth or a detector the pixels must do
        out |= _positions(bench, items, found, true, others)
    return out


def _positions(
    bench: Bench,
    items: list[Item],
    found: list[np.ndarray],
    true: list[np.ndarray],
    others: dict[str, list[np.ndarray]],
) -> Scores:
    """Where the objects are in the last predicted frame, by the detector: all of them, and those that it finds in the
    true frame, since what it misses there says nothing of the prediction."""
    truths = []
    for item in items:
        there = item.seen_in(GIVEN + AHEAD - 1)
        if there is None:
            raise Skip("no truth of each frame")
        truths.append(there)
    if not any(truths):
        raise Skip("no object can be seen")

    def errors(films: list[np.ndarray]) -> list[np.ndarray]:
        seen = bench.detect([film[-1] for film in films])
        side = float(bench.size)
        return [np.array(metrics.position_errors(t, s, side)) for t, s in zip(truths, seen, strict=True)]

    off = {name: errors(films) for name, films in {"": found, **others, "true frames": true}.items()}
    out: Scores = {}
    for name, least in (("", np.inf), (", where the judge finds them in the true frame", FOUND_AT * bench.size)):
        counted = [some <= least for some in off["true frames"]]
        means = {
            film: [float(some[which].mean()) for some, which in zip(each, counted, strict=True) if which.any()]
            for film, each in off.items()
        }
        if not means[""]:
            continue
        mine = means.pop("")
        note = f"{AHEAD} frames ahead; {_less(bench, mine, means)}"
        score = bench.score(mine, better="lower", unit="pixels", note=note)
        score.baselines = {film: float(np.mean(values)) for film, values in means.items()}
        out[f"position error of objects{name}"] = score
    return out


def _less(bench: Bench, mine: Sequence[float], others: dict[str, list[float]]) -> str:
    """By how much errors are less than those of a copy, clip by clip, with the 95% interval of that."""
    less = (np.array(others[COPY]) - mine).tolist()
    low, high = metrics.interval(less, seed=bench.seed)
    return f"{np.mean(less):.3g} ({low:.3g} to {high:.3g}) less than a {COPY}, clip by clip"


def surprise(bench: Bench) -> Scores:
    """Clips in which an object vanishes, jumps or passes through another, against the same clips unbroken."""
    task = _task(bench, "surprise")
    files = {item.record.file: item for item in bench.items}
    pairs = [
        (item, files[item.truth["impossible"]["twin_of"]])
        for item in bench.items
        if item.truth.get("impossible") and item.truth["impossible"].get("twin_of") in files
    ]
    if not pairs:
        raise Skip("no clip is an impossible twin of another (`truth.impossible` in metadata.jsonl)")
    rows: dict[str, list[list[float]]] = {"strange": [], "peaks": [], "leaps": []}
    moved = []
    chosen = [pair for pair in bench.choose(pairs, max(1, bench.limit // 2)) if bench.readable(pair) == list(pair)]
    for number, pair in enumerate(chosen):
        found = [task(item.path) for item in pair]
        for name, table in rows.items():
            table.append([_stands_out(one, name) for one in found])
        moved.append([_moved_most(bench.frames(item)) for item in pair])
        bench.advance(number + 1, len(chosen))
    others = {"bits alone": rows["peaks"], "leaps alone": rows["leaps"], "frame difference": moved}
    score = bench.score(rows["strange"], auroc, note="how far the strangest moment of a clip stands out")
    first = bench.score(
        [_wins(row) for row in rows["strange"]], note="the broken clip of each pair is the stranger one"
    )
    for name, table in others.items():
        score.baselines[name] = auroc(table)
        first.baselines[name] = float(np.mean([_wins(row) for row in table]))
    return {"AUROC of impossible events": score, "pairs in the right order": first}


def auroc(rows: Sequence[Sequence[float]]) -> float:
    """The chance that a broken clip scores above an unbroken one; rows are (broken, unbroken)."""
    broken, whole = np.array(rows, np.float64).T
    above = (broken[:, None] > whole).mean() + (broken[:, None] == whole).mean() / 2
    return float(above)


def _wins(row: Sequence[float]) -> float:
    return float(row[0] > row[1]) + 0.5 * float(row[0] == row[1])


def _stands_out(found: Any, by: str = "strange") -> float:
    values = getattr(found, by)
    later = values[~found.fresh] if (~found.fresh).any() else values
    return float(later.max() - later.min())  # of the few maps of a clip, what is impossible may fill two


def _moved_most(frames: np.ndarray) -> float:
    steps = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean((1, 2, 3))
    return float(steps.max() - np.median(steps)) if len(steps) else 0.0
