"""A folder as a world writes it, drawn by Pillow in moments, and a detector that knows its pictures."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from triptych.media import image, video
from triptych.worlds.tabletop.language import LANGUAGES, picture_texts
from triptych.worlds.tabletop.narrate import clip_texts, event_rows
from triptych.worlds.tabletop.physics import Event
from triptych.worlds.tabletop.questions import picture_questions
from triptych.worlds.tabletop.scene import COLORS, MATERIALS, SHAPES, SIZES


def sample(rng: np.random.Generator, count: int, size: int) -> list[dict[str, Any]]:
    """Objects side by side, no two alike in colour and shape."""
    out: list[dict[str, Any]] = []
    for number in range(count):
        color = str(rng.choice([c for c in COLORS if all(c != o["color"] for o in out)]))
        looks = {"shape": str(rng.choice(SHAPES[1])), "color": color}
        looks |= {"material": str(rng.choice(MATERIALS)), "size": str(rng.choice(SIZES))}
        half = size * (0.12 if looks["size"] == "large" else 0.07)
        x = size * (number + 0.5) / count + rng.uniform(-3, 3)
        y = size * (0.4 + 0.2 * (number % 2)) + rng.uniform(-3, 3)
        box = [float(v) for v in (x - half, y - half, x + half, y + half)]
        out.append(
            {"id": number, **looks, "center": [float(x), float(y)], "box": box, "visible": 1.0, "depth": 9 - y / size}
        )
    return out


def paint(objects: list[dict[str, Any]], size: int) -> np.ndarray:
    """A flat picture: the shape as an outline, the material as a mark in it."""
    picture = Image.new("RGB", (size, size), (200, 195, 190))
    pen = ImageDraw.Draw(picture)
    for thing in objects:
        left, top, right, bottom = thing["box"]
        color = tuple(round(255 * v**0.45) for v in COLORS[thing["color"]])
        middle = (left + right) / 2
        if thing["shape"] == "ball":
            pen.ellipse(thing["box"], fill=color)
        elif thing["shape"] == "cone":
            pen.polygon([(middle, top), (left, bottom), (right, bottom)], fill=color)
        elif thing["shape"] == "cylinder":
            pen.rectangle((left, top + 6, right, bottom), fill=color)
            pen.ellipse((left, top, right, top + 12), fill=(90, 90, 90))
        else:
            pen.rectangle(thing["box"], fill=color)
        y = (top + bottom) / 2
        mark = {"metal": (255, 255, 255), "rubber": (0, 0, 0), "plastic": None}[thing["material"]]
        if mark:
            pen.ellipse((middle - 4, y - 4, middle + 4, y + 4), fill=mark)
    return np.asarray(picture)


def write(
    folder: Path, *, pictures: int = 12, clips: int = 3, edits: tuple[str, ...] = (), size: int = 64, seed: int = 0
) -> Path:
    """Pictures (the last four: two scenes of two views), pairs before and after edits, clips, metadata.jsonl."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "clips").mkdir()
    rows = []
    objects: list[dict[str, Any]] = []
    for number in range(pictures):
        view = number - (pictures - 4)
        objects = sample(rng, 1 + number % 3, size) if view < 0 or view % 2 == 0 else _moved(objects, size)
        name = f"images/{number:03d}.png"
        image.write(folder / name, paint(objects, size))
        row = {"file_name": name, "texts": picture_texts(rng, objects, "wood", size)}
        row["qa"] = picture_questions(rng, objects, 1, size)
        if view >= 0:
            row["sequence"] = {"id": f"scene-{view // 2}", "index": view % 2}
        rows.append({**row, "truth": {"objects": objects, "unseen_combination": False}})
    for number, kind in enumerate(edits):
        before = sample(rng, 2, size)
        free = next(color for color in COLORS if all(color != o["color"] for o in before))
        new = {**before[0], "color": free}
        changed = {"color": [new, before[1]], "remove": before[1:]}[kind]
        for index, objects in enumerate((before, changed)):
            name = f"images/edit-{number}-{index}.png"
            image.write(folder / name, paint(objects, size))
            row = {"file_name": name, "texts": picture_texts(rng, objects, "wood", size)}
            row["qa"] = picture_questions(rng, objects, 1, size)
            row["sequence"] = {"id": f"edit-{number}", "index": index}
            truth: dict[str, Any] = {"objects": objects, "unseen_combination": False}
            if index:
                row["instruction"] = {"en": f"{kind} it", "zh": f"{kind} 它"}
                truth["edit"] = {"kind": kind}
            rows.append({**row, "truth": truth})
    for number in range(clips):
        objects = sample(rng, 2, size)
        name = f"clips/{number:03d}.mp4"
        frames = np.stack([paint(_moved(objects, size, 0.5 * f), size) for f in range(17)])
        video.write(folder / name, frames)
        events = [Event("collide", (0, 1), 0.5), Event("stop", (0,), 1.25)]
        things = {o["id"]: o for o in objects}
        rows.append(
            {
                "file_name": name,
                "events": event_rows(events, things),
                "texts": clip_texts(rng, events, {o["id"]: o for o in objects}, "wood"),
                "qa": [{"question": "How many collisions happen?", "answer": "1", "kind": "counting", "lang": "en"}],
                "truth": {
                    "kind": "events",
                    "objects": [{**o, "seen": True} for o in objects],
                    "frames": [_moved(objects, size, 0.5 * f) for f in range(17)],
                    "events": [{"type": e.type, "objects": list(e.things), "time": e.time} for e in events],
                    "impossible": None,
                },
            }
        )
        if number == clips - 1:  # its impossible twin: all vanishes
            broken = frames.copy()
            broken[8:] = paint([], size)
            video.write(folder / "clips" / "twin.mp4", broken)
            fault = {"kind": "vanish", "time": 1.0, "object": 0, "twin_of": name}
            rows.append({"file_name": "clips/twin.mp4", "truth": {**rows[-1]["truth"], "impossible": fault}})
    with open(folder / "metadata.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    assert set(LANGUAGES) == {"en", "zh"}
    return folder


def _moved(objects: list[dict[str, Any]], size: int, by: float = 4.0) -> list[dict[str, Any]]:
    out = []
    for thing in objects:
        left, top, right, bottom = thing["box"]
        x, y = thing["center"]
        out.append({**thing, "center": [x, y + by], "box": [left, top + by, right, bottom + by]})
    return out


def digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


class Judge:
    """Finds what the folder's truth says of a picture that it knows, and nothing in any other."""

    def __init__(self, folder: Path, size: int) -> None:
        self.known: dict[str, list[dict[str, Any]]] = {}
        for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["file_name"].startswith("images"):
                pixels = image.fit(image.read(folder / row["file_name"]), size)
                self.known[digest(pixels)] = row["truth"]["objects"]

    def detect(self, pictures: np.ndarray) -> list[list[dict[str, Any]]]:
        return [self.known.get(digest(picture), []) for picture in pictures]
