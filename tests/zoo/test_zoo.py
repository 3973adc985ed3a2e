"""A model folder comes back as it was saved; a damaged or missing one is told by name."""

import json
import shutil

import pytest
import torch

from triptych import zoo
from triptych.config import READ
from triptych.errors import ModelError
from triptych.model.gpt import GPT


@pytest.fixture
def folder(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


def test_what_is_saved_is_loaded(folder, tmp_path):
    one = zoo.load(folder)
    two = zoo.load(zoo.save(tmp_path / "again", one.info, one.text, one.visual, one.gpt))
    assert two.info == one.info
    for a, b in ((one.visual, two.visual), (one.gpt, two.gpt)):
        assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
        assert not b.training
    assert two.text.encode("红 a") == one.text.encode("红 a")


@pytest.mark.parametrize("name", ["gpt.safetensors", "visual.safetensors", "text.json", "model.json"])
def test_a_flipped_bit_is_refused_by_name(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) * 3 // 4] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name}: damaged"):
        zoo.load(folder)


@pytest.mark.parametrize("name", ["gpt.safetensors", "visual.safetensors", "text.json", "SHA256.json"])
@pytest.mark.parametrize("verify", [True, False])
def test_a_missing_file_is_named(folder, name, verify):
    (folder / name).unlink()
    if name == "SHA256.json" and not verify:
        zoo.load(folder, verify=False)
        return
    with pytest.raises(ModelError, match=name):
        zoo.load(folder, verify=verify)


@pytest.mark.parametrize("content", ["", "[1]", "{", "7"])
@pytest.mark.parametrize("name", ["SHA256.json", "model.json"])
def test_damaged_json_is_named(folder, content, name):
    (folder / name).write_text(content)
    with pytest.raises(ModelError, match=name):
        zoo.load(folder, verify=name == "SHA256.json")


def test_an_unknown_name_lists_what_there_is(monkeypatch, folder):
    monkeypatch.setattr(zoo, "shipped", lambda: {"base": folder})
    assert zoo.find("base") == folder
    with pytest.raises(ModelError, match=r"no model 'bsae': did you mean 'base'.*shipped models: base"):
        zoo.load("bsae")


def test_an_exception_while_saving_leaves_no_folder_that_passes_for_whole(folder, monkeypatch):
    bundle = zoo.load(folder)
    before = (folder / "gpt.safetensors").read_bytes()

    def full(tensors, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zoo, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        zoo.save(folder, bundle.info, bundle.text, bundle.visual, bundle.gpt)
    assert (folder / "gpt.safetensors").read_bytes() == before
    with pytest.raises(ModelError, match=r"SHA256\.json is missing"):
        zoo.load(folder)


def test_weights_that_do_not_fit_are_told(folder):
    bundle = zoo.load(folder)
    info = bundle.info.model_copy(update={"gpt": bundle.info.gpt.model_copy(update={"depth": 1})})
    zoo.write_json(folder / "model.json", info.model_dump(mode="json"))
    with pytest.raises(ModelError, match=r"gpt\.safetensors: the weights don't fit model\.json"):
        zoo.load(folder, verify=False)


def test_the_visual_tokenizer_keeps_its_bytes_in_an_export(folder, tmp_path):
    bundle = zoo.load(folder)
    one = zoo.save(tmp_path / "one", bundle.info, bundle.text, bundle.visual, dtype=torch.float16)
    again = zoo.load(one, verify=False) if (one / "gpt.safetensors").exists() else None
    assert again is None
    two = zoo.save(
        tmp_path / "two", bundle.info, bundle.text, bundle.visual.half().float(), bundle.gpt, dtype=torch.bfloat16
    )
    assert (one / "visual.safetensors").read_bytes() == (two / "visual.safetensors").read_bytes()


@pytest.mark.parametrize("name", READ)
def test_a_model_from_before_a_part_was_read_does_not_read_it(folder, tmp_path, name):
    bundle = zoo.load(folder)
    config = bundle.info.gpt.model_copy(update={name: False})
    info = bundle.info.model_copy(update={"gpt": config})
    old = zoo.save(tmp_path / "old", info, bundle.text, bundle.visual, GPT(config))
    facts = json.loads((old / "model.json").read_text())
    del facts["gpt"][name]
    zoo.write_json(old / "model.json", facts)
    assert zoo.load(old, verify=False).gpt.config == config


@pytest.mark.parametrize("learned", [None, 1, 99])
def test_a_model_of_another_spelling_is_refused(folder, learned):
    info = json.loads((folder / "model.json").read_text())
    info["gpt"].pop("spelling")
    if learned is not None:
        info["gpt"]["spelling"] = learned
    (folder / "model.json").write_text(json.dumps(info))
    zoo.seal(folder)
    with pytest.raises(ModelError, match=f"learned spelling {learned or 1} of sequences"):
        zoo.load(folder)


@pytest.mark.parametrize("names", [("planned",), ("placed", "planned"), ("beside", "placed", "planned")])
def test_a_model_from_before_a_setting_is_read_as_it_learned(tmp_path, tiny_model, names):
    """What model.json doesn't name, its network never read."""
    bundle = zoo.load(tiny_model)
    config = bundle.gpt.config.model_copy(update=dict.fromkeys(names, False))
    gpt = GPT(config)
    info = bundle.info.model_copy(update={"gpt": config})
    path = zoo.save(tmp_path / "older", info, bundle.text, bundle.visual, gpt)
    facts = json.loads((path / "model.json").read_text("utf-8"))
    for name in names:
        del facts["gpt"][name]
    (path / "model.json").write_text(json.dumps(facts), "utf-8")
    zoo.seal(path)
    assert zoo.load(path).gpt.config == config
