"""The shipped model: whole, small enough, and run by the engine as by the naive loop."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import triptych
from tests.generate.oracle import naive
from triptych import zoo
from triptych.evaluate.report import headlines, insert_results
from triptych.generate.engine import Engine
from triptych.generate.grammar import DrawMap, Say
from triptych.generate.sample import Sampling
from triptych.sequence import spell, vocab
from triptych.sequence.layout import Builder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle():
    return zoo.load("tabletop")


@pytest.fixture(scope="module")
def model():
    return triptych.load("tabletop", device="cpu")


def test_the_whole_model_is_small_enough_to_ship():
    assert sum(path.stat().st_size for path in zoo.find("tabletop").iterdir()) < 40 * 2**20


@pytest.mark.parametrize("text", ["a red ball to the left of a blue cube", "一个绿色的圆锥体"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_engine_equals_the_naive_loop_on_trained_weights(bundle, text, temperature, engine):
    gpt = bundle.need_gpt()
    grid = bundle.visual.fsq.to_latents(torch.arange(bundle.visual.fsq.codes))
    ids = vocab.to_ids(bundle.text.encode(text))

    def prompt(words):
        return lambda builder: spell.draw_prompt(spell.begin(builder), words)

    def row(build):
        return build(Builder(gpt.config.group, gpt.config.latent)).finish()

    side = bundle.info.size // 16 // gpt.config.group
    plan, sampling = [DrawMap(side, side)], Sampling(temperature, seed=5, guidance=2.0, ramp=0.5)
    twin = [row(prompt([]))]
    got = Engine(gpt, grid, engine=engine).generate([row(prompt(ids))], plan, [sampling], unconditional=twin)[0]
    want = naive(gpt, grid, prompt(ids), plan, sampling, prompt([]))
    np.testing.assert_array_equal(got.maps[0], want.maps[0])


def test_the_engine_says_what_the_naive_loop_says(bundle, engine):
    gpt = bundle.need_gpt()
    grid = bundle.visual.fsq.to_latents(torch.arange(bundle.visual.fsq.codes))
    question = vocab.to_ids(bundle.text.encode("How many objects are there?"))

    def prompt(builder):
        return spell.question_prompt(spell.begin(builder), question)

    plan, sampling = [Say(8)], Sampling(temperature=0)
    row = prompt(Builder(gpt.config.group, gpt.config.latent)).finish()
    got = Engine(gpt, grid, engine=engine).generate([row], plan, [sampling])[0]
    assert got.texts == naive(gpt, grid, prompt, plan, sampling).texts


def test_the_sample_clip_is_read_with_times(model):
    timeline = model.watch(zoo.find("tabletop") / "sample.mp4")
    assert timeline.events
    assert all(0 <= event.start <= 2.2 for event in timeline.events)


@pytest.mark.parametrize("page", ["README.md", "docs/results.md", "src/triptych/models/tabletop/README.md"])
def test_the_pages_show_the_results_that_were_measured(page):
    results = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))
    text = (ROOT / page).read_text(encoding="utf-8")
    assert insert_results(text, results, headlines(results) if page == "README.md" else ()) == text


def test_the_results_are_of_the_weights_that_ship():
    measured = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))
    sums = json.loads((zoo.find("tabletop") / "SHA256.json").read_text(encoding="utf-8"))
    assert measured["weights"]["gpt.safetensors"] == sums["gpt.safetensors"]


def test_a_seed_draws_the_same_picture_alone_and_among_others():
    """With real weights and texts of different lengths, pixel for pixel; guidance makes rounding show."""
    model = triptych.load("tabletop", "cpu")
    texts = ["a red ball to the left of a blue cube", "two metal cylinders", "一个红色的球", "", "a small green cone"]
    together = model.draw_many(texts, range(5))
    for seed, text in enumerate(texts[:3]):
        alone = model.draw(text, seed=seed)[0]
        np.testing.assert_array_equal(alone.pixels, together[seed].pixels)
