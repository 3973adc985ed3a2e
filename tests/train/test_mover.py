"""The mover: things act on each other in any order, learn to go on, and a model carries the network."""

import numpy as np
import pytest
import torch

from tests.data.test_motions import thing, written
from triptych import zoo
from triptych.config import RunConfig, load_settings
from triptych.errors import ConfigError, DataError, ModelError
from triptych.model.mover import Mover, _between
from triptych.tasks.describe import describe
from triptych.train import gpt
from triptych.train.loop import Loop
from triptych.train.mover import MAPS, MoverJob


def scene(count=3, span=4, seed=0):
    random = torch.Generator().manual_seed(seed)
    boxes = torch.rand(1, count, 4, generator=random)
    shifts = torch.randn(1, count, span, 2, generator=random) * 0.05
    return boxes, shifts, torch.ones(1, count, span), torch.ones(1, count)


@pytest.fixture
def mover():
    torch.manual_seed(0)
    return Mover(4, 8).eval()


def test_things_have_no_order(mover):
    boxes, shifts, known, there = scene()
    turn = [2, 0, 1]
    one, other = mover(boxes, shifts, known, there), mover(boxes[:, turn], shifts[:, turn], known, there)
    assert one.edges.shape == (1, 3, 8, 4)
    assert one.spread.shape == one.stays.shape == (1, 3, 8)
    for before, after in zip(one, other, strict=True):
        assert torch.allclose(before[:, turn], after, atol=1e-5)
    assert (one.spread > 0).all()


def test_what_isnt_there_acts_on_nothing(mover):
    boxes, shifts, known, there = scene()
    there[0, 2] = 0
    with_, without = (
        mover(boxes, shifts, known, there),
        mover(*(value[:, :2] for value in (boxes, shifts, known, there))),
    )
    assert torch.allclose(with_.edges[:, :2], without.edges, atol=1e-5)
    all_ = mover(boxes, shifts, known, torch.ones(1, 3))
    assert not torch.allclose(all_.edges[:, :2], without.edges, atol=1e-4)


def test_what_isnt_known_isnt_read(mover):
    boxes, shifts, known, there = scene()
    known[0, :, 1:] = 0
    other = shifts.clone()
    other[:, :, 1:] += 1
    assert torch.equal(mover(boxes, shifts, known, there).edges, mover(boxes, other, known, there).edges)
    assert not torch.equal(mover(boxes, shifts, known, there).edges, mover(boxes, shifts * 2, known, there).edges)


def test_a_thing_does_not_act_on_itself(mover):
    alone = scene(count=1)
    before = mover(*alone).edges
    for act in mover.acts:
        act[2].bias.data += 1
    assert torch.equal(mover(*alone).edges, before)
    assert not torch.equal(mover(*scene(count=2)).edges[:, :1], before)


def test_pairs_are_seen_by_their_way_speed_and_gap():
    boxes = torch.tensor([[[0.1, 0.1, 0.2, 0.2], [0.3, 0.15, 0.5, 0.3]]])
    between = _between(boxes, torch.tensor([[[0.01, 0.0], [0.0, 0.02]]]))
    assert torch.allclose(between[0, 0, 1], torch.tensor([-1.0, -0.3, 0.08, -0.16, 0.4, -0.2]))
    assert torch.allclose(between[0, 1, 0, :4], -between[0, 0, 1, :4])


def settings(data, out, start, *more):
    base = ["kind=mover", f"data={data}", f"out={out}", f"start={start}", "batch=64", "steps=400", "workers=0"]
    base += ["optim.optimizer=adamw", "optim.lr=0.003", "optim.warmup=5", "optim.ema=0", "device=cpu", *more]
    return load_settings(RunConfig, None, base)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Things that go right at steady speeds, alone or in pairs, and out of the picture."""
    rng = np.random.default_rng(0)
    rows = [
        [thing(rng.uniform(0, 0.8), rng.uniform(0, 0.03), frames=17) for _ in range(1 + number % 2)]
        for number in range(200)
    ]
    return written(tmp_path_factory.mktemp("motions") / "data", rows, fps=8)


@pytest.fixture(scope="module")
def run(data, tiny_model, tmp_path_factory):
    out = tmp_path_factory.mktemp("mover") / "run"
    config = settings(data, out, tiny_model)
    return out / "model", Loop(MoverJob(config), config).run()


def test_it_learns_how_things_go_on(run):
    scores = run[1]
    assert scores["off after 8 frames"] < 0.4 * scores["still after 8 frames"]
    assert scores["off after 4 frames"] < scores["off after 8 frames"]
    assert scores["loss"] == scores["off after 8 frames"]


@torch.no_grad()
def test_it_learns_what_leaves_and_where_it_is_unsure(run):
    mover = zoo.load(run[0]).mover

    def asked(left, step):
        box = torch.tensor([[[left, 0.4, min(left + 0.2, 1.0), 0.6]]])
        shifts = torch.tensor([[[[step * back, 0.0] for back in range(1, 5)]]])
        return mover(box, shifts, torch.ones(1, 1, 4), torch.ones(1, 1))

    inside, leaving = asked(0.3, 0.01), asked(0.95, 0.03)
    assert inside.stays[0, 0, -1] > 0 > leaving.stays[0, 0, -1]
    assert 1e-4 < inside.spread[0, 0, 0] < inside.spread[0, 0, -1] < 0.1


def test_short_motions_are_judged_as_far_as_they_go(tiny_model, tmp_path):
    rng = np.random.default_rng(0)
    rows = [[thing(rng.uniform(0, 0.3), rng.uniform(0, 0.03), frames=9)] for _ in range(60)]
    data = written(tmp_path / "short", rows)
    scores = MoverJob(settings(data, tmp_path / "run", tiny_model)).validate()
    assert set(scores) == {"off after 4 frames", "still after 4 frames", "loss"}
    assert scores["loss"] == scores["off after 4 frames"] > 0


def test_a_mover_of_other_times_is_refused(run, tmp_path):
    bundle = zoo.load(run[0])
    other = zoo.with_mover(tmp_path / "other", bundle, Mover(2, 4), {})
    with pytest.raises(ModelError, match=r"looks at 2 frames.*every 4.*tabletop-mover\.yaml"):
        zoo.load(other)


def test_what_trains_on_keeps_it(run):
    own = zoo.load(run[0]).info
    assert gpt._same_times(own, own)
    assert not gpt._same_times(own, own.model_copy(update={"fps": 4.0}))


def test_a_model_carries_it(run, data, tiny_model, tmp_path):
    bundle = zoo.load(run[0])
    assert bundle.mover is not None
    assert (bundle.mover.span, bundle.mover.ahead, bundle.mover.width) == (4, 4 * MAPS, 56)
    assert bundle.info.made["mover"]["steps"] == 400
    before = zoo.load(tiny_model)
    assert before.mover is None
    assert describe(bundle)["parameters"]["mover"] == sum(p.numel() for p in bundle.mover.parameters())
    assert "mover" not in describe(before)["parameters"]
    saved = zoo.save(tmp_path / "saved", bundle.info, bundle.text, bundle.visual, bundle.gpt, mover=bundle.mover)
    kept = zoo.load(saved).mover
    for name, value in kept.state_dict().items():
        assert torch.equal(value, bundle.mover.state_dict()[name])
    job = MoverJob(settings(data, tmp_path / "on", run[0]))  # goes on from its own
    assert torch.equal(job.model.tell.bias, bundle.mover.tell.bias)
    assert job.describe()["weights"] == f"those of {run[0]}"
    more = written(tmp_path / "more", [[thing(0, 0)]] * 100)
    job = MoverJob(settings(data, tmp_path / "on", run[0], f"more=[{more}]"))
    assert job.describe()["data"] == "285 motions"
    without = zoo.save(tmp_path / "without", bundle.info, bundle.text, bundle.visual, bundle.gpt)
    assert zoo.load(without).mover is None


def test_it_needs_a_model_and_motions(data, tiny_model, tmp_path):
    with pytest.raises(ConfigError, match="start=MODEL"):
        MoverJob(load_settings(RunConfig, None, ["kind=mover", f"data={data}", f"out={tmp_path}"]))
    with pytest.raises(DataError, match="holds no motions"):
        MoverJob(settings(tmp_path, tmp_path / "run", tiny_model))
    slow = written(tmp_path / "slow", [[thing(0, 0)]], fps=4)
    with pytest.raises(DataError, match="4 frames a second"):
        MoverJob(settings(slow, tmp_path / "run", tiny_model))
