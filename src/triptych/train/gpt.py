"""Training the GPT: next-token loss on text and codes, over all spellings of the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from triptych import zoo
from triptych.config import READ, RunConfig
from triptych.data.batches import Batches
from triptych.data.loader import MEDIA, SUBSETS, THINNED, Rows
from triptych.device import autocast, device_of
from triptych.errors import ConfigError, DataError
from triptych.model.gpt import GPT
from triptych.sequence.layout import Row
from triptych.sequence.pack import collate
from triptych.sequence.vocab import Special, size
from triptych.train import cut, precision
from triptych.train.growth import fitted
from triptych.train.loss import choose, compiled, counts, losses, sums
from triptych.train.summary import Learner

Z_LOSS = 1e-4  # keeps the logits' normaliser near 1 (PaLM, arXiv 2204.02311)
VALIDATION_ROWS = 128
VISUAL = ("tokenizer", "first decoder", "decoder")  # facts of a model that tell of its visual tokenizer
Preview = Callable[[zoo.Bundle, Path, int], None]


class GPTJob:
    """The GPT on a prepared folder; see train.loop.Job.

    Args:
        config: the run.
        preview: draws and captions for a person to look at; it comes from outside, since training knows no tasks.
    """

    def __init__(self, config: RunConfig, preview: Preview | None = None) -> None:
        self.run, self.preview = config, preview
        self.device = device_of(config.device)
        prepared = Path(config.data)
        if config.new_codes and not config.start:
            raise ConfigError("new_codes=true is for a GPT that goes on learning: give start=MODEL, or leave it out")
        if config.blend < 1 and (config.new_codes or not config.start):
            raise ConfigError(f"blend={config.blend:g} mixes in the weights of a model that knows the same codes: "
                              "give start=MODEL, and no new_codes, or leave it out")  # fmt: skip
        start = zoo.load(config.start, str(self.device)) if config.start else None
        self.parts = zoo.load(prepared / "tokenizers", str(self.device))
        self.other_decoder, self.added = False, 0
        self.began: dict[str, Tensor] = {}
        if start is not None:
            if start.info.visual.levels != self.parts.info.visual.levels:
                raise DataError(
                    f"{prepared} was cut with codes of levels {self.parts.info.visual.levels}, and {start.path} reads "
                    f"{start.info.visual.levels}: prepare it again with --tokenizer {start.path}"
                )
            known = cut.same_codes(start.visual, self.parts.visual)
            if not (config.new_codes or known):
                raise DataError(
                    f"{prepared} was cut with another visual tokenizer than {start.path} reads: "
                    f"prepare it again with --tokenizer {start.path}, or let the GPT learn other codes (new_codes=true)"
                )
            if known:  # a decoder may have been trained on since the data was cut: that of `start` goes on with its GPT
                self.other_decoder = not cut.same(start.visual, self.parts.visual)
                self.parts.visual = start.visual
                self.parts.info = self.parts.info.model_copy(update={"visual": start.info.visual})
            self.parts.verifier, self.parts.namer = start.verifier, start.namer
            self.parts.mover = start.mover if _same_times(start.info, self.parts.info) else None
            self.parts.text = start.text  # shards hold texts as they are: they are spelled in the ids that it knows
        self.config = config.gpt.model_copy(
            update={
                "vocabulary": size(self.parts.text.size),
                "codes": self.parts.info.visual.codes,
                "latent": len(self.parts.info.visual.levels),
            }
        )
        torch.manual_seed(config.seed)
        made = start.info.made if start is not None else {}
        self.planned: dict[str, Any] = {
            name: made[name] for name in ("planned", "plan languages", "plan ids") if name in made
        }
        self.past = _past(made)
        if start is not None and self.parts.visual is not start.visual:
            self.past = {name: facts for name, facts in self.past.items() if name not in VISUAL}
        self.known: list[str] | None = [] if start is None or config.new_codes else made.get("spellings")
        if start is not None:
            before = start.need_gpt()
            own = {name: getattr(self.config, name) for name in ("dropout", *READ)}
            own["extra"] = max(self.config.extra, before.config.extra)
            self.config = before.config.model_copy(update=own)
            self.gpt = GPT(self.config)
            self.gpt.load_state_dict(fitted(before, self.gpt))
            self.added = len(self.gpt.blocks) - len(before.blocks)
            if config.blend < 1:
                self.began = {n: value.to(self.device, copy=True) for n, value in self.gpt.state_dict().items()}
        else:
            self.gpt = GPT(self.config)
        self.model = Learner(self.gpt, summary=config.summary > 0).to(self.device)
        self.sums: Callable[..., Any] = compiled() if config.compile else sums
        shards = cut.shards(prepared, config.more, self.parts, self.device)
        info = self.parts.info

        def rows(held: bool) -> Rows:
            drop, thinned = (0.0, 0.0) if held else (config.drop, THINNED)
            return Rows(
                shards,
                self.parts.text,
                self.config,
                fps=info.fps,
                span=info.visual.span,
                drop=drop,
                thinned=thinned,
                held=held,
            )

        self.rows, self.held = rows(False), rows(True)
        multiple, least = 16, 0.7
        if self.device.type == "cuda":
            # A GPU is done with a part before the next one's kernels are launched: fewer parts, of which more is
            # padding.
            multiple, least = 64, 0.55
        self.batches = Batches(self.rows, config.mix, config.batch, config.seed, multiple=multiple, least=least)
        if not self.batches.counts:
            raise DataError(f"{prepared / 'shards'}: no window fits the spellings {list(config.mix) or list(MEDIA)}")
        self.bits: dict[str, float] = {}
        # What it learned before and isn't taught now it still does, and is known to do by its bits of then.
        self.bits_before = start.info.bits if start is not None and not config.new_codes else {}

    def losses(self, batch: list[dict[str, Tensor]], scale: Callable[[Tensor], None]) -> dict[str, float]:
        """See train.loop.Job: text ids and codes count by their means, so that neither drowns the other."""
        totals = np.sum([counts(part, self.config.slots) for part in batch], 0)
        text_total, code_total = max(totals[0], 1.0), max(totals[1], 1.0)
        text = code = rest = torch.zeros((), device=self.device)
        wanted = self.config.codes if self.run.summary else 0
        tokens = 0
        for part in batch:
            part = {name: value.to(self.device, non_blocking=True) for name, value in choose(part, wanted).items()}
            with autocast(self.run.precision, self.device):
                text_nats, code_nats, rest_nats, z = self.sums(self.model, part)
            loss = text_nats / text_total + code_nats / code_total
            loss = loss + self.run.summary * rest_nats / code_total * self.config.slots
            scale(loss + Z_LOSS * z / (text_total + code_total))
            text, code, rest = text + text_nats.detach(), code + code_nats.detach(), rest + rest_nats.detach()
            tokens += part["ids"].numel()
        # The only wait for the device in here, and after all of the work is under way.
        text_nat, code_nat, rest_nat = torch.stack([text, code, rest]).tolist()
        text_mean, code_mean = text_nat / text_total, code_nat / code_total
        more = {"summary": rest_nat / code_total * self.config.slots} if self.run.summary else {}
        return {
            "loss": text_mean + code_mean,
            "bits/text": text_mean / math.log(2),
            "bits/code": code_mean / math.log(2),
            **more,
            "tokens": float(tokens),
        }

    @contextmanager
    def _blended(self) -> Iterator[None]:
        """The weights that are validated and exported, for a while (see RunConfig.blend)."""
        kept = {name: value.clone() for name, value in self.gpt.state_dict().items()}
        began = self.began or kept
        try:
            self.gpt.load_state_dict({n: torch.lerp(began[n], value, self.run.blend) for n, value in kept.items()})
            yield
        finally:
            self.gpt.load_state_dict(kept)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Bits per code and per text id for each spelling, and what the right text gains over a wrong one; none where
        nothing is held out.

        `bits`, which the model keeps, also tells the deviation of bits per code between media: what is unlike the data
        is known by it (see tasks.surprisal).
        """
        with self._blended():
            return self._scores()

    def _scores(self) -> dict[str, float]:
        scores: dict[str, float] = {}
        spread: dict[str, float] = {}
        whole = np.zeros((2, 2))
        for tag, name in enumerate(self.batches.counts):
            if not self.held.has(name):
                continue
            number = min(VALIDATION_ROWS, len(self.held.items[MEDIA[name]]))
            rows = [self.held.spell(name, i, np.random.default_rng([1, tag, i])) for i in range(number)]
            table = self._nats(rows)
            nats, weights = table.sum(0).T
            whole += table.sum(0)
            for index, unit in enumerate(("text", "code")):
                if weights[index]:
                    scores[f"{name} bits/{unit}"] = nats[index] / weights[index] / math.log(2)
            drawn = table[table[:, 1, 1] > 0, 1]
            if len(drawn) > 1:
                spread[f"{name} bits/code deviation"] = float((drawn[:, 0] / drawn[:, 1]).std(ddof=1) / math.log(2))
        if self.held.has("draw"):
            scores["text gain"] = self._text_gain() / math.log(2)
        self.bits = {name: round(value, 4) for name, value in (scores | spread).items()}
        if not scores:
            return {}
        mean = whole[:, 0] / np.maximum(whole[:, 1], 1)
        return {"loss": float(mean.sum()), **scores}

    def _nats(self, rows: list[Row]) -> np.ndarray:
        """(N, 2, 2): of each row, the weighted nats of its text ids and of its codes, and what they weigh."""
        out = []
        for first in range(0, len(rows), 16):
            some = rows[first : first + 16]
            chosen = choose(collate(some, multiple=16))
            batch = {name: value.to(self.device) for name, value in chosen.items()}
            with autocast(self.run.precision, self.device):
                text, code, _, _ = losses(self.model, batch)
            table = np.zeros((len(some), 2, 2))
            for unit, (nats, places) in enumerate(((text, "text_places"), (code.sum(1), "code_places"))):
                np.add.at(table[:, unit, 0], chosen[places].numpy() // chosen["ids"].shape[1], nats.cpu().numpy())
            for place in range(len(some)):
                part = {name: chosen[name][place : place + 1] for name in ("weights", "is_visual")}
                table[place, :, 1] = counts(part, self.config.slots)
            out.append(table)
        return np.concatenate(out)

    def _text_gain(self) -> float:
        """Nats a code that drawing gains when the text is the picture's own and not that of one far from it.

        A neighbour may be another view of the same scene, and of the same text.
        """
        number = min(VALIDATION_ROWS, len(self.held.items["picture"]))
        right = [self.held.spell("draw", i, np.random.default_rng([2, i])) for i in range(number)]
        wrong = [_with_text_of(right[i], right[i - number // 2]) for i in range(number)]
        mine, theirs = self._nats(right)[:, 1].sum(0), self._nats(wrong)[:, 1].sum(0)
        return float((theirs[0] - mine[0]) / max(mine[1], 1))

    def sample(self, folder: Path, step: int) -> None:
        """Pictures and captions from fixed prompts, by the preview that was passed in."""
        if self.preview is not None:
            with self._blended():
                self.preview(self._bundle(), folder, step)

    def describe(self) -> dict[str, str]:
        """The plan; see train.loop.Job."""
        config, parameters = self.config, sum(p.numel() for p in self.gpt.parameters())
        media = {name: len(items) for name, items in self.rows.items.items() if len(items) and name not in SUBSETS}
        known = sum(len(self.rows.items[name]) for name in ("boxed", "tracked"))
        boxed = f" ({known:,} with boxes)" if known else ""
        rows = ", ".join(f"{count} {name}" for name, count in self.batches.counts.items())
        state = parameters * 4 * (5 if self.run.optim.ema else 4)
        added = f" ({self.added} of them new)" if self.added else ""
        return {
            "data": ", ".join(f"{count:,} {name}s" for name, count in media.items()) + boxed,
            "held out": ", ".join(f"{len(self.held.items[name]):,} {name}s" for name in media),
            "rows a step": rows,
            "network": f"depth {config.layers}{added}, width {config.width}, {config.heads} heads, "
            f"{config.group}x{config.group} codes a position",
            "parameters": f"{parameters:,}",
            "cost a token": f"{6 * parameters / 1e6:.0f} MFLOP in training, {2 * parameters / 1e6:.0f} in use, "
            f"{config.cache_bytes / 1024:.1f} KiB of cache",
            "memory of weights and optimiser": f"{state / 2**20:,.0f} MiB",
            **({"decoder": f"of {self.run.start}, not that of the data"} if self.other_decoder else {}),
            "device": str(self.device),
        }

    def export(self, folder: Path, made: dict[str, Any]) -> None:
        """Write the model folder; weights as bfloat16 halve its size. Then choose the native engine's precision."""
        bundle = self._bundle(made)
        with self._blended():
            zoo.save(
                folder,
                bundle.info,
                bundle.text,
                bundle.visual,
                self.gpt,
                verifier=self.parts.verifier,  # it reads pixels, whatever the GPT learns
                namer=self.parts.namer,
                mover=self.parts.mover,
                dtype=torch.bfloat16,
            )
            precision.store(folder, precision.measure(self.gpt, self.held))

    def _bundle(self, made: dict[str, Any] | None = None) -> zoo.Bundle:
        info = self.parts.info.model_copy(
            update={
                "gpt": self.config,
                "bits": {**self.bits_before, **self.bits},
                "made": self.past | (made or {}) | self._data(),
                "name": Path(self.run.out).name,
            }
        )
        return zoo.Bundle(Path(self.run.out), info, self.parts.text, self.parts.visual, self.gpt)

    def _data(self) -> dict[str, Any]:
        """What the model learned from; its languages are read off the texts of some windows."""
        shards = self.rows.shards
        some = np.unique(np.linspace(0, len(shards) - 1, 500).astype(int))
        tags = {text.lang for index in some for text in shards.record(int(index)).texts}
        counts = {name: len(items) for name, items in self.rows.items.items() if name not in SUBSETS}
        facts: dict[str, Any] = {"languages": sorted(tags) or [""], "data": counts}
        if self.known is not None:
            facts["spellings"] = sorted({*self.known, *self.batches.counts})
        return facts | self._plans()

    def _plans(self) -> dict[str, Any]:
        """What plans it learned to write and to draw by, whether it reads them off pictures (things) and clips (track),
        and in which words; with what it began with."""
        rows, learned = self.rows, self.batches.counts.keys()
        of: list[str] = []
        known: list[int] = []  # some media of whose things it learned
        if {"plan", "lay"} <= learned:  # both only where there are pictures with boxes
            boxed = set(rows.items["boxed"].tolist())
            last = {"view": [part[-1] for part in rows.items["sequence"]], "edit": rows.items["edit"][:, 1].tolist()}
            of += [name for name, found in last.items() if {name, "foresee"} <= learned and boxed.intersection(found)]
            of += ["things"] if {"things", "read"} & learned else []
            known += sorted(boxed)[:: max(1, len(boxed) // 500)]
        if {"track", "predict"} <= learned:
            of.append("track")
            tracked = rows.items["tracked"].tolist()
            known += tracked[:: max(1, len(tracked) // 500)]
        if not known:
            return self.planned
        texts = [text for index in known for item in rows.shards.record(index).objects for text in item.texts]
        told: dict[str, list[Any]] = {
            "planned": of,
            "plan languages": sorted({text.lang for text in texts}),
            "plan ids": sorted({id_ for text in texts for id_ in rows.encode(text.text)}),
        }
        return {name: [*dict.fromkeys([*self.planned.get(name, []), *value])] for name, value in told.items()}


def _same_times(one: zoo.ModelInfo, other: zoo.ModelInfo) -> bool:
    """Whether two models tell times that lie as many frames and as long apart, as their movers learned it."""
    return (one.visual.span, one.fps) == (other.visual.span, other.fps)


def _past(made: dict[str, Any]) -> dict[str, Any]:
    """Of the facts of a model that learns on, those of its other parts, and what its GPT went through `before`."""
    others = (*VISUAL, "verifier", "namer", "mover")
    own = {name: made[name] for name in ("steps", "hours", "device", "recipe", "data", "before") if name in made}
    return {name: made[name] for name in others if name in made} | ({"before": own} if own else {})


def _with_text_of(row: Row, other: Row) -> Row:
    """A drawing row with another row's text."""

    def split(r: Row) -> int:
        return int(np.flatnonzero(r.ids == Special.DRAW)[0])

    mine, theirs = split(row), split(other)

    def join(name: str, move: np.ndarray | int = 0) -> np.ndarray:
        return np.concatenate([getattr(other, name)[:theirs], getattr(row, name)[mine:] + move])

    # What comes after the text comes so much later; rows and columns of maps stay what they are.
    text = (row.ids[mine:] != Special.VISUAL)[:, None]
    later = (theirs - mine) * np.where(text, [1, 1, 1], [1, 0, 0])
    ids, values, codes, before, weights = map(join, ("ids", "values", "codes", "before", "weights"))
    return Row(ids, values, codes, before, join("positions", later), weights)
