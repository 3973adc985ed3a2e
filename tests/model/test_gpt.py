"""The network: causal, equal with and without a cache, sized by depth."""

import itertools

import pytest
import torch

from triptych.config import LAID, SEEN, GPTConfig
from triptych.model.gpt import GPT


def tiny(group=2, depth=2, **read):
    torch.manual_seed(0)
    config = GPTConfig(depth=depth, group=group, vocabulary=40, codes=12, latent=2, **read)
    model = GPT(config).eval().requires_grad_(False)
    for parameter in model.parameters():  # blocks start as the identity: wake them up
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.15)
    return model


def inputs(rows, count, slots, seed=0):
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 40, (rows, count), generator=g)
    values = torch.randn(rows, count, slots * (2 * SEEN + LAID), generator=g)
    positions = torch.randint(0, 30, (rows, count, 3), generator=g)
    return ids, values, torch.rand(rows, count, generator=g) < 0.5, positions


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("changed", [1, 5, 10])
def test_a_later_position_never_changes_an_earlier_state(group, changed):
    model = tiny(group)
    one, two = inputs(2, 11, group**2), inputs(2, 11, group**2, seed=1)
    mixed = [torch.cat([a[:, :changed], b[:, changed:]], 1) for a, b in zip(one, two, strict=True)]
    before, after = model(*one), model(*mixed)
    torch.testing.assert_close(before[:, :changed], after[:, :changed], rtol=0, atol=1e-5)
    assert (before[:, changed:] - after[:, changed:]).abs().amax(-1).min() > 1e-2


def test_every_input_matters():
    model, (ids, values, visual, positions) = tiny(), inputs(1, 6, 4)
    visual[:, 1], visual[:, 2] = True, False
    base = model(ids, values, visual, positions)[:, -1]

    def differs(*changed):
        return bool((model(*changed)[:, -1] - base).abs().max() > 1e-3)

    other_ids, other_values = (ids + 1) % 40, values + 1
    at = torch.arange(6)
    assert differs(ids.where(at != 2, other_ids), values, visual, positions)
    assert not differs(ids.where(at != 1, other_ids), values, visual, positions)  # values stand there instead
    assert differs(ids, values.where((at != 1)[:, None], other_values), visual, positions)
    assert not differs(ids, values.where((at != 2)[:, None], other_values), visual, positions)
    for axis in range(3):
        moved = positions.clone()
        moved[0, 1, axis] += 3
        assert differs(ids, values, visual, moved), axis
    later = positions + torch.tensor([5, 0, 0])
    assert differs(ids, values, visual, later)
    model = tiny(timed=False)
    base = model(ids, values, visual, positions)[:, -1]
    assert not differs(ids, values, visual, later)  # of times that maps don't hold, only differences count


def test_a_branch_sees_the_trunk_and_itself():
    """Its states are those of a row that holds nothing besides."""
    model, row = tiny(), inputs(1, 9, 4)
    branches = torch.tensor([[0, 0, 0, 1, 1, 1, 2, 2, 2]])
    whole = model(*row, branches=branches)
    for number in (1, 2):
        alone = (branches[0] == 0) | (branches[0] == number)
        torch.testing.assert_close(whole[:, alone], model(*(part[:, alone] for part in row)))
    assert (whole[:, 6:] - model(*row)[:, 6:]).abs().max() > 1e-2
    with pytest.raises(ValueError, match="a cache doesn't keep them apart"):
        model(*row, model.new_cache(1, 9), branches)


@pytest.mark.parametrize("chunks", [[1] * 6, [2, 3, 1], [6]])
def test_the_cache_equals_the_whole_for_rows_of_different_lengths(chunks):
    model = tiny()
    lengths = torch.tensor([2, 7, 5])
    prompt, rest = inputs(3, 7, 4), inputs(3, 6, 4, seed=1)
    cache = model.new_cache(3, 13)
    states = model(*prompt, cache)
    cache.advance(lengths)
    place, got = 0, []
    for count in chunks:
        got.append(model(*(part[:, place : place + count] for part in rest), cache))
        cache.advance(torch.full((3,), count) if count % 2 else count)
        place += count
    got = torch.cat(got, 1)
    for row, length in enumerate(lengths.tolist()):
        whole = [torch.cat([a[row : row + 1, :length], b[row : row + 1]], 1) for a, b in zip(prompt, rest, strict=True)]
        expected = model(*whole)[0]
        torch.testing.assert_close(states[row, :length], expected[:length], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(got[row], expected[length:], rtol=1e-4, atol=1e-4)


def test_a_full_cache_is_told():
    model = tiny()
    cache = model.new_cache(1, 3)
    with pytest.raises(ValueError, match="room for 3 positions, 4 are needed"):
        model(*inputs(1, 4, 4), cache)


@pytest.mark.parametrize("group", [1, 2])
def test_a_slot_depends_only_on_the_codes_before_it(group):
    model = tiny(group)
    slots = group**2
    states = torch.randn(5, model.config.width)
    codes = torch.randint(0, 12, (5, slots))
    logits = model.code_logits(states, codes)
    assert logits.shape == (5, slots, 12)
    for k in range(slots):
        other = codes.clone()
        other[:, k:] = (other[:, k:] + 1) % 12
        changed = model.code_logits(states, other)
        torch.testing.assert_close(changed[:, : k + 1], logits[:, : k + 1], rtol=0, atol=1e-5)
        if k + 1 < slots:
            assert (changed[:, k + 1] - logits[:, k + 1]).abs().max() > 1e-2
        torch.testing.assert_close(model.code_logits(states, codes[:, :k])[:, -1], logits[:, k], rtol=0, atol=1e-5)


def test_depth_sizes_the_network():
    counts = []
    for depth in (1, 2, 4, 8):
        with torch.device("meta"):
            model = GPT(GPTConfig(depth=depth))
        counts.append(sum(p.numel() for p in model.blocks.parameters()))
        assert len(model.blocks) == depth
    assert all(4 < b / a < 14 for a, b in itertools.pairwise(counts))  # about the cube of depth


def test_a_fresh_network_is_near_uniform_and_has_finite_gradients():
    torch.manual_seed(0)
    model = GPT(GPTConfig(depth=2, vocabulary=40, codes=12, latent=2))
    ids, values, visual, positions = inputs(2, 8, 4)
    states = model(ids, values * 0, visual, positions)
    assert model.code_logits(states[0], torch.zeros(8, 4, dtype=torch.long)).softmax(-1).max() < 0.9
    (states.square().sum() + model.text_logits(states).logsumexp(-1).sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("group", [1, 2])
def test_a_code_of_the_map_before_is_likelier_by_one_number_and_nothing_else_is(group):
    model, slots = tiny(group=group), group**2
    torch.nn.init.normal_(model.head.again.weight)
    states, codes = torch.randn(5, model.config.width), torch.randint(0, 12, (5, slots))
    before = torch.randint(1, 13, (5, slots))
    before[0] = 0  # nothing was there
    more = model.code_logits(states, codes, before) - model.code_logits(states, codes)
    where = torch.nn.functional.one_hot(before, 13)[..., 1:].bool()
    assert not more[~where].any()
    assert more[where].unique().numel() == 4 * slots  # a number of its own for each
    plain = GPT(model.config.model_copy(update={"beside": False}))
    assert plain.head.again is None
    torch.testing.assert_close(plain.code_logits(states, codes, before), plain.code_logits(states, codes))
