"""The command line: what it prints where, what it writes, and how it fails."""

import inspect
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import docstring_parser
import numpy as np
import pytest

import triptych
from triptych import zoo
from triptych.cli import app, main
from triptych.cli.output import file_names, split_choices
from triptych.files import slug
from triptych.media import image, video
from triptych.tasks.settings import usual

DRAWING = ("draw", "complete", "inpaint", "outpaint", "vary", "edit", "film", "likelihood")
COMMANDS = (
    *DRAWING,
    *(
        "caption",
        "plan",
        "ask",
        "watch",
        "surprise",
        "locate",
        "classify",
        "track",
        "predict",
        "features",
        "index",
        "search",
    ),
    *("demo", "info", "evaluate", "compare", "prepare", "train", "world tabletop"),
)


@pytest.fixture
def folder(tmp_path, monkeypatch, brief):
    """An empty working folder; random weights rarely end a text, so texts are cut short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clip(folder):
    frames = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    video.write(folder / "clip.mp4", frames)
    return "clip.mp4"


@pytest.fixture
def run(capsys):
    """Run a command line; gives status, stdout, stderr."""

    def call(*arguments):
        status = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_help_and_import_load_no_torch():
    code = (
        "import sys, triptych\nfrom triptych.cli import main\n"
        f"for command in {COMMANDS!r}:\n    assert main([*command.split(), '--help']) == 0\n"
        "assert main(['--help']) == main([]) == main(['--version']) == 0\n"
        "heavy = {'torch', 'numpy', 'PIL', 'av', 'pydantic', 'mujoco'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: triptych") == len(COMMANDS) + 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_described(command):
    group = app
    for word in command.split():
        group = group[word]
    described = {p.arg_name: p.description for p in docstring_parser.parse(group.default_command.__doc__).params}
    assert list(described) == list(inspect.signature(group.default_command).parameters)
    assert all(described.values())


def test_draw_writes_pictures_with_their_story(run, folder, tiny_model):
    status, out, err = run("draw", "a red ball", "-o", "out.png", "-n", 2, "--seed", 3, "-m", tiny_model)
    assert (status, out, err) == (0, "out-1.png\nout-2.png\n", "")
    kept = image.read_metadata("out-2.png")
    assert kept["prompt"] == "a red ball"
    assert kept["seed"] == "4"
    assert kept["model"].startswith("tiny ")
    assert json.loads(kept["settings"])["guidance"] > 1
    again = run("draw", "a red ball", "-o", "new/again.png", "--seed", 4, "-m", tiny_model, "--no-metadata")
    assert again[0] == 0
    np.testing.assert_array_equal(image.read("out-2.png"), image.read("new/again.png"))
    assert image.read_metadata("new/again.png") == {}


def test_draw_names_files_by_the_text(run, folder, tiny_model):
    assert run("draw", "一个红色的球", "-m", tiny_model)[1] == "一个红色的球.png\n"
    assert run("draw", "一个红色的球", "-m", tiny_model)[1] == "一个红色的球-2.png\n"
    assert run("draw", "-m", tiny_model)[1] == "picture.png\n"
    assert run("draw", "../../A/b: c?", "-m", tiny_model)[1] == "a-b-c.png\n"


def test_draw_goes_on_from_pictures(run, folder, tiny_model):
    run("draw", "a", "-o", "a.png", "-m", tiny_model)
    given = ("draw", "b", "-o", "b.png", "--image", "a.png", "--image", "a.png", "-m", tiny_model, "--json")
    status, out, err = run(*given, "--guidance", 1, "--temperature", 0, "--top-k", 5, "--top-p", 0.9)
    assert (status, err) == (0, "")
    picture = json.loads(out)["pictures"][0]
    assert picture["file"] == "b.png"
    asked = {"guidance": 1.0, "temperature": 0.0, "top_k": 5, "top_p": 0.9}
    assert picture["settings"] == {**asdict(usual("draw")), **asked}


def test_pictures_from_pictures(run, folder, tiny_model):
    m = ("-m", tiny_model, "--guidance", 2)
    run("draw", "a", "-o", "a.png", "--width", 96, *m)
    image.write("mask.png", np.full((64, 96, 3), 255, np.uint8))
    for number, arguments in enumerate(
        (
            ("complete", "a.png", "b", "--keep", 0.5),
            ("inpaint", "a.png", "--box", "10,10,40,40"),
            ("inpaint", "a.png", "b", "--mask", "mask.png", "--best-of", 2),
            ("outpaint", "a.png", "--right", 30, "--top", 1),
            ("vary", "a.png", "--strength", 0.3, "--decode", "speculative"),
            ("edit", "a.png", "make it green", "--negative", "red"),
        )
    ):
        status, out, err = run(*arguments, "-o", f"{number}.png", *m)
        assert (status, out, err) == (0, f"{number}.png\n", ""), err
        assert json.loads(image.read_metadata(f"{number}.png")["task"])["verb"] == arguments[0]
    assert image.read("3.png").shape == (96, 128, 3)
    assert image.read("5.png").shape == (64, 64, 3)
    status, out, _ = run("vary", "a.png", *m, "--json")
    picture = json.loads(out)["pictures"][0]
    assert (picture["file"], picture["inputs"]["strength"]) == ("picture.png", 0.5)


def test_films(run, folder, tiny_model):
    m = ("-m", tiny_model, "--guidance", 2)
    assert run("film", "a ball rolls", "-n", 2, *m)[:2] == (0, "a-ball-rolls-1.mp4\na-ball-rolls-2.mp4\n")
    assert len(video.read("a-ball-rolls-1.mp4", size=64, frames=None).frames) == 17
    status, out, _ = run("film", "--start", "a-ball-rolls-1.mp4", "--frames", 21, "-o", "b.gif", "--json", *m)
    assert (status, json.loads(out)["clips"][0]["frames"]) == (0, 21)
    for arguments, words in (
        (("-o", "a.png"), "can't write clips as .png"),
        (("--frames", 18), "frames=18: give 1 + 4k"),
    ):
        status, _, err = run("film", "a", *arguments, *m)
        assert (status, words in err) == (1, True), err
    for option, value in (("--best-of", 2), ("--plan", "red ball 1 2 3 4"), ("--width", 448)):
        status, _, err = run("film", "a", option, value, *m)
        assert (status, f"Unknown option: {option}" in err) == (2, True), err
    assert "--plan" not in run("film", "--help")[1]


def test_draw_again(run, folder, tiny_model):
    m = ("-m", tiny_model)
    run("draw", "a red ball", "-o", "a.png", "--seed", 3, "--top-k", 9, *m)
    run("vary", "a.png", "-o", "b.png", "--strength", 0.6, *m)
    for name in ("a", "b"):
        assert run("draw", "--again", f"{name}.png", "-o", "c.png", *m) == (0, "c.png\n", "")
        assert Path("c.png").read_bytes() == Path(f"{name}.png").read_bytes()
    run("draw", "a cube", "--again", "a.png", "-o", "c.png", "--seed", 4, "--guidance", 1, *m)
    kept = image.read_metadata("c.png")
    settings = json.loads(kept["settings"])
    assert (kept["prompt"], kept["seed"], settings["top_k"], settings["guidance"]) == ("a cube", "4", 9, 1.0)
    kept = image.read_metadata("a.png") | {"model": "other 0123"}
    image.write("d.png", image.read("a.png"), kept)
    assert "drawn by the model 'other 0123'" in run("draw", "--again", "d.png", "-o", "e.png", *m)[2]


def test_pictures_are_shown_while_they_are_drawn(run, folder, tiny_model):
    status, out, err = run("draw", "a", "-o", "a.png", "-m", tiny_model, "--live")
    assert (status, out) == (0, "a.png\n")
    assert err.strip() == ""  # it is no terminal


def test_texts_and_pictures_are_ranked(run, folder, tiny_model):
    m = ("-m", tiny_model)
    run("draw", "a", "-o", "a.png", *m)
    run("draw", "b", "-o", "b.png", *m)
    status, out, err = run("likelihood", "a ball", "一个红色的球", "--image", "a.png", "--image", "b.png", *m)
    assert (status, err) == (0, "")
    assert out.count("a ball") == out.count("一个红色的球") == 3
    pictures = json.loads(run("likelihood", "a ball", "--image", "a.png", "--json", *m)[1])["pictures"]
    assert pictures[0]["matches"][0]["text"] == "a ball"


def test_draw_shows_pictures_where_asked(run, folder, tiny_model, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = run("draw", "a", "-o", "a.png", "-m", tiny_model, "--show")[1]
    assert out.count("▀") >= 24 * 12
    monkeypatch.setenv("NO_COLOR", "1")
    out = run("draw", "a", "-o", "a.png", "-m", tiny_model, "--show")[1]
    assert "▀" not in out
    assert "\x1b" not in out
    assert len(out.splitlines()) > 10


def test_pictures_and_clips_are_read(run, clip, tiny_model):
    status, out, err = run("caption", clip, "-m", tiny_model, "--language", "zh")
    assert status == 0
    assert out
    assert "read 0.0 s to 2.0 s of 5.0 s" in err
    assert "from 0:0" in run("ask", clip, "How many?", "-m", tiny_model)[2]
    assert "read 3.0 s to 5.0 s" not in run("ask", clip, "How many?", "-m", tiny_model, "--start", 3)[2]
    status, out, err = run("caption", clip, "-m", tiny_model, "--json", "--start", 3)
    assert json.loads(out)["times"] == [3.0, 5.0]
    assert err == ""
    out = run("ask", clip, "有几个物体？", "--choices", "1，2,3", "-m", tiny_model, "--json")[1]
    assert sum(json.loads(out)["probabilities"].values()) == pytest.approx(1)
    assert run("ask", clip, "How many?", "--choices", "1,2", "-m", tiny_model)[1].count("%") == 2


@pytest.fixture
def planning(monkeypatch):
    """Every model has learned plans, and writes the same."""
    from triptych.sequence.plan import parse
    from triptych.tasks import planning

    monkeypatch.setattr(planning, "LIMIT", 4)
    monkeypatch.setattr(planning, "is_learned", lambda model, verb="draw": True)
    monkeypatch.setattr(
        planning, "parse_what_can_be", lambda text: tuple(parse("red ball 10 40 30 60; 小方块 50 0 90 25"))
    )


def test_a_plan_is_told_a_line_a_thing(run, folder, tiny_model, planning):
    m = ("-m", tiny_model)
    assert run("plan", "a red ball", *m) == (0, "red ball 10 40 30 60;\n小方块 50 0 90 25\n", "")
    told = json.loads(run("plan", "a red ball", "--language", "zh", "--json", *m)[1])
    assert (told["file"], told["prompt"], told["plan"]) == (
        None,
        "a red ball",
        "red ball 10 40 30 60; 小方块 50 0 90 25",
    )
    assert told["things"][1] == {"words": "小方块", "box": [0.5, 0.0, 0.9, 0.25]}
    assert told["model"].startswith("tiny ")
    image.write("a.png", np.zeros((64, 64, 3), np.uint8))
    status, out, _ = run("plan", "make it green", "--image", "a.png", "--json", "--temperature", 1, "--seed", 3, *m)
    assert (status, json.loads(out)["file"]) == (0, "a.png")
    for arguments, words in (((), "plan takes a text, a picture, or both"), (("--image", "b.png"), "b.png")):
        status, out, err = run("plan", *arguments, *m)
        assert (status, out, words in err) == (1, "", True), err


def test_draw_takes_the_lines_of_a_plan(run, folder, tiny_model, planning):
    m = ("-m", tiny_model, "--seed", 3)
    lines = run("plan", "a ball", "-m", tiny_model)[1]
    for number, more in enumerate(([], ["--plan", lines], ["--plan", "none"], ["--plan", ""])):
        assert run("draw", "a ball", "-o", f"{number}.png", *more, *m)[0] == 0
    np.testing.assert_array_equal(image.read("0.png"), image.read("1.png"))
    assert (image.read("2.png") != image.read("1.png")).any()
    np.testing.assert_array_equal(image.read("2.png"), image.read("3.png"))
    assert json.loads(image.read_metadata("1.png")["settings"])["plan"] == lines
    for name in range(3):
        assert run("draw", "--again", f"{name}.png", "-o", "c.png", "-m", tiny_model) == (0, "c.png\n", "")
        assert Path("c.png").read_bytes() == Path(f"{name}.png").read_bytes()
    told = json.loads(run("draw", "a ball", "--json", *m)[1])["pictures"][0]
    assert told["plan"] == "red ball 10 40 30 60; 小方块 50 0 90 25"


def test_plans_that_can_not_be_are_told(run, folder, tiny_model):
    m = ("-m", tiny_model)
    for arguments, words in (
        (("draw", "a", "--plan", "a ball"), "'a ball' is no thing with a box"),
        (("draw", "a", "--plan", "ball 0 0 10 10"), "has not learned to draw by a plan"),
        (("plan", "a ball"), "has not learned plans"),
        (("plan", "a ball", "--seed", -1), "seed"),
        (("plan", "a ball", "--temperature", -1), "temperature"),
    ):
        status, out, err = run(*arguments, *m)
        assert (status != 0, out, words in err.lower()) == (True, "", True), err


def test_a_clip_is_watched(run, clip, tiny_model):
    status, out, err = run("watch", clip, "-m", tiny_model)
    assert (status, err) == (0, "")
    assert out.startswith("0:00.")
    document = json.loads(run("watch", clip, "-m", tiny_model, "--json", "--language", "zh")[1])
    assert [part["start"] for part in document["segments"]] == [0.0, 2.0, 4.0]
    assert document["language"] == "zh"


def test_a_timeline_is_written(run, clip, tiny_model):
    for suffix in (".json", ".csv", ".vtt", ".html"):
        status, out, err = run("watch", clip, "-m", tiny_model, "-o", f"t{suffix}")
        assert (status, out, err) == (0, f"t{suffix}\n", "")
        assert Path(f"t{suffix}").stat().st_size > 50


def test_standard_input_is_watched_as_it_comes(run, clip, tiny_model, monkeypatch):
    with open(clip, "rb") as file:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=file))
        status, out, _ = run("watch", "-", "-m", tiny_model, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [line["end"] for line in lines] == [2.0, 4.0, 5.0]
    with open(clip, "rb") as file:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=file))
        out = run("surprise", "-", "-m", tiny_model)[1]
    assert out.count("bits a code") == 3


def test_the_warning_comes_before_any_caption(run, clip, tiny_model, monkeypatch):
    from triptych.tasks import surprisal

    monkeypatch.setattr(surprisal, "is_unlike", lambda model, bits: True)
    said = []
    monkeypatch.setattr("triptych.cli.output.note", said.append)
    monkeypatch.setattr("builtins.print", lambda *parts, **_: said.append(str(parts[0])))
    run("watch", clip, "-m", tiny_model)
    assert "looks unlike what the model was trained on" in said[0]
    assert sum("unlike" in line for line in said) == 1
    assert len(said) > 1
    for verb, more in (("caption", []), ("ask", ["?"]), ("locate", ["a ball stops"]), ("classify", ["a,b"])):
        said.clear()
        run(verb, clip, *more, "-m", tiny_model)
        assert "looks unlike" in said[0], verb


def test_a_folder_is_watched(run, folder, tiny_model, monkeypatch):
    from triptych import folder_watch

    given = [folder_watch.Watched("a.mp4", "watched", warning="odd"), folder_watch.Watched("b", "failed", "b: bad")]
    monkeypatch.setattr(folder_watch, "watch_folder", lambda *a, **k: iter(given))
    Path("media").mkdir()
    status, out, err = run("watch", "media", "-m", tiny_model)
    assert (status, out) == (0, f"{folder / 'media-timelines'}: 1 watched, 0 finished before, 1 failed\n")
    assert err == "note: a.mp4: odd\nskipped: b: bad\n"
    assert json.loads(run("watch", "media", "-m", tiny_model, "--json", "-o", "x")[1])["failed"] == 1


def test_surprise(run, clip, tiny_model):
    status, out, err = run("surprise", clip, "-m", tiny_model, "-o", "heat.png", "--moments", 2)
    assert (status, err) == (0, "")
    assert out.splitlines()[1] == "heat.png"
    assert "most surprising at" in out
    run("surprise", clip, "-m", tiny_model, "-o", "heat.mp4")
    assert len(video.read("heat.mp4", size=None, frames=None).frames) == 40
    assert len(json.loads(run("surprise", clip, "-m", tiny_model, "--json")[1])["curve"]) > 10


def test_moments_are_found(run, clip, tiny_model):
    found = json.loads(run("locate", clip, "when does the ball stop?", "-m", tiny_model, "--json")[1])
    assert 0 <= found["moments"][0]["start"] < found["moments"][0]["end"] <= 5
    assert run("locate", clip, "球什么时候停下？", "-m", tiny_model)[1].count("%") >= 1
    assert run("classify", clip, "a ball,a cube，红", "-m", tiny_model)[1].count("%") == 3
    assert len(json.loads(run("classify", clip, "a,b", "-m", tiny_model, "--json")[1])["parts"]) == 3


def test_futures_are_written(run, clip, tiny_model):
    status, out, _ = run("predict", clip, "-m", tiny_model, "-n", 2, "--seconds", 0.5)
    assert (status, out) == (0, "clip-next-1.mp4\nclip-next-2.mp4\n")
    assert len(video.read("clip-next-1.mp4", size=None).frames) == 4
    told = json.loads(run("predict", clip, "go", "-m", tiny_model, "-o", "a.png", "--json")[1])
    assert told["futures"][0]["prompt"] == "go"


def test_things_of_clips_are_told_by_a_model_that_has_learned_it(run, clip, tiny_model, tmp_path):
    status, _, err = run("track", clip, "-m", tiny_model)
    assert (status, "with the spellings `track` and `predict` in its mix" in err) == (1, True)
    known = tmp_path / "known"
    shutil.copytree(tiny_model, known)
    info = json.loads((known / "model.json").read_text())
    info["made"]["planned"] = ["track"]
    (known / "model.json").write_text(json.dumps(info))
    zoo.seal(known)
    told = json.loads(run("track", clip, "go", "-m", known, "--ahead", 0.4, "--json")[1])
    assert [row["foretold"] for row in told["times"]] == [False] * (len(told["times"]) - 1) + [True]
    assert run("track", clip, "-m", known)[1].splitlines()[1].startswith("0:00.5  ")
    assert run("predict", clip, "-m", known, "--plan", "auto", "--seconds", 0.5)[0] == 0
    assert run("predict", clip, "-m", known, "--plan", "red ball 0 0 9 9")[0] == 2


def test_a_folder_is_indexed_and_searched(run, clip, tiny_model):
    Path("media").mkdir()
    Path(clip).rename("media/clip.mp4")
    Path("media/bad.mp4").write_text("hello")
    status, out, err = run("index", "media", "-m", tiny_model, "--language", "en")
    assert (status, out) == (0, "media: 1 new, 0 changed, 0 same, 0 deleted, 1 failed\n")
    assert err.startswith("skipped: media/bad.mp4: is not a clip")
    again = json.loads(run("index", "media", "-m", tiny_model, "--language", "en", "--json")[1])
    assert (again["same"], again["new"]) == (1, 0)
    status, out, _ = run("search", "a red ball", "media", "-m", tiny_model, "-n", 2, "--export", "cut")
    assert status == 0
    assert [Path(line.split("-> ")[1]).name for line in out.splitlines()] == ["01-a-red-ball.mp4", "02-a-red-ball.mp4"]
    best = json.loads(run("search", "a red ball", "media", "-m", tiny_model, "--json")[1])["hits"][0]
    frames = len(video.read("cut/01-a-red-ball.mp4", size=None, frames=None).frames)
    assert -4 <= frames - 8 * (best["end"] - best["start"]) <= 1
    hits = json.loads(run("search", "media/clip.mp4", "media", "-m", tiny_model, "--json")[1])["hits"]
    assert {"file", "start", "end", "score", "thumbnail", "caption"} == set(hits[0])
    assert "segments of 128 numbers" in run("features", "media/clip.mp4", "-m", tiny_model, "-o", "f.npz")[1]


def test_info(run, tiny_model):
    status, out, _ = run("info", tiny_model)
    assert status == 0
    assert "all files have the hashes" in out
    facts = json.loads(run("info", tiny_model, "--json")[1])
    assert facts["verified"]
    assert facts["cache bytes a position"] == 2 * 2 * 1 * 64 * 4
    assert isinstance(json.loads(run("info", "--json")[1]), list)


def test_the_demo(run, folder, tiny_model):
    status, out, err = run("demo", "--out", "d", "-m", tiny_model)
    assert status == 0, err
    assert image.read_metadata("d/zh.png")["prompt"].startswith("一个")
    assert "What to try next" in out


def test_errors_are_one_line_with_a_remedy(run, clip, tiny_model, tmp_path):
    Path("text.png").write_text("hello")
    Path("text.mp4").write_text("hello")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in tiny_model.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    weights = bytearray((damaged / "gpt.safetensors").read_bytes())
    weights[-1] ^= 1
    (damaged / "gpt.safetensors").write_bytes(weights)
    m = ("-m", tiny_model)
    for arguments, status, words in (
        (("caption", "missing.png", *m), 1, "missing.png: no such file"),
        (("caption", "text.png", *m), 1, "text.png: is not a JPEG, PNG"),
        (("watch", "text.mp4", *m), 1, "text.mp4: is not a clip"),
        (("caption", "text.png", "--language", "fr", *m), 1, "writes en, zh"),
        (("caption", clip, "--start", 60, *m), 1, "is over before 60 s"),
        (("caption", tmp_path, *m), 1, "is not a regular file"),
        (("draw", "a", "-m", "tabeltop"), 1, "no model 'tabeltop'"),
        (("draw", "a", "-o", "a.txt", *m), 1, "use one of .png"),
        (("draw", "a", "--image", "text.png", *m), 1, "text.png: is not"),
        (("draw", "a", "--width", 100, *m), 1, "width=100: give a multiple of 32"),
        (("draw", "a", "--decode", "paralel", *m), 2, "exact or speculative"),
        (("draw", "a", "--decode", "parallel", *m), 1, "has not learned to draw in any order"),
        (("draw", "a", "--from", "x.txt", *m), 1, "a text doesn't go with --from"),
        (("draw", "--from", "x.txt", *m), 1, "x.txt: can't be read"),
        (("draw", "a", "--name", "{n}", *m), 1, "--name doesn't go with a single drawing"),
        (("draw", "--again", "text.png", *m), 1, "text.png: is not a JPEG"),
        (("inpaint", "text.png", "--box", "1,2,3,4", *m), 1, "text.png: is not"),
        (("vary", clip, *m), 1, "is a clip; give a picture"),
        (("vary", "a.png", "--strength", 2, *m), 2, "--strength"),
        (("likelihood", "--image", "text.png", *m), 1, "likelihood takes texts"),
        (("draw", "a", "--device", "gpu", *m), 1, "device 'gpu': use cpu, cuda or auto"),
        (("draw", "球" * 5000, *m), 1, "4096 are allowed"),
        (("info", damaged), 1, "damaged (its SHA-256 differs"),
        (("train", "missing.yaml"), 1, "no such recipe"),
        (("draw", "a", "-n", 0), 2, "Must be >= 1"),
        (("draw", "a", "--sed", 1), 2, "Did you mean --seed?"),
        (("draw", "a", "--top-p", 2), 2, "--top-p"),
        (("prepare", "a", "b", "drop_fat=true"), 1, "drop_flat"),
        (("prepare", "a", "b", "--size", 100), 2, "multiple of 32"),
        (("prepare", "a", "b", "--minutes", 0), 2, "Must be > 0"),
        (("world", "tabletop", "w", "--level", 4), 2, "Must be <= 3"),
        (("watch", clip, "-o", "a.txt", *m), 1, "use one of .json, .csv, .vtt, .html"),
        (("surprise", "missing.mp4", *m), 1, "no such file"),
        (("locate", clip, " ", *m), 1, "say what happens"),
        (("classify", clip, "one", *m), 1, "two or more different"),
        (("predict", clip, "-o", "a.avi", *m), 1, "can't write .avi"),
        (("predict", clip, "--seconds", 0), 2, "Must be > 0"),
        (("features", clip, "--layer", 9, *m), 1, "has the layers 0 to 1"),
        (("search", "a ball", tmp_path / "nowhere", *m), 1, "make one with `triptych index"),
        (("index", tmp_path / "nowhere", *m), 1, "is not a folder"),
        (("drow",), 2, 'Did you mean "draw"?'),
        (("draw", "a", "b"), 2, "See `triptych draw --help`"),
    ):
        got, out, err = run(*arguments)
        assert (got, out) == (status, ""), (arguments, err)
        assert err.startswith("triptych: "), err
        assert err.count("\n") == 1, err
        assert words in err, err


def test_ctrl_c_ends_quietly(monkeypatch, run, folder, tiny_model):
    from triptych.api import Triptych

    def interrupted(*_, **__):
        raise KeyboardInterrupt  # what Python makes of SIGINT; a job in the background ignores the signal itself

    monkeypatch.setattr(Triptych, "fulfil", interrupted)
    assert run("draw", "a", "-o", "a.png", "-m", tiny_model) == (130, "", "triptych: stopped\n")


def test_training_gets_a_preview(monkeypatch, run, folder):
    import triptych.preview
    import triptych.train.start

    Path("recipe.yaml").write_text("kind: gpt\ndata: d\nout: o\n")
    seen = []
    monkeypatch.setattr(triptych.preview, "preview_of", lambda config: f"preview of {config.data}")
    monkeypatch.setattr(triptych.train.start, "start", lambda config, **given: seen.append(given))
    assert run("train", "recipe.yaml", "steps=3", "--dry-run")[0] == 0
    assert seen == [{"preview": "preview of d", "dry_run": True}]


def test_prepare_passes_what_was_given(monkeypatch, run, folder):
    import triptych.train.prepare

    seen = []
    monkeypatch.setattr(triptych.train.prepare, "prepare", lambda *a, **given: seen.append((a, given)))
    assert run("prepare", "m", "p", "drop_flat=true", "--size", 64, "--steps", 9, "--tokenizer", "later")[0] == 0
    places, given = seen[0]
    assert places == (Path("m"), Path("p"))
    assert (given["settings"].drop_flat, given["settings"].size, given["run"].steps) == (True, 64, 9)


def test_evaluate_passes_what_was_given(monkeypatch, run, folder):
    suite = pytest.importorskip("triptych.evaluate.suite")
    seen = []
    monkeypatch.setattr(suite, "evaluate", lambda *a, **k: seen.append((a, k)))
    told = ("m", "--data", "d", "--json", "o.json", "--limit", 5, "--only", "ask", "--guidance", 2)
    assert run("evaluate", *told)[0] == 0
    assert run("evaluate", *told, "--resume")[0] == 0
    given = {"limit": 5, "only": "ask", "seed": 0, "resume": False, "device": "auto", "guidance": 2.0}
    places = (Path("d"), Path("o.json"))
    assert seen == [(("m", *places), given), (("m", *places), given | {"resume": True})]


def test_choices_are_split_at_commas_of_both_languages():
    assert split_choices("red, blue，绿色,") == ["red", "blue", "绿色"]
    assert split_choices(None) is None


def test_file_names(folder):
    (folder / "pictures").mkdir()
    assert file_names(Path("pictures"), "a b", 2) == [Path("pictures/a-b-1.png"), Path("pictures/a-b-2.png")]
    assert file_names(Path("x.webp"), "a b", 1) == [Path("x.webp")]
    assert len(slug("球" * 300).encode()) <= 180
    assert slug("...") == ""


def _environment():
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}


@pytest.mark.parametrize("command", ["watch", "caption", "track", "predict"])
def test_framings_reach_the_model(run, clip, tiny_model, monkeypatch, command):
    asked, load = [], triptych.load
    monkeypatch.setattr(triptych, "load", lambda *given: asked.append(given[2:]) or load(*given))
    status = run(command, clip, "-m", tiny_model, "--framings", 2)[0]
    assert status == (1 if command == "track" else 0)  # it hasn't learned to follow things
    assert asked == [(2,)]
    status, _, err = run(command, clip, "-m", tiny_model, "--framings", 6)
    assert (status, "--framings" in err) == (2, True)
