import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from triptych.errors import DataError, ModelError
from triptych.evaluate import degrade, detector, detector_data, detector_training
from triptych.files import read_jsonl
from triptych.media import image

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
    assert facts["held-out"]["pictures"]["pictures"] == 2
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
