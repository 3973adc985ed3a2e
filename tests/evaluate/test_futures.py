"""Where objects of predicted clips are: of all of them, and of those that the judge finds in the true frame."""

from types import SimpleNamespace

import numpy as np
import pytest

from triptych.evaluate import clip_measures
from triptych.evaluate.bench import Score, Skip

SIDE = 100
COPY = "copy of the last frame"


def ball(x, color="red"):
    return {"shape": "ball", "color": color, "center": (x, 50.0)}


class Judge:
    """A bench whose films are numbers, by which it knows what it sees in their last frames."""

    size, seed = SIDE, 0

    def __init__(self, seen):
        self.seen = seen

    def detect(self, frames):
        return [self.seen[int(frame)] for frame in frames]

    def score(self, sample, **more):
        return Score(float(np.mean(sample)), len(sample), **more)


def film(number):
    return np.array([0, number])


def items(*truths):
    return [SimpleNamespace(seen_in=lambda place, truth=truth: truth) for truth in truths]


def test_what_the_judge_misses_in_the_true_frame_may_be_left_out():
    truths = [[ball(10), ball(60, "blue")], [ball(20)], []]
    seen = {
        1: [ball(10), ball(62, "blue")],  # true frames; the second ball's is found too far off
        2: [ball(50)],
        3: [],
        4: [ball(14)],  # predicted: the blue one is missed
        5: [ball(20)],
        6: [ball(40), ball(60, "blue")],  # copied
        7: [ball(24)],
    }
    found, true, copied = ([film(n) for n in some] for some in ((4, 5, 3), (1, 2, 3), (6, 7, 3)))
    out = clip_measures._positions(Judge(seen), items(*truths), found, true, {COPY: copied})
    everything, judged = out.values()
    assert list(out) == [
        "position error of objects",
        "position error of objects, where the judge finds them in the true frame",
    ]
    assert everything.value == pytest.approx(((4 + 50) / 2 + 0) / 2)
    assert everything.baselines == {COPY: (30 / 2 + 4) / 2, "true frames": (2 / 2 + 30) / 2}
    assert judged.value == pytest.approx((4 + 50) / 2)  # what the prediction lacks counts
    assert judged.baselines == {COPY: 15, "true frames": 1}
    assert everything.note == "8 frames ahead; -4 (-12 to 4) less than a copy of the last frame, clip by clip"
    assert (everything.n, judged.n) == (2, 1)


def test_a_judge_that_finds_nothing_says_so_of_all_alone():
    out = clip_measures._positions(Judge({1: []}), items([ball(10)]), [film(1)], [film(1)], {COPY: [film(1)]})
    assert {name: score.value for name, score in out.items()} == {"position error of objects": 50}


@pytest.mark.parametrize("truth", [None, []])
def test_without_objects_there_is_nothing_to_measure(truth):
    with pytest.raises(Skip):
        clip_measures._positions(Judge({1: []}), items(truth), [film(1)], [film(1)], {COPY: [film(1)]})
