"""Loss against compute: sizes and lengths of training, each from nothing on the same data, and other choices.

    python benchmarks/scaling.py DATA/prepared WORK --json docs/scaling.json   # two to three hours of one core
    python benchmarks/scaling.py --render docs/scaling.json                    # docs/scaling.md and its picture

Every run is `triptych train recipes/tabletop-pictures.yaml` with the settings that its row tells, drawing alone, with a
rise and fall of the rate of its own; runs that are there already are read, not repeated. A run's compute is 6 FLOP a
parameter and position. Loss is bits per code of held-out drawings, and the text gain what they cost more with another
picture's text. `--set precision=fp32` and the like hold for all runs; `--only 'depth-7-*'` makes some of them, so that
several processes may share the work, and `--found` then tells what is there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import sys
from fnmatch import fnmatch
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from safetensors import safe_open

RECIPE = Path(__file__).parent.parent / "recipes" / "tabletop-pictures.yaml"
DEPTHS, STEPS = (3, 5, 7), (150, 300)
ALONE = {"mix": "{draw: 1}", "gpt.planned": "false"}  # drawing, by no plan
COMMON = ALONE | {"batch": 32, "optim.ema": 0.98, "optim.warmup": 30, "summary": 0.5}
ROWS = ("gpt.depth", "steps")
BASE = 5  # the depth at which the other choices are tried, at the longer length
CHOICES: dict[str, dict[str, Any]] = {
    "AdamW at 1e-3 in place of Muon": {"optim.optimizer": "adamw", "optim.lr": 1e-3},
    "AdamW at 3e-3 in place of Muon": {"optim.optimizer": "adamw", "optim.lr": 3e-3},
    "no summary of what is still to be drawn": {"summary": 0},
}
COLOURS = ((200, 110, 40), (47, 111, 94), (70, 90, 170), (150, 60, 120))
FOUND, TRIED = "<!-- sizes and lengths -->", "<!-- choices -->"


def given(settings: dict[str, Any]) -> list[str]:
    """Settings as they are given to a training."""
    return [f"{name}={value}" for name, value in settings.items()]


def run(data: Path, out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Train, unless the run is there, and read what came of it."""
    if not whole(out):
        command = [sys.executable, "-m", "triptych", "train", str(RECIPE), f"data={data}", f"out={out}"]
        command += given(settings)
        subprocess.run([*command, "minutes=null", "validate_every=100000", "checkpoint_every=100"], check=True)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    made = json.loads((out / "model" / "model.json").read_text("utf-8"))["made"]
    positions = float(np.mean([line["tokens"] for line in lines if line["kind"] == "train"])) * made["steps"]
    with safe_open(out / "model" / "gpt.safetensors", "np") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    parameters = sum(math.prod(shape) for shape in shapes)
    return {
        "parameters": parameters,
        "steps": made["steps"],
        "positions": round(positions),
        "flops": 6 * parameters * positions,
        "minutes": round(60 * made["hours"], 1),
        "loss": round(made["validation"]["draw bits/code"], 4),
        "gain": round(made["validation"]["text gain"], 4),
    }


def whole(out: Path) -> bool:
    """Whether a run came to its end."""
    return (out / "model" / "SHA256.json").is_file()


def folder(name: str, settings: dict[str, Any]) -> str:
    """Where a run stands: by its name and its settings, since one of other settings is another run."""
    digest = hashlib.sha256(" ".join(sorted(given(settings))).encode()).hexdigest()
    return f"{name.replace(' ', '-')}-{digest[:8]}"


def law(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Of loss = a * compute^-b through the rows that no other beats with less compute: a at 1e12 FLOP, and b."""
    best = [row for row in rows if not any(o["flops"] < row["flops"] and o["loss"] <= row["loss"] for o in rows)]
    slope, start = np.polyfit(np.log([r["flops"] / 1e12 for r in best]), np.log([r["loss"] for r in best]), 1)
    return float(np.exp(start)), float(-slope)


def picture(path: Path, rows: list[dict[str, Any]]) -> None:
    """Loss against compute, a line a size; compute on a logarithmic scale."""
    width, height, edge = 560, 340, 56
    image = Image.new("RGB", (width, height), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    scale = np.log10([row["flops"] for row in rows])
    low, high = float(scale.min()) - 0.05, float(scale.max()) + 0.05
    least, most = min(r["loss"] for r in rows) - 0.03, max(r["loss"] for r in rows) + 0.03

    def at(flops: float, loss: float) -> tuple[float, float]:
        x = edge + (math.log10(flops) - low) / (high - low) * (width - edge - 16)
        return x, edge / 2 + (most - loss) / (most - least) * (height - 1.5 * edge)

    a, b = law(rows)
    curve = [at(10**x, a * (10**x / 1e12) ** -b) for x in np.linspace(low, high, 60)]
    pen.line([point for point in curve if edge / 2 <= point[1] <= height - edge], fill=(190, 190, 190), width=2)
    pen.line([(edge, edge / 2), (edge, height - edge), (width - 16, height - edge)], fill=(120, 120, 120))
    for loss in np.linspace(least, most, 4):
        pen.text((8, at(10**low, loss)[1] - 6), f"{loss:.2f}", fill=(60, 60, 60))
    for flops in np.geomspace(10**low, 10**high, 4):
        pen.text((at(flops, least)[0] - 24, height - edge + 6), f"{flops / 1e12:.1f} T", fill=(60, 60, 60))
    for number, depth in enumerate(sorted({row["depth"] for row in rows})):
        line = sorted((r["flops"], r["loss"]) for r in rows if r["depth"] == depth)
        colour = COLOURS[number % len(COLOURS)]
        for one, two in pairwise(line):
            pen.line([at(*one), at(*two)], fill=colour, width=3)
        for point in line:
            x, y = at(*point)
            pen.ellipse([x - 4, y - 4, x + 4, y + 4], fill=colour)
        pen.text((width - 150, 20 + 16 * number), f"depth {depth}", fill=colour)
    pen.text((edge, 6), "bits a code of held-out drawings", fill=(0, 0, 0))
    pen.text((width - 170, height - 20), "FLOP of training", fill=(0, 0, 0))
    image.save(path, optimize=True)


def tables(told: dict[str, Any]) -> tuple[str, str]:
    """Sizes and lengths, and choices, as docs/scaling.md holds them."""
    heads = ("depth", "parameters", "steps", "FLOP", "minutes", "bits a code", "text gain, bits a code")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---:|" * len(heads)]
    for row in told["sizes"]:
        cells = (f"{row['depth']}", f"{row['parameters']:,}", f"{row['steps']}", f"{row['flops']:.2e}",
                 f"{row['minutes']}", f"{row['loss']:.3f}", f"{row['gain']:.3f}")  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    a, b = law(told["sizes"])
    lines += [
        "",
        f"Through the points that none beats with less compute: bits a code = {a:.2f} (FLOP / 1e12)^-{b:.3f}. "
        f"Settings of all rows, beside the recipe's: `{' '.join(given(told['common']))}`.",
    ]
    heads = (f"at depth {BASE}", "steps", "minutes", "bits a code", "text gain, bits a code")
    more = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    base = [row for row in told["sizes"] if row["depth"] == BASE and row["steps"] == max(STEPS)]
    rows = {"as the recipe has it": base[0], **told["choices"]} if base else {}  # beside what they differ from, or not
    for name, row in rows.items():
        more.append(f"| {name} | {row['steps']} | {row['minutes']} | {row['loss']:.3f} | {row['gain']:.3f} |")
    return "\n".join(lines), "\n".join(more)


def render(found: Path) -> None:
    """Put tables and picture where docs/scaling.md shows them."""
    told = json.loads(found.read_text("utf-8"))
    if len({row["flops"] for row in told["sizes"]}) < 2:
        sys.exit(f"{found}: a curve takes two sizes or lengths, this holds {len(told['sizes'])}: make more runs")
    picture(found.with_suffix(".png"), told["sizes"])
    page = found.with_suffix(".md")
    text = page.read_text("utf-8")
    for mark, table in zip((FOUND, TRIED), tables(told), strict=True):
        before, _, after = text.split(mark)
        text = f"{before}{mark}\n{table}\n{mark}{after}"
    page.write_text(text, "utf-8")


def main() -> None:
    """Run what is missing, and write the JSON; or render it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="prepared folder")
    parser.add_argument("work", type=Path, nargs="?", help="where the runs stand")
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of all runs")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="make only the runs of such names")
    parser.add_argument("--found", action="store_true", help="make none; tell of those that are there")
    parser.add_argument("--render", type=Path, metavar="JSON", help="only put a JSON file into its page")
    asked = parser.parse_args()
    if asked.render:
        render(asked.render)
        return
    if asked.data is None or asked.work is None:
        parser.error("give the prepared folder and the folder of runs")
    for setting in asked.set:
        name, is_set, value = setting.partition("=")
        if not (name and is_set and value):
            parser.error(f"--set {setting}: give it as NAME=VALUE, like precision=fp32")
        if name in ROWS:
            parser.error(f"--set {setting}: {name} is what the rows differ in")
    common = COMMON | dict(setting.split("=", 1) for setting in asked.set)
    sizes = {f"depth-{d}-{s}": {"gpt.depth": d, "steps": s} for d, s in product(DEPTHS, STEPS)}
    choices = {name: {"gpt.depth": BASE, "steps": max(STEPS)} | changes for name, changes in CHOICES.items()}
    told: dict[str, Any] = {"common": common, "sizes": [], "choices": {}}
    for name, changes in (sizes | choices).items():
        settings = common | changes
        out = asked.work / folder(name, settings)
        if not whole(out) and (asked.found or not fnmatch(name, asked.only)):
            continue
        row = run(asked.data, out, settings)
        if name in choices:
            told["choices"][name] = row
        else:
            told["sizes"].append({"depth": changes["gpt.depth"]} | row)
    text = json.dumps(told, indent=2) + "\n"
    if asked.json:
        asked.json.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
