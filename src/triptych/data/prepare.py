"""A cleaned folder -> tokenizers' food, a sheet for the eye, and token shards.

A prepared folder:
    manifest.jsonl  report.json  report.html      from cleaning (data/clean.py)
    prepare.json                                  the source folder, frame size and rate
    tokenizers/                                   a model folder without a GPT
    originals-and-codes.png                       media above what their codes keep of them
    shards/NNNNN.safetensors                      see data/shards.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from triptych.data.decode import decode, decode_arguments, decode_window, window_record, windows
from triptych.data.frames import is_held
from triptych.data.records import Record, reframed
from triptych.data.settings import PrepareConfig
from triptych.data.shards import PATTERN, ROWS, ShardWriter, lost_in, stable_hash
from triptych.errors import DataError, MediaError
from triptych.files import read_jsonl, sha256, write_json
from triptych.media import image
from triptych.media.framing import framed, framing
from triptych.media.worker import Workers
from triptych.tokenizers.text import TextTokenizer
from triptych.tokenizers.visual import VisualTokenizer

Advance = Callable[[int, int], None]
Window = tuple[Record, float, int]  # what is true of it, the second it starts at, the number of its framing


class Prepared:
    """A prepared folder, or one in the making."""

    def __init__(self, folder: Path, source: Path, settings: PrepareConfig) -> None:
        self.folder, self.source, self.settings = folder, source, settings

    @classmethod
    def load(cls, folder: Path | str) -> Prepared:
        """Read prepare.json; DataError if the folder was not prepared, or the file is damaged."""
        folder = Path(folder)
        try:
            facts = json.loads((folder / "prepare.json").read_text(encoding="utf-8"))
            return cls(folder, Path(facts["source"]), PrepareConfig.model_validate(facts["settings"]))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DataError(f"{folder} is not a prepared folder: run `triptych prepare MEDIA {folder}`") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{folder / 'prepare.json'}: damaged; run `triptych prepare MEDIA {folder}` again"
            ) from error

    def save(self) -> None:
        """Write prepare.json."""
        facts = {"source": str(self.source.resolve()), "settings": self.settings.model_dump(mode="json")}
        write_json(self.folder / "prepare.json", facts)

    def records(self) -> Iterator[Record]:
        """The clean media, in order, one at a time."""
        for line in read_jsonl(self.folder / "manifest.jsonl"):
            yield Record.model_validate(line)

    def texts(self) -> Iterator[str]:
        """Every text of the data, for the text tokenizer."""
        for record in self.records():
            yield from (text.text for text in [*record.texts, *record.instruction])
            yield from (part for q in record.qa for part in (q.question, q.answer))
            yield from (event.text for event in record.events)
            yield from (text.text for item in record.objects for text in item.texts)
            if record.label:
                yield record.label

    def text_tokenizer(self, size: int = 2048) -> TextTokenizer:
        """The folder's text tokenizer; trained on its texts if there is none yet."""
        path = self.folder / "text.json"
        if not path.exists():
            TextTokenizer.train(self.texts(), size).save(path)
        return TextTokenizer.load(path)


def cut(
    prepared: Prepared,
    visual: VisualTokenizer,
    tokenizer_hash: str,
    *,
    copies: int = 1,
    batch: int = 16,
    advance: Advance | None = None,
) -> dict[str, Any]:
    """Encode every window and write the shards; shards that are there already, of the same data, are kept.

    Args:
        prepared: cleaned folder.
        visual: the tokenizer, on the device to use.
        tokenizer_hash: SHA-256 of its weights; shards of another tokenizer are cut anew.
        copies: framings of each medium; 1 is the medium alone, more add random crops of up to 6% (training only).
        batch: media encoded at once.
        advance: called with (done, all) records.

    Returns:
        records: how many there are; lost: what could not be read, whether in this call or in an earlier one.
    """
    folder = prepared.folder / "shards"
    folder.mkdir(parents=True, exist_ok=True)
    stamp: dict[str, Any] = {
        "manifest": sha256(prepared.folder / "manifest.jsonl"),
        "tokenizer": tokenizer_hash,
        "copies": copies,
        "settings": prepared.settings.model_dump(mode="json", include={"size", "fps", "frames"}),
    }
    if copies > 1:
        stamp["boxes"] = "moved"  # older shards of copies have none
    index_file = folder / "index.json"
    if not index_file.exists() or not _agrees(json.loads(index_file.read_text()), stamp):
        for old in folder.glob(PATTERN):
            old.unlink()
        write_json(index_file, stamp)
    for part in folder.glob(".*.safetensors"):  # left by a writer that was killed
        part.unlink()
    total = sum(1 for _ in prepared.records())
    lost: list[str] = []
    settings = prepared.settings
    with Workers(settings.workers, int(settings.memory * 2**30)) as workers:
        for number, (chunk, done) in enumerate(_chunks(prepared, copies)):
            path = folder / f"{number:05d}.safetensors"
            if path.exists():
                lost += lost_in(path)
            else:
                writer = ShardWriter()
                missing = _cut_chunk(prepared, visual, chunk, workers, batch, writer)
                lost += missing
                if writer.codes:
                    writer.write(path, missing)
            if advance is not None:
                advance(done, total)
    if not any(folder.glob(PATTERN)):
        raise DataError(f"{prepared.folder}: none of its {total} media could be read; see report.html")
    return {"records": total, "lost": list(dict.fromkeys(lost))}  # each once, however many windows it has


def _agrees(found: Any, stamp: Any) -> bool:
    """Whether shards were cut as `stamp` says; what else their index holds doesn't matter."""
    if isinstance(stamp, dict):
        return isinstance(found, dict) and all(_agrees(found.get(key), value) for key, value in stamp.items())
    return bool(found == stamp)


def _chunks(prepared: Prepared, copies: int) -> Iterator[tuple[list[Window], int]]:
    """The windows of each shard, and how many records are done with it. An hour of clip may fill many shards."""
    chunk: list[Window] = []
    done = 0
    for record in prepared.records():
        framings = range(1 if is_held(record) else copies)
        for start, end in windows(record, prepared.settings):
            window = window_record(record, start, end)
            for copy in framings:
                if len(chunk) == ROWS:
                    yield chunk, done
                    chunk = []
                chunk.append((window, start, copy))
        done += 1
    if chunk:
        yield chunk, done


def _cut_chunk(
    prepared: Prepared,
    visual: VisualTokenizer,
    chunk: list[Window],
    workers: Workers,
    batch: int,
    writer: ShardWriter,
) -> list[str]:
    """Encode windows into `writer`; gives what could not be read."""
    lost: list[str] = []
    device = next(visual.parameters()).device
    # Pictures and clips are encoded apart, since a batch has one shape.
    for kind, count in (("picture", batch), ("clip", max(1, batch // 8))):
        decoded = _frames(prepared, [window for window in chunk if window[0].kind == kind], workers)
        while group := list(islice(decoded, count)):
            good = [(window, frames) for window, frames in group if not isinstance(frames, MediaError)]
            lost += [str(error) for _, error in group if isinstance(error, MediaError)]
            if not good:
                continue
            codes, latents = visual.tokenize(torch.from_numpy(np.stack([f for _, f in good])).to(device))
            for (window, _), code, latent in zip(good, codes.cpu().numpy(), latents.cpu().numpy(), strict=True):
                record, _, copy = window
                writer.add(record, code, latent, held=is_held(record), copy=copy)
    return lost


def _frames(
    prepared: Prepared, windows: list[Window], workers: Workers
) -> Iterator[tuple[Window, np.ndarray | MediaError]]:
    """The frames of each window, or what is wrong with it, in order."""

    def arguments(window: Window) -> tuple[str, list[Any], float]:
        record, start, _ = window
        given = decode_arguments(record, prepared.source, prepared.settings, start)
        return given[0], list(given), prepared.settings.timeout + start  # a clip without an index is walked

    for window, frames in workers.map(decode_window, windows, arguments):
        record, start, copy = window
        if copy and not isinstance(frames, MediaError):
            # Pictures that belong together are framed alike: an edit moves nothing but what it says.
            key = record.sequence.id if record.sequence else record.file
            room = framing(frames.shape[1], np.random.default_rng([stable_hash(key), copy]))
            frames = framed(frames, room)
            boxes = reframed(record, *(room / frames.shape[1]).tolist())
            window = record.model_copy(update={"objects": boxes}), start, copy
        yield window, frames


def sheet(prepared: Prepared, visual: VisualTokenizer, count: int = 8) -> Path:
    """Write originals above what their codes keep of them: the check to make before any training."""
    device = next(visual.parameters()).device
    columns = []
    for record in _spread(prepared, count):
        try:
            frames = decode(record, prepared.source, prepared.settings)
        except MediaError:
            continue
        codes, _ = visual.tokenize(torch.from_numpy(frames.copy())[None].to(device))
        drawn = visual.draw(codes)[0].cpu().numpy()
        columns.append(np.concatenate([frames[-1], drawn[-1]]))
    path = prepared.folder / "originals-and-codes.png"
    if columns:
        image.write(path, np.concatenate(columns, 1))
    return path


def _spread(prepared: Prepared, count: int) -> list[Record]:
    total = sum(1 for _ in prepared.records())
    wanted = {round(i * (total - 1) / max(count - 1, 1)) for i in range(count)}
    return [record for index, record in enumerate(prepared.records()) if index in wanted]
