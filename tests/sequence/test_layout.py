"""Arrays of one sequence, and each spelling, by hand on tiny examples."""

from functools import partial

import numpy as np
import pytest

from triptych.config import LAID
from triptych.sequence import spell
from triptych.sequence.layout import Builder, Map, grouped, ungrouped
from triptych.sequence.pack import collate
from triptych.sequence.vocab import OFFSET, Special

BEGIN, END, VISUAL, IMAGE, VIDEO = Special.BEGIN, Special.END, Special.VISUAL, Special.IMAGE, Special.VIDEO
CAPTION, ASK, ANSWER, LABEL = Special.CAPTION, Special.ASK, Special.ANSWER, Special.LABEL
LOCATE, DRAW, TIME, PLAN = Special.LOCATE, Special.DRAW, Special.TIME, Special.PLAN
A, B, C = OFFSET, OFFSET + 1, OFFSET + 2


def encode(text):
    return [OFFSET + 100 + ord(c) for c in text]


def a_map(seed=0, y=2, x=2):
    rng = np.random.default_rng(seed)
    return Map(
        rng.integers(0, 9, (y, x)), rng.random((y, x, 2)).astype(np.float32), rng.random((y, x, 2)).astype(np.float32)
    )


@pytest.mark.parametrize(("y", "x"), [(2, 2), (4, 6), (6, 2)])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("rest", [(), (3,)])
def test_grouped_and_ungrouped_are_inverse(y, x, group, rest):
    array = np.arange(y * x * int(np.prod(rest))).reshape(y, x, *rest)
    parts = grouped(array, group)
    assert parts.shape == (y * x // group**2, group**2, *rest)
    np.testing.assert_array_equal(ungrouped(parts, group, y, x), array)


def test_groups_by_hand():
    assert grouped(np.arange(8).reshape(2, 4), 2).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]
    with pytest.raises(ValueError, match="3x4 codes can't be grouped 2x2"):
        grouped(np.zeros((3, 4)), 2)


def test_positions_of_a_mixed_sequence():
    row = (
        Builder(1, 2).text([A, B]).map(a_map(0, 2, 3), target=False).text([C]).map(a_map(1, 1, 2), target=True).finish()
    )
    assert row.positions.tolist() == [
        [0, 0, 0],
        [1, 1, 1],
        *[[2, 0, 0], [2, 0, 1], [2, 0, 2], [2, 1, 0], [2, 1, 1], [2, 1, 2]],
        [5, 5, 5],
        *[[6, 0, 0], [6, 0, 1]],
    ]
    assert row.next_position == 8
    assert row.ids.tolist() == [A, B, *[VISUAL] * 6, C, VISUAL, VISUAL]
    assert row.weights.tolist() == [0] * 9 + [1, 1]


def test_a_condition_enters_as_latents_and_a_target_as_grid_values():
    one, two = a_map(0), a_map(1)
    row = Builder(2, 2).text([A]).map(one, target=False).map(two, target=True).finish()
    np.testing.assert_array_equal(row.values[:, :8], [np.zeros(8), one.latents.flatten(), two.grid.flatten()])
    np.testing.assert_array_equal(row.codes, [np.zeros(4), one.codes.flatten(), two.codes.flatten()])


def test_nothing_is_a_row_too():
    row = Builder(2, 2).finish()
    assert (len(row), row.values.shape, row.codes.shape, row.positions.shape) == (
        0,
        (0, 24 + 4 * LAID),
        (0, 4),
        (0, 3),
    )


M = [VISUAL]  # a map of one group
CLIP = [VIDEO, TIME, *encode("0.0"), *M, TIME, *encode("0.5"), *M]
SPELLINGS = {
    "draw": (lambda b, m: spell.drawn(spell.draw_prompt(b, [A, B]), m[0]), [A, B, DRAW, IMAGE, *M, END], M),
    "draw from nothing": (lambda b, m: spell.drawn(spell.draw_prompt(b, []), m[0]), [DRAW, IMAGE, *M, END], M),
    "film": (
        lambda b, m: spell.filmed(spell.film_prompt(b, [A]), m, 0, encode, 8.0, 4),
        [A, DRAW, *CLIP, END],
        M * 2,
    ),
    "view": (
        lambda b, m: spell.drawn(spell.draw_prompt(spell.picture(spell.picture(b, m[0]), m[1]), [A]), m[0]),
        [IMAGE, *M, IMAGE, *M, A, DRAW, IMAGE, *M, END],
        M,
    ),
    "predict": (
        lambda b, m: spell.filmed(
            spell.predict_prompt(spell.clip(b, m[:1], encode, 8.0, 4), [A]), m, 1, encode, 8.0, 4
        ),
        [VIDEO, TIME, *encode("0.0"), *M, A, DRAW, TIME, *encode("0.5"), *M, END],
        M,
    ),
    "caption": (
        lambda b, m: spell.answer(spell.caption_prompt(spell.picture(b, m[0]), [C]), [A, B]),
        [IMAGE, *M, CAPTION, C, ANSWER, A, B, END],
        [A, B, END],
    ),
    "ask about a clip": (
        lambda b, m: spell.answer(spell.question_prompt(spell.clip(b, m, encode, 8.0, 4), [C, B]), [A]),
        [*CLIP, ASK, C, B, ANSWER, A, END],
        [A, END],
    ),
    "locate": (
        lambda b, m: spell.answer(spell.locate_prompt(spell.clip(b, m, encode, 8.0, 4), [C]), encode("0.5-1.0")),
        [*CLIP, LOCATE, C, ANSWER, *encode("0.5-1.0"), END],
        [*encode("0.5-1.0"), END],
    ),
    "plan of a text": (
        lambda b, m: spell.answer(spell.plan_prompt(b, [A, B], [C]), [B]),
        [A, B, DRAW, PLAN, C, ANSWER, B, END],
        [B, END],
    ),
    "plan of a picture after an instruction": (
        lambda b, m: spell.answer(spell.plan_prompt(spell.picture(b, m[0]), [A], [C]), [B]),
        [IMAGE, *M, A, DRAW, PLAN, C, ANSWER, B, END],
        [B, END],
    ),
    "things of a picture": (
        lambda b, m: spell.answer(spell.things_prompt(spell.picture(b, m[0]), [C]), [B]),
        [IMAGE, *M, PLAN, C, ANSWER, B, END],
        [B, END],
    ),
    "label": (
        lambda b, m: spell.answer(spell.label_prompt(spell.picture(b, m[0])), [A]),
        [IMAGE, *M, LABEL, ANSWER, A, END],
        [A, END],
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_each_spelling_by_hand(name):
    write, ids, learned = SPELLINGS[name]
    row = write(spell.begin(Builder(2, 2)), [a_map(0), a_map(1)]).finish()
    assert row.ids.tolist() == [BEGIN, *ids]
    assert row.ids[row.weights > 0].tolist() == learned
    assert set(row.weights.tolist()) == {0.0, 1.0}


def test_times():
    assert [spell.time_of(i, 8.0, 4) for i in range(3)] == [0.0, 0.5, 1.0]
    assert spell.time_text(12.34) == "12.3"


def test_collate_pads_on_the_right():
    rows = [Builder(1, 2).text([A, B, C], 1.0).finish(), Builder(1, 2).map(a_map(), target=True).text([A]).finish()]
    batch = collate(rows, multiple=4)
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "ids": (2, 8), "values": (2, 8, 6 + LAID), "positions": (2, 8, 3), "codes": (2, 8, 1), "before": (2, 8, 1),
        "weights": (2, 8), "is_visual": (2, 8)
    }  # fmt: skip
    assert batch["ids"].tolist() == [[A, B, C, 0, 0, 0, 0, 0], [VISUAL] * 4 + [A, 0, 0, 0]]
    assert batch["weights"].sum(1).tolist() == [3, 4]
    assert batch["is_visual"].sum(1).tolist() == [0, 4]
    assert collate(rows)["ids"].shape == (2, 5)


def test_a_map_in_any_order_tells_each_place_before_its_codes():
    map_ = a_map(0, 2, 3)
    order = [4, 0, 5, 1, 3, 2]
    row = Builder(1, 2).text([A]).scattered(map_, order).text([B]).finish()
    places = [[1, 1, 1], [1, 0, 0], [1, 1, 2], [1, 0, 1], [1, 1, 0], [1, 0, 2]]
    assert row.positions.tolist() == [[0, 0, 0], *[place for place in places for _ in range(2)], [4, 4, 4]]
    assert row.ids.tolist() == [A, *[Special.PLACE, VISUAL] * 6, B]
    assert row.weights.tolist() == [0, *[0, 1] * 6, 0]
    assert row.codes[2::2, 0][:6].tolist() == map_.codes.ravel()[order].tolist()
    np.testing.assert_array_equal(row.values[2:13:2, :2], map_.grid.reshape(6, -1)[order])
    assert not row.values[1::2].any()
    with pytest.raises(ValueError, match="an order of 6 places"):
        Builder(1, 2).scattered(map_, [0, 1, 2, 3, 4, 4])


def test_beside_each_place_stands_what_the_map_before_had_there_and_at_the_next():
    one, two = a_map(0, 4, 4), a_map(1, 4, 4)
    row = Builder(2, 2).map(one, target=False).text([A]).map(two, target=True).finish()
    before = grouped(one.latents, 2).reshape(4, -1)
    assert not row.values[:4, 8:].any()  # nothing was there before the first
    np.testing.assert_array_equal(row.values[5:, 8:16], before)
    np.testing.assert_array_equal(row.values[5:8, 16:24], before[1:])
    assert not row.values[:, 24:].any()  # nothing is planned
    assert not row.values[8, 16:].any()
    np.testing.assert_array_equal(row.shown.values, grouped(two.grid, 2).reshape(4, -1))
    np.testing.assert_array_equal(row.before[5:], grouped(one.codes, 2) + 1)
    assert not row.before[:5].any()


def test_a_map_of_another_size_has_nothing_beside_it():
    row = Builder(2, 2).map(a_map(0, 2, 2), target=False).map(a_map(1, 4, 4), target=True).finish()
    assert not row.values[:, 8:].any()
    assert not row.before.any()


def test_a_scattered_map_knows_its_place_but_not_the_next():
    before, map_ = a_map(0, 4, 4), a_map(1, 4, 4)
    order = [2, 0, 3, 1]
    row = Builder(2, 2).map(before, target=False).scattered(map_, order).finish()
    there = grouped(before.latents, 2).reshape(4, -1)
    np.testing.assert_array_equal(row.values[5::2, 8:16], there[order])
    np.testing.assert_array_equal(row.before[5::2], grouped(before.codes, 2)[order] + 1)
    assert not row.values[4:, 16:].any()  # which place is next is not known yet
    assert not row.values[4::2].any()  # an id PLACE stands there


@pytest.mark.parametrize("group", [1, 2])
def test_beside_each_place_stands_what_is_planned_for_the_next(group):
    """Of the next target alone: what is given has no plan, and neither has the map after it."""
    plan = np.random.default_rng(0).random((4, 6, LAID)).astype(np.float32)
    places, own = 24 // group**2, 6 * group**2
    builder = Builder(group, 2).plan(plan)
    waiting = builder.finish()
    np.testing.assert_array_equal(waiting.plans[0], grouped(plan, group).reshape(places, -1))
    assert waiting.values.shape == (0, own + group**2 * LAID)
    one, two = a_map(0, 4, 6), a_map(1, 4, 6)
    row = builder.map(one, target=False).text([A]).map(two, target=True).map(one, target=True).finish()
    bare = Builder(group, 2).map(one, target=False).text([A]).map(two, target=True).map(one, target=True).finish()
    np.testing.assert_array_equal(row.values[:, :own], bare.values[:, :own])
    assert not bare.values[:, own:].any()
    drawn = slice(places + 1, 2 * places + 1)
    np.testing.assert_array_equal(row.values[drawn, own:][:-1], waiting.plans[0][1:])
    assert not np.delete(row.values[:, own:], np.arange(places + 1, 2 * places), 0).any()
    assert row.plans == ()


def test_a_scattered_map_has_no_plan():
    map_ = a_map(0, 2, 2)
    row = Builder(1, 2).plan(np.ones((2, 2, LAID), np.float32)).scattered(map_, [2, 0, 3, 1]).finish()
    assert not row.values[:, 6:].any()


def test_a_plan_that_can_not_be_grouped_is_refused():
    with pytest.raises(ValueError, match="3x4 codes can't be grouped 2x2"):
        Builder(2, 2).plan(np.zeros((3, 4, LAID), np.float32))
    with pytest.raises(ValueError, match="a plan of 4 places is laid beside a map of 16"):
        Builder(1, 2).plan(np.zeros((2, 2, LAID), np.float32)).map(a_map(0, 4, 4), target=True)


def test_branches_go_on_from_the_same_place_and_are_told_apart():
    builder = Builder(1, 2).text([A, B]).map(a_map(), target=False)
    told = ([CAPTION, A], [ASK, B, C])
    row = builder.branches([lambda ids=ids: builder.text(ids[:1]).text(ids[1:], 1.0) for ids in told]).finish()
    assert row.branches.tolist() == [0] * 6 + [1] * 2 + [2] * 3
    assert row.positions[6:, 0].tolist() == [4, 5, 4, 5, 6]
    assert row.parts() == [slice(0, 6), slice(6, 8), slice(8, 11)]
    assert (Builder(1, 2).text([A]).finish().branches, a_row().parts()) == (None, [slice(0, 1)])
    batch = collate([row, a_row()])
    assert batch["branches"].tolist() == [row.branches.tolist(), [0] * len(row)]
    assert "branches" not in collate([a_row(), a_row()])


def a_row():
    return Builder(1, 2).text([A]).finish()


PARTS = {
    "text": lambda builder: builder.text([ASK, B]).text([END], 1.0),
    "map": lambda builder: builder.text([DRAW]).map(a_map(1), target=True),
    "scattered": lambda builder: builder.text([DRAW]).scattered(a_map(2), [2, 0, 3, 1]),
    "longer": lambda builder: builder.text([CAPTION, A, B, C]).text([END], 1.0),
}


def test_each_branch_is_what_it_would_be_alone():
    """Its ids, its place, and what stands beside its maps."""

    def begun():
        return Builder(1, 2).text([A]).map(a_map(), target=False)

    for order in (list(PARTS), list(PARTS)[::-1]):
        builder = begun()
        row = builder.branches([partial(PARTS[name], builder) for name in order]).finish()
        for part, name in zip(row.parts()[1:], order, strict=True):
            alone = PARTS[name](begun()).finish()
            for array in ("ids", "values", "codes", "before", "positions", "weights"):
                np.testing.assert_array_equal(getattr(row, array)[part], getattr(alone, array)[5:], err_msg=name)


def test_branches_that_could_not_be_told_apart_are_refused():
    builder = Builder(1, 2)
    with pytest.raises(ValueError, match="something"):
        builder.branches([lambda: builder.text([A])])
    with pytest.raises(ValueError, match="no branches yet"):
        builder.text([A]).branches([lambda: builder.branches([lambda: builder.text([B])])])
    other = Builder(1, 2).text([A])
    with pytest.raises(ValueError, match="nothing of its own predicts it"):
        other.branches([lambda: other.text([B], 1.0)])
