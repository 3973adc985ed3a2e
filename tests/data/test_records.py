"""What stands where in a picture, as the tokenizers see it."""

import numpy as np
import pytest

from triptych.data.decode import window_record
from triptych.data.records import Box, Record, Text, things
from triptych.media import image
from triptych.sequence.plan import THINGS, Thing

RED, SIDE = (255, 0, 0), 64


def record(width, height, *boxes):
    words = [Text(text="a box", lang="en"), Text(text="盒子", lang="zh"), Text(text="the box", lang="en")]
    return Record(
        file="a.png", kind="picture", width=width, height=height, objects=[Box(texts=words, box=box) for box in boxes]
    )


@pytest.mark.parametrize("size", [(120, 80), (80, 120), (64, 64), (301, 97), (50, 200)])
@pytest.mark.parametrize(
    "box", [(0.4, 0.4, 0.6, 0.7), (0.0, 0.0, 0.5, 0.5), (0.3, 0.0, 1.0, 1.0), (0.45, 0.1, 0.5, 0.9)]
)
def test_a_box_holds_what_it_held_before_the_picture_was_cut(size, box):
    """A coloured rectangle goes through what cuts pictures; boxes cut with it hold it to a pixel."""
    (width, height), pixels = size, np.zeros((size[1], size[0], 3), np.uint8)
    left, top, right, bottom = (round(edge * side) for edge, side in zip(box, size * 2, strict=True))
    pixels[top:bottom, left:right] = RED
    seen = image.fit(pixels, SIDE)[..., 0] > 127
    (thing,) = things(record(width, height, (left, top, right, bottom)), "en")
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    found = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    np.testing.assert_allclose(np.array(thing.box) * SIDE, found, atol=1)
    assert all(0 <= edge <= 1 for edge in thing.box)


def test_what_the_cut_leaves_out_is_not_there():
    wide = record(200, 100, (0, 0, 50, 100), (150, 0, 400, 100), (-90, -90, -10, 50), (40, -20, 60, 500))
    assert things(wide, "en") == [Thing("a box", (0.0, 0.0, 0.1, 1.0))]
    tall = record(100, 200, (0, 10, 100, 50), (0, 149, 100, 151))
    assert [thing.box for thing in things(tall, "en")] == [(0.0, 0.99, 1.0, 1.0)]
    assert things(record(0, 0, (1, 2, 3, 4)), "en") == []  # a size that nobody measured


def test_words_are_the_first_of_a_language_or_of_any():
    picture = record(10, 10, (0, 0, 5, 5))
    assert [things(picture, lang)[0].words for lang in ("en", "zh", "de", "")] == ["a box", "盒子", "a box", "a box"]


def test_a_clip_tells_what_stands_where_at_its_times():
    words = [Text(text="a box", lang="en")]
    boxes = [Box(texts=words, box=(i, 0, i + 10, 10), time=time) for i, time in enumerate((0.0, 0.5, 0.5, 1.02))]
    clip = Record(file="a.mp4", kind="clip", width=100, height=100, duration=2.0, objects=boxes)
    at = {time: [round(100 * thing.box[0]) for thing in things(clip, "en", time)] for time in (0.0, 0.5, 1.0, 1.5)}
    assert at == {0.0: [0], 0.5: [1, 2], 1.0: [3], 1.5: []}
    fast = clip.model_copy(
        update={"objects": [Box(texts=words, box=(i, 0, i + 10, 10), time=i / 30) for i in range(60)]}
    )
    for time, frame in ((0.0, 0), (0.5, 15), (1.0, 30), (1.52, 46)):  # each once, of the frame that is nearest
        assert [round(100 * thing.box[0]) for thing in things(fast, "en", time)] == [frame]
    later = window_record(clip, 0.5000000001, 1.0)
    assert [box.time for box in later.objects] == pytest.approx([0, 0, 0.52], abs=1e-6)
    later = window_record(clip, 0.5, 0.9)
    assert [box.time for box in later.objects] == [0.0, 0.0]
    assert window_record(clip, 0.0, 2.0).objects == boxes


def test_of_more_than_a_plan_holds_the_largest_are_kept():
    many = record(100, 100, *((0, 0, 1 + i, 10) for i in range(THINGS + 5)))
    assert sorted(thing.box[2] for thing in things(many, "en")) == [(6 + i) / 100 for i in range(THINGS)]
