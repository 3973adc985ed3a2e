"""Training the head for retrieval on a finished GPT: texts beside their media, against the others of the batch.

M texts, N media, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from triptych import zoo
from triptych.config import RunConfig
from triptych.data.loader import Rows
from triptych.data.pairs import Pairs, pairs
from triptych.data.shuffle import shuffled
from triptych.device import device_of
from triptych.errors import ConfigError, DataError
from triptych.generate.vectors import layer_of, vectors
from triptych.model.retrieval import RetrievalHead
from triptych.train import cut

TEXTS = 4  # at most so many of one medium
HELD = 500  # media of validation
ORDER = 11  # salt of this job's order


class PairBatches(Dataset[Tensor]):
    """Batch number `step`: one text of each of `batch` different media, as int64 (batch,) numbers of texts."""

    def __init__(self, pairs: Pairs, batch: int, seed: int) -> None:
        self.count, self.seed = len(pairs.media), seed
        self.batch = min(batch, self.count)
        self.first = np.searchsorted(pairs.owner, np.arange(self.count + 1))

    def __getitem__(self, step: int) -> Tensor:
        dice = np.random.default_rng([self.seed, step])
        media = [shuffled(step * self.batch + place, self.count, self.seed, 0, ORDER) for place in range(self.batch)]
        media = list(dict.fromkeys(media))  # a batch may reach over the end of an epoch
        return torch.tensor([int(dice.integers(self.first[m], self.first[m + 1])) for m in media])


class RetrievalJob:
    """The head on a prepared folder; see train.loop.Job. The GPT itself isn't changed.

    Raises:
        ConfigError: no model to start from. DataError: too few media with texts.
    """

    def __init__(self, config: RunConfig) -> None:
        if config.start is None:
            raise ConfigError("start: a head for retrieval needs the model whose vectors it reads: start=MODEL")
        self.run, self.device = config, device_of(config.device)
        self.parts = zoo.load(config.start, str(self.device))
        gpt, info = self.parts.need_gpt(), self.parts.info
        shards = cut.shards(config.data, config.more, self.parts, self.device)
        self.layer = layer_of(gpt)
        self.tables: list[tuple[Pairs, Tensor, Tensor]] = []
        for held, count in ((False, config.pairs), (True, HELD)):
            rows = Rows(shards, self.parts.text, gpt.config, fps=info.fps, span=info.visual.span, held=held)
            found = pairs(rows, count, TEXTS, config.seed)
            if len(found.media) < 2:
                raise DataError(f"{config.data}: {len(found.media)} media with texts to learn from; there must be two")
            media = torch.from_numpy(vectors(gpt, found.media, self.layer, visual=True)).to(self.device)
            texts = torch.from_numpy(vectors(gpt, found.texts, self.layer, visual=False)).to(self.device)
            self.tables.append((found, media, texts))
        self.mean = self.tables[0][1].mean(0)  # like media lie in one narrow cone: angles are taken from its middle
        torch.manual_seed(config.seed)
        self.model = RetrievalHead(gpt.config.width).to(self.device)
        self.batches = PairBatches(self.tables[0][0], config.batch, config.seed)

    def losses(self, batch: Tensor, scale: Callable[[Tensor], None]) -> dict[str, float]:
        """See train.loop.Job."""
        found, media, texts = self.tables[0]
        logits, same = self._logits(found, media, texts, batch)
        loss = (self._nats(logits, same) + self._nats(logits.T, same.T)) / 2
        scale(loss)
        right = float((logits.argmax(1).cpu() == torch.arange(len(batch))).float().mean())
        return {"loss": float(loss.detach()), "first": right, "tokens": float(len(batch))}

    def _logits(self, found: Pairs, media: Tensor, texts: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled cosines of texts with media, and which pairs beside the diagonal share a text."""
        owner = torch.from_numpy(found.owner)[numbers]
        names = torch.from_numpy(found.same)[numbers]
        pointed = self.model(texts[numbers.to(self.device)])
        there = F.normalize(media[owner.to(self.device)] - self.mean, dim=-1)
        same = (names[:, None] == names[None]) & ~torch.eye(len(names), dtype=torch.bool)
        return pointed @ there.T * self.model.scale.clamp(max=math.log(100)).exp(), same.to(self.device)

    @staticmethod
    def _nats(logits: Tensor, same: Tensor) -> Tensor:
        targets = torch.arange(len(logits), device=logits.device)
        return F.cross_entropy(logits.masked_fill(same, -1e4), targets)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Loss, and the shares of held-out texts whose own medium comes first and among the first five of all."""
        found, media, texts = self.tables[1]
        pointed = self.model(texts)
        cosines = pointed @ F.normalize(media - self.mean, dim=-1).T
        owner = torch.from_numpy(found.owner).to(self.device)
        own = cosines.gather(1, owner[:, None])
        rank = (cosines > own).sum(1)
        first = torch.from_numpy(np.searchsorted(found.owner, np.arange(len(media))))
        loss = self._nats(*self._logits(found, media, texts, first))
        return {
            "loss": float(loss),
            "first of all": float((rank == 0).float().mean()),
            "first five": float((rank < 5).float().mean()),
            "chance": 1 / len(media),
        }

    def sample(self, folder: Path, step: int) -> None:
        """Nothing to look at."""

    def describe(self) -> dict[str, str]:
        """The plan; see train.loop.Job."""
        found, held = self.tables[0][0], self.tables[1][0]
        return {
            "data": f"{len(found.media):,} media, {len(found.texts):,} texts",
            "held out": f"{len(held.media):,} media, {len(held.texts):,} texts",
            "vectors": f"{self.mean.numel()} numbers, of block {self.layer}",
            "parameters": f"{sum(p.numel() for p in self.model.parameters()):,}",
            "device": str(self.device),
        }

    def export(self, folder: Path, made: dict[str, Any]) -> None:
        """Write the model that it started from, with the head."""
        facts = {**self.parts.info.made, "retrieval": made}
        info = self.parts.info.model_copy(update={"made": facts, "name": Path(self.run.out).name})
        parts = self.parts
        others = parts.verifier, parts.namer, parts.mover
        zoo.save(folder, info, parts.text, parts.visual, parts.gpt, self.model, *others, dtype=torch.bfloat16)
