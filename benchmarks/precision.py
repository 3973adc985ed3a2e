"""Bits per code and per text id of a model on held-out data, at each precision of the native engine:

    python benchmarks/precision.py MODEL DATA [--rows 128] [--store] [--json out.json]

DATA is a folder that `triptych prepare` wrote with the model's tokenizers. Training does the same at its end, with
fewer rows (`triptych/train/precision.py`); `--store` writes the choice into the folder of a model that exists.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from triptych import zoo
from triptych.data.loader import Rows
from triptych.data.shards import Shards
from triptych.files import write_json
from triptych.train.precision import measure, store


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
    measured = measure(gpt, held, rows=asked.rows, seconds=math.inf, precisions=("fp32", "bf16", "int8"))
    table = Table("spelling", "fp32", "bf16", "int8", "int8 grows by")
    for name, row in measured.bits.items():
        growth = row["int8"] / row["fp32"] - 1
        table.add_row(name, *(f"{row[p]:.4f}" for p in ("fp32", "bf16", "int8")), f"{growth:+.2%}")
    Console().print(table)
    print(measured)
    if asked.json:
        choice = {"bits": measured.bits, "precision": measured.precision}
        write_json(asked.json, {"model": str(bundle.path), "rows": asked.rows} | choice)
    if asked.store:
        store(bundle.path, measured)
        print(f"{bundle.path / 'model.json'}: precision {measured.precision}")


if __name__ == "__main__":
    main()
