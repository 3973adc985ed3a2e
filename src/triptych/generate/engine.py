"""The engine: ids in, ids out. Prompts of any lengths go through the network once; then the plan is followed
with a key/value cache, all rows side by side, guided rows beside their unconditional twins.

B rows, R rows with twins (B or 2B), G codes a position, d latent dimensions, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from triptych.generate.grammar import DrawMap, Say, Step, Write, legal
from triptych.generate.sample import Sampler, Sampling
from triptych.model.gpt import GPT
from triptych.sequence.layout import Row, map_positions, ungrouped
from triptych.sequence.pack import collate
from triptych.sequence.vocab import Special


@dataclass
class Output:
    """What one row wrote: texts as sequence ids without END, and maps (rows, columns) of codes."""

    texts: list[list[int]] = field(default_factory=list)
    maps: list[np.ndarray] = field(default_factory=list)


Progress = Callable[[int, int], None]


class Engine:
    """Runs plans on a GPT.

    Args:
        model: the network, in eval mode, on its device.
        grid: (C, d) the latent of each visual code, from the visual tokenizer.
    """

    def __init__(self, model: GPT, grid: Tensor) -> None:
        self.model = model.eval()
        self.device = next(model.parameters()).device
        self.grid = grid.to(self.device)

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Row],
        plan: Sequence[Step],
        sampling: Sequence[Sampling],
        *,
        unconditional: Sequence[Row] | None = None,
        progress: Progress | None = None,
    ) -> list[Output]:
        """Follow `plan` after each prompt.

        Args:
            prompts: B rows, of any lengths of at least 1.
            plan: the steps, the same for all rows.
            sampling: B settings, one a row.
            unconditional: B prompts without the condition; needed where a row is guided.
            progress: called with (done, all) positions as the plan goes on.

        Returns:
            B outputs.
        """
        if len(sampling) != len(prompts) or (unconditional is not None and len(unconditional) != len(prompts)):
            raise ValueError(f"{len(prompts)} prompts need as many samplings and unconditional prompts")
        if any(isinstance(step, Say) for step in plan[:-1]):
            raise ValueError("text of any length can only be a plan's last step: rows end at different places")
        sampler = Sampler(sampling, self.device)
        if sampler.guided and unconditional is None:
            raise ValueError("guidance needs the prompts without their condition")
        twins = list(unconditional) if sampler.guided and unconditional is not None else []
        run = _Run(self, [*prompts, *twins], plan, sampler, progress)
        for index, step in enumerate(plan):
            last = index == len(plan) - 1
            if isinstance(step, Write):
                run.write(step)
            elif isinstance(step, DrawMap):
                run.draw(step, last)
            else:
                run.say(step)
        return run.outputs


class _Run:
    """One generation: the cache, each row's next position, and the state that predicts what comes."""

    def __init__(
        self,
        engine: Engine,
        rows: list[Row],
        plan: Sequence[Step],
        sampler: Sampler,
        progress: Progress | None,
    ) -> None:
        self.engine, self.model, self.sampler = engine, engine.model, sampler
        self.count = len(sampler.rows)
        self.outputs = [Output() for _ in range(self.count)]
        self.total = sum(_cost(step) for step in plan)
        self.done = 0
        self.progress = progress
        batch = collate(rows, engine.device)
        room = batch["ids"].shape[1] + self.total
        self.cache = self.model.new_cache(len(rows), room)
        states = self.model(batch["ids"], batch["values"], batch["is_visual"], batch["positions"], self.cache)
        lengths = torch.tensor([len(row) for row in rows], device=engine.device)
        self.cache.advance(lengths)
        self.state = states[torch.arange(len(rows)), lengths - 1]  # (R, D)
        self.next = torch.tensor([row.next_position for row in rows], device=engine.device)

    def write(self, step: Write) -> None:
        ids = torch.tensor(step.ids, device=self.engine.device).expand(len(self.next), -1)
        self._feed_text(ids)
        self._tick(len(step.ids))

    def say(self, step: Say) -> None:
        vocabulary = self.model.config.vocabulary
        said: list[list[int]] = [[] for _ in range(self.count)]
        open_ = [True] * self.count
        first, later = (legal(count, vocabulary).to(self.engine.device) for count in (0, 1))
        for index in range(step.limit):
            logits = self.model.text_logits(self.state[: self.count]).float()
            ids = self.sampler(logits.masked_fill(~(later if index else first), -torch.inf))
            for row, choice in enumerate(ids.tolist()):
                open_[row] = open_[row] and choice != Special.END
                if open_[row]:
                    said[row].append(choice)
            self._tick(1)
            if not any(open_) or index == step.limit - 1:
                break
            both = ids if len(self.next) == self.count else torch.cat([ids, ids])
            self._feed_text(both[:, None])
        for output, text in zip(self.outputs, said, strict=True):
            output.texts.append(text)

    def draw(self, step: DrawMap, last: bool) -> None:
        config, engine = self.model.config, self.engine
        positions = torch.from_numpy(map_positions(0, step.rows, step.columns)).to(engine.device)
        count = step.rows * step.columns
        drawn = []
        for index in range(count):
            codes = self._codes(index / count)  # (B, G)
            drawn.append(codes)
            self._tick(1)
            if last and index == count - 1:
                break
            both = codes if len(self.next) == self.count else torch.cat([codes, codes])
            values = engine.grid[both].flatten(1)[:, None]
            place = (positions[index] + self.next[:, None])[:, None]
            self._feed(torch.full_like(both[:, :1], Special.VISUAL), values, place)
        self.next = self.next + max(step.rows, step.columns)
        group = config.group
        for row, output in enumerate(self.outputs):
            whole = torch.stack([part[row] for part in drawn]).cpu().numpy()
            output.maps.append(ungrouped(whole, group, step.rows * group, step.columns * group))

    def _codes(self, progress: float) -> Tensor:
        """The G codes of the next position, one after another."""
        rows = len(self.next)
        codes = torch.zeros(rows, 0, dtype=torch.long, device=self.engine.device)
        for _ in range(self.model.config.slots):
            logits = self.model.code_logits(self.state, codes)[:, -1].float()
            if rows != self.count:
                with_, without = logits.log_softmax(-1).chunk(2)
                logits = without + self.sampler.guidance(progress) * (with_ - without)
            chosen = self.sampler(logits)
            codes = torch.cat([codes, chosen.repeat(rows // self.count)[:, None]], 1)
        return codes[: self.count]

    def _feed_text(self, ids: Tensor) -> None:
        steps = torch.arange(ids.shape[1], device=ids.device)
        place = (self.next[:, None] + steps)[..., None].expand(-1, -1, 3)
        width = self.model.config.slots * self.model.config.latent
        self._feed(ids, torch.zeros(*ids.shape, width, device=ids.device), place)
        self.next = self.next + ids.shape[1]

    def _feed(self, ids: Tensor, values: Tensor, positions: Tensor) -> None:
        dtype = self.state.dtype
        states = self.model(ids, values.to(dtype), ids == Special.VISUAL, positions, self.cache)
        self.cache.advance(ids.shape[1])
        self.state = states[:, -1]

    def _tick(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)


def _cost(step: Step) -> int:
    if isinstance(step, Write):
        return len(step.ids)
    return step.rows * step.columns if isinstance(step, DrawMap) else step.limit
