"""Batches are pure functions of (seed, step); nothing held out is trained on."""

import multiprocessing
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.data.test_shards import GRID, fill
from triptych.config import EDGES, LAID, GPTConfig
from triptych.data.batches import Batches
from triptych.data.loader import LEFT_OUT, MEDIA, PLANNED, Rows
from triptych.data.records import Box, Event, Place, Question, Record, Text, things
from triptych.data.shards import Shards
from triptych.errors import ConfigError
from triptych.sequence.plan import Thing, _vector, laid, write
from triptych.sequence.vocab import Special, to_text_ids
from triptych.tokenizers.text import TextTokenizer


def records(count=40):
    for i in range(count):
        text, held = [Text(text=f"{'held' if i % 5 == 0 else 'kept'} {i}", lang="en")], i % 5 == 0
        if i % 4 == 1:
            event = Event(start=0.5, end=1.0, text=f"event {i}", lang="en")
            boxes = [Box(texts=text, box=(time, 0, time + 5, 5), time=time) for time in (0.0, 0.5, 1.0)]
            known = {"texts": text, "events": [event], "instruction": text, "objects": boxes, "width": 9, "height": 9}
            yield Record(file=f"{i}.mp4", kind="clip", **known), held
        else:
            place = Place(id=f"s{i % 5}", index=i) if i % 2 else None
            qa = [Question(question=f"what {i}", answer=text[0].text)]
            boxes = [Box(texts=text, box=(0, 0, 5, 5))] if i % 3 == 0 else []
            yield (
                Record(
                    file=f"{i}.png", kind="picture", width=9, height=9, texts=text, qa=qa, sequence=place, objects=boxes
                ),
                held,
            )
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


def test_fewer_parts_hold_the_same_rows(rows):
    """A GPU takes a batch in fewer parts, of which more is padding."""

    def weighed(parts):  # what counts in each row, whatever it is padded to
        return sorted((*tuple(row[row > 0].tolist()), int(ids.sum()))
                      for part in parts for row, ids in zip(part["weights"], part["ids"], strict=True))  # fmt: skip

    fine, coarse = (Batches(rows(), {}, 40, 3, least=least)[1] for least in (0.9, 0.3))
    assert len(coarse) < len(fine)
    assert weighed(coarse) == weighed(fine)


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
    cut = Batches(rows(), {"watch": 1}, 4, 0, limit=49)[0][0]
    assert cut["ids"].shape[1] == 64  # padded up to a multiple
    for name in ("ids", "branches"):  # rows come by their lengths, which the cut makes equal
        assert sorted(cut[name][:, :49].tolist()) == sorted(full[name][:, :49].tolist())
    assert (cut["branches"][:, 48] > 1).all()
    assert not cut["ids"][:, 49:].any()


@pytest.mark.parametrize("name", ["read", "watch"])
def test_each_answer_about_a_medium_is_learned_from_it_alone(rows, name):
    own, counts = rows(), set()
    for item in range(len(own.items[MEDIA[name]])):
        row = own.spell(name, item, np.random.default_rng(item))
        learned = np.unique(row.branches[row.weights > 0])
        ends = row.branches[row.ids == Special.END]
        assert sorted(ends) == learned.tolist()  # one answer in each
        assert learned[0] > 0
        assert not row.branches[row.ids == Special.VISUAL].any()
        counts.add(len(learned))
    assert max(counts) == 3


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


EN, ZH = Text(text="a red ball", lang="en"), Text(text="一个红球", lang="zh")
BALL = Box(texts=[Text(text="red ball", lang="en"), Text(text="红球", lang="zh")], box=(50, 0, 100, 50))
CUBE = Box(texts=[Text(text="cube 3", lang="en")], box=(0, 50, 30, 100))
PLANS = {"en": "cube 3 0 50 30 100; red ball 50 0 100 50", "zh": "cube 3 0 50 30 100; 红球 50 0 100 50"}
DRAW, PLAN, ANSWER, VISUAL, END = Special.DRAW, Special.PLAN, Special.ANSWER, Special.VISUAL, Special.END


def picture(number, **known):
    given = {"texts": [EN], "objects": [BALL, CUBE], "width": 100, "height": 100} | known
    return Record(file=f"{number}.png", kind="picture", **given)


def steps_of(*told, **known):
    """Pictures of one sequence, each led to by an instruction, or not."""
    return [
        picture(index, sequence=Place(id="s", index=index), instruction=[text] if text else [], **known)
        for index, text in enumerate(told)
    ]


@pytest.fixture
def planned(tmp_path):
    """Rows of one code a position, of given pictures of 2 x 2 codes."""

    def make(*records, **kwargs):
        fill(tmp_path / "00000.safetensors", [(record, False) for record in records])
        config = GPTConfig(depth=1, group=1, vocabulary=400, codes=12, latent=2)
        return Rows(Shards(tmp_path, GRID), TextTokenizer.train([EN.text, ZH.text], 300), config, **kwargs)

    return make


def each(rows, spelling, count=200, item=0):
    return [rows.spell(spelling, item, np.random.default_rng(seed)) for seed in range(count)]


def plan_of(row):
    """What is laid beside the codes that are drawn, the last four of a row."""
    return row.values[-5:-1, 6:]


def ends_with(row, ids):
    return row.ids[-len(ids) :].tolist() == [int(i) for i in ids]


def test_a_plan_is_laid_beside_the_place_before(planned):
    own = planned(picture(0), drop=0.0)
    row = own.spell("lay", 0, np.random.default_rng(0))
    assert row.ids.tolist() == own.spell("draw", 0, np.random.default_rng(0)).ids.tolist()
    assert ends_with(row, [*own.encode(EN.text), Special.DRAW, Special.IMAGE, *[VISUAL] * 4, END])
    assert row.weights.tolist() == [0] * (len(row) - 5) + [1] * 4 + [0]
    np.testing.assert_array_equal(row.codes[-5:-1, 0], own.shards.maps(0)[0].codes.ravel())
    here, last = plan_of(row)[0], plan_of(row)[1]  # of the ball at place 1, of the cube at place 2
    assert here[:EDGES].tolist() == [1, -0.125, 0.125, -0.125, 0.125]
    np.testing.assert_array_equal(here[EDGES:], sum(_vector(i) for i in own.encode("red ball")))
    np.testing.assert_allclose(last[:EDGES], [1, -0.125, 0.025, -0.125, 0.125], atol=1e-6)
    np.testing.assert_array_equal(last[EDGES:], sum(_vector(i) for i in own.encode("cube 3")))
    assert not plan_of(row)[2:].any()  # nothing is planned at place 3, and no place comes after it
    assert not row.values[:-5].any()


def test_a_plan_is_in_the_language_of_the_text_or_in_one_that_it_has(planned):
    for text, words in ((EN, "red ball"), (ZH, "红球")):
        own = planned(picture(0, texts=[text]), drop=0.0)
        np.testing.assert_array_equal(
            plan_of(own.spell("lay", 0, np.random.default_rng(0)))[0, EDGES:],
            sum(_vector(i) for i in own.encode(words)),
        )
        told = PLANS["zh" if text is ZH else "en"]
        ask = [DRAW, PLAN, *own.encode(text.lang), ANSWER]
        wanted = [Special.BEGIN, *own.encode(text.text), *ask, *own.encode(told), END]
        assert own.spell("plan", 0, np.random.default_rng(0)).ids.tolist() == wanted


def test_plans_come_of_long_texts_as_often_as_of_short_ones(planned):
    """Drawings come more often of short ones; but where things stand is said in long ones."""
    short, long = Text(text="ball", lang="en"), Text(text="a red ball to the left of a cube", lang="en")
    own = planned(picture(0, texts=[short, long]), drop=0.0)
    for spelling, least, most in (("plan", 0.4, 0.6), ("lay", 0.05, 0.2)):
        starts = [row.ids[1 : 1 + len(own.encode(long.text))].tolist() for row in each(own, spelling, 300)]
        assert least < np.mean([ids == own.encode(long.text) for ids in starts]) < most


def test_a_thinned_plan_misses_words_but_never_all(planned):
    """A person's own plan says less than those of the data: training leaves words out, in a share of the plans."""
    own = planned(picture(0), drop=0.0, thinned=0.5)
    red, ball = (_vector(i) for i in own.encode("red ball"))
    laid = np.array([plan_of(row)[0, EDGES:] for row in each(own, "lay", 400)])
    shares = [np.mean([np.array_equal(words, kept) for words in laid]) for kept in (red + ball, red, ball)]
    assert sum(shares) == pytest.approx(1)
    assert 0.55 < shares[0] < 0.85
    assert min(shares[1:]) > 0.05
    told = own.encode(PLANS["en"])
    assert all(ends_with(row, [*told, END]) for row in each(own, "plan", 20)), "what is written stays whole"


def test_a_text_of_no_language_has_a_plan_in_any(planned):
    for text in (Text(text="ball"), Text(text="une balle", lang="fr")):
        own = planned(picture(0, texts=[text]), drop=0.0)
        rows = each(own, "plan", 40)
        for lang, told in PLANS.items():
            assert any(ends_with(row, [PLAN, *own.encode(lang), ANSWER, *own.encode(told), END]) for row in rows)
    nameless = Box(texts=[Text(text="ball")], box=(0, 0, 50, 50))
    own = planned(picture(0, texts=[], objects=[nameless]))
    wanted = [Special.BEGIN, DRAW, PLAN, ANSWER, *own.encode("ball 0 0 50 50"), END]
    assert own.spell("plan", 0, np.random.default_rng(0)).ids.tolist() == wanted


def test_only_the_plan_is_learned(planned):
    own = planned(picture(0), drop=0.0)
    row = own.spell("plan", 0, np.random.default_rng(0))
    learned = [*own.encode(PLANS["en"]), END]
    assert row.ids[row.weights > 0].tolist() == learned
    assert row.weights.tolist() == [0] * (len(row) - len(learned)) + [1] * len(learned)


def test_without_a_text_most_drawings_have_no_plan_either(planned):
    """What guidance leads away from is both left out; what it leads to always has both."""
    assert all(plan_of(row).any() for row in each(planned(picture(0), drop=0.0), "lay", 40))
    rows = each(planned(picture(0), drop=1.0), "lay", 400)
    assert all(len(row) == 8 for row in rows)
    assert abs(np.mean([not plan_of(row).any() for row in rows]) - LEFT_OUT) < 0.06
    own = planned(picture(0), drop=1.0)
    asked = {row.ids.tobytes() for row in each(own, "plan", 20)}
    assert asked == {
        np.array([Special.BEGIN, DRAW, PLAN, *own.encode(lang), ANSWER, *own.encode(told), END]).tobytes()
        for lang, told in PLANS.items()
    }


def test_the_plan_of_what_an_instruction_leads_to_follows_its_picture(planned):
    told = Text(text="make it red", lang="en")
    own = planned(*steps_of(None, told), drop=0.0)
    begin, image = [Special.BEGIN], [Special.IMAGE, *[VISUAL] * 4]
    ask = [DRAW, PLAN, *own.encode("en"), ANSWER, *own.encode(PLANS["en"]), END]
    assert own.items["later"].tolist() == [1]  # nothing leads to the first
    rows = each(own, "foresee", 40)
    assert all(row.ids.tolist() == [*begin, *image, *own.encode(told.text), *ask] for row in rows)
    np.testing.assert_array_equal(rows[0].codes[2:6, 0], own.shards.maps(0)[0].codes.ravel())
    assert not rows[0].values[:, 6:].any()
    assert rows[0].weights.sum() == len(own.encode(PLANS["en"])) + 1
    for item in (0, 1):
        assert all(row.ids.tolist() == [*begin, *own.encode(EN.text), *ask] for row in each(own, "plan", 20, item))


def test_the_plan_of_a_next_view_follows_some_views_with_a_text_or_without(planned):
    own = planned(*steps_of(None, None, None), drop=0.0)
    rows = each(own, "foresee", item=1)  # of the third view
    views = [row.ids.tolist().count(Special.IMAGE) for row in rows]
    told = [*own.encode(EN.text), DRAW, PLAN, *own.encode("en"), ANSWER, *own.encode(PLANS["en"]), END]
    asked = [ends_with(row, told) for row in rows]
    assert 0.35 < np.mean(np.array(views) == 2) < 0.65
    assert set(views) == {1, 2}
    assert abs(np.mean(asked) - PLANNED) < 0.12


MOVES = [(0.0, (0, 0, 50, 50)), (0.5, (25, 0, 75, 50)), (1.0, (50, 0, 100, 50))]


def moving(**known):
    boxes = [Box(texts=BALL.texts, box=box, time=time) for time, box in MOVES]
    return Record(file="c.mp4", kind="clip", duration=2.0, **{"objects": boxes, "width": 100, "height": 100} | known)


def test_a_clip_s_things_are_told_at_times_that_were_shown_or_are_to_come(planned):
    own = planned(moving(instruction=[Text(text="push the ball", lang="en")]), drop=0.0)
    rows = each(own, "track")
    counts = Counter()
    for row in rows:
        ids = row.ids.tolist()
        shown, asked = ids.index(DRAW), [i for i, id_ in enumerate(ids) if id_ == PLAN]
        counts[ids[:shown].count(Special.TIME)] += 1
        assert ids[shown - len(own.encode("push the ball")) : shown] == own.encode("push the ball")
        wanted = []
        for time, box in MOVES:
            wanted += [Special.TIME, *own.encode(f"{time:.1f}"), PLAN, *own.encode("en"), ANSWER]
            wanted += [*own.encode(write([Thing("red ball", tuple(edge / 100 for edge in box))])), END]
        assert ids[shown + 1 :] == [int(id_) for id_ in wanted]  # of three times all are told, in order
        assert len(asked) == 3
        learned = row.ids[row.weights > 0].tolist()
        assert learned.count(END) == 3
        assert Special.TIME not in learned
    assert set(counts) == set(range(1, len(own.shards.maps(0)) + 1))


def test_some_futures_are_drawn_by_plans_of_their_times(planned):
    own = planned(moving(), drop=0.0)
    rows = each(own, "predict")
    drawn = [row for row in rows if row.values[:, 6:].any()]
    assert abs(len(drawn) / len(rows) - PLANNED) < 0.12
    for row in drawn:
        places = np.flatnonzero(row.weights > 0)
        number = len(own.shards.maps(0)) - len(places) // 4  # of the first map that is drawn
        for part in places.reshape(-1, 4):
            told = [things(own.shards.record(0), lang, number * own.span / own.fps) for lang in ("en", "zh")]
            wanted = [[*laid(some, own.encode, 2, 2).reshape(4, LAID)[1:], np.zeros(LAID)] for some in told]
            assert any(np.array_equal(row.values[part, 6:], laid_) for laid_ in wanted)
            number += 1
    assert not any(row.values[:, 6:].any() for row in each(planned(moving(objects=[])), "predict", 40))
    between = [Box(texts=BALL.texts, box=(0, 0, 50, 50), time=time) for time in (0.25, 0.8)]
    watched = each(planned(moving(objects=between, texts=[EN])), "track", 20)  # of no time that a map ends at
    assert all(Special.CAPTION in row.ids and PLAN not in row.ids and row.weights.any() for row in watched)
    assert not planned(moving(objects=[])).has("track")


@pytest.mark.parametrize("spelling", ["edit", "view"])
def test_some_of_what_follows_pictures_is_drawn_by_a_plan(planned, spelling):
    told = Text(text="make it red", lang="en") if spelling == "edit" else None
    own = planned(*steps_of(None, told), drop=0.0)
    rows = each(own, spelling)
    with_plan = [row for row in rows if plan_of(row).any()]
    assert abs(len(with_plan) / len(rows) - PLANNED) < 0.12
    for row in with_plan:
        np.testing.assert_array_equal(plan_of(row)[0, :EDGES], [1, -0.125, 0.125, -0.125, 0.125])
        assert not row.values[:-5, 6:].any()  # what is given has none
    bare = planned(*steps_of(None, told, objects=[]), drop=0.0)
    assert not any(plan_of(row).any() for row in each(bare, spelling, 40))


def test_an_edit_without_its_instruction_has_no_plan(planned):
    own = planned(*steps_of(None, Text(text="make it red", lang="en")), drop=1.0)
    assert not any(plan_of(row).any() for row in each(own, "edit", 60))


def test_a_reading_tells_what_stands_where(planned):
    own = planned(picture(0, texts=[]))
    image = [Special.BEGIN, Special.IMAGE, *[VISUAL] * 4]
    wanted = {lang: [*image, PLAN, *own.encode(lang), ANSWER, *own.encode(told), END] for lang, told in PLANS.items()}
    rows = [row.ids.tolist() for row in each(own, "read")]
    shares = [np.mean([row == ids for row in rows]) for ids in wanted.values()]
    assert sum(shares) + np.mean([row == image for row in rows]) == pytest.approx(1)
    assert all(abs(share - PLANNED / 2) < 0.1 for share in shares)
    rows = each(own, "things")
    assert {tuple(row.ids.tolist()) for row in rows} == {tuple(map(int, ids)) for ids in wanted.values()}
    assert [row.weights.sum() for row in rows] == [len(row) - row.ids.tolist().index(ANSWER) - 1 for row in rows]
    bare = each(planned(picture(0, objects=[])), "read", 40)
    assert not any(PLAN in row.ids for row in bare)


def test_plans_come_of_pictures_with_boxes_alone(planned):
    own = planned(picture(0, objects=[]), picture(1), picture(2, objects=[]))
    assert own.items["boxed"].tolist() == [1]
    assert set(Batches(own, {}, 12, 0).counts) == {"draw", "lay", "plan", "things", "shuffle", "read"}
    bare = planned(picture(0, objects=[]))
    assert not bare.has("lay")
    assert not bare.has("things")
    assert not bare.has("plan")
    assert set(Batches(bare, {}, 12, 0).counts) == {"draw", "shuffle", "read"}


def test_a_plan_is_cut_with_its_picture(planned):
    """Of a wide picture the middle is seen: what stands at its side is neither told nor laid."""
    own = planned(picture(0, width=200), drop=0.0)  # the cube stands out of sight
    seen = [Thing("red ball", (0.0, 0.0, 0.5, 0.5))]
    assert ends_with(own.spell("plan", 0, np.random.default_rng(0)), [ANSWER, *own.encode(write(seen)), END])
    wanted = laid(seen, own.encode, 2, 2).reshape(4, LAID)
    got = plan_of(own.spell("lay", 0, np.random.default_rng(0)))
    np.testing.assert_array_equal(got, [*wanted[1:], np.zeros(LAID)])
