"""Commands that make: data, tokens, models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from triptych.cli.output import document

world = App(name="world", help="Make data with exact truth.")


def register(app: App) -> None:
    """Add the commands of this file."""
    app.command(prepare)
    app.command(train)
    app.command(world)


@world.command(name="tabletop")
def world_tabletop(
    out: Path,
    /,
    *,
    images: int = 1000,
    clips: int = 100,
    seed: int = 0,
    split: Literal["train", "validation", "test"] = "train",
    level: int = 1,
    workers: int | None = None,
    device: Literal["auto", "software", "gpu"] = "auto",
) -> None:
    """Render pictures and clips of a tabletop with captions, questions and truth, as a folder of media.

    Args:
        out: Folder to write; a second call does only what is missing.
        images: Pictures.
        clips: Clips of 17 frames at 8 a second.
        seed: Another seed, other scenes.
        split: Scenes of one split never occur in another; some pairs of colour and shape occur in test only.
        level: 0 (a studio in which only the objects vary), 1 (few objects, calm) to 3 (many objects, all cameras).
        workers: Processes; one a core if not given.
        device: Where to render.
    """
    from triptych.worlds.tabletop.write import write_world

    document(
        write_world(
            out, images=images, clips=clips, seed=seed, split=split, level=level, workers=workers, device=device
        )
    )


def prepare(
    folder: Path,
    out: Path,
    /,
    *,
    tokenizer: str = "train",
    minutes: float = 10.0,
    steps: int = 1_000_000,
    copies: int = 1,
    size: int = 224,
    workers: int = 2,
    device: str = "auto",
) -> None:
    """Clean a folder of media, give it tokenizers, and cut it into token shards.

    Args:
        folder: Pictures and clips with their texts; see docs/data.md. Nothing in it is changed.
        out: Folder to write; a second call does only what is missing.
        tokenizer: `train` trains one on this data; a model's name or folder takes that model's; `later` only cleans.
        minutes: How long to train the visual tokenizer.
        steps: Steps to train it, if that ends sooner.
        copies: Framings of each medium; more than 1 adds random crops of up to 6%.
        size: Side of a frame in pixels.
        workers: Processes that decode.
        device: `cpu`, `cuda` or `auto`.
    """
    from triptych.config import RunConfig
    from triptych.data.settings import PrepareConfig
    from triptych.train.prepare import prepare as run

    training = RunConfig(
        kind="tokenizer", data=out, out=out / "tokenizer-run", minutes=minutes, steps=steps, device=device
    )
    document(
        run(
            folder,
            out,
            tokenizer=tokenizer,
            run=training,
            settings=PrepareConfig(workers=workers, size=size),
            copies=copies,
            workers=workers,
        )
    )


def train(
    recipe: Path, /, *overrides: str, dry_run: Annotated[bool, Parameter(name=["--dry-run", "-n"])] = False
) -> None:
    """Train a tokenizer or a GPT by a recipe.

    At each validation, pictures drawn and captions written from fixed prompts go to the run's folder `samples`.

    Args:
        recipe: A YAML file; see recipes/.
        overrides: Settings as key=value, e.g. `data=out/prepared optim.lr=1e-3`.
        dry_run: Print the plan (data, sizes, memory, time) and stop.
    """
    from triptych.config import RunConfig, load_settings
    from triptych.preview import preview_of
    from triptych.train.start import start

    config = load_settings(RunConfig, recipe, list(overrides))
    start(config, preview=preview_of(config) if config.kind == "gpt" else None, dry_run=dry_run)
