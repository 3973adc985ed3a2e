"""Motions: read with their errors, made into batches that depend on the step alone."""

import json

import numpy as np
import pytest
import torch

from triptych.data import motions
from triptych.data.motions import FILE, MOST, MotionBatches, read
from triptych.errors import DataError

FRAMES, SPAN, AHEAD = 9, 2, 3


def thing(start: float, step: float, frames: int = FRAMES, **more) -> dict:
    """A box of a fifth of the side that goes right by `step` a frame, until it is outside."""
    lefts = [start + step * frame for frame in range(frames)]
    boxes = [[left, 0.4, min(left + 0.2, 1), 0.6] if left < 1 else None for left in lefts]
    return {"boxes": boxes, **more}


def written(folder, rows, fps=8):
    folder.mkdir(exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps({"fps": fps, "things": row}) for row in rows]
    (folder / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_motions_are_read_as_they_are_told(tmp_path):
    rows = [[thing(0.1, 0.1), thing(0.0, 0.0, seen=[0.5] * FRAMES)], [thing(0.2, 0.0, frames=4)]]
    boxes, seen = read(written(tmp_path, rows) / FILE, 8.0)
    assert boxes.shape == (2, FRAMES, MOST, 4)
    assert np.allclose(boxes[0, :, 0, 0], 0.1 + 0.1 * np.arange(FRAMES), atol=1e-6)
    assert (seen[0, :, 0] == 1).all()
    assert (seen[0, :, 1] == 0.5).all()
    assert np.isnan(boxes[1, 4:]).all()  # its clip has ended
    assert np.isnan(seen[1, 4:]).all()
    assert (seen[1, :4, 1:] == 0).all()  # nothing else is there


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("{", "line 2: Invalid JSON"),
        ('{"fps": 8, "things": []}', "line 2: things: List should have at least 1 item"),
        ('{"fps": 8, "things": [{"boxes": [[0, 0, 1]]}]}', "line 2: things.0.boxes.0"),
        ('{"fps": 8, "things": [{"boxes": [null], "colour": 1}]}', "line 2: things.0.colour: Extra inputs"),
        (json.dumps({"fps": 8, "things": [thing(0, 0), thing(0, 0, frames=3)]}), r"lists of \[3, 9\] frames"),
        (json.dumps({"fps": 8, "things": [{"boxes": [[10, 40, 60, 90]]}]}), "frame 0: .* is no box: .* shares"),
        (json.dumps({"fps": 8, "things": [{"boxes": [None, [0.5, 0.5, 0.1, 0.9]]}]}), "frame 1: .* is no box"),
        ('{"fps": 8, "things": [{"boxes": [[0, 0, 1, NaN]]}]}', "line 2"),
        (json.dumps({"fps": 8, "things": [{"boxes": [None]}]}), "no thing has a box in any frame"),
        (json.dumps({"fps": 30, "things": [thing(0, 0)]}), "line 2: 30 frames a second, the model reads 8"),
    ],
)
def test_what_cant_be_used_is_named(tmp_path, row, told):
    with pytest.raises(DataError, match=told):
        read(written(tmp_path, [[thing(0, 0)], row]) / FILE, 8.0)


def test_what_isnt_utf8_is_named_and_empty_lines_are_passed_over(tmp_path):
    line = json.dumps({"fps": 8, "things": [thing(0, 0)]})
    (tmp_path / FILE).write_text(f"{line}\n\n{line}\n\n")
    assert len(read(tmp_path / FILE, 8.0)[0]) == 2
    (tmp_path / FILE).write_bytes(line.encode() + b"\n\xff\xfe\n")
    with pytest.raises(DataError, match="line 2"):
        read(tmp_path / FILE, 8.0)


def test_things_that_are_never_there_take_no_place(tmp_path):
    nothing = {"boxes": [None] * FRAMES}
    folder = written(tmp_path, [[nothing] * MOST + [thing(0.1, 0.05)]])
    out = MotionBatches([folder], 8, SPAN, AHEAD, 1, 0).examples([0], None)
    assert out["there"].tolist() == [[1]]


def test_a_clip_that_ends_tells_no_more(tmp_path):
    folder = written(tmp_path, [[thing(0.1, 0.05, frames=4)], [thing(0.1, 0.05)]])
    out = MotionBatches([folder], 8, SPAN, AHEAD, 1, 0).examples([0], None)  # in the third of four frames
    assert out["told"].tolist() == out["judged"].tolist() == [[[1, 0, 0]]]


def test_what_the_edge_cuts_off_goes_as_fast_as_its_free_edge(tmp_path):
    coming = {"boxes": [[0.0, 0.4, 0.05 + 0.02 * frame, 0.6] for frame in range(FRAMES)]}
    out = MotionBatches([written(tmp_path, [[coming]])], 8, SPAN, AHEAD, 1, 0).examples([0], None)
    assert torch.allclose(out["shifts"][0, 0, :, 0], torch.tensor([0.02, 0.04]), atol=1e-6)


def test_all_folders_are_learned_from(tmp_path):
    one, two = (written(tmp_path / name, [[thing(0, 0)]] * count) for name, count in (("one", 3), ("two", 40)))
    batches = MotionBatches([one, two], 8, SPAN, AHEAD, 1, 0)
    assert len(batches.train) + len(batches.held) == 43


def test_motions_are_held_out_by_lot(tmp_path):
    """The world shows an arm in every fifth: none may be left out for that."""
    held = MotionBatches([written(tmp_path, [[thing(0, 0)]] * 400)], 8, SPAN, AHEAD, 1, 0).held
    assert len(held) == 20
    assert {number % 5 for number in held.tolist()} == set(range(5))


def test_a_folder_without_motions_is_told_how_to_get_some(tmp_path):
    with pytest.raises(DataError, match="--motions"):
        read(tmp_path / FILE, 8.0)
    (tmp_path / FILE).write_text("")
    with pytest.raises(DataError, match="holds no motion"):
        read(tmp_path / FILE, 8.0)
    with pytest.raises(DataError, match="three frames"):
        MotionBatches([written(tmp_path, [[thing(0, 0, frames=2)]])], 8, SPAN, AHEAD, 1, 0)


@pytest.fixture
def batches(tmp_path):
    rows = [[thing(0.1, 0.05), thing(0.6, 0.1)], [thing(0.05 * number, 0.02) for number in range(3)]] * 20
    return MotionBatches([written(tmp_path, rows)], 8, SPAN, AHEAD, 4, 0)


def test_what_comes_is_what_is_told_of_later_frames(batches):
    out = batches.examples([0], None)  # in the middle of nine frames
    assert out["boxes"].shape == (1, 2, 4)  # no more things than there are
    assert torch.allclose(out["boxes"][0, 0], torch.tensor([0.3, 0.4, 0.5, 0.6]), atol=1e-6)
    assert torch.allclose(out["shifts"][0, 0, :, 0], torch.tensor([0.05, 0.1]), atol=1e-6)
    assert torch.allclose(out["later"][0, 0, :, 0], torch.tensor([0.05, 0.1, 0.15]), atol=1e-6)
    # The other has just left: it isn't there, so nothing is asked of it.
    assert out["there"].tolist() == [[1, 0]]
    assert out["told"].tolist() == [[[1, 1, 1], [0, 0, 0]]]
    assert out["judged"].tolist() == [[[1, 1, 1], [0, 0, 0]]]


def test_what_leaves_is_told_to_leave(tmp_path):
    folder = written(tmp_path, [[thing(0.55, 0.1)]] * 2)
    out = MotionBatches([folder], 8, SPAN, AHEAD, 1, 0).examples([0], None)
    assert out["stays"].tolist() == [[[0, 0, 0]]]  # at 0.95 in the middle of the clip
    assert out["judged"].tolist() == [[[1, 1, 1]]]
    assert out["told"].sum() == 0


def test_what_is_hidden_has_no_known_past(tmp_path):
    seen = [1, 1, 1, 0.1, 1, 1, 1, 1, 1]
    out = MotionBatches([written(tmp_path, [[thing(0.1, 0.05, seen=seen)]])], 8, SPAN, AHEAD, 1, 0).examples([0], None)
    assert out["known"].tolist() == [[[0, 1]]]


def test_batches_depend_on_the_step_alone(batches):
    first, again, next_ = batches[0], batches[0], batches[1]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["boxes"], next_["boxes"]) if first["boxes"].shape == next_["boxes"].shape else True
    assert all(torch.isfinite(value).all() for value in first.values())
    assert len(batches.held) == 2
    assert not set(batches.held) & set(batches.train)


def test_what_is_read_is_inexact_and_what_comes_is_not(batches, monkeypatch):
    for name in ("FORGOTTEN", "UNSEEN", "ASTRAY"):
        monkeypatch.setattr(motions, name, 0.0)
    rng = np.random.default_rng(0)
    out = batches.examples([1] * 200, rng)
    assert 0.5 * motions.PLACED < out["boxes"][:, 0, 1].std() < 2 * motions.PLACED
    steps = out["later"][..., 0, 0]
    assert torch.allclose(steps.abs(), torch.full_like(steps, 0.02), atol=1e-6)
    assert (steps > 0).any()  # half of them mirrored
    assert (steps < 0).any()
    known = out["known"][..., 0] > 0
    shifts = out["shifts"][..., 0, 0][known]
    assert 0.5 * motions.MATCHED < (shifts.abs() - 0.02).std() < 3 * motions.MATCHED
    assert torch.equal(torch.sign(shifts), torch.sign(steps[known]))


def test_some_shifts_are_read_quite_wrongly(batches):
    out = batches.examples([1] * 400, np.random.default_rng(0))
    wrong = (out["shifts"][..., 0, 0].abs() - 0.02).abs() > 8 * motions.MATCHED
    assert 0.3 * motions.ASTRAY < wrong[out["known"][..., 0] > 0].float().mean() < 2 * motions.ASTRAY


def test_some_of_the_past_and_some_things_are_kept_back(batches):
    out = batches.examples([1] * 400, np.random.default_rng(0))
    assert 0.02 < 1 - out["there"].mean() < 0.1
    assert out["told"][out["there"] == 0].sum() == 0
    assert 0.05 < 1 - out["known"][..., -1].mean() < 0.4
