"""Shards come back as they were written, and damage is told."""

import numpy as np
import pytest

from triptych.data.records import Box, Place, Record, Text
from triptych.data.shards import Shards, ShardWriter, held_out, lost_in, stable_hash
from triptych.errors import DataError

GRID = np.linspace(-1, 1, 24, dtype=np.float32).reshape(12, 2)


def fill(path, records, seed=0, lost=()):
    """A shard of random maps of 2x2 codes; gives what was written."""
    rng, writer, wrote = np.random.default_rng(seed), ShardWriter(), []
    for record, held in records:
        maps = 3 if record.kind == "clip" else 1
        codes, latents = rng.integers(0, 12, (maps, 2, 2)), rng.uniform(-1, 1, (maps, 2, 2, 2))
        writer.add(record, codes, latents, held=held)
        wrote.append((record, codes, latents, held))
    writer.write(path, lost)
    return wrote


def mixed(count, start=0):
    kinds = ("picture", "clip")
    return [
        (Record(file=f"{i}.png", kind=kinds[i % 3 == 1], texts=[Text(text=f"text {i} 中")]), i % 4 == 0)
        for i in range(start, start + count)
    ]


def test_what_is_written_is_read(tmp_path):
    wrote = [*fill(tmp_path / "00000.safetensors", mixed(5)), *fill(tmp_path / "00001.safetensors", mixed(4, 5), 1)]
    shards = Shards(tmp_path, GRID)
    assert len(shards) == 9
    for index, (record, codes, latents, held) in enumerate(wrote):
        assert shards.record(index) == record
        maps = shards.maps(index)
        np.testing.assert_array_equal(np.stack([m.codes for m in maps]), codes)
        np.testing.assert_allclose(np.stack([m.latents for m in maps]), latents, atol=0.5 / 127 + 1e-6)
        np.testing.assert_array_equal(np.stack([m.grid for m in maps]), GRID[codes])
        assert index in shards.select(clips=record.kind == "clip", held=held)
    assert sum(len(shards.select(clips=c, held=h)) for c in (0, 1) for h in (0, 1)) == 9


def test_windows_are_mapped_not_read(tmp_path):
    fill(tmp_path / "00000.safetensors", mixed(3))
    assert isinstance(Shards(tmp_path, GRID)._files[0]["codes"].base, np.memmap)


def test_sequences_are_in_order_and_on_one_side(tmp_path):
    def member(name, index):
        return Record(file=f"{name}{index}.png", kind="picture", sequence=Place(id=name, index=index))

    records = [(member("a", 2), 0), (member("b", 0), 1), (member("a", 0), 0), (member("c", 0), 0), (member("b", 1), 1)]
    fill(tmp_path / "00000.safetensors", [*records, (member("a", 1), 0)])
    shards = Shards(tmp_path, GRID)
    names = [[shards.record(i).file for i in part] for part in shards.sequences(held=False)]
    assert names == [["a0.png", "a1.png", "a2.png"]]  # c is alone
    assert [[shards.record(i).file for i in part] for part in shards.sequences(held=True)] == [["b0.png", "b1.png"]]


def test_what_instructions_lead_through_are_edits_and_no_views(tmp_path):
    def member(name, index, told=True):
        text = [Text(text='make "instruction": green', lang="en")]
        return Record(
            file=f"{name}{index}.png",
            kind="picture",
            sequence=Place(id=name, index=index),
            texts=text,  # holds the very characters, but quoted
            instruction=text if told and index else [],
        )

    plan = [("a", 1), ("b", 0), ("a", 0), ("b", 2), ("a", 2), ("c", 0), ("c", 1)]
    fill(tmp_path / "00000.safetensors", [(member(*place, told=place[0] != "c"), 0) for place in plan])
    shards = Shards(tmp_path, GRID)
    pairs = [[shards.record(i).file for i in pair] for pair in shards.edits(held=False)]
    assert pairs == [["a0.png", "a1.png"], ["a1.png", "a2.png"]]  # of b, the picture between is lost
    assert [[shards.record(i).file for i in part] for part in shards.sequences(held=False)] == [["c0.png", "c1.png"]]
    assert shards.edits(held=True).shape == (0, 2)


def test_the_boxed_are_pictures_with_objects(tmp_path):
    def medium(number, kind="picture", boxed=True, text='"objects": [1], {"objects":[2]}'):
        box = Box(texts=[Text(text=text, lang="en")], box=(0, 0, 1, 1))
        objects = [box] if boxed else []  # a text holds the very characters, but quoted
        return Record(file=f"{number}.x", kind=kind, texts=[Text(text=text)], label=text, objects=objects)

    several = [(medium(0), 0), (medium(1, boxed=False), 0), (medium(2, "clip"), 0), (medium(3), 1), (medium(4), 0)]
    fill(tmp_path / "00000.safetensors", several)
    shards = Shards(tmp_path, GRID)
    assert shards.boxed(clips=False, held=False).tolist() == [0, 4]
    assert shards.boxed(clips=False, held=True).tolist() == [3]
    assert shards.record(0) == several[0][0]
    fill(tmp_path / "00000.safetensors", mixed(3))
    none = Shards(tmp_path, GRID).boxed(clips=False, held=False)
    assert (none.shape, none.dtype) == ((0,), np.int64)


def test_a_killed_writer_s_half_file_is_not_read(tmp_path):
    fill(tmp_path / "00000.safetensors", mixed(3))
    (tmp_path / ".00001.safetensors.x.safetensors").write_bytes(b"half")
    assert len(Shards(tmp_path, GRID)) == 3


def test_losses_are_kept(tmp_path):
    fill(tmp_path / "00000.safetensors", mixed(3), lost=["a.png: damaged 中"])
    assert lost_in(tmp_path / "00000.safetensors") == ["a.png: damaged 中"]


@pytest.mark.parametrize("damage", [b"", b"\x05", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}"[:9], "half"])
def test_a_damaged_shard_is_named(tmp_path, damage):
    path = tmp_path / "00000.safetensors"
    fill(path, mixed(3))
    path.write_bytes(path.read_bytes()[:-200] if damage == "half" else damage)
    with pytest.raises(DataError, match=r"00000\.safetensors: damaged shard"):
        Shards(tmp_path, GRID)


def test_no_shards(tmp_path):
    with pytest.raises(DataError, match="no token shards"):
        Shards(tmp_path, GRID)


def test_the_split_is_stable_and_of_the_share_asked_for():
    assert stable_hash("a") == 1170416445458845835
    assert abs(np.mean([held_out(str(i), 0.02) for i in range(20_000)]) - 0.02) < 0.004
    assert not any(held_out(str(i), 0.0) for i in range(1000))
