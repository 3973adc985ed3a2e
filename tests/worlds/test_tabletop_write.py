"""Small rendered worlds: written whole, the same on any number of workers, taken up again, audited."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from triptych.errors import ConfigError, DataError, MissingDriver, MissingExtra
from triptych.worlds.tabletop import audit, contact_sheet, mjcf, render, write, write_world

pytest.importorskip("mujoco", reason="the tabletop world needs mujoco: pip install 'triptych[world]'")

IMAGES, CLIPS, SIZE = 12, 5, 96


def _renders() -> str | None:
    """Why pictures can't be rendered here, or None if they can."""
    import subprocess
    import sys

    code = "from triptych.worlds.tabletop.render import Renderer; Renderer(64)"
    probe = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    return None if probe.returncode == 0 else (probe.stderr.strip().splitlines() or ["the renderer died"])[-1]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if reason := _renders():
        pytest.skip(f"no Vulkan driver (Debian: mesa-vulkan-drivers): {reason}")
    out = tmp_path_factory.mktemp("world") / "out"
    patch = pytest.MonkeyPatch()
    patch.setattr(write, "CHUNK", {**write.CHUNK, "images": 8, "clips": 5})
    counts = write_world(
        out,
        images=IMAGES,
        clips=CLIPS,
        seed=5,
        split="validation",
        workers=2,
        size=SIZE,
        device="software",
        progress=False,
    )
    patch.undo()
    assert (counts["images"], counts["clips"]) == (IMAGES, CLIPS)
    return out


def rows_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_folder_is_whole_and_passes_its_audit(world: Path) -> None:
    rows = rows_of(world)
    assert [r["file_name"] for r in rows[:2]] == ["images/0000001.jpg", "images/0000002.jpg"]
    assert len(rows) == IMAGES + CLIPS
    assert audit(world) == []
    assert {r["truth"]["kind"] for r in rows[IMAGES:]} == {"events", "arm"}
    assert sum("sequence" in r for r in rows) == 4
    twins = [r for r in rows if r["truth"].get("impossible")]
    assert len(twins) == 1
    assert twins[0]["texts"] == {"en": [], "zh": []}
    assert twins[0]["truth"]["impossible"]["twin_of"] == rows[-2]["file_name"]
    arm = next(r for r in rows if r["truth"].get("kind") == "arm")
    assert set(arm["instruction"]) == {"en", "zh"}
    settings = json.loads((world / "world.json").read_text())
    assert settings["images"] == IMAGES
    assert settings["version"]


def test_pictures_show_the_objects_where_the_truth_says(world: Path) -> None:
    from PIL import Image

    for row in rows_of(world)[:IMAGES]:
        with Image.open(world / row["file_name"]) as picture:
            pixels = np.asarray(picture).astype(float)
        for thing in row["truth"]["objects"]:
            if thing["color"] == "gray":
                continue
            x0, y0, x1, y1 = thing["box"]
            middle = pixels[int(y0 * 0.5 + y1 * 0.5), int(x0 * 0.5 + x1 * 0.5)]
            assert middle.max() - middle.min() > 25, f"{row['file_name']}: nothing coloured at {thing}"


def test_labels_do_not_depend_on_workers_or_on_how_many_are_asked_for(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    write_world(
        out, images=6, clips=0, seed=5, split="validation", workers=1, size=SIZE, device="software", progress=False
    )
    assert rows_of(out) == rows_of(world)[:6]


def test_a_second_run_makes_only_what_is_missing(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "CHUNK", {**write.CHUNK, "images": 8, "clips": 5})
    before = (world / "metadata.jsonl").read_bytes()
    lost = world / ".parts" / "images-0000008-0000012.jsonl"
    lost.unlink()
    (world / "images" / "0000010.jpg").unlink()
    kept = (world / "images" / "0000001.jpg").stat().st_mtime_ns
    made: list[str] = []

    def pool(jobs: list[write.Job], workers: int) -> object:
        for job in jobs:
            made.append(job.part.name)
            write.make_chunk(job)
            yield job

    monkeypatch.setattr(write, "_pool", pool)
    settings = {"seed": 5, "split": "validation", "size": SIZE, "device": "software", "progress": False}
    write_world(world, images=IMAGES, clips=CLIPS, **settings)
    assert made == [lost.name]
    assert (world / "images" / "0000010.jpg").exists()
    assert (world / "images" / "0000001.jpg").stat().st_mtime_ns == kept
    assert (world / "metadata.jsonl").read_bytes() == before


def test_another_world_is_refused(world: Path) -> None:
    with pytest.raises(DataError, match="seed=5 there, 6 asked"):
        write_world(world, images=2, clips=0, seed=6, split="validation", size=SIZE, device="software", progress=False)


BREAKS: dict[str, tuple[int, Callable[[dict], object], str]] = {
    "a count": (0, lambda r: next(q for q in r["qa"] if q["kind"] == "count").update(answer="9"), "the truth says"),
    "a colour": (0, lambda r: r["texts"]["en"].append("a pink ball and a black cone"), "counts"),
    "an absent shape": (0, lambda r: r["texts"]["zh"].append("一个红色的胶囊体"), "names 'capsule'"),
    "a box": (0, lambda r: r["truth"]["objects"][0].update(box=[0, 0, 500, 20]), "out of the frame"),
    "a withheld pair": (0, lambda r: r["truth"]["objects"][0].update(color="purple", shape="cone"), "withheld"),
    "an event": (
        IMAGES,
        lambda r: r["events"].append({"start": 3.0, "end": 3.5, "type": "stop", "text": {"en": ""}}),
        "outside",
    ),
    "words of a twin": (-1, lambda r: r["texts"]["en"].append("a ball"), "impossible clip has words"),
    "a name": (1, lambda r: r.update(file_name="images/0009999.jpg"), "missing"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_the_audit_fails_on_a_broken_label(world: Path, tmp_path: Path, what: str) -> None:
    number, change, message = BREAKS[what]
    rows = rows_of(world)
    change(rows[number])
    for name in ("images", "clips"):
        os.symlink(world / name, tmp_path / name)
    (tmp_path / "world.json").write_bytes((world / "world.json").read_bytes())
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "metadata.jsonl").write_text(lines, encoding="utf-8")
    problems = audit(tmp_path, media=False)
    assert any(message in p for p in problems), problems


def test_a_sheet_shows_samples(world: Path, tmp_path: Path) -> None:
    from PIL import Image

    contact_sheet(world, tmp_path / "sheet.png", n=6)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[1] > 6 * SIZE


def _job(out: Path, first: int) -> write.Job:
    return write.Job(str(out), "images", first, first + 1, 0, "train", 1, SIZE, True)


def _fails_once_or_always(jobs: list[write.Job], pipe: object) -> None:
    """Stands in for the worker: the second job kills its process, once (seed 0) or every time."""
    for job in jobs:
        mark = Path(job.out) / f"tried-{job.first}"
        if job.first == 1 and (job.level == 3 or not mark.exists()):
            mark.touch()
            os._exit(7)
        pipe.send(job)  # type: ignore[attr-defined]
    pipe.send("end")  # type: ignore[attr-defined]


def test_a_killed_worker_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "make_chunks", _fails_once_or_always)
    jobs = [_job(tmp_path, i) for i in range(5)]
    assert sorted(j.first for j in write._pool(jobs, 2)) == [0, 1, 2, 3, 4]


def test_a_chunk_that_always_fails_ends_the_batch_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "make_chunks", _fails_once_or_always)
    jobs = [replace(_job(tmp_path, i), level=3) for i in range(3)]
    with pytest.raises(RuntimeError, match="images-0000001-0000002 failed three times: the process died"):
        list(write._pool(jobs, 1))


def _dies(jobs: list[write.Job], pipe: object) -> None:
    """Stands in for a worker whose driver aborts."""
    os._exit(7)


def test_a_machine_that_can_not_render_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "make_chunks", _dies)
    with pytest.raises(MissingDriver, match="mesa-vulkan-drivers"):
        list(write._pool([_job(tmp_path, 0)], 1))
    monkeypatch.setattr(render, "LOADER", "libnone.so.1")
    with pytest.raises(MissingDriver, match=r"libnone\.so\.1.*mesa-vulkan-drivers"):
        render.require_vulkan()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"level": 4}, "level=4"), ({"size": 63}, "size=63"), ({"images": -1}, "images=-1"), ({"split": "dev"}, "split")],
)
def test_wrong_settings_are_refused_before_any_work(tmp_path: Path, change: dict, message: str) -> None:
    settings = {"images": 1, "clips": 0, "device": "software", "progress": False} | change
    with pytest.raises((ConfigError, ValueError), match=message):
        write_world(tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(MissingExtra, match=r"pip install 'triptych\[world\]'"):
        mjcf.require_mujoco()


def test_motions_are_those_of_the_clips_and_need_no_renderer(
    tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triptych.data.motions import read

    monkeypatch.setattr(render, "require_vulkan", lambda: pytest.fail("nothing is to be drawn"))
    out = tmp_path / "motions"
    asked = {"images": 0, "clips": 0, "motions": CLIPS, "seed": 5, "split": "validation", "size": SIZE, "workers": 2}
    counts = write_world(out, **asked, progress=False)
    assert (counts["motions"], counts["clips"], counts["device"]) == (CLIPS, 0, "nothing was drawn")
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        "clips", "edits", "images", "motions.jsonl", "world.json"
    ]  # fmt: skip
    boxes, seen = read(out / "motions.jsonl", 8.0)
    clips = [row for row in rows_of(world) if row["file_name"].startswith("clips/")]
    possible = [place for place, row in enumerate(clips) if not row["truth"]["impossible"]]
    assert len(possible) > 2
    for place in possible:
        frames = clips[place]["truth"]["frames"]
        ids = sorted({row["id"] for frame in frames for row in frame})
        for frame, rows in enumerate(frames):
            told = {row["id"]: row for row in rows}
            for number, id_ in enumerate(ids):
                if id_ in told:
                    assert np.allclose(boxes[place, frame, number] * SIZE, told[id_]["box"], atol=0.02)
                    assert abs(seen[place, frame, number] - told[id_]["visible"]) < 0.01
                else:
                    assert np.isnan(boxes[place, frame, number]).all()
                    assert seen[place, frame, number] == 0


def test_motions_and_files_share_a_folder(world: Path, tmp_path: Path) -> None:
    import shutil

    out = tmp_path / "both"
    shutil.copytree(world, out)
    told = json.loads((out / "world.json").read_text())
    settings = {"seed": 5, "split": "validation", "size": SIZE, "workers": 1, "progress": False}
    counts = write_world(out, images=0, clips=0, motions=2, **settings)
    after = json.loads((out / "world.json").read_text())
    assert (after["images"], after["clips"], after["motions"]) == (IMAGES, CLIPS, 2)
    assert {name: after[name] for name in told if name != "motions"} == {n: told[n] for n in told if n != "motions"}
    assert counts["motions"] == 2
    assert len(rows_of(out)) == len(rows_of(world))


def test_motions_of_somebody_else_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "motions.jsonl").write_text("mine")
    with pytest.raises(DataError, match="this world did not make"):
        write_world(tmp_path, images=0, clips=0, motions=2, size=SIZE, progress=False)
    assert (tmp_path / "motions.jsonl").read_text() == "mine"


def test_what_has_no_width_left_is_outside() -> None:
    from triptych.worlds.tabletop.motions import _of_frames

    frames = [
        [{"id": 0, "box": box, "visible": 0.5}] for box in ([10.0, 20.0, 30.0, 40.0], [0.0, 20.0, 0.002, 40.0], None)
    ]
    (thing,) = _of_frames(frames, 100)["things"]
    assert thing == {"boxes": [[0.1, 0.2, 0.3, 0.4], None, None], "seen": [0.5, 0.0, 0.0]}
