"""What happens in a clip, in words: single events and captions, in English and Chinese."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from triptych.worlds.tabletop.language import ATTRIBUTES, FLOOR, LANGUAGES, Object, Words, listing, some_keys, the
from triptych.worlds.tabletop.physics import DURATION, Event

# Each type's ways to say it; {0} does it to {1}.
SAYINGS = {
    "collide": (
        ("{0} hits {1}", "{0}撞上{1}"),
        ("{0} bumps into {1}", "{0}碰到{1}"),
        ("{0} runs into {1}", "{0}撞到{1}"),
    ),
    "enter": (("{0} enters the view", "{0}进入画面"), ("{0} comes into view", "{0}来到画面中")),
    "exit": (("{0} leaves the view", "{0}离开画面"), ("{0} goes out of view", "{0}移出画面")),
    "start": (("{0} starts to move", "{0}开始移动"),),
    "stop": (("{0} comes to rest", "{0}停了下来"), ("{0} stops", "{0}停住了")),
    "fall": (("{0} falls", "{0}往下掉"), ("{0} drops", "{0}落下")),
    "land": (("{0} lands on the table", "{0}落到桌面上"),),
    "hide": (("{0} is hidden from view", "{0}被挡住了"), ("{0} disappears behind another object", "{0}被别的物体挡住")),
    "show": (("{0} can be seen again", "{0}重新出现"),),
}
_LENGTH = {"collide": 0.25, "stop": 0.25, "start": 0.25, "land": 0.25}


def say(event: Event, things: dict[int, Object], lang: str, style: int = 0) -> str:
    """One event in words; `things` are the objects that can be seen, by id."""
    ways = SAYINGS[event.type]
    names = [the(things[i], list(things.values()), lang) for i in event.things]
    return ways[style % len(ways)][LANGUAGES.index(lang)].format(*names)


def event_rows(events: Sequence[Event], things: dict[int, Object]) -> list[dict[str, Any]]:
    """The events as metadata: start and end in seconds, type, and text by language."""
    rows = []
    for event in events:
        end = event.time + _LENGTH.get(event.type, 0.35)
        if event.type == "fall":
            landing = [e.time for e in events if e.type in ("land", "collide") and event.things[0] in e.things]
            end = next((t for t in landing if t > event.time), end)
        text: Words = {lang: say(event, things, lang) for lang in LANGUAGES}
        start = round(max(0.0, event.time - 0.05), 2)
        rows.append({"start": start, "end": round(min(DURATION, end), 2), "type": event.type, "text": text})
    return rows


def clip_texts(
    rng: np.random.Generator, events: Sequence[Event], things: dict[int, Object], floor: str
) -> dict[str, list[str]]:
    """Captions of a clip in both languages: with times, without times, and of the objects."""
    style = int(rng.integers(6))
    seen = list(things.values())
    keys = [some_keys(rng) for _ in seen]
    order = [int(i) for i in rng.permutation(len(seen))]
    texts: dict[str, list[str]] = {}
    for lang in LANGUAGES:
        place = FLOOR[floor][LANGUAGES.index(lang)]
        full = listing(seen, [ATTRIBUTES] * len(seen), lang)
        brief = listing([seen[i] for i in order], [keys[i] for i in order], lang)
        texts[lang] = [_timed(events, things, lang, style), _untimed(events, things, lang, style)]
        if lang == "en":
            texts[lang] += [f"a clip of {brief}", f"On {place}: {full}. {_sentence(texts[lang][1])}"]
        else:
            texts[lang] += [f"一段视频，里面有{brief}", f"{place}上有{full}。{texts[lang][1]}。"]
    return texts


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _timed(events: Sequence[Event], things: dict[int, Object], lang: str, style: int) -> str:
    unit, stop = ("s", "; ") if lang == "en" else ("秒", "；")
    if not events:
        return f"[0.0{unit}] " + _nothing(things, lang)
    return stop.join(f"[{e.time:.1f}{unit}] {say(e, things, lang, style)}" for e in events)


def _nothing(things: dict[int, Object], lang: str) -> str:
    if any(t.get("moving") for t in things.values()):
        movers = [t for t in things.values() if t.get("moving")]
        names = [the(t, list(things.values()), lang) for t in movers]
        joined = (" and " if lang == "en" else "和").join(names)
        return f"{joined} {'moves' if len(names) == 1 else 'move'}" if lang == "en" else f"{joined}在移动"
    return "nothing moves" if lang == "en" else "没有东西在动"


def _untimed(events: Sequence[Event], things: dict[int, Object], lang: str, style: int) -> str:
    """The two or three events that matter most, in their order."""
    if not events:
        return _nothing(things, lang)
    weight = {"collide": 0, "land": 1, "enter": 2, "exit": 2, "hide": 2, "fall": 3, "show": 3, "start": 4, "stop": 5}
    chosen = sorted(sorted(events, key=lambda e: weight[e.type])[:3], key=lambda e: e.time)
    parts = [say(e, things, lang, style) for e in chosen]
    return ", then ".join(parts) if lang == "en" else "，然后".join(parts)
