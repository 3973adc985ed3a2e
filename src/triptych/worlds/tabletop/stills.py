"""Pictures: which scene the n-th picture shows, its truth and its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from triptych.worlds.tabletop.geometry import sightings
from triptych.worlds.tabletop.language import ATTRIBUTES, LANGUAGES, phrase, picture_texts, place_texts
from triptych.worlds.tabletop.physics import FPS
from triptych.worlds.tabletop.questions import picture_questions, place_questions
from triptych.worlds.tabletop.scene import (
    VIEW_STEP,
    VIEWS,
    VISIBLE,
    WITHHELD,
    Scene,
    generator,
    plan_still,
    poses,
    sample_still,
)

# Eight pictures show four single scenes and one scene from four sides: half the pictures are views.
BLOCK, SINGLES = 8, 4
EACH, CLEAR = 4, 0.3  # frames of a clip from one telling of its objects to the next, and what must be seen of them
ATTEMPTS = 200


def place_of(index: int) -> tuple[int, int | None]:
    """The scene that picture `index` (from 0) shows, and which view of it (None for a single picture)."""
    block, rest = divmod(index, BLOCK)
    if rest < SINGLES:
        return block * (SINGLES + 1) + rest, None
    return block * (SINGLES + 1) + SINGLES, rest - SINGLES


def still_scene(seed: int, split: str, level: int, number: int, size: int, skip: int = 0) -> tuple[Scene, int]:
    """The `number`-th still scene and the attempt that made it; `skip` passes over failed attempts.

    Raises: RuntimeError when no attempt gives a scene.
    """
    views = VIEWS if number % (SINGLES + 1) == SINGLES else 1
    count, unseen_pair = plan_still(generator(seed, split, level, "picture", number, 9999), level, split)
    for attempt in range(skip, ATTEMPTS):
        if attempt == ATTEMPTS // 2:
            count = 1  # a crowd that fits nowhere gives way to one object
        rng = generator(seed, split, level, "picture", number, attempt)
        scene = sample_still(rng, level, count, unseen_pair, views, size)
        if scene is not None:
            return scene, attempt
    raise RuntimeError(f"no still scene for seed {seed}, split {split}, level {level}, number {number}")


def look(thing: Any) -> dict[str, Any]:
    """A thing's attributes as a dict."""
    return {"shape": thing.shape, "color": thing.color, "material": thing.material, "size": thing.size}


def unseen(things: list[dict[str, Any]]) -> bool:
    """Whether a withheld pair of colour and shape is among the things."""
    return any((t["color"], t["shape"]) in WITHHELD for t in things)


def objects_of(scene: Scene, size: int, walked: float = 0.0) -> list[dict[str, Any]]:
    """The objects that can be seen, with their looks and places, from a camera that walked so many degrees."""
    objects = []
    for i, (thing, seen) in enumerate(
        zip(scene.things, sightings(scene.view(size, walked), poses(scene.things)), strict=True)
    ):
        if seen["visible"] >= VISIBLE:
            row = {"id": i, **look(thing), **{k: seen[k] for k in ("center", "box", "visible", "depth")}}
            objects.append(row if thing.on is None else {**row, "on": thing.on})
    return objects


def described(rng: np.random.Generator, scene: Scene, size: int, walked: float = 0.0) -> dict[str, Any]:
    """The words and the truth of a picture of a scene."""
    objects = objects_of(scene, size, walked)
    apart = rng.spawn(1)[0]  # words about places came later: what the rest says of a seed stays as it was
    texts = picture_texts(rng, objects, scene.floor, size)
    questions = picture_questions(rng, objects, scene.level, size)
    placed = place_texts(apart, objects, scene.floor, size)
    record: dict[str, Any] = {
        "texts": {lang: [*texts[lang], *placed[lang]] for lang in texts},
        "qa": [*questions, *place_questions(apart, objects, size)],
    }
    if objects:
        record["objects"] = boxes(objects, size)
    if len(objects) == 1:
        record["label"] = objects[0]["shape"]
    record["truth"] = {
        "level": scene.level,
        "floor": scene.floor,
        "camera": {
            "azimuth": round(scene.azimuth + walked, 2),
            "elevation": round(scene.elevation, 2),
            "distance": round(scene.distance, 3),
            "fov": round(scene.fov, 2),
        },
        "unseen_combination": unseen(objects),
        "objects": objects,
    }
    return record


def boxes(objects: Sequence[dict[str, Any]], size: int) -> dict[str, Any]:
    """Objects as a person's folder tells them (docs/data.md): their boxes in the picture, and their words."""
    edges = [np.clip(o["box"], 0, size).tolist() for o in objects]
    return {
        "bbox": [[round(n, 1) for n in (x0, y0, x1 - x0, y1 - y0)] for x0, y0, x1, y1 in edges],
        "categories": [{lang: phrase(o, ATTRIBUTES, lang) for lang in LANGUAGES} for o in objects],
    }


def tracked(record: dict[str, Any], size: int) -> dict[str, Any]:
    """The record of a clip with its objects as a person's folder tells them: their boxes at times, and their words."""
    looks = dict(enumerate(record["truth"]["objects"]))
    frames = list(enumerate(record["truth"]["frames"]))[::EACH]
    shown = [(frame / FPS, row) for frame, rows in frames for row in rows if row["visible"] >= CLEAR]
    if not shown:
        return record
    told = boxes([looks[row["id"]] | {"box": row["box"]} for _, row in shown], size)
    return record | {"objects": told | {"times": [time for time, _ in shown]}}


def picture_record(scene: Scene, seed: int, split: str, index: int, attempt: int, size: int) -> dict[str, Any]:
    """The metadata of picture `index` (from 0), without its file name."""
    number, step = place_of(index)
    rng = generator(seed, split, scene.level, "picture", number, 1000 + (step or 0))
    record = described(rng, scene, size, (step or 0) * VIEW_STEP)
    truth = {"seed": [seed, split, number, attempt], **record.pop("truth")}
    if step is not None:
        record["sequence"] = {"id": f"scene-{number}", "index": step}
    return record | {"truth": truth}
