"""From settings to a finished run: build the job, print the plan, train."""

from __future__ import annotations

import time

from rich.console import Console
from rich.table import Table

from triptych.config import RunConfig
from triptych.device import settle
from triptych.train.gpt import GPTJob, Preview
from triptych.train.loop import Job, Loop
from triptych.train.mover import MoverJob
from triptych.train.retrieval import RetrievalJob
from triptych.train.tokenizer import TokenizerJob
from triptych.train.verifier import VerifierJob


def start(config: RunConfig, *, preview: Preview | None = None, dry_run: bool = False) -> dict[str, float]:
    """Run a recipe; `dry_run` prints the plan, times two steps and stops. Gives the last validation's scores."""
    console = Console(soft_wrap=True)
    settle()
    job = _job(config, preview)
    table = Table(title=f"plan: {config.kind} in {config.out}", show_header=False)
    for name, value in job.describe().items():
        table.add_row(name, value)
    ends = f"{config.steps:,} steps" + (f" or {config.minutes:g} minutes" if config.minutes else "")
    table.add_row("ends after", ends)
    loop = Loop(job, config, console)
    if dry_run:
        seconds = _step_seconds(loop, job)
        table.add_row("a step", f"{seconds:.2f} s, measured")
        planned = seconds * config.steps
        table.add_row("time", f"{min(planned, (config.minutes or 1e9) * 60) / 60:,.1f} minutes")
    console.print(table)
    return {} if dry_run else loop.run()


def _job(config: RunConfig, preview: Preview | None) -> Job:
    if config.kind == "tokenizer":
        return TokenizerJob(config)
    if config.kind in ("verifier", "namer"):
        return VerifierJob(config)
    if config.kind == "mover":
        return MoverJob(config)
    return RetrievalJob(config) if config.kind == "retrieval" else GPTJob(config, preview)


def _step_seconds(loop: Loop, job: Job) -> float:
    batch = job.batches[0]
    loop.update(batch, 0.0)
    started = time.perf_counter()
    loop.update(job.batches[1], 0.0)
    return time.perf_counter() - started
