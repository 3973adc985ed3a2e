"""What every measure needs: the model, the media with their truth, the judge, and features; each made when needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar, Unpack

import numpy as np
import torch
from torch import Tensor

from triptych.data.folder import scan
from triptych.data.records import Record, edit_pairs
from triptych.errors import DataError, MediaError, TriptychError
from triptych.evaluate import metrics
from triptych.evaluate.detector import Detector, Found, load_detector
from triptych.evaluate.truth import read_truths, seen
from triptych.media import image, video
from triptych.media.limits import LOCAL
from triptych.tasks.settings import Drawing
from triptych.train.features import MobileNetV2, load_features
from triptych.zoo import ModelInfo

CHUNK = 16
LANGUAGES = ("en", "zh")
Media = Path | np.ndarray
T = TypeVar("T")


class Skip(Exception):
    """A measure can't be taken on this data or this model; says why."""


class Text(Protocol):
    """Something with a text: a caption or an answer."""

    @property
    def text(self) -> str:
        """The words."""


class Drawn(Protocol):
    """Something with pixels: a picture."""

    @property
    def pixels(self) -> np.ndarray:
        """uint8 (Y, X, 3)."""


class Reader(Protocol):
    """What the suite asks of a model; `triptych.api.Triptych` is one, and tests bring their own.

    `watch(path, language=)`, which tells what happens in a clip and when, is used where there is one; a reader without
    `text_nats` skips the measure of language, one without `edit(image, instruction, seed=, ...)` that of edits, and one
    without `plan`, `track`, `locate`, `classify`, `index` and `search`, `predict` or `surprise` those of the same name.
    """

    @property
    def info(self) -> ModelInfo:
        """What the model is."""

    @property
    def path(self) -> Path:
        """Its folder."""

    def draw(
        self,
        text: str,
        *,
        n: int = 1,
        seed: int = 0,
        images: Any = None,
        **settings: Unpack[Drawing],
    ) -> Sequence[Drawn]:
        """Pictures of a text, after `images`."""

    def draw_many(self, texts: Sequence[str], seeds: Sequence[int], **settings: Unpack[Drawing]) -> Sequence[Drawn]:
        """A picture of each text."""

    def caption_many(self, media: Sequence[Any], *, language: str = "en") -> Sequence[Text]:
        """A description of each medium."""

    def ask_many(self, questions: Sequence[tuple[Any, str]]) -> Sequence[Text]:
        """An answer to each (medium, question)."""

    def reconstruct(self, pixels: np.ndarray) -> np.ndarray:
        """What the visual codes keep of uint8 (F, Y, X, 3)."""

    def text_nats(self, media: Sequence[Any], texts: Sequence[str], language: str = "en") -> list[float]:
        """Log-likelihood in nats of each text as a caption of its medium, or of none where that is None."""


@dataclass
class Score:
    """One number of a measure.

    Args:
        value: the number. n: how many samples it stands on. ci95: its 95% bootstrap interval, or None.
        baselines: the same number for trivial answers, and for ceilings.
        better: "higher" or "lower". unit: for people. note: what a reader must know.
    """

    value: float
    n: int
    ci95: tuple[float, float] | None = None
    baselines: dict[str, float] = field(default_factory=dict)
    better: str = "higher"
    unit: str = ""
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As plain values, rounded to six places."""
        interval = self.ci95 and [round(v, 6) for v in self.ci95]
        out: dict[str, Any] = {"value": round(self.value, 6), "ci95": interval, "n": self.n}
        out |= {"baselines": {name: round(value, 6) for name, value in self.baselines.items()}}
        return out | {"better": self.better, "unit": self.unit, "note": self.note}


Scores = dict[str, Score]


@dataclass
class Item:
    """A medium: its record, and its truth where the folder tells it."""

    record: Record
    truth: Mapping[str, Any]
    path: Path

    @property
    def objects(self) -> list[Found]:
        """The objects that can be seen."""
        return [o for o in self.truth.get("objects", ()) if o.get("seen", True)]

    def seen_in(self, frame: int) -> list[Found] | None:
        """The objects that can be seen in a frame of a clip; None where the folder doesn't tell."""
        frames = self.truth.get("frames") or []
        return seen(self.objects, frames[frame]) if frame < len(frames) else None

    def texts(self, language: str) -> list[str]:
        """Its texts in a language; texts of no stated language count as English."""
        return [t.text for t in self.record.texts if (t.lang or "en") == language]


class Bench:
    """The model, the data and the judge of one run.

    Args:
        reader: the model.
        folder: of media.
        limit: media a measure at most.
        seed: of the choice of media, of drawing and of the bootstrap.
        settings: of drawing, where they differ from the defaults.
        device: for the detector and the features.
        advance: called with (done, all) within a measure.
    """

    def __init__(
        self,
        reader: Reader,
        folder: Path,
        *,
        limit: int = 200,
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
        device: str = "cpu",
        detector: Detector | None = None,
        advance: Callable[[int, int], None] | None = None,
    ) -> None:
        self.reader, self.folder, self.limit, self.seed, self.device = reader, Path(folder), limit, seed, device
        self.settings = dict(settings or {})
        self._detector = detector
        self.advance = advance or (lambda done, total: None)
        truths = read_truths(self.folder)
        self.items = [Item(r, truths.get(r.file, {}), self.folder / r.file) for r in scan(self.folder)]
        if not self.items:
            raise DataError(f"{folder} holds no pictures or clips: give a folder of media")

    @property
    def size(self) -> int:
        """Side of the model's pictures in pixels."""
        return self.reader.info.size

    def score(self, values: Sequence[Any], score: Callable[[Sequence[Any]], float] | None = None, **more: Any) -> Score:
        """A Score of samples, with its interval; their mean, or what `score` makes of them."""
        whole = score(values) if score is not None else float(np.mean(np.asarray(values, np.float64)))
        return Score(whole, len(values), metrics.interval(values, score, seed=self.seed), **more)

    def choose(self, items: Sequence[T], count: int | None = None) -> list[T]:
        """Up to `count` (or the limit) of the items, the same for a seed, in their order."""
        count = min(len(items), count or self.limit)
        keep = np.sort(np.random.default_rng([self.seed, len(items)]).permutation(len(items))[:count])
        return [items[i] for i in keep]

    @cached_property
    def pictures(self) -> list[Item]:
        """The pictures, of a sequence of views only one, since views of one scene are near copies."""
        seen: set[str] = set()
        out = []
        for item in self.items:
            place = item.record.sequence
            if item.record.kind == "picture" and (place is None or place.id not in seen):
                out.append(item)
                if place is not None:
                    seen.add(place.id)
        if not out:
            raise Skip("the folder holds no pictures")
        return out

    @cached_property
    def known_pictures(self) -> list[Item]:
        """Pictures whose objects the folder tells."""
        out = [item for item in self.pictures if item.objects and "frames" not in item.truth]
        if not out:
            raise Skip("no picture has `truth` with objects in metadata.jsonl")
        return out

    @cached_property
    def clips(self) -> list[Item]:
        """The clips; those made impossible on purpose are left out."""
        out = [i for i in self.items if i.record.kind == "clip" and not i.truth.get("impossible")]
        if not out:
            raise Skip("the folder holds no clips")
        return out

    @cached_property
    def views(self) -> list[list[Item]]:
        """Sequences of two or more pictures, in order; those that instructions lead through are `edits`."""
        out = [group for group in self._sequences if not any(item.record.instruction for item in group)]
        if not out:
            raise Skip("the folder holds no sequences of pictures")
        return out

    @cached_property
    def edits(self) -> list[list[Item]]:
        """Pairs of a picture and the one that an instruction makes of it."""
        items = {item.record.file: item for item in self.items}
        out = [[items[record.file] for record in pair] for pair in edit_pairs(item.record for item in self.items)]
        if not out:
            raise Skip("the folder holds no pictures with an instruction that leads from one to the next")
        return out

    @cached_property
    def _sequences(self) -> list[list[Item]]:
        groups: dict[str, list[Item]] = {}
        for item in self.items:
            if item.record.kind == "picture" and item.record.sequence is not None:
                groups.setdefault(item.record.sequence.id, []).append(item)
        out = []
        for group in groups.values():
            if len(group) > 1:
                out.append(sorted(group, key=_index))
        return out

    def pixels(self, item: Item) -> np.ndarray:
        """A picture as the model takes it: uint8 (size, size, 3)."""
        return image.fit(image.read(item.path, limits=LOCAL), self.size)

    def frames(self, item: Item) -> np.ndarray:
        """A clip's first window, uint8 (F, size, size, 3)."""
        info = self.reader.info
        clip = video.read(item.path, fps=info.fps, frames=info.frames, size=self.size, limits=LOCAL).frames
        return clip[: (len(clip) - 1) // 4 * 4 + 1]

    def readable(self, items: Sequence[Item]) -> list[Item]:
        """The items whose files can be read."""
        out = [item for item in items if self.is_readable(item)]
        if not out:
            raise Skip("none of the files can be read")
        return out

    def is_readable(self, item: Item) -> bool:
        """Whether a file can be read."""
        try:
            (self.pixels if item.record.kind == "picture" else self.frames)(item)
        except MediaError:
            return False
        return True

    @cached_property
    def detector(self) -> Detector:
        """The judge; Skip with the command that trains one if the model has none."""
        if self._detector is not None:
            return self._detector
        try:
            return load_detector(self.reader.path, self.device)
        except TriptychError as error:
            raise Skip(str(error)) from error

    def detect(self, pictures: Sequence[np.ndarray]) -> list[list[Found]]:
        """The objects of pictures of one size."""
        return self.detector.detect(np.stack(pictures))

    @cached_property
    def network(self) -> MobileNetV2:
        """MobileNetV2; Skip with the command that installs its weights if they are missing."""
        try:
            return load_features(self.device)
        except TriptychError as error:
            raise Skip(str(error)) from error

    @torch.inference_mode()
    def features(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """MobileNetV2 features (N, 1280) of pictures of one size."""
        parts = [self.network(self.tensor(chunk)).cpu().numpy() for chunk in chunks(pictures)]
        return np.concatenate(parts)

    def tensor(self, pictures: Sequence[np.ndarray]) -> Tensor:
        """Pictures uint8 -> (B, 3, Y, X) in [-1, 1]."""
        pixels = torch.from_numpy(np.stack(pictures)).to(self.device)
        return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1

    def reconstruct(self, picture: np.ndarray) -> np.ndarray:
        """What the codes keep of a picture (Y, X, 3)."""
        return self.reader.reconstruct(picture[None])[0]

    def draw(self, texts: Sequence[str], seeds: Sequence[int], **changes: Unpack[Drawing]) -> list[np.ndarray]:
        """A picture of each text, in chunks, by the settings of the run or with some changed."""
        out: list[np.ndarray] = []
        how = {**self.settings, **changes}
        for chunk in chunks(list(zip(texts, seeds, strict=True))):
            said, numbers = zip(*chunk, strict=True)
            out += [picture.pixels for picture in self.reader.draw_many(list(said), list(numbers), **how)]
            self.advance(len(out), len(texts))
        return out

    def captions(self, items: Sequence[Item], language: str) -> list[str]:
        """A caption of each medium, in chunks."""
        out: list[str] = []
        for chunk in chunks(items):
            out += [c.text for c in self.reader.caption_many([item.path for item in chunk], language=language)]
            self.advance(len(out), len(items))
        return out

    def answers(self, questions: Sequence[tuple[Path | None, str]]) -> list[str]:
        """An answer to each (file, question), in chunks."""
        out: list[str] = []
        for chunk in chunks(questions):
            out += [answer.text for answer in self.reader.ask_many(list(chunk))]
            self.advance(len(out), len(questions))
        return out


def _index(item: Item) -> int:
    return item.record.sequence.index if item.record.sequence else 0


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Parts of up to `size` items, in order."""
    for first in range(0, len(items), size):
        yield items[first : first + size]
