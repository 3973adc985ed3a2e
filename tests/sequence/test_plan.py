"""Plans as text and as numbers, by hand on tiny examples."""

import numpy as np
import pytest

from triptych.config import EDGES, LAID, WORDS
from triptych.sequence.plan import (
    LONGEST,
    REACH,
    THINGS,
    Thing,
    _vector,
    agreed,
    changed,
    covered,
    joined,
    laid,
    overlap,
    paired,
    parse,
    parse_what_can_be,
    write,
)

LETTERS = {"red": 1, "blue": 2, "ball": 3, "cube": 4}


def encode(text):
    return [LETTERS[word] for word in text.split()]


@pytest.mark.parametrize(
    "words", ["red ball", "小红球", "cube 3", "7", "1 2 3 4", "a  ball", "l'œuf, 50% grey", "x" * 300]
)
def test_what_is_written_is_parsed(words):
    things = (Thing(words, (0.1, 0.2, 0.35, 1.0)), Thing("cone", (0.0, 0.0, 1.0, 0.01)))
    assert parse(write(things)) == things
    assert write(parse(write(things))) == write(things)


def test_things_are_written_from_left_to_right_in_whole_percent():
    things = [Thing("b", (0.404, 0.0, 0.606, 0.5)), Thing("a", (0.1, 0.0, 0.9, 0.25)), Thing("c", (0, 0.996, 0.2, 1))]
    assert write(things) == "c 0 99 20 100; a 10 0 90 25; b 40 0 61 50"  # what is thin stays a thing
    assert write([]) == ""


@pytest.mark.parametrize("between", [";", "; ", "；", "\n", ";\n", "\r\n", " ;；\n;"])
def test_things_come_between_any_separators(between):
    text = between.join(["", "red ball 10 40 30 60", "一个方块\t5  0 7\t100 ", ""])
    assert parse(text) == (Thing("red ball", (0.1, 0.4, 0.3, 0.6)), Thing("一个方块", (0.05, 0.0, 0.07, 1.0)))
    assert parse(between) == parse("") == ()


@pytest.mark.parametrize(
    "part",
    [
        *("red ball", "10 40 30 60", "ball 10 40 30", "ball 10 40 30 60 up", "ball10 40 30 60", "ball 10,40,30,60"),
        *("ball 10.5 40 30 60", "ball 10% 40% 30% 60%", "ball -1 40 30 60", "ball 0 0 101 50", "ball 0 0 1000 50"),
        *("ball 30 40 10 60", "ball 10 60 30 40", "ball 10 40 10 60", "ball 10 40 30 40", "ball ¹0 40 30 60"),
    ],
)
def test_what_is_no_thing_is_refused_with_its_words(part):
    for text in (part, f"cone 0 0 10 10; {part}", f" {part}；cone 0 0 10 10"):
        with pytest.raises(ValueError, match="is no thing with a box: write its words, then left, top") as caught:
            parse(text)
        assert str(caught.value).startswith(repr(part))
    assert [thing.words for thing in parse_what_can_be(f"cone 0 0 10 10; {part}; a 1 1 2 2")] == ["cone", "a"]


def test_a_plan_has_so_many_things():
    assert len(parse("a 0 0 1 1;" * THINGS)) == THINGS
    with pytest.raises(ValueError, match=f"more than {THINGS} things"):
        parse("a 0 0 1 1;" * (THINGS + 1))
    assert len(parse_what_can_be("a 0 0 1 1;" * (THINGS + 1))) == THINGS
    with pytest.raises(ValueError, match="4,097 characters: shorten it to 4,096"):
        parse("a" * (LONGEST + 1))


def test_words_become_the_numbers_that_trained_weights_read():
    """They must not change with numpy: raw numbers of PCG64 don't."""
    assert (_vector(5)[:8] * 2).tolist() == [1, 1, -1, 1, -1, 1, 1, -1]
    assert set(np.unique(np.stack([_vector(id_) for id_ in range(50)]))) == {-0.5, 0.5}


def test_a_box_covers_each_code_that_it_touches_and_no_other():
    for box, rows, columns in (
        ((0.25, 0.5, 0.75, 1.0), slice(2, 4), slice(1, 3)),  # along the codes' own edges
        ((0.26, 0.49, 0.74, 0.51), slice(1, 3), slice(1, 3)),
        ((0.0, 0.0, 0.01, 0.01), slice(0, 1), slice(0, 1)),
        ((0.0, 0.0, 1.0, 1.0), slice(0, 4), slice(0, 4)),
    ):
        wanted = np.zeros((4, 4))
        wanted[rows, columns] = 1
        out = laid([Thing("red", box)], encode, 4, 4)
        assert (out.shape, out.dtype) == ((4, 4, LAID), np.float32)
        np.testing.assert_array_equal(out[..., 0], wanted)
        assert not out[wanted == 0].any()
    assert not laid([], encode, 4, 4).any()


def test_a_code_knows_how_far_the_edges_of_its_box_are():
    """From its own middle, in codes, up to the reach."""
    out = laid([Thing("red", (0.25, 0.5, 0.75, 1.0))], encode, 2, 4)
    assert out[1, 1, :EDGES].tolist() == [1, -0.5 / REACH, 1.5 / REACH, -0.5 / REACH, 0.5 / REACH]
    assert out[1, 2, :EDGES].tolist() == [1, -1.5 / REACH, 0.5 / REACH, -0.5 / REACH, 0.5 / REACH]
    far = laid([Thing("red", (0.0, 0.0, 1.0, 1.0))], encode, 3, 20)
    assert far[1, 10, :EDGES].tolist() == [1, -1, 1, -1.5 / REACH, 1.5 / REACH]
    assert far[0, 1, :EDGES].tolist() == [1, -1.5 / REACH, 1, -0.5 / REACH, 2.5 / REACH]


def words(thing, *others):
    """What the one code of a map is told of words."""
    return laid([thing, *others], encode, 1, 1)[0, 0, EDGES:]


def test_words_are_sums_of_the_vectors_of_their_ids():
    whole = (0.0, 0.0, 1.0, 1.0)
    np.testing.assert_array_equal(words(Thing("red ball", whole)), _vector(1) + _vector(3))
    np.testing.assert_array_equal(words(Thing("ball red", whole)), words(Thing("red ball", whole)))
    every = [words(Thing(f"{one} {two}", whole)) for one in ("red", "blue") for two in ("ball", "cube")]
    assert len(np.unique(every, axis=0)) == 4
    assert not words(Thing("", whole)).any()


def test_the_vector_of_an_id_never_changes_and_is_unlike_all_others():
    """Weights have learned what each means."""
    assert "".join("-+"[int(n > 0)] for n in _vector(300)) == "-++++-+-+++++--+-+++--+-++-++-+-"
    vectors = np.stack([_vector(id_) for id_ in range(16, 416)])
    assert (np.abs(vectors) == 0.5).all()
    assert len(np.unique(vectors, axis=0)) == len(vectors)
    likeness = vectors @ vectors.T * 4 / WORDS - np.eye(len(vectors))
    assert abs(likeness).mean() < 1.2 * (2 / np.pi / WORDS) ** 0.5


def test_the_thing_that_covers_most_of_a_code_is_told_and_the_lower_one_where_both_cover_as_much():
    red, blue = Thing("red", (0.0, 0.0, 1.0, 0.4)), Thing("blue", (0.0, 0.5, 1.0, 0.8))
    behind, front = Thing("red", (0.0, 0.0, 1.0, 0.5)), Thing("blue", (0.0, 0.5, 1.0, 1.0))
    for one, two, wanted in ((red, blue, "red"), (behind, front, "blue")):
        np.testing.assert_array_equal(words(one, two), words(two, one))
        np.testing.assert_array_equal(words(one, two), _vector(LETTERS[wanted]))
    inside = Thing("blue", (0.25, 0.25, 0.75, 0.75))  # of a map of 4 x 4, its codes are covered whole by both
    out = laid([Thing("red", (0.0, 0.0, 1.0, 1.0)), inside], encode, 4, 4)
    assert (out[1:3, 1:3, EDGES:] == _vector(LETTERS["red"])).all()  # which ends lower
    out = laid([Thing("red", (0.0, 0.0, 1.0, 0.5)), inside], encode, 4, 4)
    assert (out[1:3, 1:3, EDGES:] == _vector(LETTERS["blue"])).all()
    assert (out[0, :, EDGES:] == _vector(LETTERS["red"])).all()


def test_a_thing_within_a_part_of_a_picture():
    thing = Thing("red", (0.25, 0.5, 0.75, 1.0))
    assert thing.within(0, 0, 1, 1) == thing
    assert thing.within(0, 0, 0.5, 1) == Thing("red", (0.5, 0.5, 1.0, 1.0))
    assert thing.within(0.5, 0.75, 1, 1) == Thing("red", (0.0, 0.0, 0.5, 1.0))
    assert thing.within(0.375, 0.5, 0.625, 0.75) == Thing("red", (0.0, 0.0, 1.0, 1.0))
    assert thing.within(-1, -1, 2, 2) == Thing("red", (1.25 / 3, 0.5, 1.75 / 3, 2 / 3))
    for outside in ((0, 0, 0.25, 1), (0.75, 0, 1, 1), (0, 0, 1, 0.5), (0, 0, 0.1, 0.1)):
        assert thing.within(*outside) is None


def test_what_changed_between_two_plans_of_a_scene():
    ball, cube = Thing("red ball", (0.1, 0.1, 0.3, 0.3)), Thing("cube", (0.5, 0.5, 0.8, 0.8))
    near, far = Thing("red ball", (0.12, 0.1, 0.32, 0.3)), Thing("red ball", (0.25, 0.1, 0.45, 0.3))
    green = Thing("green ball", ball.box)
    assert changed([ball, cube], [cube, near]) == []
    assert changed([ball, cube], [far, cube]) == [ball, far]
    assert changed([ball, cube], [green, cube]) == [ball, green]
    assert changed([ball, cube], [cube]) == changed([cube], [ball, cube]) == [ball]
    assert changed([ball], [ball, near]) == [near], "each stands for one other, the nearest"
    assert changed([near, ball], [ball]) == [near]
    assert changed([ball, ball], [ball, ball]) == []


def test_overlap_of_boxes():
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert overlap((0, 0, 1, 1), (2, 0, 3, 1)) == overlap((0, 0, 1, 1), (0, 2, 1, 3)) == 0


def test_codes_that_things_touch_and_those_around_them():
    thing = Thing("red", (0.25, 0.26, 0.5, 0.5))
    wanted = np.zeros((4, 8), bool)
    wanted[1, 2:4] = True
    np.testing.assert_array_equal(covered([thing], 4, 8), wanted)
    wanted[0:3, 1:5] = True
    np.testing.assert_array_equal(covered([thing], 4, 8, margin=1), wanted)
    corner = covered([thing, Thing("blue", (0.9, 0.9, 1.0, 1.0))], 4, 8, margin=1)
    wanted[2:, 6:] = True
    np.testing.assert_array_equal(corner, wanted)
    assert not covered([], 4, 8, margin=1).any()


def test_what_a_part_tells_lies_in_the_whole_where_it_was():
    part = (0.1, 0.0, 0.9, 0.7)
    thing = Thing("ball", (0.25, 0.125, 0.5, 0.5))
    whole = thing.around(*part)
    assert whole.box == pytest.approx((0.3, 0.0875, 0.5, 0.35))
    assert whole.within(*part).box == pytest.approx(thing.box)


def test_things_of_two_plans_are_paired_by_words_and_nearness():
    def ball(x):
        return Thing("ball", (x, 0.0, x + 0.1, 0.1))

    before = [ball(0.0), ball(0.5), Thing("cube", (0.8, 0.8, 0.9, 0.9))]
    assert paired(before, [ball(0.45), ball(0.2)]) == {1: 0, 0: 1}
    assert paired(before, [ball(0.45), ball(0.2)], within=0.1) == {1: 0}
    assert paired(before, [ball(0.1)]) == {0: 0}
    assert paired([], before) == {}


def test_what_half_of_the_plans_tell_is_agreed_on():
    """Each plan counts once for a thing; boxes that lie far apart are two things, of which one may be told alone."""
    ball, near, far = (Thing("ball", (x, 0.0, x + 0.2, 0.2)) for x in (0.0, 0.1, 0.6))
    cube = Thing("cube", (0.5, 0.5, 0.7, 0.7))
    assert agreed([[ball], [near, cube], [cube, far], [ball]]) == (ball, cube)
    assert agreed([[ball], [far]]) == (ball,)
    assert agreed([[ball, near], [], []]) == ()
    named = Thing("cube", ball.box)
    assert agreed([[named], [ball], [ball], [ball]]) == (ball,)
    assert agreed([[ball], [named], [ball], [named]]) == (ball,)
    assert agreed([[named], [ball], [ball, named], [ball]]) == (ball,)
    beside = Thing("cube", (0.05, 0.0, 0.25, 0.2))
    assert agreed([[ball, beside]] * 3) == (ball, beside)
    assert agreed([[ball], [far], [ball], [far]]) == (ball,)  # one thing in two places
    assert agreed([[far], [ball, far], [ball, far], [ball]]) == (far, ball)
    assert agreed([[ball], [far], [], []]) == ()
    assert agreed([[ball, far], [ball], [ball], [far]]) == (ball, far)  # two things, since one plan tells both
    assert agreed([[cube]]) == (cube,)
    assert agreed([[], []]) == ()
    (both,) = agreed([[ball], [near]])
    assert both.box == pytest.approx((0.05, 0.0, 0.25, 0.2))


def test_what_a_clip_and_its_frame_tell_stands_in_the_middle():
    ball, cube = Thing("red ball", (0.2, 0.4, 0.4, 0.6)), Thing("blue cube", (0.6, 0.5, 0.8, 0.8))
    near, far = Thing("red ball", (0.25, 0.4, 0.45, 0.6)), Thing("red ball", (0.6, 0.4, 0.8, 0.6))
    first, second = joined([ball, cube], [near, cube])
    assert (first.words, second) == ("red ball", cube)
    assert first.box == pytest.approx((0.225, 0.4, 0.425, 0.6))
    assert joined([ball], [near], share=1.0)[0].box == pytest.approx(near.box)
    assert joined([ball], [far]) == (ball,)
    assert joined([ball], [Thing("red cube", near.box)]) == (ball,)


def test_what_a_frame_alone_tells_is_new_where_nothing_else_stands():
    ball, cube = Thing("red ball", (0.2, 0.4, 0.4, 0.6)), Thing("blue cube", (0.6, 0.5, 0.8, 0.8))
    over, beside = Thing("red cube", (0.25, 0.4, 0.45, 0.6)), Thing("red ball", (0.65, 0.5, 0.85, 0.8))
    assert joined([ball], [ball, cube], [cube]) == (ball, cube)
    assert joined([ball], [ball, cube], []) == (ball,)
    assert joined([ball], [over], [over]) == (ball,)
    assert joined([ball], [cube, beside], [cube, beside]) == (ball, cube)  # two names for one place: the first
    assert joined([cube], [ball, beside], [ball, beside]) == (cube, ball)
    far = Thing("red ball", (0.6, 0.0, 0.8, 0.2))
    assert joined([ball], [far], [far]) == (ball,)  # it moved, or was misread
    assert joined([ball], [ball, far], [ball, far]) == (ball, far)
