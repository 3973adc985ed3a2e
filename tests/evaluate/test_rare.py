"""What few texts ask for, relations and pairs that training never showed, is measured on more of them."""

from pathlib import Path
from typing import Any

import pytest

from triptych.evaluate import picture_measures, plan_measures
from triptych.evaluate.bench import Bench

from . import small
from .test_suite import SIZE, Cheat

LIMIT = 4


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    folder = small.write(tmp_path / "media", pictures=34, clips=0)
    reader: Any = Cheat(tmp_path, folder)
    judge: Any = small.Judge(folder, SIZE)
    return Bench(reader, folder, limit=LIMIT, detector=judge)


def test_rare_texts_are_others_that_can_be_read(bench: Bench) -> None:
    items = bench.choose(bench.known_pictures)
    common, rare = picture_measures.asks_of(bench, items)
    assert [ask.item for ask in common] == [item for item in items if item in [ask.item for ask in common]]
    assert len(rare) == LIMIT
    assert all(ask.is_rare for ask in rare)
    bench.limit = 100
    (all_common, all_rare), (_, everyone) = (picture_measures.asks_of(bench, some) for some in (items, []))
    assert len(all_rare) == len(everyone) - sum(ask.is_rare for ask in all_common) < len(everyone)
    bench.limit = LIMIT
    bench.seed += 1
    assert [ask.text for ask in picture_measures.asks_of(bench, items)[1]] != [ask.text for ask in rare]
    bench.seed -= 1
    (bench.folder / rare[1].item.record.file).write_bytes(b"no picture")
    assert [ask.text for ask in picture_measures.asks_of(bench, items)[1]] == [ask.text for ask in (rare[0], *rare[2:])]


@pytest.mark.parametrize("measure", ["draw", "plan"])
def test_they_count_for_what_is_rare_alone(bench: Bench, measure: str) -> None:
    common, rare = picture_measures.asks_of(bench, bench.choose(bench.known_pictures))
    related = [ask for ask in common + rare if ask.relations]
    assert len(common) > sum(bool(ask.relations) for ask in common), "a text without relations, which don't count"
    if measure == "plan":
        out = plan_measures.plan(bench)
        assert (out["objects of texts"].n, out["relations of texts"].n) == (len(common), len(related))
        return
    out = picture_measures.draw(bench)
    assert (out["objects"].n, out["scenes"].n, out["relations"].n) == (len(common), len(common), len(related))
    unseen = [ask for ask in common + rare if any(picture_measures.is_withheld(o) for o in ask.objects)]
    assert out["objects, unseen combinations"].n == len(unseen) > sum(ask in common for ask in unseen)
