"""Training the mover: of boxes that move, where they go on to.

Shapes as in data.motions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych import zoo
from triptych.config import RunConfig
from triptych.data.motions import MotionBatches
from triptych.device import device_of
from triptych.errors import ConfigError
from triptych.model.mover import Ahead, Mover

MAPS = 2  # times of a clip that are told ahead by one pass; more are told after these
HELD = 2000  # motions of validation
EDGES, SPREAD, STAYS = 0.5, 0.02, 0.02  # weights beside the distance of middles
NEAR = 1e-3  # of a side: nearer than that isn't asked for


class MoverJob:
    """The mover, on motions; see train.loop.Job.

    Raises:
        ConfigError: no model to start from.
        DataError: no motions, or of another frame rate than the model's.
    """

    def __init__(self, config: RunConfig) -> None:
        if config.start is None:
            raise ConfigError("start: a mover needs the model that it is to stand beside: start=MODEL")
        self.run, self.device = config, device_of(config.device)
        self.parts = zoo.load(config.start, "cpu")
        info, span = self.parts.info, self.parts.info.visual.span
        folders = [config.data, *config.more]
        torch.manual_seed(config.seed)
        self.before = self.parts.mover
        self.model = (Mover(span, MAPS * span) if self.before is None else copy.deepcopy(self.before)).to(self.device)
        self.batches = MotionBatches(folders, info.fps, span, self.model.ahead, config.batch, config.seed)

    def losses(self, batch: dict[str, Tensor], scale: Callable[[Tensor], None]) -> dict[str, float]:
        """See train.loop.Job."""
        batch = {name: part.to(self.device, non_blocking=True) for name, part in batch.items()}
        ahead = self._ahead(batch)
        off = _off(ahead, batch)
        told, judged = batch["told"], batch["judged"]
        edges = (ahead.edges - batch["later"]).abs().mean(-1)
        spread = ahead.spread + NEAR  # how sure it is learns from its errors, and leaves these alone
        unsure = spread.log() + off.detach() / spread
        stays = F.binary_cross_entropy_with_logits(ahead.stays, batch["stays"], reduction="none")
        known = told.sum().clamp_min(1)
        loss = ((off + EDGES * edges + SPREAD * unsure) * told).sum() / known
        loss = loss + STAYS * (stays * judged).sum() / judged.sum().clamp_min(1)
        scale(loss)
        return {
            "loss": float(loss.detach()),
            "off": float((off.detach() * told).sum() / known),
            "tokens": float(batch["there"].sum()),
        }

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """How far the middles of held-out things are off, in shares of a side; and if all stood still."""
        if not len(self.batches.held):
            return {}
        batch = self.batches.examples(self.batches.held[:HELD], None)
        batch = {name: part.to(self.device) for name, part in batch.items()}
        off, still = _off(self._ahead(batch), batch), _off(None, batch)
        told, out = batch["told"], {}
        for frames in range(self.model.span, self.model.ahead + 1, self.model.span):
            known = told[..., frames - 1]
            for name, value in (("off", off), ("still", still)):
                if known.any():  # motions may end before that
                    mean = float((value[..., frames - 1] * known).sum() / known.sum())
                    out[f"{name} after {frames} frames"] = mean
                    out |= {"loss": mean} if name == "off" else {}
        return out

    def _ahead(self, batch: dict[str, Tensor]) -> Ahead:
        return self.model(*(batch[name] for name in ("boxes", "shifts", "known", "there")))

    def sample(self, folder: Path, step: int) -> None:
        """Nothing to look at."""

    def describe(self) -> dict[str, str]:
        """The plan; see train.loop.Job."""
        return {
            "data": f"{len(self.batches.train):,} motions",
            "held out": f"{len(self.batches.held):,}",
            "weights": "new ones" if self.before is None else f"those of {self.parts.path}",
            "parameters": f"{sum(p.numel() for p in self.model.parameters()):,}",
            "device": str(self.device),
        }

    def export(self, folder: Path, made: dict[str, Any]) -> None:
        """Write the whole model that it started from, with the mover."""
        zoo.with_mover(folder, self.parts, self.model, made)


def _off(ahead: Ahead | None, batch: dict[str, Tensor]) -> Tensor:
    """(B, N, A): distances of middles from where they will be, as shares of a side; as they stand, without `ahead`."""
    wrong = batch["later"] if ahead is None else ahead.edges - batch["later"]
    return ((wrong[..., :2] + wrong[..., 2:]) / 2).square().sum(-1).add(NEAR**2).sqrt()
