"""What a text says of the tabletop world, in English or Chinese: objects, relations, events; and answers made alike.

The language of a text is seen from its words; both are tried, so that no tag is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from triptych.evaluate.metrics import Event, Object, fits
from triptych.tasks.telling import STAMP
from triptych.worlds.tabletop.language import NUMBER, RELATION, ZH
from triptych.worlds.tabletop.narrate import SAYINGS
from triptych.worlds.tabletop.scene import COLORS, MATERIALS, SHAPES, SIZES

_KEY = {**dict.fromkeys(COLORS, "color"), **dict.fromkeys(MATERIALS, "material"), **dict.fromkeys(SIZES, "size")}
_ZH_WORD = {ZH[word]: word for word in (*_KEY, *SHAPES[3])}
_ZH_WORD |= {ZH[color].removesuffix("色"): color for color in COLORS}
_COUNTS = {
    "a": 1,
    "an": 1,
    **{words[0]: n for n, words in NUMBER.items()},
    **{words[1]: n for n, words in NUMBER.items()},
}


def _any(words: Sequence[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_SHAPES_ZH = [ZH[shape] for shape in SHAPES[3]]
_EN = re.compile(
    rf"\b(?:(?P<count>{_any([w for w in _COUNTS if w.isascii()])}|the)\s+)?"
    rf"(?P<looks>(?:(?:{_any(list(_KEY))})\s+)*)(?P<shape>{_any(SHAPES[3])})s?\b",
    re.IGNORECASE,
)
_ZH = re.compile(
    rf"(?:(?P<count>{_any([w for w in _COUNTS if not w.isascii()])})个)?"
    rf"(?P<looks>(?:(?:{_any([w for w in _ZH_WORD if w not in _SHAPES_ZH])})的?)*)(?P<shape>{_any(_SHAPES_ZH)})"
)
_ZH_LOOK = re.compile(_any([w for w in _ZH_WORD if w not in _SHAPES_ZH]))


class Mention:
    """A noun phrase: the looks it names, how many, where it stands in the text, and whether it names something anew."""

    def __init__(self, looks: Object, count: int, span: tuple[int, int], new: bool) -> None:
        self.looks, self.count, self.span, self.new = looks, count, span, new

    def __repr__(self) -> str:
        return f"Mention({self.looks}, {self.count}, {self.span}, {self.new})"


def mentions(text: str) -> list[Mention]:
    """All objects that a text names, in its order.

    >>> mentions("two red balls")[0].looks
    {'color': 'red', 'shape': 'ball'}
    """
    out = []
    chinese = _is_chinese(text)
    for match in (_ZH if chinese else _EN).finditer(text):
        words = _ZH_LOOK.findall(match["looks"]) if chinese else match["looks"].lower().split()
        names = [_ZH_WORD[word] for word in words] if chinese else words
        shape = _ZH_WORD[match["shape"]] if chinese else match["shape"].lower()
        count = (match["count"] or "").lower()
        looks = {**{_KEY[name]: name for name in names}, "shape": shape}
        out.append(Mention(looks, _COUNTS.get(count, 1), match.span(), count in _COUNTS))
    return out


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def objects(text: str) -> list[Object]:
    """The objects that a text puts on the table, each with the looks it names.

    "a red ball" and "两个球" put there what they count; "the red ball" speaks of something told already, and counts
    only in a text that introduces nothing.
    """
    found = mentions(text)
    fresh = [dict(m.looks) for m in found if m.new for _ in range(m.count)]
    if fresh:
        return fresh
    once: list[Object] = []
    for mention in found:
        if mention.looks not in once:
            once.append(dict(mention.looks))
    return once


def relations(text: str) -> list[tuple[int, str, int]]:
    """(first, relation, second) that a text states, indices into `objects(text)`; left out where a name is unclear."""
    found = mentions(text)
    placed = objects(text)
    starts: dict[int, int] = {}
    position = 0
    for number, mention in enumerate(found):
        if mention.new:
            starts[number], position = position, position + mention.count

    def index(number: int) -> int | None:
        mention = found[number]
        if number in starts:
            return starts[number] if mention.count == 1 else None
        fitting = [i for i, thing in enumerate(placed) if fits(mention.looks, thing)]
        return fitting[0] if len(fitting) == 1 else None

    out = []
    for number, (a, b) in enumerate(pairwise(found)):
        between, after = text[a.span[1] : b.span[0]], text[b.span[1] :]
        name = next((r for r, words in RELATION.items() if _joins(between, after, *words)), None)
        first, second = index(number), index(number + 1)
        if name is not None and first is not None and second is not None and first != second:
            out.append((first, name, second))
    return out


_SIDE = re.compile(r"to the (left|right)\W*$|向(左|右)移")


def whither(text: str) -> tuple[str, Object | None] | None:
    """Where an instruction wants a thing: the relation, and the looks of what it is to stand beside; None for these
    where that is its own place of before, and None at all where nothing is said of it.

    >>> whither("put a ball behind the red cube"), whither("把方块向左移"), whither("add a ball")
    (('behind', {'color': 'red', 'shape': 'cube'}), ('left', None), None)
    """
    text = text.lower()
    for mention in mentions(text):
        before, after = text[: mention.span[0]].rstrip(), text[mention.span[1] :]
        for relation, (english, chinese) in RELATION.items():
            if before.endswith(f" {english}") or after.startswith(chinese.split("{b}")[1]):
                return relation, mention.looks
    side = _SIDE.search(text)
    return ({"左": "left", "右": "right"}.get(side[2], side[1]), None) if side else None


def _joins(between: str, after: str, english: str, chinese: str) -> bool:
    head, tail = chinese.split("{b}")
    plain = between.strip().removeprefix("is ").removeprefix("are ")
    return plain == english or (between == head and after.startswith(tail))


def _pattern(saying: str) -> re.Pattern[str]:
    literal = re.escape(saying).replace(r"\{0\}", "(?P<a>.+?)").replace(r"\{1\}", "(?P<b>.+?)")
    return re.compile(literal, re.IGNORECASE)


_EVENTS = [(kind, [_pattern(s) for way in ways for s in way]) for kind, ways in SAYINGS.items()]
_THEN = re.compile(r",?\s*then\s+|，?然后|[;；.。]\s*")


def told_events(text: str) -> list[tuple[float | None, str, tuple[Object, ...]]]:
    """The events that a text tells: (seconds or None, kind, what it names), in its order.

    >>> told_events("[0.5s] the red ball hits the blue cube")[0][:2]
    (0.5, 'collide')
    """
    pieces = STAMP.split(text)
    out = []
    for time, said in [(None, pieces[0]), *((float(t), s) for t, s in zip(pieces[1::2], pieces[2::2], strict=True))]:
        for sentence in _THEN.split(said):
            sentence = sentence.strip(" \n,，;；.。")
            for kind, patterns in _EVENTS:
                match = next((m for p in patterns if (m := p.fullmatch(sentence))), None)
                if match is not None:
                    names = [mentions(name) for name in match.groups()]
                    if all(len(name) == 1 for name in names):
                        out.append((time, kind, tuple(name[0].looks for name in names)))
                    break
    return out


def events(text: str, things: Sequence[Object]) -> list[Event]:
    """The events that a text tells, what it names looked up among `things` (with ids); None where it is unclear."""

    def find(looks: Object) -> int | None:
        fitting = [thing["id"] for thing in things if fits(looks, thing)]
        return fitting[0] if len(fitting) == 1 else None

    return [(time, kind, tuple(find(name) for name in names)) for time, kind, names in told_events(text)]


_ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {word: str(number) for number, word in enumerate(_ENGLISH)}
_NUMBERS |= {w: str(n) for n, w in enumerate("零一二三四五六七八九十")} | {"两": "2", "none": "0"}
_MEASURES = "个次只块件颗"  # words that Chinese puts after a number
_SECONDS = re.compile(r"^(\d+(?:\.\d+)?)\s*(?:s|sec|seconds?|秒)$")


def normal(answer: str) -> str:
    """An answer without what does not matter: case, articles, marks, number words, measure words, 的 and 色 at the end.

    >>> normal("The Red ball."), normal("三个"), normal("红色的")
    ('red ball', '3', '红')
    """
    text = answer.strip().lower().strip(" .。!！,，\"'“”")
    text = re.sub(r"^(?:the|an?)\s+", "", text)
    text = re.sub(r"\s+", " ", text)
    if re.fullmatch(rf"[零一二两三四五六七八九十\d]+[{_MEASURES}]?", text):
        text = text.rstrip(_MEASURES)
    text = _NUMBERS.get(text, text)
    if _is_chinese(text):
        text = text.replace(" ", "").removesuffix("的")
        text = text.removesuffix("色") or text
    return text


def same_answer(told: str, true: str, tolerance: float = 0.25) -> bool:
    """Whether an answer is right: alike after `normal`; a time in seconds may be `tolerance` off."""
    a, b = normal(told), normal(true)
    if (there := _SECONDS.match(b)) is not None:
        here = _SECONDS.match(a) or re.fullmatch(r"(\d+(?:\.\d+)?)", a)
        return here is not None and abs(float(here[1]) - float(there[1])) <= tolerance + 1e-6
    return a == b


def question_form(question: str) -> str:
    """A question without the objects it names, so that questions of one form can be counted together.

    >>> question_form("Is the red ball in front of the blue cube?")
    'is # in front of #?'
    """
    text = (_ZH if _is_chinese(question) else _EN).sub("#", question)
    generic = r"物体" if _is_chinese(question) else r"\b(?:the\s+)?objects?\b"
    looks = (
        rf"(?:(?:{_any(list(_ZH_WORD))})的?)+"
        if _is_chinese(question)
        else rf"(?:\b(?:an?|the)\s+)?\b(?:(?:{_any(list(_KEY))})\s+)+"
    )
    text = re.sub(rf"{looks}(?:{generic})", "#", text, flags=re.IGNORECASE)
    return re.sub(r"\d+(?:\.\d+)?", "0", text).lower()
