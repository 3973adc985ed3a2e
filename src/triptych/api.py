"""One model and all it can do, as one object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack, final

import numpy as np
import torch

from triptych import zoo
from triptych.api_clips import ClipVerbs
from triptych.device import device_of
from triptych.errors import TriptychError
from triptych.results import Answer, Caption, Film, Match, Picture, Plan
from triptych.tasks.ask import TOGETHER, ask_whole
from triptych.tasks.ask import ask as ask_task
from triptych.tasks.canvas import Partial, Progress
from triptych.tasks.caption import caption as caption_task
from triptych.tasks.common import Media, Model, still_to
from triptych.tasks.describe import describe as describe_task
from triptych.tasks.film import film as film_task
from triptych.tasks.likelihood import likelihood as likelihood_task
from triptych.tasks.likelihood import text_nats
from triptych.tasks.orders import Order, fulfil, picture_of
from triptych.tasks.parts import is_long
from triptych.tasks.plan import plan as plan_task
from triptych.tasks.request import encode, source
from triptych.tasks.settings import FRAMINGS, Drawing, checked_framings, usual


@final
class Triptych(ClipVerbs):
    """A model that draws pictures, and reads pictures and clips. Made by `Triptych.load`.

    Args:
        bundle: the loaded parts.
        framings: see `load`.

    Media are given as a path, as uint8 (Y, X, 3) or (F, Y, X, 3) at the model's frame rate, or as a Pillow image.
    """

    def __init__(self, bundle: zoo.Bundle, framings: int = FRAMINGS) -> None:
        self._model = Model(bundle, framings)

    @classmethod
    def load(cls, name: str | Path = "tabletop", device: str = "auto", framings: int = FRAMINGS) -> Triptych:
        """Load a model by name or folder.

        Args:
            name: of a shipped model, or a folder that holds model.json.
            device: `cpu`, `cuda`, or `auto`: cuda where there is one.
            framings: 1 to 5, in which `watch`, `caption`, `track` and `predict` read a clip: as it is, and with a
                little of its sides cut off. More are misread less and take longer; standard input is watched in one,
                to keep up with it.

        Raises:
            ModelError: no such model, damaged, or without a GPT. ConfigError: too many framings, or none.
        """
        checked_framings(framings)  # before anything is loaded
        return cls(zoo.load(name, str(device_of(device))), framings)

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
        images: Sequence[Media] | None = None,
        progress: Progress | None = None,
        partial: Partial | None = None,
        **settings: Unpack[Drawing],
    ) -> list[Picture]:
        """Draw pictures of a text.

        Args:
            text: what to draw, in English or Chinese; empty draws anything.
            n: pictures; their seeds are seed, seed + 1 and so on.
            seed: of the first picture.
            images: pictures that come before, such as earlier views of the same scene.
            progress: called with (done, all).
            partial: called with a picture's place among the n, its pixels so far uint8 (Y, X, 3), and the share that is
                drawn, whenever another line of it is there.
            settings: guidance, ramp, temperature, top_k, top_p, negative, best_of, decode, passes, width, height, plan;
                see tasks.settings.DrawSettings.

        Raises:
            ConfigError: a setting is out of range, or the model can't draw this size.
        """
        inputs = {"images": tuple(images)} if images else {}
        return self._drawn("draw", text, n, seed, inputs, settings, progress, partial)

    def draw_many(
        self,
        texts: Sequence[str],
        seeds: Sequence[int],
        *,
        progress: Progress | None = None,
        **settings: Unpack[Drawing],
    ) -> list[Picture]:
        """Draw a picture of each text with its own seed, side by side; otherwise as `draw`."""
        how = usual().changed(settings)
        orders = [Order(text, seed, how) for text, seed in zip(texts, seeds, strict=True)]
        return self._whole(orders, progress, None)

    def plan(
        self,
        text: str = "",
        *,
        image: Media | None = None,
        language: str = "",
        seed: int = 0,
        temperature: float = 0.0,
    ) -> Plan:
        """Tell what is to stand where in a picture of a text, what stands in a picture, or what will after a change.

        `draw(text, plan=str(plan))` draws by it, changed or not.

        Args:
            text: what to draw; with a picture an instruction, or nothing.
            image: a picture.
            language: of the words, `en` or `zh`; that of the text if not given.
            seed, temperature: other plans; temperature 0 gives the likeliest.

        Raises:
            ModelError: the model has not learned plans.
        """
        return plan_task(self._model, text, image=image, language=language, seed=seed, temperature=temperature)

    def complete(
        self,
        image: Media | None = None,
        text: str = "",
        *,
        keep: float = 0.5,
        codes: np.ndarray | None = None,
        n: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
        partial: Partial | None = None,
        **settings: Unpack[Drawing],
    ) -> list[Picture]:
        """Draw the rest of a picture of which the upper part, or some codes, are given; otherwise as `draw`.

        Args:
            image: a picture; its upper part is kept.
            text: what the whole picture shows; may be empty.
            keep: share of its height that is kept.
            codes: instead of a picture, its codes (Y, X) with -1 where they are to be drawn; see `codes`.
        """
        inputs = {"image": image, "keep": keep} if codes is None else {"codes": codes}
        return self._drawn("complete", text, n, seed, inputs, settings, progress, partial)

    def inpaint(
        self,
        image: Media,
        mask: Media | None = None,
        text: str = "",
        *,
        box: Sequence[int] | None = None,
        n: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
        partial: Partial | None = None,
        **settings: Unpack[Drawing],
    ) -> list[Picture]:
        """Draw what a mask covers anew; all other pixels stay. See tasks.inpaint for what the model can see.

        Args:
            image: the picture.
            mask: a picture of its size, white where it is to be drawn anew, or bool (Y, X).
            text: what the whole picture shows; may be empty.
            box: instead of a mask, left, top, right and bottom in pixels.
        """
        inputs = {"image": image} | ({"mask": mask} if mask is not None else {}) | ({"box": box} if box else {})
        return self._drawn("inpaint", text, n, seed, inputs, settings, progress, partial)

    def outpaint(
        self,
        image: Media,
        text: str = "",
        *,
        left: int = 0,
        top: int = 0,
        right: int = 0,
        bottom: int = 0,
        n: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
        partial: Partial | None = None,
        **settings: Unpack[Drawing],
    ) -> list[Picture]:
        """Draw around a picture: so many pixels on each side, rounded up to whole cells; otherwise as `draw`."""
        inputs = {"image": image, "left": left, "top": top, "right": right, "bottom": bottom}
        return self._drawn("outpaint", text, n, seed, inputs, settings, progress, partial)

    def vary(
        self,
        image: Media,
        text: str = "",
        *,
        strength: float = 0.5,
        n: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
        partial: Partial | None = None,
        **settings: Unpack[Drawing],
    ) -> list[Picture]:
        """Draw a share of a picture's codes anew, 0 to 1; otherwise as `draw`."""
        inputs = {"image": image, "strength": strength}
        return self._drawn("vary", text, n, seed, inputs, settings, progress, partial)

    def edit(
        self,
        image: Media,
        instruction: str,
        *,
        n: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
        partial: Partial | None = None,
        **settings: Unpack[Drawing],
    ) -> list[Picture]:
        """Draw a picture again, changed as an instruction says ("make the ball green"); otherwise as `draw`."""
        return self._drawn("edit", instruction, n, seed, {"image": image}, settings, progress, partial)

    def film(
        self,
        text: str = "",
        *,
        start: Media | None = None,
        frames: int | None = None,
        n: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
        **settings: Unpack[Drawing],
    ) -> list[Film]:
        """Draw short clips of a text.

        Args:
            text: what happens, in English or Chinese; may be empty.
            start: a picture or clip that it goes on from.
            frames: of the whole clip, 1 + 4k.
            n, seed, progress, settings: as of `draw`; width, height, best_of, passes and plan are for pictures only.
        """
        if n < 1:
            raise ValueError(f"n={n}: at least one clip is drawn")
        how, seeds = usual("film").changed(settings), range(seed, seed + n)
        return film_task(self._model, text, seeds, settings=how, start=start, frames=frames, progress=progress)

    def fulfil(
        self, orders: Sequence[Order], *, progress: Progress | None = None, partial: Partial | None = None
    ) -> Iterator[tuple[int, Picture | TriptychError]]:
        """Draw orders of any kind, packed into full batches; gives each one's number and its picture, or its error."""
        return fulfil(self._model, orders, progress=progress, partial=partial)

    def metadata_of(self, order: Order) -> dict[str, str]:
        """What the file of an order's picture will keep of how it was made."""
        return picture_of(self._model, order, np.zeros((1, 1, 3), np.uint8)).metadata()

    def codes(self, image: Media) -> np.ndarray:
        """The codes (Y, X) of a picture, as `complete` takes them."""
        return encode(self._model, source(self._model, image))

    def likelihood(self, pictures: Sequence[Media], texts: Sequence[str]) -> list[list[Match]]:
        """How well each text and each picture go together, in bits: for each picture, one match a text."""
        return likelihood_task(self._model, pictures, texts)

    def _drawn(
        self,
        verb: str,
        text: str,
        n: int,
        seed: int,
        inputs: Mapping[str, Any],
        settings: Mapping[str, Any],
        progress: Progress | None,
        partial: Partial | None,
    ) -> list[Picture]:
        if n < 1:
            raise ValueError(f"n={n}: at least one picture is drawn")
        how = usual(verb).changed(settings)
        return self._whole([Order(text, seed + i, how, verb, inputs) for i in range(n)], progress, partial)

    def _whole(self, orders: Sequence[Order], progress: Progress | None, partial: Partial | None) -> list[Picture]:
        pictures: dict[int, Picture] = {}
        for number, picture in self.fulfil(orders, progress=progress, partial=partial):
            if isinstance(picture, TriptychError):
                raise picture
            pictures[number] = picture
        return [pictures[number] for number in range(len(orders))]

    def caption(self, media: Media, *, language: str = "en", start: float = 0.0) -> Caption:
        """Describe a picture, or the part of a clip that begins at `start` seconds, in a language."""
        return self.caption_many([media], language=language, start=start)[0]

    def caption_many(self, media: Sequence[Media], *, language: str = "en", start: float = 0.0) -> list[Caption]:
        """Describe several media, side by side."""
        return caption_task(self._model, media, language=self._model.language(language), start=start)

    def ask(
        self,
        media: Media | None,
        question: str,
        *,
        choices: Sequence[str] | None = None,
        start: float | None = None,
        together: int = TOGETHER,
    ) -> Answer:
        """Answer a question about a picture or a clip of any length.

        Args:
            media: what is asked about; None asks without any, as a baseline.
            question: in English or Chinese; the answer comes in the same language.
            choices: if given, the answers allowed: each gets its probability.
            start: read only the window of a clip's file that begins here, in seconds; None reads all of it, and
                answers from its most relevant segments.
            together: how many of them.
        """
        if start is None and isinstance(media, str | Path) and is_long(self._model, media):
            return ask_whole(self._model, media, question, choices=choices, together=max(1, together))
        return self.ask_many([(media, question)], choices=choices, start=start or 0.0)[0]

    def ask_many(
        self,
        questions: Sequence[tuple[Media | None, str]],
        *,
        choices: Sequence[str] | None = None,
        start: float = 0.0,
    ) -> list[Answer]:
        """Answer several (media, question) pairs, side by side; a medium that comes again is read once.

        Of a clip's file one window is read, from `start` on.
        """
        return ask_task(self._model, questions, choices=choices, start=start)

    def text_nats(self, media: Sequence[Media | None], texts: Sequence[str], language: str = "en") -> list[float]:
        """Log-likelihood of each text as a caption of its medium, in nats; a medium of None is a baseline."""
        return text_nats(self._model, media, texts, language=language)

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
