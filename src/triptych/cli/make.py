"""Commands that make: data, tokens, models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from triptych.cli.output import document

Some = Annotated[int, Parameter(validator=validators.Number(gte=1))]
Count = Annotated[int, Parameter(validator=validators.Number(gte=0))]

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
    images: Count = 1000,
    clips: Count = 100,
    edits: Count = 0,
    motions: Count = 0,
    seed: Count = 0,
    split: Literal["train", "validation", "test"] = "train",
    level: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=3))] = 1,
    workers: Some | None = None,
    device: Literal["auto", "software", "gpu"] = "auto",
) -> None:
    """Render pictures and clips of a tabletop with captions, questions and truth, as a folder of media.

    Args:
        out: Folder to write; a second call does only what is missing.
        images: Pictures.
        clips: Clips of 17 frames at 8 a second.
        edits: Instructions, each with a picture before and one after it, in chains of three.
        motions: Clips that aren't drawn: where their things are in each frame, in motions.jsonl, for a mover.
        seed: Another seed, other scenes.
        split: Scenes of one split never occur in another; some pairs of colour and shape occur in test only.
        level: 0 (a studio in which only the objects vary), 1 (few objects, calm) to 3 (many objects, all cameras).
        workers: Processes; one a core if not given.
        device: Where to render.
    """
    from triptych.worlds.tabletop.write import write_world

    document(
        write_world(
            out,
            images=images,
            clips=clips,
            edits=edits,
            motions=motions,
            seed=seed,
            split=split,
            level=level,
            workers=workers,
            device=device,
        )
    )


def prepare(
    folder: Path,
    out: Path,
    /,
    *overrides: str,
    tokenizer: str = "train",
    minutes: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 10.0,
    steps: Some = 1_000_000,
    copies: Some = 1,
    size: Annotated[int, Parameter(validator=validators.Number(gte=32, lte=4096, modulo=32))] = 224,
    workers: Count = 0,
    device: str = "auto",
    perceptual: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 0.3,
) -> None:
    """Clean a folder of media, give it tokenizers, and cut it into token shards.

    Args:
        folder: Pictures and clips with their texts; see docs/data.md. Nothing in it is changed.
        out: Folder to write; a second call does only what is missing.
        overrides: Settings of cleaning as key=value, e.g. `drop_near_duplicates=true`; see docs/data.md.
        tokenizer: `train` trains one on this data; a model's name or folder takes that model's; `later` only cleans.
        minutes: How long to train the visual tokenizer.
        steps: Steps to train it, if that ends sooner.
        copies: Framings of each medium; more than 1 adds random crops of up to 6%.
        size: Side of a frame in pixels, a multiple of 32.
        workers: Processes that decode; 0 for one a core.
        device: `cpu`, `cuda` or `auto`.
        perceptual: Weight of the perceptual loss; 0 needs no feature network.
    """
    from triptych.config import load_settings
    from triptych.data.settings import PrepareConfig
    from triptych.train.prepare import prepare as run
    from triptych.train.prepare import tokenizer_run

    given = [f"workers={workers}", f"size={size}", *overrides]
    settings = load_settings(PrepareConfig, None, given)
    training = tokenizer_run(out, settings.size, minutes=minutes, steps=steps, device=device, perceptual=perceptual)
    document(
        run(
            folder,
            out,
            tokenizer=tokenizer,
            run=training,
            settings=settings,
            copies=copies,
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
