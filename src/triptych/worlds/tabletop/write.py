"""The batch: chunks of pictures and clips, made by worker processes, safe to kill and to take up again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal

from triptych import __version__
from triptych.errors import ConfigError, DataError, MissingDriver
from triptych.files import write_json, write_text
from triptych.worlds.tabletop.render import DRIVERS
from triptych.worlds.tabletop.scene import Split, generator

Medium = Literal["images", "clips", "edits", "motions"]

# Multiples of a block of pictures, of a clip and its twin, and of a chain of edits.
DRAWN: dict[Medium, int] = {"images": 40, "clips": 10, "edits": 30}
CHUNK: dict[Medium, int] = {**DRAWN, "motions": 100}
RECYCLE = 12  # chunks a worker lives for: the renderer leaks about 3 MB a scene
DIED = "the process died"
_FORMAT = 4  # 1 had no words about places, 2 no boxes, 3 none of clips


@dataclass(frozen=True)
class Job:
    """One chunk: files first..last (from 0, last excluded) of one medium."""

    out: str
    medium: Medium
    first: int
    last: int
    seed: int
    split: str
    level: int
    size: int
    software: bool

    @property
    def part(self) -> Path:
        """Where the chunk's metadata stands once all its media are written."""
        return Path(self.out) / ".parts" / f"{self.medium}-{self.first:07d}-{self.last:07d}.jsonl"


def write_world(
    out: Path,
    *,
    images: int,
    clips: int,
    edits: int = 0,
    motions: int = 0,
    seed: int = 0,
    split: Split = "train",
    level: int = 1,
    workers: int | None = None,
    size: int = 224,
    device: Literal["auto", "software", "gpu"] = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Write pictures and clips of a simulated tabletop, with captions, questions and truth, as a folder of media.

    A second call with the same settings does only what is missing; labels depend on (seed, split, level, index) and
    on nothing else.

    Args:
        out: folder for images/, clips/, metadata.jsonl and world.json.
        images: number of pictures, JPEG; half of them come as four views of one scene.
        clips: number of clips, H.264, 17 frames at 8 a second.
        edits: number of instructions, each with a picture before and one after it; three follow one another.
        motions: number of clips that aren't drawn: only where their things are in each frame, in motions.jsonl.
        seed: any whole number from 0.
        split: train, validation or test: disjoint seeds; test also holds withheld pairs of colour and shape, and
            validation and test hold impossible twins among the clips.
        level: 0 (a studio: only the objects vary), 1 (few objects, calm) to 3 (many objects, stacks, all cameras).
        workers: processes; None takes one a core.
        size: side of the pictures in pixels, even.
        device: where to render; auto tries an NVIDIA GPU and falls back to software.
        progress: whether to show a bar.

    Returns: counts: images, clips, edits, motions, questions, failed (attempts that were replaced), and the device in
        words.

    Raises:
        ConfigError: a number is out of range.
        ValueError: an unknown split, or a negative seed.
        DataError: `out` holds something else than this world.
        MissingExtra: mujoco, or av for clips, is not installed.
        MissingDriver: there is no Vulkan to render with, or its driver ends each process that draws.
        RuntimeError: chunks keep failing.
    """
    from triptych.worlds.tabletop.mjcf import require_mujoco
    from triptych.worlds.tabletop.render import choose_device, require_vulkan

    counts: dict[Medium, int] = {"images": images, "clips": clips, "edits": edits, "motions": motions}
    if min(counts.values()) < 0 or not any(counts.values()):
        asked = ", ".join(f"{medium}={count}" for medium, count in counts.items())
        raise ConfigError(f"{asked}: give at least one picture, clip, edit or motion, and no negative number")
    if level not in (0, 1, 2, 3):
        raise ConfigError(f"level={level}: choose 0, 1, 2 or 3")
    if size < 64 or size % 2:
        raise ConfigError(f"size={size}: choose an even number of pixels from 64")
    generator(seed, split, level, "picture", 0)  # raises for an unknown split or a negative seed
    require_mujoco()
    drawn = any(counts[medium] for medium in DRAWN)
    if drawn:
        require_vulkan()
    out = Path(out)
    settings = {"format": _FORMAT, "world": "tabletop", "seed": seed, "split": split, "level": level, "size": size}
    before = _claim(out, settings)
    software, reason = choose_device(device) if drawn else (True, "nothing was drawn")
    jobs = [
        Job(str(out), medium, first, min(first + CHUNK[medium], count), seed, split, level, size, software)
        for medium, count in counts.items()
        for first in range(0, count, CHUNK[medium])
    ]
    _run([job for job in jobs if not job.part.exists()], workers or os.cpu_count() or 1, progress)
    summary = {**dict.fromkeys((*CHUNK, "questions", "failed"), 0), **before, **_merge(out, jobs)}
    summary["device"] = reason if drawn else before.get("device", reason)
    write_json(out / "world.json", {**settings, "version": __version__, **summary})
    return summary


def _claim(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Make the folder, or check that it holds the same world; give what is known of it beside its settings."""
    path = out / "world.json"
    found: dict[str, Any] = {}
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        differing = [f"{k}={found.get(k)!r} there, {v!r} asked" for k, v in settings.items() if found.get(k) != v]
        if differing:
            raise DataError(f"{out} holds a world of other settings ({'; '.join(differing)}): choose another folder")
    elif any((out / name).exists() for name in ("metadata.jsonl", "motions.jsonl")):
        raise DataError(f"{out} holds media that this world did not make: choose another folder")
    for name in (*DRAWN, ".parts"):
        (out / name).mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_json(path, settings)
    return {name: value for name, value in found.items() if name not in settings and name != "version"}


def _bar(total: int, show: bool) -> tuple[Any, Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, disable=not show)
    return bar, bar.add_task("tabletop world", total=total)


def _run(jobs: list[Job], workers: int, progress: bool) -> None:
    """Run all jobs in worker processes, showing how many files are done."""
    bar, task = _bar(sum(job.last - job.first for job in jobs), progress)
    # Clips take longest, so they start first and the cores end together.
    waiting = sorted(jobs, key=lambda job: (job.medium != "clips", job.first))
    with bar:
        for done in _pool(waiting, min(workers, len(waiting))):
            bar.advance(task, done.last - done.first)


def _pool(jobs: list[Job], workers: int) -> Iterator[Job]:
    """Yield jobs as they are done, by processes that each live for a batch of jobs.

    A plain pool hangs or ends when the driver kills one of its processes; here the batch's remaining jobs go to a
    fresh process, up to three times each.

    Raises:
        MissingDriver: processes die, without a word, before any job is done.
        RuntimeError: with the worker's words, when a job keeps failing.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")  # inherited: processes, not threads, share the cores
    context = get_context("spawn")
    queue, tries = list(jobs), dict.fromkeys(jobs, 0)
    running: dict[Any, tuple[Any, list[Job]]] = {}
    drawn = False
    try:
        while queue or running:
            while queue and len(running) < workers:
                share = max(1, min(RECYCLE, -(-len(queue) // workers)))
                batch, queue = queue[:share], queue[share:]
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=make_chunks, args=(batch, theirs), daemon=True)
                process.start()
                theirs.close()
                running[ours] = (process, batch)
            ready: list[Any] = list(wait(list(running)))
            for pipe in ready:
                process, batch = running[pipe]
                try:
                    message = pipe.recv()
                except EOFError:
                    message = DIED
                if isinstance(message, Job):
                    drawn = True
                    batch.remove(message)
                    yield message
                    continue
                del running[pipe]
                pipe.close()
                process.join()
                for job in batch[:1]:  # they are made in order, so the first of the rest is the one that failed
                    tries[job] += 1
                    if tries[job] >= 3 and message == DIED and not drawn:
                        raise MissingDriver(
                            "the renderer ends each process that draws, as it does where no Vulkan driver works (its "
                            f"own words stand above): install {DRIVERS}"
                        )
                    if tries[job] >= 3:
                        raise RuntimeError(f"making {job.part.stem} failed three times: {message}")
                queue = batch + queue
    finally:
        for process, _ in running.values():
            process.terminate()


def make_chunks(jobs: list[Job], pipe: Any) -> None:
    """In a worker: make chunks one after another, sending each when done, then "end" or what went wrong."""
    try:
        for job in jobs:
            make_chunk(job)
            pipe.send(job)
        pipe.send("end")
    except Exception as error:
        import traceback

        pipe.send(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")


def make_chunk(job: Job) -> None:
    """Make one chunk: its media, then its metadata."""
    from triptych.worlds.tabletop.clips import write_clips
    from triptych.worlds.tabletop.edits import write_edits
    from triptych.worlds.tabletop.motions import write_motions
    from triptych.worlds.tabletop.render import shared_renderer

    draw = {"images": _pictures, "clips": write_clips, "edits": write_edits}.get(job.medium)
    rows = draw(job, shared_renderer(job.size, job.software)) if draw else write_motions(job)
    write_text(job.part, "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows))


def _pictures(job: Job, renderer: Any) -> list[dict[str, Any]]:
    from PIL import Image

    from triptych.worlds.tabletop.mjcf import compile_scene
    from triptych.worlds.tabletop.scene import VIEW_STEP
    from triptych.worlds.tabletop.stills import picture_record, place_of, still_scene

    rows: list[dict[str, Any]] = []
    scenes: dict[int, tuple[Any, int, Any, int]] = {}
    for index in range(job.first, job.last):
        number, step = place_of(index)
        if number not in scenes:
            scenes.clear()
            attempt = failed = 0
            while True:
                scene, attempt = still_scene(job.seed, job.split, job.level, number, job.size, attempt)
                try:
                    model, data = compile_scene(scene, scene.view(job.size))
                    renderer.load(model)
                    break
                except ValueError:  # the compiler refuses a scene now and then: the next attempt takes its place
                    failed, attempt = failed + 1, attempt + 1
            scenes[number] = scene, attempt, data, failed
        scene, attempt, data, failed = scenes[number]
        picture = renderer.draw(data, scene.view(job.size, (step or 0) * VIEW_STEP))
        name = f"images/{index + 1:07d}.jpg"
        file = Path(job.out) / name
        Image.fromarray(picture).save(file, quality=95, subsampling=0)
        record = picture_record(scene, job.seed, job.split, index, attempt, job.size)
        if failed:
            record["truth"]["failed"] = failed
        rows.append({"file_name": name, **record})
    return rows


def _merge(out: Path, jobs: list[Job]) -> dict[str, Any]:
    """Join the chunks' metadata, in order, and count what was joined."""
    counts: dict[str, Any] = {}
    files, moving = ([job for job in jobs if (job.medium in DRAWN) == drawn] for drawn in (True, False))
    if moving:
        _join(out / "motions.jsonl", moving)
        counts["motions"] = sum(job.last - job.first for job in moving)
    if files:
        _join(out / "metadata.jsonl", files)
        counts |= dict.fromkeys((*DRAWN, "questions", "failed"), 0)
    for job in files:
        with job.part.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                counts[job.medium] += job.medium != "edits" or "instruction" in row
                counts["questions"] += len(row.get("qa", []))
                counts["failed"] += row["truth"].get("failed", 0)
    return counts


def _join(target: Path, jobs: list[Job]) -> None:
    part = target.with_name(f"{target.name}.tmp")
    with part.open("wb") as merged:
        for job in jobs:
            with job.part.open("rb") as source:
                shutil.copyfileobj(source, merged)
    os.replace(part, target)
