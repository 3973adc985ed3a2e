"""One model and all it can do, as one object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from triptych import zoo
from triptych.device import device_of
from triptych.errors import ConfigError
from triptych.results import Answer, Caption, Picture, Timeline, Window
from triptych.tasks.ask import ask as ask_task
from triptych.tasks.caption import caption as caption_task
from triptych.tasks.common import Media, Model, still_to
from triptych.tasks.describe import describe as describe_task
from triptych.tasks.draw import DrawSettings
from triptych.tasks.draw import draw as draw_task
from triptych.tasks.likelihood import text_nats
from triptych.tasks.watch import watch as watch_task

Progress = Callable[[int, int], None]
DEFAULTS = DrawSettings()


@final
class Triptych:
    """A model that draws pictures, and reads pictures and clips. Made by `Triptych.load`.

    Args:
        bundle: the loaded parts.

    Media are given as a path, as uint8 (Y, X, 3) or (F, Y, X, 3) at the model's frame rate, or as a Pillow image.
    """

    def __init__(self, bundle: zoo.Bundle) -> None:
        self._model = Model(bundle)

    @classmethod
    def load(cls, name: str | Path = "tabletop", device: str = "auto") -> Triptych:
        """Load a model by name or folder.

        Args:
            name: of a shipped model, or a folder that holds model.json.
            device: `cpu`, `cuda`, or `auto`: cuda where there is one.

        Raises:
            ModelError: no such model, damaged, or without a GPT.
        """
        return cls(zoo.load(name, str(device_of(device))))

    @property
    def info(self) -> zoo.ModelInfo:
        """What the model is and what made it."""
        return self._model.bundle.info

    @property
    def path(self) -> Path:
        """The model's folder."""
        return self._model.bundle.path

    def describe(self) -> dict[str, Any]:
        """Parts, parameters, cost a token, files and their hashes, as plain values."""
        return describe_task(self._model.bundle)

    def draw(
        self,
        text: str = "",
        *,
        n: int = 1,
        seed: int = 0,
        guidance: float = DEFAULTS.guidance,
        temperature: float = DEFAULTS.temperature,
        top_k: int = DEFAULTS.top_k,
        top_p: float = DEFAULTS.top_p,
        images: Sequence[Media] | None = None,
        progress: Progress | None = None,
    ) -> list[Picture]:
        """Draw pictures of a text.

        Args:
            text: what to draw, in English or Chinese; empty draws anything.
            n: pictures; their seeds are seed, seed + 1 and so on.
            seed: of the first picture.
            guidance: 1 is none; more follows the text more closely.
            temperature: below 1 is safer, above 1 bolder; 0 takes the likeliest.
            top_k, top_p: draw only from the likeliest codes; 0 and 1 take all.
            images: pictures that come before, such as earlier views of the same scene.
            progress: called with (done, all).
        """
        if n < 1:
            raise ValueError(f"n={n}: at least one picture is drawn")
        settings = replace(DEFAULTS, guidance=guidance, temperature=temperature, top_k=top_k, top_p=top_p)
        seeds = range(seed, seed + n)
        return draw_task(self._model, [text] * n, seeds, settings=settings, images=images or (), progress=progress)

    def draw_many(
        self,
        texts: Sequence[str],
        seeds: Sequence[int],
        *,
        guidance: float = DEFAULTS.guidance,
        temperature: float = DEFAULTS.temperature,
        top_k: int = DEFAULTS.top_k,
        top_p: float = DEFAULTS.top_p,
        progress: Progress | None = None,
    ) -> list[Picture]:
        """Draw a picture of each text with its own seed, side by side; otherwise as `draw`."""
        settings = replace(DEFAULTS, guidance=guidance, temperature=temperature, top_k=top_k, top_p=top_p)
        return draw_task(self._model, texts, seeds, settings=settings, progress=progress)

    def caption(self, media: Media, *, language: str = "en", start: float = 0.0) -> Caption:
        """Describe a picture, or the part of a clip that begins at `start` seconds, in a language."""
        return self.caption_many([media], language=language, start=start)[0]

    def caption_many(self, media: Sequence[Media], *, language: str = "en", start: float = 0.0) -> list[Caption]:
        """Describe several media, side by side."""
        language = self._known(language)
        return caption_task(self._model, media, language=language, start=start)

    def ask(
        self, media: Media | None, question: str, *, choices: Sequence[str] | None = None, start: float = 0.0
    ) -> Answer:
        """Answer a question about a picture or a part of a clip.

        Args:
            media: what is asked about; None asks without any, as a baseline.
            question: in English or Chinese; the answer comes in the same language.
            choices: if given, the answers allowed: each gets its probability.
            start: where in a clip's file to begin, in seconds.
        """
        return self.ask_many([(media, question)], choices=choices, start=start)[0]

    def ask_many(
        self,
        questions: Sequence[tuple[Media | None, str]],
        *,
        choices: Sequence[str] | None = None,
        start: float = 0.0,
    ) -> list[Answer]:
        """Answer several (media, question) pairs, side by side; a medium that comes again is read once."""
        return ask_task(self._model, questions, choices=choices, start=start)

    def text_nats(self, media: Sequence[Media | None], texts: Sequence[str], language: str = "en") -> list[float]:
        """Log-likelihood of each text as a caption of its medium, in nats; a medium of None is a baseline."""
        language = self._known(language)
        return text_nats(self._model, media, texts, language=language)

    def watch(self, path: Path | str, *, language: str = "en") -> Timeline:
        """Tell what happens in a clip of any length, and when."""
        windows = tuple(self.watch_windows(path, language=language))
        return Timeline(tuple(event for window in windows for event in window.events), windows, language)

    def watch_windows(self, path: Path | str, *, language: str = "en") -> Iterator[Window]:
        """As `watch`, window by window as they are read, in constant memory."""
        language = self._known(language)
        return watch_task(self._model, path, language=language)

    @torch.inference_mode()
    def reconstruct(self, pixels: np.ndarray) -> np.ndarray:
        """What the visual codes keep of a picture uint8 (Y, X, 3) or a clip (F, Y, X, 3): the same shape again.

        Sides that are no multiple of 16 and frames that are not 1 + 4k are filled up for it, then cut again.
        """
        if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[-1] != 3 or 0 in pixels.shape:
            raise ValueError(f"reconstruct takes uint8 (Y, X, 3) or (F, Y, X, 3), not {pixels.dtype} {pixels.shape}")
        clip = pixels if pixels.ndim == 4 else pixels[None]
        count, height, width = clip.shape[:3]
        config = self.info.visual
        clip = still_to(clip, 1 + -(-(count - 1) // config.span) * config.span)
        clip = np.pad(clip, ((0, 0), (0, -height % config.stride), (0, -width % config.stride), (0, 0)), "edge")
        visual = self._model.visual
        codes, _ = visual.tokenize(torch.from_numpy(clip)[None].to(self._model.device))
        out = visual.draw(codes)[0, :count, :height, :width].cpu().numpy()
        return out if pixels.ndim == 4 else out[0]

    def _known(self, language: str) -> str:
        """The tag under which the model learned a language: data without tags are all one language, tagged ""."""
        known = self.info.made.get("languages") or ["en", "zh"]
        if language in known or "" in known:
            return language if language in known else ""
        raise ConfigError(f"language {language!r}: {self.info.name} writes {', '.join(known)}")
