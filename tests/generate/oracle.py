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

    def last(builder, extra=()):
        row = builder.finish()
        batch = collate([row])
        ids, values, positions = batch["ids"], batch["values"], batch["positions"]
        for codes, place in extra:
            ids = torch.cat([ids, torch.tensor([[Special.VISUAL]])], 1)
            values = torch.cat([values, grid[codes].flatten()[None, None]], 1)
            positions = torch.cat([positions, torch.tensor(place)[None, None]], 1)
        return model(ids, values, ids == Special.VISUAL, positions)[:, -1]

    for step in plan:
        if isinstance(step, Write):
            done.append(lambda b, ids=step.ids: b.text(ids))
        elif isinstance(step, Say):
            said = []
            while len(said) < step.limit:
                hidden = last(state(build, said))
                mask = legal(len(said), config.vocabulary)
                choice = int(sampler(model.text_logits(hidden).float().masked_fill(~mask, -torch.inf)))
                if choice == Special.END:
                    break
                said.append(choice)
            output.texts.append(said)
        else:
            extra, likely = [], []
            known = given[len(output.maps)] if given else None
            known = None if known is None else grouped(known, config.group)
            start = state(build).position
            twin_start = state(build_twin).position if build_twin else 0
            for index in range(step.rows * step.columns):
                y, x = divmod(index, step.columns)
                codes = []
                hidden = last(state(build), [(c, (start, a, b)) for c, a, b in extra])
                other = last(state(build_twin), [(c, (twin_start, a, b)) for c, a, b in extra]) if build_twin else None
                for _ in range(config.slots):
                    before = torch.tensor([codes], dtype=torch.long).reshape(1, -1)
                    logits = model.code_logits(hidden, before)[:, -1].float()
                    if other is not None:
                        without = model.code_logits(other, before)[:, -1].float().log_softmax(-1)
                        scale = sampling.guidance_at(index / (step.rows * step.columns))
                        logits = without + scale * (logits.log_softmax(-1) - without)
                    drawn = int(sampler(logits))  # a number is used up where a code is given, too
                    asked = -1 if known is None else int(known[index, len(codes)])
                    codes.append(drawn if asked == -1 else asked)
                    likely.append(float((logits / (sampling.temperature or 1)).log_softmax(-1)[0, codes[-1]]))
                extra.append((torch.tensor(codes), y, x))
            stacked = torch.stack([codes for codes, _, _ in extra]).numpy()
            codes = ungrouped(stacked, config.group, step.rows * config.group, step.columns * config.group)
            output.maps.append(codes)
            nats = np.array(likely, np.float32).reshape(stacked.shape)
            output.nats.append(ungrouped(nats, config.group, step.rows * config.group, step.columns * config.group))
            drawn = Map(codes, grid[torch.from_numpy(codes)].numpy(), grid[torch.from_numpy(codes)].numpy())
            done.append(lambda b, m=drawn: b.map(m, target=True))
    return output
