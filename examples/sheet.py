"""The README's picture: what the shipped model draws from fixed sentences and seeds, each below its sentence.

python examples/sheet.py docs/drawn.png
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import triptych

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


def main() -> None:
    """Draw and write the sheet."""
    model = triptych.load("tabletop")
    font = next((ImageFont.truetype(path, 16) for path in FONTS if Path(path).exists()), ImageFont.load_default(16))
    pictures = model.draw_many(SENTENCES, [0] * len(SENTENCES))
    side = model.info.size
    rows = -(-len(SENTENCES) // COLUMNS)
    size = (COLUMNS * (side + GAP) + GAP, rows * (side + LINES + GAP) + GAP)
    sheet = Image.fromarray(np.full((size[1], size[0], 3), 255, np.uint8))
    pen = ImageDraw.Draw(sheet)
    for index, picture in enumerate(pictures):
        y, x = divmod(index, COLUMNS)
        left, top = GAP + x * (side + GAP), GAP + y * (side + LINES + GAP)
        pen.multiline_text((left, top), "\n".join(textwrap.wrap(picture.prompt, 28)), fill=(40, 40, 40), font=font)
        sheet.paste(Image.fromarray(picture.pixels), (left, top + LINES))
    sheet.save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
