"""Checks of a written world against its own truth."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from triptych.worlds.tabletop.edits import edit_problems
from triptych.worlds.tabletop.language import LANGUAGES, OPPOSITE, PLACE, ZH, plural, relations, the, whereabouts
from triptych.worlds.tabletop.narrate import say
from triptych.worlds.tabletop.physics import DURATION, FRAMES, Event
from triptych.worlds.tabletop.reasoning import told_by_looks
from triptych.worlds.tabletop.scene import COLORS, SHAPES, WITHHELD

Row = dict[str, Any]
# Forms with enough questions must not be answerable by always saying the same.
ENOUGH, MOST = 150, 0.65
_RELATIONS = {"to the left of": "left", "to the right of": "right", "in front of": "front", "behind": "behind"}
_ENGLISH, _CHINESE = zip(*PLACE.values(), strict=True)
_PLACED = {
    "en": re.compile(rf"({'|'.join(_ENGLISH)})(?=,| and |$)"),
    "zh": re.compile(rf"画面({'|'.join(sorted(_CHINESE, key=len, reverse=True))})有"),
}
_PLACED_THING = re.compile(rf"\ban? ([a-z ]+?) {_PLACED['en'].pattern}")
_NUMBER_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}


def audit(folder: Path, *, media: bool = True) -> list[str]:
    """Problems of the world in `folder`, in words; an empty list when there are none.

    Args: media: whether to open every picture and clip as well.
    """
    folder = Path(folder)
    problems: list[str] = []
    settings = json.loads((folder / "world.json").read_text(encoding="utf-8"))
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    seen: set[str] = set()
    before: Row = {}
    edits = 0
    for number, line in enumerate((folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            name = row["file_name"]
            found = list(_check_row(folder, row, settings, media))
            if "edit" in row["truth"]:
                found += _check_edit(before, row)
                edits += 1
            before = row
        except (ValueError, KeyError, IndexError, TypeError) as error:
            problems.append(f"line {number}: can't be read ({type(error).__name__}: {error})")
            continue
        if name in seen:
            found.append("named twice")
        seen.add(name)
        problems += [f"{name}: {text}" for text in found]
        for q in row["qa"]:
            answers[form_of(q, "frames" in row["truth"])][q["answer"]] += 1
    for medium, suffix in (("images", "jpg"), ("clips", "mp4")):
        expected = {f"{medium}/{i + 1:07d}.{suffix}" for i in range(settings.get(medium, 0))}
        problems += [f"{name}: no line in metadata.jsonl" for name in sorted(expected - seen)]
    if edits != settings.get("edits", 0):
        problems.append(f"{settings.get('edits', 0)} edits were asked for, {edits} have a line")
    return problems + balance_problems(answers)


def _check_edit(before: Row, row: Row) -> list[str]:
    """An edit changes the one thing that its truth says, and the picture before it stands in the line before."""
    place, last = row["sequence"], before.get("sequence", {})
    if last.get("id") != place["id"] or last.get("index") != place["index"] - 1:
        return ["the picture before it is missing"]
    return edit_problems(before["truth"]["objects"], row["truth"]["objects"], row["truth"]["edit"])


def form_of(question: Row, clip: bool) -> str:
    """The form of a question, whose answers are to be balanced: its language, kind, and wording without names."""
    text, lang = question["question"], question["lang"]
    if lang == "zh":
        # Chinese rows follow their English ones, so that only the kind and the answers' kind need telling apart.
        return f"zh {'clip' if clip else 'picture'} {question['kind']} {_zh_form(text)}"
    first = " ".join(text.split()[: 2 if text.startswith(("What", "How", "Which", "When")) else 1])
    last = text.split()[-1] if question["kind"] == "predictive" else ""
    return f"en {'clip' if clip else 'picture'} {question['kind']} {first} {last}".strip()


_ZH_FORMS = (
    *(
        "画面中有几个物体",
        "发生了几次",
        "有几个",
        "什么颜色",
        "什么材质",
        "什么形状",
        "大的还是小的",
        "相碰",
        "还在动吗",
    ),
    *("之前吗", "第几秒", "哪个物体", "动了起来", "被撞才动", "做了什么", "移动了", "撞上", "相撞", "有", "在"),
)


def _zh_form(text: str) -> str:
    return next((mark for mark in _ZH_FORMS if mark in text), "other")


def balance_problems(answers: dict[str, Counter[str]]) -> list[str]:
    """Forms of questions whose most frequent answer is too frequent."""
    problems = []
    for form, counts in sorted(answers.items()):
        total = counts.total()
        answer, most = counts.most_common(1)[0]
        if total >= ENOUGH and most / total > MOST:
            problems.append(f"balance: {form!r} is answered {answer!r} in {most} of {total} cases")
    return problems


def _check_row(folder: Path, row: Row, settings: Row, media: bool) -> Iterator[str]:
    clip = "frames" in row["truth"]
    size = settings["size"]
    if media:
        yield from _check_media(folder / row["file_name"], size, clip)
    elif not (folder / row["file_name"]).is_file():
        yield "the file is missing"
    objects = row["truth"]["objects"]
    shown = [o for o in objects if o.get("seen", True)]
    withheld = [o for o in objects if (o["color"], o["shape"]) in WITHHELD]
    if withheld and settings["split"] != "test":
        yield f"holds the withheld pair {withheld[0]['color']} {withheld[0]['shape']}"
    if row["truth"]["unseen_combination"] != any((o["color"], o["shape"]) in WITHHELD for o in shown):
        yield "unseen_combination is wrong"
    boxes = [o for f in row["truth"]["frames"] for o in f] if clip else objects
    if any(not (0 <= o["box"][0] <= o["box"][2] <= size and 0 <= o["box"][1] <= o["box"][3] <= size) for o in boxes):
        yield "a box reaches out of the frame"
    if not clip and any(o["visible"] < 0.5 for o in objects):
        yield "an object counts as visible but is not"
    for lang in LANGUAGES:
        for text in row["texts"][lang]:
            yield from _check_mentions(text, shown, lang)
    if clip:
        yield from _check_clip(row, shown)
    else:
        for text in row["texts"]["en"]:
            yield from _check_counts(text, objects)
            yield from _check_caption_relations(text, objects, size)
        yield from _check_places(row, objects, size)
        for q in row["qa"]:
            expected = derive(q, objects, size)
            if expected is not None and expected != q["answer"]:
                yield f"{q['question']!r} is answered {q['answer']!r}, but the truth says {expected!r}"


def _check_media(path: Path, size: int, clip: bool) -> Iterator[str]:
    if not path.is_file():
        yield "the file is missing"
        return
    try:
        if clip:
            import av

            with av.open(str(path)) as container:
                shapes = [(f.width, f.height) for f in container.decode(video=0)]
            if shapes != [(size, size)] * FRAMES:
                yield f"has {len(shapes)} frames of {shapes[:1]}, not {FRAMES} of {size}x{size}"
        else:
            from PIL import Image

            with Image.open(path) as image:
                image.load()
                if image.size != (size, size):
                    yield f"measures {image.size}, not {size}x{size}"
    except (OSError, ValueError) as error:
        yield f"can't be read ({error})"


def _check_mentions(text: str, objects: list[Row], lang: str) -> Iterator[str]:
    """Every colour and shape that a caption names belongs to an object that can be seen."""
    for key, values in (("color", COLORS), ("shape", SHAPES[3])):
        true = {o[key] for o in objects}
        for value in values:
            word = value if lang == "en" else ZH[value]
            named = re.search(rf"\b{word}s?\b", text) if lang == "en" else word in _plain_zh(text)
            if named and value not in true:
                yield f"{text!r} names {value!r}, which is not there"


def _plain_zh(text: str) -> str:
    """Chinese text without words that hold another word's characters (椭球 holds 球)."""
    return text.replace("椭球", "") if "椭球" in text and "球" not in text.replace("椭球", "") else text


def _check_counts(text: str, objects: list[Row]) -> Iterator[str]:
    """A caption of a picture counts as many nouns as there are objects (its first sentence, where it lists)."""
    first = re.split(r"\.\s", text)[0].removeprefix("a picture of ").removeprefix("A picture of ")
    count = 0
    for words in re.finditer(
        r"\b(an?|two|three|four|five|six|seven) ((?:[a-z]+ )*?)(" + "|".join(SHAPES[3]) + r")s?\b", first
    ):
        count += _NUMBER_WORDS.get(words.group(1), 1)
    if count != len(objects):
        yield f"{text!r} counts {count} objects, not {len(objects)}"


def _check_caption_relations(text: str, objects: list[Row], size: int) -> Iterator[str]:
    """Sentences like "The red ball is to the left of the blue cube." hold."""
    names = {the(o, objects, "en"): o for o in objects}
    for match in re.finditer(
        r"(The [a-z ]+?) is (to the left of|to the right of|in front of|behind) (the [a-z ]+)\.", text
    ):
        a, b = names.get("the" + match.group(1)[3:]), names.get(match.group(3))
        if a is None or b is None:
            yield f"{text!r} names an object without telling which"
        elif _RELATIONS[match.group(2)] not in relations(a, b, size):
            yield f"{text!r}: the relation does not hold"


def _check_places(row: Row, objects: list[Row], size: int) -> Iterator[str]:
    """In each language one caption tells the places of all things whose place is clear, and Chinese answers agree."""
    known = [where for o in objects if (where := whereabouts(o, size))]
    for column, lang in enumerate(LANGUAGES):
        told = [(text, found) for text in row["texts"][lang] if (found := _PLACED[lang].findall(text))]
        if len(told) != bool(known):
            yield f"{len(told)} captions ({lang}) tell places, not {int(bool(known))}"
        for text, found in told:
            if Counter(found) != Counter(PLACE[where][column] for where in known):
                yield f"{text!r} tells other places than the truth"
            for words, where in _PLACED_THING.findall(text):  # English alone says which thing is where word by word
                if where not in {PLACE[w][0] for o in _matching(words, objects) if (w := whereabouts(o, size))}:
                    yield f"{text!r}: nothing that fits {words!r} is {where}"
    answers = {
        lang: [q["answer"] for q in row["qa"] if (q["kind"], q["lang"]) == ("place", lang)] for lang in LANGUAGES
    }
    if answers["zh"] != [dict(PLACE.values()).get(answer) for answer in answers["en"]]:
        yield f"places are answered {answers['en']} and {answers['zh']}"


def derive(question: Row, objects: list[Row], size: int) -> str | None:
    """The answer to a picture's English question by the truth, or None where the wording is not understood."""
    text = question["question"]
    if question["lang"] != "en":
        return None
    if text == "How many objects are there?":
        return str(len(objects))
    if match := re.fullmatch(r"How many (\w+) objects are there\?", text):
        return str(sum(match.group(1) in (o["color"], o["material"]) for o in objects))
    if match := re.fullmatch(r"How many (\w+) are there\?", text):
        return str(sum(plural(o["shape"]) == match.group(1) for o in objects))
    if match := re.fullmatch(r"Is there an? (.+)\?", text):
        return "yes" if _matching(match.group(1), objects) else "no"
    if match := re.fullmatch(r"Is the (.+?) (to the left of|to the right of|in front of|behind) the (.+)\?", text):
        a, b = _matching(match.group(1), objects), _matching(match.group(3), objects)
        if len(a) != 1 or len(b) != 1:
            return "an unclear name"
        held, asked = relations(a[0], b[0], size), _RELATIONS[match.group(2)]
        return "yes" if asked in held else "no" if OPPOSITE[asked] in held else "no clear relation"
    if match := re.fullmatch(r"Where is the (.+)\?", text):
        found = _matching(match.group(1), objects)
        where = whereabouts(found[0], size) if len(found) == 1 else None
        return PLACE[where][0] if where else "an unclear place"
    forms = (
        (r"What color is the (.+)\?", "color"),
        (r"What is the (.+) made of\?", "material"),
        (r"Is the (.+) small or large\?", "size"),
        (r"What shape is the (.+)\?", "shape"),
    )
    for form, key in forms:
        if match := re.fullmatch(form, text):
            found = _matching(match.group(1), objects)
            return found[0][key] if len(found) == 1 else "an unclear name"
    return None


def _matching(words: str, objects: list[Row]) -> list[Row]:
    """The objects that a phrase such as "small red ball" or "red object" fits."""
    return [
        o
        for o in objects
        if all(w == "object" or w in (o["size"], o["color"], o["material"], o["shape"]) for w in words.split())
    ]


def _check_clip(row: Row, shown: list[Row]) -> Iterator[str]:
    truth = row["truth"]
    if len(truth["frames"]) != FRAMES:
        yield f"truth has {len(truth['frames'])} frames"
    if truth["impossible"] is not None:
        if row["qa"] or row["events"] or any(row["texts"].values()):
            yield "an impossible clip has words"
        return
    if any(not 0 <= e["start"] < e["end"] <= DURATION for e in row["events"]):
        yield "an event lies outside the clip"
    if truth["kind"] != "events":
        return
    things = {o["id"]: o for o in shown}
    for event in truth["events"]:
        if not set(event["objects"]) <= set(things):
            yield f"the event {event} names an object that can't be seen"
            return
    names = {lang: [the(o, shown, lang) for o in shown] for lang in LANGUAGES}
    for lang in LANGUAGES:
        if len(set(names[lang])) != len(shown):
            yield "two objects share a name"
    events = [Event(e["type"], tuple(e["objects"]), e["time"]) for e in truth["events"]]
    said = [say(e, things, "en") for e in events]
    if said != [e["text"]["en"] for e in row["events"]]:
        yield "the told events differ from the truth"
    for q in row["qa"]:
        expected = _derive_clip(q, events, things)
        if expected is not None and expected != q["answer"]:
            yield f"{q['question']!r} is answered {q['answer']!r}, but the truth says {expected!r}"
        if _shapes_tell(q):
            yield f"{q['question']!r} can be answered without the clip: the shapes tell"


def _shapes_tell(question: Row) -> bool:
    """Whether a counterfactual English question can be answered by the shapes that it names."""
    match = re.fullmatch(r"Without the (.+), would the (.+) and the (.+) collide\?", question["question"])
    if match is None:
        return False
    without, *others = (name.split()[-1] for name in match.groups())
    return told_by_looks(without, others)


def _derive_clip(question: Row, events: list[Event], things: dict[int, Row]) -> str | None:
    """The answer to a clip's question by the truth, or None where it takes another simulation."""
    if question["lang"] != "en":
        return None
    text, rows = question["question"], list(things.values())
    names = {the(o, rows, "en"): i for i, o in things.items()}
    if text == "How many collisions happen?":
        return str(sum(e.type == "collide" for e in events))
    if match := re.fullmatch(r"Do (the .+) and (the .+) touch\?", text):
        pair = {names.get(match.group(1)), names.get(match.group(2))}
        return "yes" if any(e.type == "collide" and set(e.things) == pair for e in events) else "no"
    if match := re.fullmatch(r"Is it true that (.+) before (.+)\?", text):
        times = [[e.time for e in events if say(e, things, "en") == part] for part in match.groups()]
        if all(len(t) == 1 for t in times):
            return "yes" if times[0] < times[1] else "no"
        return "an unclear event"
    return None
