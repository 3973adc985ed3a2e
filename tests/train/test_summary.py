"""What is still to be drawn: targets as a plain loop finds them, 0 for a perfect guess, a head that stays home."""

import math

import pytest
import torch

from tests.train import tiny
from triptych import zoo
from triptych.config import GPTConfig
from triptych.model.gpt import GPT
from triptych.train.gpt import GPTJob
from triptych.train.loop import Loop
from triptych.train.loss import FEW, choose
from triptych.train.summary import Learner, rest_of


def test_targets_are_the_codes_of_this_position_and_those_after_it():
    dice = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 7, (3, 6, 2), generator=dice)
    counted = torch.rand(3, 6, generator=dice) < 0.6
    found = iter(rest_of(codes, counted, 7))
    for row in range(3):
        for position in range(6):
            if counted[row, position]:
                later = {int(c) for p in range(position, 6) if counted[row, p] for c in codes[row, p]}
                assert set(next(found).nonzero()[:, 0].tolist()) == later
    assert next(found, None) is None


@torch.no_grad()
def test_a_perfect_guess_costs_nothing_and_no_guess_the_entropy_it_lacks():
    learner = Learner(GPT(GPTConfig(depth=1, head_layers=1, codes=8, vocabulary=20)), summary=True)
    states = torch.ones(2, learner.gpt.config.width)
    rest = torch.tensor([[1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0]], dtype=torch.uint8)
    assert float(learner.summary_nats(states, rest)) == pytest.approx(math.log(4) + math.log(8))  # begins at nothing
    learner.rest.weight.data[:2] = 1.0
    assert float(learner.summary_nats(states[:1], rest[:1])) == pytest.approx(0, abs=1e-4)


@torch.no_grad()
def test_positions_that_fill_up_cost_nothing(tmp_path):
    job = GPTJob(tiny.settings(tiny.tokens(tmp_path), tmp_path / "run", "summary=1"))
    part = job.batches[0][0]
    without = {**part, "weights": torch.zeros_like(part["weights"])}
    batch = choose(without, job.config.codes)
    assert batch["rest"].shape == (FEW, job.config.codes)
    assert not batch["rest"].any()
    assert float(job.model.summary_nats(torch.randn(FEW, job.config.width), batch["rest"])) == 0


def test_training_lowers_it_and_the_model_holds_no_trace_of_it(tmp_path):
    data = tiny.tokens(tmp_path)
    config = tiny.settings(data, tmp_path / "run", "summary=1", "steps=30", "gpt.dropout=0", "optim.lr=0.02")
    job = GPTJob(config)
    first = job.losses(job.batches[0], lambda loss: None)["summary"]
    Loop(job, config).run()
    assert job.losses(job.batches[0], lambda loss: None)["summary"] < 0.9 * first
    plain = GPTJob(tiny.settings(data, tmp_path / "plain", "steps=1"))
    stored = zoo.load(tmp_path / "run" / "model").gpt.state_dict()
    assert stored.keys() == plain.gpt.state_dict().keys()
    assert "summary" not in plain.losses(plain.batches[0], lambda loss: None)


def test_a_run_with_it_resumes_exactly(tmp_path):
    data = tiny.tokens(tmp_path)
    for name, counts in (("whole", (6,)), ("parts", (3, 6))):
        for steps in counts:
            tiny.train(tiny.settings(data, tmp_path / name, "summary=1", f"steps={steps}", "optim.decay=0"))
    one, two = (zoo.load(tmp_path / name / "model").gpt.state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(one[key], two[key]) for key in one)
