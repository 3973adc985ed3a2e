"""The whole of `triptych prepare`: clean, train or take the tokenizers, make the sheet, cut the shards."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from triptych import zoo
from triptych.config import OptimConfig, RunConfig
from triptych.data.clean import clean
from triptych.data.prepare import Prepared, cut, sheet
from triptych.data.settings import PrepareConfig
from triptych.device import device_of
from triptych.errors import DataError, ModelError
from triptych.files import sha256, write_json
from triptych.train.features import weights_file
from triptych.train.loop import Loop
from triptych.train.tokenizer import TokenizerJob

TRAIN = "train"
LATER = "later"
LITTLE = 20.0  # dB of held-out media below which codes keep so little that nothing can be drawn


def tokenizer_run(out: Path, size: int, *, minutes: float, steps: int, device: str, perceptual: float) -> RunConfig:
    """How `prepare` trains a visual tokenizer: squares of at most 112 pixels, as many pixels a step at any size."""
    crop = 112 if size > 112 else 0
    return RunConfig(
        kind="tokenizer",
        data=out,
        out=out / "tokenizer-run",
        minutes=minutes,
        steps=steps,
        device=device,
        batch=32 if crop else min(96, 32 * 112 * 112 // (size * size)),
        crop=crop,
        perceptual=perceptual,
        optim=OptimConfig(optimizer="adamw", lr=2e-3, betas=(0.9, 0.98), warmup=50, ema=0.99),
    )


def prepare(
    source: Path,
    out: Path,
    *,
    tokenizer: str = TRAIN,
    run: RunConfig,
    settings: PrepareConfig,
    copies: int = 1,
    progress: bool = True,
    console: Console | None = None,
) -> dict[str, Any]:
    """Take a folder of media to token shards; what is done already is not done again.

    Args:
        source: the folder of media; nothing in it is changed.
        out: the prepared folder.
        tokenizer: "train" trains the visual tokenizer on this data; a model's name or folder takes that model's
            tokenizers, of text too; "later" stops after cleaning.
        run: how to train the tokenizer.
        settings: how to clean and decode, and size and rate of frames; a taken tokenizer brings its own size and rate.
        copies: framings of each medium in the shards.
        progress: whether to show bars.
        console: where to print.

    Returns:
        counts of the cleaning and the cutting, and what a tokenizer that was trained scores on held-out media.

    Raises:
        TriptychError: the perceptual loss lacks its weights.
        DataError: nothing in `source` can be used, or `out` holds tokenizers for frames of another size or rate.
    """
    console = console or Console(stderr=True)
    out.mkdir(parents=True, exist_ok=True)
    taken = zoo.load(tokenizer) if tokenizer not in (TRAIN, LATER) else None
    if taken is not None:
        own = {"size": taken.info.size, "fps": taken.info.fps, "frames": taken.info.frames}
        settings = settings.model_copy(update=own)
    elif tokenizer == TRAIN and _whole(out / "tokenizers"):
        _check_same(out, zoo.load(out / "tokenizers").info, settings)
    elif tokenizer == TRAIN and run.perceptual:
        weights_file()  # if they are missing, say so before an hour of cleaning
    summary = clean(source, out, settings, progress=progress)
    if not summary.kept:
        raise DataError(f"{source}: no picture or clip in it can be used; see {out / 'report.html'}")
    prepared = Prepared(out, source, settings)
    prepared.save()
    result: dict[str, Any] = {"clean": asdict(summary)}
    if tokenizer == LATER:
        return result
    if taken is not None:
        taken.text.save(out / "text.json")
        _replace(out / "tokenizers", taken, taken.info.of_tokenizers({"taken from": str(taken.path)}))
    elif not _whole(out / "tokenizers"):
        prepared.text_tokenizer()
        console.print("training the visual tokenizer on these media")
        result["tokenizer"] = scores = Loop(TokenizerJob(run), run, console).run()
        kept = min((value for name, value in scores.items() if name.endswith(" psnr")), default=LITTLE)
        if kept < LITTLE:
            console.print(
                f"[bold]warning[/bold]: the codes keep hardly anything of these media (PSNR {kept:.1f} dB of held-out "
                f"ones; {LITTLE:g} is little), so what is drawn will be as poor. The tokenizer took too few steps, or "
                "the media are too unlike each other: prepare into another folder with more --minutes"
            )
        shutil.rmtree(out / "tokenizers", ignore_errors=True)
        shutil.copytree(Path(run.out) / "model", out / "tokenizers")
    bundle = zoo.load(out / "tokenizers", str(device_of(run.device)))
    console.print(f"originals and what their codes keep: {sheet(prepared, bundle.visual)}")
    columns = (TextColumn("cutting shards"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not progress) as bar:
        task = bar.add_task("cut", total=None)
        result["cut"] = cut(
            prepared,
            bundle.visual,
            sha256(out / "tokenizers" / "visual.safetensors"),
            copies=copies,
            batch=64 if device_of(run.device).type == "cuda" else 8,
            advance=lambda done, total: bar.update(task, completed=done, total=total),
        )
    return result


def _whole(folder: Path) -> bool:
    try:
        zoo.check(folder)
    except ModelError:
        return False
    return True


def _check_same(out: Path, info: zoo.ModelInfo, settings: PrepareConfig) -> None:
    """Tokenizers that are there already stay, so they must be for the frames that are to be cut."""
    for name in ("size", "fps", "frames"):
        there, asked = getattr(info, name), getattr(settings, name)
        if there != asked:
            raise DataError(f"{out} holds tokenizers of {name}={there:g}, not {asked:g}: choose another folder")


def _replace(folder: Path, taken: zoo.Bundle, info: zoo.ModelInfo) -> None:
    """Copy a model's tokenizers byte for byte, so that their hash tells whose they are."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("text.json", "visual.safetensors"):
        shutil.copyfile(taken.path / name, folder / name)
    write_json(folder / "model.json", info.model_dump(mode="json"))
    zoo.seal(folder)
