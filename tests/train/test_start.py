"""Weights that learned with or without what stands beside a place serve a network that does the other."""

import torch

from triptych.config import GPTConfig
from triptych.model.gpt import GPT
from triptych.train.gpt import _fitted


def network(beside: bool) -> GPT:
    torch.manual_seed(int(beside))
    return GPT(GPTConfig(depth=2, vocabulary=40, codes=12, latent=2, beside=beside)).eval().requires_grad_(False)


def states(gpt: GPT, values: torch.Tensor) -> torch.Tensor:
    visual = torch.tensor([[False, True, True]])
    return gpt(torch.ones(1, 3, dtype=torch.long), values, visual, torch.arange(9).view(1, 3, 3))


def test_what_was_not_read_weighs_nothing_at_first():
    plain, wide = network(False), network(True)
    wide.load_state_dict(_fitted(plain.state_dict(), wide))
    values, codes = torch.randn(1, 3, 24), torch.zeros(3, 4, dtype=torch.long)
    torch.testing.assert_close(states(wide, values), states(plain, values))
    given = states(plain, values)[0]
    torch.testing.assert_close(wide.code_logits(given, codes), plain.code_logits(given, codes))


def test_what_is_not_read_any_more_is_left_out():
    wide, plain = network(True), network(False)
    plain.load_state_dict(_fitted(wide.state_dict(), plain))
    values = torch.randn(1, 3, 24)
    values[..., 8:] = 0
    torch.testing.assert_close(states(plain, values), states(wide, values))
