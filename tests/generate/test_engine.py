"""The engine equals the naive loop, token for token."""

import itertools

import numpy as np
import pytest
import torch

from tests.generate.oracle import naive
from triptych.config import LAID, GPTConfig
from triptych.generate.engine import UNKNOWN, Engine
from triptych.generate.grammar import DrawMap, Say, Write, unwound
from triptych.generate.sample import Sampling, choose
from triptych.model.gpt import GPT
from triptych.sequence.layout import Builder, Map
from triptych.sequence.pack import collate
from triptych.sequence.vocab import OFFSET, Special
from triptych.tokenizers.quantize import FSQ

FSQ_ = FSQ((4, 3))
GRID = FSQ_.to_latents(torch.arange(12))


def tiny(group, std=0.15):
    torch.manual_seed(0)
    model = GPT(GPTConfig(depth=2, group=group, vocabulary=OFFSET + 20, codes=12, latent=2)).eval()
    for parameter in model.parameters():  # blocks start as the identity: wake them up
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=std)
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
    "any order": [DrawMap(2, 2, passes=99)],  # one place in each pass
    "any order, then text": [DrawMap(2, 1, passes=99), Write((Special.END, Special.CAPTION)), Say(6)],
    "text": [Say(12)],
    "picture then text": [DrawMap(1, 2), Write((Special.END, Special.CAPTION)), Say(6)],
}


def some_given(plan, group, row, full=4):
    """For each map of a plan, codes of which a part is given: a top, a hole, scattered ones; the last row has none."""
    random = np.random.default_rng(row)
    out = []
    for step in (step for step in plan if isinstance(step, DrawMap)):
        codes = random.integers(0, 12, (step.rows * group, step.columns * group))
        if row == 0:
            codes[max(1, len(codes) // 2) :] = UNKNOWN
        elif row == 1:
            codes[: len(codes) // 2, 1:] = UNKNOWN
        else:
            codes[random.random(codes.shape) < 0.5] = UNKNOWN
        out.append(codes if row < full - 1 else None)
    return out


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize(("partly", "window"), [(False, 1), (True, 1), (False, 3), (True, 5)])
def test_equals_the_naive_loop(plan, group, guidance, partly, window, engine):
    model = tiny(group)
    builds, twins = prompts(len(SAMPLINGS))
    samplings = [Sampling(s.temperature, s.top_k, s.top_p, s.seed, guidance, 0.5) for s in SAMPLINGS]

    def row(build):
        return build(Builder(group, 2)).finish()

    given = [some_given(PLANS[plan], group, i) if partly else [None] * 2 for i in range(len(samplings))]
    outputs = Engine(model, GRID, engine=engine).generate(
        [row(b) for b in builds],
        PLANS[plan],
        samplings,
        unconditional=[row(b) for b in twins],
        given=given,
        window=window,
    )
    for build, twin, sampling, output, known in zip(builds, twins, samplings, outputs, given, strict=True):
        expected = naive(model, GRID, build, PLANS[plan], sampling, twin if guidance != 1 else None, known)
        assert output.texts == expected.texts
        assert len(output.maps) == len(expected.maps)
        for got, want in zip(output.maps, expected.maps, strict=True):
            np.testing.assert_array_equal(got, want)
        for got, want in zip(output.nats, expected.nats, strict=True):
            np.testing.assert_allclose(got, want, atol=2e-4)
        for got, want in zip(output.maps, known, strict=False):
            assert want is None or (got[want != UNKNOWN] == want[want != UNKNOWN]).all()


def a_plan(seed, group, rows=2, columns=2):
    """(y, x, LAID) of a map of so many rows and columns of groups."""
    shape = (rows * group, columns * group, LAID)
    return np.random.default_rng([9, seed]).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("steps", ["picture", "any order", "two maps"])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("window", [1, 3])
def test_equals_the_naive_loop_with_a_plan(steps, group, guidance, window, engine):
    """Laid beside the first map alone, and beside its condition's drawing alone; one row of four has no plan."""
    model = tiny(group)
    two = [DrawMap(2, 2), Write((Special.TIME, OFFSET + 2)), DrawMap(2, 2)]
    plan = two if steps == "two maps" else PLANS[steps]
    builds, twins = prompts(len(SAMPLINGS))
    builds = [
        build if i == 2 else lambda b, i=i, build=build: build(b).plan(a_plan(i, group))
        for i, build in enumerate(builds)
    ]
    samplings = [Sampling(s.temperature, s.top_k, s.top_p, s.seed, guidance, 0.5) for s in SAMPLINGS]
    outputs = Engine(model, GRID, engine=engine).generate(
        [build(Builder(group, 2)).finish() for build in builds],
        plan,
        samplings,
        unconditional=[twin(Builder(group, 2)).finish() for twin in twins],
        window=window,
    )
    for build, twin, sampling, output in zip(builds, twins, samplings, outputs, strict=True):
        expected = naive(model, GRID, build, plan, sampling, twin if guidance != 1 else None)
        for got, want in zip(output.maps, expected.maps, strict=True):
            np.testing.assert_array_equal(got, want)
        for got, want in zip(output.nats, expected.nats, strict=True):
            np.testing.assert_allclose(got, want, atol=2e-4)


def asked(group, *plans):
    """The same prompt with each of some plans."""
    prompt = Builder(group, 2).text([Special.BEGIN, Special.DRAW, Special.IMAGE])
    return [prompt.finish() if plan is None else prompt.plan(plan).finish() for plan in plans]


@pytest.mark.parametrize("group", [1, 2])
def test_a_plan_tells_of_each_place_but_the_first(group, engine):
    """Nothing stands before the first that could be told of it."""
    plan, where = a_plan(0, group), np.zeros((2 * group, 2 * group), bool)
    first, last = plan.copy(), plan.copy()
    first[:group, :group] += 1
    last[group:, group:] += 1
    where[group:, group:] = True
    rows = asked(group, None, plan, a_plan(1, group), 0 * plan, first, last)
    given = [[np.full(where.shape, 3)]] * len(rows)
    outputs = Engine(tiny(group), GRID, engine=engine).generate(
        rows, [DrawMap(2, 2)], [Sampling()] * len(rows), given=given
    )
    none, base, other, zero, at_first, at_last = (output.nats[0] for output in outputs)
    np.testing.assert_allclose(zero, none, atol=1e-5)
    np.testing.assert_allclose(at_first, base, atol=1e-5)
    assert abs(none - base).max() > 0.05
    assert abs(other - base).max() > 0.05
    assert abs(at_last - base)[where].max() > 0.05
    np.testing.assert_allclose(at_last[~where], base[~where], atol=1e-5)


@pytest.mark.parametrize("group", [1, 2])
def test_each_map_has_its_own_plan(group, engine):
    """The second map of a row is drawn as one is that follows the first, by its own plan; a third has none."""
    one, two, stamp = a_plan(0, group), a_plan(1, group), (Special.TIME, OFFSET + 2)
    steps = [DrawMap(2, 2), Write(stamp), DrawMap(2, 2), Write(stamp), DrawMap(2, 2)]
    engine = Engine(tiny(group), GRID, engine=engine)

    def output(row, steps=steps):
        return engine.generate([row], steps, [Sampling(temperature=0)])[0]

    def drawn(row, steps=steps):
        return output(row, steps).maps

    def prompt(plan, *maps):
        """A prompt after which so many maps are drawn already, the next one by a plan."""
        builder = Builder(group, 2).text([Special.BEGIN, Special.DRAW, Special.IMAGE])
        for codes, laid in zip(maps, (one, two), strict=False):
            grid = GRID[torch.from_numpy(codes)].numpy()
            builder.plan(laid).map(Map(codes, grid, grid), target=True).text(stamp)
        return (builder if plan is None else builder.plan(plan)).finish()

    first, second, third = drawn(prompt(None).by([one, two], group))
    np.testing.assert_array_equal(first, drawn(prompt(one), steps[:1])[0])
    np.testing.assert_array_equal(second, drawn(prompt(two, first), steps[:1])[0])
    np.testing.assert_array_equal(third, drawn(prompt(None, first, second), steps[:1])[0])
    later = drawn(prompt(None).by([None, two], group))
    np.testing.assert_array_equal(later[0], drawn(prompt(None), steps[:1])[0])
    with_, without = (output(prompt(None).by([one, plan], group)) for plan in (two, None))
    np.testing.assert_array_equal(with_.nats[0], without.nats[0])
    assert abs(with_.nats[1] - without.nats[1]).max() > 1e-3


def test_another_plan_draws_another_picture_but_not_in_any_order(engine):
    engine, rows = Engine(tiny(2), GRID, engine=engine), asked(2, None, a_plan(0, 2), a_plan(1, 2))
    for passes, kinds in ((0, 3), (99, 1)):
        outputs = engine.generate(rows, [DrawMap(2, 2, passes)], [Sampling(seed=1)] * 3)
        assert len({output.maps[0].tobytes() for output in outputs}) == kinds


def test_a_plan_of_another_size_is_refused(engine):
    engine = Engine(tiny(2), GRID, engine=engine)
    fits = Builder(2, 2).text([Special.BEGIN]).plan(a_plan(0, 2)).finish()
    wide = Builder(2, 2).text([Special.BEGIN]).plan(a_plan(0, 2, 2, 3)).finish()
    for rows in ([wide], [fits, wide]):
        with pytest.raises(ValueError, match="a plan of 6 places is laid beside a map of 4"):
            engine.generate(rows, [DrawMap(2, 2)], [Sampling()] * len(rows))
    assert engine.generate([wide], [Say(2)], [Sampling()])[0].texts  # nothing is drawn


def counting(engine):
    """How many positions go through the network in each pass after the prompts'."""
    passes, opened = [], engine.path.open

    def open_(*args):
        session, state = opened(*args)
        read = session.read
        session.read = lambda ids, *rest: (passes.append(ids.shape[1]), read(ids, *rest))[1]
        return session, state

    engine.path.open = open_
    return passes


def test_given_codes_go_through_at_once(engine):
    engine = Engine(tiny(1), GRID, engine=engine)
    passes = counting(engine)
    codes = np.full((4, 4), UNKNOWN)
    codes[:3] = 1
    prompt = Builder(1, 2).text([Special.BEGIN, Special.DRAW, Special.IMAGE]).finish()
    engine.generate([prompt] * 2, [DrawMap(4, 4)], [Sampling(seed=s) for s in (1, 2)], given=[[codes]] * 2)
    assert passes == [12, 1, 1, 1]


def test_guesses_save_passes_and_change_nothing(engine):
    """Where a code depends little on those before it, guesses come true."""
    engine = Engine(tiny(2, std=0.03), GRID, engine=engine)
    prompt = Builder(2, 2).text([Special.BEGIN, Special.DRAW, Special.IMAGE]).finish()
    passes, rows = counting(engine), [Sampling(seed=s) for s in range(3)]
    exact = engine.generate([prompt] * 3, [DrawMap(4, 4)], rows)
    assert passes == [1] * 15
    passes.clear()
    guessed = engine.generate([prompt] * 3, [DrawMap(4, 4)], rows, window=8)
    assert len(passes) < 15
    for one, two in zip(exact, guessed, strict=True):
        np.testing.assert_array_equal(one.maps[0], two.maps[0])


def test_several_positions_a_step_draw_the_same_distribution(engine):
    """Chi-square over the 81 outcomes of four codes of three kinds, against their exact probabilities by enumeration:
    under its 99.9% point, at fixed seeds; outcomes expected less than five times count as one."""
    fsq = FSQ((3,))
    torch.manual_seed(1)
    model = GPT(GPTConfig(depth=1, group=1, vocabulary=OFFSET + 4, codes=3, latent=1)).eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.2)
    engine = Engine(model, fsq.to_latents(torch.arange(3)), engine=engine)
    prompt = Builder(1, 1).text([Special.BEGIN, Special.DRAW, Special.IMAGE]).finish()
    every = [np.array(outcome).reshape(2, 2) for outcome in itertools.product(range(3), repeat=4)]
    scored = engine.generate([prompt] * 81, [DrawMap(2, 2)], [Sampling()] * 81, given=[[codes] for codes in every])
    expected = np.exp([output.nats[0].sum() for output in scored])
    assert expected.sum() == pytest.approx(1, abs=1e-4)
    count = 6000
    drawn = engine.generate([prompt] * count, [DrawMap(2, 2)], [Sampling(seed=s) for s in range(count)], window=4)
    index = [int(output.maps[0].ravel() @ [27, 9, 3, 1]) for output in drawn]
    counts = np.bincount(index, minlength=81)
    rare = expected * count < 5
    wanted = np.append(expected[~rare], expected[rare].sum()) * count
    found = np.append(counts[~rare], counts[rare].sum())
    assert len(found) > 20  # enough of them for the comparison to mean something
    free = 2 / (9 * (len(found) - 1))
    point = (len(found) - 1) * (1 - free + 3.09 * free**0.5) ** 3  # Wilson and Hilferty's approximation
    assert ((found - wanted) ** 2 / wanted).sum() < point


def test_lines_are_told_as_they_come(engine):
    model, seen, done = tiny(2), [], []
    prompt = Builder(2, 2).text([Special.BEGIN, Special.DRAW, Special.IMAGE]).finish()
    for window in (1, 4):
        output = Engine(model, GRID, engine=engine).generate(
            [prompt],
            [DrawMap(3, 2)],
            [Sampling(seed=7)],
            window=window,
            watch=lambda maps: seen.append(maps[0]),
            progress=lambda *parts: done.append(parts),
        )[0]
        assert seen
        for part in seen:
            lines = int((part != UNKNOWN).all(1).sum())
            np.testing.assert_array_equal(part[:lines], output.maps[0][:lines])
            assert (part[lines:] == UNKNOWN).all()
        assert done[-1] == (6, 6)
        assert done == sorted(set(done))
        seen.clear(), done.clear()


def test_given_codes_of_another_shape_are_refused():
    prompt = Builder(2, 2).text([Special.BEGIN]).finish()
    with pytest.raises(ValueError, match=r"shape \(2, 2\) are no map of \(4, 4\)"):
        Engine(tiny(2), GRID).generate([prompt], [DrawMap(2, 2)], [Sampling()], given=[[np.zeros((2, 2), np.int64)]])


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


def test_a_text_opens_as_asked_where_that_is_likely(engine) -> None:
    """Equal to asking for the likelihood first and then writing the opening, or not, which reads every prompt twice."""
    model = tiny(1)
    rows = [build(Builder(1, 2)).finish() for build in prompts(4)[0]]
    greedy = [Sampling(temperature=0)] * len(rows)
    runner = Engine(model, GRID, engine=engine)
    opening = OFFSET + 3
    likely = []
    for row in rows:
        batch = collate([row])
        with torch.no_grad():
            states = model(batch["ids"], batch["values"], batch["is_visual"], batch["positions"])
        likely.append(float(model.text_logits(states[0, -1]).float().log_softmax(-1)[opening].detach()))
    least = sum(sorted(likely)[1:3]) / 2  # likely enough for half of the rows
    told = runner.generate(rows, [Say(6, opening, least)], greedy)
    written = runner.generate(rows, [Write((opening,)), Say(5)], greedy)
    free = runner.generate(rows, [Say(6)], greedy)
    for nats, got, with_it, without in zip(likely, told, written, free, strict=True):
        expected = [opening, *with_it.texts[0]] if nats >= least else without.texts[0]
        assert got.texts[0] == expected


def test_a_text_that_turns_in_a_circle_stops(engine) -> None:
    """Greedy text of random weights soon repeats itself: it is the text without the rule, cut where it does."""
    model = tiny(1)
    rows = [build(Builder(1, 2)).finish() for build in prompts(4)[0]]
    greedy = [Sampling(temperature=0)] * len(rows)
    runner = Engine(model, GRID, engine=engine)
    free = [output.texts[0] for output in runner.generate(rows, [Say(60)], greedy)]
    stopped = 0
    for opening in {id_ for text in free for id_ in text}:
        told = runner.generate(rows, [Say(60, opening, 1.0, rounds=2)], greedy)  # no probability is that large
        for got, text in zip(told, free, strict=True):
            cut = (unwound(text[:length], opening, 2) for length in range(len(text) + 1))
            expected = next((once for once in cut if once is not None), text)
            assert got.texts[0] == expected
            stopped += len(expected) < len(text)
    assert stopped
