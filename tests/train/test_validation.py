"""What validation tells: means as a plain loop finds them, the spread between media, and what text is worth."""

import math

import numpy as np
import pytest
import torch

from tests.train import tiny
from triptych import zoo
from triptych.data.loader import THINNED
from triptych.sequence import spell
from triptych.sequence.layout import Builder, Map, Row
from triptych.sequence.pack import collate
from triptych.train.gpt import GPTJob, _with_text_of
from triptych.train.loop import Loop
from triptych.train.loss import choose, sums


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return GPTJob(tiny.settings(tiny.tokens(folder, 48), folder / "run", "mix={draw: 1, read: 1}"))


@torch.no_grad()
def test_each_answer_costs_what_it_costs_alone(job):
    """One reading serves several answers, and none is told by another one's words; padding changes nothing."""
    job.model.eval()
    for parameter in job.model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    rows = [job.held.spell("read", i, np.random.default_rng(i)) for i in range(3)]
    assert all(len(row.parts()) == 3 for row in rows)
    alone = 0.0
    for row in rows:
        trunk, *branches = row.parts()
        for part in branches:
            names = ("ids", "values", "codes", "before", "positions", "weights")
            arrays = (np.concatenate([getattr(row, name)[trunk], getattr(row, name)[part]]) for name in names)
            alone += float(sums(job.model, choose(collate([Row(*arrays)])))[0])
    assert float(sums(job.model, choose(collate(rows, multiple=16)))[0]) == pytest.approx(alone, rel=1e-5)
    causal = [Row(*(getattr(row, name) for name in names)) for row in rows]
    assert abs(float(sums(job.model, choose(collate(causal, multiple=16)))[0]) / alone - 1) > 1e-4


@torch.no_grad()
def test_scores_are_means_over_rows_and_the_deviation_is_between_them(job):
    job.model.eval()
    scores = job.validate()
    rows = [job.held.spell("draw", i, np.random.default_rng([1, 0, i])) for i in range(len(job.held.items["picture"]))]
    alone = []
    for row in rows:
        batch = choose(collate([row]))
        alone.append(float(sums(job.model, batch)[1]) / math.log(2) / (batch["codes"][batch["is_visual"]].numel()))
    assert len(alone) > 3
    assert scores["draw bits/code"] == pytest.approx(np.mean(alone), rel=1e-5)
    assert job.bits["draw bits/code deviation"] == pytest.approx(np.std(alone, ddof=1), abs=1e-4)
    assert "draw bits/code deviation" not in scores  # it is no loss: curves and lines don't show it
    assert "read bits/code deviation" not in job.bits


def test_the_model_keeps_them(job):
    Loop(job, job.run).run()
    bits = zoo.load(job.run.out / "model").info.bits
    assert bits["draw bits/code deviation"] > 0
    assert bits["draw bits/code"] > 0


@torch.no_grad()
def test_a_wrong_text_comes_from_far_away(job, monkeypatch):
    """Views of one scene stand side by side and share their text: a neighbour's would be right."""
    texts = []
    monkeypatch.setattr("triptych.train.gpt._with_text_of", lambda row, other: texts.append((row, other)) or row)
    assert job._text_gain() == pytest.approx(0, abs=1e-6)
    count = len(job.held.items["picture"])
    assert len(texts) == count
    far = count - count // 2
    np.testing.assert_array_equal(texts[0][1].ids, job.held.spell("draw", far, np.random.default_rng([2, far])).ids)


def test_a_row_with_another_text_is_as_it_would_be_spelled():
    """What follows the text comes so much later; the rows and columns of a map are where they were."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 9, (4, 4))
    map_ = Map(codes, *[rng.random((4, 4, 2)).astype(np.float32)] * 2)

    def drawn(text: list[int]) -> Row:
        return spell.drawn(spell.draw_prompt(spell.begin(Builder(2, 2)), text), map_).finish()

    mine, other = drawn([20, 21, 22]), drawn([30, 31, 32, 33, 34, 35, 36])
    for row, wanted in ((mine, other), (other, mine)):
        found = _with_text_of(row, wanted)
        for name in ("ids", "values", "codes", "before", "positions", "weights"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), name)


def test_with_nothing_held_out_nothing_is_measured(tmp_path, capsys):
    run = tiny.settings(tiny.tokens(tmp_path, held=99), tmp_path / "run", "steps=1", "validate_every=1")
    assert tiny.train(run) == {}
    assert "nothing to measure on" in capsys.readouterr().out
    info = zoo.load(run.out / "model").info
    assert (info.bits, info.precision) == ({}, "exact")
    assert (
        info.made["precision"]["why"] == "precision exact: 0 held-out rows of a spelling, 8 are needed to choose int8"
    )


def test_words_are_left_out_of_plans_in_training_alone(job):
    assert (job.rows.thinned, job.held.thinned) == (THINNED, 0)
