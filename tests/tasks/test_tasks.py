"""What the tasks promise, on a tiny model with random weights."""

import json

import numpy as np
import pytest
from PIL import Image

import triptych
from triptych.media import image, video
from triptych.media.kind import is_clip
from triptych.tasks.common import Model, ended, extended
from triptych.tasks.telling import events_of, new


@pytest.fixture(scope="module")
def model(tiny_model):
    return triptych.load(tiny_model, "cpu")


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_a_seed_draws_the_same_picture_alone_and_in_a_batch(model):
    three = model.draw("a red ball", n=3, seed=5)
    assert [p.seed for p in three] == [5, 6, 7]
    assert all(p.pixels.shape == (64, 64, 3) and p.pixels.dtype == np.uint8 for p in three)
    alone = model.draw("a red ball", seed=6)[0]
    np.testing.assert_array_equal(alone.pixels, three[1].pixels)
    mixed = model.draw_many(["", "一个蓝色的方块", "a red ball"], [0, 1, 6])
    np.testing.assert_array_equal(mixed[2].pixels, alone.pixels)
    assert (three[0].pixels != three[1].pixels).any()


def test_more_pictures_than_a_batch_holds(model):
    seen = []
    pictures = model.draw(
        "a", n=18, temperature=0.5, top_k=9, best_of=1, progress=lambda done, total: seen.append((done, total))
    )
    assert len(pictures) == 18
    assert seen[-1][0] == seen[-1][1] == 2 * 4
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_the_text_and_the_pictures_before_it_matter(model, noise):
    plain = model.draw("a red ball")[0].pixels
    assert (model.draw("一个红色的球")[0].pixels != plain).any()
    assert (model.draw("a red ball", images=[noise])[0].pixels != plain).any()
    two = model.draw("a red ball", images=[noise, Image.fromarray(noise)], n=2)
    assert len(two) == 2


def test_a_picture_may_come_in_any_form_and_size(model, tmp_path, brief):
    wide = np.random.default_rng(1).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    image.write(tmp_path / "a.png", wide)
    texts = {model.caption(m).text for m in (wide, Image.fromarray(wide), tmp_path / "a.png", str(tmp_path / "a.png"))}
    assert len(texts) == 1
    assert model.caption(wide).times is None


def test_a_clip_is_read_with_its_times(model, tmp_path, brief):
    frames = np.random.default_rng(2).integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)
    video.write(tmp_path / "c.mp4", frames)
    assert model.caption(tmp_path / "c.mp4", language="zh").times == (0.0, 2.0)
    assert model.ask(tmp_path / "c.mp4", "什么？", start=1.0).times == (1.0, 3.0)
    assert model.caption(frames[:6]).times == (0.0, 1.0)  # filled up to 9 frames
    with pytest.raises(ValueError, match="30 frames"):
        model.caption(frames)
    with pytest.raises(ValueError, match=r"float64"):
        model.caption(frames[0] / 255)


def test_a_language_nobody_taught_is_refused(model, noise):
    with pytest.raises(triptych.ConfigError, match=r"'fr': tiny writes en, zh"):
        model.caption(noise, language="fr")


def test_choices_have_probabilities_that_sum_to_one(model, noise):
    answer = model.ask(noise, "How many objects are there?", choices=["1", "2", "红色", "a red ball"])
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.text == max(answer.probabilities, key=answer.probabilities.get)
    assert list(answer.probabilities) == ["1", "2", "红色", "a red ball"]
    with pytest.raises(triptych.ConfigError, match="different"):
        model.ask(noise, "?", choices=["a", "a"])


def test_many_questions_are_answered_as_one_by_one(model, noise, brief):
    pairs = [(noise, "How many?"), (None, "How many?"), (noise, "有几个物体？")]
    together = model.ask_many(pairs)
    assert [a.text for a in together] == [model.ask(*pair).text for pair in pairs]
    assert len(model.ask_many(pairs, choices=["1", "2"])) == 3


def test_likelihood_is_what_generation_samples_from(model):
    """Over all single-id texts and longer ones, the first id's probabilities sum to 1; END included in a whole."""
    inner = Model(model._model.bundle)
    row = inner.begin().text(inner.encode("How")).finish()
    every = range(inner.gpt.config.vocabulary)
    nats = inner.likelihood([row] * len(every), [[i] for i in every])
    assert np.exp(nats).sum() == pytest.approx(1, abs=1e-4)
    ids = ended(inner.encode("a ball"))
    steps = [inner.likelihood([extended(row, ids[:i])], [[ids[i]]])[0] for i in range(len(ids))]
    assert inner.likelihood([row], [ids])[0] == pytest.approx(sum(steps), abs=1e-3)


def test_how_likely_a_caption_is(model, noise):
    together = model.text_nats([noise, None, noise], ["a ball", "a ball", "一个球"])
    assert all(nats < 0 for nats in together)
    assert together[0] == pytest.approx(model.text_nats([noise], ["a ball"])[0], abs=1e-3)
    assert together[0] != pytest.approx(together[1], abs=1e-3)


def test_a_long_clip_is_watched_window_by_window(model, tmp_path, brief):
    frames = np.random.default_rng(3).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    video.write(tmp_path / "c.mp4", frames)
    line = model.watch(tmp_path / "c.mp4", language="zh")
    assert [(s.start, s.end) for s in line.segments] == [(0, 2), (2, 4), (4, 5)]
    assert [e.start for e in line.events] == sorted(e.start for e in line.events)
    assert json.loads(line.to_json())["language"] == "zh"
    assert next(iter(model.watch_segments(tmp_path / "c.mp4"))).start == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[0.5s] a hits b; [1.0s] b stops", [(2.5, "a hits b"), (3.0, "b stops")]),
        ("[0.5秒] 球撞上方块；[1.0秒] 方块停了下来", [(2.5, "球撞上方块"), (3.0, "方块停了下来")]),
        ("[1.0s] late; [0.5s] early;", [(2.5, "early"), (3.0, "late")]),
        ("[9.5s] beyond the window", [(4.0, "beyond the window")]),
        ("nothing moves", [(2.0, "nothing moves")]),
        ("[0.5s] [1.0s] x; [abc] y", [(3.0, "x; [abc] y")]),
        ("", []),
    ],
)
def test_events_are_read_from_captions(text, expected):
    assert [(e.start, e.text) for e in events_of(text, 2.0, 4.0)] == expected


def test_pictures_may_come_in_one_array(model, noise):
    """Which gives other views of itself each time, by which nothing can be known again."""
    pictures = np.stack([noise, noise[::-1]])
    alone = [model._model.read([pixels])[0] for pixels in (noise, noise[::-1])]
    for one, other in zip(model._model.read(pictures), alone, strict=True):
        np.testing.assert_array_equal(one.maps[0].codes, other.maps[0].codes)


def test_neighbouring_windows_tell_an_event_once():
    before = events_of("[0.5s] a; [2.0s] b hits c", 0, 2)
    assert [e.text for e in new(events_of("[0.1s] b hits c; [1.5s] b hits c", 2, 4), before)] == ["b hits c"]
    still = events_of("[0.0s] nothing moves", 0, 2)
    assert new(events_of("[0.0s] nothing moves", 2, 4), still) == []


@pytest.mark.parametrize("shape", [(64, 64, 3), (50, 70, 3), (1, 32, 48, 3), (6, 40, 64, 3)])
def test_reconstruction_keeps_the_shape(model, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    out = model.reconstruct(pixels)
    assert out.shape == shape
    assert out.dtype == np.uint8


def test_what_kind_a_file_is(tmp_path, noise):
    image.write(tmp_path / "a.png", noise)
    video.write(tmp_path / "b.mp4", np.stack([noise] * 3))
    video.write(tmp_path / "c.gif", np.stack([noise, 255 - noise]))
    (tmp_path / "a.dat").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "b.dat").write_bytes((tmp_path / "b.mp4").read_bytes())
    (tmp_path / "text.dat").write_text("hello")
    found = {name: is_clip(tmp_path / name) for name in ("a.png", "b.mp4", "c.gif", "a.dat", "b.dat")}
    assert found == {"a.png": False, "b.mp4": True, "c.gif": True, "a.dat": False, "b.dat": True}
    with pytest.raises(triptych.MediaError, match="neither a picture nor a clip"):
        is_clip(tmp_path / "text.dat")


def test_texts_are_safe_for_a_terminal(model):
    inner = model._model
    assert inner.decode(inner.encode("a\x1b[31mb\x07\r球\n")) == "a [31mb  球"


def test_a_text_of_any_length_is_refused_by_name(model):
    with pytest.raises(triptych.ModelError, match="tokens"):
        model.draw("球" * 5000)


def test_what_a_model_is(model, tiny_model):
    facts = model.describe()
    assert facts["name"] == "tiny"
    assert facts["parameters"]["gpt"] == sum(p.numel() for p in model._model.gpt.parameters())
    assert facts["positions a picture"] == 4
    assert set(facts["files"]) == {"model.json", "text.json", "visual.safetensors", "gpt.safetensors"}
    json.dumps(facts)
    assert model.path == tiny_model
    assert model.info.size == 64


def test_a_preview_of_a_model_in_training(model, tmp_path, noise, brief):
    from triptych.preview import preview

    image.write(tmp_path / "a.png", noise)
    preview(model._model.bundle, tmp_path / "samples", 20, prompts=["a", "球", ""], media=[tmp_path / "a.png"])
    assert image.read(tmp_path / "samples" / "step-00000020.png").shape == (128, 192, 3)
    text = (tmp_path / "samples" / "step-00000020.txt").read_text("utf-8")
    assert "picture 2: 球" in text
    assert "a.png (zh)" in text
