import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from triptych.errors import DataError, ModelError
from triptych.evaluate import detector, detector_data, detector_training
from triptych.files import read_jsonl
from triptych.media import image, video
from triptych.train import degrade

from . import small


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    torch.set_num_threads(1)
    data = small.write(tmp_path_factory.mktemp("world") / "data", pictures=10, clips=0, size=224)
    out = data.parent / "model"
    settings: dict[str, Any] = {"batch": 8, "device": "cpu", "workers": 0, "progress": False}
    detector_training.train_detector(data, out, steps=2, **settings)
    detector_training.train_detector(data, out, steps=120, lr=4e-3, augment=False, **settings)
    return data, out


def test_it_learns_eight_pictures_by_heart(trained: tuple[Path, Path]) -> None:
    data, out = trained
    model = detector.load_detector(out)
    rows, held = detector_data.split(detector_data.labelled(data))
    assert (len(rows), len(held)) == (8, 2), "the last picture is kept apart, and its other view with it"
    score = detector_training.score(model, rows)
    assert score["found"] > 0.9
    assert score["extra"] == 0
    assert score["shape"] > 0.9
    assert score["color"] > 0.9
    assert score["center"] < 4


def test_files_are_small_and_tell_their_score(trained: tuple[Path, Path]) -> None:
    _, out = trained
    assert (out / "detector.safetensors").stat().st_size < 1.5e6
    assert sum(p.numel() for p in detector.Detector().parameters()) < 600_000
    facts = json.loads((out / "detector.json").read_text())
    assert facts["held-out"]["pictures"]["media"] == 2
    assert facts["classes"]["color"][0] == "red"


def test_pictures_of_another_size_give_centres_in_their_own_pixels(trained: tuple[Path, Path]) -> None:
    data, out = trained
    model = detector.load_detector(out)
    row = next(read_jsonl(data / "metadata.jsonl"))
    pixels = image.read(data / row["file_name"])
    (plain,) = model.detect(pixels[None])
    (large,) = model.detect(np.kron(pixels, np.ones((2, 2, 1), np.uint8))[None])
    assert len(plain) == len(large) == 1
    assert set(plain[0]) == {"shape", "color", "material", "size", "center", "box", "score"}
    assert np.allclose(np.array(plain[0]["center"]) * 2, large[0]["center"], atol=4)


def test_targets_put_the_centre_where_it_is() -> None:
    thing = {
        "shape": "cone",
        "color": "gray",
        "material": "metal",
        "size": "large",
        "center": [100.0, 60.0],
        "box": [80, 40, 120, 80],
    }
    heat, place, classes = detector_data.targets([thing])
    row, column = 7, 12
    assert heat[row, column] == heat.max() == 1
    assert (column + 0.5 + place[0, row, column]) * 8 == pytest.approx(100)
    assert (row + 0.5 + place[1, row, column]) * 8 == pytest.approx(60)
    assert np.exp(place[2, row, column]) * 8 == pytest.approx(40)
    assert classes[:, row, column].tolist() == [3, 7, 0, 1]
    assert (classes[0] >= 0).sum() >= 1
    assert detector_data.targets([])[0].max() == 0


def test_degraded_pictures_stay_pictures_and_follow_the_seed() -> None:
    pixels = torch.rand(3, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    one, two = (degrade.degrade(pixels, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == pixels.shape
    assert one.min() >= 0
    assert one.max() <= 1
    assert torch.allclose(degrade.compress(pixels, torch.full((3, 1, 1, 1), 1e-6)), pixels, atol=1e-4)


def test_turned_hues_keep_brightness_and_are_told() -> None:
    pixels = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    out, turned = degrade.recolour(pixels, torch.Generator().manual_seed(1))
    assert 0 < turned.sum() < 40
    assert torch.allclose(out[~turned], pixels[~turned], atol=1e-6)
    luma = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]
    assert torch.allclose((out * luma).sum(1), (pixels * luma).sum(1), atol=0.2)
    flat = torch.full((8, 3, 8, 8), 0.5)
    assert torch.allclose(degrade.recolour(flat, torch.Generator())[0], flat, atol=1e-5), "grey stays grey"


def test_frames_of_clips_are_learned_too_and_a_detector_goes_on(tmp_path: Path, trained: tuple[Path, Path]) -> None:
    data = small.write(tmp_path / "world", pictures=8, clips=3, size=64)
    rows = detector_data.labelled(data)
    clips = [row for row in rows if row.is_clip]
    assert [row.path.name for row in clips] == ["000.mp4", "001.mp4", "002.mp4", "twin.mp4"]
    pixels, objects = clips[0].read(16)
    whole = video.read(clips[0].path, size=224)
    assert np.array_equal(pixels, whole.frames[16])
    assert not np.array_equal(pixels, clips[0].read(0)[0])
    scale, first = 224 / 64, clips[0].frames[16][0]
    assert objects[0]["center"] == pytest.approx([v * scale for v in first["center"]])
    assert first["center"][1] - clips[0].frames[0][0]["center"][1] == pytest.approx(8)
    train, held = detector_data.split(rows)
    assert [sum(row.is_clip for row in part) for part in (train, held)] == [2, 2], (
        "a twin stays with what it is the twin of"
    )
    for share in (0.0, 1.0):
        pictures = detector_data.Examples(train, seed=0, count=6, clip_share=share)
        assert {pictures.chosen(number)[0].is_clip for number in range(6)} == {bool(share)}
    both = detector_data.Examples(train, seed=0, count=400, clip_share=0.25)
    chosen = [both.chosen(number) for number in range(400)]
    assert 60 < sum(row.is_clip for row, _, _ in chosen) < 140
    assert {frame for row, frame, _ in chosen if row.is_clip} == set(range(17))
    assert {frame for row, frame, _ in chosen if not row.is_clip} == {0}
    assert all(torch.equal(a, b) for a, b in zip(both[3], both[3], strict=True))
    out, settings = tmp_path / "out", {"batch": 4, "device": "cpu", "workers": 0, "progress": False}
    facts = detector_training.train_detector(
        data, out, steps=1, lr=1e-9, start=trained[1], more=[trained[0]], **settings
    )
    assert set(facts) == {"pictures", "frames"}
    assert facts["frames"]["media"] == 6  # the first, the middle and the last of the two clips kept apart
    told = json.loads((out / "detector.json").read_text())["made"]
    assert (told["pictures"], told["clips"]) == (6 + 8, 2)
    assert told["start"]["steps"] == 120
    one, two = (detector.load_detector(path).state_dict() for path in (trained[1], out))  # it goes on from there
    assert all(torch.allclose(one[name], two[name], atol=1e-3) for name in one)
    with pytest.raises(ModelError, match="no detector"):
        detector_training.train_detector(data, out, steps=1, start=tmp_path, **settings)


def test_what_hardly_shows_in_a_frame_is_left_out(tmp_path: Path) -> None:
    looks = {"shape": "cone", "color": "gray", "material": "metal", "size": "large"}
    shown = {"center": [5, 5], "box": [0, 0, 9, 9]}
    frames = [[{"id": 0, "visible": v, **shown}, {"id": 7, "visible": 1.0, **shown}] for v in (0.2, 0.31)]
    row = {"file_name": "a.mp4", "truth": {"objects": [{"id": 0, **looks}], "frames": frames}}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    (found,) = detector_data.labelled(tmp_path)
    assert found.frames == [[], [{"id": 0, **looks, "visible": 0.31, **shown}]]
    with pytest.raises(DataError, match="too few to train on and keep one apart"):
        detector_data.split([found])


def test_errors_say_what_to_do(tmp_path: Path, trained: tuple[Path, Path]) -> None:
    with pytest.raises(ModelError, match=r"python -m triptych\.evaluate\.detector"):
        detector.load_detector(tmp_path)
    with pytest.raises(DataError, match=r"metadata\.jsonl"):
        detector_data.labelled(tmp_path)
    (tmp_path / "detector.safetensors").write_bytes(b"no")
    (tmp_path / "detector.json").write_bytes((trained[1] / "detector.json").read_bytes())
    with pytest.raises(ModelError, match="train it anew"):
        detector.load_detector(tmp_path)


def test_the_command_reads_its_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "detector.yaml"
    assert "python -m triptych.evaluate.detector recipes/detector.yaml" in recipe.read_text()
    assert detector_training.main([str(recipe), f"data={tmp_path}", f"out={tmp_path}"]) == 1
    assert "metadata.jsonl" in capsys.readouterr().err
    assert detector_training.main([str(recipe), "data=x", "out=y", "step=3"]) == 1
    assert "did you mean 'steps'" in capsys.readouterr().err
    assert detector_training.main([]) == 1


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "triptych.evaluate.detector", f"data={tmp_path}", f"out={tmp_path}", "steps=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "metadata.jsonl" in done.stderr


def test_a_turned_picture_teaches_neither_colour_nor_material(
    tmp_path: Path, trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_training, "recolour", lambda pixels, random: (pixels, torch.arange(len(pixels)) == 0))
    taught = []
    loss_of = detector_training.loss_of

    def spy(maps: dict, heat: torch.Tensor, place: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        taught.append((classes >= 0).flatten(2).any(2).tolist())
        return loss_of(maps, heat, place, classes)

    monkeypatch.setattr(detector_training, "loss_of", spy)
    detector_training.train_detector(
        trained[0], tmp_path, steps=1, batch=3, lr=1e-9, device="cpu", workers=0, progress=False
    )
    assert list(detector.CLASSES) == ["shape", "color", "material", "size"]
    assert taught == [[[True, False, False, True], [True] * 4, [True] * 4]]
