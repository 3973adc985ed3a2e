"""Memory and time of reading clips against their length: `python benchmarks/video.py --seconds 60,600`.

Each length is one clip of moving squares with a cut every ten seconds, 640x360 at 24 frames a second, read by a fresh
process from the file or, as a live source is, from standard input; peak memory is that of the process so
far, told as it goes. Absolute times are those of this machine and this moment; what counts is that time is a line
through the origin and memory is level. The curve of an hour in docs/video.md, its JSON, its picture and its table:

    python benchmarks/video.py --seconds 60,240,600,3600 --threads 1 --docs docs/video.md
    python benchmarks/video.py --seconds 60,240,600 --sources pipe --threads 1 --docs docs/video.md
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from triptych.tasks.settings import FRAMINGS

FPS, WIDTH, HEIGHT, SHOT, MINUTE = 24, 640, 360, 10, 60
POINTS = 24  # of a curve
COLOURS = {"file": (47, 111, 94), "pipe": (200, 110, 40)}
HEADS = ("from", "video, s", "segments", "CPU, s", "CPU a second of video, s", "memory at 1/4, MiB", "at the end, MiB")
BEGIN, END = "<!-- the curve of an hour -->", "<!-- end -->"
CHILD = """
import json, resource, sys, time
import torch, triptych
verb, model, path, threads, every, framings = *sys.argv[1:5], float(sys.argv[5]), int(sys.argv[6])
if int(threads):
    torch.set_num_threads(int(threads))
unit = 1 if sys.platform == "darwin" else 1024
loaded = triptych.load(model, "cpu", framings)
read = loaded.watch_segments if verb == "watch" else loaded.surprise_parts
started, cpu, count, points = time.perf_counter(), time.process_time(), 0, []
for part in read(path):
    count += 1
    if part.start >= every * len(points):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        points.append([part.start, time.process_time() - cpu, peak])
seconds, used = time.perf_counter() - started, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
print(json.dumps({"parts": count, "seconds": seconds, "cpu": used, "peak": peak, "points": points}))
"""


def film(path: Path, seconds: int) -> None:
    """A clip of `seconds`, written as it is made; of several minutes, the first is repeated, which is made quickly."""
    from triptych.media import video

    minutes, rest = divmod(seconds, MINUTE)
    if rest or minutes < 2:
        video.write_stream(path, _frames(seconds), FPS)
        return
    minute = path.with_name("minute.mp4")
    video.write_stream(minute, _frames(MINUTE), FPS)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as output:
        for number in range(minutes):
            with av.open(str(minute)) as source:
                if number == 0:
                    stream = output.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        packet.dts += round(number * MINUTE / packet.time_base)
                        packet.pts += round(number * MINUTE / packet.time_base)
                        packet.stream = stream
                        output.mux(packet)
    minute.unlink()


def _frames(seconds: int) -> Iterator[np.ndarray]:
    for number in range(seconds * FPS):
        shot, step = divmod(number, SHOT * FPS)
        colour = np.random.default_rng(shot).integers(0, 256, 3)
        picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        picture[:] = colour
        left = 4 * step % (WIDTH - 80)
        picture[140:220, left : left + 80] = 255 - colour
        yield picture


def measure(verb: str, model: str, path: Path, source: str, length: int, threads: int, framings: int) -> dict[str, Any]:
    """One reading, in a process of its own: parts, seconds, seconds of CPU, peak bytes, and the two as they grew."""
    shown = "-" if source == "pipe" else str(path)
    command = [sys.executable, "-c", CHILD, verb, model, shown, str(threads), str(length / POINTS), str(framings)]
    feed = subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) if source == "pipe" else None
    done = subprocess.run(command, stdin=feed and feed.stdout, capture_output=True, text=True, check=False)
    if feed is not None:
        feed.wait()
    if done.returncode:
        raise SystemExit(done.stderr)
    return {"source": source, "length": length, **json.loads(done.stdout.splitlines()[-1])}


def curves(path: Path, rows: list[dict[str, Any]]) -> None:
    """CPU time and memory as the longest clip was read, side by side, each from zero."""
    width, height, edge = 420, 300, 48
    picture = Image.new("RGB", (2 * width, height), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    length = max(row["length"] for row in rows)
    longest = [row for row in rows if row["length"] == length]
    unit, name = (60, "minutes") if length >= 600 else (1, "seconds")
    for place, (index, scale, title) in enumerate(((1, 1, "seconds of CPU"), (2, 2**20, "MiB at most"))):
        top = 1.15 * max(point[index] for row in longest for point in row["points"]) / scale
        left, bottom, across, up = place * width + edge, height - edge, width - 2 * edge, height - 2 * edge
        pen.line([(left, edge), (left, bottom), (left + across, bottom)], fill=(150, 150, 150))
        for share in (0, 0.5, 1):
            pen.text((left - 34, bottom - share * up - 6), f"{share * top:.0f}", fill=(60, 60, 60))
            pen.text((left + share * across - 8, bottom + 6), f"{share * length / unit:.0f}", fill=(60, 60, 60))
        for row in longest:
            at = [(left + t / length * across, bottom - p / scale / top * up) for t, p in _column(row, index)]
            pen.line(at, fill=COLOURS[row["source"]], width=3)
        pen.text((left, edge - 28), f"{title}, against {name} of video", fill=(0, 0, 0))
    for number, row in enumerate(longest):
        pen.text((edge + 90 * number, height - 20), f"from a {row['source']}", fill=COLOURS[row["source"]])
    picture.save(path, optimize=True)


def _column(row: dict[str, Any], index: int) -> list[tuple[float, float]]:
    last = [row["length"], row["cpu"], row["peak"]]
    return [(point[0], point[index]) for point in [*row["points"], last]]


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table."""
    quarter = next((peak for time, _, peak in row["points"] if time >= row["length"] / 4), row["peak"])
    memory = [f"{part / 2**20:.0f}" for part in (quarter, row["peak"])]
    share = row["cpu"] / row["length"]
    return [row["source"], f"{row['length']}", f"{row['parts']}", f"{row['cpu']:.0f}", f"{share:.3f}", *memory]


def markdown(told: dict[str, Any]) -> str:
    """The table as docs/video.md holds it."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    return "\n".join([*lines, *("| " + " | ".join(cells(row)) + " |" for row in told["rows"])])


def insert(page: Path, told: dict[str, Any]) -> None:
    """Put the table into a page, between its markers."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{markdown(told)}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    """Print the table; with `--docs`, keep it, its JSON and its picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", default="15,60,240", help="lengths of the clips")
    parser.add_argument("--verb", choices=("watch", "surprise"), default="surprise")
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--sources", default="file", help="file, pipe (standard input, as a live source), or both")
    parser.add_argument("--threads", type=int, default=0, help="0 as torch chooses")
    parser.add_argument("--framings", type=int, default=FRAMINGS, help="of each clip, for watch of a file")
    parser.add_argument("--out", type=Path, help="PNG for the curves")
    parser.add_argument("--docs", type=Path, help="page for the table; JSON and PNG stand beside it as *-curve")
    given = parser.parse_args()
    told: dict[str, Any] = {"verb": given.verb, "model": given.model, "threads": given.threads, "rows": []}
    kept = given.docs and given.docs.with_name(f"{given.docs.stem}-curve.json")
    if kept and kept.is_file():  # the other rows of the same measurement stay
        before = json.loads(kept.read_text(encoding="utf-8"))
        told = before if {**before, "rows": []} == told else told
    with tempfile.TemporaryDirectory() as folder:
        lengths = sorted((int(part) for part in given.seconds.split(",")), reverse=True)  # first what may fail
        for source, length in itertools.product(given.sources.split(","), lengths):
            path = Path(folder) / f"{length}.mp4"
            if not path.is_file():
                film(path, length)
            row = measure(given.verb, given.model, path, source, length, given.threads, given.framings)
            others = [one for one in told["rows"] if (one["source"], one["length"]) != (source, length)]
            told["rows"] = sorted([*others, row], key=lambda row: (row["length"], row["source"]))
            if kept:  # what is measured is kept, whatever becomes of the rest
                kept.write_text(json.dumps(told, separators=(",", ":")) + "\n", encoding="utf-8")
                curves(kept.with_suffix(".png"), told["rows"])
                insert(given.docs, told)
    table = Table(title=f"{given.verb}, {given.model}, {WIDTH}x{HEIGHT} at {FPS}")
    for column in HEADS:
        table.add_column(column, justify="right")
    for row in told["rows"]:
        table.add_row(*cells(row))
    Console().print(table)
    if given.out:
        curves(given.out, told["rows"])


if __name__ == "__main__":
    main()
