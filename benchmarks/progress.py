"""Scores of every version of the shipped model, by the repository's own history, beside what they are to reach.

    python benchmarks/progress.py                  # docs/progress.json and .png, and the table of docs/progress.md

Each version of docs/results.json is a point; a new number stands where the GPT's weights changed, and points between
are the same weights read or drawn from in another way. Versions were measured as their commits had it: with other
judges, other samples and more media over time, so curves tell where things went, and the last point what they are. A
clone needs its history for that.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parent.parent
RESULTS = "docs/results.json"
MARK = "<!-- goals -->"
WIDE, HIGH, EDGE, COLUMNS = 360, 190, 36, 2  # pixels of a panel
LINE, GOAL, NEW = (47, 111, 94), (200, 110, 40), (205, 205, 205)


@dataclass(frozen=True)
class Goal:
    """What a score is to reach: as named in results.json, `least` or `most`; and whether the picture shows it."""

    name: str
    measure: str
    least: float | None = None
    most: float | None = None
    shown: bool = False

    @property
    def wanted(self) -> float:
        """The border, whichever side it is of."""
        border = self.least if self.least is not None else self.most
        assert border is not None
        return border

    def short(self, value: float) -> float:
        """By how much a value falls short; 0 or less where it is reached."""
        return self.wanted - value if self.least is not None else value - self.wanted


GOALS = (
    Goal("objects drawn", "draw: objects", 0.90, shown=True),
    Goal("whole scenes drawn", "draw: scenes", 0.60),
    Goal("left and right drawn", "draw: relations, left and right", 0.90, shown=True),
    Goal("objects drawn, unseen pairs of colour and shape", "draw: objects, unseen combinations", 0.75),
    Goal("answers about clips, descriptive", "ask: accuracy, clips, descriptive", 0.90),
    Goal("answers about clips, counting", "ask: accuracy, clips, counting", 0.90, shown=True),
    Goal("answers about clips, temporal", "ask: accuracy, clips, temporal", 0.80),
    Goal("answers about clips, causal", "ask: accuracy, clips, causal", 0.80),
    Goal("answers about clips, predictive", "ask: accuracy, clips, predictive", 0.75, shown=True),
    Goal("answers about clips, counterfactual", "ask: accuracy, clips, counterfactual", 0.70),
    Goal("events of clips, F1, English", "caption: events of clips, en, F1", 0.80, shown=True),
    Goal("events of clips, F1, Chinese", "caption: events of clips, zh, F1", 0.80),
    Goal("moments found within 0.25 s, English", "locate: within 0.25 s, en", 0.80),
    Goal("moments found within 0.25 s, Chinese", "locate: within 0.25 s, zh", 0.80),
    Goal("first of 500 clips found, English", "search: recall at 1, en", 0.60),
    Goal("first of 500 clips found, Chinese", "search: recall at 1, zh", 0.60),
    Goal("things foretold half a second ahead, pixels off", "track: position error, 0.5 s ahead", most=8, shown=True),
    Goal("impossible events, AUROC", "surprise: AUROC of impossible events", 0.90),
)


def versions() -> list[dict[str, Any]]:
    """Every version of the scores, oldest first, and the file as it is: date, GPT's hash, and each goal's value."""
    log = _git("log", "--reverse", "--format=%H", "--", RESULTS).split()
    texts = [_git("show", f"{commit}:{RESULTS}") for commit in log] + [(ROOT / RESULTS).read_text("utf-8")]
    out: list[dict[str, Any]] = []
    for told in map(json.loads, texts):
        values = {
            goal.measure: round(told["measures"][goal.measure]["value"], 4)
            for goal in GOALS
            if goal.measure in told["measures"]
        }
        if not values:  # a file that was being measured anew
            continue
        found = {"date": told["date"][:10], "gpt": told["weights"]["gpt.safetensors"][:12], "scores": values}
        if not out or (found["gpt"], values) != (out[-1]["gpt"], out[-1]["scores"]):
            out.append(found)
    return out


def _git(*command: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *command], check=True, capture_output=True, text=True).stdout


def picture(points: list[dict[str, Any]]) -> Image.Image:
    """A panel for each goal that is shown: its value at each version, and the border in another colour."""
    shown = [goal for goal in GOALS if goal.shown]
    rows = -(-len(shown) // COLUMNS)
    image = Image.new("RGB", (COLUMNS * WIDE, rows * HIGH), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(12)
    for number, goal in enumerate(shown):
        left, top = number % COLUMNS * WIDE, number // COLUMNS * HIGH
        _panel(pen, font, goal, points, left, top)
    return image


def _panel(pen: ImageDraw.ImageDraw, font: Any, goal: Goal, points: list[dict[str, Any]], left: int, top: int) -> None:
    known = [
        (place, point["scores"][goal.measure]) for place, point in enumerate(points) if goal.measure in point["scores"]
    ]
    values = [value for _, value in known]
    low, high = (0.0, 1.0) if goal.least is not None else (0.0, 1.1 * max([*values, goal.wanted]))

    def at(place: float, value: float) -> tuple[float, float]:
        x = left + EDGE + place / max(1, len(points) - 1) * (WIDE - EDGE - 18)
        return x, top + HIGH - EDGE + 8 - (value - low) / (high - low) * (HIGH - 1.7 * EDGE)

    models = 0
    for place, point in enumerate(points):
        if not place or point["gpt"] != points[place - 1]["gpt"]:
            models += 1
            pen.line([at(place, low), at(place, high)], fill=NEW)
            pen.text(
                (at(place, low)[0] - 3 * len(str(models)), at(place, low)[1] + 4),
                str(models),
                fill=(120,) * 3,
                font=font,
            )
    pen.line([at(0, low), at(len(points) - 1, low)], fill=(120, 120, 120))
    for value in (low, high):
        pen.text((left + 6, at(0, value)[1] - 7), f"{value:.3g}", fill=(90, 90, 90), font=font)
    pen.line([at(0, goal.wanted), at(len(points) - 1, goal.wanted)], fill=GOAL, width=2)
    pen.text((left + 6, at(0, goal.wanted)[1] - 7), f"{goal.wanted:g}", fill=GOAL, font=font)
    for one, two in pairwise(known):
        pen.line([at(*one), at(*two)], fill=LINE, width=3)
    for one in known:
        x, y = at(*one)
        pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=LINE)
    pen.text((left + EDGE, top + 4), goal.name, fill=(0, 0, 0), font=font)


def table() -> str:
    """Each goal, its value in docs/results.json, and by how much it falls short."""
    measures = json.loads((ROOT / RESULTS).read_text("utf-8"))["measures"]
    heads = ("goal", "wanted", "measured", "95%", "n", "")
    lines = ["| " + " | ".join(heads) + " |", "|---|---:|---:|---|---:|---|"]
    for goal in GOALS:
        if goal.measure not in measures:
            lines.append(f"| {goal.name} | {goal.wanted:g} | | | | not measured |")
            continue
        score = measures[goal.measure]
        low, high = score["ci95"] or ("", "")
        short = goal.short(score["value"])
        end = "reached" if short <= 0 else f"short by {short:.3g}"
        sign = "≥" if goal.least is not None else "≤"
        wide = f"{low:.3g}–{high:.3g}" if score["ci95"] else ""
        cells = (goal.name, f"{sign} {goal.wanted:g}", f"{score['value']:.3g}", wide, str(score["n"]), end)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read the history, and put what it tells into docs/progress.*."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    points = versions()
    if len(points) < 2:
        raise SystemExit("this clone has no history of docs/results.json: fetch it whole (git fetch --unshallow)")
    docs = ROOT / "docs"
    (docs / "progress.json").write_text(json.dumps(points, indent=1) + "\n", "utf-8")
    picture(points).save(docs / "progress.png", optimize=True)
    page = docs / "progress.md"
    before, _, after = page.read_text("utf-8").split(MARK)
    page.write_text(f"{before}{MARK}\n{table()}\n{MARK}{after}", "utf-8")


if __name__ == "__main__":
    main()
