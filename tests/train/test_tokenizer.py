"""The visual tokenizer's job learns a few pictures."""

import numpy as np
import pytest
from PIL import Image

from triptych import zoo
from triptych.config import RunConfig, load_settings
from triptych.data.prepare import Prepared
from triptych.data.records import Record, Text
from triptych.data.settings import PrepareConfig
from triptych.errors import TriptychError
from triptych.train.loop import Loop
from triptych.train.tokenizer import TokenizerJob


@pytest.fixture
def folder(tmp_path):
    source, folder = tmp_path / "media", tmp_path / "prepared"
    source.mkdir()
    folder.mkdir()
    lines = []
    for i in range(4):
        colours = np.random.default_rng(i).integers(0, 255, (2, 2, 3), np.uint8)
        Image.fromarray(colours.repeat(16, 0).repeat(16, 1)).save(source / f"{i}.png")
        lines.append(Record(file=f"{i}.png", kind="picture", texts=[Text(text=str(i))]).model_dump_json())
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    Prepared(folder, source, PrepareConfig(size=32)).save()
    return folder


@pytest.mark.parametrize("steady", [0, 0.1])
def test_the_loss_on_four_pictures_falls_by_half(folder, tmp_path, steady):
    base = ["kind=tokenizer", f"data={folder}", f"out={tmp_path / 'run'}", "device=cpu", "workers=0", "batch=4"]
    base += [
        "steps=160",
        "perceptual=0",
        f"steady={steady}",
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
    assert (losses[0]["wander"] > 0) == (steady > 0)
    assert scores["picture psnr"] > 8
    bundle = zoo.load(tmp_path / "run" / "model")
    with pytest.raises(TriptychError, match="no GPT"):
        bundle.need_gpt()
