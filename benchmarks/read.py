"""Seconds of video read per second, and where the time goes, beside a VideoMAE-base classifier (arXiv 2203.12602).

    pip install --no-deps transformers tokenizers safetensors huggingface_hub
    python benchmarks/read.py
    python benchmarks/read.py --alone --clip CLIP           # Triptych's own stages on a clip

Both read the same clip, 640x360 at 24 frames a second, in segments of two seconds, on the same threads; rounds are
interleaved and medians told. VideoMAE-base has random weights of its published shape (16 frames of 224x224) and gives
one class a segment; Triptych gives a vector (to the end of `attention`) and then a caption with times, for some
segments side by side as `watch --framings 1` does (`text`), and one by one. `twice` is how captions were made before:
one by one, each segment read once to see whether times are likely and again to tell, even where a text repeats itself.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from video import film  # benchmarks/video.py

import triptych
from triptych.generate.grammar import Say, Write
from triptych.generate.sample import Sampling
from triptych.media import shots, video
from triptych.sequence import spell
from triptych.sequence.pack import collate
from triptych.tasks.common import Medium, Model, chunks, still_to
from triptych.tasks.parts import TOGETHER
from triptych.tasks.telling import describe


def segments(model: Model, path: Path) -> tuple[list[np.ndarray], float]:
    """The frames of each segment, and the seconds of CPU that decoding and cutting into shots took."""
    started, info = time.process_time(), model.bundle.info
    found = [
        still_to(segment.frames, info.frames)
        for segment in shots.segments(path, fps=info.fps, frames=info.frames, size=info.size)
    ]
    return found, time.process_time() - started


def ours(model: Model, clips: list[np.ndarray]) -> dict[str, float]:
    """Seconds of CPU by stage."""
    model._seen.clear()
    spent, media = {}, []
    with stage(spent, "encoding"):  # in one framing; `watch` encodes and tells of four, unless asked for one
        media = [Medium(maps, (0.0, 2.0)) for frames in clips for maps in model.look([frames])]
    with stage(spent, "attention"), torch.inference_mode():
        for medium in media:
            batch = collate([model.show(model.begin(), medium).finish()], model.device)
            model.gpt(batch["ids"], batch["values"], batch["is_visual"], batch["positions"])
    with stage(spent, "text"):  # reads the segments once more, so it holds a second `attention`
        for some in chunks(media, TOGETHER):
            describe(model, some, "en")
    with stage(spent, "text one by one"):
        for medium in media:
            describe(model, [medium], "en")
    with stage(spent, "text twice"):
        for medium in media:
            twice(model, medium)
    return spent


def twice(model: Model, medium: Medium) -> None:
    """A caption as it was made before: the oracle of `telling.describe` where nothing repeats itself."""
    prompt = spell.caption_prompt(model.show(model.begin(), medium), model.encode("en")).finish()
    start = model.encode("[")
    known = model.likelihood([prompt], [start])[0] >= math.log(0.01)
    plan = [Write(tuple(start)), Say(256)] if known else [Say(256)]
    model.engine.generate([prompt], plan, [Sampling(temperature=0)])


@contextmanager
def stage(spent: dict[str, float], name: str) -> Iterator[None]:
    started = time.process_time()
    yield
    spent[name] = time.process_time() - started


def videomae() -> torch.nn.Module:
    """VideoMAE-base with a classifier, random weights."""
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    torch.manual_seed(0)
    return VideoMAEForVideoClassification(VideoMAEConfig(num_labels=400)).eval()


def theirs(network: torch.nn.Module, clips: list[np.ndarray]) -> float:
    """Seconds of CPU of the forward passes, preparation of the pixels included."""
    started = time.process_time()
    with torch.inference_mode():
        for frames in clips:
            pixels = torch.from_numpy(frames[:16]).permute(0, 3, 1, 2).float().div(127.5).sub(1)
            network(pixel_values=pixels[None])
    return time.process_time() - started


def main() -> None:
    """Print the table, and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clip", type=Path, help="a clip to read; left out, moving squares are made")
    parser.add_argument("--alone", action="store_true", help="without VideoMAE")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model, network = triptych.load(given.model, "cpu")._model, None if given.alone else videomae()
    with tempfile.TemporaryDirectory() as folder:
        path = given.clip or Path(folder) / "clip.mp4"
        if given.clip is None:
            film(path, given.seconds)
        clips, _ = segments(model, path)
        ours(model, clips[:1])
        rounds = []
        for _ in range(given.rounds):
            rounds.append({"decoding": segments(model, path)[1], **ours(model, clips)})
            if network is not None:
                rounds[-1]["VideoMAE-base"] = theirs(network, clips)
    length = video.probe(path).duration if given.clip else float(given.seconds)
    times = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    told: dict[str, float] = {"text twice / text": statistics.median(r["text twice"] / r["text"] for r in rounds)}
    if network is not None:
        vector = [r["VideoMAE-base"] / (r["encoding"] + r["attention"]) for r in rounds]
        caption = [r["VideoMAE-base"] / (r["encoding"] + r["text"]) for r in rounds]
        told |= {"VideoMAE / vector": statistics.median(vector), "VideoMAE / caption": statistics.median(caption)}
    table = Table(title=f"{given.model}, {length:g} s, {given.threads} threads, median of {given.rounds}")
    table.add_column("stage")
    table.add_column("seconds of video a second of CPU", justify="right")
    for name, seconds in times.items():
        table.add_row(name, f"{length / seconds:.1f}")
    Console().print(table)
    for name, ratio in told.items():
        print(f"time of {name}: {ratio:.2f}")
    print(json.dumps({"length": length, "segments": len(clips), "seconds": times, **told}))


if __name__ == "__main__":
    main()
