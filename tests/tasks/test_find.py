"""Finding moments: features, a library that survives changes and kills, search, spans and labels."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import triptych
from tests.media.clips import save_sound
from triptych.clip_results import Span
from triptych.errors import ConfigError, DataError, MediaError
from triptych.library import Entry, Library, only_writer, query_terms, spaced
from triptych.media import image, video
from triptych.sequence.vocab import Special
from triptych.tasks import locate as locate_module
from triptych.tasks.locate import apart, as_statement
from triptych.tasks.relevance import gains, language_of


@pytest.fixture(scope="module")
def model(tiny_model):
    return triptych.load(tiny_model, "cpu")


def noise(count, seed, size=64):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "media"
    (place / "sub").mkdir(parents=True)
    video.write(place / "a.mp4", noise(33, 1))
    video.write(place / "sub" / "b.mp4", noise(9, 2))
    image.write(place / "c.png", noise(1, 3)[0])
    save_sound(place / "sound.mp4")
    return place


def test_features(model, tmp_path):
    frames = np.concatenate([noise(17, 1), noise(6, 2)])
    video.write(tmp_path / "a.mp4", frames)
    found = model.features(tmp_path / "a.mp4")
    assert found.segments.shape == (2, 128)
    assert found.segments.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found.segments, axis=1), 1, atol=1e-5)
    assert np.linalg.norm(found.clip) == pytest.approx(1, abs=1e-5)
    assert found.times.tolist() == [[0, 2], [2, 2.875]]
    kept = np.load(found.save(tmp_path / "a.npz"))
    np.testing.assert_array_equal(kept["segments"], found.segments)
    assert (model.features(tmp_path / "a.mp4", layer=0).segments != found.segments).any()
    with pytest.raises(ConfigError, match="has the layers 0 to 1"):
        model.features(tmp_path / "a.mp4", layer=2)


def run(model, folder, **more):
    return {r.file: r.status for r in model.index(folder, languages=["en"], **more)}


def test_a_library_follows_its_folder(model, folder, brief):
    first = list(model.index(folder, languages=["en"]))
    assert {r.file: r.status for r in first} == {
        "a.mp4": "new", "sub/b.mp4": "new", "c.png": "new", "sound.mp4": "failed",
    }  # fmt: skip
    assert {r.file: r.moments for r in first} == {"a.mp4": 2, "sub/b.mp4": 1, "c.png": 1, "sound.mp4": 0}
    assert next(r for r in first if r.status == "failed").error.endswith("name a clip with a video stream")
    assert first[-1].done == first[-1].total == 4
    assert set(run(model, folder).values()) == {"same", "failed"}
    video.write(folder / "a.mp4", noise(9, 5))
    (folder / "c.png").unlink()
    video.write(folder / "d.mp4", noise(9, 6))
    changed = run(model, folder)
    assert {f: s for f, s in changed.items() if s not in ("same", "failed")} == {
        "a.mp4": "changed", "c.png": "deleted", "d.mp4": "new",
    }  # fmt: skip
    with Library(folder / ".triptych") as store:
        assert len(store) == 3
        assert store.store.execute("SELECT count(*) FROM words").fetchone() == (3,)
    hits = model.search(Path(folder / "d.mp4"), folder, count=3)
    assert Path(hits[0].file).name == "d.mp4"
    assert hits[0].score > 0.99


def test_another_model_or_language_is_read_anew(model, folder, brief, monkeypatch):
    run(model, folder)
    assert "new" in {r.status for r in model.index(folder, languages=["en", "zh"])}
    monkeypatch.setitem(model._model.__dict__, "label", "other 123")
    with pytest.raises(DataError, match=r"made by tiny \w+\+\w{8}, not other 123\+"):
        model.search("a", folder)
    assert "new" in set(run(model, folder).values())


@pytest.mark.parametrize("part", ["retrieval.safetensors", "namer.safetensors"])
def test_a_model_whose_other_parts_changed_reads_anew(model, folder, brief, monkeypatch, tmp_path_factory, part):
    """Its vectors or its names would be others."""
    copy = tmp_path_factory.mktemp("model")
    sums = json.loads((model.path / "SHA256.json").read_text("utf-8"))
    (copy / "SHA256.json").write_text(json.dumps(sums), "utf-8")
    monkeypatch.setattr(model._model.bundle, "path", copy)
    run(model, folder)
    assert set(run(model, folder).values()) == {"same", "failed"}
    (copy / "SHA256.json").write_text(json.dumps(sums | {part: "0" * 64}), "utf-8")
    with pytest.raises(DataError, match=r"made by tiny \w+\+\w{8}, not tiny \w+\+\w{8}: index again"):
        model.search("a", folder)
    assert "new" in set(run(model, folder).values())
    assert model.search("a", folder, count=1)


def test_search_by_picture_clip_and_text(model, folder, brief):
    run(model, folder)
    (by_picture,) = model.search(noise(1, 3)[0], folder, count=1)
    assert (Path(by_picture.file).name, by_picture.start, by_picture.end) == ("c.png", 0, 0)
    assert by_picture.score > 0.99
    by_clip = model.search(video.read(folder / "a.mp4", fps=8, frames=17, size=64).frames, folder, count=4)
    assert (Path(by_clip[0].file).name, by_clip[0].start) == ("a.mp4", 0)
    assert by_clip[0].score > 0.99
    assert [h.score for h in by_clip] == sorted((h.score for h in by_clip), reverse=True)
    by_text = model.search("a red ball", folder, count=4)
    assert len(by_text) == 4
    told = by_text[0].as_dict()
    assert told["thumbnail"].startswith("data:image/jpeg;base64,/9j/")
    json.dumps(told)
    with pytest.raises(ConfigError, match="empty"):
        model.search(" ", folder)
    with pytest.raises(DataError, match="make one with `triptych index"):
        model.search("a", folder / "sub")


def entry(file, text, start=0.0):
    return Entry(file, start, start + 2, {"en": text}, b"", np.zeros((1, 4, 4), np.int64))


def unit(*places, width=8):
    out = np.zeros((len(places), 2, width), np.float32)
    for row, place in enumerate(places):
        out[row, :, place] = 1
    return out


def test_words(tmp_path):
    assert spaced("A ball, 红色的球!") == "A ball 红 色 的 球"
    assert query_terms('the "red" ball* OR') == ['"red"', '"ball"']
    assert query_terms("球") == ['"球"']
    with Library(tmp_path / "l", "m", 8) as store:
        texts = ["the red ball hits the cube", "a blue ball stops", "红色的球撞上蓝色的方块", "nothing moves"]
        store.put("a.mp4", (1, 1), [entry("a.mp4", t) for t in texts], unit(0, 1, 2, 3))
        store.finish()

        def found(text):
            return [e.captions["en"] for e in store.entries([i for i, _ in store.said(text, 10)])]

        assert found("red balls") == [texts[0], texts[1]]  # all words first, then any
        assert found("红色的球") == [texts[2]]
        assert found("'; DROP TABLE words; --") == []
        assert found('ball" OR "') == found("ball")
        assert store.said("", 3) == []


def test_nearest_are_exact_and_pass_over_the_deleted(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3000, 2, 8)).astype(np.float32) + 2
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    with Library(tmp_path / "l", "m", 8) as store:
        for first in range(0, 3000, 500):
            part = vectors[first : first + 500]
            file = f"{first}.mp4"
            store.put(file, (1, 1), [entry(file, f"n{first + i}") for i in range(500)], part)
        store.forget("0.mp4")
        store.finish()
        rest = vectors[500:]
        for kind in (0, 1):
            centred = rest[:, kind] - rest[:, kind].mean(0)
            centred /= np.linalg.norm(centred, axis=1, keepdims=True)
            query = rest[700, kind] - rest[:, kind].mean(0)
            expected = np.argsort(-(centred @ query), kind="stable")[:20]
            ids = [i for i, _ in store.near(rest[700:701, kind], kind, 20)]
            assert [int(e.captions["en"][1:]) - 500 for e in store.entries(ids)] == expected.tolist()


def test_rows_nobody_needs_are_left_out(tmp_path):
    rng = np.random.default_rng(0)
    with Library(tmp_path / "l", "m", 8) as store:
        for number in range(40):
            part = rng.normal(size=(100, 2, 8)).astype(np.float32)
            store.put(f"{number}.mp4", (1, 1), [entry(f"{number}.mp4", "x")] * 100, part)
            last = part
        for number in range(39):
            store.forget(f"{number}.mp4")
        store.finish()
        files = [f.name for f in (tmp_path / "l").glob("*.npy")]
        assert files == [store.meta("vectors")]
        table = np.load(tmp_path / "l" / files[0])
        rows = [r for (r,) in store.store.execute("SELECT row FROM moments ORDER BY row")]
        assert rows == list(range(100))
        np.testing.assert_array_equal(table[:, rows], last.swapaxes(0, 1))
        assert len(store.some(7)) == 7
        assert len(store.some(1000)) == 100


def test_a_kill_leaves_the_file_before_it(tmp_path, monkeypatch):
    with Library(tmp_path / "l", "m", 8) as store:
        store.put("a.mp4", (1, 1), [entry("a.mp4", "old")], unit(0))

        def killed(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(store, "_set", killed)  # the last step before the commit
        with pytest.raises(KeyboardInterrupt):
            store.put("a.mp4", (2, 2), [entry("a.mp4", "new")] * 2000, np.repeat(unit(1), 2000, 0))
    with Library(tmp_path / "l") as store:
        assert store.known() == {"a.mp4": (1, 1, "")}
        assert store.near(unit(0)[:, 0], 0, 5)[0][1] == pytest.approx(1)
        store.put("b.mp4", (1, 1), [entry("b.mp4", "more")], unit(2))
        assert len(store.near(unit(2)[:, 0], 0, 5)) == 2


def test_one_writer_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    with only_writer(tmp_path), pytest.raises(DataError, match="another process"), only_writer(tmp_path):
        pass


def test_a_damaged_library_is_told(tmp_path):
    (tmp_path / "library.sqlite").write_bytes(b"hello" * 1000)
    with pytest.raises(DataError, match="damaged"):
        Library(tmp_path)


def test_gains_compare_with_no_medium(model):
    inner = model._model
    media = inner.read([noise(17, 1), noise(17, 2)])
    one, two = gains(inner, "a ball", media)
    assert gains(inner, "a ball", media[1:])[0] == pytest.approx(two, abs=1e-3)
    alone = model.text_nats([noise(17, 1), None], ["a ball", "a ball"])
    assert np.isfinite(one)
    assert np.isfinite(alone).all()
    assert (language_of(inner, "a ball"), language_of(inner, "球")) == ("en", "zh")


def test_questions_become_statements(model, monkeypatch):
    inner = model._model
    scores = {"the red ball hits the cube": 0.0, "the ball is hit": 0.0}
    decode = inner.decode
    monkeypatch.setattr(inner, "likelihood", lambda p, t: [scores.get(decode(ids), -9.0) for ids in t])
    for question, statement in (
        ("when does the red ball hit the cube?", "the red ball hits the cube"),
        ("When is the ball hit?", "the ball is hit"),
        ("At what time will it rain", "it rain"),
        ("the red ball stops", "the red ball stops"),
        ("红色的球什么时候撞上方块？", "红色的球撞上方块"),
        ("何时下雨", "下雨"),
        ("?", ""),
    ):
        assert as_statement(inner, question) == statement


def test_spans_lie_apart():
    spans = [Span(1.0, 1.4, 0.5), Span(1.3, 1.5, 0.9), Span(8.0, 9.0, 0.6), Span(20.0, 21.0, 0.3)]
    assert apart(spans, 5) == [spans[1], spans[2]]
    assert apart(spans, 1) == [spans[1]]


def test_locate(model, tmp_path, monkeypatch):
    """The times are those the network gives; here it is made to know one answer."""
    video.write(tmp_path / "a.mp4", np.concatenate([noise(17, 1), noise(16, 2)]))
    inner = model._model
    decode = inner.decode

    def told(prompts, texts):
        return [0.0 if decode(ids) == "0.7-1.2" else -8.0 for ids in texts]

    monkeypatch.setattr(inner, "likelihood", told)
    monkeypatch.setattr(locate_module, "gains", lambda model, text, media: np.array([0.0, 6.0][: len(media)]))
    spans = model.locate(tmp_path / "a.mp4", "a ball stops")
    assert (spans[0].start, spans[0].end) == (2.7, 3.2)
    assert spans[0].confidence > 0.9
    assert len(spans) == 1
    with pytest.raises(ConfigError, match="say what happens"):
        model.locate(tmp_path / "a.mp4", "?")


def test_locate_with_a_real_network(model, tmp_path):
    video.write(tmp_path / "a.mp4", noise(12, 1))
    seen = []
    spans = model.locate(tmp_path / "a.mp4", "when does the ball stop?", each=seen.append)
    assert all(0 <= s.start < s.end <= 1.5 and 0 <= s.confidence <= 1 for s in spans)
    assert len(spans) >= 1
    assert len(seen) == 1


def test_classify(model, tmp_path, monkeypatch):
    video.write(tmp_path / "a.mp4", np.concatenate([noise(17, 1), noise(12, 2)]))
    labels = ["a ball", "a cube", "红色"]
    found = model.classify(tmp_path / "a.mp4", labels)
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert list(found.probabilities) == labels
    assert found.text == max(found.probabilities, key=found.probabilities.get)
    assert [part[:2] for part in found.parts] == [(0, 2), (2, 3.625)]
    picture = model.classify(noise(1, 4)[0], labels)
    assert picture.parts == ()
    for bad in (["a"], ["a", "a"], ["a", ""]):
        with pytest.raises(ConfigError, match="two or more different"):
            model.classify(noise(1, 4)[0], bad)


def test_labels_are_asked_for_as_the_model_has_learned(model, monkeypatch):
    inner = model._model
    for special, spelling in ((Special.LABEL, "label"), (Special.ASK, "question")):

        def told(prompts, texts, special=special):
            out = []
            for row, ids in zip(prompts, texts, strict=True):
                good = int(special) in row.ids.tolist()
                out.append(-0.1 if good and inner.decode(ids) == "b" else -9.0)
            return out

        monkeypatch.setattr(inner, "likelihood", told)
        found = model.classify(noise(1, 4)[0], ["a", "b"])
        assert (found.text, found.spelling) == ("b", spelling)
    monkeypatch.setattr(inner, "likelihood", lambda p, t: [-20.0] * len(t))
    assert model.classify(noise(1, 4)[0], ["a", "b"]).spelling == "caption"


def test_a_question_about_a_long_clip(model, tmp_path, brief, monkeypatch):
    from triptych.tasks import ask as ask_module

    video.write(tmp_path / "a.mp4", np.concatenate([noise(17, 1), noise(16, 2), noise(16, 3)]))
    order = iter([np.array([0.0, 2.0, 5.0])])
    monkeypatch.setattr(ask_module, "gains", lambda model, text, media: next(order)[: len(media)])
    read = []
    monkeypatch.setattr(model._model, "say", lambda prompts: read.extend(prompts) or ["1.0 s" for _ in prompts])
    answer = model.ask(tmp_path / "a.mp4", "When?", together=2)
    assert answer.moments == ((4, 6), (2, 4))
    assert answer.times == (0, 6)
    assert answer.text == "3.0 s"  # the first of the two in time begins at 2 s
    (row,) = read
    assert (row.ids == Special.VISUAL).sum() == 2 * 5 * 4  # both segments, five maps of four positions each
    monkeypatch.undo()
    chosen = model.ask(tmp_path / "a.mp4", "How many?", choices=["1", "2"])
    assert sum(chosen.probabilities.values()) == pytest.approx(1)
    assert len(chosen.moments) == 3
    with pytest.raises(MediaError, match="no such file"):
        model.ask("missing.mp4", "?")


def test_a_head_for_retrieval_brings_moments_that_no_caption_names(model, folder, brief, monkeypatch):
    """Its direction is where a moment's vector lies: that moment is read, though nothing said holds the words."""
    from triptych.tasks import search as search_module
    from triptych.tasks import vectors

    list(model.index(folder))
    inner = model._model
    assert vectors.text_directions(inner, ["a word"]) is None
    with Library(folder / ".triptych") as store:
        wanted = store.some(10)[1]
        table = np.load(folder / ".triptych" / store.meta("vectors"))[0]
        mean = np.array(json.loads(store.meta("mean")), np.float32)[0]
        row = store.store.execute("SELECT row FROM moments WHERE id = ?", (wanted,)).fetchone()[0]
        towards = table[row] - mean
        towards /= np.linalg.norm(towards)
        assert store.near(towards[None], 0, 1, directions=True)[0] == (wanted, pytest.approx(1, abs=1e-5))
        monkeypatch.setattr(search_module, "READ", 1)
        monkeypatch.setattr(search_module, "text_directions", lambda model, texts: towards[None])
        assert [id_ for id_, _ in search_module.by_text(inner, store, "xylophone", 1)] == [wanted]


def test_a_large_library_is_searched_through_an_index(tmp_path, monkeypatch):
    """It finds what reading all vectors finds, is dropped when the library changes, and made anew at the end."""
    pytest.importorskip("lancedb")
    from triptych import nearest

    monkeypatch.setattr(nearest, "LARGE", 300)
    dice = np.random.default_rng(0)
    vectors = dice.standard_normal((400, 2, 64)).astype(np.float32) + 2  # a narrow cone, as those of a GPT
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    entry = Entry("a", 0, 0, {"en": "x"}, b"", np.zeros((1, 2, 2), np.int16))
    with Library(tmp_path, "m", 64) as store:
        store.put("a", (1, 1), [entry] * 400, vectors)
        store.finish()
        assert store.meta("indexed") == store.meta("vectors")
        assert (tmp_path / nearest.FOLDER).is_dir()
        for kind in (0, 1):
            through = store.near(vectors[7:9, kind], kind, 5)
            monkeypatch.setattr(nearest, "installed", lambda: False)
            plain = store.near(vectors[7:9, kind], kind, 5)
            monkeypatch.undo()
            monkeypatch.setattr(nearest, "LARGE", 300)
            assert {through[0][0], through[1][0]} == {8, 9}  # ids count from 1
            assert through[0][1] == pytest.approx(1, abs=1e-4)
            assert len({id_ for id_, _ in through} & {id_ for id_, _ in plain}) >= 4
        shutil.rmtree(tmp_path / nearest.FOLDER)  # it may be deleted at any time
        assert store.near(vectors[7:8, 0], 0, 1)[0][0] == 8
        store.finish()
        assert (tmp_path / nearest.FOLDER).is_dir()
        store.put("b", (1, 1), [entry], vectors[:1])
        assert store.meta("indexed") == ""
        assert store.near(vectors[:1, 0], 0, 2)[0][1] == pytest.approx(1, abs=1e-4)
        store.finish()
        assert store.meta("indexed")
        assert {id_ for id_, _ in store.near(vectors[:1, 0], 0, 2)} == {1, 401}
