"""The engine: ids in, ids out. Prompts of any lengths go through the network once; then the plan is followed
with a key/value cache, all rows side by side, guided rows beside their unconditional twins. What is drawn is decided
here; `paths` decides what computes it.

**Given codes.** Any codes of a map may be given; the others are drawn in raster order. A drawn code knows the prompt
and all codes above it and to its left in its row, whether given or drawn. It does not know given codes further on:
the seam at a hole's lower right side is left to chance. `Output.nats` says how likely each given code was where it
came up, so the best of several drawings by their sum fits best (likelihood weighting; Fung and Chang, 1989).

**Several positions a step.** Code i of a row is F_i^-1(u_i), the inverse of its cumulative distribution at a number
u_i that belongs to the place, not to the moment. So a map is the fixed point of "draw every code from the codes
before it", and the fixed point is reached by guessing: with `window` = W, the last final position and the guesses for
the W - 1 after it go through the network at once; each place is drawn anew by its own u_i; the guesses that come out
as they went in, from the first on, are final, and so is the first that doesn't, since all before it is right. The
others are the next guesses. Every final code was drawn from the same distribution by the same number as one by one:
the picture is the same, not only its distribution, whatever W is (up to rounding). A guess q with probability p(q) is
right with that probability, which is Leviathan's rule for a draft that is certain (arXiv 2211.17192); that the
outcome doesn't depend on the draft is the drafter invariance of arXiv 2408.07978; guessing by the model's own last
pass is Jacobi decoding (arXiv 2305.10427, 2410.01699).

**Any order.** A network that has learned the spelling `shuffle` is asked for a place by an id PLACE at that position,
in any order, and for several places in one pass (RandAR, arXiv 2412.01827). Given codes go first, so that what is drawn
knows all of them. The order is a row's own, by its seed. Codes of one pass don't know each other: with as many passes
as places the distribution is the network's own for that order, with fewer it is not. More places come with each pass
(the cosine schedule of MaskGIT, arXiv 2202.04200), since what is there decides more and more of the rest.

**Read together.** Several rows can write one text, as the same medium in several framings does: each id is chosen by
the mean of their log-probabilities, and read by all of them.

B rows, R rows with twins (B or 2B), W positions a pass, N places of a map, G codes a place, C visual codes,
d latent dimensions, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from triptych.config import LAID
from triptych.generate.grammar import DrawMap, Say, Step, Write, legal, unwound
from triptych.generate.line import Line, schedule
from triptych.generate.paths import choose, open_path
from triptych.generate.sample import UNKNOWN, Sampler, Sampling
from triptych.model.gpt import GPT
from triptych.sequence.layout import Row, Shown, grouped, map_positions, ungrouped
from triptych.sequence.vocab import Special


@dataclass
class Output:
    """What one row wrote: texts as sequence ids without END, maps (rows, columns) of codes, and for each map the
    log-probability (rows, columns) of each of its codes, drawn or given, with guidance and temperature."""

    texts: list[list[int]] = field(default_factory=list)
    maps: list[np.ndarray] = field(default_factory=list)
    nats: list[np.ndarray] = field(default_factory=list)


Progress = Callable[[int, int], None]
Watch = Callable[[list[np.ndarray]], None]


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
        self.grid = grid.to(self.device)
        self.choice = choose(model, precision, engine)
        self.path = open_path(model, self.choice)

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Row],
        plan: Sequence[Step],
        sampling: Sequence[Sampling],
        *,
        unconditional: Sequence[Row] | None = None,
        given: Sequence[Sequence[np.ndarray | None]] | None = None,
        window: int = 1,
        together: int = 1,
        progress: Progress | None = None,
        watch: Watch | None = None,
    ) -> list[Output]:
        """Follow `plan` after each prompt.

        Args:
            prompts: B rows, of any lengths of at least 1.
            plan: the steps, the same for all rows.
            sampling: B settings, one a row.
            unconditional: B prompts without the condition; needed where a row is guided.
            given: of each row, for each DrawMap of the plan, its codes (rows, columns) with UNKNOWN where they are to
                be drawn, or None where all are.
            window: positions of a map that go through the network at once; the result doesn't depend on it.
            together: rows, one after another, that say one text; what they say is sampled as the first of them asks.
            progress: called with (done, all) positions as the plan goes on.
            watch: called whenever another line of a map is there, with each row's codes (rows, columns), UNKNOWN
                where none are yet.

        Returns:
            B outputs.
        """
        if window < 1:
            raise ValueError(f"window={window}: at least one position is drawn at a time")
        if len(sampling) != len(prompts) or (unconditional is not None and len(unconditional) != len(prompts)):
            raise ValueError(f"{len(prompts)} prompts need as many samplings and unconditional prompts")
        if together < 1 or len(prompts) % together:
            raise ValueError(f"{len(prompts)} prompts can't be read {together} together")
        if together > 1 and any(isinstance(step, DrawMap) for step in plan):
            raise ValueError("only texts can be said together")
        if any(isinstance(step, Say) for step in plan[:-1]):
            raise ValueError("text of any length can only be a plan's last step: rows end at different places")
        guided = any(row.guidance != 1 for row in sampling)
        if guided and unconditional is None:
            raise ValueError("guidance needs the prompts without their condition")
        count, branches = len(prompts), 1 + guided
        # A single map fills up with guesses what other plans fill up with copies of the last row.
        full = 1 if len(plan) > 1 or any(isinstance(s, DrawMap) and s.passes for s in plan) else window
        least = -(-self.path.least // (branches * full))
        padded = [min(i, count - 1) for i in range(max(count, -(-least // together) * together))]
        prompts, sampling = [prompts[i] for i in padded], [sampling[i] for i in padded]
        twins = [unconditional[i] for i in padded] if guided and unconditional is not None else []
        sampler = Sampler(sampling, self.device)
        watched = watch and (lambda lines: watch(lines[:count]))
        run = _Run(self, [*prompts, *twins], plan, sampler, window, together, progress, watched)
        maps = 0
        for index, step in enumerate(plan):
            last = index == len(plan) - 1
            if isinstance(step, Write):
                run.write(step)
            elif isinstance(step, DrawMap):
                run.draw(step, self._known(step, [given[i][maps] if given else None for i in padded]), last)
                maps += 1
            else:
                run.say(step)
        return run.outputs[:count]

    def _known(self, step: DrawMap, given: Sequence[np.ndarray | None]) -> Tensor:
        """(B, N, G) codes that are given, UNKNOWN elsewhere."""
        group = self.model.config.group
        shape = (step.rows * group, step.columns * group)
        for codes in given:
            if codes is not None and codes.shape != shape:
                raise ValueError(f"given codes of shape {codes.shape} are no map of {shape}")
        maps = [np.full(shape, UNKNOWN) if codes is None else codes for codes in given]
        return torch.from_numpy(np.stack([grouped(codes, group) for codes in maps]).astype(np.int64)).to(self.device)


class _Run:
    """One generation: what was read, each row's next position, and the state that predicts what comes."""

    def __init__(
        self,
        engine: Engine,
        rows: list[Row],
        plan: Sequence[Step],
        sampler: Sampler,
        window: int,
        together: int,
        progress: Progress | None,
        watch: Watch | None,
    ) -> None:
        self.engine, self.config, self.sampler = engine, engine.model.config, sampler
        self.together = together
        self.joint = sampler if together == 1 else Sampler(sampler.rows[::together], engine.device)
        self.count, self.branches = len(sampler.rows), len(rows) // len(sampler.rows)
        self.outputs = [Output() for _ in range(self.count)]
        self.total = sum(_cost(step) for step in plan)
        self.done = 0
        self.window, self.progress, self.watch = window, progress, watch
        # Guesses beyond a map's end are written too, behind what is held, and written over.
        maps = [step for step in plan if isinstance(step, DrawMap)]
        longest = max([step.rows * step.columns for step in maps if not step.passes], default=0)
        places = sum(step.rows * step.columns for step in maps if step.passes)  # each has an id PLACE beside its codes
        self.session, self.state = engine.path.open(rows, sampler, self.total + longest + places)  # state (R, D)
        self.next = torch.tensor([row.next_position for row in rows], device=engine.device)
        self.shown = [row.shown for row in rows]
        self.plans = [list(row.plans) for row in rows]

    def write(self, step: Write) -> None:
        ids = torch.tensor(step.ids, device=self.engine.device).expand(len(self.next), -1)
        self._feed_text(ids)
        self._tick(len(step.ids))

    def say(self, step: Say) -> None:
        said: list[list[int]] = [[] for _ in self.joint.rows]
        open_ = [True] * len(said)
        first, later = (legal(count, self.config.vocabulary).to(self.engine.device) for count in (0, 1))
        for index in range(step.limit):
            ids = self._text(later if index else first)
            if not index and step.opening is not None:
                ids = torch.where(self._text_nats()[:, step.opening] >= step.least, step.opening, ids)
            for row, choice in enumerate(ids.tolist()):
                open_[row] = open_[row] and choice != Special.END
                if not open_[row]:
                    continue
                said[row].append(choice)
                if step.opening is None or not step.rounds:
                    continue
                once = unwound(said[row], step.opening, step.rounds)
                if once is not None:
                    said[row], open_[row] = once, False
            self._tick(1)
            if not any(open_) or index == step.limit - 1:
                break
            self._feed_text(ids.repeat_interleave(self.together).repeat(self.branches)[:, None])
        for row, output in enumerate(self.outputs):
            output.texts.append(said[row // self.together])

    def _text(self, legal: Tensor) -> Tensor:
        """The next id of each text, (B / together,); `legal` (K,) says which may come."""
        if self.together == 1:
            return self.session.choose_text(self.state[: self.count], legal)
        return self.joint(self._text_nats().masked_fill(~legal, -torch.inf))

    def _text_nats(self) -> Tensor:
        """(B / together, K) log-probabilities of the next id of each text, the mean of those who say it together; by
        torch on any path, since a text's last layer is a small part of it."""
        nats = self.engine.model.text_logits(self.state[: self.count]).float().log_softmax(-1)
        return nats.unflatten(0, (-1, self.together)).mean(1)

    def draw(self, step: DrawMap, known: Tensor, last: bool) -> None:
        """Draw one map; `known` (B, N, G) holds the codes that are given."""
        self.before, self.there = self._before(step)
        self.planned = self._planned(step)
        self.places = torch.from_numpy(map_positions(0, step.rows, step.columns)).to(known.device)
        codes, nats = (self._scatter if step.passes else self._raster)(step, known, last)
        shown = codes.repeat(self.branches, 1, 1)
        values = self.engine.grid[shown].flatten(2).cpu().numpy()
        self.shown = [Shown(step.rows, step.columns, *row) for row in zip(values, shown.cpu().numpy(), strict=True)]
        self.next = self.next + max(step.rows, step.columns)
        for output, drawn, likely in zip(self.outputs, self._maps(step, codes), self._maps(step, nats), strict=True):
            output.maps.append(drawn)
            output.nats.append(likely)

    def _raster(self, step: DrawMap, known: Tensor, last: bool) -> tuple[Tensor, Tensor]:
        """Codes and their log-probabilities (B, N, G) of a map, row by row."""
        count, columns, before = step.rows * step.columns, step.columns, self.done
        line = Line(known, self.sampler.take(count * known.shape[2]), self.window)
        copies = -(-self.engine.path.least // len(self.state))
        self._draw(line, self.state[:, None].expand(-1, copies, -1), line.at[:, None].expand(-1, copies))
        while line.low < count - 1:
            fed = line.at[:, None] + torch.arange(line.width(), device=known.device)  # (B, W)
            states = self._look(line.read(fed), fed.clamp_max(count - 1))
            right = line.read(fed + 1)
            self._draw(line, states, fed + 1)
            self.session.advance(line.advance(right, fed))
            self._tick(before + line.low + 1 - self.done)
            if (
                self.watch is not None
                and line.low + 1 < count
                and line.low // columns > (line.low - line.made) // columns
            ):
                self.watch(self._maps(step, line.so_far(columns)))
        self._tick(before + count - self.done)
        if not last:
            end = line.at[:, None]
            self.state = self._look(line.read(end), end)[:, -1]
            self.session.advance(1)
        return line.codes[:, :count], line.nats[:, :count]

    def _scatter(self, step: DrawMap, known: Tensor, last: bool) -> tuple[Tensor, Tensor]:
        """Codes and their log-probabilities (B, N, G) of a map, in any order; a code that was given has 0."""
        rows, count, slots = known.shape
        numbers = self.sampler.take(count)
        keys = self.sampler.numbers((numbers + torch.arange(count, device=known.device)).expand(rows, -1))
        whole = (known != UNKNOWN).all(2)
        order = (keys - 2 * whole.float()).argsort(dim=1, stable=True)  # (B, N), given places first
        line = Line(known, self.sampler.take(count * slots), 1)
        done = int(whole.sum(1).min())  # what some rows have given beyond that is kept when its turn comes
        fed = order[:, :done].repeat_interleave(2, 1)
        asks = torch.arange(2 * done, device=known.device) % 2 == 0  # PLACE and codes in turn, as in training

        def read(ahead: Tensor) -> Tensor:
            both = torch.cat([fed, ahead], 1)
            marks = torch.cat([asks, torch.ones(ahead.shape[1], dtype=torch.bool, device=known.device)])
            states = self._look(line.read(both), both, marks)
            self.session.advance(both.shape[1])
            return states[:, fed.shape[1] :] if ahead.shape[1] else states[:, -1:]

        self._tick(done)
        for end in (schedule(count - done, step.passes) + done).tolist():
            ahead = order[:, done:end]
            shares = torch.full_like(ahead, done) / count
            there, first = self._at(self.there, ahead), line.first + ahead * slots
            line.write(ahead, *self.session.choose_codes(read(ahead), there, first, line.known_at(ahead), shares))
            fed, asks = ahead, torch.zeros(end - done, dtype=torch.bool, device=known.device)
            self._tick(end - done)
            done = end
            if self.watch is not None and done < count:
                index = order[:, :done, None].expand(-1, -1, slots)
                seen = torch.full_like(known, UNKNOWN).scatter(1, index, line.codes.gather(1, index))
                self.watch(self._maps(step, seen))
        if not last:
            self.state = read(order[:, :0])[:, -1]
        return line.codes[:, :count], line.nats[:, :count] * ~whole[..., None]

    def _maps(self, step: DrawMap, values: Tensor) -> list[np.ndarray]:
        group = self.config.group
        return [ungrouped(row, group, step.rows * group, step.columns * group) for row in values.cpu().numpy()]

    def _draw(self, line: Line, states: Tensor, ahead: Tensor) -> None:
        """Draw the codes at positions `ahead` (B, W) from the states (R, W, D) before them, one after another."""
        inside = ahead.clamp_max(line.count - 1)
        first, progress = line.first + inside * self.config.slots, inside / line.count
        before = self._at(self.there, inside)
        line.write(ahead, *self.session.choose_codes(states, before, first, line.known_at(inside), progress))

    def _before(self, step: DrawMap) -> tuple[Tensor, Tensor]:
        """Of the map before one that is to be drawn: its values (R, N + 1, G*d), zero at its end, and its codes, plus
        one, (R, N, G); all zero where it has another size, or where there is none."""
        count, slots = step.rows * step.columns, self.config.slots
        values = np.zeros((len(self.shown), count + 1, slots * self.config.latent), np.float32)
        codes = np.zeros((len(self.shown), count, slots), np.int64)
        for row, shown in enumerate(self.shown):
            if shown is not None and (shown.rows, shown.columns) == (step.rows, step.columns):
                values[row, :count], codes[row] = shown.values, shown.codes + 1
        return torch.from_numpy(values).to(self.engine.device), torch.from_numpy(codes).to(self.engine.device)

    def _planned(self, step: DrawMap) -> Tensor:
        """What is planned for each place of a map, (R, N + 1, G*LAID), zero at its end. A prompt's plans are
        those of its first maps."""
        count = step.rows * step.columns
        table = np.zeros((len(self.plans), count + 1, self.config.slots * LAID), np.float32)
        for row, plans in enumerate(self.plans):
            plan = plans.pop(0) if plans else None
            if plan is not None:
                if len(plan) != count:
                    raise ValueError(f"a plan of {len(plan)} places is laid beside a map of {count}")
                table[row, :count] = plan
        return torch.from_numpy(table).to(self.engine.device)

    def _at(self, table: Tensor, places: Tensor) -> Tensor:
        """What a table (R, N, k) holds at places (B, W), for each row and its twin: (R, W, k)."""
        return table.gather(1, places.repeat(self.branches, 1)[..., None].expand(-1, -1, table.shape[2]))

    def _look(self, codes: Tensor, places: Tensor, asks: Tensor | None = None) -> Tensor:
        """States (R, W, D) of codes (B, W, G) at places (B, W) of the map; the session is left to be advanced.

        Where `asks` (W,) is true, not the codes are read but an id that asks for them.
        """
        both, where = codes.repeat(self.branches, 1, 1), places.repeat(self.branches, 1)
        ids = torch.full_like(where, Special.VISUAL)
        same, following = self._at(self.before, places), self._at(self.before, places + 1)
        planned = self._at(self.planned, places + 1)
        values = torch.cat([self.engine.grid[both].flatten(2), same, following, planned], 2)
        if asks is not None:
            ids[:, asks] = Special.PLACE
            values[:, asks] = 0.0
            values[..., 2 * same.shape[2] :] = 0.0  # which place is next is not known yet
        positions = self.places[where]
        positions[..., 0] += self.next[:, None]  # a map's time; its rows and columns are its own
        return self.session.read(ids, values, positions)

    def _feed_text(self, ids: Tensor) -> None:
        steps = torch.arange(ids.shape[1], device=ids.device)
        place = (self.next[:, None] + steps)[..., None].expand(-1, -1, 3)
        nothing = torch.zeros(*ids.shape, self.config.laid, device=ids.device)
        self.state = self.session.read(ids, nothing, place)[:, -1]
        self.session.advance(ids.shape[1])
        self.next = self.next + ids.shape[1]

    def _tick(self, count: int) -> None:
        self.done += count
        if self.progress is not None and count:
            self.progress(self.done, self.total)


def _cost(step: Step) -> int:
    if isinstance(step, Write):
        return len(step.ids)
    return step.rows * step.columns if isinstance(step, DrawMap) else step.limit
