"""Timelines: what they hold, and the files they are written as."""

import csv
import json
import re

import numpy as np
import pytest

from triptych.clip_results import Moment, Segment, Timeline
from triptych.errors import ConfigError
from triptych.media import image, video
from triptych.timeline_files import stamp


@pytest.fixture
def line(tmp_path):
    video.write(tmp_path / "a <b>.mp4", np.zeros((9, 32, 32, 3), np.uint8))
    key = image.thumbnail(np.full((32, 48, 3), 90, np.uint8))
    return Timeline(
        str(tmp_path / "a <b>.mp4"),
        (
            Segment(0, 0.0, 2.0, "a --> <b>", (Moment(0.5, "a --> <b>"),), 1.5, False, key),
            Segment(0, 2.0, 3.5, "=SUM(1)", (), 2.0, False, key),
            Segment(1, 3.625, 61.25, "c", (Moment(61.0, "c\nd"),), 6.5, True),
        ),
        "en",
        "tiny",
        3.0,
    )


def test_its_parts(line):
    assert str(line) == "0:00.5  a --> <b>\n1:01.0  c\nd"
    assert "a --&gt; &lt;b&gt;" in line._repr_html_()
    assert line.shots == [(0.0, 3.625), (3.625, 61.25)]
    assert line.duration == 61.25
    told = json.loads(line.to_json())
    assert told["events"][1] == {"start": 61.0, "text": "c\nd"}
    assert told["segments"][2]["unlike"]
    assert "1 of 3 parts of this clip, first at 0:03.6" in line.warning
    assert "(6.5 bits a code, at most 3.0 are usual)" in line.warning
    assert Timeline("a", line.segments[:2]).warning == ""


def test_csv(line, tmp_path):
    rows = list(csv.DictReader(line.save(tmp_path / "a.csv").read_text("utf-8").splitlines()))
    assert [row["caption"] for row in rows] == ["a --> <b>", "'=SUM(1)", "c"]
    assert rows[2]["events"] == "61 c d"
    assert [float(row["end"]) for row in rows] == [2, 3.5, 61.25]


def test_vtt(line, tmp_path):
    text = line.save(tmp_path / "a.vtt").read_text("utf-8")
    assert text.startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:02.000\na --&gt; &lt;b&gt;\n\n2\n")
    assert "00:00:03.625 --> 00:01:01.250\nc d\n" in text
    assert stamp(3600) == "01:00:00.000"


def test_the_page_needs_nothing_else(line, tmp_path):
    text = line.save(tmp_path / "a.html").read_text("utf-8")
    assert "<b>.mp4" not in text
    assert "<bdi>a --&gt; &lt;b&gt;</bdi>" in text
    assert text.count('class="piece') == text.count("<article") == 3
    assert 'src="data:video/mp4;base64,' in text
    assert text.count("data:image/jpeg") == 2
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "unlike the training data" in text
    assert "$" not in re.sub(r"<script>.*</script>", "", text, flags=re.S)


def test_a_large_clip_is_linked_from_where_the_page_lies(line, tmp_path, monkeypatch):
    from triptych import timeline_files

    monkeypatch.setattr(timeline_files, "EMBEDDED", 10)
    text = line.save(tmp_path / "pages" / "a.html").read_text("utf-8")
    assert 'src="../a &lt;b&gt;.mp4"' in text
    gone = Timeline("gone.mp4", line.segments)
    assert "<video" not in gone.save(tmp_path / "b.html").read_text("utf-8")


def test_other_suffixes_are_refused(line, tmp_path):
    with pytest.raises(ConfigError, match=r"written as \.json, \.csv, \.vtt, \.html"):
        line.save(tmp_path / "a.txt")
