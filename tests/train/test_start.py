"""Weights that learned with or without what stands beside a place, what is planned there, and its row and column, serve
a network that reads other parts."""

import itertools
import operator

import numpy as np
import pytest
import torch

from tests.data.test_shards import fill
from tests.train import tiny
from triptych import zoo
from triptych.config import LAID, PLACES, READ, SEEN, TICK, TICKS, GPTConfig
from triptych.data.records import Box, Place, Record, Text
from triptych.errors import ConfigError, DataError
from triptych.model.gpt import GPT, seen
from triptych.train.gpt import GPTJob
from triptych.train.growth import fitted

CHOICES = list(itertools.product((False, True), repeat=len(READ)))
MORE = [(few, many) for few, many in itertools.permutations(CHOICES, 2) if all(map(operator.le, few, many))]
WIDTH = 4 * (SEEN * 2 + LAID)


def network(*read: bool) -> GPT:
    torch.manual_seed(CHOICES.index(read))
    config = GPTConfig(depth=2, vocabulary=40, codes=12, latent=2, **dict(zip(READ, read, strict=True)))
    return GPT(config).eval().requires_grad_(False)


def states(gpt: GPT, values: torch.Tensor) -> torch.Tensor:
    visual = torch.tensor([[False, True, True]])
    return gpt(torch.ones(1, 3, dtype=torch.long), values, visual, torch.arange(9).view(1, 3, 3))


@pytest.mark.parametrize(("few", "many"), MORE)
def test_what_was_not_read_weighs_nothing_at_first(few, many):
    plain, wide = network(*few), network(*many)
    wide.load_state_dict(fitted(plain, wide))
    values, codes = torch.randn(1, 3, WIDTH), torch.zeros(3, 4, dtype=torch.long)
    torch.testing.assert_close(states(wide, values), states(plain, values))
    given = states(plain, values)[0]
    torch.testing.assert_close(wide.code_logits(given, codes), plain.code_logits(given, codes))


@pytest.mark.parametrize("placed", [False, True])
@pytest.mark.parametrize(("left", "where"), [("beside", slice(8, 24)), ("planned", slice(24, None))])
def test_what_is_not_read_any_more_is_left_out(left, where, placed):
    wide, plain = (network(beside, placed, planned, False)
                   for beside, planned in ((True, True), (left != "beside", left != "planned")))  # fmt: skip
    plain.load_state_dict(fitted(wide, plain))
    values = torch.randn(1, 3, WIDTH)
    assert not torch.allclose(states(plain, values), states(wide, values))
    values[..., where] = 0
    torch.testing.assert_close(states(plain, values), states(wide, values))


@pytest.mark.parametrize(("had", "has"), [(2, 3), (2, 5), (3, 4), (5, 7)])
def test_layers_that_are_added_change_nothing_until_they_have_learned(had, has):
    torch.manual_seed(had)
    sizes = {"vocabulary": 40, "codes": 12, "latent": 2}
    start = GPT(GPTConfig(depth=2, extra=had - 2, **sizes)).eval().requires_grad_(False)
    for weight in start.parameters():
        weight.normal_(std=0.1)
    grown = GPT(GPTConfig(depth=2, extra=has - 2, **sizes)).eval()
    grown.load_state_dict(fitted(start, grown))
    values = torch.randn(1, 3, WIDTH)
    torch.testing.assert_close(states(grown, values), states(start, values))
    new = [block for block in grown.blocks if not block.attention.out.weight.any()]
    assert len(new) == has - had
    assert all(block.attention.qkv.weight.any() and not block.feed.down.weight.any() for block in new)
    assert grown.blocks[0].attention.out.weight.any()  # a new one has one beneath it
    assert [torch.equal(a.feed.up.weight, b.feed.up.weight) for a, b in itertools.pairwise(grown.blocks)].count(
        True
    ) == len(new)
    states(grown, values).sum().backward()
    assert all(block.attention.out.weight.grad.any() and block.feed.down.weight.grad.any() for block in new)
    with pytest.raises(ValueError, match=f"{has} layers don't fit into {had}"):
        fitted(grown, start)


def test_a_trained_gpt_grows_by_layers_and_keeps_them(tmp_path):
    data = tiny.tokens(tmp_path)
    first = GPTJob(tiny.settings(data, tmp_path / "first"))
    first.export(tmp_path / "model", {})
    grown = GPTJob(tiny.settings(data, tmp_path / "run", f"start={tmp_path / 'model'}", "gpt.extra=2"))
    assert (first.gpt.config.width, first.gpt.config.layers) == (64, 1)
    assert (grown.gpt.config.width, len(grown.gpt.blocks)) == (64, 3)
    assert "depth 3 (2 of them new)" in grown.describe()["network"]
    grown.export(tmp_path / "larger", {})
    after = GPTJob(tiny.settings(data, tmp_path / "run", f"start={tmp_path / 'larger'}"))
    assert len(after.gpt.blocks) == 3
    assert "new" not in after.describe()["network"]
    assert after.validate() == grown.validate()


def reader(**read: bool):
    """What a network reads besides the values of a place, from its position (time, row, column)."""
    config = GPTConfig(depth=2, codes=12, latent=2, **dict.fromkeys(READ, False) | read)
    return lambda *position: seen(config, torch.zeros(1, 1, WIDTH), torch.tensor([[position]]))[0, 0, 8:].tolist()


def test_a_place_is_told_by_row_and_column():
    """Of far ones the last stands for all; time tells nothing."""
    read = reader(placed=True)
    assert np.flatnonzero(read(1, 2, 3)).tolist() == [2, PLACES + 3]
    assert read(1, 2, 3) == read(9, 2, 3)
    assert np.flatnonzero(read(1, 99, 31)).tolist() == [31, PLACES + 31]
    assert len(read(1, 2, 3)) == 2 * PLACES


def test_a_map_is_told_by_how_far_into_the_sequence_it_stands():
    """Of far ones the last stands for all; rows and columns tell nothing."""
    read = reader(timed=True)
    assert [np.flatnonzero(read(time, 2, 3)).tolist() for time in (0, TICK - 1, TICK, 9 * TICK)] == [[0], [0], [1], [9]]
    assert read(10**6, 2, 3) == read(TICK * TICKS, 0, 0) == [0] * (TICKS - 1) + [1]
    both = reader(placed=True, timed=True)
    assert np.flatnonzero(both(TICK, 2, 3)).tolist() == [2, PLACES + 3, 2 * PLACES + 1]


def planner(folder, out, *more):
    """A job on pictures of which it is known what stands where, and one edit among them."""
    data = tiny.tokens(folder)
    box = Box(texts=[Text(text="picture 3", lang="en")], box=(0, 0, 16, 16))
    known = {"kind": "picture", "width": 32, "height": 32, "objects": [box]}
    steps = [Record(file=f"e{i}.png", sequence=Place(id="e", index=i), **known) for i in (0, 1)]
    steps[1].instruction = [Text(text="picture 9")]
    fill(data / "shards" / "00000.safetensors", [(record, False) for record in steps])
    return GPTJob(tiny.settings(data, out, *more))


def test_a_model_tells_what_it_has_learned_to_plan_and_keeps_it(tmp_path):
    job = planner(tmp_path / "one", tmp_path / "run", "mix={lay: 1, plan: 1, foresee: 1, edit: 1}")
    told = {"planned": ["edit"], "plan languages": ["en"], "plan ids": sorted(set(job.rows.encode("picture 3")))}
    assert job._plans() == told
    assert "boxed" not in job._data()["data"]
    assert "2 pictures, 1 edits (2 with boxes)" in job.describe()["data"]
    job.export(tmp_path / "model", {})
    later = planner(
        tmp_path / "two", tmp_path / "later", "mix={read: 1}", f"start={tmp_path / 'model'}", "new_codes=true"
    )
    assert later._plans() == told  # what this run doesn't teach, the weights still know
    assert planner(tmp_path / "three", tmp_path / "none", "mix={plan: 1}")._plans() == {}  # nothing to draw by one
    for spelling in ("things", "read"):
        reads = planner(tmp_path / spelling, tmp_path / "none", f"mix={{lay: 1, plan: 1, {spelling}: 1}}")
        assert reads._plans()["planned"] == ["things"]


def test_clips_whose_things_are_known_teach_to_follow_them(tmp_path):
    data = tiny.tokens(tmp_path / "data")
    boxes = [Box(texts=[Text(text="picture 3", lang="en")], box=(0, 0, 16, 16), time=time) for time in (0.0, 0.5, 1.0)]
    clip = Record(file="c.mp4", kind="clip", width=32, height=32, duration=2.0, objects=boxes)
    fill(data / "shards" / "00000.safetensors", [(clip, False)])
    job = GPTJob(tiny.settings(data, tmp_path / "run", "mix={track: 1, predict: 1}"))
    told = job._plans()
    assert (told["planned"], told["plan languages"]) == (["track"], ["en"])
    assert set(job.rows.encode("picture 3")) == set(told["plan ids"])
    job.export(tmp_path / "model", {})
    more = (f"start={tmp_path / 'model'}", "new_codes=true")
    both = planner(tmp_path / "two", tmp_path / "later", "mix={lay: 1, plan: 1, things: 1}", *more)._plans()
    assert both["planned"] == ["track", "things"]  # it still knows the one
    assert GPTJob(tiny.settings(data, tmp_path / "run", "mix={track: 1}"))._plans() == {}


def test_a_gpt_learns_on_data_that_was_cut_before_its_decoder_was_trained_on(tmp_path):
    data = tiny.tokens(tmp_path / "data")
    job = GPTJob(tiny.settings(data, tmp_path / "run"))
    job.export(tmp_path / "model", {})
    model = zoo.load(tmp_path / "model")
    with torch.no_grad():
        model.visual.from_latent.weight.add_(0.5)
    zoo.with_decoder(tmp_path / "better", model, model.visual, {"steps": 1})
    later = GPTJob(tiny.settings(data, tmp_path / "run", f"start={tmp_path / 'better'}"))
    assert torch.equal(later.parts.visual.from_latent.weight, zoo.load(tmp_path / "better").visual.from_latent.weight)
    assert "better" in later.describe()["decoder"]
    assert "decoder" not in GPTJob(tiny.settings(data, tmp_path / "run", f"start={tmp_path / 'model'}")).describe()
    with torch.no_grad():
        model.visual.to_latent.weight.add_(0.5)
    zoo.with_decoder(tmp_path / "other", model, model.visual, {})
    with pytest.raises(DataError, match="another visual tokenizer"):
        GPTJob(tiny.settings(data, tmp_path / "run", f"start={tmp_path / 'other'}"))


def test_a_model_from_before_plans_learns_to_read_them(tmp_path):
    plain = planner(tmp_path / "one", tmp_path / "run", "mix={lay: 1}", "gpt.planned=false")
    plain.export(tmp_path / "model", {})
    more = ("mix={lay: 1}", f"start={tmp_path / 'model'}", "new_codes=true")
    grown = planner(tmp_path / "two", tmp_path / "later", *more)
    assert (plain.gpt.config.planned, grown.gpt.config.planned) == (False, True)


def test_new_codes_belong_to_a_model_that_is_trained_on(tmp_path):
    with pytest.raises(ConfigError, match="give start=MODEL, or leave it out"):
        GPTJob(tiny.settings(tiny.tokens(tmp_path), tmp_path / "run", "new_codes=true"))


def test_what_is_exported_may_lie_between_what_a_run_began_with_and_what_it_learned(tmp_path):
    data = tiny.tokens(tmp_path)
    GPTJob(tiny.settings(data, tmp_path / "first")).export(tmp_path / "model", {})
    more = (f"start={tmp_path / 'model'}", "gpt.extra=1", "steps=6", "optim.ema=0")
    tiny.train(tiny.settings(data, tmp_path / "run", *more))
    learned = zoo.load(tmp_path / "run" / "model")
    tiny.train(tiny.settings(data, tmp_path / "run", *more, "blend=0.25"))  # it has ended: it exports anew
    blended = zoo.load(tmp_path / "run" / "model")
    began = fitted(zoo.load(tmp_path / "model").gpt, learned.gpt)
    moved = 0.0
    for name, value in blended.gpt.state_dict().items():
        between = began[name] + 0.25 * (learned.gpt.state_dict()[name] - began[name])
        torch.testing.assert_close(value, between, rtol=1e-2, atol=1e-3)
        moved = max(moved, float((value - began[name]).abs().max()))
    assert moved > 3e-3
    assert blended.info.bits != learned.info.bits  # what is told of it is measured on it
    job = GPTJob(tiny.settings(data, tmp_path / "other", *more, "blend=0.25"))
    torch.nn.init.normal_(job.gpt.text.weight)
    before = job.gpt.text.weight.clone()
    job.validate()
    assert torch.equal(job.gpt.text.weight, before)  # training goes on from what it learned


@pytest.mark.parametrize("more", [(), ("start=tabletop", "new_codes=true")])
def test_a_blend_needs_a_beginning_with_the_same_codes(more, tmp_path):
    with pytest.raises(ConfigError, match=r"blend=0.5 mixes in .* give start=MODEL, and no new_codes"):
        GPTJob(tiny.settings(tmp_path, tmp_path / "run", "blend=0.5", *more))


def test_what_a_run_does_not_teach_keeps_the_bits_by_which_it_is_known(tmp_path):
    """`draw --decode parallel` asks for those of `shuffle`; on other codes they would tell nothing."""
    data = tiny.tokens(tmp_path)
    job = GPTJob(tiny.settings(data, tmp_path / "first"))
    job.bits = {"shuffle bits/code": 1.5, "draw bits/code": 2.0}
    job.export(tmp_path / "model", {})
    for more, known in (([], {"shuffle bits/code": 1.5}), (["new_codes=true"], {})):
        later = GPTJob(tiny.settings(data, tmp_path / "run", f"start={tmp_path / 'model'}", *more))
        later.bits = {"draw bits/code": 1.0}
        later.export(tmp_path / "later", {})
        assert zoo.load(tmp_path / "later").info.bits == {**known, "draw bits/code": 1.0}


def test_a_model_tells_what_it_has_learned(tmp_path):
    """By what tasks refuse what it hasn't; a model from before that was told keeps silent, since it can't be known."""
    data = tiny.tokens(tmp_path)
    GPTJob(tiny.settings(data, tmp_path / "run", "mix={draw: 1, read: 1, film: 0}")).export(tmp_path / "first", {})
    assert zoo.load(tmp_path / "first").info.made["spellings"] == ["draw", "read"]
    more = ("mix={shuffle: 1, draw: 1}", f"start={tmp_path / 'first'}")
    for codes, known in (([], ["draw", "read", "shuffle"]), (["new_codes=true"], ["draw", "shuffle"])):
        GPTJob(tiny.settings(data, tmp_path / "run", *more, *codes)).export(tmp_path / "later", {})
        assert zoo.load(tmp_path / "later").info.made["spellings"] == known
    old = zoo.load(tmp_path / "first")
    del old.info.made["spellings"]
    zoo.save(tmp_path / "old", old.info, old.text, old.visual, old.gpt)
    job = GPTJob(tiny.settings(data, tmp_path / "run", "mix={shuffle: 1}", f"start={tmp_path / 'old'}"))
    assert "spellings" not in job._data()


def test_a_model_that_learns_on_tells_what_it_went_through(tmp_path):
    data = tiny.tokens(tmp_path)
    first = GPTJob(tiny.settings(data, tmp_path / "run"))
    assert first.past == {}
    first.past = {"namer": {"steps": 9}}
    first.export(tmp_path / "first", {"steps": 7, "torch": "2", "recipe": {"batch": 3}})
    assert "before" not in zoo.load(tmp_path / "first").info.made
    for number, steps in (("second", 5), ("third", 6)):
        start = tmp_path / ("first" if number == "second" else "second")
        GPTJob(tiny.settings(data, tmp_path / "run", f"start={start}")).export(tmp_path / number, {"steps": steps})
    made = zoo.load(tmp_path / "third").info.made
    assert (made["steps"], made["namer"]) == (6, {"steps": 9})
    assert made["before"]["steps"] == 5
    before = made["before"]["before"]
    assert (before["steps"], before["recipe"]) == (7, {"batch": 3})
    assert set(before) == {"steps", "recipe", "data"}


def test_another_visual_tokenizer_has_another_past(tmp_path):
    data = tiny.tokens(tmp_path / "data")
    first = GPTJob(tiny.settings(data, tmp_path / "run"))
    first.past = {"tokenizer": {"steps": 8}, "decoder": {"steps": 7}, "namer": {"steps": 9}}
    first.export(tmp_path / "first", {})
    other = tiny.tokens(tmp_path / "other")
    model = zoo.load(other / "tokenizers")
    with torch.no_grad():
        for parameter in model.visual.parameters():
            parameter.add_(0.01)
    zoo.save(other / "tokenizers", model.info, model.text, model.visual)
    kept = GPTJob(tiny.settings(data, tmp_path / "run", f"start={tmp_path / 'first'}"))
    assert set(kept.past) == {"tokenizer", "decoder", "namer", "before"}
    new = GPTJob(tiny.settings(other, tmp_path / "run", f"start={tmp_path / 'first'}", "new_codes=true"))
    assert set(new.past) == {"namer", "before"}
