"""What a model does with clips of any length, as methods; `triptych.api.Triptych` has them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.clip_results import Segment, Surprise, Timeline
from triptych.errors import ConfigError
from triptych.tasks import surprisal
from triptych.tasks.surprise import Scored, collect
from triptych.tasks.surprise import surprise as surprise_task
from triptych.tasks.watch import watch as watch_task

if TYPE_CHECKING:
    from triptych.tasks.common import Model


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
        return watch_task(self._model, path, language=self._known(language))

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

    def _known(self, language: str) -> str:
        """The tag under which the model learned a language: data without tags are all one language, tagged ""."""
        info = self._model.bundle.info
        known = info.made.get("languages") or ["en", "zh"]
        if language in known or "" in known:
            return language if language in known else ""
        raise ConfigError(f"language {language!r}: {info.name} writes {', '.join(known)}")
