"""What else a thing may be called: parts that stand between the same words stand for one another anywhere."""

import pytest

from triptych.sequence import names
from triptych.sequence.names import Variants, are_near

RED, BLUE, METAL, RUBBER, BALL, CONE, TIP, SMALL = range(8)


def test_parts_of_several_ids_stand_for_one_another():
    known = Variants([[RED, BALL], [RED, CONE, TIP], [BLUE, BALL]])
    assert (BLUE, CONE, TIP) in known.of([BLUE, BALL])
    assert (BLUE, BALL) in known.of([BLUE, CONE, TIP])
    assert (RED, BALL) in known.of([BLUE, BALL])


def test_nothing_else_is_conceivable():
    known = Variants([[RED, METAL, BALL], [BLUE, METAL, BALL], [RED, RUBBER, BALL]])
    assert set(known.of([BLUE, RUBBER, BALL])) == {(RED, RUBBER, BALL), (BLUE, METAL, BALL)}  # one part differs
    assert known.of([SMALL, CONE]) == []
    assert Variants([]).of([RED]) == []


def test_a_name_is_no_variant_of_itself_and_none_comes_twice():
    known = Variants([[RED, BALL], [RED, BALL], [BLUE, BALL]])
    assert known.of([RED, BALL]) == [(BLUE, BALL)]


def test_parts_are_at_most_so_long():
    long = [RED] * names.LONGEST
    known = Variants([[SMALL, *long], [SMALL, BLUE], [SMALL, *long, METAL], [SMALL, CONE]])
    assert (SMALL, BLUE) in known.of([SMALL, *long])
    assert (SMALL, BLUE) not in known.of([SMALL, *long, METAL])
    assert (SMALL, CONE) in known.of([SMALL, BLUE])


def test_a_whole_name_is_no_part_of_another():
    known = Variants([[BALL], [RED, BALL], [SMALL, BALL], [RED, SMALL, BALL]])
    assert set(known.of([RED, BALL])) == {(BALL,), (SMALL, BALL), (RED, SMALL, BALL)}
    assert set(known.of([BALL])) == {(RED, BALL), (SMALL, BALL), (RED, SMALL, BALL)}


@pytest.mark.parametrize(
    ("one", "two", "near"),
    [
        ("large gray rubber ball", "large gray metal ball", True),
        ("large gray rubber ball", "large gray rubber ball", True),
        ("large red plastic cylinder", "large blue metal cylinder", False),
        ("small gray rubber cube", "small red plastic cube", False),
        ("red ball", "red cube", True),
        ("red ball", "blue cube", False),
        ("ball", "cube", False),
        ("红 色 的 大 塑 料 圆 柱 体", "红 色 的 大 金 属 圆 柱 体", True),
        ("红 色 的 大 塑 料 圆 柱 体", "蓝 色 的 大 金 属 圆 柱 体", False),
        ("红 色 的 大 塑 料 圆 柱 体", "蓝 色 的 小 塑 料 圆 锥 体", False),
    ],
)
def test_names_that_are_near_differ_in_one_part(one, two, near):
    ids = {}
    first, second = ([ids.setdefault(word, len(ids)) for word in name.split()] for name in (one, two))
    assert are_near(first, second) == are_near(second, first) == near
