"""Edits are judged by what their instruction says: a side of something is a side, not one place."""

from types import SimpleNamespace

import pytest

from triptych.evaluate import words
from triptych.evaluate.edit_measures import Edit, asked_made

SIDE = 224.0


def thing(looks, x, y):
    size, color, material, shape = looks.split()
    box = (x - 10, y - 10, x + 10, y + 10)
    return {"size": size, "color": color, "material": material, "shape": shape, "center": (x, y), "box": box}


CUBE = thing("large red metal cube", 120, 120)
BALL = thing("small blue rubber ball", 60, 120)
CONE = thing("small green metal cone", 180, 120)


def edit(kind, text, old, new, *rest):
    return Edit(SimpleNamespace(), SimpleNamespace(), text, kind, (old, new), list(rest or (CUBE,)))


def at(one, x, y):
    return {**one, "center": (x, y)}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("put a small blue ball behind the red cube", ("behind", {"color": "red", "shape": "cube"})),
        ("add a ball in front of the cube", ("front", {"shape": "cube"})),
        ("move the ball to the right of the large cube", ("right", {"size": "large", "shape": "cube"})),
        ("在红色的方块的左边放一个球", ("left", {"color": "red", "shape": "cube"})),
        ("把球移到大方块的后面", ("behind", {"size": "large", "shape": "cube"})),
        ("move the ball to the left", ("left", None)),
        ("Move the ball To the left of the Cube", ("left", {"shape": "cube"})),
        ("把球向右移", ("right", None)),
        ("add a red ball", None),
        ("加上一个红色的球", None),
        ("make the ball red", None),
    ],
)
def test_where_an_instruction_wants_a_thing(text, wanted):
    assert words.whither(text) == wanted


@pytest.mark.parametrize("text", ["add a blue ball to the left of the red cube", "在红色的方块的左边放一个蓝色的球"])
def test_what_is_added_may_stand_anywhere_on_the_side_that_was_asked_for(text):
    e = edit("add", text, None, BALL)
    assert asked_made(e, [CUBE, at(BALL, 20, 200)], SIDE) == 1
    assert asked_made(e, [CUBE, at(BALL, 200, 120)], SIDE) == 0
    assert asked_made(e, [CUBE, thing("large blue metal ball", 30, 60)], SIDE) == 1  # size and material are free
    assert asked_made(e, [CUBE, thing("small red rubber ball", 30, 60)], SIDE) == 0
    assert asked_made(e, [CUBE], SIDE) == 0


def test_what_is_added_has_the_looks_that_were_asked_for_and_is_not_one_of_the_others():
    e = edit("add", "add a small blue rubber ball", None, BALL)
    assert asked_made(e, [CUBE, at(BALL, 200, 30)], SIDE) == 1  # no place was asked for
    assert asked_made(e, [CUBE, thing("small blue metal ball", 200, 30)], SIDE) == 0
    twin = edit("add", "add a small blue rubber ball", None, BALL, CUBE, at(BALL, 200, 30))
    assert asked_made(twin, [CUBE, at(BALL, 200, 30)], SIDE) == 0
    assert asked_made(twin, [CUBE, at(BALL, 200, 30), BALL], SIDE) == 1


@pytest.mark.parametrize("text", ["move the blue ball behind the red cube", "把蓝色的球移到红色的方块的后面"])
def test_what_is_moved_stands_on_the_side_that_was_asked_for_and_not_where_it_was(text):
    e = edit("move", text, BALL, at(BALL, 120, 60))
    assert asked_made(e, [CUBE, at(BALL, 20, 50)], SIDE) == 1
    assert asked_made(e, [CUBE, at(BALL, 20, 180)], SIDE) == 0
    assert asked_made(e, [CUBE, BALL, at(BALL, 20, 50)], SIDE) == 0  # it is still there, too


@pytest.mark.parametrize(("text", "way"), [("move the ball to the left", -1), ("把球向右移", 1)])
def test_what_is_moved_aside_has_moved(text, way):
    e = edit("move", text, BALL, at(BALL, 60 + way * 50, 120))
    assert asked_made(e, [CUBE, at(BALL, 60 + way * 30, 140)], SIDE) == 1
    assert asked_made(e, [CUBE, at(BALL, 60 + way * 10, 150)], SIDE) == 0
    assert asked_made(e, [CUBE, at(BALL, 60 - way * 30, 120)], SIDE) == 0


def test_what_stood_on_that_side_before_has_to_move_that_way():
    """Or a thing that drifts anywhere would count as moved."""
    e = edit("move", "move the blue ball to the left of the red cube", BALL, at(BALL, 25, 60))
    assert asked_made(e, [CUBE, at(BALL, 62, 160)], SIDE) == 0
    assert asked_made(e, [CUBE, at(BALL, 90, 110)], SIDE) == 0
    assert asked_made(e, [CUBE, at(BALL, 30, 160)], SIDE) == 1
    assert asked_made(e, [CUBE, at(BALL, 30, 65)], SIDE) == 1


def test_a_place_that_is_not_understood_is_that_of_the_truth():
    e = edit("add", "add a small blue rubber ball next to the red cube", None, BALL)
    assert asked_made(e, [CUBE, at(BALL, 65, 125)], SIDE) == 1
    assert asked_made(e, [CUBE, at(BALL, 200, 30)], SIDE) == 0
    aside = edit("add", "add a small blue rubber ball to the left", None, BALL)
    assert asked_made(aside, [CUBE, at(BALL, 200, 30)], SIDE) == 0
    moved = edit("move", "move the ball away", BALL, at(BALL, 200, 60))
    assert asked_made(moved, [CUBE, at(BALL, 200, 65)], SIDE) == 1
    assert asked_made(moved, [CUBE, at(BALL, 120, 200)], SIDE) == 0


def test_where_it_is_unclear_beside_what_the_place_is_that_of_the_truth():
    two = edit("move", "move the ball to the left of the cube", BALL, at(BALL, 30, 60), CUBE, at(CUBE, 200, 40))
    assert asked_made(two, [CUBE, at(CUBE, 200, 40), at(BALL, 35, 62)], SIDE) == 1
    assert asked_made(two, [CUBE, at(CUBE, 200, 40), at(BALL, 90, 200)], SIDE) == 0


def test_other_changes_are_made_where_the_thing_stands():
    e = edit("color", "make the cone blue", CONE, {**CONE, "color": "blue"})
    assert asked_made(e, [CUBE, thing("small blue metal cone", 180, 125)], SIDE) == 1
    assert asked_made(e, [CUBE, thing("large blue rubber cone", 180, 125)], SIDE) == 1  # may be misread
    assert asked_made(e, [CUBE, thing("small blue metal cone", 120, 30)], SIDE) == 0
    assert asked_made(e, [CUBE, CONE], SIDE) == 0
    gone = edit("remove", "remove the cone", CONE, None)
    assert asked_made(gone, [CUBE], SIDE) == 1
    assert asked_made(gone, [CUBE, CONE], SIDE) == 0
