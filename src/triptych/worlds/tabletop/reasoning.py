"""Questions about clips, of six kinds: descriptive, counting, temporal, causal, predictive, counterfactual.

For a yes/no question the wanted answer is drawn first, and a question with that answer is looked for; only of
counterfactual ones, which few clips have, both are asked where there are both. Where
one answer is easier to find than the other, KEEP thins it, so that guessing without the clip stays near chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from triptych.worlds.tabletop.language import Object, the
from triptych.worlds.tabletop.narrate import say
from triptych.worlds.tabletop.physics import (
    DURATION,
    FRAMES,
    FUTURE,
    MOVING_SPEED,
    REST_SPEED,
    Event,
    Rollout,
    simulate,
)
from triptych.worlds.tabletop.questions import Question, ask
from triptych.worlds.tabletop.scene import Scene
from triptych.worlds.tabletop.staging import MOVERS

# The part of the questions kept for (form, answer); measured on a thousand clips, 1 where not named.
KEEP: dict[tuple[str, str], float] = {
    ("because", "no"): 0.6,
    ("collisions", "0"): 0.28,
    ("collisions", "1"): 0.6,
    ("collisions", "2"): 0.75,
    ("touch", "no"): 0.62,
    ("ending", "yes"): 0.9,
    ("ending", "no"): 0.8,
    ("will_move", "yes"): 0.25,
    ("will_hit", "no"): 0.46,
}
Things = dict[int, Object]


def starts(shape: str) -> int:
    """How far behind others a shape is when a story chooses what to set in motion (see staging.py)."""
    return 0 if shape == "ball" else 1 if shape in MOVERS else 2


def told_by_looks(without: str, others: Sequence[str]) -> bool:
    """Whether shapes tell if two things would collide without a third: what starts is mostly the same shape, so the
    answer is no where only the third is such, and yes where it isn't and another is."""
    return starts(without) != min(map(starts, others))


def _names(things: Things, *ids: int) -> dict[str, list[str]]:
    rows = list(things.values())
    return {lang: [the(things[i], rows, lang) for i in ids] for lang in ("en", "zh")}


def _keep(rng: np.random.Generator, form: str, answer: str) -> bool:
    return bool(rng.random() < KEEP.get((form, answer), 1.0))


def _pick(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _collisions(events: Sequence[Event]) -> set[tuple[int, int]]:
    pairs = [sorted(e.things) for e in events if e.type == "collide"]
    return {(a, b) for a, b in pairs}


def _pairs(ids: Sequence[int]) -> list[tuple[int, int]]:
    return [(a, b) for i, a in enumerate(ids) for b in ids[i + 1 :]]


def _yes_no(
    rng: np.random.Generator,
    kind: str,
    form: str,
    yes: Sequence[Any],
    no: Sequence[Any],
    words: Callable[[Any], tuple[str, str]],
    zh: tuple[str, str],
) -> list[Question]:
    """Draw the answer, then one of its candidates; nothing if it has none."""
    answer = "yes" if rng.random() < 0.5 else "no"
    return _answered(rng, kind, form, answer, yes if answer == "yes" else no, words, zh)


def _answered(
    rng: np.random.Generator,
    kind: str,
    form: str,
    answer: str,
    options: Sequence[Any],
    words: Callable[[Any], tuple[str, str]],
    zh: tuple[str, str],
) -> list[Question]:
    """Ask about one of the candidates of an answer; nothing if it has none, or is thinned out."""
    keep = _keep(rng, form, answer)
    if not options or not keep:
        return []
    english, chinese = words(_pick(rng, options))
    return ask(kind, (english, answer), (chinese, zh[answer == "no"]))


def clip_questions(
    rng: np.random.Generator,
    scene: Scene,
    rollout: Rollout,
    sights: list[list[dict[str, Any]]],
    events: Sequence[Event],
    things: Things,
) -> list[Question]:
    """Questions about a clip, each in both languages.

    Args:
        rollout: the simulation up to FUTURE seconds. sights: what is seen at each of the clip's frames.
        events: the events that the clip shows. things: the objects that can be seen, by id.
    """
    rows: list[Question] = []
    rows += _descriptive(rng, rollout, events, things)
    rows += _ending(rng, rollout, sights, things)
    rows += _counting(rng, rollout, events)
    rows += _temporal(rng, events, things)
    rows += _causal(rng, rollout, events, things)
    rows += _predictive(rng, rollout, sights, things)
    rows += _counterfactual(rng, scene, rollout, things)
    return rows


def _descriptive(rng: np.random.Generator, rollout: Rollout, events: Sequence[Event], things: Things) -> list[Question]:
    """Does A touch B? Among pairs where one of them moves, since a pair at rest is too easy."""
    real = {p for p in _collisions([e for e in rollout.events if e.time <= DURATION])}
    moved = {i for i in things if rollout.speeds[:FRAMES, i].max() > MOVING_SPEED}
    shown = [p for p in _collisions(events) if p[0] in things and p[1] in things]
    missed = [p for p in _pairs(sorted(things)) if p not in real and (p[0] in moved or p[1] in moved)]

    def words(pair: tuple[int, int]) -> tuple[str, str]:
        n = _names(things, *(pair if rng.random() < 0.5 else pair[::-1]))
        return f"Do {n['en'][0]} and {n['en'][1]} touch?", f"{n['zh'][0]}和{n['zh'][1]}相碰了吗？"

    rows = _yes_no(rng, "descriptive", "touch", sorted(shown), missed, words, ("是", "否"))
    hits = [e for e in events if e.type == "collide"]
    if len(things) > 2 and hits and rng.random() < 0.6:
        hit = _pick(rng, hits)
        doers = {e.things[0] for e in hits if e.things[1] == hit.things[1]} | {
            e.things[1] for e in hits if e.things[0] == hit.things[1]
        }
        if len(doers) == 1:
            n = _names(things, *hit.things)
            rows += ask(
                "descriptive",
                (f"Which object hits {n['en'][1]}?", n["en"][0]),
                (f"哪个物体撞上了{n['zh'][1]}？", n["zh"][0]),
            )
    return rows


def _ending(rng: np.random.Generator, rollout: Rollout, sights: Any, things: Things) -> list[Question]:
    """Is it moving at the end?"""
    last = {i: float(rollout.speeds[FRAMES - 1, i]) for i in things if sights[-1][i]["visible"] > 0.5}
    moved = [i for i in last if rollout.speeds[:FRAMES, i].max() > MOVING_SPEED]
    yes, no = [i for i in moved if last[i] > MOVING_SPEED], [i for i in moved if last[i] < REST_SPEED]

    def words(i: int) -> tuple[str, str]:
        n = _names(things, i)
        return f"Is {n['en'][0]} moving at the end?", f"最后{n['zh'][0]}还在动吗？"

    return _yes_no(rng, "descriptive", "ending", yes, no, words, ("是", "否"))


def _counting(rng: np.random.Generator, rollout: Rollout, events: Sequence[Event]) -> list[Question]:
    """Count collisions, if the clip shows all of them."""
    shown = [e for e in events if e.type == "collide"]
    if len(shown) != sum(e.type == "collide" and e.time <= DURATION + 0.1 for e in rollout.events) or len(shown) > 3:
        return []
    answer = str(len(shown))
    if not _keep(rng, "collisions", answer):
        return []
    return ask("counting", ("How many collisions happen?", answer), ("发生了几次碰撞？", answer))


def _temporal(rng: np.random.Generator, events: Sequence[Event], things: Things) -> list[Question]:
    """Order of two events, and the time of one."""
    rows: list[Question] = []
    unique = [e for e in events if sum(o.type == e.type and set(o.things) == set(e.things) for o in events) == 1]
    apart = [(a, b) for a in unique for b in unique if b.time - a.time > 0.25 and a.type != "fall"]
    if apart:
        first, second = _pick(rng, apart)
        answer = "yes" if rng.random() < 0.5 else "no"
        a, b = (first, second) if answer == "yes" else (second, first)
        rows += ask(
            "temporal",
            (f"Is it true that {say(a, things, 'en')} before {say(b, things, 'en')}?", answer),
            (f"{say(a, things, 'zh')}，是在{say(b, things, 'zh')}之前吗？", "是" if answer == "yes" else "否"),
        )
    timed = [e for e in unique if e.type in ("collide", "land", "enter", "exit")]
    if timed and rng.random() < 0.5:
        event = _pick(rng, timed)
        names = _names(things, *event.things)
        verb = {"collide": "hit", "land": "land on the table", "enter": "enter the view", "exit": "leave the view"}
        object_ = f" {names['en'][1]}" if event.type == "collide" else ""
        rows += ask(
            "temporal",
            (f"When does {names['en'][0]} {verb[event.type]}{object_}?", f"{event.time:.1f} s"),
            (f"{say(event, things, 'zh')}是在第几秒？", f"{event.time:.1f}秒"),
        )
    return rows


def _causal(rng: np.random.Generator, rollout: Rollout, events: Sequence[Event], things: Things) -> list[Question]:
    """What set a resting thing in motion? Asked only with three or more objects, as two leave no choice."""
    rows: list[Question] = []
    starts = [e for e in rollout.events if e.type == "start" and e.things[0] in things and e.time < DURATION - 0.1]
    for start in starts[:1]:
        before = [
            e
            for e in events
            if e.type == "collide" and start.things[0] in e.things and -0.1 < start.time - e.time < 0.3
        ]
        if len(before) != 1 or len(things) < 3:
            continue
        other = next(i for i in before[0].things if i != start.things[0])
        n = _names(things, start.things[0], other)
        rows += ask(
            "causal",
            (f"What sets {n['en'][0]} in motion?", n["en"][1]),
            (f"是什么让{n['zh'][0]}动了起来？", n["zh"][1]),
        )
    caused = {e.things[0] for e in rollout.events if e.type == "start" and e.time < DURATION}
    hit = {i for e in events if e.type == "collide" for i in e.things}
    own = [i for i in things if rollout.speeds[0, i] > MOVING_SPEED]

    def words(i: int) -> tuple[str, str]:
        n = _names(things, i)
        return f"Does {n['en'][0]} move because it is hit?", f"{n['zh'][0]}是因为被撞才动的吗？"

    yes = sorted(caused & hit & set(things))
    return rows + _yes_no(rng, "causal", "because", yes, sorted(own), words, ("是", "否"))


def _predictive(rng: np.random.Generator, rollout: Rollout, sights: Any, things: Things) -> list[Question]:
    """What happens in the next second and a half, among things that can be seen at the end."""
    last = [i for i in sorted(things) if sights[-1][i]["visible"] > 0.5]
    moving = {i for i in last if rollout.speeds[FRAMES - 1, i] > MOVING_SPEED}
    past = _collisions([e for e in rollout.events if e.time <= DURATION + 0.05])
    future = _collisions([e for e in rollout.events if e.time > DURATION + 0.1])
    pairs = [p for p in _pairs(last) if p not in past and (p[0] in moving or p[1] in moving)]

    def words(pair: tuple[int, int]) -> tuple[str, str]:
        a, b = pair if pair[0] in moving else pair[::-1]
        n = _names(things, a, b)
        return f"Will {n['en'][0]} hit {n['en'][1]} next?", f"接下来{n['zh'][0]}会撞上{n['zh'][1]}吗？"

    rows = _yes_no(
        rng,
        "predictive",
        "will_hit",
        [p for p in pairs if p in future],
        [p for p in pairs if p not in future],
        words,
        ("会", "不会"),
    )
    later = rollout.speeds[-1]

    def rest(i: int) -> tuple[str, str]:
        n = _names(things, i)
        seconds = f"{FUTURE - DURATION:.1f}"
        return (
            f"Will {n['en'][0]} still be moving {seconds} seconds later?",
            f"再过{seconds}秒，{n['zh'][0]}还在动吗？",
        )

    yes, no = [i for i in moving if later[i] > MOVING_SPEED], [i for i in moving if later[i] < REST_SPEED]
    return rows + _yes_no(rng, "predictive", "will_move", sorted(yes), sorted(no), rest, ("是", "否"))


def _counterfactual(rng: np.random.Generator, scene: Scene, rollout: Rollout, things: Things) -> list[Question]:
    """Would A and B collide without C? C is one that matters to the story: it moves or is hit.

    It isn't asked where shapes tell the answer: anyone could without the clip.
    """
    if len(things) < 3:
        return []
    real = _collisions([e for e in rollout.events if e.time <= DURATION])
    involved = sorted({i for p in real for i in p} & set(things))
    if not involved:
        return []
    yes: list[tuple[int, int, int]] = []
    no: list[tuple[int, int, int]] = []
    for c in involved[:3]:
        other = simulate(scene, DURATION + 0.5, removed=[c])
        soon = _collisions([e for e in other.events if e.time <= DURATION])
        ever = _collisions(other.events)
        for a, b in _pairs([i for i in sorted(things) if i != c]):
            if told_by_looks(things[c]["shape"], [things[i]["shape"] for i in (a, b)]):
                continue
            if (a, b) in soon:
                yes.append((a, b, c))
            elif (a, b) not in ever and ((a, b) in real or len({a, b} & set(involved)) == 2):
                no.append((a, b, c))

    def words(option: tuple[int, int, int]) -> tuple[str, str]:
        n = _names(things, *option)
        return (
            f"Without {n['en'][2]}, would {n['en'][0]} and {n['en'][1]} collide?",
            f"如果没有{n['zh'][2]}，{n['zh'][0]}和{n['zh'][1]}会相撞吗？",
        )

    zh = ("会", "不会")
    if yes and no:  # both, since few clips have any
        both = (("yes", yes), ("no", no))
        return [
            q for answer, some in both for q in _answered(rng, "counterfactual", "without", answer, some, words, zh)
        ]
    return _yes_no(rng, "counterfactual", "without", yes, no, words, zh)
