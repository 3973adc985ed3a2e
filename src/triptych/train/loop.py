"""The one training loop. A job says what a batch is and what it costs; the loop does all else."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import Dataset

from triptych.config import READ, GPTConfig, RunConfig
from triptych.data.loading import loaded
from triptych.device import arithmetic
from triptych.errors import TriptychError
from triptych.files import write_json, write_text
from triptych.train import checkpoint, optim


class Job(Protocol):
    """What is trained. Batches are pure functions of the step, so that a run resumes exactly."""

    @property
    def model(self) -> nn.Module:
        """The network that learns."""

    @property
    def batches(self) -> Dataset[Any]:
        """Batch number `step` by `batches[step]`."""

    def losses(self, batch: Any, scale: Callable[[Tensor], None]) -> dict[str, float]:
        """Call `scale(loss)` for each part of the batch (it runs the backward pass); give what to log.

        The dictionary holds at least `loss`, and `tokens`, the number of tokens or codes in the batch.
        """

    def validate(self) -> dict[str, float]:
        """Scores on held-out data; `loss` among them."""

    def sample(self, folder: Path, step: int) -> None:
        """Draw or write something from fixed prompts, for a person to look at."""

    def describe(self) -> dict[str, str]:
        """The plan: data, sizes, cost; printed before the first step."""

    def export(self, folder: Path, made: dict[str, Any]) -> None:
        """Write the model folder."""


class Loop:
    """Runs a job to its end, or from its newest whole checkpoint to its end."""

    def __init__(self, job: Job, config: RunConfig, console: Console | None = None) -> None:
        self.job, self.config = job, config
        self.console = console or Console()
        self.device = next(job.model.parameters()).device
        self.optimizers = optim.build(job.model, config.optim, arithmetic(config.precision, self.device))
        self.average = optim.Average(job.model, config.optim.ema) if config.optim.ema else None
        self.step = 0
        self.saved = -1  # the step of the newest checkpoint
        self.seconds = 0.0
        self.folder = Path(config.out)
        self.checkpoints = self.folder / "checkpoints"

    def run(self) -> dict[str, float]:
        """Train to the end; give the last validation's scores."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._resume()  # refuses a run with other settings, whose config.json must stay
        write_json(self.folder / "config.json", self.config.model_dump(mode="json"))
        started, base = time.monotonic(), self.seconds
        window, window_start, tokens = [], time.monotonic(), 0.0
        scores: dict[str, float] = {}
        validated = -1
        with _Curves(self.folder, self.step) as curves:
            for batch in self._batches():
                progress = self._progress()
                if progress >= 1:
                    break
                facts = self.update(batch, progress)
                self.seconds = base + time.monotonic() - started
                self.step += 1
                window.append(facts)
                tokens += facts["tokens"]
                if self.step % self.config.log_every == 0 or self.step == 1:
                    now = time.monotonic()
                    means = {name: sum(f[name] for f in window) / len(window) for name in facts}
                    means["tokens_per_second"] = tokens / max(now - window_start, 1e-9)
                    curves.write("train", self.step, means)
                    self._line(means)
                    window, window_start, tokens = [], now, 0.0
                if self.step % self.config.validate_every == 0:
                    paused = time.monotonic()
                    scores, validated = self._validate(curves), self.step
                    window_start += time.monotonic() - paused  # the speed that is logged is training's
                if self.step % self.config.checkpoint_every == 0:
                    self._save()
            if validated != self.step:
                scores = self._validate(curves)
            if self.saved != self.step:
                self._save()
        with self._averaged():
            self.job.export(
                self.folder / "model",
                {
                    "steps": self.step,
                    "hours": round(self.seconds / 3600, 4),
                    "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
                    "torch": torch.__version__,
                    "recipe": self.config.model_dump(mode="json", exclude={"out", "data", "more"}),
                    "validation": scores,
                },
            )
        return scores

    def _progress(self) -> float:
        done = self.step / self.config.steps
        if self.config.minutes is not None:
            done = max(done, self.seconds / (60 * self.config.minutes))
        return done

    def _batches(self) -> Iterator[Any]:
        return loaded(
            self.job.batches,
            sampler=range(self.step, self.config.steps),
            num_workers=self.config.workers,
            prefetch_factor=4 if self.config.workers else None,
            pin_memory=self.device.type == "cuda",
        )

    def update(self, batch: Any, progress: float) -> dict[str, float]:
        """One step on a batch, `progress` (0 to 1) of the way; gives what to log."""
        # Dropout and noise of a step depend on nothing but the seed and the step: a resumed run repeats them.
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)
        self.job.model.train()
        facts = self.job.losses(batch, lambda loss: loss.backward())
        norm = nn.utils.clip_grad_norm_(self.job.model.parameters(), self.config.optim.clip)
        facts["norm"] = float(norm)
        if not (math.isfinite(facts["loss"]) and math.isfinite(facts["norm"])):
            raise TriptychError(
                f"the loss is {facts['loss']} and the gradient's norm {facts['norm']} at step {self.step}; nothing was "
                f"updated. Train into another `out` with a lower optim.lr (now {self.config.optim.lr}), or check the "
                "data: the rows of a step are the same in every run of this seed"
            )
        share = optim.rate(progress, self.step, self.config.optim)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(self.job.model, self.step)
        return facts

    def _line(self, means: dict[str, float]) -> None:
        done = self._progress()
        left = self.seconds / max(done, 1e-9) * (1 - done)
        shown = "  ".join(f"{n} {means[n]:.3f}" for n in means if n not in ("tokens", "tokens_per_second"))
        self.console.print(
            f"step {self.step:>6}/{self.config.steps}  {shown}  {means['tokens_per_second']:,.0f} tokens/s  "
            f"{_clock(left)} left",
            highlight=False,
        )

    def _validate(self, curves: _Curves) -> dict[str, float]:
        with self._averaged(), torch.no_grad():
            self.job.model.eval()
            scores = self.job.validate()
            self.job.sample(self.folder / "samples", self.step)
        curves.write("validation", self.step, scores)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        shown = shown or "nothing to measure on: of so few media none happens to be held out"
        self.console.print(f"[bold]validation[/bold] at step {self.step}: {shown}", highlight=False)
        return scores

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within, the model carries its averaged weights."""
        if self.average is None:
            yield
            return
        own = {name: value.detach().clone() for name, value in self.job.model.state_dict().items()}
        self.job.model.load_state_dict(self.average.weights)
        try:
            yield
        finally:
            self.job.model.load_state_dict(own)

    def _save(self) -> None:
        tensors = {f"model.{name}": value for name, value in self.job.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.weights.items()}
        scalars: dict[str, Any] = {}
        for number, optimizer in enumerate(self.optimizers):
            more, plain = checkpoint.pack_optimizer(optimizer, f"optimizer{number}")
            tensors |= more
            scalars |= plain
        facts = {
            "step": self.step,
            "seconds": self.seconds,
            "scalars": scalars,
            "config": self.config.model_dump(mode="json"),
        }
        checkpoint.save(self.checkpoints, self.step, tensors, facts, self.config.keep)
        self.saved = self.step

    def _resume(self) -> None:
        path = checkpoint.newest(self.checkpoints)
        if path is None:
            return
        tensors, facts = checkpoint.load(path)
        _same_run(facts["config"], self.config.model_dump(mode="json"), path)

        def part(prefix: str) -> dict[str, Tensor]:
            return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

        self.job.model.load_state_dict(part("model."))
        if self.average is not None:
            for name, value in part("average.").items():
                self.average.weights[name].copy_(value)
        for number, optimizer in enumerate(self.optimizers):
            peaks = [group["peak"] for group in optimizer.param_groups]
            checkpoint.unpack_optimizer(optimizer, f"optimizer{number}", tensors, facts["scalars"])
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["peak"] = peak
        self.step, self.saved, self.seconds = facts["step"], facts["step"], facts["seconds"]
        self.console.print(f"resumed from {path} at step {self.step}")


def _same_run(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    """A run may be lengthened and logged otherwise, but not turned into another one.

    A setting that the run's own version didn't know had the effect of what is now its default, but for what a network
    reads besides a place's values: it didn't.
    """
    free = {"steps", "minutes", "log_every", "checkpoint_every", "validate_every", "keep", "workers", "out", "device"}
    free |= {"data", "more", "prompts", "blend"}  # folders may have moved; blended weights aren't trained on
    free |= set() if new["kind"] == "gpt" else {"gpt"}
    fresh = RunConfig(kind="gpt", data=Path(), out=Path(), gpt=GPTConfig(**dict.fromkeys(READ, False)))
    known, before, now = (_flat(config) for config in (fresh.model_dump(mode="json"), old, new))
    before = known | before
    differing = [name for name in now if name.split(".")[0] not in free and before.get(name) != now[name]]
    if differing:
        shown = "; ".join(f"{name} was {before.get(name)} and is now {now[name]}" for name in differing)
        raise TriptychError(f"{path.parent.parent} holds a run with other settings ({shown}): choose another `out`")


def _flat(config: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Settings within settings as one table: {"optim": {"lr": 1}} -> {"optim.lr": 1}. A mix is one setting."""
    out: dict[str, Any] = {}
    for name, value in config.items():
        nested = isinstance(value, dict) and name != "mix"
        out |= _flat(value, f"{path}{name}.") if nested else {f"{path}{name}": value}
    return out


class _Curves:
    """Curves as JSON lines, and as TensorBoard files where that package is installed."""

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / "log.jsonl"
        self.written = _forget_after(self.path, step)
        try:
            from torch.utils.tensorboard import SummaryWriter  # slow to import and optional

            self.board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        except ImportError:
            self.board = None

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        if (kind, step) in self.written:  # a run that had ended is only validated once more
            return
        self.written.add((kind, step))
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(f"{kind}/{name}", value, step)

    def __enter__(self) -> _Curves:
        return self

    def __exit__(self, *_: object) -> None:
        if self.board is not None:
            self.board.close()


def _forget_after(path: Path, step: int) -> set[tuple[str, int]]:
    """Drop lines that a killed run wrote after its last checkpoint; give (kind, step) of those that stay."""
    kept: dict[tuple[str, int], str] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                facts = json.loads(line)
            except ValueError:  # torn by a kill
                continue
            if facts["step"] <= step:
                kept.setdefault((facts["kind"], facts["step"]), line)
        write_text(path, "".join(line + "\n" for line in kept.values()))
    return set(kept)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
