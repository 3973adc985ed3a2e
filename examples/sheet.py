"""A sheet of what a model draws, each picture below its sentence.

python examples/sheet.py docs/drawn.png                                   # the README's: fixed sentences and seeds
python examples/sheet.py sheet.jpg --data WORLD --count 64 --seed 0       # sentences of pictures of a folder, by lot
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import triptych
from triptych.data.folder import scan
from triptych.evaluate.gallery import prompts
from triptych.tasks.settings import Drawing, usual

SENTENCES = [
    "a red ball and a blue cube",
    "a large green rubber cone",
    "a yellow ball to the left of a purple cylinder",
    "一个蓝色的球和一个红色的圆柱体",
    "a small cyan metal ball",
    "a large orange ball on a wooden table",
    "two red cubes",
    "一个大的黄色橡胶方块",
]
FONTS = ("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc", "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
COLUMNS, GAP, LINES = 4, 12, 44


def _lines(text: str) -> list[str]:
    """Two lines of a sentence; Chinese characters are twice as wide, and no space parts them."""
    wide = any(c >= "\u3400" for c in text)
    return textwrap.wrap(text, 13 if wide else 28)[:2]


def main() -> None:
    """Draw and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, help="folder with metadata.jsonl whose captions are drawn")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--columns", type=int, default=COLUMNS)
    parser.add_argument("--guidance", type=float, default=usual().guidance)
    parser.add_argument("--best-of", type=int, default=usual().best_of, help="candidates a picture")
    parser.add_argument("--model", default="tabletop")
    given = parser.parse_args()
    model = triptych.load(given.model)
    sentences = prompts(list(scan(given.data)), given.count, given.seed) if given.data else SENTENCES
    font = next((ImageFont.truetype(path, 16) for path in FONTS if Path(path).exists()), ImageFont.load_default(16))
    how: Drawing = {"guidance": given.guidance, "best_of": given.best_of}
    pictures = model.draw_many(sentences, [given.seed] * len(sentences), **how)
    side = model.info.size
    rows = -(-len(sentences) // given.columns)
    size = (given.columns * (side + GAP) + GAP, rows * (side + LINES + GAP) + GAP)
    sheet = Image.fromarray(np.full((size[1], size[0], 3), 255, np.uint8))
    pen = ImageDraw.Draw(sheet)
    for index, picture in enumerate(pictures):
        y, x = divmod(index, given.columns)
        left, top = GAP + x * (side + GAP), GAP + y * (side + LINES + GAP)
        pen.multiline_text((left, top), "\n".join(_lines(picture.prompt)), fill=(40, 40, 40), font=font)
        sheet.paste(Image.fromarray(picture.pixels), (left, top + LINES))
    sheet.save(given.out, optimize=True)


if __name__ == "__main__":
    main()
