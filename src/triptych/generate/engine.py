"""The engine: ids in, ids out. Prompts of any lengths go through the network once; then the plan is followed
with a key/value cache, all rows side by side, guided rows beside their unconditional twins. `paths` decides what runs
the steps.

B rows, G codes a position, C visual codes, d latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from triptych.generate.grammar import DrawMap, Say, Step, Write
from triptych.generate.paths import choose, open_path
from triptych.generate.sample import Sampler, Sampling
from triptych.model.gpt import GPT
from triptych.sequence.layout import Row, map_positions, ungrouped
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
        model: the network, in eval mode, on its device; weights that change later need a new engine.
        grid: (C, d) the latent of each visual code, from the visual tokenizer.
        precision: of the native path, as the model was exported: exact, fp32, bf16 or int8.
        engine: `native`, `torch` or `auto`; None follows the environment, see `paths`.
    """

    def __init__(self, model: GPT, grid: Tensor, *, precision: str = "exact", engine: str | None = None) -> None:
        self.model = model.eval()
        self.device = next(model.parameters()).device
        self.choice = choose(model, precision, engine)
        self.path = open_path(model, grid.to(self.device), self.choice)

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
    """One generation: the session that reads and chooses, and what was written so far."""

    def __init__(
        self,
        engine: Engine,
        rows: list[Row],
        plan: Sequence[Step],
        sampler: Sampler,
        progress: Progress | None,
    ) -> None:
        self.config = engine.model.config
        self.count = len(sampler.rows)
        self.outputs = [Output() for _ in range(self.count)]
        self.total = sum(_cost(step) for step in plan)
        self.done = 0
        self.progress = progress
        self.session = engine.path.open(rows, sampler, self.total)

    def write(self, step: Write) -> None:
        self.session.write(step.ids)
        self._tick(len(step.ids))

    def say(self, step: Say) -> None:
        said: list[list[int]] = [[] for _ in range(self.count)]
        open_ = [True] * self.count
        for index in range(step.limit):
            ids = self.session.choose_text(first=index == 0)
            for row, choice in enumerate(ids.tolist()):
                open_[row] = open_[row] and choice != Special.END
                if open_[row]:
                    said[row].append(choice)
            self._tick(1)
            if not any(open_) or index == step.limit - 1:
                break
            self.session.add_text(ids)
        for output, text in zip(self.outputs, said, strict=True):
            output.texts.append(text)

    def draw(self, step: DrawMap, last: bool) -> None:
        group = self.config.group
        places = map_positions(0, step.rows, step.columns).tolist()
        drawn = []
        for index, place in enumerate(places):
            codes = self.session.choose_codes(index / len(places))  # (B, G)
            drawn.append(codes)
            self._tick(1)
            if not (last and index == len(places) - 1):
                self.session.add_codes(codes, place)
        self.session.skip(max(step.rows, step.columns))
        whole = self.session.arrays(drawn)
        for codes, output in zip(whole, self.outputs, strict=True):
            output.maps.append(ungrouped(codes, group, step.rows * group, step.columns * group))

    def _tick(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)


def _cost(step: Step) -> int:
    if isinstance(step, Write):
        return len(step.ids)
    return step.rows * step.columns if isinstance(step, DrawMap) else step.limit
