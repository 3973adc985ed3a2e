"""The page on use: its command lines parse, and its Python runs."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import triptych
from triptych.cli import app
from triptych.media import video

PAGES = {name: (Path(__file__).parents[2] / "docs" / name).read_text("utf-8") for name in ("use.md", "draw.md")}
LINES = [line for page in PAGES.values() for line in re.findall(r"^    (triptych .*)$", page, re.M)]


@pytest.mark.parametrize("line", LINES)
def test_command_lines_parse(line):
    _, *words = shlex.split(line, comments=True)
    command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert command.__name__ == words[0]
    assert bound is not None


@pytest.mark.parametrize("name", PAGES)
def test_the_python_runs(name, tiny_model, tmp_path, monkeypatch, capsys):
    from triptych.tasks import common

    monkeypatch.setattr(common.Model.say, "__kwdefaults__", {"limit": 8})
    monkeypatch.chdir(tmp_path)
    video.write("clip.mp4", np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8))
    load = triptych.load
    monkeypatch.setattr(triptych, "load", lambda name: load(tiny_model))
    (block,) = re.findall(r"```python\n(.*?)```", PAGES[name], re.S)
    exec(compile(block, name, "exec"), {})
    assert {"use.md": "gpt", "draw.md": "0 0.5"}[name] in capsys.readouterr().out


def test_every_command_is_on_the_page():
    shown = {line.split()[1] for line in LINES}
    assert {
        "complete",
        "inpaint",
        "outpaint",
        "vary",
        "edit",
        "film",
        "likelihood",
        "draw",
        "caption",
        "ask",
        "watch",
        "demo",
        "info",
        "evaluate",
    } <= shown
