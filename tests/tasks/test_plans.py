"""Plans: written by a model, laid beside what it draws, and told with the picture."""

import hashlib
import json

import numpy as np
import pytest

import triptych
from triptych.config import EDGES, LAID
from triptych.sequence.layout import grouped
from triptych.sequence.plan import Thing, laid, write
from triptych.sequence.vocab import Special
from triptych.tasks import canvas, planning
from triptych.tasks.canvas import UNKNOWN
from triptych.tasks.orders import Order, again, order_of
from triptych.tasks.request import Request, checked
from triptych.tasks.settings import DrawSettings

GIVEN = "red ball 0 0 50 100; blue cube 60 10 100 90"


def understood(text):
    """Random weights write no plan: another one for each text that they write."""
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())
    left, top = number % 50 / 100, number // 50 % 50 / 100
    return (Thing(("red ball", "blue cube")[number % 2], (left, top, left + 0.5, top + 0.5)),)


@pytest.fixture
def model(plain, monkeypatch):
    """The model, said to have learned plans, which are cut short."""
    monkeypatch.setitem(plain._model.bundle.info.made, "planned", ["view", "edit", "things"])
    monkeypatch.setattr(planning, "LIMIT", 4)
    monkeypatch.setattr(planning, "parse_what_can_be", understood)
    return plain


def is_shown(row):
    """Whether a prompt holds a picture."""
    return int(Special.VISUAL) in row.ids.tolist()


def drawings(model, monkeypatch):
    """Collects the prompts of all drawings and what is given of each."""
    seen, generate = [], type(model._model.engine).generate

    def spy(self, prompts, plan, sampling, **more):
        if "given" in more:
            seen.append((prompts, more["unconditional"], more["given"]))
        return generate(self, prompts, plan, sampling, **more)

    monkeypatch.setattr(type(model._model.engine), "generate", spy)
    return seen


def test_a_text_is_drawn_by_a_plan_of_its_own(model):
    auto = model.draw("a red ball", seed=3, best_of=1)[0]
    none = model.draw("a red ball", seed=3, best_of=1, plan="none")[0]
    assert auto.plan
    assert none.plan == ""
    assert (auto.pixels != none.pixels).any()
    by_it = model.draw("a red ball", seed=3, best_of=1, plan=auto.plan)[0]
    np.testing.assert_array_equal(by_it.pixels, auto.pixels)
    assert by_it.plan == auto.plan
    assert auto.settings["plan"] == "auto"
    assert by_it.settings["plan"] == auto.as_dict()["plan"] == auto.plan


def test_a_given_plan_changes_the_picture_and_is_told(model):
    pictures = [model.draw("a", seed=1, plan=text)[0] for text in (GIVEN, GIVEN.replace("red", "blue"), "none")]
    assert len({picture.pixels.tobytes() for picture in pictures}) == 3
    assert [picture.plan for picture in pictures[:2]] == [GIVEN, GIVEN.replace("red", "blue")]
    turned = model.draw("a", seed=1, plan="blue cube 60 10 100 90\nred ball 0 0 50 100；")[0]
    assert turned.plan == GIVEN
    np.testing.assert_array_equal(turned.pixels, pictures[0].pixels)


def test_a_plan_is_laid_beside_the_picture_but_not_beside_what_guidance_leads_away_from(model, monkeypatch):
    seen = drawings(model, monkeypatch)
    model.draw("a red ball", best_of=1, plan=GIVEN)
    ((prompt,), (without,), _) = seen[0]
    things = [Thing("red ball", (0.0, 0.0, 0.5, 1.0)), Thing("blue cube", (0.6, 0.1, 1.0, 0.9))]
    wanted = grouped(laid(things, model._model.encode, 4, 4), 2).reshape(4, -1)
    np.testing.assert_array_equal(prompt.plans[0], wanted)
    assert without.plans == ()


def test_a_seed_draws_the_same_picture_by_a_plan_alone_and_among_others(model, noise):
    how = DrawSettings(guidance=1.5)
    orders = [
        Order("a red ball", 6, how),
        Order("a", 2, how.changed({"plan": GIVEN})),
        Order("a longer text of several words " * 3, 5, how.changed({"best_of": 2})),
        Order("make the ball green", 4, how, "edit", {"image": noise}),
        Order("", 1, how),
        Order("b", 3, how.changed({"width": 128, "plan": GIVEN})),
        *(Order("c", seed, how) for seed in range(14)),
    ]
    together = dict(model.fulfil(orders))
    assert len({picture.plan for picture in together.values()}) > 6
    for number in range(6):
        alone = dict(model.fulfil([orders[number]]))[0]
        assert alone.plan == together[number].plan
        np.testing.assert_array_equal(alone.pixels, together[number].pixels)


def test_each_candidate_has_a_plan_of_its_own_and_the_kept_one_s_is_told(model):
    picture = model.draw("a red ball", seed=4, best_of=5)[0]
    seeds = [4, *(canvas.derived(4, "candidate", place) for place in range(1, 5))]
    each = model.draw_many(["a red ball"] * 5, seeds, best_of=1)
    assert len({one.plan for one in each}) > 1
    assert (picture.plan, picture.pixels.tobytes()) in [(one.plan, one.pixels.tobytes()) for one in each]


def test_what_has_no_plan_of_its_own(model, noise):
    """Nothing says what is to stand where, or what is given says it already, or it is drawn in parts."""
    box = {"box": (0, 32, 64, 64)}
    for pictures in (
        model.draw(""),
        model.draw("a", width=128),
        model.complete(noise, "a red ball"),
        model.inpaint(noise, text="a red ball", **box),
        model.vary(noise, "a red ball"),
    ):
        assert pictures[0].plan == ""
    plain, planned = (model.inpaint(noise, text="a", plan=text, **box)[0] for text in ("none", GIVEN))
    assert planned.plan == GIVEN
    assert (plain.pixels != planned.pixels).any()
    np.testing.assert_array_equal(planned.pixels[:32], noise[:32])


@pytest.mark.parametrize("verb", ["edit", "draw"])
def test_what_follows_a_picture_is_planned_from_it(model, noise, monkeypatch, verb):
    asked, write = [], planning.write
    monkeypatch.setattr(planning, "write", lambda model, rows, how: (asked.extend(rows), write(model, rows, how))[1])
    inputs = {"image": noise} if verb == "edit" else {"images": (noise,)}
    drawn = dict(model.fulfil([Order("make it green", 2, DrawSettings(), verb, inputs)]))[0]
    assert drawn.plan
    inner = model._model
    asks = [*inner.encode("make it green"), Special.DRAW, Special.PLAN, *inner.encode("en"), Special.ANSWER]
    assert asked[0].ids.tolist() == [Special.BEGIN, Special.IMAGE, *[Special.VISUAL] * 4, *asks]
    bare = dict(model.fulfil([Order("make it green", 2, DrawSettings(plan="none"), verb, inputs)]))[0]
    assert bare.plan == ""
    assert len(asked) == 1 + (verb == "edit")  # which also reads what stands there


STAYS, BALL, CUBE = (Thing(words, box) for words, box in (
    ("cone", (0.1, 0.6, 0.3, 0.9)), ("red ball", (0.8, 0.0, 1.0, 0.2)), ("red cube", (0.8, 0.0, 1.0, 0.2))
))  # fmt: skip


def plans_of(model, monkeypatch, before, after):
    """Lets the model read the one from pictures, and plan the other; gives the prompts of both."""
    asked = []

    def write(model, rows, how):
        asked.extend(rows)
        assert all(one.temperature == 0 for one in how), "the likeliest plans hold still what no instruction changes"
        return [after if Special.DRAW in row.ids else before for row in rows]

    monkeypatch.setattr(planning, "write", write)
    return asked


def test_an_edit_draws_only_around_what_its_plan_changes(model, noise, monkeypatch):
    """Each of its own picture, in the language of its own instruction."""
    asked = plans_of(model, monkeypatch, (STAYS, BALL), (STAYS, CUBE))
    seen, inner, other = drawings(model, monkeypatch), model._model, noise[::-1].copy()
    orders = [
        Order(text, seed, DrawSettings(best_of=2), "edit", {"image": picture})
        for seed, (text, picture) in enumerate([("make it a cube", noise), ("换成方块", other)])
    ]
    drawn = dict(model.fulfil(orders))
    here = np.zeros((4, 4), bool)
    here[:2, 2:] = True  # the code that both touch, and those around it
    given = [codes for _, _, some in seen for (codes,) in some]
    wanted = [
        np.where(here, UNKNOWN, inner.read([picture])[0].maps[0].codes) for picture in (noise, noise, other, other)
    ]
    np.testing.assert_array_equal(np.stack(given), np.stack(wanted))
    assert all(row.plans[0].any() for prompts, _, _ in seen for row in prompts)
    for number, picture in enumerate((noise, other)):
        assert drawn[number].plan == "cone 10 60 30 90; red cube 80 0 100 20"
        np.testing.assert_array_equal(drawn[number].pixels[48:], picture[48:])
    tags = [[Special.PLAN, *inner.encode(tag), Special.ANSWER] for tag in ("en", "zh", "en", "zh")]
    assert [row.ids[-len(tag) :].tolist() for row, tag in zip(asked, tags, strict=True)] == tags


def test_of_several_edits_the_one_that_guidance_finds_likeliest_is_kept(model, noise, monkeypatch):
    """By the instruction: what is given behind drawn codes says nothing about it."""
    plans_of(model, monkeypatch, (STAYS, BALL), (STAYS, CUBE))
    weighed = []

    def nats(model, candidates):
        weighed.extend(candidates)
        return np.array([0.0, 0.0, 1.0])

    monkeypatch.setattr(canvas, "_guided_nats", nats)
    pixels = model.edit(noise, "make it a cube", best_of=3, temperature=1.0)[0].pixels
    assert len({candidate.canvas.tobytes() for candidate in weighed}) > 1
    third = model._model.paint([weighed[2].canvas])[0][:16, 48:]
    np.testing.assert_array_equal(pixels[:16, 48:], third)


def test_a_next_view_is_planned_once_and_by_the_likeliest_plan(model, noise, monkeypatch):
    asked = plans_of(model, monkeypatch, (STAYS,), (STAYS, CUBE))  # fails on any plan that is drawn from
    seen = drawings(model, monkeypatch)
    drawn = model.draw("", images=[noise], n=2, best_of=3)
    assert len(asked) == 2  # once a request
    prompts = [row for rows, _, _ in seen for row in rows]
    assert len(prompts) == 6
    assert all((row.plans[0] == prompts[0].plans[0]).all() for row in prompts)
    assert not any((codes != UNKNOWN).any() for _, _, some in seen for (codes,) in some)  # the whole picture is new
    assert len({picture.plan for picture in drawn}) == 1


def test_of_several_views_the_one_whose_plan_is_read_most_surely_is_kept(model, noise, monkeypatch):
    """Without a plan nothing tells them apart."""
    plans = []

    def likelihood(self, prompts, texts):
        if not is_shown(prompts[0]):
            return [-10.0] * 3
        plans.extend(self.decode(ids[:-1]) for ids in texts)
        return [-6.0, -4.0, -5.0]

    monkeypatch.setattr(type(model._model), "likelihood", likelihood)
    monkeypatch.setattr(planning, "write", lambda model, rows, how: [(STAYS, BALL) for _ in rows])
    picture = model.draw("", images=[noise], best_of=3)[0]
    assert plans == ["cone 10 60 30 90; red ball 80 0 100 20"] * 3
    assert picture.plan == plans[0]
    taken = model.draw("", images=[noise], n=1, best_of=1, seed=canvas.derived(0, "candidate", 1))[0]
    np.testing.assert_array_equal(picture.pixels, taken.pixels)  # the second candidate, which costs least
    monkeypatch.setitem(model._model.bundle.info.made, "planned", [])
    seen = drawings(model, monkeypatch)
    assert model.draw("", images=[noise], best_of=3)[0].plan == ""
    assert [len(prompts) for prompts, _, _ in seen] == [1]


def test_of_several_drawings_the_one_whose_text_and_plan_are_read_most_surely_is_kept(model, monkeypatch):
    """Of a wide canvas, whose middle alone is read, by the text alone."""
    plans = [(STAYS, BALL), (CUBE,), (BALL,)]
    monkeypatch.setattr(planning, "write", lambda model, rows, how: plans[: len(rows)])
    asked = []

    def likelihood(self, prompts, texts):
        told = [self.decode(ids[:-1]) for ids in texts]
        asked.append((told, is_shown(prompts[0])))
        if told[0] == "一个球":
            return [-6.0, -4.0, -5.0]
        return [-8.0, -9.0, -2.0] if is_shown(prompts[0]) else [-40.0, -10.0, -3.0]

    monkeypatch.setattr(type(model._model), "likelihood", likelihood)
    taken = [model.draw("一个球", best_of=1, plan=write(things))[0].plan for things in plans]
    # -6 + 32 / 8, -4 + 1 / 4 and -5 + 1 / 4: the text alone would take the second, with plans as they cost the third
    assert model.draw("一个球", best_of=3)[0].plan == taken[0]
    assert asked == [(["一个球"] * 3, True), (taken, True), (taken, False)]
    asked.clear()
    assert model.draw("一个球", best_of=3, width=128, plan=taken[0])[0].plan == taken[0]
    assert [told for told, _ in asked] == [["一个球"] * 3]
    monkeypatch.setitem(model._model.bundle.info.made, "planned", ["draw"])  # it can't read plans
    assert model.draw("一个球", best_of=3)[0].plan == taken[1]


@pytest.mark.parametrize(
    ("before", "planned"), [((STAYS, CUBE), ["view", "edit", "things"]), ((STAYS, BALL), ["view", "edit"])]
)
def test_an_edit_draws_all_anew_where_no_change_is_known(model, noise, monkeypatch, before, planned):
    """Such as of the floor, which is no thing of a plan; or the model has not learned to read plans off pictures."""
    plans_of(model, monkeypatch, before, (STAYS, CUBE))
    monkeypatch.setitem(model._model.bundle.info.made, "planned", planned)
    seen = drawings(model, monkeypatch)
    model.edit(noise, "make the floor wooden")
    model.edit(noise, "make it a cube", plan=GIVEN)
    assert [(given[0][0] == UNKNOWN).all() for _, _, given in seen] == [True, True]


def test_each_tile_of_a_canvas_has_its_part_of_the_plan(model, monkeypatch):
    seen = drawings(model, monkeypatch)
    # 8 columns of codes in tiles of 4 from columns 0, 2 and 4 on; the ball covers the first and a half of the second.
    model.draw("a", width=128, plan="red ball 0 0 25 100; blue cube 88 50 100 100", best_of=1)
    assert [(given[0][0] == UNKNOWN).all() for _, _, given in seen] == [True, False, False]
    covers = [next(iter(prompts[0].plans), None) for prompts, _, _ in seen]
    assert covers[1] is None
    there = [plan.reshape(4, 4, LAID)[..., 0].tolist() for plan in (covers[0], covers[2])]
    assert there[0] == [[1, 1, 1, 1], [0] * 4, [1, 1, 1, 1], [0] * 4]
    assert there[1] == [[0] * 4, [0] * 4, [0] * 4, [0, 1, 0, 1]]
    first = covers[0].reshape(4, 4, LAID)[0, 0, :EDGES].tolist()
    assert first == [1, -0.5 / 4, 1.5 / 4, -0.5 / 4, 3.5 / 4]  # by the edges that this tile sees


def test_a_model_that_has_not_learned_plans_refuses_them(plain, noise):
    for call in (
        lambda: plain.draw("a", plan=GIVEN),
        lambda: plain.edit(noise, "make it green", plan=GIVEN),
        lambda: plain.inpaint(noise, box=(0, 0, 32, 32), plan=GIVEN),
    ):
        with pytest.raises(triptych.ModelError, match="has not learned to draw by a plan"):
            call()
    for image in (None, noise):
        with pytest.raises(triptych.ModelError, match=r"has not learned plans.*: train it on pictures with `objects`"):
            plain.plan("a red ball", image=image)
    assert plain.draw("a", plan="auto")[0].plan == plain.draw("a", plan="none")[0].plan == ""


@pytest.mark.parametrize("missing", ["training", "network"])
def test_plans_are_learned_by_training_and_a_network_that_reads_them(model, monkeypatch, missing):
    assert all(planning.is_learned(model._model, verb) for verb in ("draw", "view", "edit"))
    if missing == "network":
        monkeypatch.setattr(model._model.gpt, "config", model._model.gpt.config.model_copy(update={"planned": False}))
    else:
        monkeypatch.delitem(model._model.bundle.info.made, "planned")
    assert not any(planning.is_learned(model._model, verb) for verb in ("draw", "view", "edit"))


def test_in_any_order_there_is_no_plan(model, monkeypatch):
    monkeypatch.setitem(model._model.bundle.info.bits, "shuffle bits/code", 9.0)
    with pytest.raises(triptych.ConfigError, match="decode='parallel' draws without a plan; by one, use exact"):
        model.draw("a", decode="parallel", plan=GIVEN)
    for setting in ({"plan": GIVEN}, {"width": 128}, {"height": 128}, {"best_of": 2}, {"passes": 4}):
        with pytest.raises(triptych.ConfigError, match=r"is for pictures: .* without a plan; leave it out"):
            model.film("a", **setting)
    auto, none = (model.draw("a", decode="parallel", passes=2, best_of=1, plan=plan)[0] for plan in ("auto", "none"))
    assert auto.plan == none.plan == ""
    np.testing.assert_array_equal(auto.pixels, none.pixels)


@pytest.mark.parametrize("plan", ["auto", "none", GIVEN])
def test_a_picture_comes_again_with_its_plan(model, tmp_path, plan):
    first = model.draw("a red ball", seed=5, best_of=2, plan=plan)[0]
    order, _ = again(first.save(tmp_path / "a.png"), {})
    assert order.settings.plan == plan
    repeated = dict(model.fulfil([order]))[0]
    assert repeated.plan == first.plan
    np.testing.assert_array_equal(repeated.pixels, first.pixels)
    changed, _ = again(tmp_path / "a.png", {"plan": "cone 0 0 10 10"})
    assert changed.settings.plan == "cone 0 0 10 10"


def test_what_is_told_of_a_plan(model, noise):
    told = model.plan("a red ball")
    (thing,) = told.things
    words, box = thing.words, thing.box
    assert str(told) == f"{words} " + " ".join(f"{100 * edge:.0f}" for edge in box)
    assert (told.prompt, told.model) == ("a red ball", model._model.label)
    assert json.loads(json.dumps(told.as_dict())) == {
        "prompt": "a red ball",
        "plan": str(told),
        "things": [{"words": words, "box": list(box)}],
        "model": told.model,
    }
    assert str(model.plan("a red ball", seed=9)) == str(told)  # the likeliest hangs on no seed
    warm = [str(model.plan("a red ball", seed=seed, temperature=1.0)) for seed in (1, 2, 3, 1)]
    assert warm[0] == warm[3]
    assert len(set(warm)) > 1
    others = [model.plan("一个红色的球"), model.plan(image=noise), model.plan("make it green", image=noise)]
    assert len({str(plan) for plan in others}) == 3
    with pytest.raises(triptych.ConfigError, match="plan takes a text, a picture, or both"):
        model.plan()


def test_a_plan_s_words_are_asked_for_in_the_language_of_the_text_or_another(model, noise, monkeypatch):
    inner = model._model

    def asked(text, **more):
        ids = planning.prompt(inner, text, (), **more).ids.tolist()
        return ids[ids.index(Special.PLAN) + 1 : -1]

    assert asked("a ball") == asked("") == asked("球", language="en") == inner.encode("en")
    assert asked("球") == asked("a ball", language="zh") == inner.encode("zh")
    assert asked("a ball", language="fr") == inner.encode("en")  # which it doesn't know
    monkeypatch.setitem(inner.bundle.info.made, "languages", ["zh"])
    assert asked("a ball") == asked("", language="en") == inner.encode("zh")


def test_what_is_no_plan_plans_nothing(plain):
    assert planning.parse_what_can_be(" red ball 10 40 30 60;\n") == (Thing("red ball", (0.1, 0.4, 0.3, 0.6)),)
    assert planning.parse_what_can_be("") == planning.parse_what_can_be("a red ball") == ()
    drawn = plain.draw("a", plan="none", seed=1, best_of=1)[0]
    assert drawn.plan == ""


def test_plan_settings():
    assert DrawSettings().plan == "auto"
    assert DrawSettings().changed({"plan": "none"}).plan == "none"
    assert order_of({"prompt": "a", "plan": GIVEN}).settings.plan == GIVEN
    for value, words in (
        ("no", "plan: 'no' is no thing with a box: write its words, then left, top, right and bottom in whole percent"),
        ("ball 0 0 10 10; cube 5 5 5 9", "plan: 'cube 5 5 5 9' is no thing"),
        ("a 0 0 1 1;" * 33, "plan: a plan of more than 32 things: leave some out"),
        (7, "plan: '7' is no thing"),
        (True, "plan=True: give auto, none, or things with their boxes"),
    ):
        with pytest.raises(triptych.ConfigError) as caught:
            DrawSettings().changed({"plan": value})
        assert str(caught.value).startswith(words)


def test_the_plan_of_a_request_is_checked(model):
    with pytest.raises(triptych.ConfigError, match="parallel"):
        checked(model._model, Request("a", 0, DrawSettings(decode="parallel", plan=GIVEN)))
    assert checked(model._model, Request("a", 0, DrawSettings(plan=GIVEN))).codes.shape == (4, 4)


def test_an_order_whose_plan_has_too_many_words_fails_alone(model):
    long = Order("a", 0, DrawSettings(plan="龘" * 1500 + " 0 0 50 50"))
    results = dict(model.fulfil([long, Order("a", 1, DrawSettings(plan=GIVEN))]))
    assert isinstance(results[0], triptych.ModelError)
    assert "4500 tokens, 4096 are allowed" in str(results[0])
    assert results[1].plan == GIVEN


@pytest.mark.parametrize("verb", ["view", "edit"])
def test_what_follows_a_picture_is_planned_by_a_model_that_has_learned_that(model, noise, monkeypatch, verb):
    monkeypatch.setitem(model._model.bundle.info.made, "planned", [verb])
    edited, viewed = model.edit(noise, "make it green")[0], model.draw("a ball", images=[noise])[0]
    assert [bool(picture.plan) for picture in (edited, viewed)] == [verb == "edit", verb == "view"]
    monkeypatch.setitem(model._model.bundle.info.made, "planned", [])  # of texts alone
    assert model.edit(noise, "make it green")[0].plan == ""
    assert model.edit(noise, "make it green", plan=GIVEN)[0].plan == GIVEN
    with pytest.raises(triptych.ModelError, match="has not learned plans of edits"):
        model.plan("make it green", image=noise)
    with pytest.raises(triptych.ModelError, match="has not learned to read plans off pictures"):
        model.plan(image=noise)


def test_what_stands_in_a_picture_is_not_asked_for_as_what_is_to_come_after_it(model, noise, monkeypatch):
    asked, write = [], planning.write
    monkeypatch.setattr(planning, "write", lambda model, rows, how: (asked.extend(rows), write(model, rows, how))[1])
    model.plan(image=noise)
    model.draw("", images=[noise], best_of=1)
    image, tag = [Special.IMAGE, *[Special.VISUAL] * 4], model._model.encode("en")
    asks = [*image, Special.PLAN, *tag, Special.ANSWER], [*image, Special.DRAW, Special.PLAN, *tag, Special.ANSWER]
    assert [row.ids.tolist() for row in asked] == [[Special.BEGIN, *ids] for ids in asks]
    with pytest.raises(ValueError, match="a picture is uint8"):
        model.plan(image=np.stack([noise] * 9))
    with pytest.raises(triptych.ConfigError, match="language 'fr': tiny writes en, zh"):
        model.plan("a ball", language="fr")


def test_a_plan_guides_without_a_text_too(model):
    """What guidance leads away from has no plan."""
    one, more = (model.draw("", seed=1, plan=GIVEN, guidance=guidance)[0].pixels for guidance in (1.0, 8.0))
    assert (one != more).any()
    plain = [model.draw("", seed=1, guidance=guidance)[0].pixels for guidance in (1.0, 8.0)]
    np.testing.assert_array_equal(*plain)


def test_an_empty_plan_is_none(model, plain, tmp_path):
    first = model.draw("a red ball", plan=" ;\n", best_of=1)[0]
    assert (first.settings["plan"], first.plan) == ("none", "")
    order, _ = again(first.save(tmp_path / "a.png"), {})
    np.testing.assert_array_equal(dict(model.fulfil([order]))[0].pixels, first.pixels)


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"temperature": float("nan")}, {"seed": -1}, {"seed": 2**70}])
def test_a_plan_s_numbers_are_checked(model, wrong):
    with pytest.raises(triptych.ConfigError, match="give numbers from 0"):
        model.plan("a red ball", **wrong)


def test_words_are_spelled_as_the_plans_of_training_spelled_them(model, monkeypatch):
    inner = model._model
    assert inner.encode(" red") != inner.encode("red")
    monkeypatch.setitem(inner.bundle.info.made, "plan ids", sorted({*inner.encode("a red"), *inner.encode(" ball")}))
    assert planning._ids(inner, "red ball") == inner.encode(" red ball")
    assert planning._ids(inner, "a red ball") == inner.encode("a red ball")
    monkeypatch.delitem(inner.bundle.info.made, "plan ids")
    assert planning._ids(inner, "red ball") == inner.encode("red ball")
