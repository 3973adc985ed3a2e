"""A small CNN that finds the tabletop world's objects in a picture: the judge of drawing, trained apart from the GPT.

After CenterNet (Zhou et al., arXiv 1904.07850): a heat map of object centres at stride 8, and at each centre the place,
the box, and the shape, colour, material and size. `detector_training` trains it:

    python -m triptych.evaluate.detector recipes/detector.yaml data=WORLD out=MODEL

B batch, C channels, Y rows, X columns; y, x rows and columns of the heat map (Y/8, X/8).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from triptych.errors import ModelError
from triptych.files import write_atomically, write_json
from triptych.model.verifier import Block
from triptych.worlds.tabletop.scene import COLORS, MATERIALS, SHAPES, SIZES

CLASSES: dict[str, tuple[str, ...]] = {
    "shape": SHAPES[3],
    "color": tuple(COLORS),
    "material": MATERIALS,
    "size": SIZES,
}
SIDE, STRIDE, GRID = 224, 8, 28
THRESHOLD = 0.4  # heat from which a peak counts as an object
MOST = 16  # objects a picture
RECIPE = "python -m triptych.evaluate.detector recipes/detector.yaml data=WORLD out={out}"

Found = dict[str, Any]


class Detector(nn.Module):
    """Pixels -> heat map, places and attributes. 580,000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, 32, 3, padding=1),
            nn.ReLU(),
            nn.PixelUnshuffle(2),
            nn.Conv2d(128, 64, 1),
            *(Block(64) for _ in range(2)),
        )
        self.coarse = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(256, 96, 1),
            *(Block(96) for _ in range(4)),
            nn.ReLU(),
            nn.Conv2d(96, 64, 1),
        )
        self.merge = nn.Sequential(Block(64), Block(64), nn.ReLU())
        self.heads = nn.Conv2d(64, 5 + sum(map(len, CLASSES.values())), 1)
        with torch.no_grad():
            assert self.heads.bias is not None
            self.heads.bias[0] = -4.0  # centres are rare; without this the first steps only unlearn heat

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Pixels (B, 3, 224, 224) in [0, 1] -> maps (B, ., 28, 28).

        `heat` (1, a logit), `place` (4: centre from the cell's middle in cells, log of the box's sides in cells), and
        the logits of each attribute.
        """
        fine = self.fine(pixels * 2 - 1)
        out = self.heads(self.merge(fine + F.interpolate(self.coarse(fine), scale_factor=2.0)))
        parts = out.split([1, 4, *map(len, CLASSES.values())], 1)
        return dict(zip(("heat", "place", *CLASSES), parts, strict=True))

    @torch.inference_mode()
    def detect(self, pictures: np.ndarray, threshold: float = THRESHOLD) -> list[list[Found]]:
        """Pictures uint8 (B, Y, X, 3) -> the objects of each: {shape, color, material, size, center, box, score}.

        Centres and boxes are in pixels of the pictures as given; those that are not 224x224 are scaled for the network.
        """
        device = next(self.parameters()).device
        out: list[list[Found]] = []
        for chunk in torch.tensor(np.asarray(pictures)).split(64):
            pixels = chunk.to(device).permute(0, 3, 1, 2).float() / 255
            rows, columns = pixels.shape[2:]
            if (rows, columns) != (SIDE, SIDE):
                pixels = F.interpolate(pixels, (SIDE, SIDE), mode="bilinear", antialias=True)
            maps = {name: value.float().cpu() for name, value in self(pixels).items()}
            scale = np.array([columns / SIDE, rows / SIDE])
            out += [_read_maps({n: v[i] for n, v in maps.items()}, threshold, scale) for i in range(len(chunk))]
        return out


def _read_maps(maps: dict[str, Tensor], threshold: float, scale: np.ndarray) -> list[Found]:
    heat = maps["heat"].sigmoid()
    peak = (heat == F.max_pool2d(heat, 3, 1, 1))[0]
    values, order = (heat[0] * peak).flatten().sort(descending=True, stable=True)
    found: list[Found] = []
    for value, cell in zip(values[:MOST].tolist(), order[:MOST].tolist(), strict=True):
        if value < threshold:
            break
        row, column = divmod(cell, GRID)
        dx, dy, width, height = maps["place"][:, row, column].tolist()
        center = np.array([column + 0.5 + dx, row + 0.5 + dy]) * STRIDE * scale
        half = np.exp(np.clip([width, height], -3, 3)) * STRIDE * scale / 2
        # Two cells of one object may both be peaks where it lies between them.
        if any(np.hypot(*(center - o["center"])) < STRIDE * scale.mean() for o in found):
            continue
        looks = {name: names[int(maps[name][:, row, column].argmax())] for name, names in CLASSES.items()}
        box = [float(v) for v in (*(center - half), *(center + half))]
        found.append({**looks, "center": [float(v) for v in center], "box": box, "score": value})
    return found


def save(model: Detector, out: Path, facts: dict[str, Any]) -> None:
    """Write weights as fp16, and what they are."""
    out.mkdir(parents=True, exist_ok=True)
    tensors = {n: v.detach().to("cpu", torch.float16).contiguous() for n, v in model.state_dict().items()}
    write_atomically(out / "detector.safetensors", lambda file: save_file(tensors, file))
    write_json(out / "detector.json", {"format": 1, "classes": CLASSES, "side": SIDE, "threshold": THRESHOLD, **facts})


def load_detector(model_folder: Path | str, device: str = "cpu") -> Detector:
    """The detector that lies in a model's folder, in eval mode.

    Raises: ModelError if there is none (with the command that trains one), or it is damaged or of other classes.
    """
    folder = Path(model_folder)
    path = folder / "detector.safetensors"
    if not path.is_file():
        raise ModelError(f"{folder} holds no detector.safetensors: train one with `{RECIPE.format(out=folder)}`")
    try:
        facts = json.loads((folder / "detector.json").read_text(encoding="utf-8"))
        tensors = {name: value.float() for name, value in load_file(path).items()}
        known = {name: tuple(names) for name, names in facts["classes"].items()}
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        raise ModelError(f"{path}: can't be read: {error}; train it anew with `{RECIPE.format(out=folder)}`") from error
    if facts.get("format") != 1 or known != CLASSES:
        raise ModelError(
            f"{folder / 'detector.json'}: made for other classes; train it anew with `{RECIPE.format(out=folder)}`"
        )
    model = Detector()
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{path}: the weights don't fit: {str(error).splitlines()[-1].strip()}") from error
    return model.eval().to(device)


if __name__ == "__main__":
    from triptych.evaluate.detector_training import main  # here, since training imports this module

    sys.exit(main(sys.argv[1:]))
