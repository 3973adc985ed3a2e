"""What several tests share."""

from pathlib import Path

import pytest
import torch

from triptych import zoo
from triptych.config import GPTConfig, VisualTokenizerConfig
from triptych.generate.native_path import extension
from triptych.model.gpt import GPT
from triptych.sequence import vocab
from triptych.tokenizers.text import TextTokenizer
from triptych.tokenizers.visual import VisualTokenizer

torch.set_num_threads(1)  # networks here are so small that a second thread costs more than it brings

TEXTS = [
    "a red ball to the left of a blue cube",
    "[0.5s] the red ball hits the blue cube; [1.5s] the blue cube stops",
    "一个红色的球在一个蓝色的方块的左边",
    "[0.5秒] 红色的球撞上蓝色的方块；[1.5秒] 蓝色的方块停了下来",
    "How many objects are there? 3 yes no red blue green",
]


@pytest.fixture(scope="module", params=["torch", "native"])
def engine(request) -> str:
    """Each path of the engine that was built here."""
    if request.param == "native" and extension()[0] is None:
        pytest.skip(extension()[1])
    return request.param


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A whole model folder with small random parts: pictures of 64x64, clips of 17 frames at 8 a second."""
    torch.manual_seed(0)
    text = TextTokenizer.train(TEXTS, 300)
    visual = VisualTokenizer(VisualTokenizerConfig(widths=(8, 8, 16), blocks=1))
    for module in visual.modules():  # residuals start as the identity: wake them up
        if isinstance(module, torch.nn.Conv2d) and not module.weight.any():
            torch.nn.init.normal_(module.weight, std=0.1)
    config = GPTConfig(depth=2, vocabulary=vocab.size(text.size), codes=visual.config.codes, latent=4)
    gpt = GPT(config)
    for parameter in gpt.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.15)
    info = zoo.ModelInfo(name="tiny", visual=visual.config, gpt=config, size=64, made={"steps": 0})
    return zoo.save(tmp_path_factory.mktemp("models") / "tiny", info, text, visual, gpt)


@pytest.fixture
def brief(monkeypatch):
    """Random weights rarely end a text: cut it short."""
    from triptych.generate.grammar import Say
    from triptych.tasks import common, reading, telling

    monkeypatch.setattr(common.Model.say, "__defaults__", (Say(8),))
    monkeypatch.setattr(reading.tell, "__defaults__", (Say(8),))
    monkeypatch.setattr(telling, "SAY_LIMIT", 8)
