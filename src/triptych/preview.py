"""A model in training -> a sheet of pictures it draws and a page of captions it writes, from fixed prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from triptych import zoo
from triptych.api import Triptych
from triptych.config import RunConfig
from triptych.data.frames import is_held
from triptych.data.prepare import Prepared
from triptych.errors import MediaError
from triptych.files import write_text
from triptych.media import image

PROMPTS = ("a red ball to the left of a blue cube", "two metal cylinders", "一个红色的球在一个蓝色的方块的左边", "")
LANGUAGES = ("en", "zh")
SEEDS = 2  # pictures of each prompt
MOST = 2  # held-out media of each kind


def preview(
    bundle: zoo.Bundle, folder: Path, step: int, *, prompts: Sequence[str] = PROMPTS, media: Sequence[Path] = ()
) -> None:
    """Write `step-N.png`, a column of pictures for each prompt, and `step-N.txt`, what the model says of media.

    Args:
        bundle: the model as it is; it is left in eval mode.
        folder: where to write.
        step: its number, for the names.
        prompts: texts to draw, at least one.
        media: pictures and clips to describe; one that can't be read is left out.
    """
    model = Triptych(bundle)
    drawn = model.draw_many(
        [text for text in prompts for _ in range(SEEDS)], list(range(SEEDS)) * len(prompts), best_of=1
    )
    columns = [[picture.pixels for picture in drawn[first::SEEDS]] for first in range(SEEDS)]
    image.write(folder / f"step-{step:08d}.png", np.concatenate([np.concatenate(row, 1) for row in columns]))
    lines = [f"picture {number}: {text or '(no text)'}" for number, text in enumerate(prompts, 1)]
    for path in media:
        lines += _said(model, path)
    write_text(folder / f"step-{step:08d}.txt", "\n".join(lines) + "\n")


def preview_of(config: RunConfig) -> Callable[[zoo.Bundle, Path, int], None]:
    """The preview of a run: its own prompts, or held-out captions of its data; and held-out media to describe."""
    prepared = Prepared.load(config.data)
    found: dict[str, list[Path]] = {"picture": [], "clip": []}
    captions: list[str] = []
    for record in prepared.records():
        if is_held(record) and len(found[record.kind]) < MOST:
            found[record.kind].append(prepared.source / record.file)
            if record.kind == "picture":  # one caption in each language, or the label
                captions += [text for _, text in sorted({t.lang: t.text for t in record.texts}.items())]
                if not record.texts and record.label:
                    captions.append(record.label)
    prompts = list(config.prompts) or captions or list(PROMPTS)
    media = found["picture"] + found["clip"]
    return lambda bundle, folder, step: preview(bundle, folder, step, prompts=prompts, media=media)


def _said(model: Triptych, path: Path) -> list[str]:
    try:
        return [f"{path.name} ({tag}): {model.caption(path, language=tag)}" for tag in LANGUAGES]
    except MediaError as error:
        return [str(error)]
