"""What a model makes of held-out media, to be looked at: pictures it draws and changes, and clips with its own words.

    python -m triptych.evaluate.gallery MODEL DATA docs/gallery

The media are chosen by a seed and not by hand, so a gallery shows the failures in their true share.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from triptych.data.folder import scan
from triptych.data.records import Record, edit_pairs
from triptych.errors import DataError, TriptychError
from triptych.evaluate.truth import read_truths
from triptych.files import write_text
from triptych.media import image, video

LANGUAGES = ("en", "zh")
COLUMNS = 4
SIDE = 160  # pixels of a clip on the page
QUALITY = 88
T = TypeVar("T")


class Shown(Protocol):
    """What a gallery asks of a model; `triptych.load(...)` gives one."""

    @property
    def info(self) -> Any:
        """Its name, size and frame rate."""

    def draw_many(self, texts: Sequence[str], seeds: Sequence[int]) -> Sequence[Any]:
        """A picture of each text."""

    def edit(self, image: np.ndarray, instruction: str, *, seed: int) -> Sequence[Any]:
        """A picture changed as an instruction says."""

    def watch(self, path: Path, *, language: str) -> Any:
        """A timeline of a clip."""


def gallery(
    model: Shown,
    data: Path | str,
    out: Path | str,
    *,
    pictures: int = 40,
    edits: int = 12,
    clips: int = 20,
    seed: int = 0,
) -> Path:
    """Draw, edit, watch, and write a page of all three.

    Args:
        model: draws and watches.
        data: folder of media with texts in English or Chinese, which the model was not trained on.
        out: folder for README.md and the small files it shows.
        pictures, edits, clips: how many, at most.
        seed: of the choice of media and texts, and of every drawing.

    Returns:
        the page.

    Raises:
        DataError: no picture with a text, and no clip.
    """
    data, out = Path(data), Path(out)
    records = list(scan(data))
    parts = [
        _drawn(model, prompts(records, pictures, seed), out, seed),
        _changed(model, records, data, out, edits, seed),
        _watched(model, records, data, out, clips, seed),
    ]
    if not any(parts):
        raise DataError(f"{data} holds no picture with a text and no clip: give a folder as docs/data.md tells")
    head = (
        f"# What `{model.info.name}` draws, changes and tells\n\n"
        "Held-out texts and clips, chosen by lot and not by hand; every drawing is what one seed gives by default.\n"
        "Made by `make results`.\n"
    )
    write_text(out / "README.md", "\n".join([head, *filter(None, parts)]))
    return out / "README.md"


def prompts(records: Sequence[Record], count: int, seed: int) -> list[str]:
    """A text each of some pictures, English and Chinese in turn where there are both; of a sequence one picture.

    Args:
        records: of a folder. count: how many at most. seed: of the choice.
    """
    places = {r.sequence.id if r.sequence else r.file: r for r in records if r.kind == "picture" and r.texts}
    dice, out = np.random.default_rng(seed), []
    for place, record in enumerate(_some(list(places.values()), count, dice)):
        texts = [t.text for t in record.texts if (t.lang or "en") == LANGUAGES[place % 2]]
        texts = texts or [t.text for t in record.texts]
        out.append(texts[dice.integers(len(texts))])
    return out


def _some(items: Sequence[T], count: int, dice: np.random.Generator) -> list[T]:
    return [items[index] for index in dice.permutation(len(items))[:count]]


def _drawn(model: Shown, texts: Sequence[str], out: Path, seed: int) -> str:
    if not texts:
        return ""
    cells = []
    for number, picture in enumerate(model.draw_many(texts, [seed] * len(texts))):
        name = f"picture-{number:02d}.jpg"
        image.write(out / name, picture.pixels, quality=QUALITY)
        cells.append((f"![]({name})", texts[number]))
    rows = []
    for first in range(0, len(cells), COLUMNS):
        row = cells[first : first + COLUMNS] + [("", "")] * (COLUMNS - len(cells[first:]))
        rows += [_row([shown for shown, _ in row]), _row([text for _, text in row])]
    table = "\n".join([_row([""] * COLUMNS), "|" + "---|" * COLUMNS, *rows])
    return f"## Drawn\n\n{table}\n"


def _changed(model: Shown, records: Sequence[Record], data: Path, out: Path, count: int, seed: int) -> str:
    """Pictures side by side: what was given, what the model made of it by an instruction, and what was wanted."""
    cells = []
    for number, (before, after) in enumerate(_some(edit_pairs(records), count, np.random.default_rng([seed, 2]))):
        texts = [t.text for t in after.instruction if (t.lang or "en") == LANGUAGES[number % 2]]
        told = (texts or [t.text for t in after.instruction])[0]
        given, wanted = (image.fit(image.read(data / r.file), model.info.size) for r in (before, after))
        made = model.edit(given, told, seed=seed)[0].pixels
        name = f"edit-{number:02d}.jpg"
        row = np.concatenate([image.fit(pixels, SIDE) for pixels in (given, made, wanted)], 1)
        image.write(out / name, row, quality=QUALITY)
        cells.append(_row([f"![]({name})", told]))
    if not cells:
        return ""
    return "\n".join(["## Changed\n", _row(["given, drawn, wanted", "instruction"]), "|---|---|", *cells, ""])


def _watched(model: Shown, records: Sequence[Record], data: Path, out: Path, count: int, seed: int) -> str:
    truths = read_truths(data)  # what was made impossible on purpose has no words to be held against
    clips = [r for r in records if r.kind == "clip" and not truths.get(r.file, {}).get("impossible")]
    rows = []
    for number, record in enumerate(_some(clips, count, np.random.default_rng([seed, 1]))):
        language, name = LANGUAGES[number % 2], f"clip-{number:02d}.webp"
        info = model.info
        shown = video.read(data / record.file, fps=info.fps, frames=info.frames, size=SIDE)
        video.write(out / name, shown.frames, shown.fps)
        told = model.watch(data / record.file, language=language)
        true = [e.text for e in sorted(record.events, key=lambda e: e.start) if (e.lang or "en") == language]
        words = [*(f"{s.caption}" for s in told.segments), *(str(event) for event in told.events)]
        rows.append(_row([f"![]({name})", "<br>".join(words), "<br>".join(true) or "nothing happens"]))
    if not rows:
        return ""
    return "\n".join(["## Watched\n", _row(["clip", "the model's words", "what happens"]), "|---|---|---|", *rows, ""])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def main(arguments: Sequence[str] | None = None) -> Literal[0, 1]:
    """Draw held-out texts, edit and watch held-out media, and write all as a page with small files."""
    parser = argparse.ArgumentParser(prog="python -m triptych.evaluate.gallery", description=main.__doc__)
    parser.add_argument("model", help="name or folder of a model")
    parser.add_argument("data", type=Path, help="folder of media that it was not trained on")
    parser.add_argument("out", type=Path, help="folder for the page")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--edits", type=int, default=12)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    import triptych

    try:
        page = gallery(
            triptych.load(given.model),
            given.data,
            given.out,
            pictures=given.pictures,
            edits=given.edits,
            clips=given.clips,
            seed=given.seed,
        )
    except TriptychError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
