"""Optimisers: Muon's matrices, the rate over a run, the average, and overfitting one batch."""

import pytest
import torch

from tests.train import tiny
from triptych.config import OptimConfig
from triptych.train import optim


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 8, 40), (2, 40, 8)])
def test_orthogonal(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    values = torch.linalg.svdvals(optim.orthogonal(matrices))
    assert values.min() > 0.3
    assert values.max() < 1.3
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    overlap = (optim.orthogonal(matrices) * (u @ v)).sum((1, 2)) / min(shape[1:])
    assert overlap.min() > 0.7
    torch.testing.assert_close(optim.orthogonal(matrices * 1000), optim.orthogonal(matrices), rtol=1e-3, atol=1e-3)
    assert optim.orthogonal(torch.zeros(shape)).isfinite().all()


def test_muon_computes_in_the_precision_that_is_asked_for(monkeypatch):
    seen, real = [], optim.orthogonal
    monkeypatch.setattr(optim, "orthogonal", lambda matrices: seen.append(matrices.dtype) or real(matrices))
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        matrix = torch.nn.Parameter(torch.randn(16, 16))
        before = matrix.detach().clone()
        matrix.grad = torch.randn(16, 16)
        optim.Muon([matrix], 0.1, dtype=dtype).step()
        assert matrix.dtype == torch.float32
        assert not torch.equal(before, matrix)
    assert seen == [torch.float32, torch.bfloat16]


def test_the_rate_over_a_run():
    config = OptimConfig(warmup=10, decay=0.5)
    assert optim.rate(0, 0, config) == pytest.approx(0.1)
    assert optim.rate(0.3, 50, config) == 1
    assert optim.rate(0.75, 75, config) == pytest.approx(0.5)
    assert optim.rate(1.0, 100, config) == 0
    assert optim.rate(0.9, 5, OptimConfig(warmup=0, decay=0)) == 1


def test_the_average_follows():
    model = torch.nn.Linear(2, 2)
    average = optim.Average(model, 0.9)
    start = model.weight.detach().clone()
    model.weight.data.add_(1.0)
    average.update(model, 0)
    torch.testing.assert_close(average.weights["weight"], start + 0.9)  # early on, the newest weighs most
    average = optim.Average(model, 0.9)
    model.weight.data.add_(1.0)
    average.update(model, 10**6)
    torch.testing.assert_close(average.weights["weight"], start + 1.1)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_one_batch_is_learned_by_heart(name, tmp_path):
    data = tiny.tokens(tmp_path)
    rates = ["optim.lr=1e-2", "optim.muon_lr=2e-2", "gpt.dropout=0", f"optim.optimizer={name}"]
    job = tiny.GPTJob(tiny.settings(data, tmp_path / "run", *rates, "mix.draw=1", "mix.read=1", "batch=2"))
    optimizers = optim.build(job.model, job.run.optim)
    assert len(optimizers) == (2 if name == "muon" else 1)
    batch, losses = job.batches[0], []
    for _ in range(160):
        losses.append(job.losses(batch, lambda loss: loss.backward())["loss"])
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert losses[0] > 5
    assert losses[-1] < 0.2
