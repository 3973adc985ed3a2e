"""Questions about pictures, with short answers that are balanced by a coin thrown before looking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from triptych.worlds.tabletop.language import (
    LANGUAGES,
    OPPOSITE,
    PLACE,
    ZH,
    Object,
    naming_keys,
    phrase,
    plural,
    relations,
    the,
    whereabouts,
)
from triptych.worlds.tabletop.scene import COLORS, MATERIALS, SHAPES, SIZES, WITHHELD

Question = dict[str, str]
_DOMAIN: dict[str, Sequence[str]] = {"color": list(COLORS), "material": MATERIALS, "size": SIZES}


def ask(kind: str, english: tuple[str, str], chinese: tuple[str, str]) -> list[Question]:
    """One question in both languages, as two rows."""
    return [
        {"question": q, "answer": a, "kind": kind, "lang": lang}
        for lang, (q, a) in zip(LANGUAGES, (english, chinese), strict=True)
    ]


def answer_zh(value: str) -> str:
    """The Chinese answer to a query of an attribute."""
    return {"small": "小的", "large": "大的"}.get(value, ZH.get(value, value))


def picture_questions(rng: np.random.Generator, things: list[Object], level: int, size: int) -> list[Question]:
    """Four to seven questions about the objects of a picture, each in both languages."""
    rows: list[Question] = []
    queries = [k for k in ("color", "material", "size", "shape") if rng.random() < 0.6] or ["color"]
    for attribute in queries:
        rows += _query(rng, things, attribute)
    rows += _count_all(things)
    if rng.random() < 0.7:
        rows += _count_some(rng, things)
    rows += _exists(rng, things, level)
    rows += _relation(rng, things, size)
    return rows


def _query(rng: np.random.Generator, things: list[Object], attribute: str) -> list[Question]:
    """Ask for one attribute of an object that its other attributes name without doubt."""
    thing = things[int(rng.integers(len(things)))]
    if attribute == "shape":
        sets: list[tuple[str, ...]] = [
            ("color",),
            ("color", "material"),
            ("size", "color"),
            ("size", "color", "material"),
        ]
        for keys in sets:
            if sum(all(o[k] == thing[k] for k in keys) for o in things) == 1:
                en, zh = phrase(thing, keys, "en"), phrase(thing, keys, "zh")
                en = en[: -len(thing["shape"])] + "object"
                zh = zh[: -len(ZH[thing["shape"]])] + "物体"
                return ask(
                    "shape", (f"What shape is the {en}?", thing["shape"]), (f"{zh}是什么形状？", ZH[thing["shape"]])
                )
        return []
    others = [k for k in ("color", "size", "material") if k != attribute]
    for keys in ((), (others[0],), (others[1],), tuple(others)):
        if sum(all(o[k] == thing[k] for k in (*keys, "shape")) for o in things) == 1:
            en, zh = phrase(thing, keys, "en"), phrase(thing, keys, "zh")
            value = thing[attribute]
            english = {"color": f"What color is the {en}?", "material": f"What is the {en} made of?",
                       "size": f"Is the {en} small or large?"}  # fmt: skip
            chinese = {"color": f"{zh}是什么颜色？", "material": f"{zh}是什么材质的？", "size": f"{zh}是大的还是小的？"}
            return ask(attribute, (english[attribute], value), (chinese[attribute], answer_zh(value)))
    return []


def _count_all(things: list[Object]) -> list[Question]:
    count = str(len(things))
    return ask("count", ("How many objects are there?", count), ("画面中有几个物体？", count))


def _count_some(rng: np.random.Generator, things: list[Object]) -> list[Question]:
    """Count what shares an attribute; the wanted number is drawn first, so that no answer dominates."""
    wanted = int(rng.integers(3))
    options: list[tuple[str, str]] = [(k, v) for k in ("color", "material") for v in _DOMAIN[k]]
    options += [("shape", v) for v in SHAPES[1]]
    fitting = [(k, v) for k, v in options if sum(t[k] == v for t in things) == wanted]
    # Zero and one are far more common than two; thinning them keeps the three alike.
    if not fitting or (wanted < 2 and rng.random() < 0.55):
        return []
    kinds = sorted({k for k, _ in fitting})
    kind = kinds[int(rng.integers(len(kinds)))]
    values = [v for k, v in fitting if k == kind]
    value = values[int(rng.integers(len(values)))]
    en = plural(value) if kind == "shape" else f"{value} objects"
    zh = ZH[value] if kind == "shape" else f"{ZH[value]}的物体" if kind == "color" else f"{ZH[value]}物体"
    return ask("count", (f"How many {en} are there?", str(wanted)), (f"有几个{zh}？", str(wanted)))


def _exists(rng: np.random.Generator, things: list[Object], level: int) -> list[Question]:
    """Ask whether something is there; half of the absent ones mix attributes of what is."""
    thing = dict(things[int(rng.integers(len(things)))])
    keys = [("color",), ("material",), ("color", "material"), ("size", "color")][int(rng.integers(4))]
    present = bool(rng.random() < 0.5)
    if not present:
        for _ in range(40):
            fake = dict(thing)
            for key in (*keys, "shape"):
                if rng.random() < 0.6:
                    domain = SHAPES[level] if key == "shape" else _DOMAIN[key]
                    fake[key] = str(rng.choice(list(domain)))
            absent = not any(all(o[k] == fake[k] for k in (*keys, "shape")) for o in things)
            if absent and (fake["color"], fake["shape"]) not in WITHHELD:
                thing = fake
                break
        else:
            return []
    en, zh = phrase(thing, keys, "en"), phrase(thing, keys, "zh")
    an = "an" if en[0] in "aeiou" else "a"
    return ask(
        "exists",
        (f"Is there {an} {en}?", "yes" if present else "no"),
        (f"有{zh}吗？", "有" if present else "没有"),
    )


def _relation(rng: np.random.Generator, things: list[Object], size: int) -> list[Question]:
    """Ask whether a clear relation holds, or its opposite."""
    pairs: list[tuple[Any, str, Any]] = [
        (a, r, b)
        for a in things
        for b in things
        if a is not b and naming_keys(a, things) and naming_keys(b, things)
        for r in relations(a, b, size)
        if r in OPPOSITE
    ]
    if not pairs:
        return []
    a, relation, b = pairs[int(rng.integers(len(pairs)))]
    true = bool(rng.random() < 0.5)
    asked = relation if true else OPPOSITE[relation]
    english = {"left": "to the left of", "right": "to the right of", "front": "in front of", "behind": "behind"}[asked]
    chinese = {"left": "左边", "right": "右边", "front": "前面", "behind": "后面"}[asked]
    return ask(
        "relation",
        (f"Is {the(a, things, 'en')} {english} {the(b, things, 'en')}?", "yes" if true else "no"),
        (f"{the(a, things, 'zh')}在{the(b, things, 'zh')}的{chinese}吗？", "在" if true else "不在"),
    )


def place_questions(rng: np.random.Generator, things: list[Object], size: int) -> list[Question]:
    """Ask where something is; the place is drawn first, so that what lies where most things lie doesn't dominate."""
    known = [(t, where) for t in things if naming_keys(t, things) and (where := whereabouts(t, size))]
    if not known:
        return []
    places = sorted({where for _, where in known}, key=str)
    wanted = places[int(rng.integers(len(places)))]
    thing = next(t for t, where in known if where == wanted)
    english, chinese = PLACE[wanted]
    return ask(
        "place",
        (f"Where is {the(thing, things, 'en')}?", english),
        (f"{the(thing, things, 'zh')}在哪里？", chinese),
    )
