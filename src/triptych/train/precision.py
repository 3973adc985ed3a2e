"""Which precision the native engine runs a model at, by what it costs on held-out data.

Bits are those of the engine itself, so that all that int8 rounds is in them: weights, activations, keys and values.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from triptych import zoo
from triptych.data.loader import MEDIA, Rows
from triptych.errors import ConfigError
from triptych.files import write_json
from triptych.generate.native_path import Build, NativePath
from triptych.generate.paths import choose
from triptych.model.gpt import GPT
from triptych.sequence.layout import Row
from triptych.sequence.vocab import Special

LIMIT = 0.005
"""Share by which bits may grow."""
LEAST = 8
"""Rows of each spelling without which nothing is decided."""


@dataclass
class Measured:
    """What was found: `bits` by "spelling bits/unit" and precision; the least number of rows of a spelling; or why
    nothing was measured."""

    bits: dict[str, dict[str, float]] = field(default_factory=dict)
    rows: int = 0
    reason: str = ""

    @property
    def growth(self) -> float:
        """The largest share by which int8's bits grow over float32's."""
        return max((row["int8"] / row["fp32"] - 1 for row in self.bits.values()), default=math.inf)

    @property
    def precision(self) -> Literal["exact", "int8"]:
        """The choice."""
        return "int8" if self.rows >= LEAST and self.growth < LIMIT else "exact"

    def __str__(self) -> str:
        if self.reason:
            return f"precision {self.precision}: {self.reason}"
        if self.rows < LEAST:
            return f"precision exact: {self.rows} held-out rows of a spelling, {LEAST} are needed to choose int8"
        return f"precision {self.precision}: int8 grows bits by {self.growth:+.2%} at worst; {LIMIT:.1%} is too much"


@torch.no_grad()
def measure(
    gpt: GPT, held: Rows, *, rows: int = 256, seconds: float = 60.0, precisions: Sequence[str] = ("fp32", "int8")
) -> Measured:
    """Bits per code and per text id of each spelling at each precision.

    Args:
        gpt: on any device; a copy of the weights is packed for the CPU, rounded to bfloat16 as models store them.
        held: what to spell, never trained on.
        rows: of each spelling at most.
        seconds: in all; each spelling gets its share of them, as long as it has rows.
    """
    stored = GPT(gpt.config).eval()
    stored.load_state_dict({name: value.float().cpu().bfloat16().float() for name, value in gpt.state_dict().items()})
    try:
        build = choose(stored, "fp32", engine="native").build
    except ConfigError as error:
        return Measured(reason=str(error))
    assert build is not None, "the native engine was asked for"
    paths = {name: NativePath(stored, Build(name, build.level, build.threads)) for name in precisions}
    names = [name for name in MEDIA if held.has(name)]
    totals = {name: np.zeros((len(paths), 4)) for name in names}
    left = {name: min(rows, len(held.items[MEDIA[name]])) for name in names}
    done, spent = dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        short = [name for name in names if done[name] < left[name]]
        if not short:
            break
        # The one that took the least time so far: of short rows it takes more to tell a growth from chance.
        name, begun = min(short, key=spent.__getitem__), time.monotonic()
        row = held.spell(name, done[name], np.random.default_rng([1, names.index(name), done[name]]))
        totals[name] += [nats(path, row) for path in paths.values()]
        done[name] += 1
        spent[name] += time.monotonic() - begun
    bits: dict[str, dict[str, float]] = {}
    for name, total in totals.items():
        for index, unit in enumerate(("text", "code")):
            if total[0, 2 + index]:
                means = total[:, index] / total[:, 2 + index] / math.log(2)
                bits[f"{name} bits/{unit}"] = dict(zip(paths, means.tolist(), strict=True))
    return Measured(bits, min(done.values(), default=0))


def nats(path: NativePath, row: Row) -> np.ndarray:
    """Sums over what a row's weights mark: nats of text, of codes, and how much of each counts. (4,)"""
    module, ones = path.module, np.ones(1, np.float32)
    session = module.Session(path.gpt, path.pool, ones, np.zeros(1, np.int64), ones, False)
    visual = row.ids == Special.VISUAL
    ids = np.where(visual, -1, row.ids)
    seen = path.seen(torch.from_numpy(row.values[None]), torch.from_numpy(row.positions[None]))
    states = np.zeros((len(row), path.config.width), np.float32)
    for part in row.parts():
        count = np.array([part.stop - part.start], np.int64)
        states[part] = session.read(ids[None, part], seen[:, part], row.positions[None, part], count, True)[0]
        if part.start:  # what a branch says is seen by none that follows
            session.forget(count)
    out = np.zeros(4)
    for is_code in (False, True):
        places = np.flatnonzero((visual == is_code) & (row.weights > 0) & (np.arange(len(row)) > 0))
        if not len(places):
            continue
        before, weight = states[places - 1], row.weights[places]
        if is_code:
            targets = row.codes[places]
            logits = session.code_logits(before, targets[:, :-1], row.before[places])
        else:
            targets = row.ids[places][:, None]
            logits = session.text_logits(before)[:, None]
        chosen = torch.from_numpy(logits).double().log_softmax(-1).gather(-1, torch.from_numpy(targets)[..., None])
        out[int(is_code)] -= float((chosen[..., 0].numpy() * weight[:, None]).sum())
        out[2 + int(is_code)] += weight.sum() * targets.shape[1]
    return out


def store(folder: Path, measured: Measured) -> None:
    """Write the choice, and the bits that it rests on, into a model's folder."""
    file = folder / "model.json"
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    found = {name: {key: round(value, 4) for key, value in row.items()} for name, row in measured.bits.items()}
    facts["precision"] = measured.precision
    facts["made"] = facts["made"] | {"precision": {"why": str(measured), "rows": measured.rows, "bits": found}}
    (folder / "SHA256.json").unlink(missing_ok=True)  # a folder being written is not whole
    write_json(file, facts)
    zoo.seal(folder)
