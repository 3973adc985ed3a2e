"""GPT against CNN, on drawn pictures and clips: whole runs, attacks, equal parameters, going on, errors."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from triptych import zoo
from triptych.cli import main
from triptych.compare import fit
from triptych.compare.attack import attacked, margin, pgd, square
from triptych.compare.data import Part, kind_of, read_folder
from triptych.compare.networks import LIKE, CNNClassifier, GPTClassifier, Shape, count, matched
from triptych.compare.run import mean_ap
from triptych.data.settings import PrepareConfig
from triptych.errors import DataError, MissingExtra
from triptych.media import image, video

pytest.importorskip("monai")
SMALL = [
    "gpt_rates=[1e-3]",
    "cnn_rates=[1e-3]",
    "steps=6",
    "tested=12",
    "attacked=4",
    "attack_steps=2",
    "queries=4",
    "rounds=5",
]
COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30)}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Folders of plain pictures of three colours, some lines of metadata beside them."""
    folder = tmp_path_factory.mktemp("media") / "colours"
    dice = np.random.default_rng(0)
    lines = []
    for name, color in COLORS.items():
        for number in range(24):
            pixels = np.clip(np.array(color) + dice.normal(0, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
            (folder / name).mkdir(parents=True, exist_ok=True)
            image.write(folder / name / f"{number:02d}.png", pixels)
            tags = [name] + ["even"] * (number % 2 == 0)
            lines.append({"file_name": f"{name}/{number:02d}.png", "label": name, "tags": tags})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def compared(pictures, tiny_model, tmp_path_factory):
    """A whole comparison by the command line; gives its folder and its arguments."""
    out = tmp_path_factory.mktemp("out")
    arguments = ["compare", str(pictures), *SMALL, "shares=[1,0.1]", "--out", str(out), "--model", str(tiny_model)]
    arguments += ["--size", "64"]
    assert main(arguments) == 0
    return out, arguments


def results(out):
    return json.loads((out / "compare.json").read_text("utf-8"))["sets"]


def test_a_whole_comparison_holds_every_part(compared):
    facts = results(compared[0])["colours"]
    assert {"cell gpt 1", "cell cnn 1", "cell fresh 1", "cell gpt 0.1", "cell cnn 0.1"} <= set(facts)
    assert "cell fresh 0.1" not in facts
    for network in ("gpt", "cnn"):
        cell = facts[f"cell {network} 1"]
        low, high = cell["ci95"]
        assert low <= cell["accuracy"] <= high
        assert cell["training"]["steps"] == 6
        assert set(facts["robustness"][network]) == {"1", "4"}
    assert facts["cell gpt 0.1"]["labelled"] < facts["cell gpt 1"]["labelled"]
    assert abs(facts["cell cnn 1"]["parameters"] / facts["cell gpt 1"]["parameters"] - 1) <= LIKE
    assert set(facts["speed"]["ratio"]) == {"1", "8"}


def test_what_is_finished_is_not_done_again(compared, monkeypatch):
    out, arguments = compared
    before = results(out)
    path = out / "compare.json"
    stored = json.loads(path.read_text("utf-8"))
    del stored["sets"]["colours"]["cell cnn 0.1"]
    path.write_text(json.dumps(stored))
    trained = []
    real = fit.train

    def watched(network, *rest, **more):
        trained.append(type(network).__name__)
        return real(network, *rest, **more)

    monkeypatch.setattr(fit, "train", watched)
    assert main(arguments) == 0
    assert trained == ["CNNClassifier"]
    after = results(out)
    assert after["colours"]["cell gpt 1"] == before["colours"]["cell gpt 1"]
    assert after["colours"]["cell cnn 0.1"]["labelled"] == before["colours"]["cell cnn 0.1"]["labelled"]


def test_another_setting_does_not_mix_with_what_is_stored(compared, capsys):
    _, arguments = compared
    assert main([*arguments, "--seed", "1"]) == 1
    assert "seed was 0 and is now 1" in capsys.readouterr().err


def test_both_networks_learn_plain_colours(pictures, tiny_model, tmp_path):
    data = read_folder(pictures, tmp_path, PrepareConfig(size=64))
    bundle, shape = zoo.load(tiny_model), Shape(*data.shape, len(data.labels))
    for network in (GPTClassifier(bundle, shape, 64), CNNClassifier(shape, 64, 8)):
        rows = np.arange(len(data.train))
        facts = fit.train(
            network, data.train, rows, several=False, lr=3e-3, seconds=60, batch=16, seed=0, flip=True, steps=40
        )
        assert facts["steps"] == 40
        hits = fit.logits_of(network, data.test).argmax(1) == data.test.targets.argmax(1)
        assert hits.mean() > 0.8, type(network).__name__


def test_several_labels_and_their_sets(pictures, tmp_path):
    data = read_folder(pictures, tmp_path, PrepareConfig(size=64), target="tags")
    assert data.several
    assert data.labels == ["blue", "even", "green", "red"]
    assert set(data.train.targets.sum(1).tolist()) == {1.0, 2.0}
    again = read_folder(pictures, tmp_path, PrepareConfig(size=64), target="tags")
    np.testing.assert_array_equal(again.train.pixels, data.train.pixels)


def test_clips_are_read_by_both(tiny_model, tmp_path):
    dice = np.random.default_rng(0)
    for name, color in list(COLORS.items())[:2]:
        for number in range(14):
            (tmp_path / "clips" / name).mkdir(parents=True, exist_ok=True)
            frames = np.clip(np.array(color) + dice.normal(0, 20, (17, 64, 64, 3)), 0, 255).astype(np.uint8)
            video.write(tmp_path / "clips" / name / f"{number}.mp4", frames)
    assert kind_of(tmp_path / "clips") == "clips"
    data = read_folder(tmp_path / "clips", tmp_path / "cache", PrepareConfig(size=64), kind="clips")
    shape = Shape(*data.shape, 2)
    assert shape.frames == 17
    pixels = fit.to_pixels(data.test.pixels[:2])
    for network in (GPTClassifier(zoo.load(tiny_model), shape, 64), CNNClassifier(shape, 32, 4)):
        assert network(pixels).shape == (2, 2)


@pytest.mark.parametrize("frames", [1, 17])
def test_parameters_are_matched(frames):
    shape = Shape(frames, 128, 10)
    wanted = count(GPTClassifier(zoo.load("tabletop"), shape, 128))
    found = count(CNNClassifier(shape, 128, matched(lambda width: CNNClassifier(shape, 128, width), wanted)))
    assert abs(found / wanted - 1) <= LIKE


def test_the_gpt_starts_from_the_weights_it_was_given(tiny_model):
    bundle, shape = zoo.load(tiny_model), Shape(1, 64, 3)
    given, fresh = GPTClassifier(bundle, shape, 64), GPTClassifier(bundle, shape, 64, fresh=True)
    weight = bundle.need_gpt().blocks[0].feed.up.weight
    assert torch.equal(given.gpt.blocks[0].feed.up.weight, weight)
    assert not torch.equal(fresh.gpt.blocks[0].feed.up.weight, weight)
    assert all(parameter.requires_grad for parameter in given.parameters())


class Brightness(nn.Module):
    """Two labels: dark and bright, by the mean pixel; the border is at one half."""

    def forward(self, pixels):
        mean = pixels.flatten(1).mean(1)
        return torch.stack([0.5 - mean, mean - 0.5], 1)


@pytest.mark.parametrize("by_margin", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_pgd_breaks_what_lies_within_reach_and_stays_inside(by_margin, several):
    pixels = torch.full((4, 1, 3, 8, 8), 0.52)
    pixels[2:] = 0.6
    targets = torch.tensor([[0.0, 1.0]] * 4)
    found = pgd(Brightness(), pixels, targets, 0.05, several=several, steps=5, seed=3, by_margin=by_margin)
    assert (found - pixels).abs().max() <= 0.05 + 1e-6
    assert found.min() >= 0
    assert found.max() <= 1
    broken = ~fit.right(Brightness()(found), targets, several=several)
    assert broken.tolist() == [True, True, False, False]


def test_square_stays_inside_and_never_helps():
    pixels = torch.rand(4, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[0.0, 1.0]] * 4)
    found = square(Brightness(), pixels, targets, 0.03, several=False, queries=30, seed=0)
    assert (found - pixels).abs().max() <= 0.03 + 1e-6
    more = square(Brightness(), pixels, targets, 0.03, several=False, queries=1, seed=0)
    gaps = [margin(Brightness()(x), targets, several=False) for x in (found, more)]
    assert (gaps[0] >= gaps[1]).all()


def test_the_worst_of_the_attacks_counts():
    pixels = torch.linspace(0.4, 0.6, 8).view(8, 1, 1, 1, 1).expand(8, 1, 3, 8, 8).contiguous()
    targets = torch.eye(2)[(pixels.flatten(1).mean(1) > 0.5).long()]
    settings = {"several": False, "steps": 4, "restarts": 2, "queries": 5, "seed": 0}
    found = attacked({"a": Brightness(), "b": Brightness()}, pixels, targets, [0.02, 0.07], **settings)["a"]
    small, large = found[f"{0.02 * 255:g}"], found[f"{0.07 * 255:g}"]
    assert all(small["none"])
    assert sum(large["worst"]) < sum(small["worst"]) < 8
    for attacks in (small, large):
        for worst, *others in zip(attacks["worst"], attacks["pgd"], attacks["transfer"], strict=True):
            assert not worst or all(others)


def test_gradients_reach_the_pixels_through_the_tokenizer(tiny_model):
    network = GPTClassifier(zoo.load(tiny_model), Shape(1, 64, 3), 64)
    nn.init.normal_(network.head.weight)
    pixels = torch.rand(1, 1, 3, 64, 64, requires_grad=True)
    network(pixels).square().sum().backward()
    assert (pixels.grad != 0).float().mean() > 0.9


def test_shares_hold_smaller_ones_and_every_label():
    targets = np.eye(5, dtype=np.float32)[np.random.default_rng(0).integers(0, 5, 400)]
    small, large = (set(fit.subset(targets, share, 0, several=False).tolist()) for share in (0.01, 0.1))
    assert len(small) == 5
    assert len(large) == 40
    assert small < large
    assert {int(targets[i].argmax()) for i in small} == set(range(5))


def test_augmentation_moves_a_medium_and_keeps_its_form():
    pixels = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    dice = np.random.default_rng(0)
    made = [fit.augmented(pixels, dice, flip=True) for _ in range(8)]
    assert {array.shape for array in made} == {pixels.shape}
    assert len({array.tobytes() for array in made}) > 3


def test_mean_average_precision():
    targets = np.array([[1, 0], [0, 0], [1, 0]], np.float32)
    assert mean_ap(np.array([[3.0, 0], [2.0, 0], [1.0, 0]]), targets) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: None, "has a 'label'"),
        (lambda folder: [image.write(folder / "a" / f"{n}.png", _plain()) for n in range(30)], "same label"),
    ],
)
def test_folders_that_cannot_be_compared(make, reason, tmp_path, tiny_model, capsys):
    folder = tmp_path / "media"
    (folder / "a").mkdir(parents=True)
    make(folder)
    assert main(["compare", str(folder), "--out", str(tmp_path / "out"), "--model", str(tiny_model)]) == 1
    assert reason in capsys.readouterr().err


def _plain():
    return np.zeros((64, 64, 3), np.uint8)


def test_both_kinds_must_be_chosen_between(pictures, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        image.write(tmp_path / name / "x.png", _plain())
        video.write(tmp_path / name / "y.mp4", np.zeros((5, 64, 64, 3), np.uint8))
    with pytest.raises(DataError, match="--media"):
        kind_of(tmp_path)


def test_without_monai_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai.networks.nets.resnet", None)
    with pytest.raises(MissingExtra, match=r"triptych\[compare\]"):
        CNNClassifier(Shape(1, 64, 3), 64, 8)


def test_a_loss_that_is_not_finite_ends_training():
    part = Part(np.zeros((4, 1, 8, 8, 3), np.uint8), np.eye(2, dtype=np.float32)[[0, 1, 0, 1]], [])

    class Broken(Brightness):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(float("nan")))

        def forward(self, pixels):
            return super().forward(pixels) * self.weight

    with pytest.raises(Exception, match="the loss is nan and the gradient's norm nan at step 0"):
        fit.train(Broken(), part, np.arange(4), several=False, lr=1, seconds=9, batch=2, seed=0, flip=False, steps=2)


@pytest.mark.parametrize("solid", [False, True])
def test_solid_convolutions_train_in_float32(solid):
    """Their gradients in bfloat16 are not always finite on a CPU."""
    part = Part(np.zeros((4, 1, 8, 8, 3), np.uint8), np.eye(2, dtype=np.float32)[[0, 1, 0, 1]], [])
    seen = set()

    class Network(Brightness):
        def __init__(self):
            super().__init__()
            self.convolve = nn.Conv3d(1, 1, 1) if solid else nn.Conv2d(1, 1, 1)

        def forward(self, pixels):
            out = self.convolve(torch.ones(1, 1, 2, 2, *[2] * solid))
            if self.training:
                seen.add(out.dtype)
            return super().forward(pixels) + out.float().mean() * 0

    settings = {
        "several": False,
        "lr": 1e-3,
        "seconds": 9,
        "batch": 2,
        "seed": 0,
        "flip": False,
        "steps": 2,
        "bf16": True,
    }
    fit.train(Network(), part, np.arange(4), **settings)
    assert seen == {torch.float32 if solid else torch.bfloat16}


def test_a_gradient_that_is_not_finite_ends_training():
    part = Part(np.zeros((4, 1, 8, 8, 3), np.uint8), np.eye(2, dtype=np.float32)[[0, 1, 0, 1]], [])

    class Steep(Brightness):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(1.0))

        def forward(self, pixels):
            out = super().forward(pixels) * self.weight
            return out + (out - out.detach()).abs().sqrt().sum() * 0 if self.training else out

    with pytest.raises(fit.Diverged, match="gradient's norm nan at step 0"):
        fit.train(Steep(), part, np.arange(4), several=False, lr=1, seconds=9, batch=2, seed=0, flip=False, steps=2)


def test_a_probe_alone_tells_plain_colours_apart(pictures, tiny_model, tmp_path):
    data = read_folder(pictures, tmp_path, PrepareConfig(size=64))
    network = GPTClassifier(zoo.load(tiny_model), Shape(*data.shape, len(data.labels)), 64)
    before = {name: value.clone() for name, value in network.state_dict().items() if not name.startswith("head")}
    rows = np.arange(len(data.train))
    assert fit.probe(network, data.train, rows, several=False, seconds=60, batch=8, seed=0) == len(rows)
    hits = fit.logits_of(network, data.test).argmax(1) == data.test.targets.argmax(1)
    assert hits.mean() > 0.8
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_batch_norms_fit_the_averaged_weights(pictures, tmp_path):
    data = read_folder(pictures, tmp_path, PrepareConfig(size=64))
    network = CNNClassifier(Shape(*data.shape, len(data.labels)), 64, 8)
    settings = {"several": False, "lr": 1e-2, "seconds": 60, "batch": 16, "seed": 0, "flip": True, "steps": 4}
    fit.train(network, data.train, np.arange(len(data.train)), **settings)
    norm = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    seen = []
    handle = norm.register_forward_pre_hook(lambda module, given: seen.append(given[0].mean((0, 2, 3))))
    fit.logits_of(network, data.train, batch=len(data.train))
    handle.remove()
    torch.testing.assert_close(norm.running_mean, seen[0], atol=0.1, rtol=0.1)


def test_a_training_that_diverges_begins_anew_with_the_next_best(pictures, tiny_model, tmp_path, monkeypatch):
    real = fit.train

    def fails_at_first(network, part, rows, **settings):
        if settings["lr"] == 2e-3 and settings["seconds"] > 1:
            raise fit.Diverged("nan")
        return real(network, part, rows, **settings)

    monkeypatch.setattr(fit, "train", fails_at_first)
    monkeypatch.setattr("triptych.compare.run._ranked", lambda trials: [{"side": 64, "lr": r} for r in (2e-3, 1e-3)])
    arguments = ["compare", str(pictures), "networks=[gpt]", "gpt_rates=[1e-3,2e-3]", "trial=0.001", "shares=[1]"]
    arguments += ["steps=2", "attacked=0", "--size", "64", "--out", str(tmp_path), "--model", str(tiny_model)]
    assert main(arguments) == 0
    cell = results(tmp_path)["colours"]["cell gpt 1"]
    assert cell["recipe"]["lr"] == 1e-3
    assert [choice["lr"] for choice in cell["diverged"]] == [2e-3]
