"""The visual tokenizer's job learns a few pictures."""

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from triptych import zoo
from triptych.config import RunConfig, load_settings
from triptych.data.prepare import Prepared
from triptych.data.records import Record, Text
from triptych.data.settings import PrepareConfig
from triptych.errors import ConfigError, TriptychError
from triptych.files import sha256
from triptych.tokenizers.visual import to_float
from triptych.train.critic import MOST, Critic, balance, refused, told_apart
from triptych.train.features import perceptual_loss
from triptych.train.loop import Loop
from triptych.train.tokenizer import TokenizerJob, pixel_loss, prominence


def prepared(tmp_path, side):
    """Four pictures of 2x2 colours, cleaned."""
    source, folder = tmp_path / "media", tmp_path / "prepared"
    source.mkdir()
    folder.mkdir()
    lines = []
    for i in range(4):
        colours = np.random.default_rng(i).integers(0, 255, (2, 2, 3), np.uint8)
        Image.fromarray(colours.repeat(side // 2, 0).repeat(side // 2, 1)).save(source / f"{i}.png")
        lines.append(Record(file=f"{i}.png", kind="picture", texts=[Text(text=str(i))]).model_dump_json())
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    Prepared(folder, source, PrepareConfig(size=side)).save()
    return folder


@pytest.fixture
def folder(tmp_path):
    return prepared(tmp_path, 32)


def test_codes_come_to_hold_still(tmp_path):
    base = ["kind=tokenizer", f"data={prepared(tmp_path, 96)}", "device=cpu", "workers=0", "batch=4", "perceptual=0"]
    base += ["visual.widths=[16,16,16]", "visual.blocks=1", "optim.warmup=5"]
    first = load_settings(RunConfig, None, [*base, f"out={tmp_path / 'run'}", "steps=40", "optim.lr=1e-2"])
    Loop(TokenizerJob(first), first).run()
    moved = {}
    for steady in (0, 1):
        more = [f"start={tmp_path / 'run' / 'model'}", f"out={tmp_path / str(steady)}", "steps=30", "optim.lr=2e-3"]
        run = load_settings(RunConfig, None, [*base, *more, f"steady={steady}"])
        job, losses = TokenizerJob(run), []
        honest = job.losses
        job.losses = lambda *a, honest=honest, losses=losses: (losses.append(honest(*a)), losses[-1])[1]
        moved[steady] = Loop(job, run).run()["codes moved"]
        assert (losses[0]["wander"] > 0) == (steady > 0)
    assert moved[1] < moved[0]


def test_the_loss_on_four_pictures_falls_by_half(folder, tmp_path):
    base = ["kind=tokenizer", f"data={folder}", f"out={tmp_path / 'run'}", "device=cpu", "workers=0", "batch=4"]
    base += [
        "steps=160",
        "perceptual=0",
        "visual.widths=[16,16,16]",
        "visual.blocks=1",
        "optim.warmup=5",
        "optim.lr=1e-2",
    ]
    run = load_settings(RunConfig, None, base)
    job, losses = TokenizerJob(run), []
    honest = job.losses
    job.losses = lambda *a: (losses.append(honest(*a)), losses[-1])[1]
    scores = Loop(job, run).run()
    assert np.mean([x["loss"] for x in losses[-5:]]) < 0.5 * losses[0]["loss"]
    assert losses[0]["tokens"] == 4 * 4
    assert scores["picture psnr"] > 8
    bundle = zoo.load(tmp_path / "run" / "model")
    with pytest.raises(TriptychError, match="no GPT"):
        bundle.need_gpt()


@pytest.mark.parametrize("had", [0, 1])
def test_a_trained_tokenizer_grows_without_a_change_and_goes_on_learning(folder, tmp_path, had):
    base = ["kind=tokenizer", f"data={folder}", "device=cpu", "workers=0", "batch=4", "perceptual=0", "optim.warmup=0"]
    small = ["visual.widths=[16,16,16]", "visual.blocks=1", f"visual.extra={had}"]
    first = load_settings(RunConfig, None, [*base, *small, f"out={tmp_path / 'first'}", "steps=5", "optim.lr=1e-2"])
    Loop(TokenizerJob(first), first).run()
    more = [f"start={tmp_path / 'first' / 'model'}", "visual.extra=2", f"out={tmp_path / 'more'}", "steps=3"]
    second = load_settings(RunConfig, None, [*base, *more])
    job, before = TokenizerJob(second), zoo.load(tmp_path / "first" / "model").visual
    pixels = torch.rand(1, 5, 3, 32, 32) * 2 - 1
    assert job.model.config.widths == (16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(job.model(pixels), before(pixels))
    grown = {name for name, _ in job.model.named_parameters()} - {name for name, _ in before.named_parameters()}
    assert len(grown) == 4 * (2 - had) * 4  # at four grids blocks of two convolutions, each with a bias
    Loop(job, second).run()
    after = zoo.load(tmp_path / "more" / "model").visual  # the stored folder knows its size
    assert after.config.extra == 2
    assert all(after.state_dict()[name].abs().max() > 0 for name in grown)


def test_a_decoder_learns_alone_and_the_whole_model_goes_with_it(folder, tmp_path, tiny_model):
    """Its codes stay, bit for bit, and so does the GPT; `data` of the old decoder goes on to train it."""
    shutil.copytree(tiny_model, tmp_path / "tiny")
    (tmp_path / "tiny" / "detector.json").write_text("{}")  # the judge of its data judges its drawings too
    base = ["kind=tokenizer", f"data={folder}", "device=cpu", "workers=0", "batch=4", "perceptual=0", "optim.warmup=0"]
    more = [f"start={tmp_path / 'tiny'}", "decoder_only=true", "reread=1", "critic=0.5", f"out={tmp_path / 'run'}"]
    config = load_settings(RunConfig, None, [*base, *more, "steps=4", "log_every=1", "optim.lr=1e-2"])
    before = zoo.load(tmp_path / "tiny")
    Loop(TokenizerJob(config), config).run()
    after = zoo.load(tmp_path / "run" / "model")
    pixels = torch.rand(2, 5, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        assert torch.equal(after.visual.encode(pixels), before.visual.encode(pixels))
        assert (after.visual(pixels) - before.visual(pixels)).abs().max() > 0.01
    assert sha256(after.path / "gpt.safetensors") == sha256(before.path / "gpt.safetensors")
    assert (after.path / "detector.json").read_text() == "{}"
    assert after.info.made["decoder"]["steps"] == 4
    assert after.info.gpt == before.info.gpt
    assert set(after.visual.state_dict()) == set(before.visual.state_dict())  # the critic stays behind
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"reread", "apart"} <= rows[0].keys()
    for wrong, told in (
        (["decoder_only=true", "steady=0.5"], "leave out steady"),
        (["decoder_only=true", "visual.extra=1"], "leave out steady, and more visual.extra"),
        (["reread=1"], "give decoder_only=true"),
    ):
        with pytest.raises(ConfigError, match=told):
            TokenizerJob(load_settings(RunConfig, None, [*base, more[0], *wrong, f"out={tmp_path / 'none'}"]))
    with pytest.raises(ConfigError, match="give start=MODEL"):
        TokenizerJob(load_settings(RunConfig, None, [*base, "decoder_only=true", f"out={tmp_path / 'none'}"]))


def test_one_backward_pass_brings_each_loss_its_gradient(folder, tmp_path, tiny_model):
    base = ["kind=tokenizer", f"data={folder}", "device=cpu", "workers=0", "batch=4", "perceptual=0"]
    more = [f"start={tiny_model}", "decoder_only=true", "reread=2", "critic=0.5", "detail=3", f"out={tmp_path / 'run'}"]
    base.append("precision=fp32")
    job = TokenizerJob(load_settings(RunConfig, None, [*base, *more]))
    critic, batch = job.critic, job.batches[0]
    with torch.no_grad():  # what tells nothing apart says nothing of how to draw: let it be right, if only by chance
        pixels = to_float(batch["picture"])
        by = job.visual.fsq.quantize(job.visual.encode(pixels))
        drawn = job.visual.decode(by)[:, 0]
        if float(told_apart(critic, pixels[:, 0], drawn, by[:, 0].permute(0, 3, 1, 2))) >= 2:
            for layer in (critic.real, critic.fits):
                layer.weight.neg_()
                layer.bias.neg_()
    facts = job.losses(batch, lambda loss: loss.backward())
    found = {name: part.grad.clone() for name, part in job.model.named_parameters() if part.requires_grad}
    job.model.zero_grad()
    pixels = to_float(batch["picture"])
    latents = job.visual.fsq.quantize(job.visual.encode(pixels))
    drawn, pixels = job.visual.decode(latents).flatten(0, 1), pixels.flatten(0, 1)
    loss = pixel_loss(drawn, pixels, 3) + 2 * perceptual_loss(job.visual, drawn, pixels)
    by = latents[:, 0].permute(0, 3, 1, 2)
    apart, wrong = told_apart(critic, pixels, drawn, by), refused(critic, drawn, by)
    lengths = [torch.autograd.grad(part, drawn, retain_graph=True)[0].norm() for part in (loss, wrong)]
    weight = 0.5 * max(0.0, 1 - float(apart.detach()) / 2) * float(lengths[0] / lengths[1])
    assert facts["apart"] == pytest.approx(float(apart.detach()))
    assert facts["loss"] == pytest.approx(float((loss + weight * wrong).detach()), rel=1e-4)
    assert weight > 0
    (loss + weight * wrong + apart).backward()
    for name, part in job.model.named_parameters():
        if part.requires_grad:
            torch.testing.assert_close(found[name], part.grad, rtol=1e-3, atol=1e-6)


def test_a_critic_learns_to_tell_and_lets_the_drawing_learn():
    """Sharp and blurred noise: told apart after some steps; the gradient then leads to the sharp one."""
    torch.manual_seed(0)
    critic, latents = Critic(2), torch.zeros(8, 2, 2, 2)
    optimizer = torch.optim.Adam(critic.parameters(), 1e-3)

    def pair():
        real = torch.rand(8, 3, 32, 32) * 2 - 1
        return real, F.avg_pool2d(real, 5, 1, 2)

    losses = []
    for _ in range(40):
        loss = told_apart(critic, *pair(), latents)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 1.9
    assert losses[-1] < 0.5
    real, drawn = pair()
    drawn.requires_grad_(True)
    critic.zero_grad()
    told_apart(critic, real, drawn, latents).backward()
    assert drawn.grad is None
    critic.zero_grad()
    refused(critic, drawn, latents).backward()
    assert all(part.grad is None or not part.grad.any() for part in critic.parameters())
    better = drawn.detach() - 0.1 * drawn.grad / drawn.grad.norm() * drawn.detach().norm()
    assert float(refused(critic, better, latents).detach()) < float(refused(critic, drawn, latents).detach())


def test_a_loss_is_weighed_to_pull_as_hard_as_another():
    one, other = torch.tensor([3.0, 4.0]), torch.tensor([10.0, 10.0])
    assert float(balance(one, other)) == pytest.approx(5 / (10 * 2**0.5), rel=1e-5)
    assert float(balance(one, other * 1e-9)) == MOST


def test_detail_makes_edges_count_more_than_floors():
    picture = torch.zeros(2, 3, 48, 48)
    picture[..., 24:] = 1.0
    weight = prominence(picture, 4.0)
    assert weight.shape == (2, 1, 48, 48)
    assert float(weight.mean()) == pytest.approx(1, abs=1e-5)
    assert float(weight[..., 23].mean()) > 4 * float(weight[..., 4].mean())
    assert torch.equal(prominence(picture, 0.0), torch.ones(2, 1, 48, 48))
    noise = torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    mean, square = (F.avg_pool2d(part, 9, 1, 4, count_include_pad=False) for part in (noise, noise.square()))
    spread = (square - mean.square()).clamp_min(0).mean(1, keepdim=True).sqrt()
    whole = 1 + 2 * spread / spread.mean()
    torch.testing.assert_close(prominence(noise, 2.0), whole / whole.mean(), rtol=1e-4, atol=1e-5)

    def loss(column: int, detail: float) -> float:
        drawn = picture.clone()
        drawn[..., column] += 0.2
        return float(pixel_loss(drawn, picture, detail))

    assert loss(23, 0) == pytest.approx(loss(4, 0), rel=0.1)
    assert loss(23, 4) > 1.5 * loss(4, 4)
    calm = prominence(torch.cat([picture[:1], torch.zeros(1, 3, 48, 48)]), 4.0)
    assert calm[1].max() < calm[0].mean()  # a picture of nothing counts less than one of something
    assert pixel_loss(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16), 4.0) == 0  # nothing varies at all
