"""What the detector learns from and is scored on: a world's pictures, and frames of its clips, with what they show.

Y rows, X columns; y, x rows and columns of the heat map (Y/8, X/8).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from triptych.data.shuffle import shuffled
from triptych.errors import DataError
from triptych.evaluate.detector import CLASSES, GRID, SIDE, STRIDE, Found
from triptych.evaluate.truth import seen
from triptych.files import read_jsonl
from triptych.media import image, video
from triptych.media.limits import LOCAL

HELD = 0.02  # share of the pictures, and of the clips, at the end of the folder, that training never sees
FPS = 8.0  # of a world's clips, and of their truth
ORDER = 5  # keeps the order of media apart from other draws of the seed


@dataclass(frozen=True)
class Labelled:
    """A picture, or a clip of which each frame counts as one."""

    path: Path
    scene: str
    frames: list[list[Found]]
    """The objects that can be seen in each frame, FPS a second; a picture has one."""
    is_clip: bool

    def read(self, frame: int) -> tuple[np.ndarray, list[Found]]:
        """A frame as uint8 (224, 224, 3), and its objects with centres and boxes scaled along."""
        if self.is_clip:  # no more of it is decoded than that takes
            pixels = video.read(self.path, fps=FPS, start=frame / FPS, frames=1, size=None, limits=LOCAL).frames[0]
        else:
            pixels = image.read(self.path, limits=LOCAL)
        if pixels.shape[0] != pixels.shape[1]:
            raise DataError(f"{self.path}: {pixels.shape[1]}x{pixels.shape[0]} pixels; the world's media are square")
        objects = self.frames[frame]
        if pixels.shape[0] == SIDE:
            return pixels, objects
        scale = SIDE / pixels.shape[0]
        scaled = [{**o, **{k: [v * scale for v in o[k]] for k in ("center", "box")}} for o in objects]
        return image.fit(pixels, SIDE), scaled


class Examples(Dataset[tuple[Tensor, ...]]):
    """Item n of training: pixels (Y, X, 3) uint8 and target maps; a pure function of (seed, n).

    Args:
        rows: what there is to learn from.
        seed: of order, frames and flips.
        count: items, over as many epochs as that takes.
        clip_share: share of the items that are frames of clips, where there are both.
    """

    def __init__(self, rows: Sequence[Labelled], seed: int, count: int, clip_share: float) -> None:
        self.seed, self.count = seed, count
        self.kinds = [[row for row in rows if row.is_clip == clips] for clips in (False, True)]
        self.clip_share = clip_share if all(self.kinds) else float(not self.kinds[0])

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        row, frame, turned = self.chosen(number)
        pixels, objects = row.read(frame)
        if turned:
            pixels, objects = pixels[:, ::-1], [_mirrored(o) for o in objects]
        return torch.from_numpy(pixels.copy()), *map(torch.from_numpy, targets(objects))

    def chosen(self, number: int) -> tuple[Labelled, int, bool]:
        """Of item `number`: which medium, which of its frames, and whether it is mirrored."""
        rng = np.random.default_rng([self.seed, number])
        clips = int(rng.random() < self.clip_share)
        rows = self.kinds[clips]
        row = rows[shuffled(number, len(rows), self.seed, clips, ORDER)]
        return row, int(rng.integers(len(row.frames))), bool(rng.random() < 0.5)


def _mirrored(thing: Found) -> Found:
    left, top, right, bottom = thing["box"]
    return {
        **thing,
        "center": [SIDE - thing["center"][0], thing["center"][1]],
        "box": [SIDE - right, top, SIDE - left, bottom],
    }


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


def labelled(folder: Path) -> list[Labelled]:
    """A world's pictures and clips, with what can be seen; DataError where there are none."""
    folder = Path(folder)
    path = folder / "metadata.jsonl"
    if not path.is_file():
        raise DataError(f"{folder}: no metadata.jsonl: give a folder that `triptych world tabletop` wrote")
    rows = []
    for row in read_jsonl(path):
        truth = row.get("truth")
        if truth and "objects" in truth:
            twin = (truth.get("impossible") or {}).get("twin_of")  # the same scene up to what can't be
            scene = row["sequence"]["id"] if row.get("sequence") else twin or row["file_name"]
            is_clip = "frames" in truth
            objects = truth["objects"]
            frames = [seen(objects, frame) for frame in truth["frames"]] if is_clip else [objects]
            if frames:
                rows.append(Labelled(folder / row["file_name"], scene, frames, is_clip))
    if not rows:
        raise DataError(f"{path}: no media with `truth`: give a folder that `triptych world tabletop` wrote")
    return rows


def split(rows: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    """Media for training, and the last 2% of each kind, kept apart; views of one scene stay on one side."""
    train: list[Labelled] = []
    held: list[Labelled] = []
    for clips in (False, True):
        kind = [row for row in rows if row.is_clip == clips]
        if not kind:
            continue
        cut = len(kind) - max(1, round(len(kind) * HELD))
        while cut > 1 and kind[cut].scene == kind[cut - 1].scene:
            cut -= 1
        if cut < 1:
            raise DataError(
                f"{kind[0].path.parent}: {len(kind)} {'clip' if clips else 'picture'}(s) are too few to train on and "
                "keep one apart: render more, or none"
            )
        train, held = train + kind[:cut], held + kind[cut:]
    return train, held
