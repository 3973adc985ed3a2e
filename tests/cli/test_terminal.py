"""Pictures as half blocks fit the terminal and keep their proportions and colours."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from triptych.terminal import scale, show_pictures

RED = np.zeros((224, 224, 3), np.uint8) + np.array([255, 0, 0], np.uint8)


def shown(pictures, **options):
    file = io.StringIO()
    show_pictures(pictures, options.pop("show", None), console=Console(file=file, _environ={}, **options))
    return file.getvalue()


@pytest.mark.parametrize("width", [10, 24, 50, 80, 200])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_lines_are_no_wider_than_the_terminal(width, count):
    text = shown([RED] * count, width=width, height=40, force_terminal=True, color_system="truecolor")
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    assert max(map(len, lines)) <= width
    assert "48;2;255;0;0" in text


def test_proportions_are_kept():
    assert scale(np.zeros((100, 200, 3), np.uint8), 40).shape == (20, 40, 3)
    assert scale(np.zeros((200, 100, 3), np.uint8), 40).shape == (80, 40, 3)


def test_nothing_is_shown_in_a_pipe_unless_asked():
    assert shown([RED], width=80) == ""
    assert "▀" in shown([RED], width=80, show=True)
    assert shown([RED], force_terminal=True, color_system="truecolor", width=80, show=False) == ""


def test_without_colours_there_are_shades():
    half = RED.copy()
    half[:, 112:] = 255
    text = shown([half], width=80, height=20, force_terminal=True, no_color=True, color_system="truecolor")
    assert "\x1b" not in text
    assert set(text) == {" ", "@", "\n"}
