"""What the tasks ask is, position for position, what training has shown."""

import numpy as np
import pytest

import triptych
from triptych.data.loader import Rows
from triptych.data.records import Box, Question, Record, Text
from triptych.data.shards import Shards, ShardWriter
from triptych.generate.engine import Output
from triptych.sequence.plan import parse
from triptych.sequence.vocab import Special
from triptych.tasks import ask, canvas, caption, film, planning


@pytest.fixture(scope="module")
def model(tiny_model):
    return triptych.load(tiny_model, "cpu")._model


@pytest.fixture(scope="module")
def media():
    random = np.random.default_rng(0)
    return {
        "picture": random.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8),
        "clip": random.integers(0, 256, (17, 64, 64, 3), dtype=np.uint8),
    }


@pytest.fixture(scope="module")
def rows(model, media, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    writer = ShardWriter()
    for kind, frames in media.items():
        maps = model.look([frames])[0]
        record = Record(
            file=f"a.{kind}",
            kind=kind,
            texts=[Text(text="一个红色的球", lang="zh")],
            qa=[Question(question="How many?", answer="3", lang="en")],
            objects=[Box(texts=[Text(text="红色的球", lang="zh")], box=(16, 0, 48, 64))] if kind == "picture" else [],
            width=64,
            height=64,
        )
        codes, latents = np.stack([m.codes for m in maps]), np.stack([m.latents for m in maps])
        writer.add(record, codes, latents, held=False)
    writer.write(folder / "00000.safetensors")
    shards = Shards(folder, model.grid.cpu().numpy())
    return Rows(shards, model.bundle.text, model.gpt.config, fps=8.0, span=4, drop=0.0)


def same_start(asked, learned):
    """Whether a prompt is how a training row begins; latents are stored with 1/127 of precision."""
    count = len(asked)
    np.testing.assert_array_equal(asked.ids, learned.ids[:count])
    np.testing.assert_array_equal(asked.positions, learned.positions[:count])
    np.testing.assert_allclose(asked.values, learned.values[:count], atol=1 / 127)
    assert count < len(learned)


def test_draw(model, rows):
    same_start(canvas._prompt(model, "一个红色的球", ()), rows.spell("draw", 0, np.random.default_rng(0)))


def test_plan(model, rows):
    same_start(planning.prompt(model, "一个红色的球", ()), rows.spell("plan", 0, np.random.default_rng(0)))


def test_what_is_drawn_by_a_plan(model, rows):
    """Beside each place of a drawing comes what the engine will lay there."""
    learned = rows.spell("lay", 0, np.random.default_rng(0))
    prompt = canvas._prompt(model, "一个红色的球", ())
    same_start(prompt, learned)
    things = planning.beside(model, parse("红色的球 25 0 75 100"), (4, 4), (slice(0, 4), slice(0, 4)))
    laid = prompt.by([things], 2).plans[0]
    codes = slice(len(prompt), len(prompt) + len(laid))
    np.testing.assert_array_equal(learned.values[codes, -laid.shape[1] :][:-1], laid[1:])
    assert laid[1:].any()


@pytest.mark.parametrize("spelling", ["film", "predict"])
def test_film(model, rows, media, spelling):
    learned = [rows.spell(spelling, 0, np.random.default_rng(seed)) for seed in range(30)]
    first = model.read([media["clip"][0]])[0] if spelling == "predict" else None
    prompt = film._prompt(model, "一个红色的球" if spelling == "film" else "", first)
    if spelling == "predict":  # of the rows from which so much is given
        learned = [row for row in learned if row.ids[len(prompt) - 1] == Special.DRAW]
        assert learned
        return np.testing.assert_array_equal(prompt.ids, learned[0].ids[: len(prompt)])
    same_start(prompt, learned[0])
    ids = [i for step in film._steps(model, 0)[:1] for i in step.ids]
    assert learned[0].ids[len(prompt) : len(prompt) + len(ids)].tolist() == ids


@pytest.mark.parametrize(("spelling", "kind"), [("read", "picture"), ("watch", "clip")])
def test_caption_and_ask(model, rows, media, spelling, kind, monkeypatch):
    prompts = []

    def generate(rows, plan, sampling, together=1):
        told = kind == "clip" and int(Special.ASK) not in rows[0].ids.tolist()
        assert together == (model.framings if told else 1)
        prompts.append(rows[0])
        return [Output(texts=[[]])] * len(rows)

    monkeypatch.setattr(model.engine, "generate", generate)
    frames = media[kind] if kind == "clip" else media[kind][0]
    caption.caption(model, [frames], language="zh")
    ask.ask(model, [(frames, "How many?")])
    # Training shuffles what follows a medium: take rows in which each stands first.
    learned = [rows.spell(spelling, 0, np.random.default_rng(seed)) for seed in range(16)]
    if kind == "picture":
        prompts.append(planning.reading(model, model.read([frames])[0], "zh"))
    asked = (Special.CAPTION, Special.ASK, Special.PLAN)
    for prompt, first in zip(prompts, asked[: len(prompts)], strict=True):
        place = int(np.flatnonzero(prompt.ids == first)[0])
        same_start(prompt, next(row for row in learned if row.ids[place] == first))
