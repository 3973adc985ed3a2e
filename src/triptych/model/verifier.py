"""The verifier, and the namer: a thing's words, and the pixels in its box -> whether that is what they show.

The GPT reads pictures by codes, and off them it finds what a drawing was meant to show where pixels hardly show it. The
verifier looks at pixels alone, closely: each box is cut out and enlarged, and marked in what was cut out, since other
things may stand before and beside what is in it.

The namer is such a network for what is read instead of drawn: it learns from moments of clips too, in which things hide
each other, and what can be told without colour it tells without it. Where training had purple cubes but no purple
cones, colour speaks against a cone, and its form doesn't.

N things, B pictures, Y, X pixels, W words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 64  # pixels of a cut-out
ROOM = 1.4  # its side, in longer sides of the box: edges and shadows tell what something is
LEAST = 0.03  # shares of the picture; smaller boxes are looked at as if that large
WIDTHS, BLOCKS = (64, 128), (2, 3)  # channels and residual blocks at strides 4 and 8 of a cut-out


class Block(nn.Module):
    """x + 1x1(relu(3x3(relu(x)))), the identity at first: it trains without norms, half the time on a CPU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, Y, X) -> the same."""
        return x + self.narrow(F.relu(self.wide(F.relu(x))))


class Verifier(nn.Module):
    """Cut-outs -> a logit of each word, that what is in the box is called so.

    Words stand for themselves, not for names: a red ball is known though training had no red ball, if it had red things
    and balls.

    Args:
        words: by language the text ids that words of things have, ascending.
        names: by language what things are called in what it learned from, of many the commonest.
        colourless: by language the ids of words that are told without colour.
    """

    def __init__(
        self,
        words: Mapping[str, Sequence[int]],
        names: Mapping[str, Sequence[str]] | None = None,
        colourless: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        self.colourless: Mapping[str, Sequence[int]] = colourless or {}
        self.words = {language: list(words[language]) for language in sorted(words)}
        self.names = {language: list(some) for language, some in (names or {}).items()}
        fine, coarse = WIDTHS
        self.look = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(4 * 16, fine, 3, padding=1),
            *(Block(fine) for _ in range(BLOCKS[0])),
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * fine, coarse, 1),
            *(Block(coarse) for _ in range(BLOCKS[1])),
            nn.ReLU(),
        )
        self.name = nn.Sequential(
            nn.Linear(2 * coarse + 4, 256), nn.ReLU(), nn.Linear(256, sum(map(len, self.words.values())))
        )
        self.register_load_state_dict_pre_hook(_see_no_marks)

    def forward(self, seen: Tensor, boxes: Tensor) -> Tensor:
        """Cut-outs (N, 4, SIDE, SIDE) in [0, 1] and their boxes (N, 4), see `cut_out` -> logits (N, W)."""
        maps = self.look(seen * 2 - 1)
        start, end = boxes.chunk(2, 1)
        where = torch.cat([start + end - 1, ((end - start).clamp_min(LEAST) * 7).log()], 1)  # log 1 for a common size
        return self.name(torch.cat([maps.mean((2, 3)), maps.amax((2, 3)), where], 1))

    def read(self, picture: Tensor, boxes: Sequence[Sequence[float]]) -> Tensor:
        """Bytes (Y, X, 3) of a picture, and boxes in it, see `cut_out` -> logits (N, W)."""
        places = torch.tensor(boxes, dtype=torch.float32, device=picture.device)
        owner = torch.zeros(len(boxes), dtype=torch.long, device=picture.device)
        seen = cut_out(picture[None], owner, places)
        told = self(seen, places)
        if not any(self.colourless.values()):
            return told
        without = torch.cat([self.target(of, self.colourless.get(of, ())) for of in self.words]).to(told)
        return torch.where(without > 0, self(grey(seen), places), told)

    def columns(self, language: str) -> slice:
        """Where the words of a language stand among all W."""
        before = [ids for other, ids in self.words.items() if other < language]
        first = sum(map(len, before))
        return slice(first, first + len(self.words[language]))

    def target(self, language: str, ids: Collection[int]) -> Tensor:
        """(W of the language,) float: 1 for each of its words that is among these text ids, else 0."""
        return torch.tensor([float(id_ in ids) for id_ in self.words[language]])


def cut_out(pictures: Tensor, owner: Tensor, boxes: Tensor) -> Tensor:
    """Squares about boxes, ROOM times as wide as their longer sides, each scaled to SIDE pixels.

    Args:
        pictures: bytes (B, Y, X, 3).
        owner: (N,) int64, which picture each box lies in.
        boxes: (N, 4) shares of the picture's sides (left, top, right, bottom).

    Returns:
        (N, 4, SIDE, SIDE) in [0, 1]: red, green, blue, and 1 within the box; beyond a picture's edge its last pixels
        go on.
    """
    rows, columns = pictures.shape[1:3]
    whole = boxes.new_tensor([columns, rows])
    start, end = boxes.chunk(2, 1)
    side = ((end - start) * whole).amax(1).clamp_min(LEAST * min(rows, columns)) * ROOM
    moves = torch.zeros(len(boxes), 2, 3, dtype=boxes.dtype, device=boxes.device)
    moves[:, 0, 0], moves[:, 1, 1] = side / columns, side / rows
    moves[:, :, 2] = start + end - 1
    grid = F.affine_grid(moves, [len(boxes), 3, SIDE, SIDE], align_corners=False)
    pixels = pictures.permute(0, 3, 1, 2).float() / 255
    seen = F.grid_sample(pixels[owner], grid, mode="bilinear", padding_mode="border", align_corners=False)
    far = (grid - moves[:, None, None, :, 2]).abs()  # from the box's middle, in halves of the picture's sides
    within = (far <= (end - start)[:, None, None]).all(-1, keepdim=True)
    return torch.cat([seen, within.permute(0, 3, 1, 2).to(seen)], 1)


def grey(seen: Tensor) -> Tensor:
    """Cut-outs (N, 4, SIDE, SIDE) without their colour."""
    luma = (seen[:, :3] * seen.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return torch.cat([luma.expand(-1, 3, -1, -1), seen[:, 3:]], 1)


def _see_no_marks(module: nn.Module, weights: dict[str, Tensor], *_: object) -> None:
    """Verifiers that were trained before boxes were marked in their cut-outs don't look at the marks."""
    first = weights.get("look.1.weight")
    if first is not None and first.shape[1] == 3 * 16:
        weights["look.1.weight"] = F.pad(first, (0, 0, 0, 0, 0, 16))


def misfit(logits: Tensor, named: Tensor, told: Tensor | None = None) -> Tensor:
    """How little words fit: the nats of which ones a thing has, and which ones it hasn't, as the verifier sees it.

    Args:
        logits: (N, W).
        named: (N, W), 1 for words that it has, else 0.
        told: (N, W), 1 for words of which that is known, else 0; all, if not given.

    Returns:
        (N,), at least 0.
    """
    nats = F.binary_cross_entropy_with_logits(logits, named, reduction="none")
    return (nats if told is None else nats * told).sum(1)
