import numpy as np
import pytest

from triptych.evaluate import metrics, words
from triptych.worlds.tabletop.language import picture_texts, place_texts
from triptych.worlds.tabletop.narrate import SAYINGS, clip_texts
from triptych.worlds.tabletop.physics import Event

from .small import sample


def test_objects_of_english() -> None:
    assert words.objects("a small red metal ball to the left of a blue cube, and two green cones") == [
        {"size": "small", "color": "red", "material": "metal", "shape": "ball"},
        {"color": "blue", "shape": "cube"},
        {"color": "green", "shape": "cone"},
        {"color": "green", "shape": "cone"},
    ]
    assert words.objects("A wooden table with an egg. The egg is behind.") == [{"shape": "egg"}]
    assert words.objects("the red ball hits the red ball") == [{"color": "red", "shape": "ball"}]
    assert words.objects("nothing at all") == []


def test_objects_of_chinese() -> None:
    assert words.objects("一个红色的小金属球在一个蓝色的方块的左边，还有两个椭球") == [
        {"color": "red", "size": "small", "material": "metal", "shape": "ball"},
        {"color": "blue", "shape": "cube"},
        {"shape": "egg"},
        {"shape": "egg"},
    ]
    assert words.objects("大理石桌面上有三个物体，从左到右是一个橡胶圆柱体") == [
        {"material": "rubber", "shape": "cylinder"}
    ]
    assert words.objects("红球") == [{"color": "red", "shape": "ball"}]


def test_relations() -> None:
    assert words.relations("a red ball in front of a blue cube, and a cone") == [(0, "front", 1)]
    assert words.relations("一个红色的球在一个蓝色的方块的右边") == [(0, "right", 1)]
    text = "From left to right: a red ball and a blue cube. The red ball is behind the blue cube."
    assert words.relations(text) == [(0, "behind", 1)]
    assert words.relations("two balls behind a cube") == [], "which ball is not said"


@pytest.mark.parametrize("seed", range(20))
def test_all_that_the_world_writes_is_read(seed: int) -> None:
    rng = np.random.default_rng(seed)
    objects = sample(rng, 1 + seed % 3, 224)
    placed = place_texts(rng, objects, "marble", 224)
    for lang, texts in picture_texts(rng, objects, "marble", 224).items():
        for text in [*texts, *placed[lang]]:
            said = words.objects(text)
            assert len(said) == len(objects) == metrics.objects_right(said, objects), text
            facts = words.relations(text)
            assert metrics.relations_right(said, facts, objects, 224) == len(facts), text
        if " of " in texts[2] or "的左边" in texts[2]:
            assert words.relations(texts[2])


@pytest.mark.parametrize("seed", range(6))
def test_all_events_that_the_world_tells_are_read(seed: int) -> None:
    rng = np.random.default_rng(seed)
    objects = sample(rng, 3, 224)
    kinds = list(SAYINGS)
    true = [(0.25 * i, kind, (0, 2) if kind == "collide" else (i % 3,)) for i, kind in enumerate(kinds)]
    events = [Event(kind, things, time) for time, kind, things in true]
    for texts in clip_texts(rng, events, {o["id"]: o for o in objects}, "wood").values():
        told = words.events(texts[0], objects)
        assert [event[1:] for event in told] == [event[1:] for event in true]
        assert metrics.match_events(told, true) == len(true)
        untimed = words.events(texts[1], objects)
        assert len(untimed) == 3
        assert metrics.match_events(untimed, true, None) == 3
        assert metrics.match_events(untimed, true) == 0


def test_events_by_hand() -> None:
    assert words.told_events("[0.5s] the red ball hits the blue cube; [1.0s] the red ball stops") == [
        (0.5, "collide", ({"color": "red", "shape": "ball"}, {"color": "blue", "shape": "cube"})),
        (1.0, "stop", ({"color": "red", "shape": "ball"},)),
    ]
    assert words.told_events("[0.5秒] 红色的球撞上蓝色的方块") == [
        (0.5, "collide", ({"color": "red", "shape": "ball"}, {"color": "blue", "shape": "cube"}))
    ]
    assert words.told_events("[0.0s] nothing moves") == []
    assert words.told_events("[9s [1.0s] nonsense; [x") == []
    things = [{"id": 7, "shape": "ball", "color": "red"}, {"id": 8, "shape": "ball", "color": "blue"}]
    assert words.events("[1.0s] the ball falls", things) == [(1.0, "fall", (None,))], "two balls fit"


@pytest.mark.parametrize(
    ("told", "true"),
    [
        ("The red ball.", "red ball"),
        ("an egg", "egg"),
        ("Two", "2"),
        ("三个", "3"),
        ("两次", "2"),
        ("红色的", "红色"),
        ("小", "小的"),
        (" YES ", "yes"),
        ("0.6 s", "0.5 s"),
        ("0.5", "0.5秒"),
        ("金属", "金属"),
    ],
)
def test_answers_alike(told: str, true: str) -> None:
    assert words.same_answer(told, true)


@pytest.mark.parametrize(
    ("told", "true"),
    [
        ("", "yes"),
        ("3", "2"),
        ("有", "没有"),
        ("不在", "在"),
        ("0.8 s", "0.5 s"),
        ("yes", "0.5 s"),
        ("red", "blue"),
        ("否", "是"),
    ],
)
def test_answers_that_differ(told: str, true: str) -> None:
    assert not words.same_answer(told, true)


def test_forms_of_questions() -> None:
    assert words.question_form("Is the red ball in front of the small cube?") == "is # in front of #?"
    assert words.question_form("How many metal objects are there?") == words.question_form("How many balls are there?")
    assert words.question_form("有几个红色的物体？") == words.question_form("有几个球？")
