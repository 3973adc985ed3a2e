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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from triptych.data.decode import decode, window_record, windows
from triptych.data.frames import is_held, jitter
from triptych.data.records import Record
from triptych.data.settings import PrepareConfig
from triptych.data.shards import PATTERN, ROWS, ShardWriter, lost_in, stable_hash
from triptych.errors import DataError, MediaError
from triptych.files import read_jsonl, sha256, write_json
from triptych.media import image
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
        """Read prepare.json; DataError if the folder was not prepared."""
        folder = Path(folder)
        try:
            facts = json.loads((folder / "prepare.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(f"{folder} is not a prepared folder: run `triptych prepare MEDIA {folder}`") from error
        return cls(folder, Path(facts["source"]), PrepareConfig.model_validate(facts["settings"]))

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
            if record.label:
                yield record.label

    def text_tokenizer(self, size: int = 2048) -> TextTokenizer:
        """The folder's text tokenizer; trained on its texts if there is none yet."""
        path = self.folder / "text.json"
        if not path.exists():
            TextTokenizer.train(self.texts(), size).save(path)
        return TextTokenizer.load(path)


class _Windows(Dataset[np.ndarray | str]):
    """The frames of each window, or what is wrong with it."""

    def __init__(self, prepared: Prepared, windows: list[Window]) -> None:
        self.prepared, self.windows = prepared, windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> np.ndarray | str:
        record, start, copy = self.windows[index]
        try:
            frames = decode(record, self.prepared.source, self.prepared.settings, start)
        except MediaError as error:
            return str(error)
        if copy:
            frames = jitter(frames, np.random.default_rng([stable_hash(record.file), copy]))
        return frames


def cut(
    prepared: Prepared,
    visual: VisualTokenizer,
    tokenizer_hash: str,
    *,
    copies: int = 1,
    workers: int = 2,
    batch: int = 16,
    advance: Advance | None = None,
) -> dict[str, Any]:
    """Encode every window and write the shards; shards that are there already, of the same data, are kept.

    Args:
        prepared: cleaned folder.
        visual: the tokenizer, on the device to use.
        tokenizer_hash: SHA-256 of its weights; shards of another tokenizer are cut anew.
        copies: framings of each medium; 1 is the medium alone, more add random crops of up to 6% (training only).
        workers: processes that decode.
        batch: media encoded at once.
        advance: called with (done, all) records.

    Returns:
        records: how many there are; lost: what could not be read, whether in this call or in an earlier one.
    """
    folder = prepared.folder / "shards"
    folder.mkdir(parents=True, exist_ok=True)
    stamp = {
        "manifest": sha256(prepared.folder / "manifest.jsonl"),
        "tokenizer": tokenizer_hash,
        "copies": copies,
        "settings": prepared.settings.model_dump(mode="json"),
    }
    index_file = folder / "index.json"
    if not index_file.exists() or json.loads(index_file.read_text()) != stamp:
        for old in folder.glob(PATTERN):
            old.unlink()
        write_json(index_file, stamp)
    for part in folder.glob(".*.safetensors"):  # left by a writer that was killed
        part.unlink()
    total = sum(1 for _ in prepared.records())
    lost: list[str] = []
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
    workers: int,
    batch: int,
    writer: ShardWriter,
) -> list[str]:
    lost: list[str] = []
    device = next(visual.parameters()).device
    # Pictures and clips are encoded apart, since a batch has one shape.
    for kind, count in (("picture", batch), ("clip", max(1, batch // 8))):
        mine = [window for window in chunk if window[0].kind == kind]
        loader = DataLoader(
            _Windows(prepared, mine), batch_size=count, num_workers=min(workers, len(mine)), collate_fn=list
        )
        place = 0
        for frames in loader:
            group, place = mine[place : place + len(frames)], place + len(frames)
            good = [(w, f) for w, f in zip(group, frames, strict=True) if not isinstance(f, str)]
            lost += [f for f in frames if isinstance(f, str)]
            if not good:
                continue
            codes, latents = visual.tokenize(torch.from_numpy(np.stack([f for _, f in good])).to(device))
            for (window, _), code, latent in zip(good, codes.cpu().numpy(), latents.cpu().numpy(), strict=True):
                record, _, copy = window
                writer.add(record, code, latent, held=is_held(record), copy=copy)
    return lost


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
