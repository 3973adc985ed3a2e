"""The verifier and the namer: boxes are cut out where they lie, pixels tell words, models carry them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import triptych
from tests.train import tiny
from triptych import zoo
from triptych.config import RunConfig, load_settings
from triptych.data.frames import is_held
from triptych.data.prepare import Prepared
from triptych.data.records import Box, Record, Text
from triptych.data.settings import PrepareConfig
from triptych.data.things import ThingBatches, word_ids
from triptych.errors import ConfigError, DataError, ModelError
from triptych.media import video
from triptych.model.verifier import ROOM, SIDE, Verifier, cut_out, misfit
from triptych.sequence.plan import Thing, write
from triptych.tasks import canvas, planning, verifying
from triptych.tasks.describe import describe
from triptych.train import verifier as verifier_training
from triptych.train.gpt import GPTJob
from triptych.train.loop import Loop
from triptych.train.verifier import VerifierJob

COLOURS = {"red": (255, 150, 150), "blue": (20, 20, 160), "green": (60, 235, 60)}  # none as grey as the floor


def prepared(root: Path, count: int = 90, objects: bool = True) -> Path:
    """Pictures of 64x64, each with two squares whose boxes are known; every third has no Chinese words."""
    rng, records = np.random.default_rng(0), []
    (root / "media").mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(90, 130, (64, 64, 3)).astype(np.uint8)
        boxes = []
        for half in (0, 32):
            name, side = list(COLOURS)[int(rng.integers(3))], int(rng.integers(10, 20))
            left, top = half + int(rng.integers(2, 30 - side)), int(rng.integers(4, 60 - side))
            pixels[top : top + side, left : left + side] = COLOURS[name]
            texts = [Text(text=f"{name} box", lang="en"), Text(text=f"{'红' if name == 'red' else '蓝'}块", lang="zh")]
            boxes.append(Box(texts=texts[: 1 if number % 3 == 0 else 2], box=(left, top, left + side, top + side)))
        Image.fromarray(pixels).save(root / f"media/{number}.png")
        kind = {"file": f"{number}.png", "kind": "picture", "width": 64, "height": 64}
        records.append(Record(**kind, objects=boxes if objects else []))
    folder = root / "prepared"
    folder.mkdir()
    (folder / "manifest.jsonl").write_text("".join(record.model_dump_json() + "\n" for record in records))
    Prepared(folder, root / "media", PrepareConfig(size=64)).save()
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("things"))


def settings(data, out, start, *more):
    base = ["kind=verifier", f"data={data}", f"out={out}", f"start={start}", "batch=12", "steps=60", "workers=0"]
    base += ["optim.optimizer=adamw", "optim.lr=0.003", "optim.warmup=5", "optim.ema=0", "device=cpu", *more]
    return load_settings(RunConfig, None, base)


@pytest.fixture(scope="module")
def run(data, tiny_model, tmp_path_factory):
    """A trained verifier's model folder, and its last scores."""
    out = tmp_path_factory.mktemp("verifier") / "run"
    config = settings(data, out, tiny_model)
    return out / "model", Loop(VerifierJob(config), config).run()


@pytest.fixture(scope="module")
def named(data, run, tmp_path_factory):
    """The folder of a model that has a verifier, and a trained namer."""
    out = tmp_path_factory.mktemp("namer") / "run"
    config = settings(data, out, run[0], "kind=namer")
    scores = Loop(VerifierJob(config), config).run()
    assert scores["name first"] > 0.9
    return out / "model"


def test_a_box_is_cut_out_where_it_lies():
    rows, columns = 80, 120
    pictures = torch.zeros(2, rows, columns, 3, dtype=torch.uint8)
    pictures[1, ..., :2] = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1)
    boxes = torch.tensor([[0.25, 0.5, 0.5, 0.75], [0.0, 0.0, 0.25, 0.25]])  # 30 columns wide, 20 rows high
    seen = cut_out(pictures, torch.tensor([1, 0]), boxes)
    assert seen.shape == (2, 4, SIDE, SIDE)
    assert not seen[1, :3].any()
    for marks, (wide, high) in zip(seen[:, 3], [(1, 20 / 30), (1, 20 / 30)], strict=True):  # of the longer side
        down, across = marks.amax(1), marks.amax(0)
        assert torch.equal(marks, down[:, None] * across)
        assert float(across.sum()) == pytest.approx(SIDE * wide / ROOM, abs=1)
        assert float(down.sum()) == pytest.approx(SIDE * high / ROOM, abs=1)
        assert torch.equal(down, down.flip(0))
        assert torch.equal(across, across.flip(0))
    seen = seen * 255
    middle = seen[0][:2, SIDE // 2 - 1 : SIDE // 2 + 1, SIDE // 2 - 1 : SIDE // 2 + 1].mean((1, 2))
    np.testing.assert_allclose(middle, [0.625 * rows - 0.5, 0.375 * columns - 0.5], atol=1e-3)
    wide = 30 * ROOM  # of both sides: what is cut out is square
    for axis in (0, 1):
        edges = seen[0][axis].select(axis, 0).mean(), seen[0][axis].select(axis, SIDE - 1).mean()
        assert float(edges[1] - edges[0]) == pytest.approx(wide * (SIDE - 1) / SIDE, rel=1e-3)


def test_a_verifier_that_learned_without_marks_sees_none():
    torch.manual_seed(0)
    verifier, older = Verifier({"en": [1, 2]}), Verifier({"en": [1, 2]})
    weights = verifier.state_dict()
    older.load_state_dict(weights | {"look.1.weight": weights["look.1.weight"][:, :48]})
    seen = torch.rand(3, 4, SIDE, SIDE)
    boxes = torch.tensor([[0.1, 0.1, 0.4, 0.5]]).expand(3, -1)
    other = torch.cat([seen[:, :3], 1 - seen[:, 3:]], 1)
    assert torch.equal(older(seen, boxes), older(other, boxes))
    assert not torch.equal(verifier(seen, boxes), verifier(other, boxes))
    blank = torch.cat([seen[:, :3], torch.full((3, 1, SIDE, SIDE), 0.5)], 1)
    torch.testing.assert_close(older(seen, boxes), verifier(blank, boxes))


def test_words_of_a_language_have_columns_of_their_own():
    verifier = Verifier({"zh": [4, 9], "en": [2, 4, 7]})
    assert (verifier.columns("en"), verifier.columns("zh")) == (slice(0, 3), slice(3, 5))
    assert verifier.target("en", {7, 9}).tolist() == [0, 0, 1]
    assert verifier.target("zh", {7, 9}).tolist() == [0, 1]
    logits, named = torch.tensor([[3.0, -2.0]]), torch.tensor([[1.0, 1.0]])
    assert float(misfit(logits, named)) == pytest.approx(np.log1p(np.exp(-3)) + np.log1p(np.exp(2)), rel=1e-5)
    assert float(misfit(logits, named, torch.tensor([[1.0, 0.0]]))) == pytest.approx(np.log1p(np.exp(-3)), rel=1e-5)


def test_batches_tell_what_the_data_tell(data, tiny_model):
    encode = zoo.load(tiny_model).text.encode
    batches = ThingBatches([data], encode, 20, 3)
    assert len(batches.train) == 90
    assert batches.held == batches.train[-64:]
    assert not batches.apart
    assert list(batches.words) == ["en", "zh"]
    batch, again = batches[4], batches[4]
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert not torch.equal(batch["pictures"], batches[5]["pictures"])
    english = len(batches.words["en"])
    empty = (batch["named"].sum(1) == 0) & (batch["told"].sum(1) == batch["told"].shape[1])
    assert 0 < empty.sum() < len(empty) / 2
    no_chinese = (batch["told"][:, english:] == 0).all(1)
    assert no_chinese.any()
    assert (batch["told"][:, :english] == 1).all()
    assert not batch["named"][no_chinese][:, english:].any()
    reds = word_ids(encode, "red box")
    for box, owner, named in zip(batch["boxes"][~empty], batch["owner"][~empty], batch["named"][~empty], strict=True):
        x, y = (((box[i] + box[i + 2]) / 2 * 64).int().clamp(0, 63) for i in (0, 1))
        pixel = batch["pictures"][owner, y, x].int()
        if all(named[batches.words["en"].index(i)] for i in reds):
            assert pixel[0] > 150
        else:
            assert pixel[0] < 150
    for box, owner in zip(batch["boxes"][empty], batch["owner"][empty], strict=True):
        x, y = (((box[i] + box[i + 2]) / 2 * 64).int() for i in (0, 1))
        assert int(batch["pictures"][owner, y, x].max()) < 135


def test_moments_of_clips_are_looked_at_as_pictures_are(tiny_model, tmp_path):
    folder, frames = prepared(tmp_path, 6), np.full((17, 64, 64, 3), 110, np.uint8)
    boxes = []
    for place, name in ((0, "red"), (8, "blue"), (16, "green")):
        frames[place - 3 * (place > 0) : place + 4, 20:40, 2 * place : 2 * place + 20] = COLOURS[name]
        box = (2 * place, 20, 2 * place + 20, 40)
        boxes.append(Box(texts=[Text(text=f"{name} box", lang="en")], box=box, time=place / 8))
    video.write(tmp_path / "media" / "a.mp4", frames)
    clip = Record(file="a.mp4", kind="clip", width=64, height=64, duration=17 / 8, objects=boxes)
    odd = Record(file="odd.png", kind="picture", width=64, height=64, objects=boxes)  # times of what has none
    with (folder / "manifest.jsonl").open("a") as file:
        file.write(clip.model_dump_json() + "\n" + odd.model_dump_json() + "\n")
    encode = zoo.load(tiny_model).text.encode
    assert len(ThingBatches([folder], encode, 9, 0).train) == 6
    batches = ThingBatches([folder], encode, 9, 0, moments=True)
    moments = [row for row in batches.train if row.time is not None]
    assert [(row.file, row.time) for row in moments] == [("a.mp4", 0.0), ("a.mp4", 1.0), ("a.mp4", 2.0)]
    assert len(batches.train) == 6 + 3
    for row, name in zip(moments, COLOURS, strict=True):
        (((left, top, right, bottom), named),) = row.things
        pixel = batches.read(row)[round(32 * (top + bottom)), round(32 * (left + right))].astype(int)
        assert int(pixel.argmax()) == int(np.argmax(COLOURS[name]))
        assert named == {"en": word_ids(encode, f"{name} box")}
    batch = batches[0]
    assert batch["pictures"].shape == (9, 64, 64, 3)
    shown = {tuple(batch["pictures"][owner, 30, 10].tolist()) for owner in range(9)}
    assert len(shown) > 1


def test_things_of_one_box_are_both_in_it(tiny_model, tmp_path):
    folder = prepared(tmp_path, 4)
    manifest = folder / "manifest.jsonl"
    record = Record.model_validate_json(manifest.read_text().splitlines()[0])
    whole = [Box(texts=[Text(text=words, lang="en")], box=(0, 0, 64, 64)) for words in ("red box", "green ball")]
    manifest.write_text(record.model_copy(update={"objects": whole}).model_dump_json() + "\n")
    encode = zoo.load(tiny_model).text.encode
    (row,) = ThingBatches([folder], encode, 1, 0).train
    assert row.time is None
    assert row.things == [((0, 0, 1, 1), {"en": word_ids(encode, "red box") | word_ids(encode, "green ball")})]


def test_it_learns_words_and_the_model_carries_it(data, run, tiny_model, tmp_path):
    folder, scores = run
    assert scores["name first"] > 0.9
    assert scores["loss"] < 2
    bundle, old = zoo.load(folder), zoo.load(tiny_model)
    assert list(bundle.verifier.words) == ["en", "zh"]
    assert not bundle.verifier.training
    for name in ("gpt.safetensors", "visual.safetensors", "text.json"):
        assert (folder / name).read_bytes() == (tiny_model / name).read_bytes()
    assert old.verifier is None
    assert bundle.info.made["verifier"]["steps"] == 60
    assert bundle.namer is None
    assert not bundle.verifier.colourless
    damaged = bytearray((folder / "verifier.safetensors").read_bytes())
    damaged[-5] ^= 1
    other = zoo.with_verifier(tmp_path / "other", bundle, bundle.verifier, {})
    (other / "verifier.safetensors").write_bytes(damaged)
    with pytest.raises(ModelError, match=r"verifier.safetensors: damaged"):
        zoo.load(other)
    again = zoo.with_decoder(tmp_path / "decoder", bundle, bundle.visual, {})
    assert zoo.load(again).verifier.words == bundle.verifier.words


def test_a_namer_stands_beside_the_verifier(named, run, tmp_path):
    bundle, before = zoo.load(named), zoo.load(run[0])
    assert bundle.namer.names == {"en": ["blue box", "green box", "red box"], "zh": ["红块", "蓝块"]}
    assert bundle.namer.words == bundle.verifier.words == before.verifier.words
    assert (named / "verifier.safetensors").read_bytes() == (run[0] / "verifier.safetensors").read_bytes()
    assert bundle.info.made["namer"]["steps"] == bundle.info.made["verifier"]["steps"] == 60
    told = describe(bundle)["parameters"]
    assert told["namer"] == sum(p.numel() for p in bundle.namer.parameters())
    assert "verifier" in told
    assert set(describe(before)["parameters"]) == set(told) - {"namer"}
    again = zoo.load(zoo.with_decoder(tmp_path / "decoder", bundle, bundle.visual, {})).namer
    assert (again.words, again.names, again.colourless) == (
        bundle.namer.words,
        bundle.namer.names,
        bundle.namer.colourless,
    )
    saved = zoo.save(tmp_path / "saved", bundle.info, bundle.text, bundle.visual, bundle.gpt, None, None, bundle.namer)
    kept = zoo.load(saved)
    assert kept.verifier is None
    for name, value in kept.namer.state_dict().items():
        torch.testing.assert_close(value, bundle.namer.state_dict()[name])
    none = zoo.load(zoo.save(tmp_path / "none", bundle.info, bundle.text, bundle.visual, bundle.gpt))
    assert none.namer is None


def test_pictures_are_made_worse_by_the_step_alone(data, tiny_model, tmp_path, monkeypatch):
    job = VerifierJob(settings(data, tmp_path / "run", tiny_model))
    with torch.no_grad():
        for parameter in job.model.name[-1].parameters():  # else weights that have learned nothing see no difference
            parameter.normal_()

    def loss(step):
        return job.losses(job.batches[step], lambda loss: None)["loss"]

    first, again, worse = loss(3), loss(3), []
    monkeypatch.setattr(verifier_training, "degrade", lambda pixels, random: worse.append(pixels) or pixels)
    assert first == again
    assert loss(3) != first
    assert len(worse) == 1


def test_what_can_be_told_without_colour_is(named, monkeypatch):
    model = zoo.load(named)
    verifier, encode = model.namer, model.text.encode
    red, blue, green = (word_ids(encode, name) for name in COLOURS)
    colourless = set(verifier.colourless["en"])
    assert word_ids(encode, "box") - red - blue - green <= colourless
    assert not (red ^ green) & colourless  # about as light as each other
    pixels = torch.full((64, 64, 3), 110, dtype=torch.uint8)
    pixels[20:36, 8:24] = torch.tensor(COLOURS["red"], dtype=torch.uint8)
    boxes = [(0.125, 0.3125, 0.375, 0.5625)]
    some = verifier.words["en"][::2]
    logits = {}
    for name, ids in (("all", verifier.words), ("some", {"en": some}), ("none", {})):
        monkeypatch.setattr(verifier, "colourless", ids)
        logits[name] = verifier.read(pixels, boxes)[0]
    bare = (pixels.float() @ torch.tensor([0.299, 0.587, 0.114])).round().byte()[..., None].expand(-1, -1, 3)
    monkeypatch.setattr(verifier, "colourless", {})
    torch.testing.assert_close(verifier.read(bare, boxes)[0], logits["all"], atol=0.2, rtol=0.05)
    assert (logits["all"] - logits["none"]).abs().max() > 1
    without = torch.cat([verifier.target("en", some), verifier.target("zh", ())]) > 0
    assert torch.equal(logits["some"], torch.where(without, logits["all"], logits["none"]))


@torch.no_grad()
def test_how_a_rare_word_is_told_is_not_known(tiny_model, tmp_path):
    few = VerifierJob(settings(prepared(tmp_path, 3), tmp_path / "run", tiny_model, "kind=namer"))
    assert few._colourless() == {"en": [], "zh": []}  # though new weights tell nothing either way
    more = VerifierJob(settings(prepared(tmp_path / "more", 60), tmp_path / "on", tiny_model, "kind=namer"))
    assert any(more._colourless().values())


@pytest.mark.parametrize("kind", ["namer", "verifier"])
def test_half_of_the_things_are_shown_to_a_namer_without_colour(kind, data, tiny_model, tmp_path, monkeypatch):
    job = VerifierJob(settings(data, tmp_path / "run", tiny_model, f"kind={kind}"))
    shown = []
    look = job.model.forward
    monkeypatch.setattr(job.model, "forward", lambda seen, boxes: shown.append(seen) or look(seen, boxes))
    for step in (3, 3, 4, 5, 6):
        job.losses(job.batches[step], lambda loss: None)
    assert torch.equal(shown[0], shown[1])
    bare = float(torch.cat([(seen[:, 0] == seen[:, 1]).flatten(1).all(1) for seen in shown[1:]]).float().mean())
    assert 0.3 < bare < 0.7 if kind == "namer" else bare == 0
    assert all(set(seen[:, 3].unique().tolist()) == {0.0, 1.0} for seen in shown)


def test_it_goes_on_from_its_like_in_the_model_it_starts_from(data, run, tiny_model, tmp_path):
    assert VerifierJob(settings(data, tmp_path / "namer", run[0], "kind=namer")).describe()["weights"] == "new ones"
    job = VerifierJob(settings(data, tmp_path / "on", run[0]))
    assert str(run[0]) in job.describe()["weights"]
    for name, value in zoo.load(run[0]).verifier.state_dict().items():
        assert torch.equal(job.model.state_dict()[name], value), name
    assert VerifierJob(settings(data, tmp_path / "new", tiny_model)).describe()["weights"] == "new ones"
    more = prepared(tmp_path, 8)
    manifest = more / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace("red box", "odd thing"))
    assert VerifierJob(settings(more, tmp_path / "other", run[0])).describe()["weights"] == "new ones"


def test_a_gpt_that_learns_on_keeps_its_verifier(run, tmp_path):
    tokens = tiny.tokens(tmp_path / "tokens")
    tiny.train(tiny.settings(tokens, tmp_path / "run", "steps=1"))
    start = zoo.load(tmp_path / "run" / "model")
    verifier = zoo.load(run[0]).verifier
    both = zoo.load(zoo.with_verifier(tmp_path / "one", start, verifier, {}))
    zoo.with_namer(tmp_path / "start", both, verifier, {})
    config = tiny.settings(tokens, tmp_path / "on", f"start={tmp_path / 'start'}", "steps=1")
    Loop(GPTJob(config), config).run()
    kept = zoo.load(tmp_path / "on" / "model")
    for part in (kept.verifier, kept.namer):
        assert all(
            torch.equal(a, b) for a, b in zip(part.state_dict().values(), verifier.state_dict().values(), strict=True)
        )


def test_the_words_that_pixels_show_are_likelier(run):
    model = triptych.load(run[0], "cpu")._model
    pixels = np.full((64, 64, 3), 110, np.uint8)
    pixels[20:36, 8:24] = COLOURS["red"]
    there, elsewhere = (0.125, 0.3125, 0.375, 0.5625), (0.6, 0.6, 0.85, 0.85)
    plans = [
        (Thing("red box", there),),
        (Thing("blue box", there),),
        (Thing("red box", elsewhere),),
        (Thing("red box", there), Thing("?", there)),
        (),
    ]
    red, blue, missing, odd, none = verifying.nats(model, [pixels] * 5, plans, "en")
    assert red[0] > -2
    assert red[0] > blue[0] + 2
    assert red[0] > missing[0] + 2
    np.testing.assert_allclose(odd, red, atol=1e-6)
    assert len(none) == 0
    large = np.kron(pixels, np.ones((2, 2, 1), np.uint8))
    assert verifying.nats(model, [large], plans[:1], "en")[0][0] == pytest.approx(red[0], abs=0.5)
    assert verifying.nats(model, [pixels], [(Thing("红块", there),)], "zh")[0][0] > -2


def test_drawings_are_chosen_by_what_their_pixels_show(run, monkeypatch):
    model = triptych.load(run[0], "cpu")
    monkeypatch.setattr(type(model._model), "caption_nats", lambda self, media, *rest: [0.0, 1.7, 0.0][: len(media)])
    monkeypatch.setattr(planning, "read_gains", lambda model, pictures, *rest: np.array([0.0, 1.0, 0.0]))
    monkeypatch.setattr(planning, "is_learned", lambda *asked: True)
    plans = [(Thing(f"{name} box", (0.1, 0.1, 0.5, 0.5)),) for name in ("red", "blue", "green")]
    monkeypatch.setattr(planning, "write", lambda model, rows, how: plans[: len(rows)])
    seen = []

    def nats(model, pictures, planned, language, *, whole):
        seen.append((len(pictures), [things[0].words for things in planned], language, whole))
        return [np.array([-5.0]), np.array([-1.6]), np.array([-1.0])]

    monkeypatch.setattr(verifying, "nats", nats)
    assert model.draw("a box", best_of=3)[0].plan.startswith("green box")  # 0.6 nats more, which count four times
    own = Thing("red box", (0.1, 0.1, 0.5, 0.5))
    assert model.draw("a box", best_of=3, plan=write([own]))[0].plan == write([own])
    assert seen == [(3, ["red box", "blue box", "green box"], "en", True), (3, ["red box"] * 3, "en", False)]
    monkeypatch.setattr(planning, "is_learned", lambda model, verb="draw": verb != "things")
    assert model.draw("a box", best_of=3)[0].plan.startswith("green box")  # though it doesn't read plans
    monkeypatch.setattr(planning, "is_learned", lambda *asked: True)
    model._model.bundle.verifier = None
    assert model.draw("a box", best_of=3)[0].plan.startswith("blue box")


def test_what_is_read_of_a_plan_counts_by_thing_and_less_than_the_text(run, monkeypatch):
    """Boxes are read by the pixel: of many things that would drown what the text says of them."""
    model = triptych.load(run[0], "cpu")
    model._model.bundle.verifier = None
    monkeypatch.setattr(planning, "is_learned", lambda *asked: True)
    one = (Thing("red box", (0.1, 0.1, 0.5, 0.5)),)
    plans = [one, (*one, Thing("blue box", (0.5, 0.5, 0.9, 0.9)))]
    monkeypatch.setattr(planning, "write", lambda model, rows, how: plans[: len(rows)])
    for said, gained, chosen in (
        ([0.0, 0.4], [2.0, 0.0], one),
        ([0.0, 0.6], [2.0, 0.0], plans[1]),
        ([0.4, 0.0], [0.0, 4.0], plans[1]),
        ([0.6, 0.0], [0.0, 4.0], one),
    ):
        monkeypatch.setattr(type(model._model), "caption_nats", lambda self, *rest, said=said: said)
        monkeypatch.setattr(planning, "read_gains", lambda *rest, gained=gained: np.array(gained))
        assert model.draw("a box", best_of=2)[0].plan == write(chosen)


def test_a_plan_that_forgets_a_thing_is_no_surer():
    two, one, other = np.array([-0.5, -4.0]), np.array([-0.5]), np.array([-0.5, -1.0])
    np.testing.assert_allclose(canvas._shown([two, one, other, np.zeros(0)]), [-4.5, -4.5, -1.5, -8.0])
    np.testing.assert_allclose(canvas._shown([np.zeros(0)] * 2), [0, 0])


def test_words_that_a_plan_of_the_user_leaves_out_are_open(run):
    model = triptych.load(run[0], "cpu")._model
    pixels = np.full((64, 64, 3), 110, np.uint8)
    pixels[20:36, 8:24] = COLOURS["red"]
    there = (0.125, 0.3125, 0.375, 0.5625)

    def nats(words, whole):
        return verifying.nats(model, [pixels], [(Thing(words, there),)], "en", whole=whole)[0][0]

    assert nats("box", whole=False) > -1 > nats("box", whole=True)
    assert nats("red box", whole=False) > nats("blue box", whole=False) + 2


def test_pictures_held_out_may_vanish(tiny_model, tmp_path):
    folder = prepared(tmp_path, 130)
    manifest = folder / "manifest.jsonl"
    records = [Record.model_validate_json(line) for line in manifest.read_text().splitlines()]
    kept = [record.file for record in records if is_held(record)]
    job = VerifierJob(settings(folder, tmp_path / "run", tiny_model))
    assert [row.file for row in job.batches.held] == kept
    assert job.describe()["held out"] == "2 of them"
    assert not {row.file for row in job.batches.train} & set(kept)
    before = job.validate()
    (tmp_path / "media" / kept[0]).unlink()
    assert 0 < job.validate()["loss"] != before["loss"]


def test_what_it_needs_is_said(data, tiny_model, tmp_path):
    config = load_settings(RunConfig, None, ["kind=verifier", f"data={data}", f"out={tmp_path / 'run'}"])
    with pytest.raises(ConfigError, match="start=MODEL"):
        VerifierJob(config)
    bare = prepared(tmp_path / "bare", 8, objects=False)
    with pytest.raises(DataError, match=r"no pictures with `objects`.*docs/data.md"):
        VerifierJob(settings(bare, tmp_path / "run", tiny_model))
    with pytest.raises(DataError, match=r"no pictures or clips with `objects`.*docs/data.md"):
        VerifierJob(settings(bare, tmp_path / "run", tiny_model, "kind=namer"))
    small = Prepared.load(data)
    shutil.copytree(data, tmp_path / "small")
    Prepared(tmp_path / "small", small.source, PrepareConfig(size=32)).save()
    with pytest.raises(DataError, match=r"small: pictures of 32 pixels, the model draws 64: .*--size 64"):
        VerifierJob(settings(tmp_path / "small", tmp_path / "run", tiny_model))
