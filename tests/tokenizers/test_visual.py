"""The visual tokenizer: shapes, a picture is a one-frame clip, and causality in time both ways."""

import pytest
import torch

from triptych.config import VisualTokenizerConfig
from triptych.tokenizers.visual import VisualTokenizer, to_bytes, to_float


@pytest.fixture(scope="module")
def visual():
    torch.manual_seed(0)
    network = VisualTokenizer(VisualTokenizerConfig(levels=(5, 4, 3), widths=(8, 16, 16), blocks=1)).eval()
    for parameter in network.parameters():  # some layers start as zero: wake them up
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=1.5 * parameter[0].numel() ** -0.5)
    return network.requires_grad_(False)


def clip(frames, y=32, x=48, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, frames, 3, y, x, generator=generator) * 2 - 1


@pytest.mark.parametrize("frames", [1, 5, 9, 17])
@pytest.mark.parametrize(("y", "x"), [(16, 16), (32, 48), (48, 16)])
def test_shapes(visual, frames, y, x):
    latents = visual.encode(clip(frames, y, x, 2))
    assert latents.shape == (2, 1 + frames // 4, y // 16, x // 16, 3)
    assert latents.abs().max() <= 1.34  # levels of 4 reach to -1.0 and 3 of a grid that is scaled by 2
    assert visual.decode(latents).shape == (2, frames, 3, y, x)
    codes, same = visual.tokenize(to_bytes(clip(frames, y, x, 2)))
    assert codes.shape == latents.shape[:-1]
    assert codes.dtype == torch.int64
    assert 0 <= codes.min() <= codes.max() < 60
    assert same.shape == latents.shape
    drawn = visual.draw(codes)
    assert (drawn.shape, drawn.dtype) == ((2, frames, y, x, 3), torch.uint8)


def test_a_picture_is_the_first_frame_of_any_clip(visual):
    pixels = clip(9)
    latents = visual.encode(pixels)
    torch.testing.assert_close(visual.encode(pixels[:, :1]), latents[:, :1])
    torch.testing.assert_close(visual.decode(latents[:, :1]), visual.decode(latents)[:, :1], rtol=0, atol=1e-3)


@pytest.mark.parametrize("changed", [1, 4, 5, 8, 9, 16])
def test_encode_is_causal_in_time(visual, changed):
    pixels = clip(17)
    other = pixels.clone()
    other[:, changed:] = clip(17, seed=1)[:, changed:]
    before, after = visual.encode(pixels), visual.encode(other)
    first = -(-changed // 4)  # frame 4k ends map k
    torch.testing.assert_close(before[:, :first], after[:, :first], rtol=0, atol=1e-6)
    assert (before[:, first:] - after[:, first:]).abs().amax((0, 2, 3, 4)).min() > 1e-3


@pytest.mark.parametrize("changed", [1, 2, 4])
def test_decode_is_causal_in_time(visual, changed):
    latents = visual.encode(clip(17))
    other = latents.clone()
    other[:, changed:] = visual.encode(clip(17, seed=1))[:, changed:]
    before, after = visual.decode(latents), visual.decode(other)
    first = 4 * changed - 3
    torch.testing.assert_close(before[:, :first], after[:, :first], rtol=0, atol=1e-6)
    assert (before[:, first:] - after[:, first:]).abs().amax((0, 2, 3, 4)).min() > 1e-4


def test_rows_of_a_batch_are_independent(visual):
    pixels = clip(5, batch=2)
    torch.testing.assert_close(visual.encode(pixels)[1:], visual.encode(pixels[1:]))


@pytest.mark.parametrize(("frames", "y", "x"), [(2, 32, 32), (4, 32, 32), (0, 32, 32), (1, 30, 32), (1, 32, 40)])
def test_a_wrong_size_is_told(visual, frames, y, x):
    with pytest.raises(ValueError, match=rf"got {frames} frames of {x}x{y}: pad the clip or resize it"):
        visual.encode(torch.zeros(1, frames, 3, y, x))


def test_bytes_come_back():
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16, 1).expand(-1, -1, -1, -1, 3)
    assert torch.equal(to_bytes(to_float(frames)), frames)
    assert to_float(frames).min() == -1
    assert to_float(frames).max() == 1


def test_training_reaches_every_weight():
    torch.manual_seed(0)
    network = VisualTokenizer(VisualTokenizerConfig(levels=(5, 4), widths=(8, 8, 8), blocks=1))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    for _ in range(3):  # layers that start as zero hold back the gradients of others for a step or two
        optimizer.zero_grad()
        network(clip(5, 16, 16)).square().mean().backward()
        optimizer.step()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
