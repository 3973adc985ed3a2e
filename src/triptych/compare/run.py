"""One comparison: tune, train and measure each network on one data set, and keep every finished part in a JSON.

triptych compare FOLDER --test TEST
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from safetensors.torch import load_file, save_file
from torch import nn

import triptych
from triptych import zoo
from triptych.compare import fit
from triptych.compare.attack import attacked
from triptych.compare.data import Labelled, Part
from triptych.compare.networks import SMALL, CNNClassifier, GPTClassifier, Shape, count, matched
from triptych.compare.settings import CompareConfig
from triptych.errors import ConfigError, DataError
from triptych.evaluate.metrics import interval
from triptych.files import hashes_of, sha256, write_atomically, write_json

FORMAT = 1
BATCHES = (1, 8)  # of the timing
Choice = dict[str, float]


class Comparison:
    """The networks on one data set.

    Args:
        data: the media. name: of the data set in the JSON. bundle: the pre-trained model.
        config: how. out: folder for compare.json and weights. progress: whether to show bars and lines.

    Raises:
        ConfigError: `out` holds a comparison of this name with other settings, data or model.
        MissingExtra: a CNN is wanted and MONAI is not installed.
    """

    def __init__(
        self,
        data: Labelled,
        name: str,
        bundle: zoo.Bundle,
        config: CompareConfig,
        out: Path,
        *,
        progress: bool = True,
    ) -> None:
        self.data, self.name, self.bundle, self.config, self.out = data, name, bundle, config, out
        self.progress = progress
        self.console = Console(stderr=True, quiet=not progress)
        frames, side = data.shape
        self.shape = Shape(frames, side, len(data.labels))
        self.test = _some(data.test, config.tested, config.seed)
        self.validation = _some(data.validation, max(1, config.tested // 3), config.seed)
        self.path = out / "compare.json"
        self.results: dict[str, Any] = read(self.path) if self.path.exists() else {"format": FORMAT, "sets": {}}
        self.mine = self.results["sets"].setdefault(name, {})
        self.width = 0
        self.networks = [n for n in config.networks if n != "fresh" or "gpt" in config.networks]
        if "cnn" in self.networks:
            wanted = count(self._build("gpt", {"side": self._sides("gpt")[0]["side"]}))
            self.width = matched(lambda width: CNNClassifier(self.shape, side, width), wanted)
        self._same(
            {
                "settings": config.model_dump(mode="json"),
                "data": {**data.facts, "tested": len(self.test)},
                "model": {"name": bundle.info.name, "weights": hashes_of(bundle.path)},
            }
        )

    def run(self) -> dict[str, Any]:
        """Do what is not done yet, and give what the JSON holds of this data set."""
        self._part("baseline", self._baseline)
        for network in self.networks:
            if network != "fresh":
                self._part(f"tuning {network}", partial(self._tune, network))
        for share in self.config.shares:
            for network in self.networks:
                if network != "fresh" or share == 1:
                    self._part(f"cell {network} {share:g}", partial(self._cell, network, share))
        rivals = [network for network in self.networks if network != "fresh"]
        if len(rivals) == 2:
            self._part("speed", self._speed)
        if self.config.attacked:
            self._part("robustness", lambda: self._robustness(rivals))
        return self.mine

    def _part(self, key: str, make: Callable[[], dict[str, Any]]) -> None:
        if key in self.mine:
            self.console.print(f"{self.name}: {key} is done", highlight=False)
            return
        began = time.process_time()
        found = make()
        self.mine[key] = {**found, "cpu_seconds": round(time.process_time() - began, 1)}
        self.mine["finished"] = {
            "triptych": triptych.__version__,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(self.path, self.results)
        shown = {name: value for name, value in found.items() if isinstance(value, int | float)}
        line = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        self.console.print(f"{self.name}: {key}  {line}", highlight=False)

    def _same(self, facts: dict[str, Any]) -> None:
        for key, value in facts.items():
            old = self.mine.setdefault(key, json.loads(json.dumps(value)))
            differing = [name for name, part in json.loads(json.dumps(value)).items() if old.get(name) != part]
            if differing:
                shown = "; ".join(f"{name} was {old.get(name)} and is now {value[name]}" for name in differing)
                raise ConfigError(
                    f"{self.path}: {self.name!r} was compared with other {key} ({shown}): choose another "
                    "--out or --name"
                )

    def _sides(self, network: str) -> list[Choice]:
        """The two inputs that are tried: whole and half; a CNN of small pictures halves them by its stride."""
        native = self.shape.side
        if network == "cnn" and native < SMALL:
            return [{"side": native, "stride": 1}, {"side": native, "stride": 2}]
        if network == "cnn":
            return [{"side": native, "stride": 2}, {"side": native // 2, "stride": 2}]
        info = self.bundle.info
        unit = info.visual.stride * self.bundle.need_gpt().config.group
        # Pre-training saw things at the model's own size. Of a single position a GPT could not make anything: small
        # pictures are enlarged to 3x3 or 2x2 positions.
        wanted = (3 * unit, 2 * unit) if native < SMALL else (info.size, -(-info.size // 2 // unit) * unit)
        return [{"side": side} for side in dict.fromkeys(min(info.size, side) for side in wanted)]

    def _build(self, network: str, choice: Choice) -> nn.Module:
        torch.manual_seed(self.config.seed)
        if network == "cnn":
            return CNNClassifier(self.shape, int(choice["side"]), self.width, int(choice["stride"]))
        return GPTClassifier(self.bundle, self.shape, int(choice["side"]), fresh=network == "fresh")

    def _train(
        self, network: str, choice: Choice, rows: np.ndarray, seconds: float, what: str
    ) -> tuple[nn.Module, Any]:
        built = self._build(network, choice)
        with self._bar(f"{what} {network}") as tell:
            facts = fit.train(
                built,
                self.data.train,
                rows,
                several=self.data.several,
                lr=choice["lr"],
                seconds=seconds,
                batch=self.config.batch,
                seed=self.config.seed,
                flip=self.config.flip,
                steps=self.config.steps,
                probed=network == "gpt",
                bf16=self.config.precision == "bf16",
                tell=tell,
            )
        return built, facts

    def _baseline(self) -> dict[str, Any]:
        """The most frequent label, or set of labels, of training: how often it is right in the test."""
        sets, counts = np.unique(self.data.train.targets, axis=0, return_counts=True)
        hits = (self.test.targets == sets[counts.argmax()]).all(1)
        return {"accuracy": round(float(hits.mean()), 6)}

    def _tune(self, network: str) -> dict[str, Any]:
        """Short trainings on all labels, judged on validation; the test is not looked at."""
        rows, trials = np.arange(len(self.data.train)), []
        for sides in self._sides(network):
            for rate in self.config.gpt_rates if network == "gpt" else self.config.cnn_rates:
                choice = {**sides, "lr": rate}
                seconds = self.config.trial * self.config.seconds(1.0)
                try:
                    built, facts = self._train(network, choice, rows, seconds, "tuning")
                    trials.append({**choice, **self._scores(built, self.validation), "seen": facts["seen"]})
                except fit.Diverged:
                    trials.append({**choice, "diverged": True})
        ranked = _ranked(trials)
        if not ranked:
            raise fit.Diverged(f"{network}: the loss was not finite at any of its rates; give lower ones")
        return {"trials": trials, "chosen": ranked[0], "validation": len(self.validation)}

    def _scores(self, network: nn.Module, part: Part) -> dict[str, float]:
        logits, targets = torch.from_numpy(fit.logits_of(network, part)), torch.from_numpy(part.targets)
        hits = fit.right(logits, targets, several=self.data.several)
        loss = fit.loss_of(logits, targets, several=self.data.several)
        return {"accuracy": round(float(hits.float().mean()), 6), "loss": round(float(loss), 4)}

    def _choice(self, network: str) -> Choice:
        chosen = dict(self.mine[f"tuning {'gpt' if network == 'fresh' else network}"]["chosen"])
        return {**chosen, "lr": self.config.fresh_rate} if network == "fresh" else chosen

    def _cell(self, network: str, share: float) -> dict[str, Any]:
        choice, seed, several = self._choice(network), self.config.seed, self.data.several
        rows = fit.subset(self.data.train.targets, share, seed, several=several)
        seconds, diverged = self.config.seconds(share), []
        while True:
            try:
                built, facts = self._train(network, choice, rows, seconds, f"{share:.0%} of the labels:")
                break
            except fit.Diverged:  # what bore a short trial need not bear a long training: the next best trial's turn
                diverged.append(choice)
                left = [
                    c for c in _ranked(self.mine.get(f"tuning {network}", {}).get("trials", [])) if c not in diverged
                ]
                if not left:
                    raise
                choice = left[0]
        logits, targets = torch.from_numpy(fit.logits_of(built, self.test)), torch.from_numpy(self.test.targets)
        hits = fit.right(logits, targets, several=several).float().numpy()
        out = {
            "accuracy": round(float(hits.mean()), 6),
            "ci95": [round(v, 6) for v in interval(hits.tolist(), seed=seed)],
            "n": len(hits),
            "parameters": count(built),
            "labelled": len(rows),
            "training": facts,
            "recipe": choice,
            **({"diverged": diverged} if diverged else {}),
            "seed": seed,
        }
        if several:
            out["mean_ap"] = round(mean_ap(logits.numpy(), self.test.targets), 6)
        if share == 1:
            state = {name: value.contiguous() for name, value in built.state_dict().items()}
            write_atomically(self._weights(network), lambda file: save_file(state, file))
            out["weights"] = sha256(self._weights(network))
        return out

    def _weights(self, network: str) -> Path:
        return self.out / "weights" / f"{self.name}-{network}.safetensors"

    def _trained(self, network: str) -> nn.Module:
        path = self._weights(network)
        if not path.is_file() or sha256(path) != self.mine[f"cell {network} 1"]["weights"]:
            raise DataError(f"{path}: missing or changed since it was trained: choose another --out to train anew")
        built = self._build(network, self.mine[f"cell {network} 1"]["recipe"])
        built.load_state_dict(load_file(path))
        return built.eval()

    def _speed(self) -> dict[str, Any]:
        """CPU milliseconds from pixels to logits, the networks taking turns; the median of the rounds, and ratios."""
        built = {network: self._trained(network) for network in ("gpt", "cnn")}
        times: dict[str, dict[int, list[float]]] = {network: {size: [] for size in BATCHES} for network in built}
        with torch.inference_mode(), self._bar("speed") as tell:
            for turn in range(self.config.rounds + 1):
                for size in BATCHES:
                    pixels = fit.to_pixels(self.test.pixels[np.arange(size) % len(self.test)])
                    for network, module in built.items():
                        began = time.process_time()
                        module(pixels)
                        if turn:  # the first warms up
                            times[network][size].append(time.process_time() - began)
                tell((turn + 1) / (self.config.rounds + 1))
        out: dict[str, Any] = {"rounds": self.config.rounds}
        for network in built:
            out[network] = {str(size): round(1e3 * float(np.median(times[network][size])), 3) for size in BATCHES}
        # Each round gives a ratio of its own, so that what slows a round slows both sides of it.
        out["ratio"] = {
            str(size): round(float(np.median(np.array(times["cnn"][size]) / np.array(times["gpt"][size]))), 3)
            for size in BATCHES
        }
        return out

    def _robustness(self, rivals: Sequence[str]) -> dict[str, Any]:
        part, config = _some(self.test, self.config.attacked, self.config.seed + 1), self.config
        with self._bar("attacks") as tell:
            found = attacked(
                {network: self._trained(network) for network in rivals},
                fit.to_pixels(part.pixels),
                torch.from_numpy(part.targets),
                [epsilon / 255 for epsilon in config.epsilons],
                several=self.data.several,
                steps=config.attack_steps,
                restarts=config.restarts,
                queries=config.queries,
                seed=config.seed,
                tell=lambda done, total: tell(done / total),
            )
        out: dict[str, Any] = {"n": len(part)}
        for network, by_epsilon in found.items():
            out[network] = {
                epsilon: {attack: _share(stands, config.seed) for attack, stands in attacks.items()}
                for epsilon, attacks in by_epsilon.items()
            }
        return out

    def _bar(self, what: str) -> Any:
        return _Bar(f"{self.name}: {what}", self.console, self.progress)


class _Bar:
    """A bar on stderr while something runs; gives the function that is told the share done."""

    def __init__(self, what: str, console: Console, shown: bool) -> None:
        columns = (TextColumn(what), BarColumn(), TimeElapsedColumn())
        self.bar = Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal))

    def __enter__(self) -> Callable[[float], None]:
        self.bar.start()
        task = self.bar.add_task("", total=1.0)
        return lambda share: self.bar.update(task, completed=min(1.0, share))

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


def read(path: Path) -> dict[str, Any]:
    """What a comparison stored; DataError if the file is damaged or something else."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read: {error}; choose another --out") from error
    if not isinstance(results, dict) or results.get("format") != FORMAT or not isinstance(results.get("sets"), dict):
        raise DataError(f"{path}: holds no comparison of format {FORMAT}; choose another --out")
    return results


def mean_ap(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean over labels of the average precision of (N, K) logits; labels that no medium has are left out."""
    found = []
    for scores, truth in zip(logits.T, targets.T, strict=True):
        if truth.any():
            ordered = truth[np.argsort(-scores, kind="stable")]
            found.append(float((np.cumsum(ordered) / np.arange(1, len(ordered) + 1))[ordered > 0].mean()))
    return float(np.mean(found))


def _ranked(trials: list[dict[str, Any]]) -> list[Choice]:
    """What was tried, best first: by loss, since early accuracies of few media are mostly noise."""
    finite = sorted((trial for trial in trials if "loss" in trial), key=lambda trial: trial["loss"])
    return [{name: trial[name] for name in ("side", "stride", "lr") if name in trial} for trial in finite]


def _some(part: Part, most: int, seed: int) -> Part:
    """Up to `most` media of a part, by lot, in memory."""
    rows = np.sort(np.random.default_rng([seed, 7]).permutation(len(part))[:most])
    files = [part.files[i] for i in rows] if part.files else []
    return Part(np.ascontiguousarray(part.pixels[rows]), part.targets[rows], files)


def _share(stands: list[bool], seed: int) -> dict[str, Any]:
    low, high = interval([float(s) for s in stands], seed=seed)
    return {"accuracy": round(float(np.mean(stands)), 6), "ci95": [round(low, 6), round(high, 6)]}
