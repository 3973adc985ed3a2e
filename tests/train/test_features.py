"""The weights of the feature network are the ones that are known, or none."""

import pytest
import torch

from triptych.errors import TriptychError
from triptych.train import features


def test_a_file_that_is_not_the_known_one_is_never_unpickled(tmp_path, monkeypatch):
    other = tmp_path / "mobilenet_v2.pth"
    torch.save(features.MobileNetV2().state_dict(), other)
    monkeypatch.setattr(features, "weights_file", lambda: other)
    monkeypatch.setattr(features.torch, "load", lambda *args, **kwargs: pytest.fail("it was read"))
    with pytest.raises(TriptychError, match="is not the file"):
        features.load_features()
