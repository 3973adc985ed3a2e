"""The engine equals the naive loop, token for token."""

import numpy as np
import pytest
import torch

from tests.generate.oracle import naive
from triptych.config import GPTConfig
from triptych.generate.engine import Engine
from triptych.generate.grammar import DrawMap, Say, Write
from triptych.generate.native_path import extension
from triptych.generate.sample import Sampling, choose
from triptych.model.gpt import GPT
from triptych.sequence.layout import Builder, Map
from triptych.sequence.vocab import OFFSET, Special
from triptych.tokenizers.quantize import FSQ

FSQ_ = FSQ((4, 3))
GRID = FSQ_.to_latents(torch.arange(12))


def tiny(group):
    torch.manual_seed(0)
    model = GPT(GPTConfig(depth=2, group=group, vocabulary=OFFSET + 20, codes=12, latent=2)).eval()
    for parameter in model.parameters():  # blocks start as the identity: wake them up
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.15)
    return model


def a_map(seed):
    codes = np.random.default_rng(seed).integers(0, 12, (4, 4))
    grid = GRID[torch.from_numpy(codes)].numpy()
    return Map(codes, grid * 0.9, grid)


def prompts(count):
    """Prompts of different lengths, some with a picture in them, and each one's twin without its text."""
    builds = []
    for i in range(count):
        text = [OFFSET + (i * 3 + j) % 20 for j in range(1 + 2 * i)]

        def build(b, i=i, text=text):
            b.text([Special.BEGIN])
            if i % 2:
                b.map(a_map(i), target=False)
            return b.text([*text, Special.DRAW, Special.IMAGE])

        builds.append(build)
    return builds, [lambda b: b.text([Special.BEGIN, Special.DRAW, Special.IMAGE])] * count


SAMPLINGS = [
    Sampling(temperature=0),
    Sampling(seed=3),
    Sampling(seed=4, temperature=0.7, top_k=5),
    Sampling(seed=5, top_p=0.8, temperature=1.3),
]
PLANS = {
    "picture": [DrawMap(2, 2)],
    "clip": [
        Write((Special.TIME, OFFSET + 1)),
        DrawMap(2, 1),
        Write((Special.TIME, OFFSET + 2)),
        DrawMap(2, 1),
    ],
    "text": [Say(12)],
    "picture then text": [DrawMap(1, 2), Write((Special.END, Special.CAPTION)), Say(6)],
}


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("engine", ["torch", "native"])
def test_equals_the_naive_loop(plan, group, guidance, engine):
    if engine == "native" and extension()[0] is None:
        pytest.skip(extension()[1])
    model = tiny(group)
    builds, twins = prompts(len(SAMPLINGS))
    samplings = [Sampling(s.temperature, s.top_k, s.top_p, s.seed, guidance, 0.5) for s in SAMPLINGS]

    def row(build):
        return build(Builder(group, 2)).finish()

    outputs = Engine(model, GRID, engine=engine).generate(
        [row(b) for b in builds], PLANS[plan], samplings, unconditional=[row(b) for b in twins]
    )
    for build, twin, sampling, output in zip(builds, twins, samplings, outputs, strict=True):
        expected = naive(model, GRID, build, PLANS[plan], sampling, twin if guidance != 1 else None)
        assert output.texts == expected.texts
        assert len(output.maps) == len(expected.maps)
        for got, want in zip(output.maps, expected.maps, strict=True):
            np.testing.assert_array_equal(got, want)


def test_the_sampler_draws_its_distribution():
    """Chi-square with 5 degrees of freedom under its 99.9% point, at a fixed seed."""
    torch.manual_seed(0)
    count = 20_000
    logits = torch.tensor([0.3, -1.0, 1.2, 0.0, 0.5, -0.2])
    ones = torch.ones(count)
    drawn = choose(logits.expand(count, -1), torch.rand(count), ones, 0 * ones, ones)
    expected = logits.softmax(-1) * count
    counts = torch.bincount(drawn, minlength=6)
    assert ((counts - expected) ** 2 / expected).sum() < 20.5


@pytest.mark.parametrize(("top_k", "top_p", "kept"), [(2, 1.0, {2, 4}), (0, 0.6, {2, 4, 0}), (0, 1e-9, {2})])
def test_the_tail_is_cut(top_k, top_p, kept):
    logits = torch.tensor([0.3, -1.0, 1.2, 0.0, 0.5, -0.2]).expand(4000, -1)
    ones = torch.ones(4000)
    drawn = choose(
        logits, torch.rand(4000, generator=torch.Generator().manual_seed(1)), ones, top_k * ones, top_p * ones
    )
    assert set(drawn.tolist()) == kept


def test_an_out_of_range_setting_is_named():
    with pytest.raises(ValueError, match=r"top_p=0"):
        Sampling(top_p=0)
