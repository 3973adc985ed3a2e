"""Names, lists, relations and captions, in English and Chinese.

Objects are plain dicts as they stand in a picture's truth: id, shape, color, material, size, center, depth, ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Object = dict[str, Any]
Words = dict[str, str]  # language -> text
LANGUAGES = ("en", "zh")
ATTRIBUTES = ("size", "color", "material")

ZH = {
    "red": "红色", "blue": "蓝色", "green": "绿色", "yellow": "黄色", "purple": "紫色", "cyan": "青色",
    "orange": "橙色", "gray": "灰色", "metal": "金属", "rubber": "橡胶", "plastic": "塑料", "small": "小",
    "large": "大", "ball": "球", "cube": "方块", "cylinder": "圆柱体", "cone": "圆锥体", "capsule": "胶囊体",
    "egg": "椭球", "object": "物体", "yes": "是", "no": "不是",
}  # fmt: skip
FLOOR = {
    "plain": ("a plain table", "素色的桌面"),
    "wood": ("a wooden table", "木桌"),
    "concrete": ("a concrete surface", "水泥台面"),
    "marble": ("a marble table", "大理石桌面"),
    "tile": ("a tiled surface", "瓷砖台面"),
    "cloth": ("a cloth", "布面"),
}
NUMBER = {1: ("one", "一"), 2: ("two", "两"), 3: ("three", "三"), 4: ("four", "四"), 5: ("five", "五"),
          6: ("six", "六"), 7: ("seven", "七")}  # fmt: skip
RELATION = {
    "left": ("to the left of", "在{b}的左边"),
    "right": ("to the right of", "在{b}的右边"),
    "front": ("in front of", "在{b}的前面"),
    "behind": ("behind", "在{b}的后面"),
    "on": ("on top of", "在{b}的上面"),
}
OPPOSITE = {"left": "right", "right": "left", "front": "behind", "behind": "front"}
# Where in the picture, by side and by depth; None is the middle of either.
PLACE = {
    ("left", None): ("on the left", "左边"),
    ("right", None): ("on the right", "右边"),
    (None, "front"): ("at the front", "前面"),
    (None, "back"): ("at the back", "后面"),
    ("left", "front"): ("at the front left", "左前方"),
    ("right", "front"): ("at the front right", "右前方"),
    ("left", "back"): ("at the back left", "左后方"),
    ("right", "back"): ("at the back right", "右后方"),
    (None, None): ("in the middle", "中间"),
}
MIDDLE = ((0.42, 0.58), (0.44, 0.54))  # shares of the width, of the height, that are clearly the middle
OUTSIDE = ((0.38, 0.62), (0.40, 0.58))  # beyond which it is clearly a side
SIDE_MARGIN = 0.12  # of the picture's width
DEPTH_MARGIN = 0.5  # metres along the camera's axis


def phrase(thing: Object, keys: Sequence[str], lang: str) -> str:
    """A noun phrase without article, from the attributes named by `keys`: "small red ball", "红色的小球"."""
    noun = thing["shape"]
    if lang == "en":
        return " ".join([*(thing[k] for k in ATTRIBUTES if k in keys), noun])
    color = ZH[thing["color"]] + "的" if "color" in keys else ""
    size = ZH[thing["size"]] if "size" in keys else ""
    material = ZH[thing["material"]] if "material" in keys else ""
    return color + size + material + ZH[noun]


def article(words: str) -> str:
    """The phrase with "a" or "an"."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def one(thing: Object, keys: Sequence[str], lang: str) -> str:
    """An indefinite phrase: "a red ball", "一个红色的球"."""
    words = phrase(thing, keys, lang)
    return article(words) if lang == "en" else "一个" + words


def plural(words: str) -> str:
    """The plural of an English phrase (all our nouns take -s)."""
    return words + "s"


def naming_keys(thing: Object, others: Sequence[Object]) -> tuple[str, ...] | None:
    """The shortest attributes that single `thing` out among `others` (itself included), or None."""
    for keys in (("color",), ("material",), ("size",), ("color", "material"), ("size", "color"), ATTRIBUTES):
        same = [o for o in others if all(o[k] == thing[k] for k in (*keys, "shape"))]
        if len(same) == 1:
            return keys
    return None


def the(thing: Object, others: Sequence[Object], lang: str) -> str:
    """A definite name that fits no other object: "the red ball", "红色的球"."""
    keys = naming_keys(thing, others) or ATTRIBUTES
    words = phrase(thing, keys, lang)
    return "the " + words if lang == "en" else words


def join(parts: Sequence[str], lang: str) -> str:
    """A list in words: "a, b and c", "a、b和c"."""
    if len(parts) == 1:
        return parts[0]
    comma, last = (", ", " and ") if lang == "en" else ("、", "和")
    return comma.join(parts[:-1]) + last + parts[-1]


def listing(things: Sequence[Object], keys: Sequence[Sequence[str]], lang: str) -> str:
    """All things in a list; equal phrases are counted together ("two red balls", "两个红色的球")."""
    words = [phrase(t, k, lang) for t, k in zip(things, keys, strict=True)]
    parts = []
    for text in dict.fromkeys(words):
        count = words.count(text)
        if lang == "en":
            parts.append(article(text) if count == 1 else f"{NUMBER[count][0]} {plural(text)}")
        else:
            parts.append(f"{NUMBER[count][1]}个{text}")
    return join(parts, lang)


def relations(a: Object, b: Object, size: int) -> list[str]:
    """The relations of a to b that hold with a clear margin in the picture."""
    if a.get("on") == b["id"]:
        return ["on"]
    if b.get("on") == a["id"]:
        return []
    found = []
    dx, dy = a["center"][0] - b["center"][0], a["center"][1] - b["center"][1]
    if abs(dx) > SIDE_MARGIN * size and abs(dx) > 0.5 * abs(dy):
        found.append("left" if dx < 0 else "right")
    level = a.get("on") is None and b.get("on") is None
    if level and abs(a["depth"] - b["depth"]) > DEPTH_MARGIN and abs(dy) > 0.05 * size and abs(dx) < 0.35 * size:
        near = a["depth"] < b["depth"]
        if near == (dy > 0):
            found.append("front" if near else "behind")
    return found


def relate(a: str, relation: str, b: str, lang: str) -> str:
    """ "a to the left of b", "a在b的左边"."""
    english, chinese = RELATION[relation]
    return f"{a} {english} {b}" if lang == "en" else a + chinese.format(b=b)


def whereabouts(thing: Object, size: int) -> tuple[str | None, str | None] | None:
    """The key of PLACE that says where a thing is in the picture, or None where that isn't clear."""
    if thing.get("on") is not None:
        return None  # height and depth look alike
    found = []
    for at, middle, outside, names in zip(
        thing["center"], MIDDLE, OUTSIDE, (("left", "right"), ("back", "front")), strict=True
    ):
        share = at / size
        if outside[0] <= share <= outside[1] and not middle[0] <= share <= middle[1]:
            return None
        found.append(names[0] if share < outside[0] else names[1] if share > outside[1] else None)
    return found[0], found[1]


def place_texts(rng: np.random.Generator, things: list[Object], floor: str, size: int) -> dict[str, list[str]]:
    """Captions that say where things are, one for each language: they teach what sides are, as do relations between
    two things; none where no place is clear."""
    order = [things[i] for i in rng.permutation(len(things))]
    order.sort(key=lambda t: whereabouts(t, size) is None)
    if whereabouts(order[0], size) is None:
        return {lang: [] for lang in LANGUAGES}
    full = rng.random() < 0.5
    keys = [ATTRIBUTES if full else some_keys(rng) for _ in order]
    texts = {}
    for lang in LANGUAGES:
        parts, rest = [], []
        for thing, named in zip(order, keys, strict=True):
            words, where = one(thing, named, lang), whereabouts(thing, size)
            if where is None:
                rest.append(words)
            else:  # of the picture: in Chinese the words alone would mean a side of the thing before
                parts.append(f"{words} {PLACE[where][0]}" if lang == "en" else f"画面{PLACE[where][1]}有{words}")
        english, chinese = FLOOR[floor]
        if lang == "en":
            texts[lang] = [f"on {english}: {join([*parts, *rest], lang)}"]
        else:
            texts[lang] = [f"{chinese}上，" + "，".join([*parts, *(["还有" + join(rest, lang)] if rest else [])])]
    return texts


def some_keys(rng: np.random.Generator) -> tuple[str, ...]:
    """Attributes to name in a short caption."""
    pool = [("color",), ("color",), ("color",), ("size", "color"), ("color", "material"), ("material",), ATTRIBUTES]
    return pool[int(rng.integers(len(pool)))]


def picture_texts(rng: np.random.Generator, things: list[Object], floor: str, size: int) -> dict[str, list[str]]:
    """Captions of a picture: two short, two medium, two long ones for each language.

    Args: things: all objects that can be seen, and no others. size: the picture's side in pixels.
    """
    texts: dict[str, list[str]] = {lang: [] for lang in LANGUAGES}
    for turn in range(2):
        order = [things[i] for i in rng.permutation(len(things))]
        keys = [some_keys(rng) for _ in order] if turn else [some_keys(rng)] * len(order)
        style = int(rng.integers(3)) if turn else 0
        for lang in LANGUAGES:
            texts[lang].append(_short(order, keys, lang, style))
    for turn in range(2):
        plan = _medium_plan(rng, things, size, full=turn == 0)
        style = int(rng.integers(2))
        for lang in LANGUAGES:
            texts[lang].append(_medium(plan, floor, lang, style))
    row = sorted(things, key=lambda t: t["center"][0])
    pairs = [(a, r, b) for i, a in enumerate(row) for b in row[i + 1 :] for r in relations(a, b, size)]
    for turn in range(2):
        chosen = [pairs[i] for i in rng.permutation(len(pairs))[: 1 + turn]]
        for lang in LANGUAGES:
            texts[lang].append(_long(row, chosen, floor, lang, turn))
    return texts


def _short(things: list[Object], keys: list[tuple[str, ...]], lang: str, style: int) -> str:
    words = listing(things, keys, lang)
    if style == 0:
        return words
    if lang == "en":
        verb = "is" if words.startswith(("a ", "an ")) else "are"
        return f"there {verb} {words}" if style == 1 else f"a picture of {words}"
    return f"有{words}" if style == 1 else f"画面里有{words}"


def _medium_plan(rng: np.random.Generator, things: list[Object], size: int, full: bool) -> dict[str, Any]:
    """Choose a related pair and the attributes to name, the same for both languages."""
    keys = {t["id"]: ATTRIBUTES if full else some_keys(rng) for t in things}
    pairs = [(a, r, b) for a in things for b in things if a is not b for r in relations(a, b, size)]
    if not pairs:
        return {"pair": None, "rest": things, "keys": keys}
    a, relation, b = pairs[int(rng.integers(len(pairs)))]
    # The first is named in full, the second often by its colour alone:
    # "a small red metal ball to the left of a blue cube".
    keys[a["id"]] = ATTRIBUTES
    if rng.random() < 0.5:
        keys[b["id"]] = ("color",)
    rest = [t for t in things if t["id"] not in (a["id"], b["id"])]
    return {"pair": (a, relation, b), "rest": rest, "keys": keys}


def _medium(plan: dict[str, Any], floor: str, lang: str, style: int) -> str:
    keys, rest = plan["keys"], plan["rest"]
    remaining = listing(rest, [keys[t["id"]] for t in rest], lang) if rest else ""
    if plan["pair"] is None:
        place = FLOOR[floor][LANGUAGES.index(lang)]
        return f"{remaining} on {place}" if lang == "en" else f"{place}上有{remaining}"
    a, relation, b = plan["pair"]
    first, second = one(a, keys[a["id"]], lang), one(b, keys[b["id"]], lang)
    text = relate(first, relation, second, lang)
    if rest:
        text += f", and {remaining}" if lang == "en" else f"，还有{remaining}"
    if style and not rest:
        text += f", on {FLOOR[floor][0]}" if lang == "en" else f"，都在{FLOOR[floor][1]}上"
    return text


def _long(row: list[Object], pairs: list[tuple[Object, str, Object]], floor: str, lang: str, style: int) -> str:
    english, chinese = FLOOR[floor]
    items = [one(t, ATTRIBUTES, lang) for t in row]
    facts = [relate(the(a, row, lang), r, the(b, row, lang), lang) for a, r, b in pairs]
    if lang == "en":
        facts = [
            f.replace(f" {RELATION[r][0]}", f" is {RELATION[r][0]}", 1)
            for f, (_, r, _) in zip(facts, pairs, strict=True)
        ]
        words = join(items, lang)
        if len(row) == 1:
            text = f"On {english} stands {words}." if style else f"A picture of {words}, alone on {english}."
        elif style:
            text = f"From left to right, on {english}: {words}."
        else:
            text = f"{english[0].upper()}{english[1:]} with {NUMBER[len(row)][0]} objects, from left to right: {words}."
        return " ".join([text, *(f[0].upper() + f[1:] + "." for f in facts)])
    words = join(items, lang)
    if len(row) == 1:
        text = f"{chinese}上只有{words}。" if style else f"画面中，{chinese}上放着{words}。"
    elif style:
        text = f"{chinese}上从左到右依次是{words}。"
    else:
        text = f"{chinese}上有{NUMBER[len(row)][1]}个物体，从左到右是{words}。"
    return text + ("，".join(facts) + "。" if facts else "")
