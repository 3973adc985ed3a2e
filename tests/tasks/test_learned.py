"""What a model hasn't learned it refuses, instead of making noise of it."""

import numpy as np
import pytest

import triptych
from triptych.tasks.common import Model

CLIP = np.zeros((9, 64, 64, 3), np.uint8)
NEEDS = {
    "edit": lambda model: model.edit(CLIP[0], "make it green"),
    "view": lambda model: model.draw("a ball", images=[CLIP[0]]),
    "predict": lambda model: model.predict(CLIP, seconds=0.5),
    "film": lambda model: model.film("a ball rolls", frames=5),
}


@pytest.fixture
def knows(plain, monkeypatch):
    def of(*spellings):
        monkeypatch.setitem(plain._model.bundle.info.made, "spellings", list(spellings))
        return plain

    return of


@pytest.mark.parametrize("spelling", NEEDS)
def test_what_was_not_learned_is_refused_with_what_teaches_it(knows, spelling):
    model = knows(*(other for other in NEEDS if other != spelling), "draw")
    with pytest.raises(triptych.ModelError, match=rf"has not learned .*: train it on .* with `{spelling}` in its mix"):
        NEEDS[spelling](model)


@pytest.mark.parametrize("spelling", NEEDS)
def test_what_was_learned_is_done(knows, spelling):
    assert NEEDS[spelling](knows(spelling))


def test_a_film_that_goes_on_from_something_is_a_prediction(knows):
    assert knows("predict").film("a ball rolls", start=CLIP[0], frames=5)
    with pytest.raises(triptych.ModelError, match="`predict` in its mix"):
        knows("film").film("a ball rolls", start=CLIP[0], frames=5)


def test_a_model_from_before_that_was_kept_is_let_through(plain):
    assert isinstance(plain._model, Model)
    assert "spellings" not in plain._model.bundle.info.made
    assert NEEDS["film"](plain)
