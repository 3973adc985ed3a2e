"""Batches are pure functions of (seed, step); nothing held out is trained on."""

import multiprocessing
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.data.test_shards import GRID, fill
from triptych.config import GPTConfig
from triptych.data.loader import MEDIA, Batches, Rows
from triptych.data.records import Event, Place, Question, Record, Text
from triptych.data.shards import Shards
from triptych.errors import ConfigError
from triptych.sequence.vocab import Special, to_text_ids
from triptych.tokenizers.text import TextTokenizer


def records(count=40):
    for i in range(count):
        text, held = [Text(text=f"{'held' if i % 5 == 0 else 'kept'} {i}", lang="en")], i % 5 == 0
        if i % 4 == 1:
            event = Event(start=0.5, end=1.0, text=f"event {i}", lang="en")
            yield Record(file=f"{i}.mp4", kind="clip", texts=text, events=[event], instruction=text), held
        else:
            place = Place(id=f"s{i % 5}", index=i) if i % 2 else None
            qa = [Question(question=f"what {i}", answer=text[0].text)]
            yield Record(file=f"{i}.png", kind="picture", texts=text, qa=qa, sequence=place), held
            if i % 8 == 0:
                for index in (0, 1):
                    place, told = Place(id=f"e{i}", index=index), text if index else []
                    yield (
                        Record(file=f"{i}-{index}.png", kind="picture", texts=text, sequence=place, instruction=told),
                        held,
                    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    fill(folder / "00000.safetensors", list(records()))
    text = TextTokenizer.train(["kept held what event 0123456789"], 300)
    config = GPTConfig(depth=1, vocabulary=400, codes=12, latent=2)

    def make(**kwargs):
        return Rows(Shards(folder, GRID), text, config, **kwargs)

    return make


def same(one, two):
    return len(one) == len(two) and all(torch.equal(a[n], b[n]) for a, b in zip(one, two, strict=True) for n in a)


def test_a_batch_is_a_function_of_seed_and_step(rows):
    batches = Batches(rows(), {}, 12, 3)
    expected = [batches[step] for step in range(5)]
    assert same(Batches(rows(), {}, 12, 3)[4], expected[4])  # with nothing drawn before it
    assert not same(expected[3], expected[4])
    assert not same(Batches(rows(), {}, 12, 4)[4], expected[4])
    context = multiprocessing.get_context("fork")
    for workers in (0, 2):
        loader = DataLoader(
            batches,
            batch_size=None,
            sampler=range(1, 5),
            num_workers=workers,
            multiprocessing_context=context if workers else None,
        )
        assert all(same(a, b) for a, b in zip(loader, expected[1:], strict=True))


def test_an_epoch_visits_each_item_once(rows):
    batches = Batches(rows(), {"draw": 1}, 3, 0)
    size = len(batches.rows.items["picture"])
    seen = [batches._item("draw", 0, number) for number in range(3 * size)]
    for epoch in range(3):
        assert sorted(seen[epoch * size : (epoch + 1) * size]) == list(range(size))
    assert seen[:size] != seen[size : 2 * size]


def texts_of(rows, batch):
    return [rows.text.decode(to_text_ids(ids.tolist())) for part in batch for ids in part["ids"]]


def test_what_is_held_out_is_never_trained_on(rows):
    for held in (False, True):
        own = rows(held=held, drop=0.0)
        batches = Batches(own, {}, 12, 0)
        assert set(batches.counts) >= {"draw", "read", "watch", "predict", "film"}
        shown = " ".join(text for step in range(30) for text in texts_of(own, batches[step]))
        assert ("held" in shown, "kept" in shown) == (held, not held)


def test_the_share_of_dropped_conditions(rows):
    for drop in (0.0, 0.25, 1.0):
        own = rows(drop=drop)
        batches = Batches(own, {"draw": 1}, 16, 0)
        texts = [text for step in range(40) for text in texts_of(own, batches[step])]
        assert abs(np.mean([text == "" for text in texts]) - drop) < 0.05


def test_rows_learn_only_what_follows_an_answer_or_a_drawing(rows):
    for part in Batches(rows(), {}, 12, 0)[0]:
        for ids, weights in zip(part["ids"], part["weights"], strict=True):
            assert weights.sum() > 0
            first = int(torch.nonzero(weights)[0])
            assert any(int(i) in (Special.ANSWER, Special.DRAW) for i in ids[:first])


def test_counts_follow_the_mix(rows):
    assert Batches(rows(), {"draw": 3, "read": 1}, 16, 0).counts == {"draw": 12, "read": 4}
    assert Batches(rows(), {"draw": 100, "read": 1}, 4, 0).counts == {"draw": 4, "read": 1}
    assert Batches(rows(), {"draw": 1, "read": 0}, 4, 0).counts == {"draw": 4}
    with pytest.raises(ConfigError, match=r"mix\.raed: no such spelling; did you mean 'read'"):
        Batches(rows(), {"raed": 1}, 4, 0)


def test_long_rows_are_cut(rows):
    full = Batches(rows(), {"watch": 1}, 4, 0)[0][0]
    cut = Batches(rows(), {"watch": 1}, 4, 0, limit=9)[0][0]
    assert cut["ids"].shape[1] == 16  # padded up to a multiple
    assert torch.equal(cut["ids"][:, :9], full["ids"][:, :9])
    assert not cut["ids"][:, 9:].any()


def test_a_view_of_many_pictures_keeps_what_is_drawn(tmp_path):
    members = [(Record(file=f"{i}.png", kind="picture", sequence=Place(id="s", index=i)), False) for i in range(1200)]
    fill(tmp_path / "00000.safetensors", members)
    config = GPTConfig(depth=1, vocabulary=400, codes=12, latent=2)
    rows = Rows(Shards(tmp_path, GRID), TextTokenizer.train([], 256), config)
    for part in (Batches(rows, {"view": 1}, 4, seed)[0][0] for seed in range(5)):
        assert (part["weights"].sum(1) == 1).all()  # one group of four codes


def test_an_edit_is_its_picture_its_instruction_and_what_comes_of_it(rows):
    own = rows(drop=0.0)
    before, after = own.items["edit"][0]
    row = own.spell("edit", 0, np.random.default_rng(0))
    told = own.encode(own.shards.record(after).instruction[0].text)
    middle = [Special.BEGIN, Special.IMAGE, Special.VISUAL, *told, Special.DRAW, Special.IMAGE, Special.VISUAL]
    assert row.ids.tolist() == [*middle, Special.END]
    assert row.weights.tolist() == [0] * (len(middle) - 1) + [1, 0]
    np.testing.assert_array_equal(row.codes[2], own.shards.maps(before)[0].codes.ravel())
    np.testing.assert_array_equal(row.codes[-2], own.shards.maps(after)[0].codes.ravel())
    dropped = rows(drop=1.0).spell("edit", 0, np.random.default_rng(0))
    assert len(dropped) == len(row) - len(told)  # the picture stays: guidance is of the instruction alone


def test_every_spelling_appears(rows):
    own = rows(drop=0.0)
    seen = Counter()
    for name in MEDIA:
        row = own.spell(name, 0, np.random.default_rng(0))
        seen.update({name: int(row.weights.sum() > 0)})
        assert row.ids[0] == Special.BEGIN
    assert all(seen.values())
