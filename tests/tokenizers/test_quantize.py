"""FSQ: codes and grid points are one to one, and gradients pass."""

import pytest
import torch

from triptych.tokenizers.quantize import FSQ

LEVELS = [(2,), (3,), (2, 2, 2), (4, 3), (5, 4, 3), (8, 5, 5, 5), (7, 5, 5, 5, 5)]


@pytest.mark.parametrize("levels", LEVELS, ids=str)
def test_codes_and_latents_are_one_to_one(levels):
    fsq = FSQ(levels)
    codes = torch.arange(fsq.codes)
    latents = fsq.to_latents(codes)
    assert latents.unique(dim=0).shape == (fsq.codes, len(levels))
    assert torch.equal(fsq.to_codes(latents), codes)
    torch.testing.assert_close(fsq.quantize(latents), latents)
    assert latents.abs().max() <= 1


@pytest.mark.parametrize("levels", LEVELS, ids=str)
def test_every_latent_has_a_code_and_every_code_can_be_reached(levels):
    fsq = FSQ(levels)
    torch.manual_seed(0)
    raw = torch.cat([torch.randn(200_000, len(levels)) * 2, torch.tensor([[1e4], [-1e4]]).expand(2, len(levels))])
    latents = fsq.bound(raw)
    codes = fsq.to_codes(latents)
    assert codes.min() >= 0
    assert codes.max() < fsq.codes
    if fsq.codes <= 1000:
        assert len(codes.unique()) == fsq.codes
    assert torch.allclose(fsq.quantize(latents), fsq.to_latents(codes), atol=1e-6)


def test_gradients_pass_straight_through():
    fsq = FSQ((8, 5, 5, 5))
    latent = torch.rand(10, 4).sub(0.5).requires_grad_()
    fsq.quantize(latent).sum().backward()
    torch.testing.assert_close(latent.grad, torch.ones(10, 4))
    raw = torch.randn(10, 4, requires_grad=True)
    fsq.quantize(fsq.bound(raw)).sum().backward()
    assert (raw.grad > 0).all()


def test_bytes_keep_the_code():
    """Shards store latents as round(127 x): what is read back stays within half a byte's step."""
    fsq = FSQ((8, 5, 5, 5))
    latents = fsq.bound(torch.randn(1000, 4) * 3)
    stored = latents.mul(127).round().clamp(-128, 127)
    assert (stored / 127 - latents).abs().max() <= 0.5 / 127 + 1e-6
