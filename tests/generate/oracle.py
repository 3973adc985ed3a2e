"""The naive loop: the whole sequence through the network for every single id, no cache, one row at a time.

Slow and plain on purpose: it is what the engine must equal, token for token.
"""

from __future__ import annotations

import numpy as np
import torch

from triptych.generate.engine import Output
from triptych.generate.grammar import Say, Write, legal
from triptych.generate.sample import Sampler
from triptych.sequence.layout import Builder, Map, grouped, ungrouped
from triptych.sequence.pack import collate
from triptych.sequence.vocab import Special


@torch.inference_mode()
def naive(model, grid, build, plan, sampling, build_twin=None, given=None):
    """`build(builder)` writes the prompt; `given` holds codes for each map, -1 where they are to be drawn; returns the
    Output of one row."""
    config, sampler, output = model.config, Sampler([sampling], torch.device("cpu")), Output()
    done = []  # what was generated, as functions that repeat it on a fresh builder

    def state(prompt, said=()):
        builder = Builder(config.group, config.latent)
        prompt(builder)
        for repeat in done:
            repeat(builder)
        return builder.text(said)

    def last(builder, extra=(), shape=(0, 0), scattered=False):
        """The last state, and which codes of the map before stand at each place of one of this shape; `extra` holds
        codes at places of it that are there already, behind the row."""
        row = builder.finish()
        width = config.slots * config.latent
        same = row.shown is not None and (row.shown.rows, row.shown.columns) == shape
        before = np.concatenate([row.shown.values, np.zeros((1, width), np.float32)]) if same else None
        laid = next((np.concatenate([plan, np.zeros_like(plan[:1])]) for plan in row.plans[:1]), None)
        there = row.shown.codes + 1 if same else np.zeros((shape[0] * shape[1], config.slots), np.int64)
        batch = collate([row])
        ids, values, positions = batch["ids"], batch["values"], batch["positions"]
        for codes, place in extra:
            ids = torch.cat([ids, torch.tensor([[Special.PLACE if codes is None else Special.VISUAL]])], 1)
            value = torch.zeros(values.shape[2])
            if codes is not None:
                at = place[1] * shape[1] + place[2]
                value[:width] = grid[codes].flatten()
                if laid is not None and not scattered:
                    value[3 * width :] = torch.from_numpy(laid[at + 1])
                if before is not None:
                    value[width : 2 * width] = torch.from_numpy(before[at])
                    if not scattered:
                        value[2 * width : 3 * width] = torch.from_numpy(before[at + 1])
            values = torch.cat([values, value[None, None]], 1)
            positions = torch.cat([positions, torch.tensor(place)[None, None]], 1)
        return model(ids, values, ids == Special.VISUAL, positions)[:, -1], torch.from_numpy(there)

    for step in plan:
        if isinstance(step, Write):
            done.append(lambda b, ids=step.ids: b.text(ids))
        elif isinstance(step, Say):
            said = []
            while len(said) < step.limit:
                hidden, _ = last(state(build, said))
                mask = legal(len(said), config.vocabulary)
                choice = int(sampler(model.text_logits(hidden).float().masked_fill(~mask, -torch.inf)))
                if choice == Special.END:
                    break
                said.append(choice)
            output.texts.append(said)
        else:
            known = given[len(output.maps)] if given else None
            known = None if known is None else grouped(known, config.group)
            count, slots = step.rows * step.columns, config.slots
            order = any_order(sampler, known, count) if step.passes else list(range(count))
            numbers = sampler.take(count * slots)
            extra, found, likely = [], np.zeros((count, slots), np.int64), np.zeros((count, slots), np.float32)
            start = state(build).position
            twin_start = state(build_twin).position if build_twin else 0
            for turn, place in enumerate(order):
                y, x = divmod(place, step.columns)
                if step.passes:
                    extra.append((None, y, x))
                way = (step.rows, step.columns), bool(step.passes)
                hidden, there = last(state(build), [(c, (start, a, b)) for c, a, b in extra], *way)
                other = None
                if build_twin:
                    other, others = last(state(build_twin), [(c, (twin_start, a, b)) for c, a, b in extra], *way)
                for slot in range(slots):
                    before = torch.from_numpy(found[place : place + 1, :slot])
                    logits = model.code_logits(hidden, before, there[place : place + 1])[:, -1].float()
                    if other is not None:
                        without = model.code_logits(other, before, others[place : place + 1])[:, -1].float()
                        without = without.log_softmax(-1)
                        scale = sampling.guidance_at(turn / count)
                        logits = without + scale * (logits.log_softmax(-1) - without)
                    drawn = int(sampler.at(logits[:, None], torch.tensor([[numbers + place * slots + slot]])))
                    asked = -1 if known is None else int(known[place, slot])
                    found[place, slot] = code = drawn if asked == -1 else asked
                    likely[place, slot] = (logits / (sampling.temperature or 1)).log_softmax(-1)[0, code]
                if step.passes and known is not None and (known[place] != -1).all():
                    likely[place] = 0  # given codes go first: how likely they were is not asked
                extra.append((torch.from_numpy(found[place]), y, x))
            shape = config.group, step.rows * config.group, step.columns * config.group
            codes = ungrouped(found, *shape)
            output.maps.append(codes)
            output.nats.append(ungrouped(likely, *shape))
            drawn = Map(codes, grid[torch.from_numpy(codes)].numpy(), grid[torch.from_numpy(codes)].numpy())
            if step.passes:
                done.append(lambda b, m=drawn, o=order: b.scattered(m, o))
            else:
                done.append(lambda b, m=drawn: b.map(m, target=True))
    return output


def any_order(sampler, known, count):
    """The places of a map in the row's own order; those whose codes are all given first."""
    keys = sampler.numbers(torch.arange(count)[None] + sampler.take(count))[0].tolist()
    return sorted(range(count), key=lambda place: (known is None or (known[place] == -1).any(), keys[place]))
