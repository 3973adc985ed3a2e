"""docs/data.md says what is so."""

import json
import re
from pathlib import Path

import pytest

from tests.data.media import moving, scene
from triptych.data import motions
from triptych.data.clean import clean
from triptych.data.folder import CLIPS, PICTURES, scan
from triptych.data.report import KINDS
from triptych.data.settings import PrepareConfig
from triptych.media.limits import LOCAL, Limits

PAGE = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")


def test_every_json_example_works(tmp_path) -> None:
    examples = [example for example in re.findall(r"```jsonl\n(.*?)```", PAGE, re.S) if '"file_name"' in example]
    assert len(examples) == 7
    keys = set()
    for i, example in enumerate(examples):
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / "metadata.jsonl").write_text(example, encoding="utf-8")
        lines = [json.loads(line) for line in example.splitlines()]
        for n, line in enumerate(lines):
            path = folder / line["file_name"]
            scene(n).save(path) if path.suffix == ".jpg" else moving(path, n)
        findings = []
        for record in scan(folder, findings.append):
            line = next(line for line in lines if line["file_name"] == record.file)
            for key in line.keys() - {"file_name"}:
                assert getattr(record, "texts" if key == "text" else key)
                keys.add(key)
        assert not findings
    assert keys == {"text", "texts", "label", "qa", "events", "sequence", "instruction", "objects"}


def test_the_example_of_motions_works(tmp_path) -> None:
    (example,) = re.findall(r"```jsonl\n({\"fps\".*?)```", PAGE, re.S)
    (tmp_path / motions.FILE).write_text(example, encoding="utf-8")
    boxes, seen = motions.read(tmp_path / motions.FILE, 8.0)
    assert boxes.shape[:2] == (1, 3)
    assert seen[0, :, 0].tolist() == pytest.approx([1.0, 0.6, 0.0])


def test_the_trees_work(tmp_path) -> None:
    for example in re.findall(r"```text\n(.*?)```", PAGE, re.S):
        for name in example.split():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            scene(1).save(tmp_path / name) if name.endswith("jpg") else (tmp_path / name).write_text("a garden\n")
    found = {record.file: record for record in scan(tmp_path)}
    assert found["photos/cats/2.jpg"].label == "cats"
    assert found["photos/garden.jpg"].texts[0].text == "a garden"
    assert clean(tmp_path, tmp_path / "out", PrepareConfig(workers=1), progress=False).kept == 1  # four are one picture


def test_the_lists_are_complete() -> None:
    for suffix in PICTURES | CLIPS:
        assert f"`{suffix}`" in PAGE
    assert re.findall(r"^\| ([a-z ]+) \|", PAGE.split("## Clips")[0], re.M)[1:] == list(KINDS)
    for setting in re.findall(r"`([a-z]+(?:_[a-z]+)+)", PAGE):
        assert setting in PrepareConfig.model_fields or setting == "file_name"
    for limits, column in ((LOCAL, 1), (Limits(), 2)):
        cells = [row.split("|")[1:] for row in PAGE.split("## Limits")[1].splitlines() if row.startswith("| ")]
        picture = next(row[column] for row in cells if row[0].strip() == "picture")
        assert f"{limits.image_bytes // 2**20} MiB" in picture
        assert f"{limits.image_pixels / 1e6:.{0 if column == 1 else 1}f} megapixels" in picture
        assert f"side {limits.side:,}" in picture
