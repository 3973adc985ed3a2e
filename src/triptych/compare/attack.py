"""Attacks within a box of +-epsilon around the pixels (L-infinity): PGD with gradients, Square without, and transfer.

Gradients reach the pixels through the encoder of the visual tokenizer, since latents are read before rounding; nothing
on the way is rounded or detached. Gradients that were masked would show as Square or transfer beating PGD.

B batch, F frames, Y rows, X columns, K labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from triptych.compare.fit import loss_of, right

CHUNK = 8


def margin(logits: Tensor, targets: Tensor, *, several: bool) -> Tensor:
    """(B,) how far a prediction is from right, above 0 where it is wrong (Carlini and Wagner, arXiv 1608.04644)."""
    if several:
        return ((1 - 2 * targets) * logits).max(1).values
    true = logits.gather(1, targets.argmax(1, keepdim=True))[:, 0]
    return logits.masked_fill(targets > 0.5, -math.inf).max(1).values - true


def pgd(
    network: nn.Module,
    pixels: Tensor,
    targets: Tensor,
    epsilon: float,
    *,
    several: bool,
    steps: int,
    seed: int | None = None,
    by_margin: bool = False,
) -> Tensor:
    """Projected gradient ascent (Madry et al., arXiv 1706.06083) on pixels (B, F, 3, Y, X) in [0, 1].

    Args:
        epsilon: largest change of a pixel. steps: of 2.5 epsilon / steps each.
        seed: of a random start within the box; the pixels themselves if None.
        by_margin: climb the margin instead of the cross-entropy.

    Returns: of each medium, the step that was worst for the network by margin; never outside the box or [0, 1].
    """
    low, high = (pixels - epsilon).clamp(0, 1), (pixels + epsilon).clamp(0, 1)
    now = pixels.clone()
    if seed is not None:
        now = torch.lerp(low, high, torch.rand(pixels.shape, generator=torch.Generator().manual_seed(seed)))
    best, worst = pixels.clone(), torch.full((len(pixels),), -math.inf)
    for step in range(steps + 1):
        now.requires_grad_(True)
        logits = network(now)
        gap = margin(logits, targets, several=several)
        grown = gap.detach() > worst
        best[grown], worst[grown] = now.detach()[grown], gap.detach()[grown]
        if step == steps:
            break
        aim = gap.sum() if by_margin else loss_of(logits, targets, several=several, each=True).sum()
        (gradient,) = torch.autograd.grad(aim, now)
        now = torch.minimum(torch.maximum(now.detach() + 2.5 * epsilon / steps * gradient.sign(), low), high)
    return best


@torch.inference_mode()
def square(
    network: nn.Module, pixels: Tensor, targets: Tensor, epsilon: float, *, several: bool, queries: int, seed: int
) -> Tensor:
    """The Square attack (Andriushchenko et al., arXiv 1912.00049): squares by lot, kept where they hurt."""
    dice = torch.Generator().manual_seed(seed)
    low, high = (pixels - epsilon).clamp(0, 1), (pixels + epsilon).clamp(0, 1)
    stripes = torch.rand(*pixels.shape[:3], 1, pixels.shape[4], generator=dice) < 0.5
    best = torch.where(stripes, low, high)
    worst = margin(network(best), targets, several=several)
    side = pixels.shape[-1]
    for query in range(queries):
        if (worst > 0).all():
            break
        share = 0.8 / 2 ** sum(query / queries > part for part in (0.02, 0.1, 0.25, 0.5, 0.75))
        edge = max(1, round(math.sqrt(share) * side))
        tried = best.clone()
        for number in range(len(pixels)):
            top, left = (int(torch.randint(0, side - edge + 1, (), generator=dice)) for _ in range(2))
            place = (number, slice(None), slice(None), slice(top, top + edge), slice(left, left + edge))
            signs = torch.rand(1, 3, 1, 1, generator=dice) < 0.5
            tried[place] = torch.where(signs, low[place], high[place])
        gap = margin(network(tried), targets, several=several)
        grown = gap > worst
        best[grown], worst[grown] = tried[grown], gap[grown]
    return best


def attacked(
    networks: dict[str, nn.Module],
    pixels: Tensor,
    targets: Tensor,
    epsilons: Sequence[float],
    *,
    several: bool,
    steps: int,
    restarts: int,
    queries: int,
    seed: int,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[str, dict[str, list[bool]]]]:
    """Which media each network still reads rightly under each attack: network -> epsilon in 255ths -> attack -> (N,).

    Attacks: `none`; `pgd` (from the pixels by cross-entropy, then from random starts by margin, on those that
    still stand); `transfer` (what PGD made against the other networks); `square` (on those that still stand); `worst`,
    where a medium counts only if it withstood all. What breaks within a small box breaks within a larger one.
    """
    for network in networks.values():
        network.eval()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
    out: dict[str, dict[str, dict[str, list[bool]]]] = {name: {} for name in networks}
    clean = {name: _right(network, pixels, targets, several) for name, network in networks.items()}
    stands = {name: {attack: clean[name].clone() for attack in ("pgd", "transfer", "square")} for name in networks}
    done, total = 0, len(epsilons) * len(networks) * 2
    for epsilon in sorted(epsilons):
        made: dict[str, Tensor] = {}
        for name, network in networks.items():
            climb = partial(pgd, network, epsilon=epsilon, several=several, steps=steps)
            found = _in_chunks(climb, pixels, targets)
            made[name] = found
            stands[name]["pgd"] &= _right(network, found, targets, several)
            for restart in range(1, restarts):
                left = stands[name]["pgd"].nonzero()[:, 0]
                if len(left):
                    found = _in_chunks(partial(climb, seed=seed + restart, by_margin=True), pixels[left], targets[left])
                    stands[name]["pgd"][left] &= _right(network, found, targets[left], several)
            tell(done := done + 1, total)
        for name, network in networks.items():
            for other, found in made.items():
                if other != name:
                    stands[name]["transfer"] &= _right(network, found, targets, several)
            left = (stands[name]["pgd"] & stands[name]["transfer"] & stands[name]["square"]).nonzero()[:, 0]
            if len(left) and queries:
                guess = partial(square, network, epsilon=epsilon, several=several, queries=queries, seed=seed)
                found = _in_chunks(guess, pixels[left], targets[left])
                stands[name]["square"][left] &= _right(network, found, targets[left], several)
            worst = stands[name]["pgd"] & stands[name]["transfer"] & stands[name]["square"]
            facts = {"none": clean[name], "pgd": stands[name]["pgd"], "transfer": stands[name]["transfer"]}
            facts |= {"worst": worst}
            out[name][f"{epsilon * 255:g}"] = {attack: value.tolist() for attack, value in facts.items()}
            tell(done := done + 1, total)
    return out


def _in_chunks(run: Callable[[Tensor, Tensor], Tensor], pixels: Tensor, targets: Tensor) -> Tensor:
    return torch.cat([run(x, t) for x, t in zip(pixels.split(CHUNK), targets.split(CHUNK), strict=True)])


@torch.inference_mode()
def _right(network: nn.Module, pixels: Tensor, targets: Tensor, several: bool) -> Tensor:
    chunks = zip(pixels.split(CHUNK), targets.split(CHUNK), strict=True)
    return torch.cat([right(network(x), t, several=several) for x, t in chunks])
