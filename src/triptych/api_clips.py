"""What a model does with clips of any length, as methods; `triptych.api.Triptych` has them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from triptych.clip_results import Features, Future, Hit, Labels, Segment, Span, Timeline, Track
from triptych.errors import ConfigError
from triptych.surprise_results import Surprise
from triptych.tasks import surprisal
from triptych.tasks.classify import classify as classify_task
from triptych.tasks.common import Media
from triptych.tasks.features import features as features_task
from triptych.tasks.index import Indexed
from triptych.tasks.index import index as index_task
from triptych.tasks.locate import locate as locate_task
from triptych.tasks.parts import Part
from triptych.tasks.predict import predict as predict_task
from triptych.tasks.search import search as search_task
from triptych.tasks.settings import PredictSettings
from triptych.tasks.surprise import Scored, collect
from triptych.tasks.surprise import surprise as surprise_task
from triptych.tasks.track import track as track_task
from triptych.tasks.watch import watch as watch_task

if TYPE_CHECKING:
    from triptych.tasks.common import Model


FUTURES = PredictSettings()


def library_of(folder: Path | str, library: Path | str | None = None) -> Path:
    """Where a folder's library lies: hidden in it, unless another place is named."""
    return Path(folder) / ".triptych" if library is None else Path(library)


class ClipVerbs:
    """The verbs on clips; a clip is a path, or `-` for what comes in on standard input."""

    _model: Model

    def watch(
        self, path: Path | str, *, language: str = "en", each: Callable[[Segment], object] | None = None
    ) -> Timeline:
        """Tell what happens in a clip of any length, and when; see `watch_segments` for constant memory.

        Args:
            path: the clip.
            language: tag of the texts.
            each: called with every segment as it is read.

        Raises:
            MediaError: it can't be read. ConfigError: the model does not write that language.
        """
        segments = []
        for segment in self.watch_segments(path, language=language):
            segments.append(segment)
            if each is not None:
                each(segment)
        return Timeline(str(path), tuple(segments), language, self._model.label, self.usual_bits)

    @property
    def usual_bits(self) -> float | None:
        """Bits per code beyond which a clip counts as unlike the training data; None where the model tells none."""
        return surprisal.most(self._model)

    def watch_segments(self, path: Path | str, *, language: str = "en") -> Iterator[Segment]:
        """As `watch`, segment by segment as they are read, in constant memory."""
        return watch_task(self._model, path, language=self._model.language(language))

    def unlike(self, media: Media, *, start: float = 0.0) -> str:
        """An honest word if a picture, or a clip's window from `start` on, is unlike the training data; else empty.

        Raises:
            MediaError: it can't be read.
        """
        bits = surprisal.clip_bits(self._model, [self._model.frames(media, start=start)])[0]
        if not surprisal.is_unlike(self._model, bits):
            return ""
        return (
            f"this looks unlike what the model was trained on ({bits.mean():.1f} bits a code, at most "
            f"{self.usual_bits or 0:.1f} are usual): take what is said of it as a guess"
        )

    def surprise(
        self, path: Path | str, *, moments: int = 5, each: Callable[[Scored], object] | None = None
    ) -> Surprise:
        """Bits per code over a picture, or over a clip of any length: high where the model did not expect it.

        Args:
            path: the picture or clip.
            moments: most surprising times to tell, at least a second apart.
            each: called with every part as it is read.

        Raises:
            MediaError: it can't be read.
        """
        return collect(self._model, str(path), self.surprise_parts(path), moments, each)

    def surprise_parts(self, path: Path | str) -> Iterator[Scored]:
        """As `surprise`, part by part as they are read, in constant memory."""
        return surprise_task(self._model, path)

    def locate(
        self, path: Path | str, event: str, *, count: int = 5, each: Callable[[Part], object] | None = None
    ) -> list[Span]:
        """Find when an event happens in a clip of any length: spans, the surest first.

        Args:
            path: the clip.
            event: "the red ball hits the cube", or "when does the red ball hit the cube?", in English or Chinese.
            count: most spans to give; fewer come if the others are less than half as sure.
            each: called with every segment as it is read.

        Raises:
            MediaError: it can't be read. ConfigError: the event is empty.
        """
        return locate_task(self._model, path, event, count=count, each=each)

    def classify(self, media: Media, labels: Sequence[str], *, each: Callable[[Part], object] | None = None) -> Labels:
        """Give each of some labels its probability for a picture, or a clip of any length.

        Args:
            media: what is labelled.
            labels: two or more different texts.
            each: called with every segment of a clip as it is read.

        Raises:
            MediaError: it can't be read. ConfigError: too few labels, or two alike.
        """
        return classify_task(self._model, media, labels, each=each)

    def predict(
        self,
        media: Media,
        *,
        text: str = "",
        seconds: float = 1.0,
        n: int = 1,
        seed: int = 0,
        start: float = 0.0,
        guidance: float = FUTURES.guidance,
        temperature: float = FUTURES.temperature,
        top_k: int = FUTURES.top_k,
        top_p: float = FUTURES.top_p,
        plan: Literal["auto", "none"] = FUTURES.plan,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Future]:
        """Draw the frames that may come after a picture or a part of a clip.

        Args:
            media: what is seen; of a clip's file one window, from `start` on.
            text: an instruction; empty for none.
            seconds: how far to go.
            n: futures; their seeds are seed, seed + 1 and so on.
            seed: of the first.
            start: where in a clip's file to begin, in seconds.
            guidance, temperature, top_k, top_p: as for `draw`; guidance needs an instruction.
            plan: `auto` tells first where everything will be (`track`), where the model has learned that; things come
                along with their own pixels then, and only what is new is drawn, or with an instruction all else that
                changes. `none` draws without.
            progress: called with (done, all).
        """
        if n < 1 or seconds <= 0:
            raise ValueError(f"n={n}, seconds={seconds}: at least one future of more than 0 seconds is drawn")
        settings = PredictSettings(guidance, temperature, top_k, top_p, plan)
        seeds = range(seed, seed + n)
        return predict_task(
            self._model,
            media,
            text=text,
            seconds=seconds,
            seeds=seeds,
            start=start,
            settings=settings,
            progress=progress,
        )

    def track(
        self, media: Media, *, text: str = "", ahead: float = 0.0, language: str = "", start: float = 0.0
    ) -> Track:
        """Tell what stands where at each time of a picture or a part of a clip, and in what may come after it.

        Args:
            media: what is seen; of a clip's file one window, from `start` on.
            text: an instruction that is being followed; empty for none.
            ahead: seconds to go on after what was seen.
            language: of the words, `en` or `zh`; that of the text if not given.
            start: where in a clip's file to begin, in seconds.

        Raises:
            MediaError: it can't be read. ConfigError: further ahead than one window.
            ModelError: the model has not learned where things are in clips.
        """
        return track_task(self._model, media, text=text, ahead=ahead, language=language, start=start)

    def features(self, path: Path | str, *, layer: int | None = None) -> Features:
        """A vector for each segment of a clip of any length, (segments, D), and one for the whole.

        Args:
            path: the clip.
            layer: the block of the GPT, from 0, whose output is averaged; the best by measurement if not given.

        Raises:
            MediaError: it can't be read. ConfigError: no such layer.
        """
        count = len(self._model.gpt.blocks)
        if layer is not None and not 0 <= layer < count:
            raise ConfigError(f"layer {layer}: {self._model.bundle.info.name} has the layers 0 to {count - 1}")
        return features_task(self._model, path, layer=layer)

    def index(
        self, folder: Path | str, *, library: Path | str | None = None, languages: Sequence[str] = ("en", "zh")
    ) -> Iterator[Indexed]:
        """Bring a folder's library up to date; gives what became of every file, as it goes. Safe to kill.

        Args:
            folder: of pictures and clips.
            library: its own folder; FOLDER/.triptych if not given.
            languages: in which moments are described, and can be found by their words.

        Raises:
            DataError: no such folder, or another process is at it.
        """
        known = list(dict.fromkeys(self._model.language(language) for language in languages))
        return index_task(self._model, Path(folder), library_of(folder, library), languages=known)

    def search(
        self,
        query: str | Path | np.ndarray | Image.Image,
        folder: Path | str,
        *,
        library: Path | str | None = None,
        count: int = 10,
    ) -> list[Hit]:
        """The moments of an indexed folder that fit a text, a picture or a clip, best first.

        Args:
            query: a text (a string); or a picture or clip, as a `Path`, an array or a Pillow image.
            folder: of the media. library: as for `index`.
            count: how many to give.

        Raises:
            DataError: the folder has no library, or another model made it.
        """
        if isinstance(query, str) and not query.strip():
            raise ConfigError("the text to search for is empty: say what happens, or give a picture or clip")
        return search_task(self._model, query, Path(folder), library_of(folder, library), count=count)
