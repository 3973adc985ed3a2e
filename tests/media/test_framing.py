"""Framings: what is cut off, and what stays."""

import numpy as np
import pytest

from triptych.media.framing import MOST, framings, rooms
from triptych.tasks.settings import MOST_FRAMINGS


def scene(side=224):
    """A dark picture with a white square in its middle, and its edges marked."""
    frames = np.zeros((2, side, side, 3), np.uint8)
    frames[:, side // 2 - 20 : side // 2 + 20, side // 2 - 20 : side // 2 + 20] = 255
    frames[:, :4], frames[:, -4:], frames[:, :, :4, 1], frames[:, :, -4:, 2] = 60, 120, 180, 240
    return frames


def middle(frames):
    """Where the white square's middle stands, in pixels (row, column), in each frame."""
    white = (frames > 250).all(-1)
    return [np.argwhere(one).mean(0) for one in white]


def test_the_command_line_knows_how_many_there_are():
    assert MOST == MOST_FRAMINGS


def test_the_first_is_the_medium_itself():
    frames = scene()
    assert framings(frames, 1)[0] is frames
    assert all(f.shape == frames.shape and f.dtype == np.uint8 for f in framings(frames, MOST))


def test_each_moves_everything_another_way_and_all_frames_alike():
    frames = scene()
    home = middle(frames)[0]
    moves = []
    for other in framings(frames, MOST)[1:]:
        first, second = middle(other)
        np.testing.assert_array_equal(first, second)
        moves.append(tuple(np.sign(np.round(first - home)).astype(int)))
        assert 2 < np.abs(first - home).max() < 9  # more than nothing, less than a code
    assert sorted(moves) == [(-1, -1), (-1, 1), (1, -1), (1, 1)]


@pytest.mark.parametrize("count", [0, MOST + 1])
def test_too_many_or_none_are_refused(count):
    with pytest.raises(ValueError, match=f"{count} framings"):
        framings(scene(), count)


def test_rooms_are_what_framings_cut_off():
    """What stands in the middle of a framing stands, counted with what is cut off, where it was."""
    frames = scene()
    home, side = middle(frames)[0], frames.shape[1]
    assert not rooms(side, MOST)[0].any()
    for (top, bottom, left, right), other in zip(rooms(side, MOST), framings(frames, MOST), strict=True):
        row, column = middle(other)[0]
        there = top + row * (side - top - bottom) / side, left + column * (side - left - right) / side
        np.testing.assert_allclose(there, home, atol=1)
