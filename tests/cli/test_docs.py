"""The pages on use, on drawing and on clips: their command lines parse, and their Python runs."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import triptych
from triptych.cli import app
from triptych.media import video

NAMES = ("use.md", "draw.md", "video.md", "compare.md")
PAGES = [(Path(__file__).parents[2] / "docs" / name).read_text("utf-8") for name in NAMES]
LINES = [line for page in PAGES for line in re.findall(r"^    (?:.* \| )?(triptych .*)$", page, re.M)]
BLOCKS = [block for page in PAGES for block in re.findall(r"```python\n(.*?)```", page, re.S)]


@pytest.mark.parametrize("line", LINES)
def test_command_lines_parse(line):
    _, *words = shlex.split(line, comments=True)
    command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert command.__name__ in (words[0], "_".join(words[:2]))  # a command, or one of a group
    assert bound is not None


@pytest.mark.parametrize("block", BLOCKS)
def test_the_python_runs(block, tiny_model, tmp_path, monkeypatch, capsys, brief):
    monkeypatch.chdir(tmp_path)
    video.write("clip.mp4", np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8))
    model = triptych.load(tiny_model)
    model.info.made["planned"] = ["view", "edit", "things", "track"]  # said to have learned plans
    monkeypatch.setattr(triptych, "load", lambda name: model)
    (tmp_path / "clips").mkdir()
    video.write("clips/a.mp4", np.zeros((5, 64, 64, 3), np.uint8))
    exec(compile(block, "page", "exec"), {})
    assert capsys.readouterr().out


def test_every_command_is_on_the_page():
    shown = {line.split()[1] for line in LINES}
    assert {"draw", "caption", "ask", "watch", "demo", "info", "evaluate", "compare"} <= shown
    assert {"complete", "inpaint", "outpaint", "vary", "edit", "film", "likelihood", "plan"} <= shown
    assert {"surprise", "locate", "classify", "predict", "features", "index", "search"} <= shown
