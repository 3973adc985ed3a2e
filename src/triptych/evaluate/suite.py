"""The suite: name -> task, data, metrics and baselines; one run of it over a folder, as one JSON file.

triptych evaluate MODEL --data FOLDER --json out.json
"""

from __future__ import annotations

import difflib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Unpack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import triptych
from triptych.device import device_of
from triptych.errors import ConfigError, ModelError
from triptych.evaluate import clip_measures, edit_measures, picture_measures, plan_measures, text_measures
from triptych.evaluate.bench import Bench, Reader, Scores, Skip
from triptych.evaluate.detector import Detector
from triptych.evaluate.report import read_results, table
from triptych.evaluate.truth import metadata_hash
from triptych.files import hashes_of, sha256, write_json
from triptych.tasks.settings import FRAMINGS, Drawing, PredictSettings, usual

FORMAT = 1
SAME = (  # what must be the same where measures of an earlier run are kept
    "format",
    "model",
    "weights",
    "detector",
    "seed",
    "limit",
    "framings",
    "sampling",
    "sampling of edits",
    "sampling of futures",
    "triptych",
)


@dataclass(frozen=True)
class Measure:
    """A row of the suite.

    Args:
        task: what the model does. data: what the folder must hold. metrics, baselines: what is counted, beside what.
        run: takes a Bench and gives scores, or raises Skip.
    """

    task: str
    data: str
    metrics: str
    baselines: str
    run: Callable[[Bench], Scores]


MEASURES: dict[str, Measure] = {
    "tokenizer": Measure(
        "reconstruct",
        "pictures",
        "PSNR, SSIM, MobileNetV2 Fréchet distance, attributes that the detector reads alike",
        "mean image; JPEG and WebP of the same bytes",
        picture_measures.tokenizer,
    ),
    "draw": Measure(
        "draw",
        "pictures with texts and truth",
        "objects, scenes and relations right; MobileNetV2 Fréchet distance; diversity; unseen combinations apart",
        "another picture; the true picture and its reconstruction as ceilings",
        picture_measures.draw,
    ),
    "plan": Measure(
        "plan",
        "pictures with texts and truth",
        "F1 over things of pictures, by looks and boxes, and how far they are off; objects and relations of texts",
        "things of another picture; plan of another text",
        plan_measures.plan,
    ),
    "track": Measure(
        "track",
        "clips with truth of each frame",
        "how far things of clips are off, at their times and as they go on",
        "where things truly were when the clip broke off",
        plan_measures.track,
    ),
    "caption": Measure(
        "caption, watch",
        "pictures or clips with truth",
        "F1 over objects of pictures, and over events of clips",
        "most frequent caption",
        text_measures.caption,
    ),
    "ask": Measure(
        "ask",
        "pictures or clips with questions",
        "accuracy by medium, language and kind",
        "most frequent answer of the form; the same GPT without the medium",
        text_measures.ask,
    ),
    "view": Measure(
        "draw after images",
        "sequences of pictures",
        "position error of objects; perceptual distance",
        "copy of the last view; reconstruction of the true view as ceiling",
        picture_measures.view,
    ),
    "edit": Measure(
        "edit",
        "pictures with instructions and truth",
        "asked change made; other objects left alone; both and nothing else; change of the rest",
        "copy of the picture before; the true picture and its reconstruction as ceilings",
        edit_measures.edit,
    ),
    "language": Measure(
        "likelihood of texts",
        "media with texts",
        "bits a byte",
        "the same GPT without the medium; frequency of single bytes",
        text_measures.language,
    ),
    "locate": Measure(
        "locate",
        "clips with events",
        "starts within 0.25 s; temporal intersection over union",
        "middle of the clip",
        clip_measures.locate,
    ),
    "classify": Measure(
        "classify",
        "media with labels, or clips with events",
        "top-1 accuracy: of all labels, or of four events of which one happens",
        "chance; most frequent label, or shortest text",
        clip_measures.classify,
    ),
    "search": Measure(
        "index, search",
        "clips with events or texts",
        "recall at 1, 5, 10 and median rank among up to 500, by all that is told of a clip, and by one event",
        "random",
        clip_measures.search,
    ),
    "predict": Measure(
        "predict",
        "clips of 17 frames",
        "error of pixels half a second and a second ahead; position error of objects, where the judge finds them too",
        "copy of the last frame; reconstruction of the true frames as ceiling",
        clip_measures.predict,
    ),
    "surprise": Measure(
        "surprise",
        "clips with impossible twins",
        "AUROC of impossible events; pairs in the right order",
        "frame difference",
        clip_measures.surprise,
    ),
}


def evaluate(
    model: str | Path | Reader,
    data: Path | str,
    out: Path | str | None = None,
    *,
    limit: int = 200,
    only: Sequence[str] | str | None = None,
    seed: int = 0,
    device: str = "auto",
    detector: Detector | None = None,
    progress: bool = True,
    resume: bool = False,
    **drawing: Unpack[Drawing],
) -> dict[str, Any]:
    """Measure a model on a folder of media, and write one JSON.

    Args:
        model: a model's name or folder, or an object that reads and draws (see bench.Reader).
        data: folder of media, such as the test split of a world; what it lacks is skipped, with the reason.
        out: the JSON to write; none is written without it.
        limit: media a measure at most, of some a multiple; of `search` the texts, it is always among up to 500 clips.
        only: measures to take, as names or "draw,caption"; all by default.
        seed: of the choice of media, of drawing and of the intervals.
        device: `cpu`, `cuda` or `auto`.
        detector: the judge; by default the one in the model's folder.
        progress: whether to show bars and the table.
        resume: keep the measures that `out` already holds, if they were taken as these would be.
        drawing: settings of drawing that differ from the defaults; a measure that can't draw by them is skipped.

    Returns:
        what the JSON holds: model, weights, recipe, data, seed, framings, sampling, version, date, measures, skipped.

    Raises:
        ConfigError: an unknown measure, device or setting, a limit below 1, another size than the model's own, or
            measures to keep that were taken otherwise.
        ModelError, DataError: no such model; no media in the folder.
    """
    names = _names(only)
    if limit < 1:
        raise ConfigError(f"limit={limit}: at least one medium is measured")
    place = str(device_of(device))
    reader = _reader(model, place)
    settings = usual().changed(drawing)
    if settings.width or settings.height:
        raise ConfigError("pictures are measured at the model's own size: leave width and height out")
    bench = Bench(reader, Path(data), limit=limit, seed=seed, settings=drawing, device=place, detector=detector)
    results: dict[str, Any] = {
        "format": FORMAT,
        "model": reader.info.name,
        "weights": hashes_of(reader.path),
        "recipe": reader.info.made.get("recipe"),
        "detector": _detector_hash(reader.path),
        "data": {"folder": str(data), "media": len(bench.items), "metadata": metadata_hash(Path(data))},
        "seed": seed,
        "limit": limit,
        "framings": FRAMINGS,
        "sampling": asdict(settings),
        "sampling of edits": asdict(usual("edit").changed(drawing)),
        "sampling of futures": asdict(PredictSettings()),
        "triptych": triptych.__version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "measures": {},
        "skipped": {},
        "seconds": {},
    }
    if resume:
        _keep(results, Path(out) if out is not None else None)
        names = [name for name in names if name not in results["seconds"]]
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not progress) as bar:
        for name in names:
            task = bar.add_task(name, total=None)
            bench.advance = lambda done, total, task=task: bar.update(task, completed=done, total=total)  # type: ignore[misc]
            started = time.time()
            results["skipped"].pop(name, None)
            try:
                scores = MEASURES[name].run(bench)
                results["measures"] |= {f"{name}: {part}": score.as_dict() for part, score in scores.items()}
            except (Skip, ConfigError, ModelError) as skip:
                results["skipped"][name] = str(skip)
            results["seconds"][name] = round(time.time() - started, 1)
            results["measures"] = _in_order(results["measures"])
            bar.update(task, completed=1, total=1)
            if out is not None:  # after each measure, so that a killed run leaves what it has
                write_json(Path(out), results)
    assert all(math.isfinite(score["value"]) for score in results["measures"].values())
    if progress:
        Console().print(table(results))
    return results


def _keep(results: dict[str, Any], path: Path | None) -> None:
    """Take over the measures of a file, if there is one, that were taken of the same model and media, as these are."""
    if path is None:
        raise ConfigError("resume goes on with a file: name it (json)")
    if not path.is_file():
        return
    known = read_results(path)
    for name in SAME:
        if known.get(name) != results[name]:
            told = f"taken with {name} {known.get(name)!r}, not {results[name]!r}"
            raise ConfigError(f"{path}: {told}: name another file, or don't resume")
    if any(known["data"].get(name) != results["data"][name] for name in ("metadata", "media")):
        raise ConfigError(f"{path}: taken of other media than {results['data']['folder']}: name another file")
    seconds = {name: value for name, value in known.get("seconds", {}).items() if name in MEASURES}
    results["seconds"] |= {name: value for name, value in seconds.items() if name not in known["skipped"]}
    results["skipped"] |= {name: reason for name, reason in known["skipped"].items() if name in MEASURES}
    results["measures"] |= {n: score for n, score in known["measures"].items() if n.split(":")[0] in results["seconds"]}


def _in_order(measures: dict[str, Any]) -> dict[str, Any]:
    """Scores in the order of MEASURES, whichever were taken first."""
    order = list(MEASURES)
    return dict(sorted(measures.items(), key=lambda score: order.index(score[0].split(":")[0])))


def _names(only: Sequence[str] | str | None) -> list[str]:
    if only is None:
        return list(MEASURES)
    parts = [only] if isinstance(only, str) else list(only)
    names = [name.strip() for part in parts for name in part.split(",") if name.strip()]
    for name in names:
        if name not in MEASURES:
            near = difflib.get_close_matches(name, MEASURES, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"no measure {name!r}: {hint}measures: {', '.join(MEASURES)}")
    return [name for name in MEASURES if name in names]


def _reader(model: str | Path | Reader, device: str) -> Reader:
    if not isinstance(model, str | Path):
        return model
    from triptych.api import Triptych  # here, since tests bring their own reader

    return Triptych.load(model, device)


def _detector_hash(folder: Path) -> str | None:
    path = Path(folder) / "detector.safetensors"
    return sha256(path) if path.is_file() else None
