"""Training the visual tokenizer: L1 and gradients of the difference at three scales, colour, each more where much
varies (`prominence`); a perceptual loss; and codes that hold still (see `train.steady`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych import zoo
from triptych.config import RunConfig, VisualTokenizerConfig
from triptych.data.frames import FrameBatches
from triptych.data.prepare import Prepared
from triptych.device import autocast, device_of
from triptych.errors import ConfigError
from triptych.media import image
from triptych.tokenizers.visual import VisualTokenizer, to_bytes, to_float
from triptych.train.critic import Critic, balance, refused, told_apart
from triptych.train.features import load_features, perceptual_loss
from triptych.train.steady import twin, wander

HELD_PICTURES, HELD_CLIPS = 64, 8
PERCEPTUAL_FRAMES = 8  # of each part of a batch: the feature network would cost more than all the rest


def prominence(pixels: Tensor, detail: float) -> Tensor:
    """How much each pixel counts: more where its surroundings vary, since floors and walls would outvote small things.

    Args:
        pixels: (B, 3, Y, X), the truth.
        detail: 0 counts all alike; else a place that varies as the batch does on average counts 1 + `detail`, one that
            doesn't vary 1, before the mean over the batch is made 1: a bare floor counts less than a full table.

    Returns:
        (B, 1, Y, X), of mean 1.
    """
    if not detail:
        return torch.ones_like(pixels[:, :1])
    mean, square = (_around(part, 4) for part in (pixels, pixels.square()))
    spread = (square - mean.square()).clamp_min(0).mean(1, keepdim=True).sqrt()
    weight = 1 + detail * spread / spread.mean().clamp_min(1e-6)
    return weight / weight.mean()


def _around(x: Tensor, reach: int) -> Tensor:
    """The mean of each place's square of surroundings: rows, then columns, which is faster than both at once."""
    side = 2 * reach + 1
    x = F.avg_pool2d(x, (side, 1), 1, (reach, 0), count_include_pad=False)
    return F.avg_pool2d(x, (1, side), 1, (0, reach), count_include_pad=False)


def pixel_loss(one: Tensor, two: Tensor, detail: float = 0.0) -> Tensor:
    """Mean |difference| and |gradient of it| at three scales, so that edges weigh as much as areas. (B, 3, Y, X).

    Colour counts once more, over squares of 8x8 pixels: it is what texts name first, and what codes learn last.
    `detail` is that of `prominence`, which looks at the second, the truth.
    """
    error, weight = one - two, prominence(two, detail)
    red, green, blue = F.avg_pool2d(error, 8).unbind(1)
    coarse = F.avg_pool2d(weight, 8)[:, 0]
    loss = ((red - green).abs() * coarse).mean() + ((blue - (red + green) / 2).abs() * coarse).mean()
    for scale in range(3):
        if scale:
            error, weight = F.avg_pool2d(error, 2), F.avg_pool2d(weight, 2)
        right, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
        loss = loss + (error.abs() * weight).mean() * (1.0 if scale == 0 else 0.5)
        loss = loss + ((right.abs() * weight[..., 1:]).mean() + (down.abs() * weight[..., 1:, :]).mean()) / 2
    return loss


def psnr(one: Tensor, two: Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB over a batch of pixels in [-1, 1]."""
    error = (one.clamp(-1, 1) - two.clamp(-1, 1)).square().flatten(1).mean(1) / 4
    return float((-10 * torch.log10(error.clamp_min(1e-10))).mean())


def _window(pixels: Tensor, side: int) -> tuple[slice, ...]:
    """A random square of `side` pixels: the feature network costs more than the tokenizer, and edges are everywhere."""
    height, width = pixels.shape[-2:]
    if side >= min(height, width):
        return (slice(None),) * 4
    top, left = int(torch.randint(height - side + 1, ())), int(torch.randint(width - side + 1, ()))
    return slice(None), slice(None), slice(top, top + side), slice(left, left + side)


def through(model: VisualTokenizer, pixels: Tensor, others: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """What the codes of (B, F, 3, Y, X) keep, the latents, and those of their twins where there are any."""
    if others is None:
        latents, theirs = model.encode(pixels), None
    else:
        latents, theirs = model.encode(torch.cat([pixels, others])).chunk(2)
    return model.decode(model.fsq.quantize(latents)), latents, theirs


def _grown(start: VisualTokenizer, config: VisualTokenizerConfig) -> VisualTokenizer:
    """`start` with as many extra blocks as the recipe asks for; they change nothing until they have learned."""
    if config.extra <= start.config.extra:
        return start
    grown = VisualTokenizer(start.config.model_copy(update={"extra": config.extra}))
    grown.load_state_dict(grown.state_dict() | start.state_dict())
    return grown


class TokenizerJob:
    """The visual tokenizer on a prepared folder; see train.loop.Job."""

    def __init__(self, config: RunConfig) -> None:
        self.run, self.device = config, device_of(config.device)
        if config.more:
            raise ConfigError(
                f"more={[str(p) for p in config.more]}: a tokenizer learns from the media of `data` alone"
            )
        self.prepared = Prepared.load(config.data)
        torch.manual_seed(config.seed)
        self.start = start = zoo.load(config.start) if config.start else None
        self.visual = _grown(start.visual, config.visual) if start else VisualTokenizer(config.visual)
        if config.reread and not config.decoder_only:
            raise ConfigError(
                f"reread={config.reread}: an encoder that learns would learn to look away: give decoder_only=true"
            )
        if config.decoder_only:
            if start is None:
                raise ConfigError(
                    "decoder_only=true trains the decoder of a tokenizer that has learned: give start=MODEL"
                )
            if config.steady or config.visual.extra > start.visual.config.extra:
                raise ConfigError("decoder_only=true leaves codes as they are: leave out steady, and more visual.extra")
            for part in self.visual.reading:
                part.requires_grad_(False)
        self.critic = Critic(len(self.visual.config.levels)) if config.critic else None
        self.model: nn.Module = self.visual
        if self.critic is not None:
            self.model = nn.ModuleDict({"visual": self.visual, "critic": self.critic})
        self.model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.through: Callable[..., Any] = torch.compile(through) if config.compile else through
        self.frames = FrameBatches(
            Path(config.data),
            self.prepared.source,
            batch=config.batch,
            clip_share=config.clip_share,
            seed=config.seed,
            settings=self.prepared.settings,
            crop=config.crop,
            cached=config.cached,
        )
        self.features = load_features(self.device) if config.perceptual else None

    @property
    def batches(self) -> FrameBatches:
        """What there is to learn from, decoded by now if it is to be `cached`."""
        self.frames.decode()
        return self.frames

    def losses(self, batch: dict[str, Tensor], scale: Callable[[Tensor], None]) -> dict[str, float]:
        """See train.loop.Job; pictures and clips count by their frames."""
        total = sum(part.shape[0] * part.shape[1] for part in batch.values())
        sums = torch.zeros(7, device=self.device)
        for part in batch.values():
            pixels = to_float(part.to(self.device, non_blocking=True))
            share = part.shape[0] * part.shape[1] / total
            others, same = twin(pixels, self.visual.config.stride) if self.run.steady else (None, None)
            with autocast(self.run.precision, self.device):
                drawn, latents, theirs = self.through(self.visual, pixels, others)
            far = moved = torch.zeros((), device=self.device)
            if theirs is not None and same is not None:
                far, moved = wander(self.visual.fsq, latents.float(), theirs.float(), same)
            pixels = pixels.flatten(0, 1)
            shown = drawn.flatten(0, 1).float()
            # All that looks at drawn pixels sends its gradient to them; one backward pass takes the sum further.
            drawn = shown.detach().requires_grad_()
            flat = pixel_loss(drawn, pixels, self.run.detail)
            deep = flat.new_zeros(())
            window = _window(pixels, self.run.perceptual_crop)
            some = torch.randperm(len(pixels), device=self.device)[:PERCEPTUAL_FRAMES]
            if self.features is not None:
                # On a CPU this network's depthwise convolutions are slower in bfloat16.
                with autocast("fp32" if self.device.type == "cpu" else self.run.precision, self.device):
                    deep = perceptual_loss(self.features, drawn[some][window], pixels[some][window])
            again = flat.new_zeros(())
            if self.run.reread:
                with autocast(self.run.precision, self.device):
                    again = perceptual_loss(self.visual, drawn[some], pixels[some])
            seen = flat + self.run.perceptual * deep + self.run.reread * again
            (pull,) = torch.autograd.grad(seen, drawn)
            loss = seen.detach() + self.run.steady * far
            apart = flat.new_zeros(())
            if self.critic is not None:
                by = self.visual.fsq.quantize(latents.float()).detach().permute(0, 1, 4, 2, 3)
                which = (torch.arange(part.shape[1]) + self.visual.config.span - 1) // self.visual.config.span
                by = by[:, which].flatten(0, 1)  # of each frame, the latents of the map that holds it
                with autocast(self.run.precision, self.device):
                    apart = told_apart(self.critic, pixels, drawn, by)
                    wrong = refused(self.critic, drawn, by)
                # What tells nothing apart yet says nothing of how to draw.
                weight = self.run.critic * (1 - apart.detach() / 2).clamp_min(0)
                (other,) = torch.autograd.grad(wrong, drawn)
                weight = weight * balance(pull, other)
                pull, loss = pull + weight * other, loss + (weight * wrong).detach()
            scale(((shown * pull).sum() + self.run.steady * far + apart) * share)
            sums += torch.stack([loss, flat, deep, far, moved, again, apart]).detach() * share
        names = ("loss", "pixels", "percept", "wander", "moved", "reread", "apart")
        facts = dict(zip(names, sums.tolist(), strict=True))  # the only wait for the device
        return {**facts, "tokens": float(total * (pixels.shape[-1] // self.visual.config.stride) ** 2)}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """PSNR of held-out pictures and clips, the share of codes that twins change, and of codes in use."""
        scores: dict[str, float] = {}
        used: set[int] = set()
        loss, parts, moved = 0.0, 0, []
        torch.manual_seed(0)  # the twins are the same each time
        for kind, count in (("picture", HELD_PICTURES), ("clip", HELD_CLIPS)):
            held = self.frames.held_frames(kind, count)
            if held is None:
                continue
            ratios = []
            for part in held.split(8 if kind == "picture" else 1):
                pixels = to_float(part.to(self.device))
                latents = self.visual.encode(pixels)
                drawn = self.visual.decode(self.visual.fsq.quantize(latents)).float()
                ratios.append(psnr(drawn.flatten(0, 1), pixels.flatten(0, 1)))
                # Without `detail`: runs that differ in it can be compared.
                loss, parts = loss + float(pixel_loss(drawn.flatten(0, 1), pixels.flatten(0, 1))), parts + 1
                others, same = twin(pixels, self.visual.config.stride)
                moved.append(float(wander(self.visual.fsq, latents, self.visual.encode(others), same)[1]))
                used.update(self.visual.fsq.to_codes(latents).unique().tolist())
            scores[f"{kind} psnr"] = float(np.mean(ratios))
        shares = {"codes moved": float(np.mean(moved or [0.0])), "codes used": len(used) / self.visual.fsq.codes}
        return {"loss": loss / max(parts, 1), **scores, **shares}

    @torch.no_grad()
    def sample(self, folder: Path, step: int) -> None:
        """A sheet of held-out media above what the codes keep of them."""
        held = self.frames.held_frames("picture", 8)
        if held is None:
            held = self.frames.held_frames("clip", 1)
            if held is None:
                return
            held = held[0, ::2, None][:8]
        drawn = torch.cat([to_bytes(self.visual(to_float(part.to(self.device)))).cpu() for part in held.split(4)])
        rows = [np.concatenate(list(part[:, 0].numpy()), 1) for part in (held, drawn)]
        image.write(folder / f"step-{step:08d}.png", np.concatenate(rows))

    def describe(self) -> dict[str, str]:
        """The plan; see train.loop.Job."""
        counts = self.frames.counts
        parameters = sum(p.numel() for p in self.visual.parameters())
        return {
            "data": ", ".join(f"{len(files):,} {kind}s" for kind, files in self.frames.train.items() if files),
            "held out": ", ".join(f"{len(files):,} {kind}s" for kind, files in self.frames.held.items() if files),
            "rows a step": ", ".join(f"{count} {kind}s" for kind, count in counts.items() if count),
            "network": f"channels {self.visual.config.widths}, {self.visual.fsq.codes} codes",
            "parameters": f"{parameters:,}",
            "device": str(self.device),
        }

    def export(self, folder: Path, made: dict[str, Any]) -> None:
        """Write the tokenizers beside each other: this one, and the text tokenizer of the prepared folder; where only
        the decoder was trained, the whole model that it belongs to."""
        settings = self.prepared.settings
        info = zoo.ModelInfo(
            name="tokenizers",
            visual=self.visual.config,
            size=settings.size,
            fps=settings.fps,
            frames=settings.frames,
            made=made,
        )
        if self.run.decoder_only and self.start is not None:  # whatever else there is goes on with it
            zoo.with_decoder(folder, self.start, self.visual, made)
        else:
            zoo.save(folder, info, self.prepared.text_tokenizer(), self.visual, dtype=torch.float16)
