"""Folders of small media with all that can go wrong, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.media.clips import numbered, save, save_sound


def scene(seed: int, side: int = 64) -> Image.Image:
    """A picture unlike that of any other seed."""
    rough = np.random.default_rng(seed).integers(30, 225, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((side, side), Image.Resampling.BICUBIC)


def moving(path: Path, seed: int, seconds: float = 2.0, fps: float = 8) -> Path:
    """A clip that slides over a scene."""
    wide = np.asarray(scene(seed, 160))
    frames = [wide[:64, i % 96 : i % 96 + 64] for i in range(round(seconds * fps))]
    return save(path, np.stack(frames), fps=fps)


def lines(path: Path, *values: object) -> None:
    """Write one JSON value a line; strings as they are."""
    texts = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")


def troubled(root: Path) -> Path:
    """A folder with every kind of finding, and six good files: good/0..4.png and good/clip.mp4."""
    for name in ("good", "bad", "红色 球"):
        (root / name).mkdir(parents=True)
    for i in range(5):
        scene(i).save(root / f"good/{i}.png")
    moving(root / "good/clip.mp4", 70)
    moving(root / "bad/cut.mp4", 71)
    (root / "bad/cut.mp4").write_bytes((root / "bad/cut.mp4").read_bytes()[:400])
    save_sound(root / "bad/sound.mp4")
    save(root / "bad/flat.mp4", numbered(1, 64, 64).repeat(8, 0))
    (root / "bad/list.mp4").write_text("ffconcat version 1.0\nfile ../good/clip.mp4\n")
    (root / "bad/text.jpg").write_text("a shopping list")
    (root / "bad/empty.png").touch()
    scene(8).save(root / "bad/cut.jpg")
    (root / "bad/cut.jpg").write_bytes((root / "bad/cut.jpg").read_bytes()[:700])
    scene(9, 12).save(root / "bad/tiny.png")
    Image.new("RGB", (64, 64), "red").save(root / "bad/flat.png")
    (root / "good/same.png").write_bytes((root / "good/0.png").read_bytes())
    scene(1).save(root / "good/similar.jpg", quality=70)
    (root / "good/.hidden.png").write_bytes(b"hidden")
    (root / "good/notes.md").write_text("no media")
    scene(10).save(root / "红色 球/一.png")
    scene(11).save(root / "红色 球/二.png")
    (root / "红色 球/二.txt").write_text("一个红色的球\n\n  \n红球\n", encoding="utf-8")
    scene(12).save(root / "bad/<img src=x onerror=alert(1)>.png")
    (root / "bad/<img src=x onerror=alert(1)>.txt").write_text("<script>alert('text')</script> \u202egnp.exe")
    lines(
        root / "metadata.jsonl",
        {"file_name": "good/0.png", "text": "a red ball", "label": "Ball", "truth": {"x": [1]}},
        {"file_name": "good/1.png", "texts": {"en": ["a cube", " "], "zh": "立方体"}, "label": "ball"},
        {"file_name": "good/2.png", "text": "x" * 3000, "label": "ball"},
        {"file_name": "good/missing.png", "text": "nowhere"},
        "{not json",
        {"text": "no file"},
        {"file_name": "../outside.png", "text": "elsewhere"},
        {"file_name": "good/3.png", "text": 7, "label": "</td><script>alert('label')</script>", "qa": "?"},
        {"file_name": "good/clip.mp4", "events": [{"start": 0, "end": 1, "text": {"en": "it moves", "zh": "它动了"}}]},
    )
    return root
