"""The loop: exact after kills, honest about damage, other settings and losses that are not finite."""

import json
import multiprocessing
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train import tiny
from triptych import zoo
from triptych.errors import TriptychError
from triptych.tokenizers.visual import VisualTokenizer
from triptych.train import checkpoint
from triptych.train.loop import Loop, _same_run
from triptych.train.start import start


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.tokens(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    tiny.train(tiny.settings(data, out))
    return out


def weights(out):
    return load_file(out / "model" / "gpt.safetensors")


def state(out):
    return load_file(checkpoint.newest(out / "checkpoints") / "state.safetensors")


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def log(out, kind):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if line["kind"] == kind}, [
        x["step"] for x in lines if x["kind"] == kind
    ]


def test_killed_at_random_moments_the_run_ends_bit_identical(data, whole, tmp_path):
    out, dice, kills = tmp_path / "run", random.Random(0), 0
    context = multiprocessing.get_context("fork")

    def lines():
        return (out / "log.jsonl").read_bytes().count(b"\n") if (out / "log.jsonl").exists() else 0

    while True:
        process = context.Process(target=tiny.train, args=(tiny.settings(data, out),))
        before = lines()
        process.start()
        while kills < 4 and process.is_alive():  # wait for some progress, then kill at any moment after it
            if lines() > before + 3:
                time.sleep(dice.uniform(0, 0.1))
                process.kill()
                kills += 1
                break
            time.sleep(0.002)
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert kills >= 2
    assert equal(state(out), state(whole))
    assert equal(weights(out), weights(whole))
    for kind in ("train", "validation"):
        (ours, steps), (theirs, expected) = log(out, kind), log(whole, kind)
        assert steps == expected
        assert [ours[s]["loss"] for s in steps] == [theirs[s]["loss"] for s in steps]


def test_the_log_has_each_step_once_also_after_a_second_call(data, tmp_path):
    config = tiny.settings(data, tmp_path / "run", "steps=6")
    tiny.train(config)
    first = (tmp_path / "run" / "log.jsonl").read_text()
    assert log(tmp_path / "run", "train")[1] == [1, 2, 3, 4, 5, 6]
    assert log(tmp_path / "run", "validation")[1] == [6]
    tiny.train(config)
    assert (tmp_path / "run" / "log.jsonl").read_text() == first


def test_a_run_may_be_lengthened_in_steps(data, whole, tmp_path):
    out = tmp_path / "run"
    constant = "optim.decay=0"  # a rate that falls to the end of a run knows its length
    tiny.train(tiny.settings(data, out, "steps=5", constant))
    tiny.train(tiny.settings(data, out, "steps=9", constant))
    tiny.train(tiny.settings(data, tmp_path / "straight", "steps=9", constant))
    assert equal(state(out), state(tmp_path / "straight"))


def test_workers_change_nothing(data, tmp_path):
    for workers in (0, 1):
        tiny.train(tiny.settings(data, tmp_path / str(workers), "steps=3", f"workers={workers}"))
    assert equal(state(tmp_path / "0"), state(tmp_path / "1"))


def test_a_damaged_newest_checkpoint_is_passed_over(data, whole, tmp_path):
    out = tmp_path / "run"
    tiny.train(tiny.settings(data, out, "keep=3"))
    paths = checkpoint.steps(out / "checkpoints")
    assert [path.name for path in paths] == ["step-00000009", "step-00000012", "step-00000014"]
    for path in paths[1:]:
        file = path / "state.safetensors"
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    assert checkpoint.newest(out / "checkpoints") == paths[0]
    tiny.train(tiny.settings(data, out, "keep=1"))
    assert equal(state(out), state(whole))
    assert [path.name for path in checkpoint.steps(out / "checkpoints")] == ["step-00000014"]


def test_a_new_checkpoint_never_goes_before_a_damaged_newer_one(tmp_path):
    facts, tensors = {"step": 0}, {"a": torch.zeros(3)}
    checkpoint.save(tmp_path, 10, tensors, facts, keep=2)
    checkpoint.save(tmp_path, 20, tensors, facts, keep=2)
    (tmp_path / "step-00000020" / "SHA256.json").write_text("[]")
    assert checkpoint.newest(tmp_path).name == "step-00000010"
    checkpoint.save(tmp_path, 15, tensors, facts, keep=1)
    assert [path.name for path in checkpoint.steps(tmp_path)] == ["step-00000015"]
    (tmp_path / ".step-00000020.part").mkdir()  # left by a kill
    assert checkpoint.newest(tmp_path).name == "step-00000015"


@pytest.mark.parametrize("damage", ["{}", "[]", "1", "{", '{"state.json": "0"}', None])
def test_a_checkpoint_with_damaged_hashes_is_not_whole(tmp_path, damage):
    path = checkpoint.save(tmp_path, 1, {"a": torch.zeros(3)}, {}, keep=1)
    assert checkpoint.whole(path)
    (path / "SHA256.json").unlink() if damage is None else (path / "SHA256.json").write_text(damage)
    assert not checkpoint.whole(path)


def test_other_settings_are_refused_and_change_nothing(data, whole):
    before = (whole / "config.json").read_text()
    with pytest.raises(TriptychError, match="batch was 3 and is now 4"):
        tiny.train(tiny.settings(data, whole, "batch=4"))
    with pytest.raises(TriptychError, match=r"optim\.lr was 0\.002 and is now 0\.5"):
        tiny.train(tiny.settings(data, whole, "optim.lr=0.5"))
    assert (whole / "config.json").read_text() == before


def test_a_run_of_an_older_version_goes_on(data, tmp_path):
    """Its checkpoint lacks a setting that came later: that had its default, and any other value is another run."""
    out = tmp_path / "run"
    tiny.train(tiny.settings(data, out, "steps=3"))
    path = checkpoint.newest(out / "checkpoints")
    facts = json.loads((path / "state.json").read_text())
    del facts["config"]["summary"], facts["config"]["pairs"]
    tensors, _ = checkpoint.load(path)
    checkpoint.save(out / "checkpoints", 3, tensors, facts, keep=1)
    tiny.train(tiny.settings(data, out, "steps=4"))
    with pytest.raises(TriptychError, match=r"summary was 0.0 and is now 1.0"):
        tiny.train(tiny.settings(data, out, "steps=5", "summary=1"))


@pytest.mark.parametrize("kind", ["gpt", "retrieval"])
def test_settings_within_settings_may_have_come_later_too(kind):
    """What a network reads besides is what older ones don't read; other kinds of runs have no GPT of their own."""
    now = tiny.settings(Path("data"), Path("out"), f"kind={kind}", "gpt.timed=false", "more=[b]", "mix={draw: 1}")
    new = now.model_dump(mode="json")
    old = json.loads(json.dumps(new))
    del old["gpt"]["extra"], old["gpt"]["timed"], old["optim"]["decay"], old["more"]
    _same_run(old, new, Path("run/checkpoints/1"))
    changes = {"optim.decay was 0.5 and is now 0.25": ["optim.decay=0.25"], "mix was": ["mix={draw: 1, read: 1}"]}
    only = {"gpt.timed was False and is now True": ["gpt.timed=true"], "gpt.extra was 0 and is now 1": ["gpt.extra=1"]}
    for told, more in (changes | only).items():
        other = tiny.settings(Path("data"), Path("out"), f"kind={kind}", "gpt.timed=false", "mix={draw: 1}", *more)
        if told in only and kind != "gpt":
            _same_run(old, other.model_dump(mode="json"), Path("run/checkpoints/1"))
            continue
        with pytest.raises(TriptychError, match=told):
            _same_run(old, other.model_dump(mode="json"), Path("run/checkpoints/1"))


def test_a_loss_that_is_not_finite_stops_before_the_update(data, tmp_path, monkeypatch):
    config = tiny.settings(data, tmp_path / "run")
    job = tiny.GPTJob(config)
    loop, kept, honest = Loop(job, config), {}, job.losses

    def poisoned(batch, scale):
        if loop.step < 4:
            return honest(batch, scale)
        kept.update({name: value.clone() for name, value in job.model.state_dict().items()})
        return honest(batch, lambda loss: scale(loss * float("nan")))

    monkeypatch.setattr(job, "losses", poisoned)
    with pytest.raises(TriptychError, match="norm nan at step 4; nothing was updated"):
        loop.run()
    assert equal(kept, job.model.state_dict())
    assert checkpoint.newest(tmp_path / "run" / "checkpoints").name == "step-00000003"


def test_the_average_is_validated_and_exported(data, tmp_path):
    tiny.train(tiny.settings(data, tmp_path / "run", "steps=4", "optim.ema=0.5"))
    tensors = state(tmp_path / "run")
    assert not torch.equal(tensors["model.gpt.text.weight"], tensors["average.gpt.text.weight"])
    assert torch.equal(weights(tmp_path / "run")["text.weight"], tensors["average.gpt.text.weight"].bfloat16())


def test_fine_tuning_starts_from_a_model_and_trains_on(data, whole, tmp_path):
    config = tiny.settings(data, tmp_path / "run", f"start={whole / 'model'}", "steps=3", "gpt.depth=5")
    job = tiny.GPTJob(config)
    assert job.config.depth == 1  # the model's own size
    start = zoo.load(whole / "model")
    assert equal(job.gpt.state_dict(), start.gpt.state_dict())
    Loop(job, config).run()
    assert not equal(weights(tmp_path / "run"), weights(whole))
    assert zoo.load(tmp_path / "run" / "model").text.encode("picture 1") == start.text.encode("picture 1")


def test_fine_tuning_on_codes_of_another_tokenizer_is_refused_unless_asked_for(whole, tmp_path):
    (tmp_path / "data").mkdir()
    other = tiny.tokens(tmp_path / "data")
    bundle = zoo.load(other / "tokenizers")
    for parameter in bundle.visual.parameters():
        parameter.data.add_(0.1)
    zoo.save(other / "tokenizers", bundle.info, bundle.text, bundle.visual)
    with pytest.raises(TriptychError, match="another visual tokenizer"):
        tiny.GPTJob(tiny.settings(other, tmp_path / "run", f"start={whole / 'model'}"))
    config = tiny.settings(other, tmp_path / "run", f"start={whole / 'model'}", "new_codes=true", "steps=2")
    assert equal(tiny.GPTJob(config).gpt.state_dict(), zoo.load(whole / "model").gpt.state_dict())
    tiny.train(config)
    trained, there = (zoo.load(path).visual for path in (tmp_path / "run" / "model", other / "tokenizers"))
    assert equal(trained.half().state_dict(), there.half().state_dict())
    levels = bundle.info.visual.model_copy(update={"levels": (5, 5, 5)})
    visual = VisualTokenizer(levels)
    zoo.save(other / "tokenizers", bundle.info.model_copy(update={"visual": levels}), bundle.text, visual)
    with pytest.raises(TriptychError, match=r"codes of levels \(5, 5, 5\)"):
        tiny.GPTJob(config)


def test_attention_is_not_planned_for_each_shape(tmp_path):
    """Rows come in many shapes, and cuDNN plans each anew: training leaves it out, whatever is trained."""
    torch.backends.cuda.enable_cudnn_sdp(True)
    start(tiny.settings(tiny.tokens(tmp_path, 40), tmp_path / "run"), dry_run=True)
    assert not torch.backends.cuda.cudnn_sdp_enabled()
