"""The first thing to try: one sentence drawn in two languages, one picture and one clip read, all with times."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Console

from triptych import load
from triptych.api import Triptych
from triptych.media import image, video
from triptych.terminal import show_pictures

SENTENCES = {"en": "a red ball to the left of a blue cube", "zh": "一个红色的球在一个蓝色的方块的左边"}
QUESTION = "How many objects are there?"
FRAMES = 4  # of the clip that are shown
T = TypeVar("T")


def run(out: Path, name: str = "tabletop", device: str = "auto", show: bool | None = None) -> None:
    """Draw, read and watch with one model; print what it does and write the files to `out`.

    Args:
        out: folder for the files.
        name: of the model, or its folder; its sample.png and sample.mp4 are read where it has them.
        device: `cpu`, `cuda` or `auto`.
        show: pictures in the terminal: True always, False never, None where there is one.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    model, seconds = timed(lambda: load(name, device))
    console.print(f"{model.info.name} loaded in {seconds:.1f} s from {model.path}")
    drawn = _draw(model, out, console, show)
    _read(model, drawn, console, show)
    _watch(model, console, show)
    console.print(f"\nThe pictures are in {out}/. What to try next:", style="bold")
    for command in (
        f'triptych draw "two metal cylinders and a green ball" -n 4{_model(name)}',
        f'triptych ask {out / "en.png"} "What color is the ball?" --choices red,blue,green{_model(name)}',
        "triptych --help",
    ):
        console.print(f"  {command}")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` gives, and the seconds it took."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def _draw(model: Triptych, out: Path, console: Console, show: bool | None) -> Path:
    texts = list(SENTENCES.values())
    pictures, seconds = timed(lambda: model.draw_many(texts, [0] * len(texts)))
    told = f"each the best of {pictures[0].settings['best_of']} by the model's own reading"
    console.print(f"\nDrawn in {seconds:.1f} s, both, {told}:", style="bold")
    for language, picture in zip(SENTENCES, pictures, strict=True):
        path = picture.save(out / f"{language}.png")
        console.print(f"  {picture.prompt}  ->  {path}")
    show_pictures([picture.pixels for picture in pictures], show)
    return out / "en.png"


def _read(model: Triptych, drawn: Path, console: Console, show: bool | None) -> None:
    sample = model.path / "sample.png"
    path = sample if sample.is_file() else drawn
    captions, seconds = timed(lambda: [model.caption(path, language=language) for language in SENTENCES])
    console.print(f"\nThe picture {path}, read in {seconds:.1f} s:", style="bold")
    if path == sample:
        show_pictures([image.read(path)], show)
    for caption in captions:
        console.print(f"  {caption}")
    console.print(f"  {QUESTION} {model.ask(path, QUESTION)}")


def _watch(model: Triptych, console: Console, show: bool | None) -> None:
    path = model.path / "sample.mp4"
    if not path.is_file():
        return
    timelines, seconds = timed(lambda: [model.watch(path, language=language) for language in SENTENCES])
    console.print(f"\nThe clip {path}, watched in {seconds:.1f} s:", style="bold")
    frames = video.read(path, fps=model.info.fps, frames=model.info.frames, size=model.info.size).frames
    show_pictures([frames[place] for place in np.linspace(0, len(frames) - 1, FRAMES).astype(int)], show)
    for timeline in timelines:
        for event in timeline.events:
            console.print(f"  {event}")


def _model(name: str) -> str:
    return "" if name == "tabletop" else f" --model {name}"
