"""Memory and time of reading clips against their length: `python benchmarks/video.py --seconds 15,60,240`.

Each length is one clip of moving squares with a cut every ten seconds, 640x360 at 24 frames a second, read by a
fresh process; peak memory is that of the process. `--seconds 3600` takes an hour's clip. Absolute times are those of
this machine and this moment; what counts is that time is a line through the origin and memory is level.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

FPS, WIDTH, HEIGHT, SHOT = 24, 640, 360, 10
CHILD = """
import json, resource, sys, time
import triptych
verb, model, path = sys.argv[1:]
loaded = triptych.load(model, "cpu")
read = loaded.watch_segments if verb == "watch" else loaded.surprise_parts
started, cpu, count = time.perf_counter(), time.process_time(), 0
for part in read(path):
    count += 1
seconds, used = time.perf_counter() - started, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"parts": count, "seconds": seconds, "cpu": used, "peak": peak}))
"""


def film(path: Path, seconds: int) -> None:
    """A clip of `seconds`, written as it is made."""
    from triptych.media import video

    def frames():  # type: ignore[no-untyped-def]
        for number in range(seconds * FPS):
            shot, step = divmod(number, SHOT * FPS)
            colour = np.random.default_rng(shot).integers(0, 256, 3)
            picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
            picture[:] = colour
            left = 4 * step % (WIDTH - 80)
            picture[140:220, left : left + 80] = 255 - colour
            yield picture

    video.write_stream(path, frames(), FPS)


def measure(verb: str, model: str, path: Path) -> dict[str, float]:
    """Parts, seconds, seconds of CPU and peak bytes of one reading, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, verb, model, str(path)], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def curves(path: Path, rows: list[dict[str, float]]) -> None:
    """Time and memory against length, side by side, each from zero."""
    side, edge = 360, 48
    picture = Image.new("RGB", (2 * side, side), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    longest = max(row["length"] for row in rows)
    for place, (key, unit) in enumerate((("cpu", "s of CPU"), ("MiB", "MiB at most"))):
        top = 1.1 * max(row[key] for row in rows)
        points = [
            (
                place * side + edge + row["length"] / longest * (side - 2 * edge),
                side - edge - row[key] / top * (side - 2 * edge),
            )
            for row in rows
        ]
        left, bottom = place * side + edge, side - edge
        pen.line([(left, edge), (left, bottom), (left + side - 2 * edge, bottom)], fill=(150, 150, 150))
        pen.line(points, fill=(47, 111, 94), width=3)
        for (x, y), row in zip(points, rows, strict=True):
            pen.ellipse([x - 4, y - 4, x + 4, y + 4], fill=(47, 111, 94))
            pen.text((x - 12, y - 18), f"{row[key]:.0f}", fill=(60, 60, 60))
            pen.text((x - 10, bottom + 6), f"{row['length']:.0f}", fill=(60, 60, 60))
        pen.text((left, edge - 24), f"{unit}, against seconds of video", fill=(0, 0, 0))
    picture.save(path)


def main() -> None:
    """Print the table, and draw the curves where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", default="15,60,240", help="lengths of the clips")
    parser.add_argument("--verb", choices=("watch", "surprise"), default="surprise")
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--out", type=Path, help="PNG for the curves")
    given = parser.parse_args()
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for length in sorted(int(part) for part in given.seconds.split(",")):
            path = Path(folder) / f"{length}.mp4"
            film(path, length)
            told = measure(given.verb, given.model, path)
            rows.append({"length": length, "MiB": told["peak"] / 2**20, **told})
            path.unlink()
    table = Table(title=f"{given.verb}, {given.model}, {WIDTH}x{HEIGHT} at {FPS}")
    for column in ("video, s", "segments", "s", "s of CPU", "CPU a second of video", "peak, MiB"):
        table.add_column(column, justify="right")
    for row in rows:
        share = row["cpu"] / row["length"]
        table.add_row(
            *(f"{v:.3g}" for v in (row["length"], row["parts"], row["seconds"], row["cpu"], share, row["MiB"]))
        )
    Console().print(table)
    if given.out:
        curves(given.out, rows)


if __name__ == "__main__":
    main()
