"""The weights of the feature network are the ones that are known, or none; no pickle is ever run for them."""

import pickle
from pathlib import Path

import pytest
import torch

import triptych
from triptych.errors import TriptychError
from triptych.train import features


def test_a_file_that_is_not_the_known_one_is_never_read(tmp_path, monkeypatch):
    other = tmp_path / "mobilenet_v2.pth"
    torch.save(features.MobileNetV2().state_dict(), other, _use_new_zipfile_serialization=False)
    monkeypatch.setattr(features, "weights_file", lambda: other)
    monkeypatch.setattr(features, "_tensors", lambda data: pytest.fail("it was read"))
    with pytest.raises(TriptychError, match="is not the file"):
        features.load_features()


def test_the_tensors_are_those_that_torch_wrote(tmp_path):
    torch.manual_seed(0)
    network = features.MobileNetV2()
    for number, buffer in enumerate(network.buffers()):
        buffer.fill_(number)  # counters too: each is told from all others
    torch.save(network.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    found = features._tensors((tmp_path / "old.pth").read_bytes())
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(found[name], value.flatten()) for name, value in network.state_dict().items())


def test_a_pickle_that_would_act_does_nothing(tmp_path):
    mark = tmp_path / "acted"

    class Acts:
        def __reduce__(self):
            return Path.touch, (mark,)

    data = pickle.dumps(Acts(), 2) * 4 + pickle.dumps([], 2)
    assert features._tensors(data) == {}
    assert not mark.exists()
    pickle.loads(data)  # it would have
    assert mark.exists()


def test_nothing_of_ours_unpickles():
    for file in Path(triptych.__file__).parent.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not any(
            word in text for word in ("torch.load(", "import pickle\n", "pickle.load", "allow_pickle=True")
        ), file
