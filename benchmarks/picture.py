"""Where the time of one 224x224 picture goes, from the prompt to the PNG file, on the native engine and on torch:

    python benchmarks/picture.py [--rounds 5] [--cpu] [--json out.json]

Both run in turn (native, torch, native, ...), warm; the table shows the median of each part. Then fresh processes,
three each, draw their first picture, cold. `--cpu` counts this process's processor time instead of the clock's: on a
busy machine that is what can still be compared, with one thread (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import triptych
from triptych.api import Triptych
from triptych.files import write_json

TEXT = "a red ball to the left of a blue cube"
PARTS = ("read the prompt", "choose codes", "read codes", "pixels", "PNG file", "the rest")
COLD = f"""
import time; start = time.perf_counter()
import torch, numpy
imported = time.perf_counter()
import triptych
model = triptych.load("tabletop", device="cpu")
loaded = time.perf_counter()
picture = model.draw({TEXT!r}, best_of=1)[0]
drawn = time.perf_counter()
picture.save(__import__("sys").argv[1])
end = time.perf_counter()
print(imported - start, loaded - imported, drawn - loaded, end - drawn)
"""


class Clock:
    """Adds up how long each part takes."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now, self.parts = now, defaultdict(float)

    def wrap(self, owner: Any, method: str, part: str) -> Callable[[], None]:
        """Time a method from now on; gives what undoes that."""
        work = getattr(owner, method)

        def timed(*args: Any, **more: Any) -> Any:
            started = self.now()
            out = work(*args, **more)
            self.parts[part] += self.now() - started
            return out

        setattr(owner, method, timed)
        return lambda: setattr(owner, method, work)


@contextmanager
def watched(model: Triptych, clock: Clock) -> Iterator[None]:
    """Time the parts of a model's drawing."""
    inner = model._model
    undo = [clock.wrap(inner.visual, "draw", "pixels")]
    opened = inner.engine.path.open

    def open_(*args: Any) -> Any:
        started = clock.now()
        session, state = opened(*args)
        clock.parts["read the prompt"] += clock.now() - started
        clock.wrap(session, "choose_codes", "choose codes")
        clock.wrap(session, "read", "read codes")
        return session, state

    inner.engine.path.open = open_  # type: ignore[method-assign]
    try:
        yield
    finally:
        del inner.engine.path.open
        for back in undo:
            back()


def picture(model: Triptych, file: Path, now: Callable[[], float]) -> dict[str, float]:
    """Milliseconds of each part of one picture, and of all."""
    clock = Clock(now)
    started = now()
    with watched(model, clock):
        drawn = model.draw(TEXT, best_of=1)[0]
    before = now()
    drawn.save(file)
    clock.parts["PNG file"] = now() - before
    whole = now() - started
    clock.parts["the rest"] = whole - sum(clock.parts.values())
    return {part: clock.parts[part] * 1000 for part in PARTS} | {"all": whole * 1000}


def cold(engine: str, file: Path) -> dict[str, float]:
    """Seconds of a fresh process from its start to its first picture."""
    started = time.perf_counter()
    environment = os.environ | {"TRIPTYCH_ENGINE": engine}
    done = subprocess.run(
        [sys.executable, "-c", COLD, str(file)], capture_output=True, text=True, env=environment, check=True
    )
    whole = time.perf_counter() - started
    names = ("imports of torch and numpy", "load the model", "draw", "PNG file")
    parts = dict(zip(names, map(float, done.stdout.split()), strict=True))
    return {"start of Python": whole - sum(parts.values())} | parts | {"all": whole}


def measure(rounds: int, now: Callable[[], float] = time.perf_counter) -> dict[str, Any]:
    """Medians of both paths' parts, warm and cold, and torch's time by the native path's."""
    models = {}
    for name in ("native", "torch"):
        os.environ["TRIPTYCH_ENGINE"] = name
        models[name] = triptych.load("tabletop", device="cpu")
    del os.environ["TRIPTYCH_ENGINE"]
    all_: dict[str, list[dict[str, float]]] = {name: [] for name in models}
    fresh: dict[str, list[dict[str, float]]] = {name: [] for name in models}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        for index in range(rounds + 1):
            for name, model in models.items():
                times = picture(model, file, now)
                if index:  # the first warms up
                    all_[name].append(times)
        for _ in range(3):
            for name in models:
                fresh[name].append(cold(name, file))
    ratio = statistics.median(t["all"] / n["all"] for n, t in zip(all_["native"], all_["torch"], strict=True))
    return {
        "engine": str(models["native"]._model.engine.choice).split(":")[0],
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "warm_ms": medians(all_),
        "cold_s": medians(fresh),
        "ratio": ratio,
    }


def medians(rounds: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The median of each part."""
    return {
        name: {part: statistics.median(times[part] for times in all_) for part in all_[0]}
        for name, all_ in rounds.items()
    }


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    out = measure(asked.rounds, time.process_time if asked.cpu else time.perf_counter)
    out["kind"] = "processor time" if asked.cpu else "time"
    for title, unit, rows in (
        (f"{out['kind']} of a warm picture, {out['threads']} threads of torch; {out['engine']}", "ms", out["warm_ms"]),
        ("a first picture in a fresh process", "s", out["cold_s"]),
    ):
        table = Table("part", f"native, {unit}", f"torch, {unit}", title=title)
        for part, value in rows["native"].items():
            table.add_row(part, f"{value:.2f}", f"{rows['torch'][part]:.2f}")
        Console().print(table)
    print(f"torch / native, warm, median of {asked.rounds} pairs: {out['ratio']:.1f}")
    if asked.json:
        write_json(asked.json, out)


if __name__ == "__main__":
    main()
