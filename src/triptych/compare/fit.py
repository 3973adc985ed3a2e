"""Training and reading of one network, alike for all: by the process's CPU time, so that other work costs neither.

B batch, F frames, Y rows, X columns, K labels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from triptych.compare.data import Part
from triptych.compare.networks import GPTClassifier
from triptych.config import OptimConfig
from triptych.errors import TriptychError
from triptych.train import optim

SHIFT = 0.08  # of the side, at most, that augmentation moves a medium
EMA = 0.99
SETTLE = 8  # batches
PROBE = 0.25  # of the time, at most, that fitting the last layer takes
RIDGE = 0.3  # strength of its ridge, as a share of the media
SCALE = 5.0  # from regression onto zeros and ones to logits


class Diverged(TriptychError):
    """A training whose loss is not finite any more."""


def optimiser(lr: float) -> OptimConfig:
    """AdamW with warm-up and a line down to zero, and averaged weights: the same for every network but the rate."""
    return OptimConfig(optimizer="adamw", lr=lr, weight_decay=0.05, warmup=10, decay=0.9, ema=EMA)


def subset(targets: np.ndarray, share: float, seed: int, *, several: bool) -> np.ndarray:
    """Which media keep their labels: a share by lot, a larger share holding the smaller; one of each label at least.

    Args: targets: (N, K). share: in (0, 1]. several: media have sets of labels; then there are two media at least.
    """
    order = np.random.default_rng([seed, 5]).permutation(len(targets))
    wanted = max(2, round(share * len(targets)))
    if several:
        return np.sort(order[:wanted])
    first = [order[targets[order, label].argmax()] for label in range(targets.shape[1]) if targets[:, label].any()]
    chosen = list(dict.fromkeys([*first, *order.tolist()]))
    return np.sort(chosen[: max(wanted, len(first))])


def augmented(pixels: np.ndarray, dice: np.random.Generator, *, flip: bool) -> np.ndarray:
    """One medium uint8 (F, Y, X, 3), moved a little with its edges repeated, and mirrored half of the time."""
    side = pixels.shape[1]
    reach = max(1, round(SHIFT * side))
    rows, columns = (np.clip(np.arange(side) + dice.integers(-reach, reach + 1), 0, side - 1) for _ in range(2))
    if flip and dice.random() < 0.5:
        columns = columns[::-1]
    return pixels[:, rows[:, None], columns]


def to_pixels(arrays: np.ndarray) -> Tensor:
    """uint8 (B, F, Y, X, 3) -> float (B, F, 3, Y, X) in [0, 1]."""
    return torch.from_numpy(np.array(arrays)).permute(0, 1, 4, 2, 3).float().div_(255)


def loss_of(logits: Tensor, targets: Tensor, *, several: bool, each: bool = False) -> Tensor:
    """Cross-entropy of the label, or of each label apart where there are several; (B,) if `each`, else the mean."""
    if several:
        losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
    else:
        losses = F.cross_entropy(logits, targets, reduction="none")
    return losses if each else losses.mean()


def right(logits: Tensor, targets: Tensor, *, several: bool) -> Tensor:
    """(B,) bool: the true label has the largest logit; of several, exactly the true ones have positive logits."""
    if several:
        return ((logits > 0) == (targets > 0.5)).all(1)
    return logits.argmax(1) == targets.argmax(1)


def probe(
    network: GPTClassifier, part: Part, rows: np.ndarray, *, several: bool, seconds: float, batch: int, seed: int
) -> int:
    """Fit the last layer of a pre-trained network in closed form, by ridge regression of the targets on its features.

    Fine-tuning from there moves the features less than from a blank layer (Kumar et al., arXiv 2202.10054).

    Args: seconds: of CPU time for features; as many of `rows` are read, by lot, as fit in.
    Returns: how many media were read.
    """
    order = np.random.default_rng([seed, 8]).permutation(rows)
    network.eval()
    features: list[Tensor] = []
    began, read = time.process_time(), 0
    with torch.inference_mode():
        while read < len(order) and (read < batch or time.process_time() - began < seconds):
            some = np.sort(order[read : read + 8])
            features.append(network.features(to_pixels(part.pixels[some])).double())
            order[read : read + 8] = some
            read += len(some)
        x = torch.cat(features)
        y = torch.from_numpy(part.targets[order[:read]]).double()
        mean, spread, share = x.mean(0), x.std(0) + 1e-3, y.mean(0)
        z = (x - mean) / spread
        square = z.T @ z + max(1.0, RIDGE * read) * torch.eye(z.shape[1], dtype=z.dtype)
        weight = torch.linalg.solve(square, z.T @ (y - share)) / spread[:, None]
        bias = share - mean @ weight - (0.5 if several else 0.0)
    with torch.no_grad():
        network.head.weight.copy_(SCALE * weight.T)
        network.head.bias.copy_(SCALE * bias)
    return read


def train(
    network: nn.Module,
    part: Part,
    rows: np.ndarray,
    *,
    several: bool,
    lr: float,
    seconds: float,
    batch: int,
    seed: int,
    flip: bool,
    steps: int | None = None,
    probed: bool = False,
    bf16: bool = False,
    tell: Callable[[float], None] = lambda share: None,
) -> dict[str, float]:
    """Train for so many seconds of the process's CPU time; the network ends with its averaged weights, in eval mode.

    Args:
        part, rows: the media, and which of them have labels. several: see `right`. lr: peak of AdamW.
        steps: end sooner, after so many. flip: mirror half of the media. tell: called with the share done.
        probed: begin with `probe`, within the same time. bf16: compute forward and backward passes in bfloat16,
            except where there are 3D convolutions.

    Returns: steps, media seen, seconds of CPU, the last loss.
    Raises: Diverged where the loss is not finite.
    """
    # Of 3D convolutions in bfloat16, torch's gradients of weights are not always finite on a CPU (seen in 2.13: narrow
    # ones over few places, finite gradients above them): those compute in float32.
    solid = any(isinstance(module, nn.Conv3d) for module in network.modules())
    config = optimiser(lr)
    optimizers, average = optim.build(network, config), optim.Average(network, config.ema)
    stream = _batches(part, rows, min(batch, len(rows)), seed, flip)
    torch.manual_seed(seed)
    began, step, seen, recent = time.process_time(), 0, 0, math.nan
    if probed:
        assert isinstance(network, GPTClassifier)
        seen = probe(network, part, rows, several=several, seconds=PROBE * seconds, batch=batch, seed=seed)
        average = optim.Average(network, config.ema)
    network.train()
    while (spent := time.process_time() - began) < seconds and (steps is None or step < steps):
        done = max(spent / seconds, step / steps if steps else 0.0)
        tell(done)
        pixels, targets = next(stream)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16 and not solid):
            logits = network(pixels)
        loss = loss_of(logits.float(), targets, several=several)
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(network.parameters(), config.clip))
        recent = float(loss.detach())
        if not (math.isfinite(recent) and math.isfinite(norm)):
            raise Diverged(
                f"the loss is {recent} and the gradient's norm {norm} at step {step} with lr {lr}: give lower "
                "gpt_rates or cnn_rates"
            )
        share = optim.rate(done, step, config)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update(network, step)
        step += 1
        seen += len(pixels)
    network.load_state_dict(average.weights)
    _settle(network, stream)
    network.eval()
    return {"steps": step, "seen": seen, "seconds": round(time.process_time() - began, 1), "loss": round(recent, 4)}


@torch.no_grad()
def _settle(network: nn.Module, stream: Iterator[tuple[Tensor, Tensor]]) -> None:
    """Take the statistics of batch norms anew: those of training are of other weights than the averaged ones."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # all batches count alike
    network.train()
    for _ in range(SETTLE):
        network(next(stream)[0])


def _batches(part: Part, rows: np.ndarray, batch: int, seed: int, flip: bool) -> Iterator[tuple[Tensor, Tensor]]:
    dice = np.random.default_rng([seed, 6])
    order: list[int] = []
    while True:
        while len(order) < batch:
            order += dice.permutation(rows).tolist()
        some, order = order[:batch], order[batch:]
        arrays = np.stack([augmented(part.pixels[i], dice, flip=flip) for i in some])
        yield to_pixels(arrays), torch.from_numpy(part.targets[some])


@torch.inference_mode()
def logits_of(network: nn.Module, part: Part, batch: int = 16) -> np.ndarray:
    """Logits float32 (N, K) of all media of a part."""
    network.eval()
    chunks = [network(to_pixels(part.pixels[i : i + batch])).numpy() for i in range(0, len(part), batch)]
    return np.concatenate(chunks)
