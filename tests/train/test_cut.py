"""Media that come later are prepared in a folder of their own, and learned from together with those of before."""

import pytest
import torch

from tests.data.test_shards import fill
from tests.train import tiny
from triptych import zoo
from triptych.data.records import Place, Record, Text
from triptych.data.shards import Shards
from triptych.errors import ConfigError, DataError
from triptych.train.gpt import GPTJob
from triptych.train.retrieval import RetrievalJob
from triptych.train.tokenizer import TokenizerJob


def views(name, *texts):
    return [
        (
            Record(file=f"{name}{i}.png", kind="picture", sequence=Place(id="scene", index=i), texts=[Text(text=text)]),
            False,
        )
        for i, text in enumerate(texts)
    ]


@pytest.fixture
def folders(tmp_path):
    first, second = tiny.tokens(tmp_path / "first"), tiny.tokens(tmp_path / "second", count=6)
    fill(first / "shards" / "00001.safetensors", views("a", "picture 1", "picture 2"))
    fill(second / "shards" / "00001.safetensors", views("b", "picture 3", "picture 4"))
    return first, second


def test_windows_of_both_are_learned_from_and_their_sequences_kept_apart(folders, tmp_path):
    first, second = folders
    job = GPTJob(tiny.settings(first, tmp_path / "run", f"more=[{second}]"))
    shards = job.rows.shards
    assert len(shards) == 14 + 8
    names = [[shards.record(i).file for i in part] for part in shards.sequences(held=False)]
    assert sorted(names) == [["a0.png", "a1.png"], ["b0.png", "b1.png"]]  # both are called "scene"
    alone = Shards(first / "shards", shards.grid)
    assert shards.group[: len(alone)].tolist() == alone.group.tolist()  # a run without more has the same data
    single = GPTJob(tiny.settings(first, tmp_path / "run"))
    assert single.rows.shards.group.tolist() == alone.group.tolist()


def test_the_head_for_search_learns_from_both(folders, tmp_path):
    first, second = folders
    GPTJob(tiny.settings(first, tmp_path / "run")).export(tmp_path / "model", {})
    settings = ("kind=retrieval", f"start={tmp_path / 'model'}")
    one = RetrievalJob(tiny.settings(first, tmp_path / "one", *settings))
    both = RetrievalJob(tiny.settings(first, tmp_path / "both", *settings, f"more=[{second}]"))
    assert len(both.tables[0][0].media) == len(one.tables[0][0].media) + 7  # one of eight is held out


def test_a_folder_of_other_codes_is_refused_by_name(folders, tmp_path):
    first, second = folders
    model = zoo.load(second / "tokenizers")
    with torch.no_grad():
        model.visual.to_latent.weight.add_(0.5)
    zoo.save(second / "tokenizers", model.info, model.text, model.visual)
    with pytest.raises(
        DataError, match=f"{second} was cut with another visual tokenizer than {first}.*, or .*--tokenizer {first}"
    ):
        GPTJob(tiny.settings(first, tmp_path / "run", f"more=[{second}]"))


def test_a_folder_of_other_frames_is_refused_by_name(folders, tmp_path):
    first, second = folders
    model = zoo.load(second / "tokenizers")
    zoo.save(second / "tokenizers", model.info.model_copy(update={"fps": 4.0}), model.text, model.visual)
    with pytest.raises(DataError, match=f"{second} was cut .* for other frames"):
        GPTJob(tiny.settings(first, tmp_path / "run", f"more=[{second}]"))


def test_a_folder_counts_once(folders, tmp_path):
    first, _ = folders
    with pytest.raises(DataError, match="each prepared folder counts once"):
        GPTJob(tiny.settings(first, tmp_path / "run", f"more=[{first / '..' / 'first'}]"))


def test_folders_may_move_and_are_named_in_no_model(folders, tmp_path):
    first, second = folders
    tiny.train(tiny.settings(first, tmp_path / "run", f"more=[{second}]", "steps=3"))
    second.rename(tmp_path / "third")
    tiny.train(tiny.settings(first, tmp_path / "run", f"more=[{tmp_path / 'third'}]", "steps=4"))
    assert str(tmp_path) not in (tmp_path / "run" / "model" / "model.json").read_text()


def test_a_tokenizer_learns_from_one_folder(folders, tmp_path):
    first, second = folders
    with pytest.raises(ConfigError, match="a tokenizer learns from the media of `data` alone"):
        TokenizerJob(tiny.settings(first, tmp_path / "run", "kind=tokenizer", f"more=[{second}]"))
