"""Things are followed by their pixels, and go on where the mover says."""

import numpy as np
import pytest
import torch

from triptych.model.mover import Ahead, Mover
from triptych.sequence.plan import Thing, middle
from triptych.tasks import matching, moving
from triptych.tasks.matching import LOST, match
from triptych.tasks.moving import Moving, at_end, foretold

SIDE, SPAN, HALF = 112, 4, 8
RED, BLUE = (200, 30, 30), (30, 40, 200)


def ground():
    rng = np.random.default_rng(0)
    return (120 + rng.normal(0, 2, (SIDE, SIDE, 1))).clip(0, 255).repeat(3, 2)


def clip(*ways):
    """Frames with a square of each colour along a way of (x, y) in pixels; the later ones in front."""
    frames = []
    for places in zip(*(way for _, way in ways), strict=True):
        frame = ground()
        for (colour, _), (x, y) in zip(ways, places, strict=True):
            shade = np.linspace(0.8, 1.2, 2 * HALF)[:, None, None]  # so that it can be told where on it one is
            frame[y - HALF : y + HALF, x - HALF : x + HALF] = np.array(colour) * shade
        frames.append(frame.clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def at(words, x, y, half=HALF):
    return Thing(words, ((x - half) / SIDE, (y - half) / SIDE, (x + half) / SIDE, (y + half) / SIDE))


def way(start, *steps):
    """Places from a start on, by steps."""
    return [tuple(np.array(start) + np.sum([(0, 0), *steps[:count]], 0).astype(int)) for count in range(len(steps) + 1)]


RIGHT = [(5, 0), (6, 1), (7, 1), (8, 2)]


def test_pixels_are_followed_forth_and_back():
    red, blue = way((20, 30), *RIGHT), way((80, 80), *[(0, 0)] * 4)
    frames = clip((RED, red), (BLUE, blue))
    forth = match(frames, [at("red", *red[0]), at("blue", *blue[0])])
    assert (forth.shifts[0] * SIDE).round().tolist() == [[5, 0], [11, 1], [18, 2], [26, 4]]
    assert (forth.shifts[1] == 0).all()
    assert (forth.costs < 5).all()
    assert np.abs(forth.middles[0] * SIDE - red[0]).max() < 1
    back = match(frames[::-1], [at("red", *red[-1])])
    assert (back.shifts[0] * SIDE).round().tolist() == [[-8, -2], [-15, -3], [-21, -4], [-26, -4]]


def test_where_nothing_can_be_told_apart_nothing_is_known():
    frames = clip((RED, way((20, 30), *RIGHT)))
    found = match(frames, [at("nothing", 90, 90)])
    assert np.isinf(found.costs).all()
    assert np.isnan(found.middles).all()


def test_what_hides_or_leaves_costs():
    red = [(20, 30), (20, 30), (20, 30), (20, 30), (20, 30)]
    over = [(90, 90), (60, 60), (40, 45), (24, 34), (20, 31)]
    costs = match(clip((RED, red), (BLUE, over)), [at("red", *red[0])]).costs[0]
    assert costs[0] < 5
    assert costs[-1] > LOST


def test_what_is_hidden_for_a_moment_is_taken_to_go_on_as_it_went():
    red, blue = way((20, 30), *[(6, 1)] * 4), [(90, 90), (90, 90), (32, 32), (90, 90), (90, 90)]
    found = match(clip((RED, red), (BLUE, blue)), [at("red", *red[0])])
    assert (found.shifts[0] * SIDE).round().tolist() == [[6, 1], [12, 2], [18, 3], [24, 4]]
    assert (found.costs[0] < LOST).tolist() == [True, False, True, True]


def test_what_has_come_in_is_known_since_it_did():
    red = [(20, -40), (20, -40), (20, 20), (20, 30), (20, 41)]
    shown = clip((RED, [(20, 20)] * 5))
    shown[:2] = ground().astype(np.uint8)
    for number, place in enumerate(red[2:], 2):
        shown[number] = clip((RED, [place]))[0]
    (one,) = at_end(shown, [[], [at("red", *red[-1])]], SPAN)
    assert one.known.tolist() == [True, True, False, False]
    assert (one.shifts[:2] * SIDE).round().tolist() == [[0, 11], [0, 21]]
    assert one.sure


def test_what_is_seen_in_the_last_frame_alone_isnt_sure():
    frames = clip((RED, [(20, 30)] * 5))
    frames[:-1] = ground().astype(np.uint8)
    (one,) = at_end(frames, [[], [at("red", 20, 30)]], SPAN)
    assert not one.known.any()
    assert not one.sure


def test_what_is_lost_stays_where_it_was_told():
    red, over = [(20, 30)] * 5, [(90, 90), (60, 60), (40, 45), (24, 34), (20, 31)]
    told = [[at("red", 20, 30)], [at("red", 80, 20)]]
    (one,) = at_end(clip((RED, red), (BLUE, over)), told, SPAN)
    assert one.thing == told[-1][0]
    assert not one.sure


@pytest.mark.parametrize(
    ("pixels", "followed", "other"),
    [(2.4, 4.4, True), (2.0, 4.4, False), (2.6, 9.0, True), (0, 3, False), (None, 9, True)],
)
def test_of_two_places_the_one_counts_that_its_pixels_confirm(pixels, followed, other):
    seen = np.full(2, np.nan) if pixels is None else np.array([pixels / 224, 0])
    assert moving._is_other(np.zeros(2), np.array([followed / 224, 0]), seen) == other


@pytest.mark.parametrize("repeated", [1, 2, 3])
def test_frames_that_only_fill_a_clip_up_stand_for_nothing(steady, repeated):
    """What isn't a whole number of times long ends in frames that repeat the last one."""
    red = way((20, 30), *[(5, 1)] * 8)
    frames = clip((RED, red))
    frames[-repeated:] = frames[-1 - repeated]
    last = red[-1 - repeated]
    (one,) = at_end(frames, [[at("red", *red[4])], [at("red", *last)]], SPAN)
    assert one.late == repeated
    assert one.sure
    assert (one.shifts * SIDE).round().tolist() == [[5, 1], [10, 2], [15, 3], [20, 4]]
    (plan,) = foretold(steady, [one], [[]], SPAN)
    assert centres([*plan])["red"] == (red[-1][0] + 20, red[-1][1] + 4)
    # The same where the end was told wrongly, and it is followed from half a second before.
    (one,) = at_end(frames, [[at("red", *red[4])], [at("red", 90, 20)]], SPAN)
    assert np.abs(np.array(middle(one.thing.box)) * SIDE - last).max() < 1
    assert (one.shifts * SIDE).round()[: SPAN - repeated].tolist() == [[5, 1], [10, 2], [15, 3]][: SPAN - repeated]
    assert one.known.tolist() == [place < SPAN - repeated for place in range(SPAN)]


def test_frames_of_any_size_are_followed(monkeypatch):
    red = way((20, 30), *RIGHT)
    frames = clip((RED, red)).repeat(4, 1).repeat(4, 2)  # 448 pixels, which are looked at as 224
    sides = []
    nearest = matching._nearest
    monkeypatch.setattr(
        matching, "_nearest", lambda picture, *more: sides.append(picture.shape[-1]) or nearest(picture, *more)
    )
    found = match(frames, [at("red", *red[0])])
    assert set(sides) == {224}  # a table of all ways of large frames would take hundreds of megabytes
    assert np.allclose(found.shifts[0] * SIDE, [[5, 0], [11, 1], [18, 2], [26, 4]], atol=0.6)


def test_what_goes_beyond_the_edge_is_followed_by_what_is_left():
    red = way((80, 60), *[(8, 0)] * 4)
    frames = clip((RED, [*red[:3], (103, 60), (103, 60)]))
    for number, (x, y) in enumerate(red[3:], 3):  # half of it outside at the end
        frame = ground()
        shade = np.linspace(0.8, 1.2, 2 * HALF)[:, None, None]
        frame[y - HALF : y + HALF, x - HALF :] = (np.array(RED) * shade).repeat(SIDE - x + HALF, 1)
        frames[number] = frame.clip(0, 255).astype(np.uint8)
    last = at("red", *red[-1]).within(0, 0, 1, 1)
    (one,) = at_end(frames, [[at("red", *red[0])], [last]], SPAN)
    assert one.thing == last
    moved = moving._moved(at("red", 100, 60), np.array([12 / SIDE, 0]))
    assert moved.box == pytest.approx(last.box)
    assert (one.shifts[:, 0] * SIDE).round().tolist() == [8, 16, 24, 32]


def test_a_place_told_wrongly_is_where_it_was_followed_to():
    red = way((20, 30), *RIGHT)
    frames = clip((RED, red))
    told = [[at("red", 20, 30)], [at("red", 75, 60)]]  # half a second before rightly
    (one,) = at_end(frames, told, SPAN)
    assert np.abs(np.array(middle(one.thing.box)) * SIDE - red[-1]).max() < 1
    assert (one.shifts * SIDE).round().tolist() == [[8, 2], [15, 3], [21, 4], [26, 4]]
    assert one.known.all()
    assert one.sure


def test_a_place_that_its_pixels_confirm_stays():
    red = way((20, 30), *RIGHT)
    told = [[at("red", 60, 90)], [at("red", *red[-1])]]  # half a second before wrongly
    (one,) = at_end(clip((RED, red)), told, SPAN)
    assert one.thing == told[-1][0]
    assert (one.shifts * SIDE).round().tolist() == [[8, 2], [15, 3], [21, 4], [26, 4]]
    assert not one.sure  # it came from elsewhere than was told


def test_what_has_just_come_in_is_followed_back():
    red = way((20, 30), *RIGHT)
    (one,) = at_end(clip((RED, red)), [[], [at("red", *red[-1])]], SPAN)
    assert (one.shifts * SIDE).round()[0].tolist() == [8, 2]
    assert one.sure


def test_what_stands_behind_another_isnt_sure():
    red, blue = way((30, 30), *[(0, 0)] * 4), way((32, 34), *[(0, 0)] * 4)
    told = [[at("red", 30, 30), at("blue", 32, 34)]] * 2
    behind, before = at_end(clip((RED, red), (BLUE, blue)), told, SPAN)
    assert (behind.sure, before.sure) == (False, True)


@pytest.mark.parametrize("frames", [1, SPAN])
def test_of_too_few_frames_nothing_moves(frames):
    told = [[at("red", 20, 30)]]
    (one,) = at_end(clip((RED, way((20, 30), *RIGHT)))[:frames], told, SPAN)
    assert one.thing == told[0][0]
    assert (one.sure, one.known.any()) == (False, False)


class Steady(Mover):
    """Says that things go on as in the last frame, and stay while their middle is inside."""

    spread = 0.01

    def forward(self, boxes, shifts, known, there):
        frames = torch.arange(1, self.ahead + 1)[:, None]
        steps = (shifts[:, :, 0] * known[:, :, :1])[:, :, None] * frames
        middles = (boxes[..., :2] + boxes[..., 2:])[:, :, None] / 2 + steps
        stays = ((middles > 0) & (middles < 1)).all(-1)
        return Ahead(steps.repeat(1, 1, 1, 2), torch.full_like(stays, self.spread, dtype=torch.float), stays * 2.0 - 1)


@pytest.fixture
def steady():
    return Steady(SPAN, 2 * SPAN)


def moving_thing(words, x, y, step, sure=True):
    shifts = np.array(step) / SIDE * np.arange(1, SPAN + 1)[:, None]
    return Moving(at(words, x, y), shifts, np.ones(SPAN, bool), sure)


def centres(plan):
    assert len({thing.words for thing in plan}) == len(plan)  # nothing is told twice
    return {thing.words: tuple((np.array(middle(thing.box)) * SIDE).round().astype(int)) for thing in plan}


def test_what_is_sure_goes_where_the_mover_says(steady):
    now = [moving_thing("red", 30, 30, (2, 1)), moving_thing("blue", 80, 80, (1, 1), sure=False)]
    later = [[at("red", 90, 30), at("blue", 70, 80), at("green", 10, 100)], [at("blue", 60, 80)]]
    first, second = foretold(steady, now, later, SPAN)
    assert centres(first) == {"red": (38, 34), "blue": (70, 80), "green": (10, 100)}
    assert centres(second) == {"red": (46, 38), "blue": (60, 80)}  # what the GPT forgets the mover doesn't


def test_what_leaves_is_gone_for_good(steady):
    now = [moving_thing("red", 94, 30, (3, 0))]
    plans = foretold(steady, now, [[at("red", 90, 30)]] * 3, SPAN)
    assert [len(plan) for plan in plans] == [1, 0, 0]
    assert plans[0][0].box[2] == 1.0  # cut off by the edge


def test_more_than_it_tells_at_once_is_told_after_that(steady):
    now = [moving_thing("red", 20, 30, (1, 1))]
    plans = foretold(steady, now, [[]] * 5, SPAN)
    assert [centres(plan)["red"] for plan in plans] == [(24, 34), (28, 38), (32, 42), (36, 46), (40, 50)]


def test_what_left_stays_away_when_more_is_told(steady):
    """After what it tells at once, a network might well say that what is outside comes back."""
    now = [moving_thing("red", 94, 30, (4, 0)), moving_thing("blue", 20, 60, (0, 0))]

    def back(boxes, shifts, known, there):
        ahead = Steady.forward(steady, boxes, shifts, known, there)
        return ahead if float(boxes[0, 0, 0]) < 1 else ahead._replace(stays=ahead.stays.abs(), edges=ahead.edges * -1)

    steady.forward = back
    plans = foretold(steady, now, [[]] * 5, SPAN)
    assert [sorted(centres(plan)) for plan in plans] == [["blue", "red"], *[["blue"]] * 4]


def test_of_what_it_told_itself_all_is_known(steady):
    asked = []

    def spy(boxes, shifts, known, there):
        asked.append((shifts, known))
        return Steady.forward(steady, boxes, shifts, known, there)

    steady.forward = spy
    one = moving_thing("red", 20, 30, (1, 0))
    foretold(steady, [Moving(one.thing, one.shifts, np.arange(SPAN) < 1, True)], [[]] * 3, SPAN)
    assert [known.sum() for _, known in asked] == [1, SPAN]
    assert (asked[1][0][0, 0] * SIDE).round().tolist() == [[1, 0], [2, 0], [3, 0], [4, 0]]


def test_seeds_may_be_any_number(steady):
    assert foretold(steady, [moving_thing("red", 50, 50, (1, 1))], [[]], SPAN, temperature=1.0, seed=-1)


def test_seeds_go_other_ways_as_far_as_it_is_unsure(steady):
    now = [moving_thing("red", 50, 50, (1, 1)), moving_thing("blue", 70, 70, (0, 0))]
    later = [[at("red", 50, 50)]] * 2

    def plans(**how):
        return foretold(steady, now, later, SPAN, **how)

    assert plans(seed=1) == plans(seed=2)
    assert plans(temperature=0.5, seed=1) == plans(temperature=0.5, seed=1)
    assert plans(temperature=0.5, seed=1) != plans(temperature=0.5, seed=2)
    steady.spread = 0.0
    assert plans(temperature=0.5, seed=1) == plans()


@pytest.mark.parametrize(("text", "by_mover"), [("", True), ("push the red box", False)])
def test_an_instruction_is_the_gpts(plain, steady, monkeypatch, text, by_mover):
    told = [[at("red", 26, 28)], [at("red", 30, 30)]]
    monkeypatch.setattr(moving.planning, "follow", lambda *_: [[(at("red", 90, 90),)] * 2])
    monkeypatch.setattr(plain._model.bundle, "mover", steady)
    now = [[moving_thing("red", 30, 30, (1, 1))]]
    (plans,) = moving.go_on(plain._model, [None], [told], now, text, 2, [moving.Sampling(0.0)])
    assert (centres(plans[0])["red"] == (34, 34)) == by_mover
    assert (centres(plans[0])["red"] == (90, 90)) != by_mover


@pytest.fixture
def followed(plain, steady, monkeypatch):
    """A model with a mover, said to have learned tracks, to which a clip's end always shows a red thing that moves."""
    inner = plain._model
    monkeypatch.setitem(inner.bundle.info.made, "planned", ["track"])
    monkeypatch.setattr(inner, "framings", 1)
    monkeypatch.setattr(inner.bundle, "mover", steady)
    monkeypatch.setattr(moving.planning, "write", lambda model, prompts, _: [(at("red", 90, 90),) for _ in prompts])
    ended = []

    def at_end(frames, told, span):
        ended.append((len(frames), [len(things) for things in told], span))
        return [moving_thing("red", 30, 30, (1, 1))]

    monkeypatch.setattr(moving, "at_end", at_end)
    return plain, ended


def test_tracks_end_where_things_are_and_go_on_as_they_move(followed):
    model, ended = followed
    frames = np.zeros((9, 64, 64, 3), np.uint8)
    plans = model.track(frames, ahead=1.0).plans
    assert ended == [(9, [1, 1, 1], SPAN)]
    assert [centres(plan)["red"] for plan in plans] == [(90, 90), (90, 90), (30, 30), (34, 34), (38, 38)]
    assert centres(model.track(frames, ahead=0.5, text="push it").plans[-1])["red"] == (90, 90)


def test_futures_are_drawn_where_things_go(followed, monkeypatch):
    model, ended = followed
    carried = []

    def carry(frames, film, things, plans, *_, **__):
        carried.append([centres(plan)["red"] for plan in (things, *plans)])
        return film[1:]

    monkeypatch.setattr("triptych.tasks.predict.carry", carry)
    model._model.bundle.mover.spread = 0.1
    model.predict(np.zeros((9, 64, 64, 3), np.uint8), seconds=1.0, n=2, temperature=0.5)
    assert ended == [(9, [1, 1], SPAN)]  # once for both seeds
    (first, *one), (second, *other) = carried
    assert first == second == (30, 30)
    assert one != other
