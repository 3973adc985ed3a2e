"""Measures of pictures: what codes keep, what drawings hold, how a next view fits.

Each takes a Bench and gives named scores with their baselines, or raises Skip with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from triptych.evaluate import metrics, words
from triptych.evaluate.bench import LANGUAGES, Bench, Item, Score, Scores, Skip, chunks
from triptych.evaluate.codecs import codecs
from triptych.evaluate.detector import CLASSES, Found
from triptych.evaluate.metrics import Object
from triptych.tasks.settings import usual
from triptych.train.features import perceptual_loss
from triptych.worlds.tabletop.scene import WITHHELD

ALONE = 8  # levels by which compression changes a pixel that nothing happened to
REACH = 24.0  # pixels within which an object before and after is the same one
FRECHET = "MobileNetV2 Fréchet distance"


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
    _optional(lambda: _codes_held(bench, out))
    return out


def _optional(measure: Callable[[], None]) -> None:
    """A part of a measure that the rest can do without."""
    try:
        measure()
    except Skip:
        return


def _codes_held(bench: Bench, out: Scores) -> None:
    """Of the cells whose pixels an edit leaves alone, those that keep their code: what the GPT can copy."""
    read = getattr(bench.reader, "codes", None)
    pairs = [pair for pair in bench.choose(bench.edits, max(1, bench.limit // 2)) if bench.readable(pair) == pair]
    if read is None or not pairs:
        raise Skip("no edits, or no codes to compare")
    held = []
    for pair in pairs:
        before, after = (bench.pixels(item) for item in pair)
        one, two = read(before), read(after)
        change = np.abs(before.astype(np.int64) - after).max(2)
        cells = change.reshape(len(one), -1, one.shape[1], change.shape[1] // one.shape[1]).max((1, 3))
        held.append((int(((one == two) & (cells <= ALONE)).sum()), int((cells <= ALONE).sum())))
    note = f"pixels of a cell that change by {ALONE} levels at most, of pictures before and after an edit"
    out["codes that an edit leaves"] = bench.score(held, metrics.ratio, note=note)


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

    @property
    def is_rare(self) -> bool:
        """Whether it asks for a relation, or for a pair that training never showed."""
        return bool(self.relations) or any(is_withheld(thing) for thing in self.objects)


def is_withheld(thing: Object) -> bool:
    """Whether training never showed an object of this colour and shape."""
    return (thing.get("color"), thing["shape"]) in WITHHELD


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


def asks_of(bench: Bench, items: Sequence[Item]) -> tuple[list[Ask], list[Ask]]:
    """Texts to draw: of these pictures, in one language after the other, and up to the limit of others that ask for
    what is rare, a relation or a pair of colour and shape that training never showed."""

    def of(some: Sequence[Item]) -> list[Ask]:
        pairs = [(item, LANGUAGES[n % 2], LANGUAGES[1 - n % 2]) for n, item in enumerate(some)]
        return [ask for item, one, two in pairs if (ask := asked(item, one) or asked(item, two))]

    known = {item.record.file for item in items}
    rare = [ask for ask in of([item for item in bench.known_pictures if item.record.file not in known]) if ask.is_rare]
    return of(items), [ask for ask in bench.choose(rare) if bench.is_readable(ask.item)]


# Kinds of relations that are counted together, and what their share is called.
RELATIONS = {
    ("left", "right", "front", "behind", "on"): "relations",
    ("left", "right"): "relations, left and right",
    ("front", "behind"): "relations, in front and behind",
}


def held_relations(ask: Ask, kinds: Sequence[str], found: Sequence[Object], side: float) -> tuple[int, int]:
    """How many of the relations of some kinds that a text asks for hold between objects found, and how many it asks."""
    wanted = [each for each in ask.relations if each[1] in kinds]
    return metrics.relations_right(ask.objects, wanted, found, side), len(wanted)


def draw(bench: Bench) -> Scores:
    """Whether pictures hold what their texts ask for, and look like the data."""
    common, rare = asks_of(bench, bench.readable(bench.choose(bench.known_pictures)))
    if not common:
        raise Skip("no text names all objects of its picture, in English or Chinese")
    asks = common + rare
    bench.detector  # noqa: B018  before anything is drawn: without a judge there is nothing to measure
    texts, seeds = [a.text for a in asks], [bench.seed + n for n in range(len(asks))]
    drawn = bench.draw(texts, seeds)
    true = [bench.pixels(a.item) for a in asks]
    kept = [bench.reconstruct(pixels) for pixels in true]
    seen = {"drawn": bench.detect(drawn), "reconstruction of the true picture": bench.detect(kept)}
    if usual().changed(bench.settings).best_of > 1:
        seen["first candidate"] = bench.detect(bench.draw(texts, seeds, best_of=1))
    if "planned" in bench.reader.info.made and usual().changed(bench.settings).plan == "auto":
        seen["drawn without a plan"] = bench.detect(bench.draw(texts, seeds, plan="none"))
    seen["true picture"] = bench.detect(true)
    shift = max(1, len(asks) // 2) if len(asks) > 1 else 0
    seen["another picture"] = [seen["true picture"][(n + shift) % len(asks)] for n in range(len(asks))]
    count = len(common)
    out = _drawn_right(bench, asks, count, seen)
    _optional(lambda: _drawn_alike(bench, common, drawn[:count], true[:count], kept[:count], out))
    return out


def _drawn_right(bench: Bench, asks: list[Ask], common: int, seen: dict[str, list[list[Found]]]) -> Scores:
    """Scores of the first texts, and what is rare of all."""
    side = float(bench.size)

    def objects(which: list[list[Found]], rows: Sequence[int], withheld: bool | None = None) -> list[tuple[int, int]]:
        out = []
        for n in rows:
            hits = metrics.objects_found(asks[n].objects, which[n])
            wanted = [
                hit
                for hit, thing in zip(hits, asks[n].objects, strict=True)
                if withheld is None or is_withheld(thing) == withheld
            ]
            out.append((sum(wanted), len(wanted)))
        return out

    def scenes(which: list[list[Found]], rows: Sequence[int]) -> list[float]:
        return [float(metrics.scene_right(asks[n].objects, which[n])) for n in rows]

    def relations(which: list[list[Found]], kinds: Sequence[str]) -> list[tuple[int, int]]:
        pairs = [held_relations(ask, kinds, found, side) for ask, found in zip(asks, which, strict=True)]
        return [pair for pair in pairs if pair[1]]

    def told(name: str, values: Callable[[list[list[Found]]], list[Any]], score: Any = None, note: str = "") -> None:
        sample = values(seen["drawn"])
        if sample and (score is None or sum(pair[1] for pair in sample)):
            out[name] = bench.score(sample, score, note=note)
            whole = score or (lambda values: float(np.mean(values)))
            out[name].baselines = {other: whole(values(which)) for other, which in seen.items() if other != "drawn"}

    out: Scores = {}
    everyone = range(common)
    told("objects", lambda w: objects(w, everyone), metrics.ratio, "asked objects with every look that the text names")
    told("scenes", lambda w: scenes(w, everyone), None, "all asked objects right, and no other")
    for kinds, name in RELATIONS.items():
        told(name, lambda w, kinds=kinds: relations(w, kinds), metrics.ratio, "between objects that are right")  # type: ignore[misc]
    for language in LANGUAGES:
        rows = [n for n in everyone if asks[n].language == language]
        told(f"objects, {language}", lambda w, rows=rows: objects(w, rows), metrics.ratio)  # type: ignore[misc]
        told(f"scenes, {language}", lambda w, rows=rows: scenes(w, rows))  # type: ignore[misc]
    unseen = [n for n, ask in enumerate(asks) if any(is_withheld(thing) for thing in ask.objects)]
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


def view(bench: Bench) -> Scores:
    """The next view of a scene, drawn from the views before it."""
    groups = [group for group in bench.choose(bench.views, max(1, bench.limit // 2)) if bench.readable(group) == group]
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
