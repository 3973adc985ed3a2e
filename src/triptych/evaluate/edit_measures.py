"""The measure of edits: whether what was asked for changed, and whether the rest was left alone.

The judge finds the objects of the drawn picture; the truth tells which one the instruction changes and where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from triptych.evaluate import metrics, words
from triptych.evaluate.bench import LANGUAGES, Bench, Item, Scores, Skip
from triptych.evaluate.detector import CLASSES, Found
from triptych.evaluate.metrics import Object

REACH = 24.0  # pixels within which an object is the one that the truth means
EDITS = 2  # times the limit of edits that are measured: of seven kinds, each of its own difficulty
MARGIN = 8  # pixels around the changed object that are not "the rest": shadows and reflections


@dataclass
class Edit:
    """A pair of the data: the picture before, what is asked, and what the truth says.

    changed: the object before and after, None where it is not there. rest: the objects that stay.
    """

    before: Item
    after: Item
    text: str
    kind: str
    changed: tuple[Object | None, Object | None]
    rest: list[Object]


def edit(bench: Bench) -> Scores:
    """Pictures changed as instructions say, in English and Chinese in turn."""
    drawer = getattr(bench.reader, "edit", None)
    if drawer is None:
        raise Skip("the model can't edit")
    pairs = bench.choose(bench.edits, EDITS * bench.limit)
    whole = [pair for pair in pairs if bench.readable(pair) == pair]
    edits = [e for number, pair in enumerate(whole) if (e := _edit(pair[0], pair[1], number)) is not None]
    if not edits:
        raise Skip("no pair's `truth` tells what its instruction changes")
    bench.detector  # noqa: B018  before anything is drawn: without a judge there is nothing to measure
    drawn, before, after = [], [], []
    for number, e in enumerate(edits):
        before.append(bench.pixels(e.before))
        after.append(bench.pixels(e.after))
        drawn.append(drawer(before[-1], e.text, seed=bench.seed + number, **bench.settings)[0].pixels)
        bench.advance(number + 1, len(edits))
    pictures = {
        "drawn": drawn,
        "copy of the picture before": before,
        "true picture": after,
        "reconstruction of the true picture": [bench.reconstruct(pixels) for pixels in after],
    }
    seen = {name: bench.detect(which) for name, which in pictures.items()}
    made = {
        name: [asked_made(e, found, bench.size) for e, found in zip(edits, which, strict=True)]
        for name, which in seen.items()
    }
    left = {name: [rest_left(e, found) for e, found in zip(edits, which, strict=True)] for name, which in seen.items()}
    both = {
        name: [
            float(m and a == b and len(found) == len(e.rest) + (e.changed[1] is not None))
            for e, m, (a, b), found in zip(edits, made[name], left[name], which, strict=True)
        ]
        for name, which in seen.items()
    }
    off = {
        name: [untouched(e, one, two) for e, one, two in zip(edits, which, before, strict=True)]
        for name, which in pictures.items()
    }
    out: Scores = {}

    def told(name: str, values: dict[str, list[float]], rows: Sequence[int], **more: Any) -> None:
        out[name] = bench.score([values["drawn"][n] for n in rows], **more)
        beside = {other: which for other, which in values.items() if other != "drawn"}
        out[name].baselines = {other: float(np.mean([which[n] for n in rows])) for other, which in beside.items()}

    everyone = range(len(edits))
    told(
        "asked change made",
        made,
        everyone,
        note="the object is found with its new looks where it was asked for, or gone",
    )
    if any(total for _, total in left["drawn"]):
        note = "the others, with their shape and colour, where they were"
        out["objects left alone"] = bench.score(left["drawn"], metrics.ratio, note=note)
        out["objects left alone"].baselines = {n: metrics.ratio(which) for n, which in left.items() if n != "drawn"}
    told("change made and nothing else", both, everyone, note="both, and no other object")
    note = "mean difference of pixels away from the changed object"
    told("change of the rest", off, everyone, better="lower", unit="levels", note=note)
    for kind in sorted({e.kind for e in edits}):
        told(f"asked change made, {kind}", made, [n for n in everyone if edits[n].kind == kind])
    return out


def _edit(before: Item, after: Item, number: int) -> Edit | None:
    """What the truth of a pair says; None where it says nothing."""
    told = after.truth.get("edit")
    texts = {text.lang or "en": text.text for text in after.record.instruction}
    if not isinstance(told, dict) or not texts:
        return None
    text = texts.get(LANGUAGES[number % 2]) or next(iter(texts.values()))
    rest = [o for o in after.objects if any(_same(o, b) for b in before.objects)]
    old = [o for o in before.objects if not any(_same(o, b) for b in after.objects)]
    new = [o for o in after.objects if not any(_same(o, b) for b in before.objects)]
    if len(old) > 1 or len(new) > 1:
        return None
    return Edit(before, after, text, str(told.get("kind")), (old[0] if old else None, new[0] if new else None), rest)


def _same(one: Object, two: Object) -> bool:
    return one["center"] == two["center"] and all(one.get(key) == two.get(key) for key in CLASSES)


def asked_made(e: Edit, seen: Sequence[Found], side: float) -> float:
    """1 if what was asked for is there: the object with its looks where it was asked for, and gone from its old place.

    Args:
        e: what was asked.
        seen: what the judge finds.
        side: of the picture, in pixels.
    """
    old, new = e.changed
    if new is not None:
        # Looks that the instruction doesn't touch may be misread by the judge; shape, colour and the changed one count,
        # and of what is added those that are asked for.
        looks = {key: new[key] for key in ("shape", "color", e.kind) if key in CLASSES}
        if e.kind == "add":
            looks = next((mention.looks for mention in words.mentions(e.text) if mention.new), looks)
        others = _stayed(e, seen)
        found = [o for place, o in enumerate(seen) if place not in others and metrics.fits(looks, o)]
        if not any(_is_placed(e, new, o, side) for o in found):
            return 0.0
    if old is not None and (new is None or not _near(old, new)):
        return float(not any(_near(old, o) and o["shape"] == old["shape"] and o["color"] == old["color"] for o in seen))
    return 1.0


def _is_placed(e: Edit, new: Object, found: Object, side: float) -> bool:
    """Whether a thing stands where it was asked for: what is added or moved to a side may stand anywhere on that side,
    and all else where the truth has it."""
    if _near(new, found) or e.kind not in ("add", "move"):
        return _near(new, found)
    wanted, old = words.whither(e.text), e.changed[0]
    if wanted is None:
        return e.kind == "add" and len(words.mentions(e.text)) == 1
    relation, looks = wanted
    if old is not None and not metrics.relation_holds(found, relation, old, side):
        return False  # it has not moved that way, though it may have stood on that side before
    if looks is None:
        return old is not None
    beside = [thing for thing in e.rest if metrics.fits(looks, thing)]
    return len(beside) == 1 and metrics.relation_holds(found, relation, beside[0], side)


def rest_left(e: Edit, seen: Sequence[Found]) -> tuple[int, int]:
    """How many of the other objects are found with their shape and colour where they were, of how many."""
    return len(_stayed(e, seen)), len(e.rest)


def _stayed(e: Edit, seen: Sequence[Found]) -> set[int]:
    """Which of the objects found are others, with their shape and colour where they were."""
    places = metrics.match_places(e.rest, seen, REACH)
    return {
        place
        for thing, place in zip(e.rest, places, strict=True)
        if place is not None and all(seen[place][key] == thing[key] for key in ("shape", "color"))
    }


def untouched(e: Edit, drawn: np.ndarray, before: np.ndarray) -> float:
    """Mean difference in levels of pixels away from the boxes of the changed object, before and after."""
    rest = np.ones(before.shape[:2], bool)
    for thing in e.changed:
        if thing is not None:
            left, top, right, bottom = (int(v) for v in thing["box"])
            rest[max(0, top - MARGIN) : bottom + MARGIN, max(0, left - MARGIN) : right + MARGIN] = False
    return float(np.abs(drawn.astype(np.int64) - before)[rest].mean()) if rest.any() else 0.0


def _near(one: Object, two: Object) -> bool:
    return float(np.hypot(one["center"][0] - two["center"][0], one["center"][1] - two["center"][1])) < REACH
