"""Measures of plans: whether a text's plan holds what the text asks for, and a picture's or a clip's what it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from triptych.errors import ModelError
from triptych.evaluate import metrics, words
from triptych.evaluate.bench import Bench, Item, Scores, Skip
from triptych.evaluate.metrics import Object
from triptych.evaluate.picture_measures import RELATIONS, asks_of, held_relations
from triptych.media import image
from triptych.results import Plan
from triptych.sequence.plan import overlap

OVERLAP = 0.5  # intersection over union of two boxes that are taken for the same
FOLLOWED = (
    4  # times the limit of clips that are followed: a thing that isn't told counts as half the side, so few say little
)


def plan(bench: Bench) -> Scores:
    """Plans of texts against the texts, and of pictures against their truth."""
    tell = getattr(bench.reader, "plan", None)
    items = bench.readable(bench.choose(bench.known_pictures))
    if tell is None:
        raise Skip("the model writes no plans")
    read: list[list[Object]] = []
    for item in items:
        try:
            read.append(things(tell(image=item.path, language="en")))
        except ModelError as error:
            raise Skip(str(error)) from error
        bench.advance(len(read), len(items))
    true = [_shares(item) for item in items]
    out = {}
    note = f"right by every look, with an overlap of {OVERLAP} or more"
    others = true[len(true) // 2 :] + true[: len(true) // 2]
    out["things of pictures, F1"] = bench.score([overlapping(*pair) for pair in zip(read, true, strict=True)],
                                                metrics.f1, note=note)  # fmt: skip
    out["things of pictures, F1"].baselines["things of another picture"] = metrics.f1(
        [overlapping(*pair) for pair in zip(others, true, strict=True)]
    )

    def far(which: list[list[Object]]) -> list[float]:
        placed = [[_placed(seen, bench.size) for seen in some] for some in (true, which)]
        return [float(np.mean(metrics.position_errors(t, w, float(bench.size)))) for t, w in zip(*placed, strict=True)]

    note = "from each true thing's middle to that of the one of its shape and colour; half the side where there is none"
    out["position error of things"] = bench.score(far(read), better="lower", unit="pixels", note=note)
    out["position error of things"].baselines["things of another picture"] = float(np.mean(far(others)))
    common, rare = asks_of(bench, items)
    asks = common + rare
    if not asks:
        return out
    planned = [things(tell(a.text)) for a in asks]
    other = planned[len(planned) // 2 :] + planned[: len(planned) // 2]

    def objects(which: list[list[Object]]) -> list[tuple[int, int]]:
        pairs = list(zip(common, which[: len(common)], strict=True))
        return [(metrics.objects_right(ask.objects, seen), len(ask.objects)) for ask, seen in pairs]

    def relations(kinds: Sequence[str]) -> Callable[[list[list[Object]]], list[tuple[int, int]]]:
        return lambda which: [
            pair for a, seen in zip(asks, which, strict=True) if (pair := held_relations(a, kinds, seen, 1.0))[1]
        ]

    measures: dict[str, Callable[[list[list[Object]]], list[tuple[int, int]]]] = {"objects of texts": objects}
    measures |= {name.replace("relations", "relations of texts"): relations(kinds) for kinds, name in RELATIONS.items()}
    for name, counts in measures.items():
        sample = counts(planned)
        if sum(pair[1] for pair in sample):
            out[name] = bench.score(sample, metrics.ratio, note="the likeliest plan, before anything is drawn")
            out[name].baselines["plan of another text"] = metrics.ratio(counts(other))
    return out


def track(bench: Bench) -> Scores:
    """Where things are told to be in clips that broke off, against where they truly were and went."""
    task, info = getattr(bench.reader, "track", None), bench.reader.info
    step = info.visual.span
    ahead = 2  # times
    if task is None:
        raise Skip("the model tells no things of clips")
    chosen = [item for item in bench.choose(bench.clips, FOLLOWED * bench.limit) if item.seen_in(0) is not None]
    true: list[list[list[Object]]] = []  # of each clip, at each time
    told: list[list[list[Object]]] = []
    last: list[list[Object]] = []
    for number, item in enumerate(bench.readable(chosen)):
        frames = bench.frames(item)
        count = 1 + (len(frames) - 1) // step
        shown = count - ahead
        if shown < 1 or item.seen_in((count - 1) * step) is None:
            continue
        try:
            found = task(frames[: 1 + (shown - 1) * step], ahead=ahead * step / info.fps, language="en")
        except ModelError as error:
            raise Skip(str(error)) from error
        # Boxes of the truth are pixels already; a plan tells boxes, so their middles are compared.
        true.append([_placed(item.seen_in(place * step) or [], 1) for place in range(count)])
        told.append([_placed(things(Plan("", some, "")), bench.size) for some in found.plans])
        last.append(true[-1][shown - 1])
        bench.advance(number + 1, len(chosen))
    if not true:
        raise Skip("no clip is long enough, or has the truth of its frames")

    if not all(any(each[place] for each in true) for place in range(-ahead - 1, 0)):
        raise Skip("no object can be seen")

    def far(which: list[list[Object]], place: int) -> list[float]:
        pairs = zip([each[place] for each in true], which, strict=True)
        return [float(np.mean(metrics.position_errors(t, w, float(bench.size)))) for t, w in pairs if t]

    out: Scores = {}
    note = "from each true thing's middle to that of the one of its shape and colour; half the side where there is none"
    for place in range(-ahead - 1, 0):
        after = (place + ahead + 1) * step / info.fps
        name = f"position error, {after:g} s ahead" if after else "position error at the end of what is shown"
        out[name] = bench.score(far([each[place] for each in told], place), better="lower", unit="pixels", note=note)
        if after:
            out[name].baselines["true places when the clip broke off"] = float(np.mean(far(last, place)))
    return out


def things(told: Plan) -> list[Object]:
    """The things of a plan whose words name a shape, as objects with boxes and centres in shares of the picture."""
    return [
        {**looks, "box": box, "center": ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)}
        for box, looks in ((thing.box, looks) for thing in told.things for looks in words.objects(thing.words)[:1])
    ]


def _placed(objects: Sequence[Object], size: int) -> list[Object]:
    """Objects whose centre is the middle of their box, in pixels of a picture of this size."""
    return [{**o, "center": [(o["box"][i] + o["box"][i + 2]) / 2 * size for i in (0, 1)]} for o in objects]


def overlapping(told: Sequence[Object], true: Sequence[Object]) -> tuple[int, int, int]:
    """(right, told, true) things: alike in every look, and overlapping."""
    table = np.array([[_alike(a, b) for b in true] for a in told], float).reshape(len(told), len(true))
    return sum(j is not None for j in metrics.assign(table)), len(told), len(true)


def _alike(told: Object, true: Object) -> bool:
    same = all(told.get(look) == true.get(look) for look in metrics.LOOKS)
    return same and overlap(told["box"], true["box"]) >= OVERLAP


def _shares(item: Item) -> list[Object]:
    """The true objects of a square picture, their boxes as shares of its sides."""
    height, width = image.read(item.path).shape[:2]
    return [
        {
            **o,
            "box": [min(max(edge / side, 0.0), 1.0) for edge, side in zip(o["box"], (width, height) * 2, strict=True)],
        }
        for o in item.objects
    ]
