"""A sheet of samples of a written world, to look at."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from triptych.worlds.tabletop.language import LANGUAGES


def contact_sheet(folder: Path, out_png: Path, n: int = 60) -> None:
    """Draw `n` samples with their captions and questions into one PNG: pictures, and rows of frames of clips.

    A font with Chinese letters is used if one is installed; without it only English is shown.
    """
    folder = Path(folder)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    step = max(1, len(rows) // n)
    font, chinese = _font()
    cells = []
    for row in rows[::step][:n]:
        clip = "frames" in row["truth"]
        strip = _strip(folder / row["file_name"], clip)
        langs = LANGUAGES if chinese else LANGUAGES[:1]
        texts = [t for lang in langs for t in row["texts"][lang]]
        texts += [f"{q['question']} {q['answer']}" for q in row["qa"] if q["lang"] in langs]
        texts += [f"impossible: {row['truth']['impossible']}"] if row["truth"].get("impossible") else []
        width = 1240
        lines = [line for t in texts for line in _wrap(t, (width - strip.width - 8) // 6)]
        cell = Image.new("RGB", (width, max(strip.height, 12 * len(lines) + 14) + 4), "white")
        cell.paste(strip, (0, 0))
        draw = ImageDraw.Draw(cell)
        draw.text((strip.width + 6, 0), row["file_name"], fill="red", font=font)
        for i, line in enumerate(lines):
            draw.text((strip.width + 6, 12 * (i + 1)), line, fill="black", font=font)
        cells.append(np.asarray(cell))
    Image.fromarray(np.concatenate(cells)).save(out_png)


def _strip(path: Path, clip: bool) -> Any:
    if not clip:
        with Image.open(path) as image:
            return image.convert("RGB")
    import av

    with av.open(str(path)) as container:
        frames = [f.to_image() for f in container.decode(video=0)]
    chosen = frames[:: 2 if len(frames) > 8 else 1]
    side = 112
    strip = Image.new("RGB", (side * 5, side * 2))
    for i, frame in enumerate(chosen[:10]):
        strip.paste(frame.resize((side, side)), (side * (i % 5), side * (i // 5)))
    return strip


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width) or [""]


def _font() -> tuple[Any, bool]:
    for name in ("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "DroidSansFallbackFull.ttf", "PingFang.ttc"):
        try:
            return ImageFont.truetype(name, 11), True
        except OSError:
            continue
    try:
        return ImageFont.truetype("DejaVuSans.ttf", 10), False
    except OSError:
        return ImageFont.load_default(), False
