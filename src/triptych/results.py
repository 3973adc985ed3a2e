"""What the tasks give back: plain, frozen values that can be saved, printed, shown in a notebook, or turned to JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from triptych.media import image, video
from triptych.sequence.plan import Thing, write


@dataclass(frozen=True)
class Picture:
    """A drawn picture.

    Args:
        pixels: uint8 (Y, X, 3).
        prompt: the text it was drawn from.
        seed: of its random numbers; the same seed and settings draw it again.
        settings: guidance, temperature and the like, by name.
        model: name of the model, and the beginning of its weights' hash.
        verb: draw, complete, inpaint, outpaint, vary or edit.
        inputs: what it was made from besides the text, as plain values.
        plan: what was to stand where, as `draw` takes it; empty where it was drawn without a plan.
    """

    pixels: np.ndarray = field(repr=False)
    prompt: str
    seed: int
    settings: Mapping[str, Any]
    model: str
    verb: str = "draw"
    inputs: Mapping[str, Any] = field(default_factory=dict)
    plan: str = ""

    def metadata(self) -> dict[str, str]:
        """How it was made, as the texts that `save` keeps in the file."""
        settings = json.dumps(dict(self.settings))
        prompt = self.prompt.encode("utf-8", "replace").decode("utf-8")  # lone surrogates can't be stored
        task = json.dumps({"verb": self.verb, "inputs": dict(self.inputs)}, ensure_ascii=False)
        facts = {"prompt": prompt, "seed": str(self.seed), "model": self.model, "settings": settings, "task": task}
        return facts | ({"plan": self.plan} if self.plan else {})

    def save(self, path: Path | str, metadata: bool = True) -> Path:
        """Write it as PNG, JPEG or WebP, by suffix; MediaError if that can't be done.

        Args:
            path: where to; an existing file is replaced whole.
            metadata: keep prompt, seed, model and settings in the file.
        """
        image.write(path, self.pixels, self.metadata() if metadata else None)
        return Path(path)

    def to_pil(self) -> Image.Image:
        """As a Pillow image."""
        return Image.fromarray(self.pixels)

    def as_dict(self) -> dict[str, Any]:
        """All but the pixels."""
        height, width = self.pixels.shape[:2]
        return {
            "prompt": self.prompt,
            "seed": self.seed,
            "model": self.model,
            "settings": dict(self.settings),
            "verb": self.verb,
            "inputs": dict(self.inputs),
            "plan": self.plan,
            "width": width,
            "height": height,
        }

    def __str__(self) -> str:
        height, width = self.pixels.shape[:2]
        return f"{width}x{height} picture of {self.prompt!r}, seed {self.seed}"

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.to_pil().save(buffer, "PNG")
        return buffer.getvalue()


@dataclass(frozen=True)
class Plan:
    """What stands where in a picture, or is to stand there.

    Args:
        prompt: the text that it was made from.
        things: each with its `words`, and its `box` as shares of the picture's sides (left, top, right, bottom); of a
            picture that is no square, of the middle square that the model reads.
        model: name of the model, and the beginning of its weights' hash.
    """

    prompt: str
    things: tuple[Thing, ...]
    model: str

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        things = [{"words": thing.words, "box": list(thing.box)} for thing in self.things]
        return {"prompt": self.prompt, "plan": str(self), "things": things, "model": self.model}

    def __str__(self) -> str:
        return write(self.things)


@dataclass(frozen=True)
class Film:
    """A drawn clip.

    Args:
        frames: uint8 (F, Y, X, 3). fps: frames a second.
        prompt, seed, settings, model: as of a Picture.
    """

    frames: np.ndarray = field(repr=False)
    fps: float
    prompt: str
    seed: int
    settings: Mapping[str, Any]
    model: str

    def save(self, path: Path | str) -> Path:
        """Write it as MP4, GIF or WebP, by suffix, whole or not at all; MediaError if that can't be done."""
        video.write(path, self.frames, self.fps)
        return Path(path)

    def as_dict(self) -> dict[str, Any]:
        """All but the frames."""
        count, height, width = self.frames.shape[:3]
        facts = {"prompt": self.prompt, "seed": self.seed, "model": self.model, "settings": dict(self.settings)}
        return facts | {"frames": count, "fps": self.fps, "width": width, "height": height}


@dataclass(frozen=True)
class Match:
    """How well a picture and a text go together.

    Args:
        text: the text.
        bits: of the picture's codes when it is drawn from the text, unguided. codes: how many there are.
        draw_gain: how many fewer that is than without any text; the higher, the better they match.
        read_bits: of the text when it is read from the picture.
        read_gain: how many fewer that is than without the picture.
    """

    text: str
    bits: float
    codes: int
    draw_gain: float
    read_bits: float
    read_gain: float

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.draw_gain:+8.2f} {self.read_gain:+8.2f}  {self.text}"


@dataclass(frozen=True)
class Caption:
    """A description of a picture or clip.

    Args:
        text: the description.
        language: its tag.
        times: seconds of the clip that were read, from and to; None for a picture.
    """

    text: str
    language: str
    times: tuple[float, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    Args:
        text: the answer; with choices, the likeliest of them.
        probabilities: of each choice, in the order they were given; they sum to 1. None without choices.
        times: seconds of the clip that were read, from and to; None for a picture or no medium.
        moments: the parts of a longer clip that the answer rests on, from and to, the most relevant first.
    """

    text: str
    probabilities: Mapping[str, float] | None = None
    times: tuple[float, float] | None = None
    moments: tuple[tuple[float, float], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def __str__(self) -> str:
        if self.probabilities is None:
            return self.text
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return "\n".join(f"{probability:6.1%}  {choice}" for choice, probability in ranked)


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds with one decimal.

    >>> clock(63.46)
    '1:03.5'
    """
    tenths = round(seconds * 10)
    hours, rest = divmod(tenths, 36_000)
    minutes, rest = divmod(rest, 600)
    return (f"{hours}:{minutes:02d}" if hours else f"{minutes}") + f":{rest // 10:02d}.{rest % 10}"
