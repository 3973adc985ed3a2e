"""The visual tokenizer's job learns a few pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from triptych import zoo
from triptych.config import RunConfig, load_settings
from triptych.data.prepare import Prepared
from triptych.data.records import Record, Text
from triptych.data.settings import PrepareConfig
from triptych.errors import TriptychError
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


def test_detail_makes_edges_count_more_than_floors():
    picture = torch.zeros(2, 3, 48, 48)
    picture[..., 24:] = 1.0
    weight = prominence(picture, 4.0)
    assert weight.shape == (2, 1, 48, 48)
    assert float(weight.mean()) == pytest.approx(1, abs=1e-5)
    assert float(weight[..., 23].mean()) > 4 * float(weight[..., 4].mean())
    assert torch.equal(prominence(picture, 0.0), torch.ones(2, 1, 48, 48))

    def loss(column: int, detail: float) -> float:
        drawn = picture.clone()
        drawn[..., column] += 0.2
        return float(pixel_loss(drawn, picture, detail))

    assert loss(23, 0) == pytest.approx(loss(4, 0), rel=0.1)
    assert loss(23, 4) > 1.5 * loss(4, 4)
    calm = prominence(torch.cat([picture[:1], torch.zeros(1, 3, 48, 48)]), 4.0)
    assert calm[1].max() < calm[0].mean()  # a picture of nothing counts less than one of something
    assert pixel_loss(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16), 4.0) == 0  # nothing varies at all
