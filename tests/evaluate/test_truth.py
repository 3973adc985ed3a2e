import json
from pathlib import Path

from triptych.evaluate.bench import Bench
from triptych.evaluate.truth import metadata_files, metadata_hash, read_truths
from triptych.files import sha256

from . import small
from .test_suite import SIZE, Nothing


def test_worlds_in_folders_keep_their_truth(tmp_path: Path) -> None:
    small.write(tmp_path / "one", size=SIZE, pictures=6, clips=1)
    small.write(tmp_path / "deep" / "two", size=SIZE, pictures=6, clips=0, seed=1)
    flat = Bench(Nothing(tmp_path), tmp_path / "one")
    both = Bench(Nothing(tmp_path), tmp_path)
    assert len(both.items) == 14  # the clip has an impossible twin
    assert all(item.truth for item in both.items)
    assert {i.record.file: i.truth for i in both.items if i.record.file.startswith("one/")} == {
        f"one/{i.record.file}": i.truth for i in flat.items
    }
    assert metadata_files(tmp_path) == ["deep/two/metadata.jsonl", "one/metadata.jsonl"]


def test_the_hash_follows_every_file(tmp_path: Path) -> None:
    assert metadata_hash(tmp_path) is None
    (tmp_path / "metadata.jsonl").write_text("{}\n")
    assert metadata_hash(tmp_path) == sha256(tmp_path / "metadata.jsonl")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "metadata.jsonl").write_text("{}\n")
    both = metadata_hash(tmp_path)
    (tmp_path / "a" / "metadata.jsonl").write_text("{ }\n")
    assert len({both, metadata_hash(tmp_path), sha256(tmp_path / "metadata.jsonl")}) == 3


def test_lines_that_say_nothing_are_passed_over(tmp_path: Path) -> None:
    good = json.dumps({"file_name": "b/../x.png", "truth": {"objects": []}})
    lines = [
        "\ufeff" + good,
        "no json",
        "[]",
        "",
        '{"file_name": 3, "truth": {}}',
        '{"file_name": "y.png", "truth": 1}',
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "metadata.jsonl").write_text(good)
    assert read_truths(tmp_path) == {"x.png": {"objects": []}}
