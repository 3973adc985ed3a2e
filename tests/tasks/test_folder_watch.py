"""A folder of clips: finished ones are skipped, changed ones read again, bad ones told."""

import json

import numpy as np
import pytest

from tests.media.clips import save_sound
from triptych.errors import ConfigError
from triptych.folder_watch import FILES, watch_folder
from triptych.media import video


@pytest.fixture
def quick(monkeypatch, brief):
    """No processes, and short texts: workers are tested with media.worker."""
    from triptych import folder_watch
    from triptych.errors import MediaError

    class Here:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def map(self, function, items, arguments, ahead):
            for item in items:
                try:
                    yield item, function(*arguments(item)[1])
                except MediaError as error:
                    yield item, error

    monkeypatch.setattr(folder_watch, "Workers", Here)


def test_a_folder_is_watched_once(tmp_path, tiny_model, quick):
    folder, out = tmp_path / "clips", tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.mp4", "sub/b.mp4"):
        video.write(folder / name, rng.integers(0, 255, (9, 64, 64, 3), dtype=np.uint8))
    save_sound(folder / "sound.mp4")
    (folder / "bad.mkv").write_text("hello")

    def run(**more):
        return {r.file: r for r in watch_folder(folder, out, model=str(tiny_model), device="cpu", **more)}

    first = run()
    assert {name: r.status for name, r in first.items()} == {
        "a.mp4": "watched", "bad.mkv": "failed", "sound.mp4": "failed", "sub/b.mp4": "watched",
    }  # fmt: skip
    assert "has sound but no picture" in first["sound.mp4"].error
    assert {f.name for f in (out / "sub").iterdir()} == {f"b.mp4{suffix}" for suffix in FILES}
    assert json.loads((out / "a.mp4.json").read_text("utf-8"))["source"]["language"] == "en"
    assert run()["a.mp4"].status == "finished"
    video.write(folder / "a.mp4", rng.integers(0, 255, (5, 64, 64, 3), dtype=np.uint8))
    (out / "sub" / "b.mp4.vtt").unlink()  # as after a kill
    assert {r.status for r in run().values()} == {"watched", "failed"}
    assert run(language="zh")["a.mp4"].status == "watched"
    assert run(language="zh", framings=1)["a.mp4"].status == "watched"
    assert run(language="zh", framings=1)["a.mp4"].status == "finished"
    with pytest.raises(ConfigError, match="framings=9"):
        run(framings=9)
