"""Windows of shards -> spelled rows, by the random numbers that are passed in.

Spellings by medium: pictures `draw`, `shuffle` (drawn in any order), `read`, and where it is known what stands where
`plan`, `lay` (drawn by a plan) and `things` (read off a picture); sequences of pictures `view`, or `edit` where
instructions lead from one to the next, and `foresee`, the plans of both; clips `watch`, `predict`, `film`, and where it
is known what stands where at which time `track`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from triptych.config import GPTConfig
from triptych.data.records import Question, Record, Text, things
from triptych.data.shards import Shards
from triptych.sequence import plan, spell, vocab
from triptych.sequence.layout import Builder, Map, Row
from triptych.tokenizers.text import TextTokenizer

MEDIA = {
    "draw": "picture",
    "lay": "boxed",
    "plan": "boxed",
    "things": "boxed",
    "foresee": "later",
    "track": "tracked",
    "shuffle": "picture",
    "read": "picture",
    "view": "sequence",
    "watch": "clip",
    "predict": "clip",
    "film": "clip",
    "edit": "edit",
}
SUBSETS = ("boxed", "tracked", "later")  # of pictures and clips that are told elsewhere
DEFAULT_MIX = {
    "draw": 3.0,
    "lay": 3.0,
    "plan": 1.0,
    "things": 1.0,
    "foresee": 1.0,
    "track": 1.0,
    "shuffle": 0.5,
    "read": 2.0,
    "view": 1.0,
    "watch": 2.0,
    "predict": 0.5,
    "film": 0.5,
    "edit": 1.0,
}
TEXT = 256  # positions kept free for the text of a row with many pictures
CAPTIONS, QUESTIONS = 3, 6  # at most so many after one medium in training
LIMIT = 1536  # positions of a row in training: a clip of 17 frames at one code a position, and its texts
PLANNED = 0.5  # share of edits, views and futures that are drawn by a plan, of readings that tell one
TIMES = 3  # at most so many times of a clip of which it is told at once what stands where
LEFT_OUT = 0.8  # share of drawings without a text that have no plan either: what guidance leads away from
THINNED = 0.25  # share of the plans drawn by in training that leave out words, as people do
KEPT = 0.6  # chance of each of their ids to stay


class Rows:
    """Spells windows as rows. Which text, which question, how many frames: by the generator that is passed in.

    Args:
        shards: the windows.
        text: the text tokenizer.
        config: of the GPT that will read the rows.
        fps, span: frames a second of the clips, and frames a map.
        drop: share of drawn rows whose condition is left out.
        thinned: share of the plans that are drawn by whose things miss some of their words.
        held: take the windows kept for validation instead of those for training.
    """

    def __init__(
        self,
        shards: Shards,
        text: TextTokenizer,
        config: GPTConfig,
        *,
        fps: float = 8.0,
        span: int = 4,
        drop: float = 0.1,
        thinned: float = 0.0,
        held: bool = False,
    ) -> None:
        self.shards, self.text, self.config = shards, text, config
        self.fps, self.span, self.drop, self.thinned = fps, span, drop, thinned
        self.items: dict[str, Any] = {
            "picture": shards.select(clips=False, held=held),
            "boxed": shards.boxed(clips=False, held=held),
            "tracked": shards.boxed(clips=True, held=held),
            "clip": shards.select(clips=True, held=held),
            "sequence": shards.sequences(held=held),
            "edit": shards.edits(held=held),
        }
        views = {
            int(index): part[:place] for part in self.items["sequence"] for place, index in enumerate(part) if place
        }
        self._earlier = views | {int(after): np.array([before]) for before, after in self.items["edit"]}
        boxed = set(self.items["boxed"].tolist())
        self.items["later"] = np.array([index for index in self._earlier if index in boxed], np.int64)

    def has(self, spelling: str) -> bool:
        """Whether there is any medium for this spelling."""
        return len(self.items[MEDIA[spelling]]) > 0

    def encode(self, text: str) -> list[int]:
        """Text -> sequence ids."""
        return vocab.to_ids(self.text.encode(text))

    def spell(self, spelling: str, item: int, rng: np.random.Generator) -> Row:
        """One row of the item-th medium of this spelling."""
        builder = spell.begin(Builder(self.config.group, self.config.latent))
        spellers: dict[str, Callable[[Builder, Any, np.random.Generator], Builder]] = {
            "draw": self._draw,
            "lay": self._lay,
            "plan": self._plan,
            "things": self._things,
            "foresee": self._foresee,
            "track": self._track,
            "shuffle": self._shuffle,
            "read": self._read,
            "view": self._view,
            "watch": self._watch,
            "predict": self._predict,
            "film": self._film,
            "edit": self._edit,
        }
        return spellers[spelling](builder, self.items[MEDIA[spelling]][item], rng).finish()

    def condition(self, record: Record, rng: np.random.Generator) -> list[int]:
        """A text to draw from, or nothing in `drop` of the cases."""
        return self.encode(self._asked(record, rng).text)

    def _asked(self, record: Record, rng: np.random.Generator, *, evenly: bool = False) -> Text:
        """A text to draw from, or an empty one in `drop` of the cases.

        Each language is as likely; of its texts the short ones come more often, since people ask in few words, unless
        they are to come `evenly`.
        """
        texts = record.texts or ([Text(text=record.label)] if record.label else [])
        if not texts or rng.random() < self.drop:
            return Text(text="")
        languages = sorted({text.lang for text in texts})
        language = languages[rng.integers(len(languages))]
        texts = [text for text in texts if text.lang == language]
        chances = np.ones(len(texts)) if evenly else 1 / np.array([len(text.text) for text in texts])
        return texts[rng.choice(len(texts), p=chances / chances.sum())]

    def _told(self, record: Record, rng: np.random.Generator) -> Text:
        """What leads to a medium, or an empty text in `drop` of the cases."""
        told = record.instruction and rng.random() >= self.drop
        return record.instruction[rng.integers(len(record.instruction))] if told else Text(text="")

    def _draw(self, builder: Builder, index: int, rng: np.random.Generator) -> Builder:
        spell.draw_prompt(builder, self.condition(self.shards.record(index), rng))
        return spell.drawn(builder, self.shards.maps(index)[0])

    def _lay(self, builder: Builder, index: int, rng: np.random.Generator) -> Builder:
        record, map_ = self.shards.record(index), self.shards.maps(index)[0]
        asked = self._asked(record, rng)
        spell.draw_prompt(builder, self.encode(asked.text))
        if asked.text or rng.random() >= LEFT_OUT:
            self._by_plan(builder, record, map_, rng, asked.lang)
        return spell.drawn(builder, map_)

    def _by_plan(self, builder: Builder, record: Record, map_: Map, rng: np.random.Generator, asked: str) -> None:
        """Lay the plan of a picture beside its codes, at times with fewer words: a person who writes a plan doesn't
        tell every look of a thing, though all plans of the data may."""
        builder.plan(self._laid(things(record, self._language(record, rng, asked)), map_, rng))

    def _laid(self, told: list[plan.Thing], map_: Map, rng: np.random.Generator) -> np.ndarray:
        thinned = rng.random() < self.thinned
        encode = (lambda words: self._some(words, rng)) if thinned else self.encode
        return plan.laid(told, encode, *map_.codes.shape)

    def _some(self, words: str, rng: np.random.Generator) -> list[int]:
        """Some of the ids of words, and at least one: where a language parts no words, ids are what can be left out."""
        ids = np.array(self.encode(words))
        stay = rng.random(len(ids)) < KEPT
        stay[rng.integers(len(ids))] = True
        return ids[stay].tolist()

    def _plan(self, builder: Builder, index: int, rng: np.random.Generator) -> Builder:
        """The plan of a text."""
        record = self.shards.record(index)
        return self._planned(builder, record, self._asked(record, rng, evenly=True), rng)  # long ones say where

    def _foresee(self, builder: Builder, index: int, rng: np.random.Generator) -> Builder:
        """The plan of the next view of a scene, or of a picture that an instruction leads to."""
        record = self.shards.record(index)
        if record.instruction:
            told = record.instruction[rng.integers(len(record.instruction))]
        else:
            told = self._asked(record, rng) if rng.random() < PLANNED else Text(text="")
        self._show(builder, self._earlier[int(index)], rng)
        return self._planned(builder, record, told, rng)

    def _planned(self, builder: Builder, record: Record, told: Text, rng: np.random.Generator) -> Builder:
        language = self._language(record, rng, told.lang)
        spell.plan_prompt(builder, self.encode(told.text), self.encode(language))
        return spell.answer(builder, self._written(record, language))

    def _track(self, builder: Builder, index: int, rng: np.random.Generator) -> Builder:
        """What stands where at some times of a clip, of which only the beginning may be shown."""
        record, maps = self.shards.record(index), self.shards.maps(index)
        given = int(rng.integers(1, len(maps) + 1))
        told = self._told(record, rng)
        language = self._language(record, rng, told.lang)
        known = [place for place in range(len(maps)) if self._at(record, language, place)]
        if not known:  # its boxes are of other times: it tells what else there is
            return self._watch(builder, index, rng)
        spell.clip(builder, maps[:given], self.encode, self.fps, self.span)
        spell.predict_prompt(builder, self.encode(told.text))
        for place in sorted(rng.permutation(known)[:TIMES].tolist()):
            spell.track_prompt(builder, place, self.encode(language), self.encode, self.fps, self.span)
            spell.answer(builder, self.encode(plan.write(self._at(record, language, place))))
        return builder

    def _at(self, record: Record, language: str, place: int) -> list[plan.Thing]:
        """What stands where in a clip at the time of a map."""
        return things(record, language, spell.time_of(place, self.fps, self.span))

    def _things(self, builder: Builder, index: int, rng: np.random.Generator) -> Builder:
        """What stands where in a picture. `read` asks for it too, among much else: too seldom to learn to measure."""
        record = self.shards.record(index)
        language = self._language(record, rng)
        spell.picture(builder, self.shards.maps(index)[0])
        spell.things_prompt(builder, self.encode(language))
        return spell.answer(builder, self._written(record, language))

    def _written(self, record: Record, language: str) -> list[int]:
        return self.encode(plan.write(things(record, language)))

    def _language(self, record: Record, rng: np.random.Generator, asked: str = "") -> str:
        """The language of a picture's plan: the one asked for, if its things have words in it, else any of theirs."""
        known = sorted({text.lang for item in record.objects for text in item.texts})
        return asked if asked in known else known[rng.integers(len(known))]

    def _shuffle(self, builder: Builder, index: int, rng: np.random.Generator) -> Builder:
        spell.draw_prompt(builder, self.condition(self.shards.record(index), rng))
        map_ = self.shards.maps(index)[0]
        return spell.shuffled(builder, map_, rng.permutation(map_.codes.size // self.config.slots).tolist())

    def _read(self, builder: Builder, index: int, rng: np.random.Generator) -> Builder:
        spell.picture(builder, self.shards.maps(index)[0])
        return self._talk(builder, self.shards.record(index), rng)

    def _watch(self, builder: Builder, index: int, rng: np.random.Generator) -> Builder:
        spell.clip(builder, self.shards.maps(index), self.encode, self.fps, self.span)
        return self._talk(builder, self.shards.record(index), rng)

    def _view(self, builder: Builder, members: np.ndarray, rng: np.random.Generator) -> Builder:
        target = int(rng.integers(1, len(members)))
        record, drawn = self.shards.record(members[target]), self.shards.maps(members[target])[0]
        self._show(builder, members[:target], rng)
        asked = self._asked(record, rng) if rng.random() < 0.5 else Text(text="")
        spell.draw_prompt(builder, self.encode(asked.text))
        if record.objects and rng.random() < PLANNED:
            self._by_plan(builder, record, drawn, rng, asked.lang)
        return spell.drawn(builder, drawn)

    def _show(self, builder: Builder, members: np.ndarray, rng: np.random.Generator) -> None:
        """The last of some pictures, as many as chance and the room for what is to come of them allow."""
        size = self.shards.maps(members[-1])[0].codes.size
        room = (LIMIT - TEXT) // (size // self.config.slots + 1) - 1  # what is drawn must not be cut off
        for index in members[int(rng.integers(max(0, len(members) - max(room, 1)), len(members))) :]:
            spell.picture(builder, self.shards.maps(index)[0])

    def _edit(self, builder: Builder, pair: np.ndarray, rng: np.random.Generator) -> Builder:
        before, after = pair
        record, map_ = self.shards.record(after), self.shards.maps(after)[0]
        told = self._told(record, rng)
        spell.edit_prompt(builder, self.shards.maps(before)[0], self.encode(told.text))
        if record.objects and told.text and rng.random() < PLANNED:
            self._by_plan(builder, record, map_, rng, told.lang)
        return spell.drawn(builder, map_)

    def _film(self, builder: Builder, index: int, rng: np.random.Generator) -> Builder:
        spell.film_prompt(builder, self.condition(self.shards.record(index), rng))
        maps = self.shards.maps(index)
        return spell.filmed(builder, maps, 0, self.encode, self.fps, self.span)

    def _predict(self, builder: Builder, index: int, rng: np.random.Generator) -> Builder:
        maps, record = self.shards.maps(index), self.shards.record(index)
        given = int(rng.integers(1, max(2, len(maps))))
        spell.clip(builder, maps[:given], self.encode, self.fps, self.span)
        told = self._told(record, rng)
        spell.predict_prompt(builder, self.encode(told.text))
        planned = bool(record.objects) and rng.random() < PLANNED
        language = self._language(record, rng, told.lang) if planned else ""

        def plans(place: int) -> np.ndarray | None:
            known = self._at(record, language, place) if planned else []
            return self._laid(known, maps[place], rng) if known else None

        return spell.filmed(builder, maps, given, self.encode, self.fps, self.span, plans)

    def _talk(self, builder: Builder, record: Record, rng: np.random.Generator) -> Builder:
        """Captions and questions about a medium: one reading serves them all, and each is answered from it alone."""
        parts: list[Callable[[], Builder]] = []
        texts = record.texts + timelines(record)
        for choice in rng.permutation(len(texts))[:CAPTIONS]:
            text = texts[choice]
            parts.append(
                lambda text=text: spell.answer(  # type: ignore[misc]
                    spell.caption_prompt(builder, self.encode(text.lang)), self.encode(text.text)
                )
            )
        questions = [q for q in record.qa if q.answer]
        if record.label is not None:
            label = record.label
            questions += [Question(question=asked, answer=label, lang=lang) for lang, asked in spell.WHAT.items()]
            parts.append(lambda: spell.answer(spell.label_prompt(builder), self.encode(record.label or "")))
        for choice in rng.permutation(len(questions))[:QUESTIONS]:
            q = questions[choice]
            parts.append(
                lambda q=q: spell.answer(  # type: ignore[misc]
                    spell.question_prompt(builder, self.encode(q.question)), self.encode(q.answer)
                )
            )
        if record.kind == "picture" and record.objects and rng.random() < PLANNED:
            language = self._language(record, rng)
            parts.append(
                lambda: spell.answer(
                    spell.things_prompt(builder, self.encode(language)), self._written(record, language)
                )
            )
        for choice in rng.permutation(len(record.events))[:2]:
            event = record.events[choice]
            times = f"{spell.time_text(event.start)}-{spell.time_text(event.end)}"
            parts.append(
                lambda event=event, times=times: spell.answer(  # type: ignore[misc]
                    spell.locate_prompt(builder, self.encode(event.text)), self.encode(times)
                )
            )
        # In any order, so that a row that is too long doesn't always lose the same kind.
        return builder.branches(parts[choice] for choice in rng.permutation(len(parts)))


def timelines(record: Record) -> list[Text]:
    """Descriptions with times, one a language, of a record that has events but no such text."""
    if any(text.text.startswith("[") for text in record.texts):
        return []
    out = []
    for lang in dict.fromkeys(event.lang for event in record.events):
        unit, pause = ("秒", "；") if lang == "zh" else ("s", "; ")
        events = sorted((event for event in record.events if event.lang == lang), key=lambda event: event.start)
        told = pause.join(f"[{spell.time_text(event.start)}{unit}] {event.text}" for event in events)
        out.append(Text(text=told, lang=lang))
    return out
