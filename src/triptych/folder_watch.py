"""A folder of clips, watched on all cores: finished clips are skipped, bad ones told and passed over."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych import zoo
from triptych.data.folder import scan
from triptych.errors import MediaError
from triptych.files import hashes_of, write_json
from triptych.media.worker import Workers
from triptych.tasks.settings import FRAMINGS, checked_framings

FILES = (".csv", ".vtt", ".html", ".json")  # JSON last: where it is, the clip is finished
PATIENCE = 12 * 3600.0  # seconds for one clip
MEMORY = 2**40  # bytes of address space of a worker: torch maps more than it uses


@dataclass(frozen=True)
class Watched:
    """What became of one clip.

    Args:
        file: relative to the folder.
        status: `watched`, `finished` before, or `failed`.
        error: why it failed.
        warning: an honest word on a clip unlike the training data.
    """

    file: str
    status: str
    error: str = ""
    warning: str = ""


def clips_of(folder: Path) -> list[str]:
    """Clips below a folder, relative to it, sorted; DataError if it is no folder."""
    return [record.file for record in scan(folder) if record.kind == "clip"]


def watch_folder(
    folder: Path,
    out: Path,
    *,
    model: str = "tabletop",
    device: str = "auto",
    language: str = "en",
    framings: int = FRAMINGS,
    workers: int = 0,
) -> Iterator[Watched]:
    """Watch every clip of a folder and write its timeline as JSON, CSV, WebVTT and HTML below `out`.

    Args:
        folder: of clips, in any subfolders.
        out: where to; `a/b.mp4` becomes `a/b.mp4.json` and so on.
        model, device, language, framings: as for one clip.
        workers: processes; 0 for one a core, each with the model in its memory.

    Yields:
        what became of each clip, in the order of their names; a clip that is finished for this model, language and
        number of framings is not read again unless it changed.
    """
    checked_framings(framings)
    mark = {"model": _label(zoo.find(model)), "language": language, "framings": framings}
    work = []
    for file in clips_of(folder):
        if _finished(out / file, _mark(folder / file) | mark):
            yield Watched(file, "finished")
        else:
            work.append(file)
    if not work:
        return
    with Workers(min(workers, len(work)) or 0, MEMORY) as pool:

        def arguments(file: str) -> tuple[str, list[Any], float]:
            path = folder / file
            return str(path), [str(path), str(out / file), model, device, language, framings, mark], PATIENCE

        for file, result in pool.map(watch_one, work, arguments, ahead=2):
            if isinstance(result, MediaError):
                yield Watched(file, "failed", str(result))
            else:
                yield Watched(file, "watched", warning=result)


def watch_one(
    path: str, target: str, model: str, device: str, language: str, framings: int, mark: dict[str, Any]
) -> str:
    """Watch a clip and write its files; gives its warning. Runs in a worker, which keeps the model it has loaded."""
    stamp = _mark(Path(path))  # before it is read: a clip that changes meanwhile is read again
    timeline = _model(model, device, framings).watch(path, language=language)
    for suffix in FILES[:-1]:
        timeline.save(target + suffix)
    write_json(target + FILES[-1], timeline.as_dict() | {"source": stamp | mark})
    return timeline.warning


@functools.lru_cache(maxsize=1)
def _model(name: str, device: str, framings: int) -> Any:
    import torch

    from triptych.api import Triptych

    torch.set_num_threads(1)  # each core has its own process
    return Triptych.load(name, device, framings)


def _mark(path: Path) -> dict[str, Any]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise MediaError(path, (error.strerror or "can't be read").lower()) from None
    return {"bytes": status.st_size, "modified": status.st_mtime_ns}


def _label(folder: Path) -> str:
    return f"{folder.name} {hashes_of(folder).get('gpt.safetensors', '')[:12]}".strip()


def _finished(target: Path, mark: dict[str, Any]) -> bool:
    if not all(Path(f"{target}{suffix}").is_file() for suffix in FILES):
        return False
    try:
        told = json.loads(Path(f"{target}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("source") == mark
