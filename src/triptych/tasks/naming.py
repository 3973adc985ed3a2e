"""Names of things as their pixels have them: the GPT reads codes, the namer pixels.

A GPT that has never seen a green ball calls one a green cylinder, since it learned names, not words. The namer
knows words (see model.verifier), so where another name that is conceivable (see sequence.names) fits a thing's pixels
better than the one that the GPT told, that one counts; far better, if it was taught too, since then the GPT could have
told it. Of a clip, what all times show counts together: things hide, and enter by parts.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from triptych.sequence.names import Ids, Variants, alike
from triptych.sequence.plan import Thing
from triptych.tasks import planning
from triptych.tasks.common import Medium, Model
from triptych.tokenizers.text import TextTokenizer

UNTAUGHT, TAUGHT = 2.0, 16.0
"""Nats by which another name must fit better than the one that the GPT told, where nothing that it learned from had it,
and where something did: see docs/log.md."""

Told = tuple[str, int]
"""A thing of several plans: its words, and which of those that have them in its plan."""


@dataclass(frozen=True)
class Names:
    """What the things of a medium are called by their pixels.

    Args:
        text: of the model.
        known: what each thing is called that the model told.
        words: the ids of which names consist.
    """

    text: TextTokenizer
    known: Mapping[Told, str]
    words: frozenset[int] = frozenset()

    def of(self, things: Sequence[Thing]) -> tuple[Thing, ...]:
        """Things of a plan by these names; those of which none is known keep theirs."""
        return tuple(replace(thing, words=self.known.get(told, thing.words)) for told, thing in _told(things))

    def said(self, text: str) -> str:
        """What the model says of the medium, by these names."""
        return self._put(text, [(told, name) for (told, _), name in self.known.items()])

    def heard(self, text: str) -> str:
        """What the model is asked of the medium, by the names that it would tell itself."""
        return self._put(text, [(name, told) for (told, _), name in self.known.items()])

    def and_of(self, others: Iterable[Names]) -> Names:
        """These names and others', for texts of media that are read together."""
        known = dict(self.known)
        for (words, _), name in itertools.chain.from_iterable(other.known.items() for other in others):
            known[(words, len(known))] = name  # another thing, though it be told in the same words
        return replace(self, known=known)

    def choices(self, texts: Sequence[str]) -> list[str]:
        """As `heard`, of texts to choose from, which stay different: what would become another one of them changes
        places with it."""
        out = [self.heard(text) for text in texts]
        for place, text in enumerate(texts):
            if out[place] != text and out[place] in texts:
                out[texts.index(out[place])] = text
        return out if len(set(out)) == len(set(texts)) else list(texts)

    def _put(self, text: str, names: Sequence[tuple[str, str]]) -> str:
        """A text in which phrases of a first name of some pairs, and of no second one, are changed to the second; as it
        was where several would do."""
        pairs = [(self._ids(first), self._ids(second)) for first, second in names]
        if all(first == second for first, second in pairs):
            return text
        out: list[int] = []
        for in_name, group in itertools.groupby(self._ids(text), self.words.__contains__):
            phrase = tuple(group)
            if in_name and not any(_is_of(phrase, second) for _, second in pairs):
                others = {_changed(phrase, *pair) for pair in pairs if _is_of(phrase, pair[0])}
                phrase = others.pop() if len(others) == 1 else phrase
            out += phrase
        return self.text.decode(out).strip() if tuple(out) != self._ids(text) else text

    def _ids(self, text: str) -> Ids:
        return tuple(self.text.encode(f" {text}"))


def of_media(
    model: Model, media: Sequence[Medium | None], languages: Sequence[str], texts: Sequence[str] | None = None
) -> list[Names]:
    """What the things of media are called, after what the model tells of each as it stands.

    A model that doesn't tell what stands where, or has no namer, keeps its names.

    Args:
        model: what reads.
        media: those whose pixels aren't at hand keep their names too.
        languages: of each medium.
        texts: what is said of each medium; where no words of things are said, it isn't looked at.
    """
    encode = model.bundle.text.encode
    asked = {}
    for place, (medium, language) in enumerate(zip(media, languages, strict=True)):
        words = _words(model, language)
        spoken = words if texts is None else words.intersection(encode(f" {texts[place]}"))
        if spoken and medium is not None and medium.pixels is not None:
            asked[id(medium), language] = medium
    known: dict[tuple[int, str], Names] = {}
    for language in dict.fromkeys(language for _, language in asked):
        some = {
            key: medium
            for key, medium in asked.items()
            if key[1] == language and planning.is_learned(model, "things" if medium.times is None else "track")
        }
        # One framing is enough for names, and frames by themselves add none (docs/log.md).
        bare = [Medium(medium.maps, medium.times) for medium in some.values()]
        for (key, medium), plans in zip(some.items(), planning.seen(model, bare, "", language), strict=True):
            assert medium.pixels is not None
            known[key] = by_pixels(model, medium.pixels, plans, language)
    nothing = Names(model.bundle.text, {})
    return [known.get((id(medium), language), nothing) for medium, language in zip(media, languages, strict=True)]


def _words(model: Model, language: str) -> frozenset[int]:
    """The ids of the words that the namer knows in a language."""
    namer, tag = model.bundle.namer, _tag(model, language)
    return frozenset() if namer is None or tag is None else frozenset(namer.words[tag])


def _tag(model: Model, language: str) -> str | None:
    """The tag under which the namer knows names of a language: data without tags are all one language, tagged ""."""
    namer = model.bundle.namer
    return next((tag for tag in (language, "") if namer is not None and namer.names.get(tag)), None)


@torch.inference_mode()
def by_pixels(model: Model, pictures: Iterable[np.ndarray], plans: Sequence[Sequence[Thing]], language: str) -> Names:
    """The names of things that a model told of pictures, or of a clip at several times.

    Args:
        model: what told; without a namer that knows the language it keeps its names.
        pictures: uint8 (rows, columns, 3), square.
        plans: what stands where in each.
        language: tag of the language of the plans' words.
    """
    namer, tag = model.bundle.namer, _tag(model, language)
    if namer is None or tag is None:
        return Names(model.bundle.text, {})
    columns = namer.columns(tag)
    seen: dict[Told, list[Tensor]] = defaultdict(list)
    for pixels, things in zip(pictures, plans, strict=True):
        if things:
            shown = torch.from_numpy(np.array(pixels)).to(model.device)
            logits = namer.read(shown, [thing.box for thing in things])[:, columns].float().cpu()
            for (told, _), row in zip(_told(things), logits, strict=True):
                seen[told] += [row] if row.amax() > 0 else []  # else nothing is seen there
    encode, decode = model.bundle.text.encode, model.bundle.text.decode
    names = tuple(tuple(encode(f" {name}")) for name in namer.names[tag])
    variants, taught = _variants(names), {frozenset(name) for name in names}
    known = {}
    for told, rows in seen.items():
        own = tuple(encode(f" {told[0]}"))
        known[told] = told[0]
        if rows:
            odds = dict(zip(namer.words[tag], torch.stack(rows).mean(0).tolist(), strict=True))
            # The nats by which a name misfits (see model.verifier) are, but for a constant, minus its words' log-odds.
            best, most = own, _sum(odds, own)
            for name in variants.of(own):
                fits = _sum(odds, name) - (TAUGHT if frozenset(name) in taught else UNTAUGHT)
                best, most = (name, fits) if fits > most else (best, most)
            known[told] = told[0] if best == own else decode(best).strip()
    return Names(model.bundle.text, known, _words(model, language))


@lru_cache(maxsize=8)
def _variants(names: tuple[Ids, ...]) -> Variants:
    """Those of a namer's names, kept, since a thousand names take a while to take apart."""
    return Variants(names)


def _sum(odds: Mapping[int, float], name: Ids) -> float:
    return sum(odds.get(id_, 0.0) for id_ in set(name))


def _is_of(phrase: Ids, name: Ids) -> bool:
    """Whether a phrase is a thing's name, or what is left of it without some words: in the name's order, and several
    words or its last one. A single other word may mean anything: how large something is, or the largest of all."""
    rest = iter(name)
    return all(id_ in rest for id_ in phrase) and (len(phrase) > 1 or phrase == name[-1:])


def _changed(phrase: Ids, first: Ids, second: Ids) -> Ids:
    """A phrase of the first of two names with what differs in the second instead."""
    start = alike(first, second)
    end = alike(first[start:][::-1], second[start:][::-1])
    old, new = first[start : len(first) - end], second[start : len(second) - end]
    for place in range(len(phrase) - len(old) + 1):
        if old and new and phrase[place : place + len(old)] == old:
            return phrase[:place] + new + phrase[place + len(old) :]
    return phrase


def _told(things: Sequence[Thing]) -> Iterator[tuple[Told, Thing]]:
    counts: Counter[str] = Counter()
    for thing in things:
        yield (thing.words, counts[thing.words]), thing
        counts[thing.words] += 1
