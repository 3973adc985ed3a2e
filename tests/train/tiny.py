"""Tiny prepared folders made of noise, and runs on them."""

from pathlib import Path

import torch

from tests.data.test_shards import fill
from triptych import zoo
from triptych.config import RunConfig, VisualTokenizerConfig, load_settings
from triptych.data.records import Question, Record, Text
from triptych.tokenizers.text import TextTokenizer
from triptych.tokenizers.visual import VisualTokenizer
from triptych.train.gpt import GPTJob
from triptych.train.loop import Loop

VISUAL = VisualTokenizerConfig(levels=(4, 3), widths=(8, 8, 8), blocks=1)


def tokens(folder: Path, count: int = 12, held: int = 6) -> Path:
    """A prepared folder with tokenizers and shards, the shards filled with noise; one in `held` is held out."""
    torch.manual_seed(0)
    text = TextTokenizer.train(["picture 0123456789"], 300)
    zoo.save(folder / "tokenizers", zoo.ModelInfo(visual=VISUAL, size=32), text, VisualTokenizer(VISUAL))
    (folder / "shards").mkdir()

    def record(i: int) -> Record:
        asked = [Question(question="picture?", answer=f"{i}")]
        texts = [Text(text=f"picture {i}")]
        return Record(file=f"{i}.png", kind="clip" if i % 4 == 3 else "picture", texts=texts, qa=asked)

    records = [(record(i), i % held == held - 1) for i in range(count)]
    fill(folder / "shards" / "00000.safetensors", records)
    return folder


def settings(data: Path, out: Path, *more: str) -> RunConfig:
    """A run of a depth-1 network."""
    base = ["kind=gpt", f"data={data}", f"out={out}", "gpt.depth=1", "gpt.head_layers=1", "gpt.dropout=0.1", "batch=3"]
    base += ["steps=14", "log_every=1", "validate_every=6", "checkpoint_every=3", "optim.warmup=2", "workers=0"]
    return load_settings(RunConfig, None, [*base, "device=cpu", *more])


def train(config: RunConfig) -> dict[str, float]:
    return Loop(GPTJob(config), config).run()
