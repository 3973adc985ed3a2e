"""The text tokenizer: exact for any string, and no string spells a special id."""

import random

import pytest

from triptych.errors import ModelError
from triptych.sequence import vocab
from triptych.tokenizers.text import TextTokenizer

TEXTS = [
    "a red ball to the left of a blue cylinder",
    "红色的球在蓝色圆柱的左边",
    "from 0.5 to 12.5 s",
    "球a红色的球 红色的球",
]

CHARACTERS = [*range(0xD800), *range(0xE000, 0x110000)]


@pytest.fixture(scope="module")
def text():
    return TextTokenizer.train(TEXTS * 50, 600)


def strings(count):
    rng = random.Random(0)
    pools = [
        "ab cd\t\n\r ",
        "红色的球，。？",
        "😀👩‍👩‍👧🇨🇳é́ß",
        "\x00\x01\x7f\x80\xa0\u200b\u2028\ufeff\ufffd",
        "<|image|>[INST]</s>",
        "0123456789.①²",
        "Ġ▁Â",
    ]
    for _ in range(count):
        yield "".join(
            rng.choice(rng.choice(pools)) if rng.random() < 0.8 else chr(rng.choice(CHARACTERS))
            for _ in range(rng.randrange(30))
        )


def test_any_string_comes_back(text):
    for string in ["", " ", "<|image|>", "<|endoftext|>", "\x00", *TEXTS, *strings(1500)]:
        assert text.decode(text.encode(string)) == string


def test_lone_surrogates_become_question_marks(text):
    assert text.decode(text.encode("a\ud800b\udfff中")) == "a?b?中"


def test_no_string_spells_a_special_id(text):
    for string in ["<|image|>", "[PAD]", "<s>", "\x00\x03", "BEGIN", *strings(500)]:
        ids = vocab.to_ids(text.encode(string))
        assert all(vocab.OFFSET <= i < vocab.size(text.size) for i in ids)
        assert vocab.to_text_ids(ids) == text.encode(string)


@pytest.mark.parametrize("string", ["红色的球", "a红色的球", " 红色的球", "，红色的球", "红色的 球", "见x红色y"])
def test_chinese_is_cut_by_characters(text, string):
    """However often a phrase stood in the training texts, and whatever stands before it."""
    for i in text.encode(string):
        piece = text.decode([i])
        assert not any("\u4e00" <= c <= "\u9fff" for c in piece) or len(piece) == 1


def test_digits_are_cut_singly(text):
    assert [text.decode([i]) for i in text.encode("12.5")] == ["1", "2", ".", "5"]


def test_words_are_merged(text):
    assert len(text.encode(TEXTS[0])) == len(TEXTS[0].split())


def test_save_and_load(text, tmp_path):
    text.save(tmp_path / "text.json")
    again = TextTokenizer.load(tmp_path / "text.json")
    assert again.size == text.size
    for string in strings(100):
        assert again.encode(string) == text.encode(string)


def test_a_tokenizer_of_no_texts_still_spells_all():
    empty = TextTokenizer.train([], 100)
    assert empty.size == 256
    assert empty.decode(empty.encode("中 a")) == "中 a"


@pytest.mark.parametrize("content", [None, "", "{}", '{"version": "1.0"}'])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "text.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelError, match=r"text\.json: not a readable text tokenizer"):
        TextTokenizer.load(path)
