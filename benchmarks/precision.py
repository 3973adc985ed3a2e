"""Bits per code and per text id of a model on held-out data, at each precision of the native engine:

    python benchmarks/precision.py MODEL DATA [--rows 128] [--store] [--json out.json]

DATA is a folder that `triptych prepare` wrote with the model's tokenizers. int8 is good enough where no spelling's bits
grow by 0.5% or more; `--store` writes the choice into the model's folder (model.json and SHA256.json).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from triptych import zoo
from triptych.data.loader import MEDIA, Rows
from triptych.data.shards import Shards
from triptych.files import write_json
from triptych.generate.native_path import Build, NativePath
from triptych.generate.paths import choose, open_path
from triptych.sequence.layout import Row

LIMIT = 0.005  # share by which bits may grow


def nats(path: NativePath, row: Row) -> np.ndarray:
    """Sums over what a row's weights mark: nats of text, of codes, and how much of each counts."""
    module, ones = path.module, np.ones(1, np.float32)
    session = module.Session(path.gpt, path.pool, ones, np.zeros(1, np.int64), ones, False)
    visual = row.values.any(1) | row.codes.any(1)
    ids = np.where(visual, -1, row.ids)
    length = np.array([len(row)], np.int64)
    states = session.read(ids[None], row.values[None], row.positions[None], length, True)[0]
    out = np.zeros(4)
    for is_code in (False, True):
        places = np.flatnonzero((visual == is_code) & (row.weights > 0) & (np.arange(len(row)) > 0))
        if not len(places):
            continue
        before, weight = states[places - 1], row.weights[places]
        if is_code:
            targets = row.codes[places]
            logits = session.code_logits(before, targets[:, :-1])
        else:
            targets = row.ids[places][:, None]
            logits = session.text_logits(before)[:, None]
        chosen = torch.from_numpy(logits).double().log_softmax(-1).gather(-1, torch.from_numpy(targets)[..., None])
        out[int(is_code)] -= float((chosen[..., 0].numpy() * weight[:, None]).sum())
        out[2 + int(is_code)] += weight.sum() * targets.shape[1]
    return out


def main() -> None:
    """Print the table; store the choice if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    bundle = zoo.load(asked.model)
    gpt, info = bundle.need_gpt(), bundle.info
    grid = bundle.visual.fsq.to_latents(torch.arange(bundle.visual.fsq.codes))
    shards = Shards(asked.data / "shards", grid.numpy())
    held = Rows(shards, bundle.text, gpt.config, fps=info.fps, span=info.visual.span, drop=0.0, held=True)
    build = choose(gpt, "fp32", engine="native").build
    assert build is not None
    bits: dict[str, dict[str, float]] = {}
    for precision in ("fp32", "bf16", "int8"):
        path = open_path(gpt, choose(gpt, precision, engine="native"))
        assert isinstance(path, NativePath)
        assert path.build == Build(precision, build.level, build.threads), "unset TRIPTYCH_PRECISION"
        for tag, name in enumerate(MEDIA):
            if not held.has(name):
                continue
            count = min(asked.rows, len(held.items[MEDIA[name]]))
            rows = [held.spell(name, i, np.random.default_rng([1, tag, i])) for i in range(count)]
            total = sum(nats(path, row) for row in rows)
            for index, unit in enumerate(("text", "code")):
                if total[2 + index]:
                    value = float(total[index] / total[2 + index] / math.log(2))
                    bits.setdefault(f"{name} bits/{unit}", {})[precision] = value
    table = Table("spelling", "fp32", "bf16", "int8", "int8 grows by")
    for name, row in bits.items():
        growth = row["int8"] / row["fp32"] - 1
        table.add_row(name, *(f"{row[p]:.4f}" for p in ("fp32", "bf16", "int8")), f"{growth:+.2%}")
    Console().print(table)
    worst = max(row["int8"] / row["fp32"] - 1 for row in bits.values())
    choice = "int8" if worst < LIMIT else "exact"
    print(f"int8 grows by {worst:+.2%} at worst, {LIMIT:.1%} is allowed: precision {choice}")
    if asked.json:
        write_json(asked.json, {"model": str(bundle.path), "rows": asked.rows, "bits": bits, "precision": choice})
    if asked.store:
        file = bundle.path / "model.json"
        write_json(file, json.loads(file.read_text(encoding="utf-8")) | {"precision": choice})
        zoo.seal(bundle.path)
        print(f"{file}: precision {choice}")


if __name__ == "__main__":
    main()
