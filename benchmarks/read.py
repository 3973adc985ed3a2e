"""Seconds of video read per second, and where the time goes, beside a VideoMAE-base classifier (arXiv 2203.12602).

    pip install --no-deps transformers tokenizers safetensors huggingface_hub
    python benchmarks/read.py

Both read the same clip, 640x360 at 24 frames a second, in segments of two seconds, one at a time, on the same threads;
rounds are interleaved and medians told. VideoMAE-base has random weights of its published shape (16 frames of 224x224)
and gives one class; Triptych gives a vector (to the end of `attention`) and then a caption with times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from video import film  # benchmarks/video.py

import triptych
from triptych.media import shots
from triptych.sequence.pack import collate
from triptych.tasks.common import Medium, Model, still_to
from triptych.tasks.telling import describe


def segments(model: Model, path: Path) -> tuple[list[np.ndarray], float]:
    """The frames of each segment, and the seconds that decoding and cutting into shots took."""
    started, info = time.perf_counter(), model.bundle.info
    found = [
        still_to(segment.frames, info.frames)
        for segment in shots.segments(path, fps=info.fps, frames=info.frames, size=info.size)
    ]
    return found, time.perf_counter() - started


def ours(model: Model, clips: list[np.ndarray]) -> dict[str, float]:
    """Seconds by stage."""
    spent = dict.fromkeys(("encoding", "attention", "text"), 0.0)
    model._seen.clear()
    for frames in clips:
        started = time.perf_counter()
        medium = Medium(model.look([frames])[0], (0.0, 2.0))
        encoded = time.perf_counter()
        batch = collate([model.show(model.begin(), medium).finish()], model.device)
        with torch.inference_mode():
            model.gpt(batch["ids"], batch["values"], batch["is_visual"], batch["positions"])
        attended = time.perf_counter()
        describe(model, [medium], "en")  # reads the segment once more, so `text` holds a second `attention`
        done = time.perf_counter()
        spent["encoding"] += encoded - started
        spent["attention"] += attended - encoded
        spent["text"] += done - attended
    return spent


def videomae() -> torch.nn.Module:
    """VideoMAE-base with a classifier, random weights."""
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    torch.manual_seed(0)
    return VideoMAEForVideoClassification(VideoMAEConfig(num_labels=400)).eval()


def theirs(network: torch.nn.Module, clips: list[np.ndarray]) -> float:
    """Seconds of the forward passes, preparation of the pixels included."""
    started = time.perf_counter()
    with torch.inference_mode():
        for frames in clips:
            pixels = torch.from_numpy(frames[:16]).permute(0, 3, 1, 2).float().div(127.5).sub(1)
            network(pixel_values=pixels[None])
    return time.perf_counter() - started


def main() -> None:
    """Print the table, and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model, network = triptych.load(given.model, "cpu")._model, videomae()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        film(path, given.seconds)
        clips, _ = segments(model, path)
        ours(model, clips[:1]), theirs(network, clips[:1])
        rounds = []
        for _ in range(given.rounds):
            decoding = segments(model, path)[1]
            rounds.append({"decoding": decoding, **ours(model, clips), "VideoMAE-base": theirs(network, clips)})
    length = len(clips) * 2.0
    times = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    vector = statistics.median((r["encoding"] + r["attention"]) / r["VideoMAE-base"] for r in rounds)
    told = statistics.median((r["encoding"] + r["attention"] + r["text"]) / r["VideoMAE-base"] for r in rounds)
    table = Table(title=f"{given.model}, {length:g} s of 640x360, {given.threads} threads, median of {given.rounds}")
    table.add_column("stage")
    table.add_column("seconds of video a second", justify="right")
    for name, seconds in times.items():
        table.add_row(name, f"{length / seconds:.1f}")
    Console().print(table)
    print(
        f"time of VideoMAE-base over Triptych's: {1 / vector:.2f} to a vector, {1 / told:.2f} to a caption with times"
    )
    print(json.dumps({"length": length, "seconds": times, "to vector": vector, "to caption": told}))


if __name__ == "__main__":
    main()
