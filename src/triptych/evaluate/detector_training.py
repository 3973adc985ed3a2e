"""Training of the detector on a world's pictures and frames of its clips, and its score on some kept apart.

Pictures are blurred, compressed and tinted in training, so that what a tokenizer decodes is read as well as what a
renderer draws.

    python -m triptych.evaluate.detector recipes/detector.yaml data=WORLD out=MODEL

B batch, Y rows, X columns; y, x rows and columns of the heat map (Y/8, X/8).
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from triptych.config import Settings, load_settings
from triptych.data.loading import loaded
from triptych.device import autocast, device_of
from triptych.errors import ConfigError, TriptychError
from triptych.evaluate import metrics
from triptych.evaluate.detector import CLASSES, RECIPE, Detector, load_detector, save
from triptych.evaluate.detector_data import Examples, Labelled, labelled, split
from triptych.train.degrade import degrade, recolour

TURNED = [list(CLASSES).index(name) for name in ("color", "material")]  # what a turned hue tells no more


class DetectorSettings(Settings):
    """How a detector is trained."""

    data: Path
    """Folder that `triptych world tabletop` wrote."""
    out: Path
    """Folder for detector.safetensors and detector.json: the model that it is to judge."""
    more: list[Path] = Field(default_factory=list)
    """Further such folders."""
    start: Path | None = None
    """Model folder whose detector goes on learning, best at a lower `lr`; else it begins anew."""
    clip_share: float = Field(0.3, ge=0, le=1)
    """Share of what it learns from that are frames of clips, where there are both pictures and clips."""
    steps: int = Field(6000, ge=1)
    """Optimiser steps."""
    batch: int = Field(256, ge=1)
    """Pictures, and frames of clips, a step."""
    lr: float = Field(3e-3, gt=0)
    """Peak learning rate of AdamW."""
    seed: int = Field(0, ge=0)
    """Of initial weights, order and noise."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: cuda where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; `auto` is bf16 on cuda and on a CPU with AMX. Others gain too: try it."""
    workers: int = Field(2, ge=0)
    """Processes that decode media."""
    augment: bool = True
    """Turn hues, blur, compress and speckle; without it pictures are learned by heart and others misread."""


def loss_of(maps: dict[str, Tensor], heat: Tensor, place: Tensor, classes: Tensor) -> Tensor:
    """CenterNet's focal loss of the heat, L1 of places and cross-entropy of attributes near centres."""
    logit = maps["heat"][:, 0].float()
    p = logit.sigmoid()
    centre = (heat == 1).float()
    hit = centre * (1 - p).square() * F.logsigmoid(logit)
    miss = (1 - centre) * (1 - heat).pow(4) * p.square() * F.logsigmoid(-logit)
    loss = -(hit.sum() + miss.sum()) / centre.sum().clamp_min(1)
    near = heat * (classes[:, 0] >= 0)
    total = near.sum().clamp_min(1)
    loss = loss + ((maps["place"].float() - place).abs().sum(1) * near).sum() / total
    for number, name in enumerate(CLASSES):
        wrong = F.cross_entropy(maps[name].float(), classes[:, number], ignore_index=-1, reduction="none")
        told = near * (classes[:, number] >= 0)
        loss = loss + (wrong * told).sum() / told.sum().clamp_min(1)
    return loss


def train_detector(
    folder: Path,
    out: Path,
    *,
    steps: int,
    batch: int,
    seed: int = 0,
    lr: float = 3e-3,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    workers: int = 2,
    augment: bool = True,
    more: Sequence[Path] = (),
    start: Path | None = None,
    clip_share: float = 0.3,
    progress: bool = True,
) -> dict[str, Any]:
    """Train a detector on a world's media and write detector.safetensors (fp16) and detector.json into `out`.

    Args:
        folder: a world's folder, with truth.
        out: folder of the model that the detector is to judge; made if missing.
        steps, batch, seed, lr, device, precision, workers, augment, more, start, clip_share: see DetectorSettings.
        progress: whether to show a bar and the score.

    Returns: the score on the media kept apart, see `score`, by kind: pictures, frames.

    Raises: DataError for a folder without labelled media, ConfigError for an unknown device, ModelError for a `start`
        without a detector.
    """
    torch.manual_seed(seed)
    model = load_detector(start) if start else Detector()
    before = json.loads((Path(start) / "detector.json").read_text(encoding="utf-8")).get("made") if start else None
    parts = [split(labelled(each)) for each in (folder, *more)]
    train, held = ([row for part in parts for row in part[which]] for which in (0, 1))
    place = device_of(device)
    random = torch.Generator().manual_seed(seed)
    model.to(place).train()
    kinds: tuple[list[Tensor], list[Tensor]] = ([], [])
    for parameter in model.parameters():
        kinds[parameter.ndim < 2].append(parameter)
    groups = [{"params": kinds[0], "weight_decay": 0.02}, {"params": kinds[1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))
    warm = max(1, min(200, steps // 10))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 1.0) * max(0.02, 1 - step / steps)
    )
    loader = loaded(
        Examples(train, seed, steps * batch, clip_share),
        batch_size=batch,
        num_workers=workers,
        pin_memory=place.type == "cuda",
        prefetch_factor=4 if workers else None,
    )
    columns = (
        TextColumn("detector"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    started = time.time()
    with Progress(*columns, console=console, disable=not progress) as bar:
        task = bar.add_task("detector", total=steps, loss=math.nan)
        for step, item in enumerate(loader):
            pixels, heat, spot, classes = (part.to(place, non_blocking=True) for part in item)
            pixels = pixels.permute(0, 3, 1, 2).float() / 255
            if augment:
                pixels, turned = recolour(pixels, random)
                classes[:, TURNED] = classes[:, TURNED].masked_fill(turned[:, None, None, None], -1)
                pixels = degrade(pixels, random)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            with autocast(precision, place):
                maps = model(pixels)
            loss = loss_of(maps, heat, spot, classes)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            bar.advance(task)
            if step % 20 == 0:  # reading the loss waits for the device
                bar.update(task, loss=loss.item())
    minutes = (time.time() - started) / 60
    model = model.half().float().eval()  # what is scored is what is stored
    result = {
        name: score(model, kind)
        for name, clips in (("pictures", False), ("frames", True))
        if (kind := [row for row in held if row.is_clip == clips])
    }
    save(
        model,
        Path(out),
        {
            "held-out": result,
            "made": {
                "pictures": sum(not row.is_clip for row in train), "clips": sum(row.is_clip for row in train),
                "start": before,
                "steps": steps, "batch": batch, "lr": lr, "seed": seed,
                "minutes": round(minutes, 1), "device": str(place), "torch": torch.__version__,
            },
        },
    )  # fmt: skip
    if progress:
        for name, values in result.items():
            shown = ", ".join(f"{k} {v:.3g}" for k, v in values.items())
            console.print(f"{Path(out) / 'detector.safetensors'}, {name}: {shown}")
    return result


def score(model: Detector, rows: Sequence[Labelled]) -> dict[str, float]:
    """How well a detector reads pictures, and of clips the first, middle and last frame, as shares of their objects or
    scenes; `center` is a mean error in pixels."""
    hits: list[bool] = []
    scenes: list[bool] = []
    agree: dict[str, list[bool]] = {name: [] for name in CLASSES}
    away: list[float] = []
    extra = 0
    places = [(row, frame) for row in rows for frame in sorted({0, len(row.frames) // 2, len(row.frames) - 1})]
    for start in range(0, len(places), 64):
        part = [row.read(frame) for row, frame in places[start : start + 64]]
        found = model.detect(np.stack([pixels for pixels, _ in part]))
        for (_, objects), seen in zip(part, found, strict=True):
            pairs = metrics.match_places(objects, seen, 24.0)
            right = [
                j is not None and all(o[k] == seen[j][k] for k in CLASSES) for o, j in zip(objects, pairs, strict=True)
            ]
            hits += right
            scenes.append(all(right) and len(seen) == len(objects))
            extra += len(seen) - sum(j is not None for j in pairs)
            for thing, j in zip(objects, pairs, strict=True):
                if j is not None:
                    away.append(float(np.hypot(*np.subtract(thing["center"], seen[j]["center"]))))
                    for name in CLASSES:
                        agree[name].append(thing[name] == seen[j][name])
    mean = lambda values: float(np.mean(values)) if values else 0.0  # noqa: E731
    return {
        "media": len(places),
        "objects": len(hits),
        "found": len(away) / max(len(hits), 1),
        "extra": extra / max(len(hits), 1),
        **{name: mean(values) for name, values in agree.items()},
        "all attributes": mean(hits),
        "scenes": mean(scenes),
        "center": mean(away),
    }


def main(arguments: list[str]) -> Literal[0, 1]:
    """Train by a recipe: RECIPE.yaml key=value ..."""
    recipe = Path(arguments[0]) if arguments and "=" not in arguments[0] else None
    try:
        if recipe is None and not arguments:
            raise ConfigError(f"nothing to do: {RECIPE.format(out='MODEL')}")
        settings = load_settings(DetectorSettings, recipe, arguments[1:] if recipe else arguments)
        values = settings.model_dump()
        train_detector(values.pop("data"), values.pop("out"), **values)
    except TriptychError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
