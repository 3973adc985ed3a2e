"""What tests of several tasks share."""

import numpy as np
import pytest

import triptych


@pytest.fixture(scope="module")
def plain(tiny_model, engine):
    """The tiny model, on each path of the engine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIPTYCH_ENGINE", engine)
        return triptych.load(tiny_model, "cpu")


@pytest.fixture(scope="module")
def noise():
    """A picture of 64x64 pixels."""
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
