"""Cutting: resumable, repeatable, cut anew for another tokenizer, honest about what can't be read."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.config import VisualTokenizerConfig
from triptych.data import prepare
from triptych.data.decode import window_record, windows
from triptych.data.frames import is_held
from triptych.data.prepare import Prepared, cut
from triptych.data.records import Box, Event, Place, Question, Record, Text, reframed, things
from triptych.data.settings import PrepareConfig
from triptych.data.shards import Shards
from triptych.errors import DataError
from triptych.media.framing import framed, framing
from triptych.media.worker import Workers
from triptych.tokenizers.visual import VisualTokenizer

COUNT = 23


@pytest.fixture(scope="module")
def visual():
    torch.manual_seed(0)
    return VisualTokenizer(VisualTokenizerConfig(levels=(4, 3), widths=(8, 8, 8), blocks=1)).eval()


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Pictures of noise, one of them damaged, and shards of ten windows."""
    monkeypatch.setattr(prepare, "ROWS", 10)
    source, folder = tmp_path / "media", tmp_path / "prepared"
    source.mkdir()
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for i in range(COUNT):
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(source / f"{i}.png")
        lines.append(Record(file=f"{i}.png", kind="picture", texts=[Text(text=str(i))]).model_dump_json())
    (source / "3.png").write_bytes(b"not a picture")
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    made = Prepared(folder, source, PrepareConfig(size=32, workers=2))
    made.save()
    return made


def hashes(prepared):
    paths = sorted((prepared.folder / "shards").iterdir())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


class Killed(BaseException):
    pass


def test_a_killed_cut_goes_on_where_it_was(prepared, visual):
    whole = cut(prepared, visual, "t")
    expected = hashes(prepared)
    assert sorted(expected) == ["00000.safetensors", "00001.safetensors", "00002.safetensors", "index.json"]
    assert whole["records"] == COUNT
    assert len(whole["lost"]) == 1
    assert "3.png" in whole["lost"][0]
    for path in (prepared.folder / "shards").iterdir():
        path.unlink()

    def kill(done, _):
        if done >= 10:
            raise Killed

    with pytest.raises(Killed):
        cut(prepared, visual, "t", advance=kill)
    assert set(hashes(prepared)) == {"00000.safetensors", "index.json"}
    kept = (prepared.folder / "shards" / "00000.safetensors").stat().st_mtime_ns
    (prepared.folder / "shards" / ".00001.safetensors.abc.safetensors").write_bytes(b"half")
    seen = []
    assert cut(prepared, visual, "t", advance=lambda *a: seen.append(a)) == whole
    assert hashes(prepared) == expected
    assert (prepared.folder / "shards" / "00000.safetensors").stat().st_mtime_ns == kept
    assert seen == [(10, COUNT), (20, COUNT), (COUNT, COUNT)]


def test_other_workers_or_choices_of_cleaning_keep_the_shards(prepared, visual):
    cut(prepared, visual, "t")
    first = (prepared.folder / "shards" / "00000.safetensors").stat().st_mtime_ns
    prepared.settings = prepared.settings.model_copy(update={"workers": 1, "longest_text": 5})
    cut(prepared, visual, "t")
    assert (prepared.folder / "shards" / "00000.safetensors").stat().st_mtime_ns == first


def test_another_tokenizer_or_manifest_cuts_anew(prepared, visual):
    cut(prepared, visual, "t")
    first = (prepared.folder / "shards" / "00000.safetensors").stat().st_mtime_ns
    cut(prepared, visual, "other")
    second = (prepared.folder / "shards" / "00000.safetensors").stat().st_mtime_ns
    assert second > first
    manifest = prepared.folder / "manifest.jsonl"
    manifest.write_text("\n".join(manifest.read_text().splitlines()[:5]) + "\n")
    assert cut(prepared, visual, "other")["records"] == 5
    assert set(hashes(prepared)) == {"00000.safetensors", "index.json"}


def test_shards_hold_what_the_tokenizer_gives(prepared, visual):
    cut(prepared, visual, "t")
    shards = Shards(prepared.folder / "shards", visual.fsq.to_latents(torch.arange(12)).numpy())
    assert [shards.record(i).file for i in range(len(shards))] == [f"{i}.png" for i in range(COUNT) if i != 3]
    assert [bool(h) for h in shards.held] == [is_held(shards.record(i)) for i in range(len(shards))]
    frames = prepare.decode(shards.record(5), prepared.source, prepared.settings)
    codes, _ = visual.tokenize(torch.from_numpy(frames.copy())[None])
    np.testing.assert_array_equal(shards.maps(5)[0].codes, codes[0, 0])


def test_copies_are_for_training_only(prepared, visual, monkeypatch):
    monkeypatch.setattr(prepare, "is_held", lambda record: record.file == "1.png")
    cut(prepared, visual, "t", copies=3)
    shards = Shards(prepared.folder / "shards", visual.fsq.to_latents(torch.arange(12)).numpy())
    files = [shards.record(i).file for i in range(len(shards))]
    assert files.count("1.png") == 1
    assert files.count("2.png") == 3
    assert max(np.diff(shards._starts)) <= 10


def test_boxes_follow_their_picture_into_each_framing(prepared, visual, monkeypatch):
    """A box around a square of its own colour is around that square in every copy."""
    monkeypatch.setattr(prepare, "is_held", lambda record: False)
    picture = np.full((60, 48, 3), 200, np.uint8)  # of which a square of 48 pixels is taken, from row 6 on
    picture[16:40, 8:32] = (255, 0, 0)
    Image.fromarray(picture).save(prepared.source / "0.png")
    told = Box(texts=[Text(text="square")], box=(8, 16, 32, 40))
    record = Record(file="0.png", kind="picture", width=48, height=60, objects=[told])
    windows = [(record, 0.0, copy) for copy in range(6)]
    prepared = Prepared(prepared.folder, prepared.source, PrepareConfig(size=96))
    with Workers(1) as workers:
        found = list(prepare._frames(prepared, windows, workers))
    places = set()
    for (known, _, _), frames in found:
        side = frames.shape[1]
        red = (frames[0, :, :, 0].astype(int) - frames[0, :, :, 1]) > 100
        rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
        edges = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / side
        (thing,) = things(known, "")
        np.testing.assert_allclose(thing.box, edges, atol=1.5 / side)
        places.add(thing.box)
    assert len(places) == 6
    assert found[0][0][0].objects == [told]


def test_moved_boxes_reach_the_shards(prepared, visual, monkeypatch):
    """Those of pictures and, at their times, of clips; what a framing cuts off whole is told no more."""
    monkeypatch.setattr(prepare, "is_held", lambda record: False)
    told = [Box(texts=[Text(text="inside")], box=(10, 10, 30, 30)), Box(texts=[Text(text="rim")], box=(0, 0, 0.2, 0.2))]
    manifest = prepared.folder / "manifest.jsonl"
    known = Record(file="0.png", kind="picture", width=50, height=40, objects=told)
    manifest.write_text(known.model_dump_json() + "\n")
    cut(prepared, visual, "t", copies=9)
    shards = Shards(prepared.folder / "shards", visual.fsq.to_latents(torch.arange(12)).numpy())
    plans = [things(shards.record(i), "") for i in range(len(shards))]
    assert len(shards.boxed(clips=False, held=False)) == 9
    assert len({plan[0].box for plan in plans}) > 3
    assert {len(plan) for plan in plans} == {1}  # the rim lies outside the middle square from the beginning
    timed = known.model_copy(update={"objects": [told[0].model_copy(update={"time": 0.5})]})
    (moved,) = reframed(timed, 0.1, 0.0, 0.2, 0.0)
    assert (moved.time, moved.texts) == (0.5, told[0].texts)
    # The square is 40 wide from column 5 on; 8 columns and 4 rows of it are cut off, the rest is fitted back.
    wide, high = 40 / 32, 40 / 36
    np.testing.assert_allclose(moved.box, (5 - 3 * wide, 6 * high, 5 + 17 * wide, 26 * high))


def test_copies_that_were_cut_without_boxes_are_cut_anew(prepared, visual):
    cut(prepared, visual, "t", copies=2)
    index = prepared.folder / "shards" / "index.json"
    first = index.with_name("00000.safetensors").stat().st_mtime_ns
    cut(prepared, visual, "t", copies=2)
    assert index.with_name("00000.safetensors").stat().st_mtime_ns == first
    stamp = json.loads(index.read_text())
    del stamp["boxes"]
    index.write_text(json.dumps(stamp))
    cut(prepared, visual, "t", copies=2)
    assert index.with_name("00000.safetensors").stat().st_mtime_ns > first


def test_nothing_readable_is_an_error(prepared, visual):
    for path in prepared.source.iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="none of its 23 media could be read"):
        cut(prepared, visual, "t")


def test_an_unprepared_folder_is_told(tmp_path):
    with pytest.raises(DataError, match="not a prepared folder"):
        Prepared.load(tmp_path)


def test_a_damaged_folder_is_told(prepared):
    (prepared.folder / "prepare.json").write_text('{"source": "x", "settings": {"size": "big"}}')
    with pytest.raises(DataError, match=r"prepare\.json: damaged"):
        Prepared.load(prepared.folder)


def test_load_is_save(prepared):
    again = Prepared.load(prepared.folder)
    assert (again.source, again.settings) == (prepared.source.resolve(), prepared.settings)
    assert json.loads((prepared.folder / "prepare.json").read_text())["settings"]["size"] == 32


def test_a_framing_repeats_itself():
    frames = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), np.uint8)
    one, two, three = (framed(frames, framing(32, np.random.default_rng(seed), 0.2)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, three)
    assert (one.shape, one.dtype) == (frames.shape, np.uint8)


def test_a_long_clip_has_windows_with_what_is_true_of_each():
    events = [Event(start=s, end=e, text=f"{s}") for s, e in ((0.5, 1.0), (1.5, 2.5), (4.5, 5.0))]
    record = Record(
        file="a.mp4", kind="clip", duration=6.0, texts=[Text(text="t")], qa=[Question(question="q", answer="a")],
        events=events,
    )  # fmt: skip
    spans = windows(record, PrepareConfig())  # of two seconds
    assert [start for start, _ in spans] == [0.0, 2.0, 4.0]
    parts = [window_record(record, *span) for span in spans]
    assert [[(e.start, e.end) for e in window.events] for window in parts] == [
        [(0.5, 1.0), (1.5, 2.0)],
        [(0.0, 0.5)],
        [(0.5, 1.0)],
    ]
    assert all(window.qa == [] and window.texts == record.texts for window in parts)
    short = record.model_copy(update={"duration": 2.125})
    assert [window_record(short, *span) for span in windows(short, PrepareConfig())] == [short]


def test_sequences_stay_on_one_side():
    sides = [
        {is_held(Record(file=f"{s}-{i}.png", kind="picture", sequence=Place(id=str(s), index=i))) for i in range(5)}
        for s in range(300)
    ]
    assert all(len(side) == 1 for side in sides)
    assert {True} in sides
