"""Things that come along with their own pixels: where plans take them, and what of a frame is drawn."""

import numpy as np
import pytest
from PIL import Image

from triptych.sequence.plan import Thing
from triptych.tasks.carried import LEAP, SHADOW, carry
from triptych.tasks.cutout import cut_out, filled, inside

SIDE, SPAN = 100, 4
GROUND, RED, BLUE, INK = 180, (200, 20, 20), (30, 40, 190), (250, 240, 10)
BALL = Thing("red ball", (0.2, 0.4, 0.4, 0.6))
CUBE = Thing("blue cube", (0.6, 0.5, 0.8, 0.8))


def table(*things, shade=None):
    """A frame of grey ground with discs and squares of one colour."""
    frame = np.full((SIDE, SIDE, 3), GROUND, np.uint8)
    if shade is not None:
        frame[inside(shade, SIDE, 0)] = GROUND * 0.7
    for thing in things:
        left, top, right, bottom = thing.box
        rows, columns = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
        here = inside(thing.box, SIDE, 0)
        if thing.words.endswith("ball"):
            x, y = (left + right) / 2, (top + bottom) / 2
            here &= np.hypot((columns - x) / (right - left), (rows - y) / (bottom - top)) < 0.5
        frame[here] = RED if "red" in thing.words else BLUE
    return frame


def moved(thing, right=0.0, down=0.0):
    a, b, c, d = thing.box
    return Thing(thing.words, (a + right, b + down, c + right, d + down))


def film(count=SPAN):
    """A drawing that is ink from the first frame on, after one that is none."""
    return np.concatenate([np.zeros((1, SIDE, SIDE, 3)), np.full((count, SIDE, SIDE, 3), INK)]).astype(np.uint8)


def after(given, told, *plans, drawing=None, **more):
    frames = given if given.ndim == 4 else given[None]
    drawn = film(SPAN * len(plans)) if drawing is None else drawing
    return carry(frames, drawn, told, plans, SPAN, **more)


def near(one, two, share=0.995):
    """Whether nearly all pixels are the same, but for the rims."""
    return (np.abs(one.astype(int) - two).max(-1) <= 12).mean() >= share


def inked(frame):
    return np.abs(frame.astype(int) - INK).max(-1) < 40


def test_a_thing_comes_along_and_the_ground_closes():
    told = [BALL, CUBE]
    frames = after(table(*told), told, [moved(BALL, 0.2), CUBE])
    for number, frame in enumerate(frames, 1):
        assert near(frame, table(moved(BALL, 0.2 * number / SPAN), CUBE))
    assert not near(frames[-1], table(*told))
    still = inside(CUBE.box, SIDE, 0)
    np.testing.assert_array_equal(frames[-1][still], table(*told)[still])


def test_it_goes_on_from_map_to_map():
    frames = after(table(BALL), [BALL], [moved(BALL, 0.2)], [moved(BALL, 0.2, 0.3)])
    assert near(frames[3], table(moved(BALL, 0.2)))
    assert near(frames[5], table(moved(BALL, 0.2, 0.15)))
    assert near(frames[7], table(moved(BALL, 0.2, 0.3)))


def test_boxes_read_a_little_off_move_nothing():
    told = [BALL]
    np.testing.assert_array_equal(after(table(BALL), told, [moved(BALL, 0.02, -0.02)])[-1], table(BALL))


def test_how_far_is_told_by_the_clip_though_boxes_are_off():
    """Both plans are 0.06 too far right: what counts is how far they are apart."""
    told, plan = [moved(BALL, 0.06)], [moved(BALL, 0.26)]
    assert near(after(table(BALL), told, plan)[-1], table(moved(BALL, 0.2)))


def test_what_is_new_is_drawn_and_nothing_else():
    frames = after(table(BALL), [BALL], [BALL, CUBE])
    drawn = inked(frames[-1])
    assert drawn[inside(CUBE.box, SIDE, 0)].all()
    assert not drawn[~inside(CUBE.box, SIDE, 12)].any()
    ball = inside(BALL.box, SIDE, 0)
    np.testing.assert_array_equal(frames[-1][ball], table(BALL)[ball])


def test_with_an_instruction_all_else_is_drawn():
    frames = after(table(BALL), [BALL], [BALL], draw_rest=True)
    assert inked(frames[-1])[:20].all()
    middle = inside((0.27, 0.47, 0.33, 0.53), SIDE, 0)
    np.testing.assert_array_equal(frames[-1][middle], table(BALL)[middle])


def test_with_an_instruction_something_may_come_to_where_a_thing_was():
    frame = after(table(BALL), [BALL], [moved(BALL, 0.3)], draw_rest=True)[-1]
    assert inked(frame)[inside((0.25, 0.45, 0.35, 0.55), SIDE, 0)].all()


def entering(*boxes):
    """A drawing of a blue cube that goes from box to box, frame by frame, after one of nothing."""
    frames = [table(), *(table(Thing("blue cube", box)) for box in boxes)]
    return np.stack(frames)


@pytest.mark.parametrize("known", [False, True])
def test_what_is_drawn_is_drawn_on_all_its_way(known):
    """Where it was one map before, where it comes to, and between them: a new thing, and one of which more is seen."""
    boxes = [(0.1 + 0.1 * n, 0.4, 0.3 + 0.1 * n, 0.6) for n in range(7)]
    part = Thing("blue cube", (0.0, 0.4, 0.08, 0.6))
    told = [part] if known else []
    film_ = entering(*[boxes[0]] * SPAN, *boxes[1:5])
    plans = [[Thing("blue cube", boxes[0])], [Thing("blue cube", boxes[4])]]
    frames = after(table(*told), told, *plans, drawing=film_)
    whole = (np.abs(film_[1] - np.array(GROUND)).max(-1) > 60).sum()
    for frame in frames[SPAN - 1 :]:
        cube = (np.abs(frame.astype(int) - BLUE).max(-1) < 40).sum()
        assert cube >= 0.9 * whole


def test_what_is_forgotten_stays_and_what_leaves_is_gone():
    """A thing that stirs at the picture's edge and isn't told any more has left; one that lay still was forgotten."""
    edge = Thing("red ball", (0.78, 0.4, 0.98, 0.6))
    before = np.stack([table(moved(edge, -0.2)), *[table(edge)] * SPAN])
    assert near(after(before[1:], [edge], [])[-1], table(edge))
    assert near(after(before, [edge], [])[-1], table())
    middle = np.stack([table(moved(BALL, 0.2)), *[table(BALL)] * SPAN])
    assert near(after(middle, [BALL], [])[-1], table(BALL))


def test_what_rolls_out_after_a_while_is_gone():
    first, second = moved(BALL, 0.3), moved(BALL, 0.55)
    frames = after(table(BALL), [BALL], [first], [second], [])
    assert near(frames[2 * SPAN - 1], table(second))
    assert near(frames[2 * SPAN + 1], table(moved(BALL, 0.675)))
    assert near(frames[-1], table())


def test_what_one_plan_forgets_comes_back():
    edge = Thing("red ball", (0.78, 0.4, 0.98, 0.6))
    given = np.stack([table(moved(edge, -0.2)), *[table(edge)] * SPAN])
    frames = after(given, [edge], [], [edge])
    assert all(near(frame, table(edge)) for frame in frames)


def test_things_of_the_same_words_keep_apart():
    """Each goes on from where it was a map before, though another was nearer to where it comes to at first."""
    one, two = Thing("red ball", (0.1, 0.4, 0.3, 0.6)), Thing("red ball", (0.4, 0.4, 0.6, 0.6))
    steps = [[moved(one, 0.12 * n), moved(two, 0.12 * n)] for n in (1, 2, 3)]
    frames = after(table(one, two), [one, two], *steps)
    for n in (1, 2, 3):
        assert near(frames[n * SPAN - 1], table(*steps[n - 1]))
        halfway = 0.12 * (n - 0.5)
        assert near(frames[n * SPAN - 3], table(moved(one, halfway), moved(two, halfway)))


def test_what_lay_still_does_not_leap():
    far = moved(BALL, LEAP + 0.1)
    still = np.stack([table(BALL)] * (SPAN + 1))
    rolling = np.stack([table(moved(BALL, -0.15)), *[table(BALL)] * SPAN])
    assert near(after(still, [BALL], [far])[-1], table(BALL))
    assert near(after(rolling, [BALL], [far])[-1], table(far))


def test_nearer_things_stay_in_front():
    behind = moved(BALL, 0.35)
    frame = after(table(BALL, CUBE), [BALL, CUBE], [behind, CUBE])[-1]
    assert near(frame, table(behind, CUBE))
    front = Thing("red ball", (0.2, 0.7, 0.4, 0.9))
    frame = after(table(front, CUBE), [front, CUBE], [moved(front, 0.35), CUBE])[-1]
    assert near(frame, table(CUBE, moved(front, 0.35)))


def test_what_leaves_over_the_edge_keeps_its_shape():
    """A box that the picture cuts off is narrower; its other edge tells how far it went."""
    there = Thing("red ball", (0.7, 0.4, 0.9, 0.6))
    cut = Thing("red ball", (0.9, 0.4, 1.0, 0.6))
    assert near(after(table(there), [there], [cut])[-1], table(moved(there, 0.2)))


def test_what_was_hidden_for_the_most_part_is_drawn_where_it_comes_to():
    hidden = Thing("red ball", (0.65, 0.55, 0.75, 0.65))  # a red box is told where the cube stands
    shown = moved(hidden, -0.3)
    frame = after(table(CUBE), [hidden, CUBE], [shown, CUBE])[-1]
    assert inked(frame)[inside(shown.box, SIDE, 0)].all()


def test_a_thing_of_which_more_is_to_be_seen_than_was_is_drawn():
    part, whole = Thing("red cube", (0.0, 0.4, 0.1, 0.6)), Thing("red cube", (0.1, 0.4, 0.3, 0.6))
    frame = after(table(part), [part], [whole])[-1]
    assert inked(frame)[inside(whole.box, SIDE, 0)].all()


def test_a_thing_that_is_told_by_other_words_stays_as_it_was():
    frame = after(table(BALL), [BALL], [Thing("red cube", BALL.box)])[-1]
    np.testing.assert_array_equal(frame, table(BALL))


def test_what_a_thing_hid_of_another_is_drawn_when_it_leaves():
    over = Thing("red ball", (0.5, 0.55, 0.7, 0.75))
    frame = after(table(CUBE, over), [CUBE, over], [CUBE, moved(over, -0.3)])[-1]
    assert inked(frame)[63:67, 65:67].all()
    corner = inside((0.7, 0.77, 0.79, 0.79), SIDE, 0)
    np.testing.assert_array_equal(frame[corner], table(CUBE)[corner])


def test_what_stands_beside_a_thing_that_leaves_keeps_every_pixel():
    beside = Thing("blue cube", (0.4, 0.4, 0.6, 0.6))
    cube = Thing("red cube", (0.2, 0.4, 0.4, 0.6))
    frame = after(table(cube, beside), [cube, beside], [moved(cube, -0.2, 0.25), beside])[-1]
    there = inside(beside.box, SIDE, 0)
    np.testing.assert_array_equal(frame[there], table(beside)[there])


def test_what_is_hidden_and_stays_is_not_drawn():
    hidden = Thing("red ball", (0.65, 0.55, 0.85, 0.65))
    frame = after(table(CUBE), [hidden, CUBE], [hidden, CUBE])[-1]
    np.testing.assert_array_equal(frame, table(CUBE))


def test_a_stain_is_no_shadow():
    """What is darker beside a thing, but of another hue, stays where it is."""
    frame = table(BALL)
    stain = inside((0.42, 0.45, 0.48, 0.55), SIDE, 0)
    frame[stain] = (160, 90, 60)
    later = after(frame, [BALL], [moved(BALL, 0.0, 0.3)])[-1]
    assert (np.abs(later[stain].astype(int) - (160, 90, 60)).max(-1) < 12).mean() > 0.6
    assert later[inside((0.42, 0.75, 0.48, 0.85), SIDE, 0)].min() > 170


def test_a_shadow_comes_along():
    left, _, right, bottom = BALL.box
    shade = (left, bottom - 0.01, right, bottom + SHADOW * (right - left) * 0.8)
    frame = after(table(BALL, shade=shade), [BALL], [moved(BALL, 0.3)])[-1]
    a, b, c, d = shade
    assert near(frame, table(moved(BALL, 0.3), shade=(a + 0.3, b, c + 0.3, d)), 0.98)
    assert frame[65, 30, 0] > 170
    assert frame[65, 60, 0] < 140


def test_a_shadow_is_that_of_the_nearest_thing():
    """One that stands still keeps its own, beside one that leaves."""
    shade = (0.48, 0.5, 0.52, 0.62)  # of the cube, to its left
    cube = Thing("blue cube", (0.52, 0.45, 0.7, 0.62))
    frame = after(table(BALL, cube, shade=shade), [BALL, cube], [moved(BALL, 0.0, -0.35), cube])[-1]
    there = inside((0.49, 0.51, 0.51, 0.61), SIDE, 0)
    assert frame[there].max() < 140
    assert frame[inside((0.42, 0.16, 0.52, 0.26), SIDE, 0)].min() > 160
    other = Thing("blue cube", (0.6, 0.4, 0.8, 0.6))
    between = table(BALL, other, shade=(0.46, 0.45, 0.54, 0.55))
    ahead = [moved(BALL, 0.0, -0.35), moved(other, 0.0, 0.3)]
    dark = [
        (np.abs(one.astype(int) - GROUND * 0.7).max(-1) < 20).sum()
        for one in (between, after(between, [BALL, other], ahead)[-1])
    ]
    assert dark[1] <= 1.3 * dark[0]


def test_a_thing_that_fills_the_picture():
    whole = Thing("red cube", (0.0, 0.0, 1.0, 1.0))
    frame = after(table(whole), [whole], [moved(whole, 0.2)])[-1]
    assert frame.max(-1).min() > 150  # red, or drawn; no hole


def test_nothing_told_and_nothing_planned_stays():
    np.testing.assert_array_equal(after(table(BALL), [], [])[-1], table(BALL))


@pytest.mark.parametrize("side", [64, 448])
def test_pictures_of_other_sizes_are_cut_out_alike(side):
    picture = np.asarray(Image.fromarray(table(BALL, CUBE)).resize((side, side), Image.Resampling.NEAREST))
    small = Thing("red ball", (0.25, 0.45, 0.35, 0.55))
    little = np.asarray(Image.fromarray(table(small)).resize((side, side), Image.Resampling.NEAREST))
    for told, shown, seen in (([BALL, CUBE], picture, BALL), ([small], little, small)):
        masks, found = cut_out(shown, [moved(thing, 0.05) for thing in told])
        true = (shown[..., 0] == RED[0]) & (shown[..., 1] == RED[1])
        assert (masks[0] & true).sum() >= 0.9 * true.sum()
        np.testing.assert_allclose(found[0].box, seen.box, atol=0.025)


@pytest.mark.parametrize("off", [(0.0, 0.0), (0.06, 0.0), (-0.05, 0.05)])
def test_pixels_of_things_are_found_where_they_are(off):
    picture = table(BALL, CUBE)
    picture[45:48, 26:29] = 255  # a highlight
    masks, found = cut_out(picture, [moved(BALL, *off), moved(CUBE, *off)])
    ball = (table(BALL) != GROUND).any(-1)
    cube = (table(CUBE) != GROUND).any(-1)
    for mask, true in zip(masks, (ball, cube), strict=True):
        assert (mask & true).sum() >= 0.95 * true.sum()
        assert (mask & ~true).sum() <= 0.08 * true.sum()
    assert masks[0][46, 27]
    for thing, true in zip(found, (BALL, CUBE), strict=True):
        np.testing.assert_allclose(thing.box, true.box, atol=0.02)


def test_a_pixel_that_two_boxes_hold_is_of_one_thing():
    over = Thing("red ball", (0.5, 0.4, 0.7, 0.6))
    masks, _ = cut_out(table(over, CUBE), [over, CUBE])
    assert not (masks[0] & masks[1]).any()
    assert masks[1][51:79, 61:79].mean() > 0.95
    assert masks[0][50, 55]
    in_front = np.where(inside(over.box, SIDE, 0)[..., None], table(over), table(CUBE))
    masks, _ = cut_out(np.where(in_front == GROUND, table(CUBE), in_front), [over, CUBE])
    assert masks[0][51:58, 61:66].all()  # its hue tells, though it stands higher


def test_a_hole_is_closed_from_around_it():
    rows, columns = np.mgrid[:64, :50].astype(np.float32)
    slope = np.stack([100 + rows, 100 + columns, 150 + 0 * rows], -1)
    hole = np.zeros((64, 50), bool)
    hole[20:36, 15:31] = True
    broken = np.where(hole[..., None], 0, slope)
    closed = filled(broken, hole)
    np.testing.assert_allclose(closed[~hole], slope[~hole], atol=1e-3)
    assert np.abs(closed - slope)[hole].max() < 10
    np.testing.assert_array_equal(filled(slope, ~np.zeros_like(hole))[0, 0], np.median(slope, (0, 1)))


def test_what_overlaps_a_thing_of_its_hue_stays():
    """Which pixels are whose can't be told; of another hue, or beside it, things go along as planned."""
    ahead = moved(BALL, 0.0, -0.3)
    for other, stays in (
        (Thing("red cube", (0.36, 0.45, 0.56, 0.65)), True),
        (Thing("blue cube", (0.36, 0.45, 0.56, 0.65)), False),
        (Thing("red cube", (0.44, 0.45, 0.64, 0.65)), False),
    ):
        picture = table(other, BALL)
        frame = after(picture, [BALL, other], [ahead, other])[-1]
        gone = (np.abs(frame[52:58, 26:32].astype(int) - GROUND).max() < 40, (frame == picture).all())
        assert gone == (not stays, stays)


AWAY = (moved(BALL, 0.0, -0.3), moved(CUBE, 0.1, -0.3))


def test_what_comes_along_unlike_itself_is_drawn_and_else_stays():
    """Only that: what fits as before comes along, and what is a little less like itself."""
    whole = table(BALL, CUBE)

    def only(words, wrong, drawn=-1.0):
        def look(frame, thing):
            if thing.words != words or (frame == whole).all():
                return -1.0
            return drawn if inked(frame).any() else wrong

        return look

    plain = after(whole, [BALL, CUBE], AWAY)
    for look in (only("red ball", -6.0), only("red ball", None), lambda frame, thing: None):
        np.testing.assert_array_equal(after(whole, [BALL, CUBE], AWAY, look=look), plain)
    drawn = after(whole, [BALL, CUBE], AWAY, look=only("red ball", -8.0))
    np.testing.assert_array_equal(drawn[:, :, 55:], plain[:, :, 55:])
    assert inked(drawn[-1])[inside(AWAY[0].box, SIDE, -3)].all()
    stays = after(whole, [BALL, CUBE], AWAY, look=only("red ball", -8.0, drawn=-8.0))[-1]
    assert near(stays, table(BALL, AWAY[1]))
    np.testing.assert_array_equal(stays[:, :50], whole[:, :50])


def test_what_is_no_such_thing_stays():
    still = Thing("blue ball", (0.1, 0.8, 0.2, 0.9))
    looked = []

    def look(frame, thing):
        looked.append(thing.words)
        return {"red ball": -51.0, "blue cube": -49.0}[thing.words]

    frame = after(table(BALL, CUBE, still), [BALL, CUBE, still], (*AWAY, still), look=look)[-1]
    assert near(frame, table(BALL, AWAY[1], still))
    assert looked == ["red ball", "blue cube", "blue cube"]  # what stands needs no look


def reddish(frame, thing):
    """A look that knows what is red, and nothing else."""
    red = (np.abs(frame.astype(int) - RED).max(-1) < 60)[inside(thing.box, SIDE, 0)]
    return -1.0 if red.mean() > 0.6 else -20.0


@pytest.mark.parametrize("count", [SPAN, SPAN + 2, 2 * SPAN])
def test_things_are_looked_at_where_they_are_in_the_last_frame(count):
    plans = [moved(BALL, 0.0, -0.3)], [moved(BALL, 0.3, -0.3)]
    drawing = film(count)
    plain = after(table(BALL), [BALL], *plans, drawing=drawing)
    np.testing.assert_array_equal(after(table(BALL), [BALL], *plans, drawing=drawing, look=reddish), plain)


@pytest.mark.parametrize(("left", "is_looked_at"), [(0.0, True), (-0.015, True), (-0.05, False), (-0.12, False)])
def test_what_the_edge_cuts_off_is_not_looked_at(left, is_looked_at):
    looked = []

    def look(frame, thing):
        looked.append(thing)
        return -1.0 if len(looked) == 1 else -20.0

    there = Thing("red ball", (max(left, 0.0), 0.4, left + 0.2, 0.6))
    frames = after(table(BALL), [BALL], [there], look=look)
    assert (len(looked) > 1) == is_looked_at
    assert near(frames[-1], table(BALL if is_looked_at else moved(BALL, left - 0.2)))


def test_what_is_drawn_is_looked_at_where_it_is_told_and_may_leave():
    looked = []

    def look(frame, thing):
        looked.append(thing)
        return -1.0 if len(looked) == 1 else -20.0

    larger = Thing("blue cube", (0.66, 0.19, 0.94, 0.51))
    after(table(CUBE), [CUBE], [larger], look=look)
    carried, drawn = looked[1:]
    np.testing.assert_allclose(carried.box, AWAY[1].box, atol=0.02)  # with its pixels
    assert drawn.box == larger.box
    enters, far = Thing("red ball", (0.0, 0.4, 0.08, 0.6)), Thing("red ball", (0.0, 0.4, 0.17, 0.6))
    start = np.stack([table(moved(BALL, -0.3)), table(moved(BALL, -0.32))])
    frames = after(start, [enters], [far], [], look=reddish)
    np.testing.assert_array_equal(frames, after(start, [enters], [far], []))
    assert not reddish_pixels(frames[-1])


def reddish_pixels(frame):
    return (np.abs(frame.astype(int) - RED).max(-1) < 60).any()
