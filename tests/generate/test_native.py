"""The native path equals torch: at each precision and level that this machine runs, for any batch, far along a row."""

import threading
from unittest import mock

import numpy as np
import pytest
import torch

from tests.generate.test_engine import GRID, PLANS, SAMPLINGS, prompts, some_given, tiny
from triptych.config import GPTConfig
from triptych.errors import ConfigError
from triptych.generate import paths
from triptych.generate.engine import Engine
from triptych.generate.grammar import DrawMap, Say
from triptych.generate.native_path import Build, NativePath, extension
from triptych.generate.sample import Sampling, choose
from triptych.model.gpt import GPT, seen
from triptych.model.layers import Attention
from triptych.sequence.layout import Builder
from triptych.sequence.vocab import OFFSET

NATIVE, REASON = extension()
pytestmark = pytest.mark.skipif(NATIVE is None, reason=REASON)
LEVELS = NATIVE.levels() if NATIVE is not None else []
CASES = [(precision, level) for precision in ("fp32", "bf16", "int8") for level in LEVELS]
TOLERANCE = 2e-6  # of the root mean square


def trained_like(config: GPTConfig, seed: int = 0) -> GPT:
    torch.manual_seed(seed)
    model = GPT(config).eval()
    for parameter in model.parameters():  # blocks start as the identity: wake them up
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
        elif parameter.ndim == 1:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.2)
    return model.requires_grad_(False)


MODEL = trained_like(GPTConfig(depth=6, vocabulary=OFFSET + 77, codes=45, latent=3))  # no multiple of any panel
SHALLOW = trained_like(GPTConfig(depth=2, vocabulary=OFFSET + 77, codes=45, latent=3))  # two heads on one key


class Int8Linear(torch.nn.Module):
    """What int8 means for a product: a scale for each output's weights, and one for each row."""

    def __init__(self, weight):
        super().__init__()
        self.weight, self.scale = quantized(weight)

    def forward(self, x):
        rows, scale = quantized(x)
        return (rows.double() @ self.weight.double().T).float() * (scale * self.scale.T)


def quantized(x):
    top = x.abs().amax(-1, keepdim=True)
    return (x * (127 / top)).round(), top / 127


def rounded_attention(query, key, value, attn_mask=None, is_causal=False):
    """Softmax attention whose inputs and probabilities are bfloat16, for up to 64 positions: one block."""
    query, key, value = (part.bfloat16().float() for part in (query, key, value))
    scores = query @ key.transpose(-1, -2) / 8
    if is_causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), float("-inf"))
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf"))
    shares = (scores - scores.amax(-1, keepdim=True)).exp()
    return shares.bfloat16().float() @ value / shares.sum(-1, keepdim=True)


def with_rounded_attention(attention):
    plain = attention.forward

    def forward(*args):
        with mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", rounded_attention):
            return plain(*args)

    return forward


def as_precision(model: GPT, precision: str) -> GPT:
    """A copy on torch whose matrices are those of a precision; embeddings and what reads latents stay exact."""
    out = GPT(model.config).eval().requires_grad_(False)
    out.load_state_dict(model.state_dict())
    stacks = [out.head, *out.blocks]
    for module in [m for stack in stacks for m in stack.modules()]:
        if isinstance(module, Attention) and precision == "int8":
            module.forward = with_rounded_attention(module)
        for name, part in list(module.named_children()):
            if name == "again":
                continue  # a single output, kept exact
            if isinstance(part, torch.nn.Linear) and precision == "bf16":
                part.weight.copy_(part.weight.bfloat16().float())
            elif isinstance(part, torch.nn.Linear) and precision == "int8":
                setattr(module, name, Int8Linear(part.weight.clone()))
    if precision == "bf16":
        out.text_logits = lambda states: states @ model.text.weight.bfloat16().float().T
    if precision == "int8":
        head = Int8Linear(model.text.weight.clone())
        out.text_logits = lambda states: head(states)  # a module would not take the method's place
    return out


def batch(model: GPT, rows: int, count: int, start: int = 0):
    """Random positions: about every third holds latents; lengths differ. Values are as `seen` lays them."""
    rng = np.random.default_rng(rows * 1000 + count)
    ids = rng.integers(0, model.config.vocabulary, (rows, count))
    ids[rng.random(ids.shape) < 0.3] = -1
    positions = start + np.arange(count)[None, :, None] + rng.integers(0, 9, (rows, count, 3))
    values = rng.uniform(-1, 1, (rows, count, sum(model.config.parts[:3]))).astype(np.float32)
    values = seen(model.config, torch.from_numpy(values), torch.from_numpy(positions)).numpy()
    lengths = rng.integers(max(1, count - 5), count + 1, rows)
    return ids, values, positions, lengths


def session(path: NativePath, rows: int, twins: bool = False):
    ones = np.ones(rows, np.float32)
    return NATIVE.Session(path.gpt, path.pool, ones, np.zeros(rows, np.int64), ones, twins)


def on_torch(model, ids, values, positions):
    values = values[..., : sum(model.config.parts[:3])]  # the network lays rows and columns beside them itself
    ids, values, positions = (torch.from_numpy(a) for a in (ids, values, positions))
    return model(ids.clamp(min=0), values, ids < 0, positions)


def close(got, want, tolerance=TOLERANCE):
    """The difference's root mean square is at most this share of the wanted values'."""
    assert np.square(got - want).mean() ** 0.5 <= tolerance * np.square(want).mean() ** 0.5


def close_as(precision, got, want):
    """`close`; in int8 a difference in the seventh digit may round an activation the other way, so most vectors are."""
    if precision != "int8":
        close(got, want)
        return
    errors = (np.square(got - want).mean(-1) / np.square(want).mean(-1)) ** 0.5
    assert np.median(errors) <= 2e-5
    assert errors.max() <= 0.2


def native(model, precision="fp32", level=None, threads=1):
    return NativePath(model, Build(precision, level or LEVELS[0], threads))


@pytest.mark.parametrize(("precision", "level"), CASES)
def test_states_equal_torch(precision, level):
    model = MODEL if precision == "fp32" else SHALLOW
    path, oracle = native(model, precision, level), as_precision(model, precision)
    pairs = []
    for rows in range(1, 17):
        ids, values, positions, lengths = batch(model, rows, 21)
        states = session(path, rows).read(ids, values, positions, lengths, True)
        want = on_torch(oracle, ids, values, positions).numpy()
        pairs += [(states[row, :length], want[row, :length]) for row, length in enumerate(lengths)]
        # Read in parts, a row gives the same bits.
        parts, whole = session(path, rows), np.full(rows, 21)
        parts.read(ids[:, :18], values[:, :18], positions[:, :18], np.full(rows, 18))
        for place in range(18, 21):
            here = slice(place, place + 1)
            parts.read(ids[:, here], values[:, here], positions[:, here], np.ones(rows, np.int64))
        full = session(path, rows)
        full.read(ids, values, positions, whole)
        np.testing.assert_array_equal(parts.states(), full.states())
    close_as(precision, *(np.concatenate(side) for side in zip(*pairs, strict=True)))


def test_further_layers_are_run_too():
    model = trained_like(GPTConfig(depth=1, extra=2, vocabulary=OFFSET + 77, codes=45, latent=3))
    path = native(model)
    ids, values, positions, lengths = batch(model, 1, 21)
    lengths[:] = 21
    close(session(path, 1).read(ids, values, positions, lengths, True), on_torch(model, ids, values, positions).numpy())


@pytest.mark.parametrize(("precision", "level"), CASES)
def test_logits_equal_torch(precision, level):
    path, oracle = native(SHALLOW, precision, level), as_precision(SHALLOW, precision)
    rng = np.random.default_rng(0)
    for rows in range(17, 33):  # all remainders of rows by the tiles, and enough rows for a median
        states = rng.normal(0, 1, (rows, SHALLOW.config.width)).astype(np.float32)
        codes = rng.integers(0, SHALLOW.config.codes, (rows, 4))
        before = rng.integers(0, SHALLOW.config.codes + 1, (rows, 4)) * rng.integers(0, 2, (rows, 4))  # or nothing
        given = torch.from_numpy(states)
        one = session(path, 1)
        close_as(precision, one.text_logits(states), oracle.text_logits(given).numpy())
        want = oracle.code_logits(given, torch.from_numpy(codes), torch.from_numpy(before)).numpy()
        close_as(precision, one.code_logits(states, codes[:, :3], before), want)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_row_does_not_depend_on_its_neighbours_or_on_threads(level, precision):
    alone = native(SHALLOW, precision, level)
    ids, values, positions, lengths = batch(SHALLOW, 16, 40)
    whole = {}
    for threads in (1, 3):
        path = native(SHALLOW, precision, level, threads)
        whole[threads] = session(path, 16).read(ids, values, positions, lengths, True)
    np.testing.assert_array_equal(whole[1], whole[3])
    for row in (0, 7, 15):
        part = slice(row, row + 1)
        states = session(alone, 1).read(ids[part], values[part], positions[part], lengths[part], True)
        np.testing.assert_array_equal(states[0], whole[1][row])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_row_does_not_depend_on_how_much_is_read_at_once(level, precision):
    path = native(SHALLOW, precision, level)
    ids, values, positions, _ = batch(SHALLOW, 2, 150)  # more than two blocks of attention
    whole, parts = session(path, 2).read(ids, values, positions, np.full(2, 150), True), session(path, 2)
    for first, last in ((0, 61), *((i, i + 1) for i in range(61, 68)), (68, 75), (75, 150)):
        states = parts.read(*(a[:, first:last] for a in (ids, values, positions)), np.full(2, last - first), True)
        np.testing.assert_array_equal(states, whole[:, first:last])
    want = on_torch(as_precision(SHALLOW, precision), ids, values, positions).numpy()
    errors = (np.square(whole - want).mean(-1) / np.square(want).mean(-1)) ** 0.5
    assert np.median(errors) <= (0.01 if precision == "int8" else TOLERANCE)  # int8 rounds shares of another maximum


@pytest.mark.parametrize("level", LEVELS)
def test_what_was_forgotten_leaves_no_trace(level):
    path = native(SHALLOW, level=level)
    ids, values, positions, _ = batch(SHALLOW, 2, 40)
    wrong = batch(SHALLOW, 2, 41)
    whole, again = session(path, 2), session(path, 2)
    want = whole.read(ids, values, positions, np.full(2, 40), True)
    again.read(ids[:, :20], values[:, :20], positions[:, :20], np.full(2, 20))
    again.read(*wrong[:3], np.full(2, 41))
    again.forget(np.array([41, 43]))  # rows may go back by different counts
    again.read(ids[:, 18:20], values[:, 18:20], positions[:, 18:20], np.array([1, 2]))
    again.forget(np.array([1, 0]))
    rest = again.read(ids[:, 20:], values[:, 20:], positions[:, 20:], np.full(2, 20), True)
    np.testing.assert_array_equal(rest, want[:, 20:])


@pytest.mark.parametrize("level", LEVELS[:1])
def test_a_row_of_8192_positions_equals_torch(level):
    model = trained_like(GPTConfig(depth=2, vocabulary=64, codes=8, latent=2))
    ids, values, positions, _ = batch(model, 1, 8192)
    one = session(native(model, level=level), 1)
    first = np.array([8190])
    states = one.read(ids[:, :8190], values[:, :8190], positions[:, :8190], first, True)
    want = on_torch(model, ids, values, positions).numpy()
    close(states[:, 8000:], want[:, 8000:8190], 2e-5)  # sums over thousands of positions round more
    for place in (8190, 8191):
        here = slice(place, place + 1)
        one.read(ids[:, here], values[:, here], positions[:, here], np.ones(1, np.int64))
        close(one.states(), want[:, place], 2e-5)
    assert one.cache_bytes == 8192 * model.config.cache_bytes


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("top_k", [0, 1, 7, 500])
@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.3, 1e-6])
def test_the_sampler_draws_the_ids_that_torch_draws(level, top_k, top_p):
    rng = np.random.default_rng(top_k)
    for choices in (5, 100, 1000):
        logits = rng.normal(0, 3, (300, choices)).astype(np.float32)
        uniform = rng.random(300, np.float32)
        for temperature in (0.0, 0.7, 1.5):
            full = torch.full((300,), 1.0)
            given = torch.from_numpy(logits), torch.from_numpy(uniform)
            want = choose(*given, full * temperature, full * top_k, full * top_p)
            got = NATIVE.choose(logits, uniform, temperature, top_k, top_p, level)
            np.testing.assert_array_equal(got, want.numpy())


def test_the_sampler_draws_its_distribution():
    """Chi-square with 5 degrees of freedom under its 99.9% point, at a fixed seed."""
    count = 40_000
    logits = np.array([0.3, -1.0, 1.2, 0.0, 0.5, -0.2], np.float32)
    uniform = np.random.default_rng(0).random(count, np.float32)
    drawn = NATIVE.choose(np.tile(logits, (count, 1)), uniform, 1.0, 0, 1.0, LEVELS[0])
    expected = np.exp(logits) / np.exp(logits).sum() * count
    assert ((np.bincount(drawn, minlength=6) - expected) ** 2 / expected).sum() < 20.5


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_codes_are_drawn_as_their_logits_say(precision):
    """Chi-square of all the positions of a batch: the first code of each row against its own distribution."""
    path = native(MODEL, precision)
    rows = 400
    ids, values, positions, _ = (np.repeat(a, rows, 0) for a in batch(MODEL, 1, 6))
    one = session(path, rows)
    one.read(ids, values, positions, np.full(rows, 6))
    before = np.full((1, 4), 8)
    expected = np.exp(one.code_logits(one.states()[:1], np.zeros((1, 0), np.int64), before)[0, 0].astype(np.float64))
    expected *= rows * 25 / expected.sum()
    rng = np.random.default_rng(1)
    states, unknown, unguided = one.states()[:, None], np.full((rows, 1, 4), -1), np.ones((rows, 1), np.float32)
    there = np.full((rows, 1, 4), 8)
    numbers = [rng.random((rows, 1, 4), np.float32) for _ in range(25)]
    drawn = [one.choose_codes(states, there, some, unguided, unknown)[0][:, 0, 0] for some in numbers]
    counts = np.bincount(np.concatenate(drawn), minlength=45)
    often = expected > 5
    assert ((counts - expected)[often] ** 2 / expected[often]).sum() < often.sum() + 4.5 * (2 * often.sum()) ** 0.5


WIDTH = MODEL.config.inputs
BROKEN = {
    "ids above the vocabulary": {"ids": np.full((2, 3), MODEL.config.vocabulary)},
    "ids below -1": {"ids": np.full((2, 3), -2)},
    "int32 ids": {"ids": np.zeros((2, 3), np.int32)},
    "one row of ids": {"ids": np.zeros((1, 3), np.int64)},
    "no positions": {"ids": np.zeros((2, 0), np.int64)},
    "flat ids": {"ids": np.zeros(6, np.int64)},
    "values that are not numbers": {"values": np.full((2, 3, WIDTH), np.nan, np.float32)},
    "infinite values": {"values": np.full((2, 3, WIDTH), np.inf, np.float32)},
    "float64 values": {"values": np.zeros((2, 3, WIDTH))},
    "narrow values": {"values": np.zeros((2, 3, WIDTH - 1), np.float32)},
    "negative positions": {"positions": np.full((2, 3, 3), -1)},
    "endless positions": {"positions": np.full((2, 3, 3), 2**40)},
    "two axes": {"positions": np.zeros((2, 3, 2), np.int64)},
    "no length": {"lengths": np.zeros(2, np.int64)},
    "too long": {"lengths": np.full(2, 4)},
    "one length": {"lengths": np.ones(1, np.int64)},
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_row_is_told(name):
    good = {
        "ids": np.zeros((2, 3), np.int64),
        "values": np.zeros((2, 3, WIDTH), np.float32),
        "positions": np.zeros((2, 3, 3), np.int64),
        "lengths": np.full(2, 3),
    }
    one = session(native(MODEL), 2)
    with pytest.raises(ValueError, match=next(iter(BROKEN[name]))):
        one.read(**good | BROKEN[name])
    one.read(**good)


def test_what_is_wrong_with_a_call_is_told():
    one = session(native(MODEL), 2)
    states, codes = np.zeros((2, 320), np.float32), np.zeros((2, 3), np.int64)
    legal, uniform = np.ones(MODEL.config.vocabulary, np.uint8), np.zeros(2, np.float32)
    drawing = {
        "states": states[:, None],
        "before": np.zeros((2, 1, 4), np.int64),
        "uniform": np.zeros((2, 1, 4), np.float32),
        "guidance": np.ones((2, 1), np.float32),
        "known": np.full((2, 1, 4), -1),
    }
    none = np.zeros((2, 4), np.int64)
    one.choose_codes(**drawing)
    calls = [
        lambda: one.text_logits(states[:, :-1]),
        lambda: one.text_logits(states[:0]),
        lambda: one.text_logits(np.full((2, 320), np.nan, np.float32)),
        lambda: one.code_logits(states, codes + 45, none),
        lambda: one.code_logits(states, codes[:1], none),
        lambda: one.code_logits(states, np.zeros((2, 4), np.int64), none),
        lambda: one.code_logits(states, codes, none + 46),
        lambda: one.code_logits(states, codes, none - 1),
        lambda: one.code_logits(states, codes, none[:, :3]),
        lambda: one.choose_text(states[:1], uniform, legal),
        lambda: one.choose_text(states * np.nan, uniform, legal),
        lambda: one.choose_text(states, uniform + 1, legal),
        lambda: one.choose_text(states, np.full(2, np.nan, np.float32), legal),
        lambda: one.choose_text(states, uniform, legal[1:]),
        lambda: one.choose_text(states, uniform, legal * 0),
        lambda: one.choose_codes(**drawing | {"states": states}),
        lambda: one.choose_codes(**drawing | {"states": states[:, None] * np.nan}),
        lambda: one.choose_codes(**drawing | {"states": states[:, None][:, :0]}),
        lambda: one.choose_codes(**drawing | {"before": np.full((2, 1, 4), 46)}),
        lambda: one.choose_codes(**drawing | {"before": np.full((2, 1, 4), -1)}),
        lambda: one.choose_codes(**drawing | {"before": np.zeros((1, 1, 4), np.int64)}),
        lambda: one.choose_codes(**drawing | {"uniform": uniform[:, None]}),
        lambda: one.choose_codes(**drawing | {"guidance": np.full((2, 1), np.inf, np.float32)}),
        lambda: one.choose_codes(**drawing | {"known": np.full((2, 1, 4), 45)}),
        lambda: one.choose_codes(**drawing | {"known": np.full((2, 1, 4), -2)}),
        lambda: one.forget(np.array([0, 1])),
        lambda: one.forget(np.array([0, -1])),
        lambda: one.forget(np.zeros(1, np.int64)),
        lambda: NATIVE.choose(np.full((1, 3), np.nan, np.float32), uniform[:1], 1.0, 0, 1.0, "auto"),
        lambda: NATIVE.choose(np.zeros((1, 0), np.float32), uniform[:1], 1.0, 0, 1.0, "auto"),
        lambda: NATIVE.choose(np.zeros((1, 3), np.float32), uniform[:1], -1.0, 0, 1.0, "auto"),
        lambda: NATIVE.choose(np.zeros((1, 3), np.float32), uniform[:1], 1.0, 0, 0.0, "auto"),
        lambda: NATIVE.choose(np.zeros((1, 3), np.float32), uniform[:1], 1.0, 0, 1.0, "mmx"),
        lambda: NATIVE.Pool(0),
        lambda: native(MODEL, "int3"),
        lambda: native(MODEL, level="mmx"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"\w"):
            call()


@pytest.mark.parametrize("damage", ["missing", "shape", "nan"])
def test_damaged_weights_are_refused_by_name(damage):
    class Damaged:
        config = MODEL.config

        @staticmethod
        def state_dict():
            weights = {name: value.clone() for name, value in MODEL.state_dict().items()}
            name = "blocks.1.feed.up.weight"
            if damage == "missing":
                del weights[name]
            elif damage == "shape":
                weights[name] = weights[name][1:]
            else:
                weights[name][0, 0] = torch.nan
            return weights

    with pytest.raises(ValueError, match=r"blocks\.1\.feed\.up\.weight"):
        native(Damaged)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_seed_draws_the_same_map_whatever_stands_beside_it(level, precision):
    """Bit for bit: in any batch, on any number of threads, any number of positions a pass."""
    engine = Engine(tiny(2), GRID, engine="native")
    builds, twins = prompts(len(SAMPLINGS))
    rows, without = ([b(Builder(2, 2)).finish() for b in part] for part in (builds, twins))
    samplings = [Sampling(s.temperature, s.top_k, s.top_p, s.seed, 2.5) for s in SAMPLINGS]
    given = [some_given(PLANS["picture"], 2, row) for row in range(len(rows))]

    def draw(picked, threads, window):
        engine.path = native(engine.model, precision, level, threads)
        some = ([part[i] for i in picked] for part in (rows, samplings, without, given))
        prompted, settings, twin, known = some
        plan = PLANS["picture"]
        return engine.generate(prompted, plan, settings, unconditional=twin, given=known, window=window)

    want = draw(range(len(rows)), 1, 1)
    for threads, window in ((1, 3), (3, 1), (3, 5)):
        for picked in ([0], [1], [2], [3], [3, 1], [0, 1, 2, 3]):
            for place, output in zip(picked, draw(picked, threads, window), strict=True):
                np.testing.assert_array_equal(output.maps[0], want[place].maps[0])
                np.testing.assert_array_equal(output.nats[0], want[place].nats[0])


def test_the_reader_reads_all():
    for level in LEVELS:
        for threads in (1, 3):
            for count in (1, 64, 4096 + 64, 300_001):
                reader = NATIVE.Reader(NATIVE.Pool(threads), count, level)
                assert reader.bytes == -(-count // 64) * 64
                assert reader.read() * 4 == reader.bytes
    with pytest.raises(ValueError, match="bytes=0"):
        NATIVE.Reader(NATIVE.Pool(1), 0, "auto")


def test_engines_run_side_by_side_in_threads():
    model = tiny(2)
    builds, twins = prompts(len(SAMPLINGS))
    samplings = [Sampling(s.temperature, s.top_k, s.top_p, s.seed, 2.5) for s in SAMPLINGS]
    rows, without = ([b(Builder(2, 2)).finish() for b in part] for part in (builds, twins))
    engine = Engine(model, GRID, engine="native")
    engine.path.pool = NATIVE.Pool(3)

    def draw():
        return engine.generate(rows, [DrawMap(3, 3)], samplings, unconditional=without)

    want, got = draw(), {}
    threads = [threading.Thread(target=lambda i=i: got.update({i: draw()})) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    for outputs in got.values():
        for one, two in zip(outputs, want, strict=True):
            np.testing.assert_array_equal(one.maps[0], two.maps[0])


def test_progress_can_stop_a_generation():
    class Stop(Exception):
        pass

    def stop(done, total):
        if done == 3:
            raise Stop

    engine = Engine(tiny(2), GRID, engine="native")
    row = prompts(1)[0][0](Builder(2, 2)).finish()
    with pytest.raises(Stop):
        engine.generate([row], [Say(8)], [Sampling()], progress=stop)
    assert engine.generate([row], [Say(8)], [Sampling()])


def test_the_environment_decides(monkeypatch):
    model = tiny(2)
    assert paths.choose(model).build.precision == "fp32"
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    assert paths.choose(model).build.precision == "bf16"  # the same numbers in half the bytes
    assert paths.choose(model, "int8").build.precision == "int8"
    for name, value, text in (
        ("PRECISION", "int8", "int8"),
        ("LEVEL", "portable", "portable"),
        ("THREADS", "3", "3 threads"),
        ("ENGINE", "torch", "torch: asked for"),
    ):
        monkeypatch.setenv(f"TRIPTYCH_{name}", value)
        assert text in str(paths.choose(model))
    for name in ("PRECISION", "LEVEL", "THREADS", "ENGINE"):
        monkeypatch.setenv("TRIPTYCH_ENGINE", "native")
        monkeypatch.setenv(f"TRIPTYCH_{name}", "odd")
        with pytest.raises(ConfigError, match=f"TRIPTYCH_{name}='odd'"):
            paths.choose(model)
        monkeypatch.delenv(f"TRIPTYCH_{name}")


def test_without_the_extension_torch_runs_and_says_why(monkeypatch):
    monkeypatch.setattr(paths, "extension", lambda: (None, "no compiler was there"))
    assert str(paths.choose(tiny(2))) == "torch: no compiler was there"
    with pytest.raises(ConfigError, match="no compiler was there"):
        paths.choose(tiny(2), engine="native")
    assert "bfloat16" in str(paths.choose(tiny(2).bfloat16()))
