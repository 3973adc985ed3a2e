"""Edits of the tabletop world: one thing changes, the words say which, and training finds the pairs."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.worlds.test_tabletop_write import _renders, rows_of
from triptych.data.folder import scan
from triptych.worlds.tabletop import audit
from triptych.worlds.tabletop.edits import CHAIN, KINDS, chain_of, edit_problems
from triptych.worlds.tabletop.language import ZH
from triptych.worlds.tabletop.scene import WITHHELD
from triptych.worlds.tabletop.stills import objects_of
from triptych.worlds.tabletop.write import write_world

pytest.importorskip("mujoco", reason="the tabletop world needs mujoco: pip install 'triptych[world]'")
EDITS, SIZE = 5, 96


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if reason := _renders():
        pytest.skip(f"no Vulkan driver (Debian: mesa-vulkan-drivers): {reason}")
    out = tmp_path_factory.mktemp("edits") / "out"
    given = {"seed": 3, "level": 0, "size": SIZE, "device": "software", "workers": 1, "progress": False}
    assert write_world(out, images=0, clips=0, edits=EDITS, **given)["edits"] == EDITS
    return out


def chains(count: int, split: str = "train", level: int = 1):
    return [chain_of(1, split, level, number, 224) for number in range(count)]


def test_every_kind_of_edit_comes_up_and_changes_one_thing() -> None:
    seen: Counter[str] = Counter()
    for level in (0, 1, 3):
        for scene, edits, _ in chains(25, level=level):
            before = scene
            for edit in edits:
                truth = {"kind": edit.kind, "before": edit.before, "after": edit.after}
                assert edit_problems(objects_of(before, 224), objects_of(edit.scene, 224), truth) == []
                assert not {(t.color, t.shape) for t in edit.scene.things} & WITHHELD
                seen[edit.kind] += 1
                before = edit.scene
    assert set(seen) == set(KINDS)
    assert min(seen.values()) > 0.4 * seen.total() / len(KINDS), seen


def test_the_words_name_what_is_changed_and_into_what() -> None:
    for _, edits, _ in chains(30):
        for edit in edits:
            words, kind = edit.instruction, edit.kind
            thing = edit.before or edit.after
            assert thing["shape"] in words["en"]
            assert ZH[thing["shape"]] in words["zh"]
            if kind in ("color", "material", "size", "shape"):
                assert edit.after[kind] in words["en"]
                assert ZH[edit.after[kind]] in words["zh"]
            assert (kind == "add") == words["en"].startswith(("add a", "put a"))
            assert (kind == "move") == words["en"].startswith("move the")


def test_a_changed_truth_is_found() -> None:
    scene, edits, _ = chains(1)[0]
    before, after = objects_of(scene, 224), objects_of(edits[0].scene, 224)
    truth = {"kind": edits[0].kind, "before": edits[0].before, "after": edits[0].after}
    assert edit_problems(before, after, truth) == []
    wrong = {key: value and {**value, "color": "pink"} for key, value in truth.items() if key != "kind"}
    assert edit_problems(before, after, {"kind": truth["kind"], **wrong})


def test_the_folder_is_what_a_user_would_bring(world: Path) -> None:
    rows = rows_of(world)
    assert [row["file_name"] for row in rows[: CHAIN + 1]] == [f"edits/0000001-{k}.jpg" for k in range(CHAIN + 1)]
    assert len(rows) == EDITS + 2  # two chains
    assert audit(world) == []
    told = [record for record in scan(world) if record.instruction]
    assert len(told) == EDITS
    assert {text.lang for record in told for text in record.instruction} == {"en", "zh"}
    assert all(record.sequence and record.sequence.index > 0 for record in told)


def test_pixels_change_where_the_truth_says(world: Path) -> None:
    from PIL import Image

    rows = rows_of(world)
    for before, after in itertools.pairwise(rows):
        if "edit" not in after["truth"]:
            continue
        one, two = (np.asarray(Image.open(world / row["file_name"]), np.int64) for row in (before, after))
        far = np.abs(one - two).max(2)
        kept = {tuple(o["center"]) for o in before["truth"]["objects"]} & {
            tuple(o["center"]) for o in after["truth"]["objects"]
        }
        places = [o for o in before["truth"]["objects"] + after["truth"]["objects"] if tuple(o["center"]) not in kept]
        if after["truth"]["edit"]["kind"] in ("remove", "add", "move"):
            for thing in places:
                x, y = (int(v) for v in thing["center"])
                assert far[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].max() > 12, after["file_name"]
        assert (far < 12).mean() > 0.5  # most of the picture is left alone


def test_the_audit_sees_a_wrong_edit(world: Path, tmp_path: Path) -> None:
    rows = rows_of(world)
    rows[1]["truth"]["edit"]["kind"] = "remove"
    rows[1]["truth"]["edit"]["after"] = None
    rows[1]["truth"]["edit"]["before"] = {"shape": "ball", "color": "pink", "material": "metal", "size": "small"}
    (tmp_path / "edits").symlink_to(world / "edits")
    (tmp_path / "world.json").write_bytes((world / "world.json").read_bytes())
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert any("edited thing" in problem for problem in audit(tmp_path, media=False))
