"""Reading and writing speed of the engine beside its peers, as ratios within one interleaved run:

    python benchmarks/engine.py --compile --warm                   # once, busy or not: torch keeps what it compiled
    python benchmarks/engine.py --compile --json docs/speed.json   # about 17 minutes of a quiet machine
    python benchmarks/engine.py --memory --json docs/speed.json    # busy or not
    python benchmarks/engine.py --render docs/speed.json

Networks with random weights of 26, 113 and 352 million parameters and of the shipped model's shapes take turns with the
same shapes in transformers and, where installed, torch.compile and torchao (`--compile`) and llama.cpp
(llama-cpp-python and gguf); then `picture.py` draws with the shipped model. A cell is one size at one batch or prompt;
it is written as soon as it is measured, and what a file holds already is not measured again. Every round runs each
contestant once, beside what bounds it: for a step, a buffer as large as its weights, read by vector loads in as many
threads and nothing else; for a prompt, products of large matrices by torch in the same arithmetic.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from triptych import zoo
from triptych.config import GPTConfig
from triptych.files import write_json
from triptych.generate.native_path import extension, pool
from triptych.generate.paths import choose, open_path
from triptych.generate.sample import Sampler, Sampling
from triptych.model.gpt import GPT
from triptych.sequence.layout import Builder

try:
    from benchmarks import peers, picture, speed_page
except ImportError:  # run as a file
    import peers  # type: ignore[no-redef]
    import picture  # type: ignore[no-redef]
    import speed_page  # type: ignore[no-redef]

Work = Callable[[], None]
Cell = dict[str, Any]


class Shape(GPTConfig):
    """A GPT as wide as it is told, so that sizes are those that others publish."""

    wide: int

    @property
    def width(self) -> int:
        """D."""
        return self.wide


@dataclass(frozen=True)
class Size:
    """A network, and how long it is measured."""

    config: Callable[[], GPTConfig]
    rounds: int = 5
    steps: int = 24
    """Steps in one turn."""
    large: bool = False
    """Whether contestants that aren't compared by a target stay out of what takes longest."""


SIZES = {
    "26M": Size(lambda: Shape(depth=8, wide=512, vocabulary=8192, codes=16)),
    "113M": Size(lambda: Shape(depth=16, wide=768, vocabulary=16384, codes=16), large=True),
    "352M": Size(lambda: Shape(depth=28, wide=1024, vocabulary=16384, codes=16), rounds=3, steps=12, large=True),
    "tabletop": Size(lambda: zoo.load("tabletop").need_gpt().config),
}


class Ours:
    """The engine's own steps, on one of its paths."""

    compiled = False

    def __init__(self, config: GPTConfig, engine: str, precision: str = "exact") -> None:
        torch.manual_seed(0)
        model = GPT(config).eval().requires_grad_(False)
        choice = choose(model, precision, engine)
        self.path: Any = open_path(model, choice)
        self.config = config
        self.bytes = self.path.gpt.bytes if engine == "native" else 4 * sum(p.numel() for p in model.parameters())
        # A step of text reads the trunk and the head of text, not what codes are embedded and predicted by.
        read = sum(p.numel() for part in (model.blocks, model.text) for p in part.parameters())
        self.step_bytes = read * {"fp32": 4, "bf16": 2, "int8": 1}[choice.build.precision if choice.build else "fp32"]

    def decode(self, batch: int, steps: int) -> Work:
        """`steps` more text ids in each of `batch` rows."""
        session, state = self._open(self._rows(batch, peers.PROMPT))
        legal = torch.ones(self.config.vocabulary, dtype=torch.bool)
        values = torch.zeros(batch, 1, self.config.inputs)
        place = peers.PROMPT

        @torch.inference_mode()
        def work() -> None:
            nonlocal state, place
            for _ in range(steps):
                ids = session.choose_text(state, legal)[:, None]
                state = session.read(ids, values, torch.full((batch, 1, 3), place))[:, -1]
                session.advance(1)
                place += 1

        return work

    def prefill(self, count: int) -> Work:
        """Read a prompt of so many ids."""
        rows = self._rows(1, count)

        def work() -> None:
            self._open(rows)

        return work

    def _rows(self, batch: int, count: int) -> list[Any]:
        ids = np.random.default_rng(0).integers(16, self.config.vocabulary, count).tolist()
        return [Builder(self.config.group, self.config.latent).text(ids).finish()] * batch

    @torch.inference_mode()
    def _open(self, rows: list[Any]) -> Any:
        return self.path.open(rows, Sampler([Sampling(0.0)] * len(rows), torch.device("cpu")), 512)


# name -> the packages that it needs, and what makes it; the first is what all others are compared with.
CONTESTANTS: dict[str, tuple[list[str], Callable[[GPTConfig], Any]]] = {
    "native, int8": ([], lambda config: Ours(config, "native", "int8")),
    "native, fp32": ([], lambda config: Ours(config, "native", "fp32")),
    "our torch path, fp32": ([], lambda config: Ours(config, "torch")),
    peers.Transformers.name: (["transformers"], peers.Transformers),
    peers.Compiled.name: (["transformers"], peers.Compiled),
    peers.TorchAO.name: (["transformers", "torchao"], peers.TorchAO),
    peers.LlamaCpp.name: (["llama_cpp", "gguf"], peers.LlamaCpp),
}
COMPILED = (peers.Compiled.name, peers.TorchAO.name)
INT8 = ("native, int8", peers.TorchAO.name, peers.LlamaCpp.name)
COMPARED = ("native, int8", peers.Transformers.name, peers.LlamaCpp.name)  # by the targets


def takes_part(name: str, size: Size, kind: str, count: int) -> bool:
    """Whether a contestant runs in a cell: code is compiled for few shapes, and large cells stay short."""
    if name in COMPILED:
        return count <= 2 if kind == "decode" else count <= 2048 and not size.large
    if size.large and kind == "prefill" and count > 2048:
        return name in COMPARED
    return not (size.large and name == "our torch path, fp32")


def able(compiled: bool) -> list[str]:
    """Names of all that can run here."""
    out = []
    for name, (needs, _) in CONTESTANTS.items():
        missing = [package for package in needs if importlib.util.find_spec(package) is None]
        if name in COMPILED and not compiled:
            missing.append("--compile")
        if missing:
            print(f"{name} is left out for want of {', '.join(missing)}", file=sys.stderr)
        else:
            out.append(name)
    return out


def reading(count: int, times: int) -> Work:
    """Read `count` bytes so many times over, as steps read their weights, by as many threads."""
    native = extension()[0]
    reader = native.Reader(pool(torch.get_num_threads()), count, "auto")

    def work() -> None:
        for _ in range(times):
            assert 4 * reader.read() == reader.bytes, "not all of the buffer was read"

    return work


def multiplying(kind: str) -> tuple[Work, float]:
    """A product of large matrices on torch, and its operations."""
    rows, inner, columns = 2048, 1024, 1024
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    if kind == "int8":
        c, d = (a * 20).to(torch.int8), (b * 20).to(torch.int8)
        return lambda: torch._int_mm(c, d), 2.0 * rows * inner * columns
    e, f = (a, b) if kind == "fp32" else (a.bfloat16(), b.bfloat16())
    return lambda: torch.mm(e, f), 2.0 * rows * inner * columns


def least_seconds(name: str, config: GPTConfig, count: int, rate: dict[str, float]) -> float:
    """What a prompt takes at these operations a second: its products, and the half of attention that is not masked."""
    block = config.width * (config.heads + 2 * config.kv_heads + config.heads) * 64 + 3 * config.width * config.hidden
    products = 2.0 * config.layers * block * count
    attention = 2.0 * config.layers * config.heads * 64 * count**2
    arithmetic = ("int8", "bf16") if name == "native, int8" else ("int8" if name in INT8 else "fp32", "fp32")
    return products / rate[arithmetic[0]] + attention / rate[arithmetic[1]]


def timed(works: Sequence[Work], rounds: int) -> list[list[float]]:
    """Seconds of each in each of the interleaved rounds."""
    times: list[list[float]] = []
    for _ in range(rounds):
        row = []
        for work in works:
            started = time.perf_counter()
            work()
            row.append(time.perf_counter() - started)
        times.append(row)
    return times


def attempt(name: str, make: Callable[..., Any], *with_: Any) -> Any:
    """What `make` gives, or None: a peer's fault must not end the run."""
    try:
        return make(*with_)
    except Exception as error:
        print(f"{name} is left out: {type(error).__name__}: {str(error).splitlines()[:1]}", file=sys.stderr)
        return None


def ready(name: str, make: Callable[[int], Work] | Callable[[int, int], Work], *sizes: int, warm: bool = True) -> Any:
    """A contestant's work, done once to warm up; None where that fails."""
    work = attempt(name, make, *sizes)
    return work if work is None or not warm or attempt(name, lambda: (work(), True)) else None


def measure_decode(all_: dict[str, Any], size: Size, batch: int) -> Cell:
    """Seconds a step, ratios to the first, shares of the bound."""
    steps = size.steps
    works = {name: ready(name, one.decode, batch, steps) for name, one in all_.items()}
    pairs = {name: (reading(all_[name].step_bytes, steps), work) for name, work in works.items() if work is not None}
    times = timed([work for pair in pairs.values() for work in pair], size.rounds)
    table: Cell = {}
    for i, name in enumerate(pairs):
        table[name] = {
            "seconds": statistics.median(row[2 * i + 1] for row in times) / steps,
            "ratio": statistics.median(row[2 * i + 1] / row[1] for row in times),
            "share of bound": statistics.median(row[2 * i] / row[2 * i + 1] for row in times),
        }
    return {"rounds": size.rounds, "engines": table}


def measure_prefill(all_: dict[str, Any], size: Size, config: GPTConfig, count: int) -> Cell:
    """Seconds of a prompt, ratios to the first, shares of the bound."""
    long = count > 2048
    rounds = 1 if long and size.large else max(1, size.rounds // 2) if long or size.large else size.rounds
    kinds = ("fp32", "bf16", "int8")
    bounds = [multiplying(kind) for kind in kinds]
    found = {name: ready(name, one.prefill, count, warm=not long) for name, one in all_.items()}
    works = {name: work for name, work in found.items() if work is not None}
    timed([work for work, _ in bounds], 1)
    times = timed([*(work for work, _ in bounds), *works.values()], rounds)
    rates = [{kind: bounds[i][1] / row[i] for i, kind in enumerate(kinds)} for row in times]
    table: Cell = {}
    for i, name in enumerate(works, len(kinds)):
        least = [least_seconds(name, config, count, rate) for rate in rates]
        table[name] = {
            "seconds": statistics.median(row[i] for row in times),
            "ratio": statistics.median(row[i] / row[len(kinds)] for row in times),
            "share of bound": statistics.median(a / row[i] for a, row in zip(least, times, strict=True)),
        }
    return {"rounds": rounds, "engines": table}


def run(asked: argparse.Namespace, results: Cell, save: Callable[[], None]) -> None:
    """Measure every cell that the results lack, or that lacks a contestant."""
    names = [name for name in able(asked.compile) if name in COMPILED or not asked.warm]
    for title in asked.sizes:
        started = time.perf_counter()
        run_size(asked, names, SIZES[title], results.setdefault("sizes", {}).setdefault(title, {}), save)
        gc.collect()
        print(f"{title}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    if "picture" not in results and not asked.warm:
        results["picture"] = picture.measure(5)
        save()


def run_size(asked: argparse.Namespace, names: list[str], size: Size, cells: Cell, save: Callable[[], None]) -> None:
    """The cells of one size."""
    todo = []
    for kind, n in [("decode", n) for n in asked.batches] + [("prefill", n) for n in asked.prompts]:
        wanted = [name for name in names if takes_part(name, size, kind, n)]
        if set(wanted) - set(cells.get(kind, {}).get(str(n), {}).get("engines", ())):
            todo.append((kind, n, wanted))
    config = size.config()
    every = [name for name in names if any(name in wanted for _, _, wanted in todo)]
    made = {name: attempt(name, CONTESTANTS[name][1], config) for name in every}
    for kind, n, wanted in todo:
        here = {name: made[name] for name in wanted if made[name] is not None}
        if asked.warm:
            for name, one in here.items():
                ready(name, getattr(one, kind), *((n, size.steps) if kind == "decode" else (n,)))
            continue
        cells["bytes"] = {**cells.get("bytes", {}), **{name: one.bytes for name, one in here.items()}}
        cell = measure_decode(here, size, n) if kind == "decode" else measure_prefill(here, size, config, n)
        cells.setdefault(kind, {})[str(n)] = cell
        save()


def memory_of(name: str, size: Size) -> dict[str, float]:
    """Megabytes that a contestant adds to this process: loaded, and at most in a prompt of 2,048 and a few steps."""
    config, make = size.config(), CONTESTANTS[name][1]
    make(Shape(depth=1, wide=64, vocabulary=64, codes=16)).prefill(8)()  # brings its code into memory
    before = _resident()
    one = make(config)
    loaded = _resident()
    for _ in range(2):  # what the first turn builds once is no memory of the second
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
        one.prefill(2048)()
        one.decode(2, 8)()
    return {"loaded": (loaded - before) / 1e3, "most": (_status("VmHWM") - before) / 1e3}


def _resident() -> float:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # gives back what is free
    return _status("VmRSS")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name))


def run_memory(asked: argparse.Namespace, results: Cell, save: Callable[[], None]) -> None:
    """A fresh process for each contestant and size."""
    for title in asked.sizes:
        cells = results.setdefault("memory", {}).setdefault(title, {})
        for name in able(False):
            if name not in cells:
                command = [sys.executable, __file__, "--memory-of", name, "--sizes", title]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    print(f"{name} at {title}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                    continue
                cells[name] = json.loads(done.stdout.splitlines()[-1])
                save()


def main() -> None:
    """Measure, or render what was measured into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--prompts", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--compile", action="store_true", help="let the contestants run that torch compiles")
    parser.add_argument(
        "--warm", action="store_true", help="only compile, so that a later run finds it in torch's cache"
    )
    parser.add_argument("--memory", action="store_true", help="measure memory, not speed")
    parser.add_argument("--memory-of", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="goes on where this file ends")
    parser.add_argument(
        "--render", type=Path, metavar="JSON", help=f"only write these results into {speed_page.PAGE.name}"
    )
    asked = parser.parse_args()
    if asked.render:
        speed_page.write(json.loads(asked.render.read_text(encoding="utf-8")))
        return
    os.environ.pop("TRIPTYCH_PRECISION", None)
    if asked.memory_of:
        print(json.dumps(memory_of(asked.memory_of, SIZES[asked.sizes[0]])))
        return
    results: Cell = {"threads": torch.get_num_threads(), "level": extension()[0].levels()[0]}
    if asked.json and asked.json.exists():
        results = json.loads(asked.json.read_text(encoding="utf-8"))
        if results["threads"] != torch.get_num_threads():
            parser.error(
                f"{asked.json} was measured with {results['threads']} threads; set OMP_NUM_THREADS, or move it away"
            )

    def save() -> None:
        if asked.json and not asked.warm:
            write_json(asked.json, results)

    (run_memory if asked.memory else run)(asked, results, save)
    print(speed_page.render(results))


if __name__ == "__main__":
    main()
