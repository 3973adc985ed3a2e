"""Words and labels of the tabletop world, most on scenes made by hand: nothing is rendered."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from triptych.data.folder import Finding, scan
from triptych.data.records import things
from triptych.sequence.plan import parse, write
from triptych.worlds.tabletop.audit import _check_places, _shapes_tell, balance_problems, derive
from triptych.worlds.tabletop.clips import clip_record, is_arm, story_clip
from triptych.worlds.tabletop.geometry import View, sightings
from triptych.worlds.tabletop.language import (
    ATTRIBUTES,
    LANGUAGES,
    ZH,
    listing,
    phrase,
    picture_texts,
    place_texts,
    relations,
    the,
    whereabouts,
)
from triptych.worlds.tabletop.narrate import clip_texts, event_rows, say
from triptych.worlds.tabletop.physics import Event
from triptych.worlds.tabletop.questions import picture_questions, place_questions
from triptych.worlds.tabletop.reasoning import told_by_looks
from triptych.worlds.tabletop.scene import (
    COLORS,
    SHAPES,
    WITHHELD,
    generator,
    poses,
)
from triptych.worlds.tabletop.stills import boxes, picture_record, place_of, still_scene, tracked

SIZE = 224


def thing(number: int, words: str, x: float, y: float, depth: float) -> dict:
    size, color, material, shape = words.split()
    box = [x - 15, y - 15, x + 15, y + 15]
    look = {"shape": shape, "color": color, "material": material, "size": size}
    return {"id": number, **look, "center": [x, y], "box": box, "visible": 1.0, "depth": depth}


BALL = thing(0, "small red metal ball", 50, 120, 5.0)
CUBE = thing(1, "large blue rubber cube", 160, 110, 5.1)
NEAR = thing(2, "small orange plastic cone", 90, 180, 4.1)


def test_names_are_as_short_as_they_can_be_and_fit_one_object_only() -> None:
    red, other = BALL, thing(3, "large red metal ball", 160, 120, 5.0)
    assert the(red, [red, CUBE], "en") == "the red ball"
    assert the(red, [red, CUBE], "zh") == "红色的球"
    assert the(red, [red, other], "en") == "the small ball"
    assert the(other, [red, other], "zh") == "大球"


def test_chinese_puts_colour_before_size_material_and_noun() -> None:
    assert phrase(BALL, ("size", "color", "material"), "zh") == "红色的小金属球"
    assert phrase(CUBE, ("size", "material"), "zh") == "大橡胶方块"


def test_equal_phrases_are_counted() -> None:
    pair = [BALL, thing(3, "large red rubber ball", 160, 120, 5.0)]
    assert listing(pair, [("color",)] * 2, "en") == "two red balls"
    assert listing(pair, [("color",)] * 2, "zh") == "两个红色的球"
    assert listing([NEAR, BALL], [("color",)] * 2, "en") == "an orange cone and a red ball"
    assert listing([BALL, CUBE], [("color",)] * 2, "zh") == "一个红色的球和一个蓝色的方块"


def test_relations_hold_with_a_margin_and_in_both_directions() -> None:
    assert relations(BALL, CUBE, SIZE) == ["left"]
    assert relations(CUBE, BALL, SIZE) == ["right"]
    assert relations(NEAR, BALL, SIZE) == ["right", "front"] or relations(NEAR, BALL, SIZE) == ["front"]
    assert "behind" in relations(BALL, NEAR, SIZE)
    assert relations(BALL, thing(4, "small red metal ball", 60, 121, 5.0), SIZE) == []


def test_the_wanted_style_of_caption_appears() -> None:
    wanted = "a small red metal ball to the left of a blue cube"
    texts = [picture_texts(np.random.default_rng(i), [BALL, CUBE], "wood", SIZE) for i in range(60)]
    assert any(t == wanted or t.startswith(wanted + ",") for row in texts for t in row["en"])
    assert any("在一个蓝色的方块的左边" in t for row in texts for t in row["zh"])
    assert all(len(row[lang]) == 6 for row in texts for lang in LANGUAGES)


def test_places_are_told_where_they_are_clear() -> None:
    near_the_edge_of_the_middle = thing(3, "small red metal ball", 0.40 * SIZE, 110, 5.0)
    stacked = {**BALL, "on": 1}
    places = [whereabouts(t, SIZE) for t in (BALL, CUBE, NEAR, near_the_edge_of_the_middle, stacked)]
    assert places == [("left", None), ("right", None), None, None, None]
    assert whereabouts(thing(4, "small red metal ball", 112, 60, 6.0), SIZE) == (None, "back")
    texts = place_texts(np.random.default_rng(1), [NEAR, BALL], "wood", SIZE)
    assert texts["en"][0].startswith("on a wooden table: a ")
    assert "ball on the left and a" in texts["en"][0]
    assert texts["zh"][0].startswith("木桌上，画面左边有一个")
    assert "，还有一个" in texts["zh"][0]
    assert place_texts(np.random.default_rng(1), [NEAR], "wood", SIZE) == {"en": [], "zh": []}
    for seed in range(20):
        (question, chinese) = place_questions(np.random.default_rng(seed), [BALL, CUBE, NEAR], SIZE)
        assert derive(question, [BALL, CUBE, NEAR], SIZE) == question["answer"]
        assert (question["answer"], chinese["answer"]) in (("on the left", "左边"), ("on the right", "右边"))


def test_wrong_places_are_noticed() -> None:
    things = [BALL, CUBE, NEAR]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        row = {"texts": place_texts(rng, things, "wood", SIZE), "qa": place_questions(rng, things, SIZE)}
        assert list(_check_places(row, things, SIZE)) == []
        english, chinese = row["texts"]["en"][0], row["texts"]["zh"][0]
        for wrong in (
            {"en": [english.replace("on the left", "at the back")]},
            {"en": [english.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")]},
            {"en": []},
            {"en": [english, english]},
            {"zh": [chinese.replace("画面左边", "画面左后方")]},
            {"zh": [chinese.replace("画面", "")]},
        ):
            assert list(_check_places({**row, "texts": row["texts"] | wrong}, things, SIZE)), wrong
        other = [{**q, "answer": "中间"} if q["lang"] == "zh" else q for q in row["qa"]]
        assert list(_check_places({**row, "qa": other}, things, SIZE))
    question = {"question": "Where is the red ball?", "answer": "on the right", "lang": "en"}
    assert derive(question, things, SIZE) == "on the left"


def test_words_of_places_come_after_all_others() -> None:
    number, _ = place_of(0)
    scene, attempt = still_scene(3, "train", 1, number, SIZE)
    record, again = (picture_record(scene, 3, "train", 0, attempt, SIZE) for _ in range(2))
    rng = generator(3, "train", scene.level, "picture", number, 1000)
    things = record["truth"]["objects"]
    assert record == again
    texts, questions = picture_texts(rng, things, scene.floor, SIZE), picture_questions(rng, things, scene.level, SIZE)
    assert all(record["texts"][lang][:6] == texts[lang] for lang in LANGUAGES)
    assert record["qa"][: len(questions)] == questions


@pytest.mark.parametrize("seed", range(40))
def test_captions_name_exactly_what_is_there(seed: int) -> None:
    things = [BALL, CUBE, NEAR][: 1 + seed % 3]
    texts = picture_texts(np.random.default_rng(seed), things, "marble", SIZE)
    absent = set(COLORS) - {t["color"] for t in things}
    for text in texts["en"]:
        assert not [c for c in absent if re.search(rf"\b{c}\b", text)], text
        for shape in {t["shape"] for t in things}:
            assert shape in text
    for text in texts["zh"]:
        assert not [c for c in absent if ZH[c] in text], text
        assert all(ZH[t["shape"]] in text for t in things), text
        assert not re.search("[a-z]", text), text


@pytest.mark.parametrize("seed", range(60))
def test_every_answer_follows_from_the_truth(seed: int) -> None:
    things = [BALL, CUBE, NEAR]
    rows = picture_questions(np.random.default_rng(seed), things, 1, SIZE)
    english = [q for q in rows if q["lang"] == "en"]
    assert len(english) * 2 == len(rows) >= 6
    for question in english:
        assert derive(question, things, SIZE) == question["answer"], question


def test_a_wrong_answer_is_noticed() -> None:
    question = {"question": "Is the red ball to the left of the blue cube?", "answer": "no", "lang": "en"}
    assert derive(question, [BALL, CUBE], SIZE) == "yes"
    question["question"] = "How many metal objects are there?"
    assert derive(question, [BALL, CUBE], SIZE) == "1"


def test_yes_and_no_are_balanced_and_an_unbalanced_form_is_noticed() -> None:
    answers = {"yes": 0, "no": 0}
    for seed in range(400):
        for q in picture_questions(np.random.default_rng(seed), [BALL, CUBE, NEAR], 1, SIZE):
            if q["kind"] in ("relation", "exists") and q["lang"] == "en":
                answers[q["answer"]] += 1
    share = answers["yes"] / sum(answers.values())
    assert 0.43 < share < 0.57
    from collections import Counter

    assert not balance_problems({"form": Counter(yes=100, no=100)})
    assert balance_problems({"form": Counter(yes=180, no=20)})


def test_events_are_told_in_both_languages_with_times() -> None:
    things = {0: BALL, 1: CUBE}
    events = [Event("collide", (0, 1), 0.52), Event("stop", (1,), 1.2)]
    assert say(events[0], things, "en") == "the red ball hits the blue cube"
    assert say(events[0], things, "zh") == "红色的球撞上蓝色的方块"
    texts = clip_texts(np.random.default_rng(0), events, things, "wood")
    assert texts["en"][0].startswith("[0.5s] the red ball ")
    assert "; [1.2s] the blue cube " in texts["en"][0]
    assert texts["zh"][0].startswith("[0.5秒] 红色的球")
    rows = event_rows(events, things)
    assert all(0 <= r["start"] < r["end"] <= 2 for r in rows)


def test_boxes_and_visibility_of_a_known_scene() -> None:
    view = View(0, 0, 5, 40, SIZE, target=(0, 0, 0))
    upright = np.array([1.0, 0, 0, 0])
    front, behind = ("ball", 0.3, np.array([0.0, -1, 0]), upright), ("ball", 0.3, np.array([0.0, 1, 0]), upright)
    beside = ("ball", 0.3, np.array([1.0, 0, 0]), upright)
    first, second, third = sightings(view, [front, behind, beside])
    assert first["visible"] == 1.0
    assert second["visible"] < 0.05
    assert third["visible"] == 1.0
    assert third["center"][0] > 112 > third["center"][1] - 1
    assert first["depth"] == pytest.approx(4.0)
    assert first["box"][2] - first["box"][0] == pytest.approx(2 * 0.3 * view.focal / 4, rel=0.03)
    outside = sightings(view, [("ball", 0.3, np.array([4.0, 0, 0]), upright)])[0]
    assert outside["box"] is None
    assert outside["visible"] == 0


def test_splits_share_no_stream_of_numbers() -> None:
    streams = {
        split: {
            tuple(generator(s, split, 1, "picture", i).integers(2**60, size=2)) for s in range(3) for i in range(50)
        }
        for split in ("train", "validation", "test")
    }
    assert all(len(v) == 150 for v in streams.values())
    assert not streams["train"] & streams["validation"]
    assert not streams["train"] & streams["test"]
    assert not streams["validation"] & streams["test"]
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        generator(0, "dev", 1, "picture", 0)


def test_withheld_pairs_appear_in_test_only() -> None:
    share = {}
    for split in ("train", "validation", "test"):
        scenes = [still_scene(3, split, 1, n, SIZE)[0] for n in range(0, 200) if n % 5 != 4]
        share[split] = np.mean([any((t.color, t.shape) in WITHHELD for t in s.things) for s in scenes])
    assert share["train"] == share["validation"] == 0
    assert 0.2 < share["test"] < 0.4
    assert {c for c, _ in WITHHELD} <= set(COLORS)
    assert len([p for p in WITHHELD if p[1] in SHAPES[1]]) >= 6


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_every_object_of_a_still_scene_can_be_seen_in_every_view(level: int) -> None:
    for number in range(4, 20, 5):
        scene, _ = still_scene(0, "train", level, number, SIZE)
        for step in (0, 20, 40, 60):
            for row in sightings(scene.view(SIZE, step), poses(scene.things)):
                assert row["visible"] >= 0.6
                assert 0 <= min(row["box"]) <= max(row["box"]) <= SIZE


def test_level_one_objects_are_large_enough_and_sizes_can_be_told_apart() -> None:
    widths: dict[str, list[float]] = {"small": [], "large": []}
    for number in range(0, 120):
        scene, _ = still_scene(1, "train", 1, number, SIZE)
        for t, row in zip(scene.things, sightings(scene.view(SIZE), poses(scene.things)), strict=True):
            widths[t.size].append(max(row["box"][2] - row["box"][0], row["box"][3] - row["box"][1]))
    assert min(widths["small"]) >= 22
    assert np.mean(widths["small"]) >= 28
    assert np.mean(widths["large"]) > 1.45 * np.mean(widths["small"])


def test_pictures_are_half_singles_and_half_views() -> None:
    places = [place_of(i) for i in range(16)]
    assert [p[1] for p in places[:8]] == [None] * 4 + [0, 1, 2, 3]
    assert len({p[0] for p in places}) == 10


def test_views_of_one_scene_are_labelled_each_for_itself() -> None:
    number, _ = place_of(4)
    scene, attempt = still_scene(0, "train", 1, number, SIZE)
    records = [picture_record(scene, 0, "train", 4 + step, attempt, SIZE) for step in range(4)]
    assert [r["sequence"] for r in records] == [{"id": f"scene-{number}", "index": i} for i in range(4)]
    centers = [tuple(o["center"][0] for o in r["truth"]["objects"]) for r in records]
    assert len(set(centers)) == 4
    looks = [[(o["shape"], o["color"]) for o in r["truth"]["objects"]] for r in records]
    assert all(look == looks[0] for look in looks)
    azimuths = [r["truth"]["camera"]["azimuth"] for r in records]
    assert np.diff(azimuths) == pytest.approx([20, 20, 20], abs=0.05)


def test_shapes_tell_what_would_happen_without_a_thing_where_only_one_starts() -> None:
    assert told_by_looks("ball", ["cube", "cone"])
    assert told_by_looks("ball", ["egg", "cube"])
    assert told_by_looks("cube", ["cone", "cone"])
    assert told_by_looks("cone", ["cube", "ball"])
    assert not told_by_looks("ball", ["ball", "cone"])
    assert not told_by_looks("ball", ["cone", "ball"])
    assert not told_by_looks("cube", ["cylinder", "cone"])


def test_both_answers_are_asked_and_shapes_dont_tell_which() -> None:
    pytest.importorskip("mujoco", reason="another simulation")
    asked = []
    for index in range(24):
        if not is_arm(index):
            record = clip_record(story_clip(31, "train", 0, index, SIZE, 0), 31, "train", index)
            asked.append([q for q in record["qa"] if q["kind"] == "counterfactual" and q["lang"] == "en"])
    assert max(map(len, asked)) == 2
    assert all({q["answer"] for q in some} == {"yes", "no"} for some in asked if len(some) == 2)
    assert not any(_shapes_tell(q) for some in asked for q in some)
    assert _shapes_tell({"question": "Without the red ball, would the blue cube and the gray cone collide?"})
    assert not _shapes_tell({"question": "How many collisions happen?"})


def test_boxes_by_hand() -> None:
    beyond = {**CUBE, "box": [-3.04, 100.26, 230.0, 110.0]}
    assert boxes([BALL, beyond], SIZE) == {
        "bbox": [[35, 105, 30, 30], [0, 100.3, 224, 9.7]],
        "categories": [
            {"en": "small red metal ball", "zh": "红色的小金属球"},
            {"en": "large blue rubber cube", "zh": "蓝色的大橡胶方块"},
        ],
    }


def test_a_clip_tells_its_boxes_at_every_half_second() -> None:
    def seen(number: int, left: float, visible: float = 1.0) -> dict:
        return {"id": number, "box": [left, 20.0, left + 10, 40.0], "visible": visible}

    frames = [[seen(0, frame), seen(1, 100, 0.1 if frame > 4 else 0.9)] for frame in range(9)]
    record = {"truth": {"objects": [BALL, CUBE], "frames": frames}}
    told = tracked(record, SIZE)
    assert told["truth"] is record["truth"]
    assert told["objects"] == {
        "bbox": [[0, 20, 10, 20], [100, 20, 10, 20], [4, 20, 10, 20], [100, 20, 10, 20], [8, 20, 10, 20]],
        "categories": [
            {lang: phrase(o, ATTRIBUTES, lang) for lang in LANGUAGES} for o in (BALL, CUBE, BALL, CUBE, BALL)
        ],
        "times": [0.0, 0.0, 0.5, 0.5, 1.0],
    }
    hidden = {"truth": {"objects": [BALL], "frames": [[seen(0, 0, 0.2)]] * 5}}
    assert tracked(hidden, SIZE) is hidden


def test_boxes_are_read_from_a_folder_and_stand_in_the_picture(tmp_path) -> None:
    """Everything that can be seen has its box, in both languages, in the order of the truth."""
    rows = []
    for index in range(16):
        number, _ = place_of(index)
        scene, attempt = still_scene(3, "train", index % 4, number, SIZE)
        rows.append(picture_record(scene, 3, "train", index, attempt, SIZE) | {"file_name": f"{index:02}.png"})
        Image.new("RGB", (SIZE, SIZE)).save(tmp_path / rows[-1]["file_name"])
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    findings: list[Finding] = []
    records = list(scan(tmp_path, findings.append))
    assert not findings
    for row, record in zip(rows, records, strict=True):
        truth = row["truth"]["objects"]
        assert [[t.text for t in box.texts] for box in record.objects] == [
            [phrase(o, ATTRIBUTES, lang) for lang in LANGUAGES] for o in truth
        ]
        for box, seen in zip(record.objects, truth, strict=True):
            np.testing.assert_allclose(box.box, seen["box"], atol=0.11)
            assert 0 <= min(box.box) < max(box.box) <= SIZE + 0.11
        sized = record.model_copy(update={"width": SIZE, "height": SIZE})
        for lang in LANGUAGES:
            assert len(parse(write(things(sized, lang)))) == len(truth)
    assert sum(len(record.objects) for record in records) > 16
