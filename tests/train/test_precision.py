"""The precision that a model is stored with follows from bits on held-out rows."""

import json

import numpy as np
import pytest
import torch

from tests.train import tiny
from triptych import zoo
from triptych.generate import paths
from triptych.generate.native_path import extension
from triptych.train.precision import LEAST, Measured, measure, store

needs_native = pytest.mark.skipif(extension()[0] is None, reason=extension()[1])


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A GPT that nothing trained, on eight held-out clips and as many pictures; its weights are bfloat16 already."""
    data = tiny.tokens(tmp_path_factory.mktemp("data"), 100)
    made = tiny.GPTJob(tiny.settings(data, tmp_path_factory.mktemp("out") / "run"))
    for parameter in made.gpt.parameters():
        parameter.data.copy_(parameter.data.bfloat16().float())
    return made


@needs_native
def test_bits_are_those_of_validation(job):
    found = measure(job.gpt, job.held, precisions=("fp32", "bf16", "int8"))
    job.model.eval()
    want = {name: bits for name, bits in job.validate().items() if "bits/" in name}
    assert found.bits.keys() == want.keys()
    for name, bits in want.items():
        assert found.bits[name]["fp32"] == pytest.approx(bits, rel=1e-5)
        assert found.bits[name]["bf16"] == pytest.approx(bits, rel=1e-5)
        assert found.bits[name]["int8"] == pytest.approx(bits, rel=0.01)
        assert found.bits[name]["int8"] != found.bits[name]["fp32"]
    assert found.rows == LEAST


@needs_native
def test_an_answer_is_measured_without_the_others_of_its_row(tmp_path):
    job = tiny.GPTJob(tiny.settings(tiny.tokens(tmp_path, 48), tmp_path / "run", "mix={read: 1}"))
    job.model.eval()
    for parameter in job.gpt.parameters():  # blocks start as the identity: wake them up
        parameter.data.copy_(torch.randn_like(parameter).mul(0.2).bfloat16().float())
    row = job.held.spell("read", 0, np.random.default_rng([1, 0, 0]))
    assert len(row.parts()) > 2
    found = measure(job.gpt, job.held, precisions=("fp32",))
    assert found.bits["read bits/text"]["fp32"] == pytest.approx(job.validate()["read bits/text"], rel=1e-5)


@needs_native
def test_what_is_exported_holds_the_choice_and_what_it_rests_on(job, tmp_path):
    job.export(tmp_path / "model", {"steps": 0})
    info = zoo.load(tmp_path / "model").info
    assert info.precision == "int8"  # what predicts next to nothing loses nothing
    assert info.made["steps"] == 0
    assert info.made["precision"]["rows"] == LEAST
    assert set(info.made["precision"]["bits"]["draw bits/code"]) == {"fp32", "int8"}


@needs_native
def test_no_time_and_too_few_rows_choose_exact(job):
    short = measure(job.gpt, job.held, seconds=0.0)
    few = measure(job.gpt, job.held, rows=LEAST - 1)
    assert (short.rows, short.precision) == (0, "exact")
    assert (few.rows, few.precision) == (LEAST - 1, "exact")
    assert "7 held-out rows of a spelling, 8 are needed" in str(few)


@needs_native
def test_short_rows_are_measured_more_often(job, monkeypatch):
    """In the time of one long row there are several short ones, which tell a growth from chance."""
    counted = {}
    clock = [0.0]
    spell = job.held.spell

    def spelled(name, item, rng):
        counted[name] = counted.get(name, 0) + 1
        clock[0] += 4.0 if name in ("watch", "predict") else 1.0
        return spell(name, item, rng)

    monkeypatch.setattr(job.held, "spell", spelled)
    monkeypatch.setattr("triptych.train.precision.time.monotonic", lambda: clock[0])
    measure(job.gpt, job.held, seconds=40.0)
    assert 1 <= counted["watch"] < counted["draw"]
    assert 4 * counted["watch"] - counted["draw"] in range(-4, 5)


def test_one_spelling_that_grows_is_enough_against_int8():
    bits = {"draw bits/code": {"fp32": 2.0, "int8": 2.008}, "read bits/text": {"fp32": 1.0, "int8": 1.0}}
    assert Measured(bits, LEAST).precision == "int8"
    bits["read bits/text"]["int8"] = 1.006
    grown = Measured(bits, LEAST)
    assert grown.precision == "exact"
    assert "+0.60% at worst" in str(grown)


def test_without_the_extension_the_choice_is_exact_and_says_why(job, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "extension", lambda: (None, "it was not built"))
    job.export(tmp_path / "model", {})
    info = zoo.load(tmp_path / "model").info
    assert info.precision == "exact"
    assert "it was not built" in info.made["precision"]["why"]


def test_storing_keeps_all_else(job, tmp_path):
    job.export(tmp_path / "model", {"steps": 7})
    before = json.loads((tmp_path / "model" / "model.json").read_text())
    store(tmp_path / "model", Measured(reason="asked for"))
    after = json.loads((tmp_path / "model" / "model.json").read_text())
    assert after["precision"] == "exact"
    assert {k: v for k, v in after.items() if k not in ("precision", "made")} == {
        k: v for k, v in before.items() if k not in ("precision", "made")
    }
    assert torch.equal(zoo.load(tmp_path / "model").gpt.norm.weight, job.gpt.norm.weight)
