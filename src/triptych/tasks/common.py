"""What every task needs: media -> maps, text <-> ids, rows -> answers and their likelihoods.

F frames, Y rows, X columns, T maps, S positions, V vocabulary.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from triptych import zoo
from triptych.errors import ConfigError, MediaError, ModelError
from triptych.files import hashes_of
from triptych.generate.engine import Engine
from triptych.generate.grammar import Say
from triptych.generate.paths import open_visual
from triptych.generate.sample import Sampling
from triptych.media import framing, image, video
from triptych.media.kind import is_clip
from triptych.media.limits import LOCAL
from triptych.sequence import spell, vocab
from triptych.sequence.layout import Builder, Map, Row, ungrouped
from triptych.sequence.pack import collate
from triptych.sequence.vocab import Special
from triptych.tasks.settings import FRAMINGS, DrawSettings, checked_framings

Media = Path | str | np.ndarray | Image.Image
"""A picture or a clip: a file, uint8 (Y, X, 3) or (F, Y, X, 3), or a Pillow image."""

BATCH = 16  # rows side by side
BRANCHES = 64  # texts side by side after one prompt
TEXT_LIMIT = 4096  # ids of one prompt
SEEN = 64  # media whose maps are remembered
SAY_LIMIT = 256  # ids of one answer

Item = TypeVar("Item")


@dataclass(frozen=True)
class Medium:
    """A picture or a clip as the GPT reads it; `times` are the seconds that were read, None for a picture; `others` its
    maps in other framings, to be read beside it (tasks.reading); `pixels` what it shows at the time of each map, uint8
    (T, Y, X, 3), where they are at hand."""

    maps: list[Map]
    times: tuple[float, float] | None
    others: tuple[list[Map], ...] = ()
    pixels: np.ndarray | None = None


class Model:
    """A loaded model, ready for the tasks: its parts and an engine.

    Args:
        bundle: the parts; ModelError if there is no GPT among them.
        framings: in how many framings clips are read where a text is asked for.
    """

    def __init__(self, bundle: zoo.Bundle, framings: int = FRAMINGS) -> None:
        self.bundle, self.framings = bundle, checked_framings(framings)
        self.gpt = bundle.need_gpt()
        self.device = next(self.gpt.parameters()).device
        fsq = bundle.visual.fsq
        self.grid = fsq.to_latents(torch.arange(fsq.codes, device=fsq.steps.device))
        self._grid = self.grid.cpu().numpy()
        self._seen: dict[Any, list[Map]] = {}
        self.engine = Engine(self.gpt, self.grid, precision=bundle.info.precision)
        self.visual = open_visual(bundle.visual, self.engine.choice)
        self.codes = bundle.info.size // bundle.info.visual.stride  # on each side of a picture
        if self.codes % self.gpt.config.group:
            group = self.gpt.config.group
            raise ModelError(
                f"{bundle.path}: {self.codes} codes a side can't stand in groups of {group}x{group}: "
                "train it with gpt.group=1"
            )

    @cached_property
    def label(self) -> str:
        """Name, and the beginning of the weights' hash where the model comes from a folder."""
        digest = hashes_of(self.bundle.path).get("gpt.safetensors", "")
        return f"{self.bundle.info.name} {digest[:12]}".strip()

    def encode(self, text: str) -> list[int]:
        """Text -> sequence ids; ModelError if there are too many."""
        ids = vocab.to_ids(self.bundle.text.encode(text))
        if len(ids) > TEXT_LIMIT:
            raise ModelError(f"the text {text[:20]!r}... has {len(ids)} tokens, {TEXT_LIMIT} are allowed: shorten it")
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Sequence ids -> text; control characters, which could steer a terminal, become spaces."""
        text = self.bundle.text.decode(vocab.to_text_ids(ids))
        return "".join(c if c.isprintable() or c == "\n" else " " for c in text).strip()

    def begin(self) -> Builder:
        """An open sequence."""
        return spell.begin(Builder(self.gpt.config.group, self.gpt.config.latent))

    def show(self, builder: Builder, medium: Medium | None) -> Builder:
        """Put a medium into a sequence, as a condition; no medium leaves it as it is."""
        if medium is None:
            return builder
        if medium.times is None:
            return spell.picture(builder, medium.maps[0])
        info = self.bundle.info
        return spell.clip(builder, medium.maps, self.encode, info.fps, info.visual.span)

    @torch.inference_mode()
    def look(self, frames: Sequence[np.ndarray]) -> list[list[Map]]:
        """Arrays uint8 (F, Y, X, 3) of one shape -> the maps of each; what was seen lately isn't encoded again."""
        keys = [(array.shape, hashlib.blake2b(array.tobytes()).digest()) for array in frames]
        new = {key: array for key, array in zip(keys, frames, strict=True) if key not in self._seen}
        maps = {key: self._seen[key] for key in keys if key in self._seen}
        for key, array in new.items():  # one by one: convolutions round by the size of their batch
            pixels = torch.from_numpy(np.array(array))[None].to(self.device)
            codes, latents = (part[0].cpu().numpy() for part in self.visual.tokenize(pixels))
            maps[key] = [Map(c, z, self._grid[c]) for c, z in zip(codes, latents, strict=True)]
        for key in keys:
            self._seen.pop(key, None)
            self._seen[key] = maps[key]  # the latest stand last
        while len(self._seen) > SEEN:
            self._seen.pop(next(iter(self._seen)))
        return [maps[key] for key in keys]

    def look_framed(self, frames: Sequence[np.ndarray], count: int) -> list[list[list[Map]]]:
        """As `look`, but of each array the maps of `count` framings, the first of them as it is."""
        views = [self.look(some) for some in zip(*(framing.framings(array, count) for array in frames), strict=True)]
        return [list(maps) for maps in zip(*views, strict=True)]

    def shown(self, frames: np.ndarray) -> np.ndarray | None:
        """The frames of a clip at the times of its maps, as names need them: a copy, so that the others needn't be
        kept, and None without a namer."""
        return None if self.bundle.namer is None else frames[:: self.bundle.info.visual.span].copy()

    def known_maps(self, codes: np.ndarray) -> list[Map]:
        """Codes (T, rows, columns) -> maps, read by their rounded values: the latents are not known any more."""
        return [Map(code, self._grid[code], self._grid[code]) for code in codes]

    @torch.inference_mode()
    def project(self, maps: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Codes (T, rows, columns) of clips -> uint8 (F, Y, X, 3) of each; one by one, as in `look`."""
        codes = [torch.from_numpy(clip)[None].to(self.device) for clip in maps]
        return [self.visual.draw(clip)[0].cpu().numpy() for clip in codes]

    def paint(self, maps: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Codes (rows, columns) of pictures -> uint8 (Y, X, 3) of each."""
        return [clip[0] for clip in self.project([codes[None] for codes in maps])]

    def say(self, prompts: Sequence[Row], how: Say = Say(SAY_LIMIT), *, together: int = 1) -> list[str]:
        """The likeliest text after each prompt, id by id, or after each `together` prompts, which say one text."""
        texts = []
        for chunk in chunks(prompts, max(1, BATCH // together) * together):
            greedy = [Sampling(temperature=0)] * len(chunk)
            outputs = self.engine.generate(chunk, [how], greedy, together=together)
            texts += [self.decode(output.texts[0]) for output in outputs[::together]]
        return texts

    @torch.inference_mode()
    def likelihood(self, prompts: Sequence[Row], texts: Sequence[Sequence[int]]) -> list[float]:
        """Nats of each text (sequence ids) after its prompt: the sum over its ids, by teacher forcing.

        Neighbours that share one prompt object read it once.
        """
        sums: list[float] = []
        alone: list[tuple[Row, Sequence[int]]] = []
        for _, group in itertools.groupby(zip(prompts, texts, strict=True), key=lambda pair: id(pair[0])):
            rows = list(group)
            if len(rows) == 1:
                alone += rows
                continue
            sums += self._alone(alone) + self._together(rows[0][0], [ids for _, ids in rows])
            alone = []
        return sums + self._alone(alone)

    def _alone(self, rows: Sequence[tuple[Row, Sequence[int]]]) -> list[float]:
        sums: list[float] = []
        for chunk in chunks(rows):
            batch = collate([extended(row, ids) for row, ids in chunk], self.device)
            states = self.gpt(batch["ids"], batch["values"], batch["is_visual"], batch["positions"])
            for place, (row, ids) in enumerate(chunk):
                first = len(row) - 1
                logits = self.gpt.text_logits(states[place, first : first + len(ids)]).float()
                chosen = torch.tensor(list(ids), device=self.device)[:, None]
                sums.append(float(logits.log_softmax(-1).gather(1, chosen).sum()))
        return sums

    def caption_nats(self, media: Sequence[Media | None], texts: Sequence[str], language: str) -> list[float]:
        """Nats of each text and its end as a caption of its medium, or of none, in a language that the model knows."""
        tag, known = self.encode(self.language(language)), self.read(media)
        prompts = [spell.caption_prompt(self.show(self.begin(), medium), tag).finish() for medium in known]
        return self.likelihood(prompts, [ended(self.encode(text)) for text in texts])

    @torch.inference_mode()
    def code_nats(self, prompts: Sequence[Builder], maps: Sequence[Map]) -> list[np.ndarray]:
        """Nats of each code (y, x) of a picture, as drawn after its prompt, by teacher forcing; unguided."""
        group, out = self.gpt.config.group, []
        rows = [prompt.map(map_, target=True).finish() for prompt, map_ in zip(prompts, maps, strict=True)]
        for chunk in chunks(list(zip(rows, maps, strict=True))):
            batch = collate([row for row, _ in chunk], self.device)
            states = self.gpt(batch["ids"], batch["values"], batch["is_visual"], batch["positions"])
            for place, (row, map_) in enumerate(chunk):
                count = map_.codes.size // group**2
                here, above = (slice(len(row) - count - shift, len(row) - shift) for shift in (0, 1))
                codes, before = batch["codes"][place, here], batch["before"][place, here]
                logits = self.gpt.code_logits(states[place, above], codes, before).float()
                nats = logits.log_softmax(-1).gather(-1, codes[..., None])[..., 0].cpu().numpy()
                out.append(ungrouped(nats, group, *map_.codes.shape))
        return out

    def language(self, language: str) -> str:
        """The tag under which the model learned a language: data without tags are all one language, tagged "".

        Raises:
            ConfigError: the model doesn't write it.
        """
        known = self.bundle.info.made.get("languages") or ["en", "zh"]
        if language in known or "" in known:
            return language if language in known else ""
        raise ConfigError(f"language {language!r}: {self.bundle.info.name} writes {', '.join(known)}")

    def _together(self, prompt: Row, texts: Sequence[Sequence[int]]) -> list[float]:
        """Nats of texts after one prompt, whose keys and values are computed once and copied to all of them."""
        length = len(prompt)
        read = collate([prompt], self.device)
        shared = self.gpt.new_cache(1, length)
        states = self.gpt(read["ids"], read["values"], read["is_visual"], read["positions"], shared)
        first = self.gpt.text_logits(states[0, -1]).float().log_softmax(-1)
        sums: list[float] = []
        for chunk in chunks(texts, BRANCHES):
            longest = max(len(ids) for ids in chunk)
            ids = torch.zeros(len(chunk), longest, dtype=torch.long, device=self.device)
            known = torch.zeros_like(ids, dtype=torch.bool)
            for place, text in enumerate(chunk):
                ids[place, : len(text)] = torch.tensor(list(text), device=self.device)
                known[place, : len(text)] = True
            nats = first[ids[:, :1]]
            if longest > 1:
                cache = self.gpt.new_cache(len(chunk), length + longest)
                cache.keys[:, :, :, :length], cache.values[:, :, :, :length] = shared.keys, shared.values
                cache.advance(length)
                steps = torch.arange(longest - 1, device=self.device) + prompt.next_position
                positions = steps[None, :, None].expand(len(chunk), -1, 3)
                values = read["values"].new_zeros(len(chunk), longest - 1, read["values"].shape[-1])
                states = self.gpt(ids[:, :-1], values, torch.zeros_like(known[:, 1:]), positions, cache)
                logits = self.gpt.text_logits(states).float().log_softmax(-1)
                nats = torch.cat([nats, logits.gather(2, ids[:, 1:, None])[..., 0]], 1)
            sums += nats.masked_fill(~known, 0).sum(1).tolist()
        return sums

    def read(self, media: Sequence[Media | None], *, start: float = 0.0, framings: int = 1) -> list[Medium | None]:
        """Media -> what the GPT reads; one that occurs several times is encoded once.

        Args:
            media: pictures and clips; None stays None.
            start: where in a clip's file to begin, in seconds.
            framings: of each clip.
        """
        media = list(media)  # an array gives other views of itself each time
        unique = {_key(medium): medium for medium in media if medium is not None}
        known: dict[Any, Medium] = {}
        for chunk in chunks(list(unique.items())):
            by_length: dict[int, list[tuple[Any, np.ndarray]]] = {}
            for key, medium in chunk:
                frames = self.frames(medium, start=start)
                by_length.setdefault(len(frames), []).append((key, frames))
            for length, items in by_length.items():
                seconds = (length - 1) / self.bundle.info.fps
                times = None if length == 1 else (start, start + seconds)
                views = self.look_framed([frames for _, frames in items], framings if times else 1)
                for (key, frames), (maps, *others) in zip(items, views, strict=True):
                    known[key] = Medium(maps, times, tuple(others), self.shown(frames))
        return [None if medium is None else known[_key(medium)] for medium in media]

    def frames(self, medium: Media, *, start: float = 0.0, filled: bool = True) -> np.ndarray:
        """A medium as uint8 (F, size, size, 3): 1 frame for a picture, 1 + 4k for a clip.

        Files of clips give one window from `start` on, which the last frame fills up where they end before it; if not
        `filled`, as much of it as there is. Arrays are taken to be at the model's frame rate.
        """
        info = self.bundle.info
        if isinstance(medium, Image.Image):
            return image.fit(np.asarray(image.to_rgb(medium)), info.size)[None]
        if isinstance(medium, np.ndarray):
            return self._array_frames(medium)
        if not is_clip(medium):
            return image.fit(image.read(medium, limits=LOCAL, at_least=info.size), info.size)[None]
        clip = video.read(medium, fps=info.fps, frames=info.frames, start=start, size=info.size, limits=LOCAL)
        span = info.visual.span
        return still_to(clip.frames, info.frames if filled else 1 + -(-(len(clip.frames) - 1) // span) * span)

    def pixels(self, media: Media) -> np.ndarray:
        """A picture as it is, uint8 (Y, X, 3); MediaError if the file is a clip."""
        if isinstance(media, Image.Image):
            return np.asarray(image.to_rgb(media))
        if isinstance(media, np.ndarray):
            if media.dtype != np.uint8 or media.ndim != 3 or media.shape[-1] != 3 or 0 in media.shape:
                raise ValueError(f"a picture is uint8 (Y, X, 3), not {media.dtype} {media.shape}")
            return media
        if is_clip(media):
            raise MediaError(media, "is a clip", "give a picture")
        return image.read(media, limits=LOCAL)

    def _array_frames(self, array: np.ndarray) -> np.ndarray:
        info = self.bundle.info
        if array.dtype != np.uint8 or array.ndim not in (3, 4) or array.shape[-1] != 3 or 0 in array.shape:
            raise ValueError(f"a medium is uint8 (Y, X, 3) or (F, Y, X, 3), not {array.dtype} {array.shape}")
        if array.ndim == 3:
            return image.fit(array, info.size)[None]
        if len(array) > info.frames:
            raise ValueError(
                f"a clip of {len(array)} frames is longer than the {info.frames} that {info.name} reads at "
                f"{info.fps:g} a second: give a part of it, or a file to watch()"
            )
        fitted = np.stack([image.fit(frame, info.size) for frame in array])
        span = info.visual.span
        return fitted if len(fitted) == 1 else still_to(fitted, 1 + -(-(len(fitted) - 1) // span) * span)


def still_to(frames: np.ndarray, count: int) -> np.ndarray:
    """Repeat the last of the frames (F, ...) until there are `count`, as training does at a clip's end."""
    return np.concatenate([frames, np.repeat(frames[-1:], max(0, count - len(frames)), 0)])


def extended(row: Row, ids: Sequence[int]) -> Row:
    """A row with text ids behind it."""
    count = len(ids)
    places = np.arange(row.next_position, row.next_position + count)

    def more(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.zeros((count, *array.shape[1:]), array.dtype)])

    return Row(
        np.concatenate([row.ids, np.array(ids, np.int64)]),
        more(row.values),
        more(row.codes),
        more(row.before),
        np.concatenate([row.positions, np.stack([places] * 3, 1)]),
        more(row.weights),
        row.next_position + count,
        row.shown,
        row.plans,
    )


def ended(ids: Sequence[int]) -> list[int]:
    """Ids of a whole answer, with the END that closes it."""
    return [*ids, int(Special.END)]


def chunks(items: Sequence[Item], size: int = BATCH) -> Iterator[Sequence[Item]]:
    """Parts of up to `size` items, in order."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


def counter(progress: Callable[[int, int], None] | None, part: int, parts: int) -> Callable[[int, int], None] | None:
    """Progress of part number `part` of `parts` equal ones, told as progress of the whole."""
    if progress is None:
        return None
    return lambda done, total: progress(part * total + done, parts * total)


def sampling(settings: DrawSettings, seed: int, *, conditional: bool) -> Sampling:
    """How one row is drawn; without any condition there is nothing to be guided by."""
    guidance = settings.guidance if conditional else 1.0
    return Sampling(settings.temperature, settings.top_k, settings.top_p, seed, guidance, settings.ramp)


def language_of(text: str) -> str:
    """The tag of a text's language: zh if it holds a Chinese character, else en.

    >>> language_of("一个红色的球"), language_of("a red ball")
    ('zh', 'en')
    """
    return "zh" if any("\u3400" <= c <= "\u9fff" for c in text) else "en"


def _key(medium: Media) -> Any:
    return str(medium) if isinstance(medium, str | Path) else id(medium)
