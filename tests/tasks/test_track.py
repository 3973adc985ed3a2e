"""Where things are in clips and will be: asked as it was learned, told by time, and drawn by."""

import re

import numpy as np
import pytest

from triptych.data.things import word_ids
from triptych.errors import ConfigError, ModelError
from triptych.media import framing, video
from triptych.model.verifier import Verifier
from triptych.sequence.layout import grouped
from triptych.sequence.plan import Thing, parse
from triptych.sequence.vocab import Special
from triptych.tasks import planning, predict, verifying
from triptych.tasks.common import Medium


@pytest.fixture(scope="module")
def clip():
    return np.random.default_rng(0).integers(0, 256, (17, 64, 64, 3), dtype=np.uint8)


@pytest.fixture
def asked(plain, monkeypatch):
    """The model, said to have learned tracks, whose plans are made up; collects what is asked and how. It reads in one
    framing."""
    monkeypatch.setitem(plain._model.bundle.info.made, "planned", ["track"])
    monkeypatch.setattr(plain._model, "framings", 1)
    rows = []

    def write(model, prompts, sampling):
        rows.extend(zip(prompts, sampling, strict=True))
        return [(Thing(f"ball {len(rows)}", (0.0, 0.0, 0.5, len(rows) / 100)),) for _ in prompts]

    monkeypatch.setattr(planning, "write", write)
    return plain, rows


def question(model, time, language="en"):
    inner = model._model
    tag = inner.encode(language)
    return [int(id_) for id_ in (Special.TIME, *inner.encode(f"{time:.1f}"), Special.PLAN, *tag, Special.ANSWER)]


def ends(row, ids):
    return row.ids[-len(ids) :].tolist() == ids


def test_each_time_of_a_clip_is_asked_for(asked, clip):
    model, rows = asked
    found = model.track(clip)
    assert found.times == (0.0, 0.5, 1.0, 1.5, 2.0)
    assert [len(things) for things in found.plans] == [1] * 5
    assert found.seen == 5
    assert [ends(row, question(model, time)) for (row, _), time in zip(rows, found.times, strict=True)] == [True] * 5
    assert all(row.ids.tolist().count(Special.VISUAL) == 5 * 4 for row, _ in rows)
    assert {how.temperature for _, how in rows} == {0}
    told = found.as_dict()
    assert [(row["time"], row["foretold"]) for row in told["times"]] == [(time, False) for time in found.times]
    assert told["times"][0]["things"] == [{"words": "ball 5", "box": [0.0, 0.0, 0.5, 0.05]}]
    assert str(found).splitlines()[1] == "0:00.5  ball 5 0 0 50 5"


def test_what_comes_is_asked_after_what_was_told(asked, clip):
    model, rows = asked
    found = model.track(clip[:9], text="push the ball", ahead=1.0, language="zh")
    assert found.times == (0.0, 0.5, 1.0, 1.5, 2.0)
    assert found.seen == 3
    inner = model._model
    assert len(rows) == 5
    now, half, later = (row for row, _ in rows[2:])
    assert ends(now, question(model, 1.0, "zh"))
    told = [*inner.encode("ball 3 0 0 50 3"), int(Special.END)]
    answers = [*question(model, 0.5, "zh"), *told, *question(model, 1.0, "zh"), *told, *question(model, 1.5, "zh")]
    assert ends(half, answers)
    answers = [*question(model, 1.0, "zh"), *told, *question(model, 1.5, "zh")]
    answers += [*inner.encode("ball 4 0 0 50 4"), int(Special.END), *question(model, 2.0, "zh")]
    assert ends(later, answers)
    assert later.ids.tolist().count(Special.PLAN) == 3
    instruction = inner.encode("push the ball")
    ids = now.ids.tolist()
    assert ids[ids.index(Special.DRAW) - len(instruction) : ids.index(Special.DRAW)] == instruction
    assert str(found).splitlines()[3].endswith("(foretold)")


def test_a_box_that_a_framing_cuts_off_ends_at_the_picture_s_edge(plain):
    """Half of the framings lack the left side, and half the lower one: what they cut off isn't further in."""
    model = plain._model
    whole = Thing("ball", (0.0, 0.7, 0.3, 1.0))
    side, framed = model.bundle.info.size, []
    for top, bottom, left, right in np.array(framing.rooms(side, 4)).tolist():
        framed.append([[whole.within(left / side, top / side, 1 - right / side, 1 - bottom / side)]])
    ((thing,),) = planning._agreed(model, framed)
    assert thing.box == pytest.approx(whole.box)
    assert all(type(edge) is float for edge in thing.box)
    inner = Thing("ball", (0.2, 0.5, 0.3, 0.6))
    for place, (top, bottom, left, right) in enumerate(np.array(framing.rooms(side, 4)).tolist()):
        framed[place] = [[inner.within(left / side, top / side, 1 - right / side, 1 - bottom / side)]]
    ((thing,),) = planning._agreed(model, framed)
    assert thing.box == pytest.approx(inner.box)


def test_a_future_is_drawn_by_what_is_told_of_its_times(asked, clip, monkeypatch):
    model, rows = asked
    seen, generate = [], type(model._model.engine).generate

    def spy(self, prompts, *args, **more):
        seen.append((prompts, more["unconditional"]))
        return generate(self, prompts, *args, **more)

    monkeypatch.setattr(type(model._model.engine), "generate", spy)
    planned = model.predict(clip[:9], seconds=1.0, temperature=0.5, seed=7, plan="auto")[0]
    ((prompt,), (twin,)) = seen[0]
    assert len(prompt.plans) == 2
    assert all(plan.any() for plan in prompt.plans)
    assert (prompt.plans[0] != prompt.plans[1]).any()
    assert twin.plans == ()
    assert [how.temperature for _, how in rows] == [0, 0, 0.5, 0.5]  # two times shown, and two to come
    assert planned.settings["plan"] == "auto"
    model.predict(clip[:9], seconds=1.0, temperature=0.5, seed=7, plan="none")
    assert seen[1][0][0].plans == ()


def test_things_of_a_future_come_along_as_planned(asked, clip, monkeypatch):
    """With an instruction, what no plan names is drawn."""
    model, rows = asked
    calls = []

    def spy(given, film, told, plans, span, *, draw_rest, look):
        calls.append((given, film.shape, [[thing.words for thing in some] for some in (told, *plans)], draw_rest))
        assert look is None  # the model has no verifier
        return film[1:]

    monkeypatch.setattr(predict, "carry", spy)
    future = model.predict(clip[:9], seconds=1.0)[0]
    (given, shape, words, draw_rest), *_ = calls
    np.testing.assert_array_equal(given, clip[:9])
    assert future.frames.shape == (8, 64, 64, 3)
    assert shape == (9, 64, 64, 3)
    assert words == [["ball 2"], ["ball 3"], ["ball 4"]]
    assert not draw_rest
    model.predict(clip[:9], seconds=1.0, text="push the ball")
    assert calls[1][3]
    rows.clear()
    monkeypatch.setattr(model._model, "framings", 2)
    model.predict(clip[:9], seconds=1.0)
    assert len(rows) == 2 * (2 + 2)
    monkeypatch.setattr(planning, "write", lambda model, prompts, how: [() for _ in prompts])
    model.predict(clip[:9], seconds=1.0)
    assert len(calls) == 3  # nothing is told: as without plans


CUBE, BALL = Thing("big red cube", (0.5, 0.5, 0.8, 0.8)), Thing("big red ball", (0.1, 0.1, 0.3, 0.3))


@pytest.fixture
def looks(asked, monkeypatch):
    """A model that has learned to read pictures too, and tells of them and of clips what `told` holds."""
    model, rows = asked
    monkeypatch.setitem(model._model.bundle.info.made, "planned", ["track", "things"])
    told = {"picture": [], "clip": []}

    def write(inner, prompts, sampling):
        rows.extend(zip(prompts, sampling, strict=True))
        return [tuple(told["clip" if Special.VIDEO in row.ids else "picture"]) for row in prompts]

    monkeypatch.setattr(planning, "write", write)
    return model, rows, told


def test_where_things_are_is_told_by_the_frames_of_a_clip_too(looks, clip):
    """In the mean of both boxes, at the last time in that of the frame, and with what only they show; in as many
    framings, and told again of what is to come."""
    model, rows, told = looks
    near = Thing("big red cube", (0.6, 0.5, 0.9, 0.8))
    told |= {"clip": [CUBE], "picture": [near, BALL]}
    found = model.track(clip[:5], ahead=0.5)
    cube, ball = found.plans[0]
    assert (cube.words, ball) == ("big red cube", BALL)
    assert cube.box == pytest.approx((0.55, 0.5, 0.85, 0.8))
    assert found.plans[1] == (near, BALL)
    assert found.plans[2] == (CUBE,)
    pictures = [row for row, _ in rows if Special.VIDEO not in row.ids]
    assert [row.ids.tolist().count(Special.VISUAL) for row in pictures] == [4, 4]
    for row, frame in zip(pictures, clip[:5:4], strict=True):
        ((map_,),) = model._model.look([frame[None]])
        values = row.values[row.ids == Special.VISUAL]
        latents = grouped(map_.latents, 2).reshape(4, -1)
        np.testing.assert_array_equal(values[:, : latents.shape[1]], latents)
    assert "big red cube 60 50 90 80" in model._model.decode(rows[-1][0].ids.tolist())
    rows.clear()
    model._model.framings = 2  # asked resets it
    model.track(clip[:5])
    assert len(rows) == 2 * (2 + 2)


def test_what_a_frame_tells_unlike_anything_in_its_clip_is_passed_over(looks, clip):
    """A robot's arm, of which no picture was learned, looks like something."""
    model, _, told = looks
    arm = Thing("small gray thing", (0.1, 0.1, 0.3, 0.3))
    told |= {"clip": [CUBE], "picture": [CUBE, arm]}
    assert model.track(clip[:5]).plans == ((CUBE,),) * 2
    told["picture"] = [CUBE, Thing("big red ball", (0.55, 0.5, 0.8, 0.8))]  # the same thing by another name
    assert model.track(clip[:5]).plans == ((CUBE,),) * 2
    told["picture"] = [BALL]
    assert model.track(clip[:5]).plans == ((CUBE, BALL),) * 2
    told["picture"] = [Thing("big red cube", (0.0, 0.0, 0.2, 0.2))]  # the same, read far off
    assert model.track(clip[:5]).plans == ((CUBE,),) * 2
    told["clip"] = []
    assert model.track(clip[:5]).plans == ((),) * 2


def test_what_comes_along_is_looked_at_by_the_verifier(asked, clip, monkeypatch):
    """By the words of the instruction's language, and things that it knows no word of aren't."""
    model, _ = asked
    bundle = model._model.bundle
    english, chinese = (word_ids(bundle.text.encode, words) for words in ("ball", "球"))
    known = {"en": sorted(english), "zh": sorted(chinese - english)}
    monkeypatch.setattr(bundle, "verifier", Verifier(known).eval())
    looks = []
    monkeypatch.setattr(predict, "carry", lambda *given, look, **_: looks.append(look) or given[1][1:])
    model.predict(clip[:9], seconds=0.5)
    model.predict(clip[:9], seconds=0.5, text="推开球")
    things = [Thing(words, (0.2, 0.2, 0.6, 0.6)) for words in ("ball", "球")]
    found = [[look(clip[0], thing) for thing in things] for look in looks]
    assert [[fit is None for fit in some] for some in found] == [[False, True], [True, False]]
    (expected,) = verifying.nats(model._model, [clip[0]], [things[:1]], "en")[0]
    assert found[0][0] == pytest.approx(float(expected))


def test_a_future_begins_where_its_last_frame_shows_things(looks, clip, monkeypatch):
    model, rows, told = looks
    near = Thing("big red cube", (0.6, 0.5, 0.9, 0.8))
    told |= {"clip": [CUBE], "picture": [near, BALL]}
    calls = []
    monkeypatch.setattr(predict, "carry", lambda given, film, now, plans, *_, **__: calls.append(now) or film[1:])
    model.predict(clip[:9], text="把方块推开", seconds=0.5)
    assert calls == [(near, BALL)]
    assert len(rows) == 2 + 2 + 1  # of the two last times alone
    inner = model._model
    pictures = [row for row, _ in rows if Special.VIDEO not in row.ids]
    for row, frame in zip(pictures, clip[4:9:4], strict=True):
        assert shows(inner, row, frame)
    tag = inner.encode("zh")
    for row, _ in rows:  # the language of the instruction, which the clip follows and a frame doesn't
        assert row.ids[-1 - len(tag) : -1].tolist() == tag
        assert ("把方块推开" in inner.decode(row.ids.tolist())) == (Special.VIDEO in row.ids)
    rows.clear()
    told["clip"] = []
    calls.clear()
    monkeypatch.setattr(planning, "joined", lambda *_: (BALL,))
    monkeypatch.setattr(planning, "follow", lambda model, media, *_: [[()] for _ in media])
    model.predict(clip[:9], seconds=0.5)
    assert calls == [(BALL,)]  # though nothing is foretold


def shows(inner, row, frame):
    """Whether a prompt holds a picture of this frame and nothing else."""
    ((map_,),) = inner.look([frame[None]])
    latents = grouped(map_.latents, 2).reshape(4, -1)
    values = row.values[row.ids == Special.VISUAL]
    return values.shape[0] == 4 and np.array_equal(values[:, : latents.shape[1]], latents)


def test_frames_are_read_with_their_own_clip_and_once_for_all_seeds(looks, clip, monkeypatch):
    model, rows, _ = looks
    inner, joins = model._model, []
    other = clip[::-1]
    media = [
        Medium(maps, (0.0, 0.5), (), frames[::4])
        for frames, maps in zip((clip[:5], other[:5]), inner.look([clip[:5], other[:5]]), strict=True)
    ]

    def write(_, prompts, sampling):
        rows.extend(zip(prompts, sampling, strict=True))
        return [(Thing(str(len(rows) - len(prompts) + place), CUBE.box),) for place, _ in enumerate(prompts)]

    monkeypatch.setattr(planning, "write", write)
    monkeypatch.setattr(planning, "joined", lambda told, alone, *_: joins.append((told, alone)) or tuple(told))
    planning.seen(inner, media, "")
    assert [told[0].words for told, _ in joins] == ["0", "1", "2", "3"]  # of the first clip, and of the second one
    for (_, alone), frame in zip(joins, [*clip[:5:4], *other[:5:4]], strict=True):
        assert shows(inner, rows[int(alone[0].words)][0], frame)
    rows.clear()
    model.predict(clip[:9], seconds=0.5, n=3, seed=5)
    assert [how.seed for _, how in rows[4:]] == [5, 6, 7]
    assert len(rows) == 2 + 2 + 3


def test_framings_tell_together_where_things_are(asked, clip, monkeypatch):
    """Each framing is asked by itself, and told what most of them said before; what most tell counts, in the whole
    clip's shares."""
    model, rows = asked
    monkeypatch.setattr(model._model, "framings", 4)
    ball, cube = Thing("ball", (0.2, 0.2, 0.4, 0.4)), Thing("cube", (0.5, 0.5, 0.9, 0.9))

    def write(model, prompts, sampling):
        rows.extend(zip(prompts, sampling, strict=True))
        return [(ball, cube) if number == 0 else (ball,) for number, _ in enumerate(prompts)]

    monkeypatch.setattr(planning, "write", write)
    found = model.track(clip[:5], ahead=0.5)
    assert len(rows) == 4 * 2 + 4
    shown, ahead = rows[:8], rows[8:]
    firsts = [row.values[row.ids == Special.VISUAL].tobytes() for row, _ in shown[::2]]
    assert len(set(firsts)) == 4
    assert [row.values[row.ids == Special.VISUAL].tobytes() for row, _ in ahead] == firsts
    known = [re.findall(r"ball \d\d \d\d \d\d \d\d", model._model.decode(row.ids.tolist())) for row, _ in ahead]
    for text, part in zip(known, planning._parts(model._model, 4), strict=True):
        ((_,), (later,)) = map(parse, text)
        np.testing.assert_allclose(later.around(*part).box, found.plans[1][0].box, atol=0.006)
    assert len({tuple(texts) for texts in known}) > 1
    assert not any("cube" in model._model.decode(row.ids.tolist()) for row, _ in ahead)  # one framing alone told it
    assert [[thing.words for thing in things] for things in found.plans] == [["ball"]] * 3
    side, room = model._model.bundle.info.size, 3
    low = 0.2 * (side - room) / side  # as one framing without the right side tells it
    lefts = [0.2, low, low + room / side, low + room / side]
    np.testing.assert_allclose([things[0].box[0] for things in found.plans], np.median(lefts))
    assert found.seen == 2


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_model_plans_the_future_by_itself(plain, clip, monkeypatch, guidance):
    """Nothing is made up here; a plan is not guided, whatever is drawn by it is."""
    monkeypatch.setitem(plain._model.bundle.info.made, "planned", ["track"])
    monkeypatch.setattr(planning, "LIMIT", 4)
    future = plain.predict(clip[:5], text="go", seconds=2, guidance=guidance, plan="auto")[0]
    assert future.frames.shape == (16, 64, 64, 3)
    assert len(plain.track(clip[:1], ahead=2.0).plans) == 5


def test_a_clip_that_ends_early_tells_its_own_times_alone(asked, clip, tmp_path):
    model, _ = asked
    video.write(tmp_path / "short.mp4", clip[:7])
    found = model.track(tmp_path / "short.mp4")
    assert found.times == (0.0, 0.5, 1.0)  # the frame at 0.75 s is the last: a map is filled up with it
    assert found.seen == 3
    assert model.track(tmp_path / "short.mp4", start=0.5).times == (0.5, 1.0)


def test_what_comes_follows_frames_as_they_were_learned(asked, clip):
    """What goes on from a whole window begins with a frame alone, as any clip does; times are rounded up."""
    model, rows = asked
    found = model.track(clip, ahead=0.2)
    assert found.times[-1] == 2.5
    maps = model._model.look([clip[4:]])[0]
    row = rows[-1][0]
    latents = np.concatenate([grouped(map_.latents, 2).reshape(4, -1) for map_ in maps])
    np.testing.assert_array_equal(row.values[row.ids == Special.VISUAL][:, : latents.shape[1]], latents)


def test_nothing_is_asked_of_times_before_a_clip(asked, clip):
    """What goes on for a whole window goes on from its last frame alone."""
    model, rows = asked
    found = model.track(clip, ahead=2.0)
    assert found.times[-1] == 4.0
    inner = model._model
    texts = [inner.decode([int(id_) for id_ in row.ids if id_ >= len(Special)]) for row, _ in rows]
    assert not any("-" in text for text in texts)
    first = rows[5][0]  # after those of the five times that are shown
    assert ends(first, question(model, 0.5))
    assert first.ids.tolist().count(Special.PLAN) == 2


def test_a_long_future_is_asked_for_after_the_last_two_times(asked, clip):
    model, rows = asked
    model.track(clip[:1], ahead=2.0)
    asks = [row.ids.tolist().count(Special.PLAN) for row, _ in rows]
    assert asks == [1, 2, 3, 3, 3]


def test_another_plan_for_a_future_is_refused(plain, clip):
    with pytest.raises(ConfigError, match="planned by the model"):
        plain.predict(clip[:5], plan="red ball 0 0 50 50")


def test_a_model_that_has_not_learned_it_says_so_and_draws_without(plain, clip):
    with pytest.raises(ModelError, match="with the spellings `track` and `predict`"):
        plain.track(clip)
    assert plain.predict(clip[:9], seconds=0.5, plan="auto")[0].frames.shape == (4, 64, 64, 3)


@pytest.mark.parametrize("ahead", [-0.5, 2.5])
def test_further_than_a_window_is_refused(asked, clip, ahead):
    with pytest.raises(ConfigError, match="give seconds from 0 to 2"):
        asked[0].track(clip, ahead=ahead)
