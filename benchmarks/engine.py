"""Reading and writing speed of the engine beside its peers, as ratios within one interleaved run:

    python benchmarks/engine.py --json docs/speed.json                  # then: --render docs/speed.json
    python benchmarks/engine.py --depths 10 --rounds 3 --compile

GPTs of three sizes with random weights and 8,192 text ids (depths 10, 16, 21) take turns with the same shapes in
transformers and, where installed, llama.cpp (llama-cpp-python and gguf) and torchao (with `--compile`, since that
takes minutes). Every round runs each contestant once, and before it reads a buffer as large as the weights that one of
its steps reads, by vector loads in as many threads and nothing else. Printed are medians, ratios to the native engine
within a round, memory of the weights, and the share of the bound: the time of that reading by the time of the step.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from triptych.config import GPTConfig
from triptych.files import write_json, write_text
from triptych.generate.native_path import extension, pool
from triptych.generate.paths import choose, open_path
from triptych.generate.sample import Sampler, Sampling
from triptych.model.gpt import GPT
from triptych.sequence.layout import Builder

try:
    from benchmarks import peers
except ImportError:  # run as a file
    import peers  # type: ignore[no-redef]

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"


class Ours:
    """The engine's own steps, on one of its paths."""

    def __init__(self, config: GPTConfig, engine: str, precision: str = "exact") -> None:
        torch.manual_seed(0)
        model = GPT(config).eval().requires_grad_(False)
        self.name = f"native, {precision}" if engine == "native" else "our torch path, fp32"
        choice = choose(model, precision, engine)
        self.path: Any = open_path(model, choice)
        self.config = config
        self.bytes = self.path.gpt.bytes if engine == "native" else 4 * sum(p.numel() for p in model.parameters())
        # A step of text reads the trunk and the head of text, not what codes are embedded and predicted by.
        read = sum(p.numel() for part in (model.blocks, model.text) for p in part.parameters())
        self.step_bytes = read * {"fp32": 4, "bf16": 2, "int8": 1}[choice.build.precision if choice.build else "fp32"]

    def decode(self, batch: int, steps: int) -> Callable[[], None]:
        """`steps` more text ids in each of `batch` rows."""
        session, state = self._open(batch, peers.PROMPT)
        legal = torch.ones(self.config.vocabulary, dtype=torch.bool)
        values = torch.zeros(batch, 1, self.config.slots * self.config.latent)
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

    def prefill(self, count: int) -> Callable[[], None]:
        """Read a prompt of so many ids."""

        def work() -> None:
            self._open(1, count)

        return work

    @torch.inference_mode()
    def _open(self, batch: int, count: int) -> Any:
        ids = np.random.default_rng(0).integers(16, self.config.vocabulary, count).tolist()
        row = Builder(self.config.group, self.config.latent).text(ids).finish()
        return self.path.open([row] * batch, Sampler([Sampling(0.0)] * batch, torch.device("cpu")), 4096)


def contestants(config: GPTConfig, compiled: bool) -> list[Any]:
    """All that can run here, the native engine first."""
    out: list[Any] = [Ours(config, "native", "int8"), Ours(config, "native", "fp32"), Ours(config, "torch")]
    more: list[tuple[str, list[str], Callable[[], Any]]] = [
        ("transformers", ["transformers"], lambda: peers.Transformers(config, quick=False)),
        ("torchao", ["transformers", "torchao"], lambda: peers.Transformers(config, quick=True)),
        ("llama.cpp", ["llama_cpp", "gguf"], lambda: peers.LlamaCpp(config, torch.get_num_threads())),
    ]
    for name, needs, make in more:
        missing = [package for package in needs if importlib.util.find_spec(package) is None]
        if name == "torchao" and not compiled:
            missing.append("--compile")
        if missing:
            print(f"{name} is left out for want of {', '.join(missing)}")
        else:
            out.append(make())
    return out


def reading(count: int, times: int) -> Callable[[], None]:
    """Read `count` bytes so many times over, as steps read their weights, by as many threads."""
    native = extension()[0]
    reader = native.Reader(pool(torch.get_num_threads()), count, "auto")

    def work() -> None:
        for _ in range(times):
            assert 4 * reader.read() == reader.bytes, "not all of the buffer was read"

    return work


def timed(works: Sequence[Callable[[], None]], rounds: int, per: float) -> list[list[float]]:
    """Seconds of each in each of the interleaved rounds, after a warm-up, divided by `per`."""
    for work in works:
        work()
    times: list[list[float]] = []
    for _ in range(rounds):
        row = []
        for work in works:
            started = time.perf_counter()
            work()
            row.append((time.perf_counter() - started) / per)
        times.append(row)
    return times


def compare(names: Sequence[str], times: Sequence[Sequence[float]]) -> dict[str, dict[str, float]]:
    """Median seconds of each, and its median ratio to the first within a round."""
    return {
        name: {
            "seconds": statistics.median(row[i] for row in times),
            "ratio": statistics.median(row[i] / row[0] for row in times),
        }
        for i, name in enumerate(names)
    }


def run(
    depths: Sequence[int], batches: Sequence[int], prompts: Sequence[int], rounds: int, compiled: bool
) -> dict[str, Any]:
    """All measures of all sizes."""
    out: dict[str, Any] = {"threads": torch.get_num_threads(), "rounds": rounds, "sizes": {}}
    for depth in depths:
        config = GPTConfig(depth=depth, vocabulary=8192, codes=16)
        all_ = contestants(config, compiled)
        names = [one.name for one in all_]
        size: dict[str, Any] = {"bytes": {one.name: one.bytes for one in all_}, "decode": {}, "prefill": {}}
        for batch in batches:
            steps = 24
            pairs = [(reading(one.step_bytes, steps), one.decode(batch, steps)) for one in all_]
            times = timed([work for pair in pairs for work in pair], rounds, steps)
            table = compare(names, [row[1::2] for row in times])
            for i, one in enumerate(all_):
                table[one.name]["share of bound"] = statistics.median(row[2 * i] / row[2 * i + 1] for row in times)
            size["decode"][str(batch)] = table
        for count in prompts:
            works = [one.prefill(count) for one in all_]
            size["prefill"][str(count)] = compare(names, timed(works, max(1, rounds // 2), count))
        out["sizes"][str(depth)] = size
        print(render({**out, "sizes": {str(depth): size}}))
    return out


def render(results: dict[str, Any]) -> str:
    """The results as Markdown tables."""
    lines = []
    for depth, size in results["sizes"].items():
        lines += [f"Depth {depth}, {results['threads']} threads, median of {results['rounds']} rounds:", ""]
        decodes, prefills = list(size["decode"]), list(size["prefill"])
        head = [f"batch {b}: ms a step" for b in decodes] + [f"prompt of {n}: ids a second" for n in prefills]
        lines += ["| engine | MB | " + " | ".join(head) + " |", "|---|---:|" + "---:|" * len(head)]
        for name, count in size["bytes"].items():
            cells = []
            for b in decodes:
                cell = size["decode"][b][name]
                cells.append(
                    f"{cell['seconds'] * 1e3:.2f} ({cell['ratio']:.1f}x; {cell['share of bound']:.0%} of bound)"
                )
            for n in prefills:
                cell = size["prefill"][n][name]
                cells.append(f"{1 / cell['seconds']:,.0f} ({cell['ratio']:.1f}x)")
            lines.append(f"| {name} | {count / 1e6:.0f} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure, or render what was measured into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=[10, 16, 21])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--prompts", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--render", type=Path, metavar="JSON", help=f"only write these results into {PAGE.name}")
    asked = parser.parse_args()
    if asked.render:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        results = json.loads(asked.render.read_text(encoding="utf-8"))
        write_text(PAGE, f"{before}{BEGIN}\n{render(results)}{END}{after}")
        return
    os.environ.pop("TRIPTYCH_PRECISION", None)
    results = run(asked.depths, asked.batches, asked.prompts, asked.rounds, asked.compile)
    if asked.json:
        write_json(asked.json, results)


if __name__ == "__main__":
    main()
