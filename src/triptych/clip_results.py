"""What the tasks on clips give back: moments, timelines, spans and curves, as plain, frozen values."""

from __future__ import annotations

import html
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from triptych.results import clock
from triptych.sequence.plan import Thing, write


@dataclass(frozen=True)
class Moment:
    """Something that happens, `start` seconds from the beginning of the clip."""

    start: float
    text: str

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"start": self.start, "text": self.text}

    def __str__(self) -> str:
        return f"{clock(self.start)}  {self.text}"


@dataclass(frozen=True)
class Track:
    """What stands where in a clip at its times.

    Args:
        times: seconds from the beginning of the clip's file.
        plans: of each time, the things and their boxes.
        seen: how many of these times were seen; the later ones are foretold.
        prompt: the instruction that is being followed, or nothing.
        model: name of the model, and the beginning of its weights' hash.
    """

    times: tuple[float, ...]
    plans: tuple[tuple[Thing, ...], ...]
    seen: int
    prompt: str
    model: str

    def as_dict(self) -> dict[str, Any]:
        """As plain values; boxes are left, top, right and bottom in shares of the sides of the middle square."""
        rows = [
            {
                "time": time,
                "foretold": place >= self.seen,
                "things": [{"words": thing.words, "box": list(thing.box)} for thing in things],
            }
            for place, (time, things) in enumerate(zip(self.times, self.plans, strict=True))
        ]
        return {"prompt": self.prompt, "model": self.model, "times": rows}

    def __str__(self) -> str:
        rows = enumerate(zip(self.times, self.plans, strict=True))
        return "\n".join(
            f"{clock(time)}  {write(things) or '-'}{'  (foretold)' if place >= self.seen else ''}"
            for place, (time, things) in rows
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


@dataclass(frozen=True)
class Segment:
    """A part of a shot that was read at once.

    Args:
        shot: number of the shot, from 0.
        start, end: seconds from the beginning of the clip.
        caption: its description.
        events: what is new in it.
        bits: bits per code: how surprised the model was.
        unlike: whether that is far beyond what is usual on data like its training data; its texts are guesses then.
        keyframe: the frame that stands for it, its middle square as a small JPEG.
    """

    shot: int
    start: float
    end: float
    caption: str
    events: tuple[Moment, ...]
    bits: float
    unlike: bool = False
    keyframe: bytes = field(default=b"", repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """All but the keyframe."""
        return {
            "shot": self.shot,
            "start": self.start,
            "end": self.end,
            "caption": self.caption,
            "events": [event.as_dict() for event in self.events],
            "bits": round(self.bits, 3),
            "unlike": self.unlike,
        }


@dataclass(frozen=True)
class Timeline:
    """What happens in a clip of any length.

    Args:
        file: the clip, as it was named.
        segments: its parts in order.
        language: tag of the texts.
        model: name of the model, and the beginning of its weights' hash.
        usual: bits per code beyond which a part counts as unlike the training data; None where the model tells none.
    """

    file: str
    segments: tuple[Segment, ...]
    language: str = "en"
    model: str = ""
    usual: float | None = None

    @property
    def events(self) -> tuple[Moment, ...]:
        """All moments, in order."""
        return tuple(event for segment in self.segments for event in segment.events)

    @property
    def duration(self) -> float:
        """Seconds up to the end of the last segment."""
        return self.segments[-1].end if self.segments else 0.0

    @property
    def shots(self) -> list[tuple[float, float]]:
        """From and to, in seconds, of each shot."""
        starts = list({segment.shot: segment.start for segment in reversed(self.segments)}.values())[::-1]
        return list(itertools.pairwise([*starts, self.duration]))

    @property
    def warning(self) -> str:
        """An honest word where parts of the clip are unlike the training data; else empty."""
        return unlike_words([s for s in self.segments if s.unlike], len(self.segments), self.usual)

    def as_dict(self) -> dict[str, Any]:
        """As plain values, without keyframes."""
        return {
            "file": self.file,
            "language": self.language,
            "model": self.model,
            "duration": self.duration,
            "warning": self.warning,
            "shots": [{"start": start, "end": end} for start, end in self.shots],
            "segments": [segment.as_dict() for segment in self.segments],
            "events": [event.as_dict() for event in self.events],
        }

    def to_json(self) -> str:
        """As a JSON document."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=2)

    def save(self, path: Path | str) -> Path:
        """Write it as .json, .csv, .vtt or .html, by suffix; ConfigError for another one."""
        from triptych.timeline_files import write

        return write(self, Path(path))

    def __str__(self) -> str:
        return "\n".join(map(str, self.events))

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{clock(e.start)}</td><td>{html.escape(e.text)}</td></tr>" for e in self.events)
        return f"<table>{rows}</table>"


def unlike_words(unlike: Sequence[Segment], count: int, usual: float | None) -> str:
    """The warning that `unlike` of `count` segments deserve; of a clip still being read, `count` is 0."""
    if not unlike:
        return ""
    most = max(segment.bits for segment in unlike)
    where = f"{len(unlike)} of {count} parts of this clip" if 1 < count != len(unlike) else "this clip"
    return (
        f"{where}, first at {clock(unlike[0].start)}, looks unlike what the model was trained on "
        f"({most:.1f} bits a code, at most {usual or 0:.1f} are usual): take what is said of it as a guess"
    )


@dataclass(frozen=True)
class Span:
    """A part of a clip that was looked for.

    Args:
        start, end: seconds from the beginning of the clip.
        confidence: 0 to 1, how sure the model is that it happens, and then.
    """

    start: float
    end: float
    confidence: float

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"start": self.start, "end": self.end, "confidence": round(self.confidence, 4)}

    def __str__(self) -> str:
        return f"{clock(self.start)}-{clock(self.end)}  {self.confidence:4.0%}"


@dataclass(frozen=True)
class Labels:
    """Which label fits a medium.

    Args:
        text: the likeliest label.
        probabilities: of each label, in the order they were given; they sum to 1.
        spelling: how the model was asked: `label`, `question` or `caption`; see docs/video.md.
        parts: start, end and probabilities of each part of a clip.
    """

    text: str
    probabilities: Mapping[str, float]
    spelling: str
    parts: tuple[tuple[float, float, Mapping[str, float]], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        parts = [{"start": start, "end": end, "probabilities": dict(p)} for start, end, p in self.parts]
        return {
            "text": self.text,
            "probabilities": dict(self.probabilities),
            "spelling": self.spelling,
            "parts": parts,
        }

    def __str__(self) -> str:
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return "\n".join(f"{probability:6.1%}  {label}" for label, probability in ranked)


@dataclass(frozen=True)
class Features:
    """Vectors of a clip.

    Args:
        segments: float32 (segments, D), each of length 1.
        clip: float32 (D,), their mean by seconds, of length 1.
        times: float64 (segments, 2), from and to in seconds.
        layer: the block of the GPT, from 0, that gave them.
    """

    segments: np.ndarray
    clip: np.ndarray
    times: np.ndarray
    layer: int

    def save(self, path: Path | str) -> Path:
        """Write a numpy archive: segments, clip, times, layer."""
        from triptych.files import write_atomically

        def write(file: Path) -> None:
            with open(file, "wb") as out:
                np.savez(out, segments=self.segments, clip=self.clip, times=self.times, layer=self.layer)

        write_atomically(path, write)
        return Path(path)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "layer": self.layer,
            "times": self.times.tolist(),
            "clip": self.clip.tolist(),
            "segments": self.segments.tolist(),
        }


@dataclass(frozen=True)
class Hit:
    """A moment that a search found.

    Args:
        file: the clip or picture.
        start, end: seconds from its beginning; both 0 for a picture.
        score: more is better; comparable within one search only.
        caption: what is said of it.
        thumbnail: JPEG.
    """

    file: str
    start: float
    end: float
    score: float
    caption: str
    thumbnail: bytes = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """As plain values; the thumbnail as a data URI."""
        import base64

        uri = "data:image/jpeg;base64," + base64.b64encode(self.thumbnail).decode()
        return {
            "file": self.file,
            "start": self.start,
            "end": self.end,
            "score": round(self.score, 5),
            "caption": self.caption,
            "thumbnail": uri,
        }

    def __str__(self) -> str:
        return f"{self.score:6.3f}  {self.file}  {clock(self.start)}-{clock(self.end)}  {self.caption}"


@dataclass(frozen=True)
class Future:
    """What may come next.

    Args:
        frames: uint8 (F, size, size, 3), the predicted frames.
        given: uint8 (G, size, size, 3), what was seen before them.
        fps: frames a second.
        seed: of its random numbers; the same seed and settings draw it again.
        prompt: the instruction; empty for none.
        settings: guidance, temperature and the like, by name.
        model: name of the model, and the beginning of its weights' hash.
    """

    frames: np.ndarray = field(repr=False)
    given: np.ndarray = field(repr=False)
    fps: float
    seed: int
    prompt: str
    settings: Mapping[str, Any]
    model: str

    def save(self, path: Path | str, *, with_given: bool = False) -> Path:
        """Write the frames as .mp4, .gif or .webp, or as a strip .png; MediaError for another suffix.

        Args:
            path: where to. with_given: begin with the frames that were seen.
        """
        from triptych.media import image, video

        frames = np.concatenate([self.given, self.frames]) if with_given else self.frames
        if Path(path).suffix.lower() == ".png":
            image.write(path, np.concatenate(list(frames), 1), {"prompt": self.prompt, "seed": str(self.seed)})
        else:
            video.write(path, frames, self.fps)
        return Path(path)

    def as_dict(self) -> dict[str, Any]:
        """All but the frames."""
        return {
            "prompt": self.prompt,
            "seed": self.seed,
            "fps": self.fps,
            "given": len(self.given),
            "frames": len(self.frames),
            "model": self.model,
            "settings": dict(self.settings),
        }
