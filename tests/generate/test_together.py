"""Texts that several rows say together equal the naive loop over the mean of their log-probabilities."""

import pytest
import torch

from tests.generate.test_engine import GRID, SAMPLINGS, prompts, tiny
from triptych.generate.engine import Engine
from triptych.generate.grammar import DrawMap, Say, Write, legal
from triptych.generate.sample import Sampler, Sampling
from triptych.sequence.layout import Builder
from triptych.sequence.pack import collate
from triptych.sequence.vocab import Special

LIMIT = 12


def rows_of(count, said=()):
    return [build(Builder(1, 2)).text(said).finish() for build in prompts(count)[0]]


@torch.inference_mode()
def naive(model, places, sampling):
    """What the prompts at some places say together, each read whole for every single id."""
    sampler, said = Sampler([sampling], torch.device("cpu")), []
    while len(said) < LIMIT:
        nats = []
        for row in (rows_of(4, said)[place] for place in places):
            batch = collate([row])
            states = model(batch["ids"], batch["values"], batch["is_visual"], batch["positions"])
            nats.append(model.text_logits(states[:, -1]).float().log_softmax(-1))
        mean = torch.stack(nats).mean(0)
        choice = int(sampler(mean.masked_fill(~legal(len(said), model.config.vocabulary), -torch.inf)))
        if choice == Special.END:
            break
        said.append(choice)
    return said


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda s: f"seed {s.seed}")
def test_it_equals_the_naive_loop(engine, sampling):
    model = tiny(1)
    runner = Engine(model, GRID, engine=engine)
    outputs = runner.generate(rows_of(4), [Say(LIMIT)], [sampling] * 4, together=2)
    said = [output.texts[0] for output in outputs]
    assert said[0] == said[1] == naive(model, (0, 1), sampling)
    assert said[2] == said[3] == naive(model, (2, 3), sampling)
    alone = [output.texts[0] for output in runner.generate(rows_of(4), [Say(LIMIT)], [sampling] * 4)]
    assert len(set(map(tuple, alone))) == 4  # else saying it together would show nothing


def test_groups_stand_alone_and_of_any_size(engine):
    """Three together, of which the engine fills up whole groups: as without the others beside them."""
    model = tiny(1)
    runner = Engine(model, GRID, engine=engine)
    greedy = Sampling(temperature=0)
    (three,) = {tuple(o.texts[0]) for o in runner.generate(rows_of(4)[:3], [Say(LIMIT)], [greedy] * 3, together=3)}
    assert list(three) == naive(model, (0, 1, 2), greedy)
    same = runner.generate([rows_of(4)[1]] * 2, [Say(LIMIT)], [greedy] * 2, together=2)
    assert same[0].texts[0] == runner.generate([rows_of(4)[1]], [Say(LIMIT)], [greedy])[0].texts[0]


def test_the_opening_is_likely_to_all_together(engine):
    model = tiny(1)
    runner = Engine(model, GRID, engine=engine)
    rows, greedy = rows_of(2), [Sampling(temperature=0)] * 2
    nats = []
    for row in rows:
        batch = collate([row])
        with torch.no_grad():
            states = model(batch["ids"], batch["values"], batch["is_visual"], batch["positions"])
            nats.append(model.text_logits(states[0, -1]).float().log_softmax(-1))
    apart = (nats[0] - nats[1]).abs()
    opening = int(apart[20:].argmax()) + 20  # one of which they think differently, and no special id
    mean = float((nats[0] + nats[1])[opening] / 2)
    for least, opens in ((mean - 1e-3, True), (mean + 1e-3, False)):
        told = runner.generate(rows, [Say(4, opening, least)], greedy, together=2)[0].texts[0]
        free = runner.generate(rows, [Say(4)], greedy, together=2)[0].texts[0]
        written = runner.generate(rows, [Write((opening,)), Say(3)], greedy, together=2)[0].texts[0]
        assert told == ([opening, *written] if opens else free)


def test_what_can_t_be_said_together_is_refused():
    runner = Engine(tiny(1), GRID, engine="torch")
    greedy = Sampling(temperature=0)
    with pytest.raises(ValueError, match="3 prompts can't be read 2 together"):
        runner.generate(rows_of(3), [Say(4)], [greedy] * 3, together=2)
    with pytest.raises(ValueError, match="only texts"):
        runner.generate(rows_of(2), [DrawMap(2, 2)], [greedy] * 2, together=2)
