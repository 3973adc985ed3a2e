"""The visual tokenizer in C++ equals torch, for pictures and clips, at each level that this machine runs."""

import numpy as np
import pytest
import torch

from triptych.config import VisualTokenizerConfig
from triptych.generate.native_path import Build, extension
from triptych.generate.native_visual import NativeVisual
from triptych.tokenizers.visual import VisualTokenizer

NATIVE, REASON = extension()
pytestmark = pytest.mark.skipif(NATIVE is None, reason=REASON)
LEVELS = NATIVE.levels() if NATIVE is not None else []


@pytest.fixture(scope="module", params=[0, 2])
def visual(request):
    torch.manual_seed(0)
    config = VisualTokenizerConfig(widths=(12, 20, 28), blocks=1, extra=request.param, levels=(8, 5, 5))
    out = VisualTokenizer(config).eval()
    for parameter in out.parameters():  # residuals start as the identity: wake them up
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return out.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", [(1, 1, 14, 14), (3, 1, 2, 5), (2, 3, 4, 1), (1, 2, 1, 1)])
@torch.inference_mode()
def test_it_equals_torch(visual, level, shape):
    native = NativeVisual(visual, Build("fp32", level, 1))
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 200, shape))
    want, got = visual.draw(codes), native.draw(codes)
    assert got.shape == want.shape
    difference = (got.int() - want.int()).abs()
    assert difference.max() <= 1  # where the seventh digit decides how a level is rounded
    assert (difference > 0).float().mean() < 1e-3
    frames = torch.from_numpy(np.random.default_rng(1).integers(0, 256, tuple(want.shape), dtype=np.uint8))
    (want_codes, want_latents), (got_codes, got_latents) = visual.tokenize(frames), native.tokenize(frames)
    assert torch.equal(got_codes, want_codes)
    torch.testing.assert_close(got_latents, want_latents, rtol=0, atol=2e-5)


@torch.inference_mode()
def test_threads_and_neighbours_change_nothing(visual):
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 200, (3, 2, 6, 6)))
    one, three = (NativeVisual(visual, Build("fp32", LEVELS[0], threads)) for threads in (1, 3))
    together = three.draw(codes)
    for place in range(3):
        assert torch.equal(one.draw(codes[place : place + 1])[0], together[place])


def test_what_is_wrong_is_told(visual):
    native = NativeVisual(visual, Build("fp32", LEVELS[0], 1))
    with pytest.raises(ValueError, match="multiple of the span"):
        native.tokenize(torch.zeros(1, 2, 32, 32, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="multiples of 8"):
        native.tokenize(torch.zeros(1, 1, 31, 32, 3, dtype=torch.uint8))
    for shape in ((1, 1, 2, 2, 4), (1, 1, 2, 3), (1, 0, 2, 2, 3)):
        with pytest.raises(ValueError, match="pictures"):
            native.decoder.run(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="float32"):
        native.decoder.run(np.zeros((1, 1, 2, 2, 3)))
    network = NATIVE.Network(NATIVE.Pool(1), 4, LEVELS[0])
    weight, bias = np.zeros((6, 4), np.float32), np.zeros(6, np.float32)
    calls = [
        lambda: network.convolve(weight[:, 1:], bias, 1),
        lambda: network.convolve(weight, bias[1:], 1),
        lambda: network.convolve(weight, bias, 3),
        lambda: network.convolve(weight, bias, 2),
        lambda: network.convolve(np.full((6, 4), np.nan, np.float32), bias, 1),
        lambda: network.residual(weight, bias, weight, bias),
        lambda: network.causal(weight, bias),
        lambda: network.merge(weight, bias, 4),
        lambda: network.split(3),
        lambda: network.split(0),
        lambda: network.shuffle(3),
        lambda: network.unshuffle(0),
        lambda: NATIVE.Network(NATIVE.Pool(1), 0, LEVELS[0]),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"\w"):
            call()
