"""Codes that hold still: what a twin leaves alone, and what it costs to fall to another code."""

import pytest
import torch

from triptych.tokenizers.quantize import FSQ
from triptych.train.steady import MARGIN, NOISE, twin, wander


@pytest.mark.parametrize("rows", [1, 3])
def test_a_twin_differs_by_noise_alone_where_it_is_the_same(rows):
    torch.manual_seed(0)
    pixels = torch.rand(rows, 2, 3, 96, 64) * 2 - 1
    for _ in range(20):
        other, same = twin(pixels, 16)
        assert same.shape == (6, 4)
        assert other.shape == pixels.shape
        change = (other - pixels).abs().amax((0, 1, 2))  # of each pixel
        cells = torch.nn.functional.max_pool2d(change[None, None], 16)[0, 0]
        assert cells[same].max() < 10 * NOISE
        assert cells[~same].max() > 0.5  # a part of another medium


def test_cells_near_what_was_pasted_do_not_count():
    torch.manual_seed(1)
    pixels = torch.rand(2, 1, 3, 64, 64) * 2 - 1
    for _ in range(20):
        other, same = twin(pixels, 16)
        pasted = (other - pixels).abs().amax((0, 1, 2)) > 10 * NOISE
        for y, x in same.nonzero().tolist():
            top, left = max(0, 16 * y - MARGIN + 1), max(0, 16 * x - MARGIN + 1)
            assert not pasted[top : 16 * y + 16 + MARGIN - 1, left : 16 * x + 16 + MARGIN - 1].any()


def test_the_distance_is_to_the_middle_of_the_own_code_in_steps():
    fsq = FSQ((5, 3))
    latents = torch.tensor([[[[[0.55, 0.8]]]]])  # of the code at (1, 1), in steps of 0.5 and 1
    others = torch.tensor([[[[[0.7, 1.0]]]]])  # 0.4 steps off in the first dimension
    same = torch.ones(1, 1, dtype=torch.bool)
    far, moved = wander(fsq, latents, others, same)
    assert far.item() == pytest.approx(0.4**2 / 2)
    assert moved.item() == 0
    others[..., 0] = 0.9  # 0.8 steps: the next code
    far, moved = wander(fsq, latents, others, same)
    assert far.item() == pytest.approx(0.8**2 / 2)
    assert moved.item() == 1


def test_only_cells_that_are_the_same_count_and_the_own_code_gets_no_gradient():
    fsq = FSQ((5,))
    latents = torch.zeros(1, 1, 1, 2, 1, requires_grad=True)
    others = torch.tensor([[[[[0.25], [1.0]]]]], requires_grad=True)
    far, _ = wander(fsq, latents, others, torch.tensor([[True, False]]))
    far.backward()
    assert latents.grad is None or not latents.grad.any()
    assert others.grad.flatten().tolist() == pytest.approx([2.0, 0.0])
    far, moved = wander(fsq, latents, others, torch.tensor([[False, False]]))
    assert (far.item(), moved.item()) == (0, 0)
