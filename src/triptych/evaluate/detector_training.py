"""Training of the detector on a world's pictures, and its score on pictures kept apart.

Pictures are blurred, compressed and tinted in training, so that what a tokenizer decodes is read as well as what a
renderer draws.

    python -m triptych.evaluate.detector recipes/detector.yaml data=WORLD out=MODEL

B batch, Y rows, X columns; y, x rows and columns of the heat map (Y/8, X/8).
"""

from __future__ import annotations

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
from torch.utils.data import DataLoader, Dataset

from triptych.config import Settings, load_settings
from triptych.data.shuffle import shuffled
from triptych.device import autocast, device_of
from triptych.errors import ConfigError, DataError, TriptychError
from triptych.evaluate import metrics
from triptych.evaluate.degrade import degrade, recolour
from triptych.evaluate.detector import CLASSES, GRID, RECIPE, SIDE, STRIDE, Detector, Found, save
from triptych.files import read_jsonl
from triptych.media import image
from triptych.media.limits import LOCAL

COLOR = list(CLASSES).index("color")
HELD = 0.02  # share of the pictures, at the end of the folder, that training never sees
ORDER = 5  # keeps the order of pictures apart from other draws of the seed


class DetectorSettings(Settings):
    """How a detector is trained."""

    data: Path
    """Folder that `triptych world tabletop` wrote."""
    out: Path
    """Folder for detector.safetensors and detector.json: the model that it is to judge."""
    steps: int = Field(6000, ge=1)
    """Optimiser steps."""
    batch: int = Field(256, ge=1)
    """Pictures a step."""
    lr: float = Field(3e-3, gt=0)
    """Peak learning rate of AdamW."""
    seed: int = Field(0, ge=0)
    """Of initial weights, order and noise."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: cuda where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; `auto` is bf16 on cuda and on a CPU with AMX. Others gain too: try it."""
    workers: int = Field(2, ge=0)
    """Processes that decode pictures."""
    augment: bool = True
    """Turn hues, blur, compress and speckle; without it pictures are learned by heart and others misread."""


class Pictures(Dataset[tuple[Tensor, ...]]):
    """Item n of training: pixels (Y, X, 3) uint8 and target maps; a pure function of (seed, n).

    Args:
        folder: a world's folder.
        rows: (file name, objects of its truth).
        seed: of order and flips.
        count: items, over as many epochs as that takes.
    """

    def __init__(self, folder: Path, rows: Sequence[tuple[str, list[Found]]], seed: int, count: int) -> None:
        self.folder, self.rows, self.seed, self.count = folder, rows, seed, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        name, objects = self.rows[shuffled(number, len(self.rows), self.seed, 0, ORDER)]
        pixels, objects = read_labelled(self.folder / name, objects)
        if np.random.default_rng([self.seed, number]).random() < 0.5:
            pixels, objects = pixels[:, ::-1], [_mirrored(o) for o in objects]
        return torch.from_numpy(pixels.copy()), *map(torch.from_numpy, targets(objects))


def _mirrored(thing: Found) -> Found:
    left, top, right, bottom = thing["box"]
    return {
        **thing,
        "center": [SIDE - thing["center"][0], thing["center"][1]],
        "box": [SIDE - right, top, SIDE - left, bottom],
    }


def read_labelled(path: Path, objects: list[Found]) -> tuple[np.ndarray, list[Found]]:
    """A picture as uint8 (224, 224, 3), and its objects with centres and boxes scaled along."""
    pixels = image.read(path, limits=LOCAL)
    if pixels.shape[0] != pixels.shape[1]:
        raise DataError(f"{path}: {pixels.shape[1]}x{pixels.shape[0]} pixels; the world's pictures are square")
    if pixels.shape[0] == SIDE:
        return pixels, objects
    scale = SIDE / pixels.shape[0]
    scaled = [{**o, **{k: [v * scale for v in o[k]] for k in ("center", "box")}} for o in objects]
    return image.fit(pixels, SIDE), scaled


def targets(objects: list[Found]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Objects -> heat (y, x) in 0..1, place (4, y, x), and classes (attributes, y, x), -1 where there is none."""
    heat = np.zeros((GRID, GRID), np.float32)
    place = np.zeros((4, GRID, GRID), np.float32)
    classes = np.full((len(CLASSES), GRID, GRID), -1, np.int64)
    axis = np.arange(GRID) + 0.5
    for thing in objects:
        x, y = (v / STRIDE for v in thing["center"])
        left, top, right, bottom = thing["box"]
        width, height = max(right - left, 4) / STRIDE, max(bottom - top, 4) / STRIDE
        column, row = (min(max(int(v), 0), GRID - 1) for v in (x, y))
        spread = max(0.5, 0.15 * math.sqrt(width * height))
        hill = np.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * spread**2)).astype(np.float32)
        hill[row, column] = 1.0
        mine = (hill > 0.5) & (hill > heat)
        heat = np.maximum(heat, hill)
        shown = np.stack(np.broadcast_arrays(x - axis[None], y - axis[:, None], math.log(width), math.log(height)))
        place[:, mine] = shown[:, mine]
        classes[:, mine] = [[names.index(thing[name])] for name, names in CLASSES.items()]
    return heat, place, classes


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


def labelled(folder: Path) -> list[tuple[str, list[Found], str]]:
    """(file name, objects, scene) of a world's pictures; DataError where there are none."""
    path = Path(folder) / "metadata.jsonl"
    if not path.is_file():
        raise DataError(f"{folder}: no metadata.jsonl: give a folder that `triptych world tabletop` wrote")
    rows = []
    for row in read_jsonl(path):
        truth = row.get("truth")
        if truth and "objects" in truth and "frames" not in truth:
            scene = row["sequence"]["id"] if row.get("sequence") else row["file_name"]
            rows.append((row["file_name"], truth["objects"], scene))
    if not rows:
        raise DataError(
            f"{path}: no picture with `truth`: give a folder that `triptych world tabletop` wrote, with images"
        )
    return rows


def split(rows: list[tuple[str, list[Found], str]]) -> tuple[list[Any], list[Any]]:
    """Pictures for training, and the last 2%, kept apart; views of one scene stay on one side."""
    cut = len(rows) - max(1, round(len(rows) * HELD))
    while cut > 1 and rows[cut][2] == rows[cut - 1][2]:
        cut -= 1
    if cut < 1:
        raise DataError(f"{len(rows)} picture(s) are too few to train on and keep one apart")
    return [row[:2] for row in rows[:cut]], [row[:2] for row in rows[cut:]]


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
    progress: bool = True,
) -> dict[str, Any]:
    """Train a detector on a world's pictures and write detector.safetensors (fp16) and detector.json into `out`.

    Args:
        folder: a world's folder, with truth.
        out: folder of the model that the detector is to judge; made if missing.
        steps, batch, seed, lr, device, precision, workers, augment: see DetectorSettings.
        progress: whether to show a bar and the score.

    Returns: the score on the pictures kept apart, see `score`.

    Raises: DataError for a folder without labelled pictures, ConfigError for an unknown device.
    """
    train, held = split(labelled(folder))
    place = device_of(device)
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    model = Detector().to(place)
    kinds: tuple[list[Tensor], list[Tensor]] = ([], [])
    for parameter in model.parameters():
        kinds[parameter.ndim < 2].append(parameter)
    groups = [{"params": kinds[0], "weight_decay": 0.02}, {"params": kinds[1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))
    warm = max(1, min(200, steps // 10))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 1.0) * max(0.02, 1 - step / steps)
    )
    loader: DataLoader[tuple[Tensor, ...]] = DataLoader(
        Pictures(Path(folder), train, seed, steps * batch),
        batch,
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
    model.train()
    with Progress(*columns, console=console, disable=not progress) as bar:
        task = bar.add_task("detector", total=steps, loss=math.nan)
        for step, item in enumerate(loader):
            pixels, heat, spot, classes = (part.to(place, non_blocking=True) for part in item)
            pixels = pixels.permute(0, 3, 1, 2).float() / 255
            if augment:
                pixels, turned = recolour(pixels, random)
                classes[:, COLOR] = classes[:, COLOR].masked_fill(turned[:, None, None], -1)
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
    result = score(model, folder, held)
    save(
        model,
        Path(out),
        {
            "held-out": result,
            "made": {
                "pictures": len(train), "steps": steps, "batch": batch, "lr": lr, "seed": seed,
                "minutes": round(minutes, 1), "device": str(place), "torch": torch.__version__,
            },
        },
    )  # fmt: skip
    if progress:
        console.print(f"{Path(out) / 'detector.safetensors'}: " + ", ".join(f"{k} {v:.3g}" for k, v in result.items()))
    return result


def score(model: Detector, folder: Path, rows: Sequence[tuple[str, list[Found]]]) -> dict[str, float]:
    """How well a detector reads pictures, as shares of their objects or scenes; `center` is a mean error in pixels."""
    hits: list[bool] = []
    scenes: list[bool] = []
    agree: dict[str, list[bool]] = {name: [] for name in CLASSES}
    away: list[float] = []
    extra = 0
    for start in range(0, len(rows), 64):
        part = [read_labelled(Path(folder) / name, objects) for name, objects in rows[start : start + 64]]
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
        "pictures": len(rows),
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
