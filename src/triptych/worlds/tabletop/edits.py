"""Edits: a still scene rendered again and again with one thing changed each time, and the instruction that asks for it.

A chain is a scene and up to CHAIN edits, each of the picture before it. Camera, light, floor and all other objects stay
as they are, so what differs between two pictures is what was asked for, its shadow and its reflections.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from triptych.worlds.tabletop.language import (
    ATTRIBUTES,
    LANGUAGES,
    SIDE_MARGIN,
    ZH,
    Object,
    Words,
    naming_keys,
    one,
    phrase,
    relate,
    relations,
)
from triptych.worlds.tabletop.scene import (
    COLORS,
    MATERIALS,
    RADIUS,
    REACH,
    SHAPES,
    SIZES,
    WITHHELD,
    Scene,
    Thing,
    all_seen,
    count_range,
    free_place,
    generator,
    plan_still,
    sample_still,
)
from triptych.worlds.tabletop.stills import described, look, objects_of

CHAIN = 3  # edits of one scene at most, one after another
TRIES = 60  # of one edit
ATTEMPTS = 200  # of one chain
FAR = 0.15  # of the picture's width that a moved thing moves at least
Change = tuple[tuple[Thing, ...], int | None, int | None]  # things after, place of the changed one before and after


@dataclass(frozen=True)
class Edit:
    """One step of a chain.

    Args:
        kind: one of KINDS. scene: after it. instruction: in each language.
        before, after: the looks of the changed thing; None where it was not there, or is there no more.
    """

    kind: str
    scene: Scene
    instruction: Words
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def chain_of(seed: int, split: str, level: int, number: int, size: int, skip: int = 0) -> tuple[Scene, list[Edit], int]:
    """The `number`-th chain: its scene, its CHAIN edits, and the attempt that made it; `skip` passes over attempts.

    Raises: RuntimeError when no attempt gives a chain.
    """
    count, unseen = plan_still(generator(seed, split, level, "edit", number, 9999), level, split)
    for attempt in range(skip, ATTEMPTS):
        rng = generator(seed, split, level, "edit", number, attempt)
        scene = sample_still(rng, level, count, unseen, 1, size)
        if scene is None:
            continue
        edits: list[Edit] = []
        while len(edits) < CHAIN:
            edit = edited(rng, edits[-1].scene if edits else scene, size, unseen)
            if edit is None:
                break
            edits.append(edit)
        if len(edits) == CHAIN:
            return scene, edits, attempt
    raise RuntimeError(f"no chain of edits for seed {seed}, split {split}, level {level}, number {number}")


def edited(rng: np.random.Generator, scene: Scene, size: int, unseen: bool) -> Edit | None:
    """A scene with one thing changed, each kind as likely; None if nothing fits.

    Args: unseen: whether withheld pairs of colour and shape may come up.
    """
    kind = str(rng.choice(list(KINDS)))  # before any try, so that kinds that fail more often don't become rarer
    for _ in range(TRIES):
        change = KINDS[kind](rng, scene)
        if change is None:
            continue
        things, was, now = change
        pairs = [(t.color, t.shape) for t in things]
        if len(set(pairs)) < len(pairs) or (not unseen and set(pairs) & WITHHELD):
            continue
        after = replace(scene, things=things)
        if not all_seen(after, 1, size):
            continue
        words = _instruction(rng, kind, objects_of(scene, size), objects_of(after, size), was, now, size)
        if words is not None:
            looks = [None if i is None else look(s.things[i]) for i, s in ((was, scene), (now, after))]
            return Edit(kind, after, words, *looks)
    return None


def _pick(rng: np.random.Generator, scene: Scene, free: bool = False) -> int | None:
    """A thing; with `free`, one that neither stands on another nor carries one."""
    carriers = {t.on for t in scene.things if t.on is not None}
    places = [i for i, t in enumerate(scene.things) if not free or (t.on is None and i not in carriers)]
    return int(rng.choice(places)) if places else None


def _other(rng: np.random.Generator, values: Any, value: str) -> str:
    return str(rng.choice([v for v in values if v != value]))


def _put(scene: Scene, place: int, thing: Thing) -> Change:
    return (*scene.things[:place], thing, *scene.things[place + 1 :]), place, place


def _color(rng: np.random.Generator, scene: Scene) -> Change | None:
    place = _pick(rng, scene)
    assert place is not None
    thing = scene.things[place]
    return _put(scene, place, replace(thing, color=_other(rng, COLORS, thing.color)))


def _material(rng: np.random.Generator, scene: Scene) -> Change | None:
    place = _pick(rng, scene)
    assert place is not None
    thing = scene.things[place]
    return _put(scene, place, replace(thing, material=_other(rng, MATERIALS, thing.material)))


def _resized(scene: Scene, place: int, thing: Thing) -> Change | None:
    """The changed thing on the table where it stood, if it still clears the others."""
    x, y, _ = thing.position
    for i, other in enumerate(scene.things):
        gap = math.hypot(x - other.position[0], y - other.position[1])
        if i != place and other.on is None and gap < 1.12 * (thing.radius + other.radius):
            return None
    return _put(scene, place, thing.moved(x, y))


def _size(rng: np.random.Generator, scene: Scene) -> Change | None:
    place = _pick(rng, scene, free=True)
    if place is None:
        return None
    thing = scene.things[place]
    new = _other(rng, SIZES, thing.size)
    radius = thing.radius / RADIUS[scene.level][thing.size] * RADIUS[scene.level][new]
    return _resized(scene, place, replace(thing, size=new, radius=radius))


def _shape(rng: np.random.Generator, scene: Scene) -> Change | None:
    place = _pick(rng, scene, free=True)
    if place is None:
        return None
    thing = scene.things[place]
    return _resized(scene, place, replace(thing, shape=_other(rng, SHAPES[scene.level], thing.shape)))


def _remove(rng: np.random.Generator, scene: Scene) -> Change | None:
    place = _pick(rng, scene, free=True)
    if place is None or len(scene.things) < 2:
        return None
    rest = [t if t.on is None or t.on < place else replace(t, on=t.on - 1) for t in scene.things]
    return (*rest[:place], *rest[place + 1 :]), place, None


def _add(rng: np.random.Generator, scene: Scene) -> Change | None:
    if len(scene.things) >= count_range(scene.level)[1] + 1:
        return None
    size, level = str(rng.choice(SIZES)), scene.level
    radius = RADIUS[level][size] * float(rng.uniform(0.97, 1.03))
    color, shape, material = (str(rng.choice(list(v))) for v in (COLORS, SHAPES[level], MATERIALS))
    thing = Thing(shape, color, material, size, radius, yaw=float(rng.uniform(0, 360)))
    found = free_place(rng, thing, [t for t in scene.things if t.on is None], REACH[level])
    return None if found is None else ((*scene.things, found), None, len(scene.things))


def _move(rng: np.random.Generator, scene: Scene) -> Change | None:
    place = _pick(rng, scene, free=True)
    if place is None:
        return None
    others = [t for i, t in enumerate(scene.things) if i != place and t.on is None]
    found = free_place(rng, scene.things[place], others, REACH[scene.level])
    return None if found is None else _put(scene, place, found)


KINDS: dict[str, Callable[[np.random.Generator, Scene], Change | None]] = {
    "color": _color,
    "material": _material,
    "size": _size,
    "shape": _shape,
    "remove": _remove,
    "add": _add,
    "move": _move,
}


def _instruction(
    rng: np.random.Generator,
    kind: str,
    before: list[Object],
    after: list[Object],
    was: int | None,
    now: int | None,
    size: int,
) -> Words | None:
    """What to ask for, in each language; None where no words tell it apart."""
    thing, new = (None if i is None else objects[i] for i, objects in ((was, before), (now, after)))
    short, turn = bool(rng.random() < 0.5), int(rng.integers(2))
    if kind == "add":
        assert new is not None
        keys = ATTRIBUTES if rng.random() < 0.5 else ("color",)
        pairs = [(o, r) for o in after if o is not new for r in relations(new, o, size)]
        side = pairs[int(rng.integers(len(pairs)))] if pairs else None
        return {lang: _add_words(new, keys, side, before, lang, short, turn) for lang in LANGUAGES}
    assert thing is not None
    names = {lang: _name(thing, before, lang, short) for lang in LANGUAGES}
    if kind == "move":
        assert new is not None
        return _move_words(rng, thing, new, before, after, names, short, size)
    return {lang: _change_words(kind, names[lang], new, lang, turn) for lang in LANGUAGES}


def _name(thing: Object, others: list[Object], lang: str, short: bool) -> str:
    """A definite name; by the shape alone where that is enough and `short`."""
    alone = short and sum(o["shape"] == thing["shape"] for o in others) == 1
    words = phrase(thing, () if alone else naming_keys(thing, others) or ATTRIBUTES, lang)
    return "the " + words if lang == "en" else words


def _change_words(kind: str, name: str, new: Object | None, lang: str, turn: int) -> str:
    if new is None:
        forms = (f"remove {name}", f"take {name} away") if lang == "en" else (f"去掉{name}", f"把{name}拿走")
        return forms[turn]
    value = new[kind]
    if lang == "zh":
        word = ZH[value] + ("的" if kind == "material" else "")
        return f"把{name}变成{word}" if kind != "size" else f"把{name}变{word}"
    if kind == "shape":
        return (f"turn {name} into a {value}", f"replace {name} with a {value}")[turn].replace(" a egg", " an egg")
    if kind == "size":
        return f"make {name} " + (value, {"small": "smaller", "large": "larger"}[value])[turn]
    return (f"make {name} {value}", f"change {name} to {value}")[turn]


def _add_words(
    new: Object,
    keys: tuple[str, ...],
    side: tuple[Object, str] | None,
    before: list[Object],
    lang: str,
    short: bool,
    turn: int,
) -> str:
    what = one(new, keys, lang)
    if side is None:
        return (f"add {what}", f"put {what} on the table")[turn] if lang == "en" else f"加上{what}"
    other, relation = side
    name = _name(next(o for o in before if o["id"] == other["id"]), before, lang, short)
    where = relate("", relation, name, lang)  # " to the left of the red ball", "在红色的球的左边"
    return (f"add {what}", f"put {what}")[turn] + where if lang == "en" else f"{where}放{what}"


def _move_words(
    rng: np.random.Generator,
    thing: Object,
    new: Object,
    before: list[Object],
    after: list[Object],
    names: Words,
    short: bool,
    size: int,
) -> Words | None:
    """To a side of another thing where it was not, or to the left or right."""
    dx, dy = (new["center"][axis] - thing["center"][axis] for axis in (0, 1))
    if math.hypot(dx, dy) < FAR * size:
        return None
    sides = []
    for other in after:
        old = next(o for o in before if o["id"] == other["id"])
        held = relations(thing, old, size)
        sides += [(old, r) for r in relations(new, other, size) if other is not new and r not in held]
    if sides:
        other, relation = sides[int(rng.integers(len(sides)))]
        there = {lang: relate("", relation, _name(other, before, lang, short), lang) for lang in LANGUAGES}
        return {"en": f"move {names['en']}{there['en']}", "zh": f"把{names['zh']}移到{there['zh'].removeprefix('在')}"}
    if abs(dx) < max(SIDE_MARGIN * size, 2 * abs(dy)):
        return None
    side, zh = ("left", "左") if dx < 0 else ("right", "右")
    return {"en": f"move {names['en']} to the {side}", "zh": f"把{names['zh']}向{zh}移"}


def write_edits(job: Any, renderer: Any) -> list[dict[str, Any]]:
    """The pictures and metadata of edits job.first to job.last (from 0, last excluded); whole chains, but for the last.

    Files are edits/NNNNNNN-K.jpg: picture K of a chain, 0 before any edit.
    """
    from PIL import Image

    from triptych.worlds.tabletop.mjcf import compile_scene

    rows: list[dict[str, Any]] = []
    for number in range(job.first // CHAIN, -(-job.last // CHAIN)):
        attempt = failed = 0
        while True:
            scene, edits, attempt = chain_of(job.seed, job.split, job.level, number, job.size, attempt)
            edits = edits[: job.last - number * CHAIN]
            try:
                pictures = []
                for step in (scene, *(edit.scene for edit in edits)):
                    model, data = compile_scene(step, step.view(job.size))
                    renderer.load(model)
                    pictures.append(renderer.draw(data, step.view(job.size)))
                break
            except ValueError:  # the compiler refuses a scene now and then: the next attempt takes its place
                failed, attempt = failed + 1, attempt + 1
        for index, picture in enumerate(pictures):
            name = f"edits/{number + 1:07d}-{index}.jpg"
            Image.fromarray(picture).save(Path(job.out) / name, quality=95, subsampling=0)
            record = edit_record(scene, edits[:index], job.seed, job.split, number, attempt, job.size)
            if failed and not index:
                record["truth"]["failed"] = failed
            rows.append({"file_name": name, **record})
    return rows


def edit_record(
    scene: Scene, edits: list[Edit], seed: int, split: str, number: int, attempt: int, size: int
) -> dict[str, Any]:
    """The metadata of the picture after `edits`, without its file name."""
    step = len(edits)
    now = edits[-1].scene if edits else scene
    rng = generator(seed, split, scene.level, "edit", number, 1000 + step)
    record = described(rng, now, size)
    truth = {"seed": [seed, split, number, attempt], **record.pop("truth")}
    record["sequence"] = {"id": f"edit-{number}", "index": step}
    if edits:
        record["instruction"] = edits[-1].instruction
        truth["edit"] = {"kind": edits[-1].kind, "before": edits[-1].before, "after": edits[-1].after}
    return record | {"truth": truth}


def edit_problems(before: list[Object], after: list[Object], edit: dict[str, Any]) -> list[str]:
    """What differs between two neighbours of a chain beside the one thing that was asked for; for the audit."""

    def key(o: Object, place: bool) -> tuple[Any, ...]:
        return (*look_of(o).values(), *(o["center"] if place else ()))

    def look_of(o: Object) -> dict[str, Any]:
        return {k: o[k] for k in ("shape", "color", "material", "size")}

    left = [o for o in before if key(o, True) not in {key(n, True) for n in after}]
    new = [o for o in after if key(o, True) not in {key(b, True) for b in before}]
    problems = []
    if [look_of(o) for o in left] != [edit["before"]] * (edit["before"] is not None):
        problems.append("something else than the edited thing changed or went")
    if [look_of(o) for o in new] != [edit["after"]] * (edit["after"] is not None):
        problems.append("something else than the edited thing is new")
    if edit["kind"] in (*ATTRIBUTES, "shape") and not problems:
        changed = [k for k in edit["before"] if edit["before"][k] != edit["after"][k]]
        if changed != [edit["kind"]]:
            problems.append(f"{edit['kind']} was to change, but {changed} did")
    return problems
