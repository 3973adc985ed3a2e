"""The head for retrieval: vectors are what the block makes, texts find their media, models carry it and lose it."""

import numpy as np
import pytest
import torch

from tests.train import tiny
from triptych import zoo
from triptych.config import RunConfig, load_settings
from triptych.data.pairs import pairs
from triptych.errors import ConfigError
from triptych.generate.vectors import layer_of, vectors
from triptych.model.mover import Mover
from triptych.model.verifier import Verifier
from triptych.sequence.pack import collate
from triptych.sequence.vocab import Special
from triptych.train.gpt import GPTJob
from triptych.train.loop import Loop
from triptych.train.retrieval import RetrievalJob


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.tokens(tmp_path_factory.mktemp("data"), 36)


@pytest.fixture(scope="module")
def start(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("gpt") / "run"
    tiny.train(tiny.settings(data, out, "steps=2"))
    return out / "model"


def settings(data, out, start, *more):
    base = ["kind=retrieval", f"data={data}", f"out={out}", f"start={start}", "batch=16", "steps=80", "workers=0"]
    base += ["optim.optimizer=adamw", "optim.lr=0.01", "optim.warmup=5", "optim.ema=0", "device=cpu", *more]
    return load_settings(RunConfig, None, base)


@torch.no_grad()
def test_vectors_are_the_mean_of_a_blocks_output(data, tmp_path):
    job = GPTJob(tiny.settings(data, tmp_path / "run", "gpt.depth=3"))
    found = pairs(job.rows, 5, 2, 0)
    gpt = job.gpt.eval()
    for block in gpt.blocks:  # new blocks pass on what they get: none could be told from the next
        block.feed.down.weight.normal_(std=0.1)
    for layer in range(3):
        for rows, visual in ((found.media, True), (found.texts, False)):
            seen = []
            handle = gpt.blocks[layer].register_forward_hook(lambda module, given, out, seen=seen: seen.append(out))
            for row in rows:
                batch = collate([row])
                gpt(batch["ids"], batch["values"], batch["is_visual"], batch["positions"])
            handle.remove()
            own = vectors(gpt, rows, layer, visual=visual)
            for vector, row, output in zip(own, rows, seen, strict=True):
                chosen = output[0, row.ids == Special.VISUAL] if visual else output[0, 1:]
                mean = chosen.mean(0)
                np.testing.assert_allclose(vector, mean / mean.norm(), atol=1e-5)
    assert layer_of(gpt) == 1


def test_pairs_hold_every_medium_once_with_its_own_texts(data, tmp_path):
    job = GPTJob(tiny.settings(data, tmp_path / "run"))
    found = pairs(job.rows, 1000, 4, 0)
    assert len(found.media) == len(job.rows.items["picture"]) + len(job.rows.items["clip"])
    assert found.owner.tolist() == list(range(len(found.media)))  # one text each in this folder
    assert len(set(found.same.tolist())) == len(found.media)  # and all of them different
    some = pairs(job.rows, 3, 4, 0)
    assert len(some.media) == 3


def test_texts_find_their_media_and_the_model_carries_the_head(data, start, tmp_path):
    verifier = Verifier({"en": [300, 301]})
    with_one = zoo.with_verifier(tmp_path / "one", zoo.load(start), verifier, {})
    with_one = zoo.with_namer(tmp_path / "two", zoo.load(with_one), verifier, {})
    with_one = zoo.with_mover(tmp_path / "start", zoo.load(with_one), Mover(4, 8), {})
    config = settings(data, tmp_path / "run", with_one)
    job = RetrievalJob(config)
    before = job.losses(job.batches[0], lambda loss: None)
    scores = Loop(job, config).run()
    after = job.losses(job.batches[0], lambda loss: None)
    assert after["loss"] < 0.5 * before["loss"]
    assert after["first"] > 0.5  # of 16
    assert scores["chance"] == pytest.approx(1 / len(job.tables[1][0].media))
    bundle = zoo.load(tmp_path / "run" / "model")
    assert bundle.retrieval is not None
    assert bundle.verifier is not None
    assert bundle.verifier.words == verifier.words
    assert bundle.namer is not None
    assert bundle.mover is not None
    old = zoo.load(start).gpt.state_dict()
    assert all(torch.equal(value, old[name]) for name, value in bundle.gpt.state_dict().items())
    # A GPT that learns on has other vectors: its old head would point elsewhere.
    tiny.train(tiny.settings(data, tmp_path / "on", f"start={tmp_path / 'run' / 'model'}", "steps=1"))
    on = zoo.load(tmp_path / "on" / "model")
    assert on.retrieval is None
    assert torch.equal(on.mover.tell.bias, bundle.mover.tell.bias)


def test_equal_texts_are_no_contrast_to_each_other(data, start, tmp_path):
    job = RetrievalJob(settings(data, tmp_path / "run", start))
    logits = torch.zeros(3, 3)
    same = torch.tensor([[False, True, False], [True, False, False], [False, False, False]])
    alone = float(job._nats(logits, same))
    assert alone == pytest.approx((np.log(2) * 2 + np.log(3)) / 3)
    found, media, texts = job.tables[0]
    found.same[:2] = 7
    _, marked = job._logits(found, media, texts, torch.tensor([0, 1, 2]))
    assert marked.tolist() == same.tolist()


def test_without_a_model_it_says_what_it_needs(data, tmp_path):
    config = load_settings(RunConfig, None, ["kind=retrieval", f"data={data}", f"out={tmp_path / 'run'}"])
    with pytest.raises(ConfigError, match="start=MODEL"):
        RetrievalJob(config)
