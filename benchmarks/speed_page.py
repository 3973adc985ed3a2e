"""The results of `engine.py` as Markdown, with each target beside what was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from triptych.files import write_text

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"
OURS, PLAIN, LLAMA = "native, int8", "transformers generate, fp32", "llama.cpp, Q8_0"

Results = dict[str, Any]
Reader = Callable[[Results], float]


def _ratio(size: str, kind: str, count: str, peer: str) -> Reader:
    return lambda results: float(results["sizes"][size][kind][count]["engines"][peer]["ratio"])


def _share(size: str) -> Reader:
    return lambda results: float(results["sizes"][size]["decode"]["2"]["engines"][OURS]["share of bound"])


# What is aimed at, the number, whether less is better, its unit, and where it stands in the results.
TARGETS: list[tuple[str, float, bool, str, Reader]] = [
    target
    for size, plain, llama in (("26M", 12.0, 2.5), ("113M", 10.0, 4.0), ("352M", 5.0, 2.5))
    for target in (
        (f"a guided step at {size}, transformers / int8", plain, False, "x", _ratio(size, "decode", "2", PLAIN)),
        (f"a guided step at {size}, llama.cpp / int8", llama, False, "x", _ratio(size, "decode", "2", LLAMA)),
        (f"a guided step at {size}, share of the bound", 0.8, False, "", _share(size)),
    )
] + [
    ("a prompt of 2,048 at 26M, transformers / int8", 3.0, False, "x", _ratio("26M", "prefill", "2048", PLAIN)),
    (
        "a picture of the shipped model, torch / native",
        10.0,
        False,
        "x",
        lambda results: float(results["picture"]["ratio"]),
    ),
    (
        "first picture of a fresh process, s",
        2.5,
        True,
        "",
        lambda results: float(results["picture"]["cold_s"]["native"]["all"]),
    ),
]


def targets(results: Results) -> list[str]:
    """The table of targets."""
    lines = ["| target | wanted | measured | |", "|---|---:|---:|---|"]
    for name, wanted, less, unit, read in TARGETS:
        sign = "at most" if less else "at least"
        try:
            value = read(results)
        except KeyError:
            lines.append(f"| {name} | {sign} {wanted:g}{unit} | not measured | |")
            continue
        reached = value <= wanted if less else value >= wanted
        short = f"{abs(value / wanted - 1):.0%} {'over' if less else 'short'}"
        lines.append(f"| {name} | {sign} {wanted:g}{unit} | {value:.2f}{unit} | {'reached' if reached else short} |")
    return [*lines, ""]


def sizes(results: Results) -> list[str]:
    """A table for each size."""
    lines = []
    for title, size in results.get("sizes", {}).items():
        decodes, prefills = size.get("decode", {}), size.get("prefill", {})
        memory = results.get("memory", {}).get(title, {})
        rounds = sorted({cell["rounds"] for cell in (*decodes.values(), *prefills.values())})
        lines += [
            f"{title}, {results['threads']} threads, level {results['level']}, medians of {_words(rounds)} rounds:",
            "",
        ]
        head = [f"batch {b}: ms a step" for b in decodes] + [f"prompt of {int(n):,}: ids a second" for n in prefills]
        lines += [
            "| engine | MB of weights | MB at most | " + " | ".join(head) + " |",
            "|---|---:|---:|" + "---:|" * len(head),
        ]
        for name, count in size["bytes"].items():
            cells = [_decode(cell["engines"].get(name)) for cell in decodes.values()]
            cells += [_prefill(cell["engines"].get(name), int(n)) for n, cell in prefills.items()]
            most = f"{memory[name]['most']:,.0f}" if name in memory else "-"
            lines.append(f"| {name} | {count / 1e6:,.0f} | {most} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines


def _words(rounds: list[int]) -> str:
    return " or ".join(str(count) for count in rounds) if rounds else "no"


def _decode(cell: dict[str, float] | None) -> str:
    if cell is None:
        return "-"
    return f"{cell['seconds'] * 1e3:.2f} ({cell['ratio']:.1f}x; {cell['share of bound']:.0%})"


def _prefill(cell: dict[str, float] | None, count: int) -> str:
    if cell is None:
        return "-"
    return f"{count / cell['seconds']:,.0f} ({cell['ratio']:.1f}x; {cell['share of bound']:.0%})"


def pictures(results: Results) -> list[str]:
    """Where the time of a picture goes."""
    if "picture" not in results:
        return []
    found = results["picture"]
    lines = [
        f"A 224x224 picture of the shipped model, {found['engine']}; torch takes {found['ratio']:.1f} times as long:",
        "",
    ]
    for head, unit, rows in (("warm, part", "ms", found["warm_ms"]), ("fresh process, part", "s", found["cold_s"])):
        lines += [f"| {head} | native, {unit} | torch, {unit} |", "|---|---:|---:|"]
        lines += [f"| {part} | {value:.2f} | {rows['torch'][part]:.2f} |" for part, value in rows["native"].items()]
        lines.append("")
    return lines


def render(results: Results) -> str:
    """The results as Markdown."""
    note = (
        "In brackets: time by that of the first engine, and share of the bound. A prompt's bound is the time of its "
        "products and of the half of attention that is not masked, at the rates of torch's own products in the same "
        "round: int8 or float32, and for attention bfloat16 (native int8) or float32. *MB at most* is what a fresh "
        "process grows by, weights included, in a prompt of 2,048 and a few steps of two rows."
    )
    return "\n".join([*targets(results), note, "", *sizes(results), *pictures(results)])


def write(results: Results) -> None:
    """Put the tables into the page."""
    text = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, f"{text.split(BEGIN)[0]}{BEGIN}\n{render(results)}{END}{text.split(END)[1]}")
