"""The command that compares: GPT against CNN."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from triptych.cli.output import Model, bar

Count = Annotated[int, Parameter(validator=validators.Number(gte=0))]
Some = Annotated[int, Parameter(validator=validators.Number(gte=1))]


def register(app: App) -> None:
    """Add the command of this file."""
    app.command(compare)


def compare(
    data: str,
    /,
    *overrides: str,
    test: Path | None = None,
    out: Path = Path("out/compare"),
    name: str | None = None,
    target: str = "label",
    media: Literal["pictures", "clips"] | None = None,
    model: Model = "tabletop",
    minutes: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 2.0,
    limit: Some = 1_000_000,
    size: Annotated[int | None, Parameter(validator=validators.Number(gte=32, lte=1024))] = None,
    seed: Count = 0,
) -> None:
    """Train the GPT and a CNN on the same labelled media for the same time, and measure both.

    Both have equal parameters, augmentation and CPU time. Accuracy, accuracy with fewer labels, speed and robustness
    go to OUT/compare.json and to a table. What is finished is kept: run the same command again to go on.

    Args:
        data: Folder of labelled media, plain or prepared, or `fashion-mnist`.
        overrides: Settings as key=value, e.g. `shares=[1,0.1]` or `flip=false`; see docs/compare.md.
        test: Folder to test on; without it, a fifth of the media is held out.
        out: Folder for results, weights and decoded media; several data sets may share it.
        name: Of the data set in the results; the folder's name if not given.
        target: Key of metadata.jsonl that holds the label or a list of labels, e.g. `tags` or `truth.story`.
        media: Which media to take where both kinds are labelled.
        model: Name or folder of the pre-trained model.
        minutes: CPU minutes of each training on all labels.
        limit: Media to train on at most, by lot.
        size: Side of the media in pixels; for pictures 224, for clips 128 if not given.
        seed: Of subsets, initial weights, order, attacks and intervals.
    """
    from triptych import zoo
    from triptych.compare.data import FASHION, fashion, kind_of, read_folder
    from triptych.compare.networks import resnet
    from triptych.compare.page import render_markdown
    from triptych.compare.run import Comparison
    from triptych.compare.settings import CompareConfig
    from triptych.config import load_settings
    from triptych.data.settings import PrepareConfig

    config = load_settings(CompareConfig, None, [f"minutes={minutes}", f"seed={seed}", *overrides])
    if "cnn" in config.networks:
        resnet()  # what is missing is told before anything is decoded
    bundle = zoo.load(model)
    folder = Path(data)
    title = name or folder.resolve().name
    if data == FASHION and not folder.exists():
        known = fashion(limit)
    else:
        kind = media or kind_of(folder, target)
        side = size or (128 if kind == "clips" else bundle.info.size)
        settings = PrepareConfig(size=side, fps=bundle.info.fps, frames=bundle.info.frames)
        with bar("decoding") as tell:
            known = read_folder(
                folder, out / "data" / title, settings, kind=kind, test=test, target=target, limit=limit, tell=tell
            )
    comparison = Comparison(known, title, bundle, config, out)
    comparison.run()
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(render_markdown(comparison.results, [title])))
