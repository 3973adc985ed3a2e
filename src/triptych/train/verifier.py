"""Training the verifier, or the namer: off the pixels of a box, which words name what is in it.

N things, W words, B pictures, Y, X pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych import zoo
from triptych.config import RunConfig
from triptych.data.things import NAMES, Labelled, ThingBatches
from triptych.device import autocast, device_of
from triptych.errors import ConfigError, DataError, MediaError
from triptych.model.verifier import Verifier, cut_out, grey, misfit
from triptych.train.degrade import degrade

HELD = 256  # pictures of validation
BARE = 0.5  # share of things that are shown without colour
OFTEN = 8  # held-out things that must have a word before it is known how it is told
AS_GOOD, ALMOST = 1.5, 0.003
"""Times, and nats, by which a word may be told worse without colour, and is told without it all the same."""


class VerifierJob:
    """The verifier, or the namer, on prepared folders; see train.loop.Job.

    Raises:
        ConfigError: no model to start from.
        DataError: no pictures (for a namer, or clips) with objects, or of another size than the model's.
    """

    def __init__(self, config: RunConfig) -> None:
        if config.start is None:
            raise ConfigError(f"start: a {config.kind} needs the model that it is to stand beside: start=MODEL")
        self.run, self.device = config, device_of(config.device)
        self.parts = zoo.load(config.start, str(self.device))
        self.names = config.kind == "namer"
        folders, encode = [config.data, *config.more], self.parts.text.encode
        self.batches = ThingBatches(folders, encode, config.batch, config.seed, moments=self.names)
        for prepared in self.batches.prepared:
            if prepared.settings.size != self.parts.info.size:
                raise DataError(
                    f"{prepared.folder}: pictures of {prepared.settings.size} pixels, the model draws "
                    f"{self.parts.info.size}: prepare them with `--size {self.parts.info.size}`"
                )
        torch.manual_seed(config.seed)
        self.model = Verifier(self.batches.words, self.batches.names).to(self.device)
        self.before = self.parts.namer if self.names else self.parts.verifier
        if self.before is not None and self.before.words == self.model.words:
            self.model.load_state_dict(self.before.state_dict())
        else:
            self.before = None

    def losses(self, batch: dict[str, Tensor], scale: Callable[[Tensor], None]) -> dict[str, float]:
        """See train.loop.Job. Pictures are made worse, as drawn ones are: what only sharp pixels tell counts less. To
        the namer half of the things are shown without colour, so that what else tells words is learned too."""
        batch = {name: part.to(self.device, non_blocking=True) for name, part in batch.items()}
        random = torch.Generator().manual_seed(int(batch["seed"]))  # as the rest of a batch, by its step alone
        seen = cut_out(batch["pictures"], batch["owner"], batch["boxes"])
        seen = torch.cat([degrade(seen[:, :3], random), seen[:, 3:]], 1)
        if self.names:
            bare = torch.rand(len(seen), generator=random) < BARE
            seen = torch.where(bare[:, None, None, None].to(seen.device), grey(seen), seen)
        with autocast(self.run.precision, self.device):
            logits = self.model(seen, batch["boxes"])
        loss = misfit(logits.float(), batch["named"], batch["told"]).mean()
        scale(loss)
        return {"loss": float(loss.detach()), "tokens": float(len(batch["boxes"]))}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Nats a thing of held-out pictures, and the share of things whose own name fits them best of all names."""
        self.model.colourless = self._colourless() if self.names else {}
        names = self._names()
        total, count = 0.0, 0
        hits: list[bool] = []
        for row in self.batches.held[:HELD]:
            try:
                logits = self._logits(row)
            except MediaError:  # vanished since it was cleaned: a run of hours doesn't end for it
                continue
            for scores, (_, named) in zip(logits, row.things, strict=True):
                for language, ids in named.items():
                    own, columns = self.model.target(language, ids), self.model.columns(language)
                    part = scores[columns].float().cpu()
                    total, count = total + float(misfit(part[None], own[None])), count + 1
                    best = int(misfit(part.expand_as(names[language]), names[language]).argmin())
                    hits.append(bool((names[language][best] == own).all()))
        return {"loss": total / max(count, 1), "name first": sum(hits) / max(count, 1)}

    def _names(self) -> dict[str, Tensor]:
        """By language the different names that things have: (names, W of the language)."""
        counts: dict[str, Counter[frozenset[int]]] = {}
        for row in [*self.batches.train, *self.batches.held[:HELD]]:
            for _, named in row.things:
                for language, ids in named.items():
                    counts.setdefault(language, Counter())[ids] += 1
        return {
            language: torch.stack([self.model.target(language, ids) for ids, _ in of.most_common(NAMES)])
            for language, of in counts.items()
        }

    def _colourless(self) -> dict[str, list[int]]:
        """By language the ids of words that are told of held-out things as well, or almost, without colour."""
        costs = torch.zeros(2, sum(map(len, self.model.words.values())))
        things, so = torch.zeros(len(costs[0])), torch.zeros(len(costs[0]))  # with words told, and with each word
        for row in self.batches.held[:HELD]:
            looks = []
            try:
                for colourless in ({}, self.model.words):
                    self.model.colourless = colourless
                    looks.append(self._logits(row).float().cpu())
            except MediaError:
                continue
            for place, (_, named) in enumerate(row.things):
                for language, ids in named.items():
                    own, columns = self.model.target(language, ids), self.model.columns(language)
                    things[columns] += 1
                    so[columns] += own
                    for cost, look in zip(costs, looks, strict=True):
                        cost[columns] += F.binary_cross_entropy_with_logits(look[place, columns], own, reduction="none")
        with_, without = costs / things.clamp_min(1)
        enough = ((without <= AS_GOOD * with_ + ALMOST) & (so >= OFTEN)).tolist()
        return {
            language: [id_ for id_, good in zip(ids, enough[self.model.columns(language)], strict=True) if good]
            for language, ids in self.model.words.items()
        }

    def _logits(self, row: Labelled) -> Tensor:
        return self.model.read(torch.from_numpy(self.batches.read(row)).to(self.device), [box for box, _ in row.things])

    def sample(self, folder: Path, step: int) -> None:
        """Nothing to look at."""

    def describe(self) -> dict[str, str]:
        """The plan; see train.loop.Job."""
        words = ", ".join(f"{len(ids)} ({language or 'no language'})" for language, ids in self.batches.words.items())
        things = sum(len(row.things) for row in self.batches.train)
        return {
            "data": f"{len(self.batches.train):,} pictures{' and moments of clips' * self.names}, {things:,} things",
            "held out": f"{len(self.batches.held):,} of them"
            if self.batches.apart
            else "none: some of training instead",
            "words": words,
            "weights": "new ones" if self.before is None else f"those of {self.parts.path}",
            "parameters": f"{sum(p.numel() for p in self.model.parameters()):,}",
            "device": str(self.device),
        }

    def export(self, folder: Path, made: dict[str, Any]) -> None:
        """Write the whole model that it started from, with the verifier or namer."""
        (zoo.with_namer if self.names else zoo.with_verifier)(folder, self.parts, self.model, made)
