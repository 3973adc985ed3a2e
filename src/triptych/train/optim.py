"""How weights move: AdamW, Muon for hidden matrices, and the learning rate over a run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from triptych.config import OptimConfig


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal by five Newton-Schulz steps, for 2-D hidden weights.

    Matrices of one shape are stacked, since many small products are slower than a few large ones. The steps may run in
    bfloat16: they need no more precision.
    Source: Jordan et al., "Muon", 2024; scale of the update: Liu et al., arXiv 2502.16982.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                updates = []
                for parameter in parameters:
                    gradient, state = parameter.grad, self.state[parameter]
                    assert gradient is not None
                    if not state:
                        state["momentum"] = torch.zeros_like(parameter)
                    momentum = state["momentum"].lerp_(gradient, 1 - group["momentum"])
                    updates.append(torch.lerp(gradient, momentum, group["momentum"]))
                scale = 0.2 * math.sqrt(max(shape))  # the size of an AdamW update
                for parameter, update in zip(parameters, orthogonal(torch.stack(updates).to(self.dtype)), strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.to(parameter.dtype), alpha=-group["lr"] * scale)


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, rows, columns) -> near-orthogonal matrices with the same singular vectors, in the same precision."""
    x = matrices
    if tall := x.shape[1] > x.shape[2]:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * (square @ square)) @ x
    return x.mT if tall else x


def build(model: nn.Module, config: OptimConfig, dtype: torch.dtype = torch.float32) -> list[torch.optim.Optimizer]:
    """Optimisers for a model: Muon takes the matrices of blocks, AdamW the rest; `dtype` is of Muon's products."""
    hidden: list[Tensor] = []
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if config.optimizer == "muon" and parameter.ndim == 2 and "blocks." in name:
            hidden.append(parameter)
        else:
            (matrices if parameter.ndim >= 2 else others).append(parameter)
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    fused = next(model.parameters()).is_cuda or None
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=1e-10, fused=fused)
    ]
    if hidden:
        optimizers.append(Muon(hidden, config.muon_lr, config.weight_decay, dtype=dtype))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def rate(progress: float, step: int, config: OptimConfig) -> float:
    """Share of the peak rate at `progress` (0 to 1): warm-up by steps, a plateau, then down to zero in a line."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    fall = min(1.0, (1.0 - progress) / config.decay) if config.decay else 1.0
    return warm * max(fall, 0.0)


class Average:
    """Exponential moving average of weights; early on it averages over fewer steps."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after step number `step`."""
        share = 1 - min(self.decay, (step + 1) / (step + 10))
        current = model.state_dict()
        mine, theirs = [], []
        for name, value in self.weights.items():
            if value.is_floating_point():
                mine.append(value)
                theirs.append(current[name].detach())
        torch._foreach_lerp_(mine, theirs, share)
