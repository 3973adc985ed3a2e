"""Weights that learned with or without what stands beside a place, what is planned there, and its row and column, serve
a network that reads other parts."""

import itertools

import numpy as np
import pytest
import torch

from triptych.config import LAID, PLACES, SEEN, GPTConfig
from triptych.model.gpt import GPT, seen
from triptych.train.gpt import _fitted

NAMES = ("beside", "placed", "planned")
READ = list(itertools.product((False, True), repeat=3))
WIDTH = 4 * (SEEN * 2 + LAID)


def network(*read: bool) -> GPT:
    torch.manual_seed(READ.index(read))
    config = GPTConfig(depth=2, vocabulary=40, codes=12, latent=2, **dict(zip(NAMES, read, strict=True)))
    return GPT(config).eval().requires_grad_(False)


def states(gpt: GPT, values: torch.Tensor) -> torch.Tensor:
    visual = torch.tensor([[False, True, True]])
    return gpt(torch.ones(1, 3, dtype=torch.long), values, visual, torch.arange(9).view(1, 3, 3))


@pytest.mark.parametrize("more", READ[1:])
@pytest.mark.parametrize("plain", READ[:-1])
def test_what_was_not_read_weighs_nothing_at_first(plain, more):
    wide = network(*(one or two for one, two in zip(plain, more, strict=True)))
    plain = network(*plain)
    wide.load_state_dict(_fitted(plain, wide))
    values, codes = torch.randn(1, 3, WIDTH), torch.zeros(3, 4, dtype=torch.long)
    torch.testing.assert_close(states(wide, values), states(plain, values))
    given = states(plain, values)[0]
    torch.testing.assert_close(wide.code_logits(given, codes), plain.code_logits(given, codes))


@pytest.mark.parametrize("placed", [False, True])
@pytest.mark.parametrize(("left", "where"), [("beside", slice(8, 24)), ("planned", slice(24, None))])
def test_what_is_not_read_any_more_is_left_out(left, where, placed):
    wide, plain = network(True, placed, True), network(left != "beside", placed, left != "planned")
    plain.load_state_dict(_fitted(wide, plain))
    values = torch.randn(1, 3, WIDTH)
    assert not torch.allclose(states(plain, values), states(wide, values))
    values[..., where] = 0
    torch.testing.assert_close(states(plain, values), states(wide, values))


def test_a_place_is_told_by_row_and_column():
    """Of far ones the last stands for all; time tells nothing."""
    config = GPTConfig(depth=2, codes=12, latent=2, beside=False, planned=False)

    def read(*position: int) -> list[float]:
        return seen(config, torch.zeros(1, 1, WIDTH), torch.tensor([[position]]))[0, 0, 8:].tolist()

    assert np.flatnonzero(read(1, 2, 3)).tolist() == [2, PLACES + 3]
    assert read(1, 2, 3) == read(9, 2, 3)
    assert np.flatnonzero(read(1, 99, 31)).tolist() == [31, PLACES + 31]
    assert len(read(1, 2, 3)) == 2 * PLACES
