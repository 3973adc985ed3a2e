"""Words and truth of arm clips: instructions, captions, questions."""

from __future__ import annotations

from typing import Any

import numpy as np

from triptych.worlds.tabletop.arm import ArmClip
from triptych.worlds.tabletop.language import ATTRIBUTES, FLOOR, LANGUAGES, listing, the
from triptych.worlds.tabletop.physics import FPS, FRAMES
from triptych.worlds.tabletop.questions import Question, ask
from triptych.worlds.tabletop.scene import generator
from triptych.worlds.tabletop.stills import unseen

_SAY = {
    "touch": ("the arm touches {a}", "机械臂碰到{a}"),
    "lift": ("the arm lifts {a}", "机械臂拿起{a}"),
    "push": ("the arm pushes {a} to the {side}", "机械臂把{a}向{zh_side}推"),
    "stack": ("the arm puts {a} on {b}", "机械臂把{a}放到{b}上"),
}
_ORDERS = {
    "lift": (("pick up {a}", "拿起{a}"), ("lift {a}", "把{a}拿起来"), ("grab {a} and raise it", "抓住{a}并举起来")),
    "push": (("push {a} to the {side}", "把{a}向{zh_side}推"), ("move {a} to the {side}", "把{a}移到{zh_side}边")),
    "stack": (
        ("put {a} on {b}", "把{a}放到{b}上"),
        ("stack {a} on top of {b}", "把{a}叠在{b}上面"),
        ("place {a} on {b}", "将{a}放在{b}上"),
    ),
}


def _fill(template: str, clip: ArmClip, lang: str) -> str:
    rows = list(clip.things.values())
    side = {"left": "左", "right": "右"}[clip.side]
    return template.format(
        a=the(clip.things[0], rows, lang), b=the(clip.things[1], rows, lang), side=clip.side, zh_side=side
    )


def arm_record(clip: ArmClip, seed: int, split: str, index: int) -> dict[str, Any]:
    """The metadata of an arm clip, without its file name."""
    rng = generator(seed, split, clip.scene.level, "clip", index, 1000)
    rows = list(clip.things.values())
    floor = clip.scene.floor
    texts: dict[str, list[str]] = {}
    for number, lang in enumerate(LANGUAGES):
        said = [(_fill(_SAY[kind][number], clip, lang), time) for kind, time in clip.events]
        main = _fill(_SAY[clip.skill][number], clip, lang)
        full = listing(rows, [ATTRIBUTES] * len(rows), lang)
        if lang == "en":
            timed = "; ".join(f"[{t:.1f}s] {s}" for s, t in said)
            long = f"A robot arm over {full} on {FLOOR[floor][0]}. {main[0].upper()}{main[1:]}."
            texts[lang] = [timed, main, long]
        else:
            timed = "；".join(f"[{t:.1f}秒] {s}" for s, t in said)
            texts[lang] = [timed, main, f"{FLOOR[floor][1]}上有一只机械臂和{full}。{main}。"]
    order = _ORDERS[clip.skill][int(rng.integers(len(_ORDERS[clip.skill])))]
    end = (FRAMES - 1) / FPS
    events = [
        {
            "start": time,
            "end": round(min(end, time + 0.3 if kind == "touch" else time + 0.6), 2),
            "type": kind,
            "text": {lang: _fill(_SAY[kind][n], clip, lang) for n, lang in enumerate(LANGUAGES)},
        }
        for kind, time in clip.events
    ]
    pairs = {"stack": [0, 1]}
    scene = clip.scene
    return {
        "texts": texts,
        "instruction": {lang: [_fill(order[n], clip, lang)] for n, lang in enumerate(LANGUAGES)},
        "qa": _questions(rng, clip),
        "events": events,
        "truth": {
            "kind": "arm",
            "story": clip.skill,
            "seed": [seed, split, index, clip.attempt],
            "level": scene.level,
            "floor": floor,
            "camera": {
                "azimuth": round(scene.azimuth, 2),
                "elevation": round(scene.elevation, 2),
                "distance": round(scene.distance, 3),
                "fov": round(scene.fov, 2),
                "turn": 0.0,
            },
            "unseen_combination": unseen(rows),
            "objects": [{**row, "seen": True} for row in rows],
            "frames": [
                [
                    {
                        "id": i,
                        "center": s["center"],
                        "box": s["box"],
                        "visible": s["visible"],
                        "pos": [round(float(v), 3) for v in clip.states[f, 7 * i : 7 * i + 3]],
                        "speed": round(float(clip.speeds[f, i]), 2),
                    }
                    for i, s in enumerate(sights)
                    if s["box"] is not None
                ]
                for f, sights in enumerate(clip.sights)
            ],
            "events": [{"type": kind, "objects": pairs.get(kind, [0]), "time": time} for kind, time in clip.events],
            "impossible": None,
        },
    }


def _questions(rng: np.random.Generator, clip: ArmClip) -> list[Question]:
    rows = list(clip.things.values())
    a = {lang: the(clip.things[0], rows, lang) for lang in LANGUAGES}
    done = {"lift": ("lift it", "拿起它"), "push": ("push it", "推它"), "stack": ("stack it", "叠放它")}[clip.skill]
    questions = ask(
        "descriptive", (f"What does the arm do with {a['en']}?", done[0]), (f"机械臂对{a['zh']}做了什么？", done[1])
    )
    count = str(len(rows))
    questions += ask("counting", ("How many cubes are on the table?", count), ("桌上有几个方块？", count))
    asked = int(rng.integers(2)) if rng.random() < 0.8 or len(rows) < 3 else 2
    if clip.skill != "stack":
        name = {lang: the(clip.things[asked], rows, lang) for lang in LANGUAGES}
        answer = asked == 0
        questions += ask(
            "descriptive",
            (f"Does the arm move {name['en']}?", "yes" if answer else "no"),
            (f"机械臂移动了{name['zh']}吗？", "是" if answer else "没有"),
        )
    time = dict(clip.events)["touch"]
    questions += ask(
        "temporal",
        (f"When does the arm touch {a['en']}?", f"{time:.1f} s"),
        (f"机械臂在第几秒碰到{a['zh']}？", f"{time:.1f}秒"),
    )
    return questions
