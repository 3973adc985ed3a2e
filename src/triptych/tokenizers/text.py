"""The text tokenizer: byte-level BPE, trained on the user's own texts, exact for any string.

Chinese is cut into single characters before merging, so that a phrase of the training data never becomes one
token that hides its parts; digits are cut singly, so that times and counts are spelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import tokenizers as hf

from triptych.errors import ModelError

_WORDS = r"\p{Han}|\p{N}| ?[\p{L}&&[^\p{Han}]]+| ?[^\s\p{L}\p{N}\p{Han}]+|\s+"


class TextTokenizer:
    """Text <-> ids in [0, size). Ids here know nothing of special tokens: no text can spell one."""

    def __init__(self, inner: hf.Tokenizer) -> None:
        self._inner = inner

    @classmethod
    def train(cls, texts: Iterable[str], size: int = 2048) -> TextTokenizer:
        """Learn merges from texts; the result has at most `size` and at least 256 ids."""
        inner = hf.Tokenizer(hf.models.BPE())
        inner.pre_tokenizer = hf.pre_tokenizers.Sequence(
            [
                hf.pre_tokenizers.Split(hf.Regex(_WORDS), "isolated"),
                hf.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        inner.decoder = hf.decoders.ByteLevel()
        trainer = hf.trainers.BpeTrainer(
            vocab_size=max(size, 256),
            show_progress=False,
            initial_alphabet=sorted(hf.pre_tokenizers.ByteLevel.alphabet()),
            special_tokens=[],
        )
        inner.train_from_iterator(texts, trainer)
        return cls(inner)

    @classmethod
    def load(cls, path: Path | str) -> TextTokenizer:
        """Read the common tokenizer.json; ModelError if it is missing or damaged."""
        try:
            return cls(hf.Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises bare Exception
            raise ModelError(f"{path}: not a readable text tokenizer: {error}") from error

    def save(self, path: Path | str) -> None:
        """Write tokenizer.json."""
        self._inner.save(str(path))

    @property
    def size(self) -> int:
        """Number of ids."""
        return self._inner.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Ids of a text; lone surrogates, which have no bytes, become "?"."""
        clean = text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
        return self._inner.encode(clean, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; bytes that form no character become U+FFFD."""
        return self._inner.decode(list(ids), skip_special_tokens=False)
