"""Name or folder -> model: configuration, tokenizers, weights; load and save.

A model is a folder:
    model.json            what it is: configuration of each part, frame size and rate, and what made it
    text.json             the text tokenizer
    visual.safetensors    the visual tokenizer's weights
    gpt.safetensors       the GPT's weights (absent in a folder that holds tokenizers only)
    retrieval.safetensors the head that finds media of a text (if one was trained)
    verifier.safetensors  the network that looks whether drawings show what was planned (if one was trained)
    namer.safetensors     the network that looks what things that are read are called (if one was trained)
    mover.safetensors     the network that tells how things in motion go on (if one was trained)
    SHA256.json           the hash of each file; a damaged file is refused
Nothing is fetched, nothing is unpickled, no code is run from the folder.
"""

from __future__ import annotations

import difflib
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from triptych.config import READ, SPELLING, GPTConfig, Settings, VisualTokenizerConfig
from triptych.errors import ModelError
from triptych.files import hashes_of, sha256, write_atomically, write_json
from triptych.model.gpt import GPT
from triptych.model.mover import Mover
from triptych.model.retrieval import RetrievalHead
from triptych.model.verifier import Verifier
from triptych.tokenizers.text import TextTokenizer
from triptych.tokenizers.visual import VisualTokenizer

FORMAT = 1
FILES = (
    "model.json",
    "text.json",
    "visual.safetensors",
    "gpt.safetensors",
    "retrieval.safetensors",
    "verifier.safetensors",
    "namer.safetensors",
    "mover.safetensors",
)


class NamerInfo(Settings):
    """What model.json holds of a namer; see model.verifier."""

    words: dict[str, list[int]]
    """By language the text ids of the words that it knows."""
    names: dict[str, list[str]]
    """By language what things are called in what it learned from."""
    colourless: dict[str, list[int]]
    """By language the text ids of the words that it tells without colour."""


class MoverInfo(Settings):
    """What model.json holds of a mover; see model.mover."""

    span: int
    """Frames before the last one that it looks at."""
    ahead: int
    """Frames that it tells."""
    width: int
    """Of its layers."""


class ModelInfo(Settings):
    """What model.json holds."""

    format: int = FORMAT
    """Version of this layout."""
    name: str = "model"
    """How the model calls itself."""
    visual: VisualTokenizerConfig
    """The visual tokenizer."""
    gpt: GPTConfig | None = None
    """The GPT; none in a folder of tokenizers."""
    retrieval: bool = False
    """Whether there is a head for retrieval."""
    verifier: dict[str, list[int]] | None = None
    """Of the verifier, by language, the text ids of the words that it knows; none where there is no verifier."""
    namer: NamerInfo | None = None
    """The namer; none where there is none."""
    mover: MoverInfo | None = None
    """The mover; none where there is none."""
    size: int = 224
    """Side of its pictures in pixels."""
    fps: float = 8.0
    """Frames a second of its clips."""
    frames: int = 17
    """Frames of its clips."""
    precision: Literal["exact", "fp32", "bf16", "int8"] = "exact"
    """Of the weights where the native engine runs; measured when training ends (train.precision)."""
    bits: dict[str, float] = Field(default_factory=dict)
    """Bits per code or text token on validation data, by spelling: what "usual" means for this model."""
    made: dict[str, Any] = Field(default_factory=dict)
    """What made it: recipe, data, steps, hours, versions."""

    def of_tokenizers(self, made: dict[str, Any]) -> ModelInfo:
        """What a folder tells that holds this model's tokenizers and nothing else."""
        kept = {name: getattr(self, name) for name in ("name", "visual", "size", "fps", "frames")}
        return ModelInfo(**kept, made=made)


@dataclass
class Bundle:
    """A loaded model: its parts in eval mode on one device."""

    path: Path
    info: ModelInfo
    text: TextTokenizer
    visual: VisualTokenizer
    gpt: GPT | None
    retrieval: RetrievalHead | None = None
    verifier: Verifier | None = None
    namer: Verifier | None = None
    mover: Mover | None = None

    def need_gpt(self) -> GPT:
        """The GPT; ModelError where the folder holds tokenizers only."""
        if self.gpt is None:
            raise ModelError(f"{self.path} holds tokenizers but no GPT: train one with `triptych train`")
        return self.gpt


def shipped() -> dict[str, Path]:
    """Models that come with the package, by name."""
    root = Path(str(resources.files("triptych"))) / "models"
    return {path.parent.name: path.parent for path in sorted(root.glob("*/model.json"))}


def find(name: str | Path) -> Path:
    """Folder of a shipped model's name or of a path; ModelError lists what there is."""
    path = Path(name)
    if (path / "model.json").is_file():
        return path
    known = shipped()
    if str(name) in known:
        return known[str(name)]
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    names = ", ".join(known) or "none"
    raise ModelError(f"no model {str(name)!r}: {hint}shipped models: {names}; or give a folder that holds model.json")


def load(name: str | Path, device: str = "cpu", *, verify: bool = True) -> Bundle:
    """Load a model by name or folder.

    Errors: ModelError if it is missing, of another format, or if a file's hash differs (`verify`).
    """
    path = find(name)
    if verify:
        check(path)
    try:
        info = ModelInfo.model_validate_json((path / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ModelError(f"{path / 'model.json'}: not a model of format {FORMAT}: {reason}") from error
    if info.format != FORMAT:
        raise ModelError(f"{path}: format {info.format}, this version reads {FORMAT}: install a newer triptych")
    if info.gpt is not None:
        learned = info.gpt.spelling if "spelling" in info.gpt.model_fields_set else 1
        if learned != SPELLING:
            raise ModelError(
                f"{path}: its GPT learned spelling {learned} of sequences, this version of triptych reads and writes "
                f"spelling {SPELLING}: train it anew, or from these weights on with the version that made it"
            )
        older = {name: False for name in READ if name not in info.gpt.model_fields_set}
        info = info.model_copy(update={"gpt": info.gpt.model_copy(update=older)})
    visual = VisualTokenizer(info.visual)
    _read_weights(visual, path / "visual.safetensors")
    gpt = None
    if info.gpt is not None:
        gpt = GPT(info.gpt)
        _read_weights(gpt, path / "gpt.safetensors")
        gpt = gpt.eval().to(device)
    retrieval = None
    if info.retrieval and info.gpt is not None:
        retrieval = RetrievalHead(info.gpt.width)
        _read_weights(retrieval, path / "retrieval.safetensors")
        retrieval = retrieval.eval().to(device)
    verifier = None
    if info.verifier is not None:
        verifier = Verifier(info.verifier)
        _read_weights(verifier, path / "verifier.safetensors")
        verifier = verifier.eval().to(device)
    namer = None
    if info.namer is not None:
        namer = Verifier(info.namer.words, info.namer.names, info.namer.colourless)
        _read_weights(namer, path / "namer.safetensors")
        namer = namer.eval().to(device)
    mover = None
    if info.mover is not None:
        if info.mover.span != info.visual.span:
            raise ModelError(
                f"{path}: its mover looks at {info.mover.span} frames, its visual tokenizer tells a time every "
                f"{info.visual.span}: train a mover for it (recipes/tabletop-mover.yaml)"
            )
        mover = Mover(info.mover.span, info.mover.ahead, info.mover.width)
        _read_weights(mover, path / "mover.safetensors")
        mover = mover.eval()  # so small that a GPU's answers would be waited for
    visual = visual.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Bundle(path, info, TextTokenizer.load(path / "text.json"), visual, gpt, retrieval, verifier, namer, mover)


def save(
    path: Path | str,
    info: ModelInfo,
    text: TextTokenizer,
    visual: VisualTokenizer | dict[str, torch.Tensor],
    gpt: GPT | dict[str, torch.Tensor] | None = None,
    retrieval: RetrievalHead | None = None,
    verifier: Verifier | None = None,
    namer: Verifier | None = None,
    mover: Mover | None = None,
    *,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write a model folder; weights are stored as `dtype`, the hashes last.

    The visual tokenizer is never stored as bfloat16: its 8 bits would move codes away from those of the shards that
    the GPT learned from. Weights read from float16 are written back as the same bytes, so the file's hash stays.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    (path / "SHA256.json").unlink(missing_ok=True)  # a folder being written is not whole
    write_atomically(path / "text.json", lambda file: text.save(file))
    _write_weights(visual, path / "visual.safetensors", torch.float16 if dtype == torch.bfloat16 else dtype)
    if gpt is not None:
        _write_weights(gpt, path / "gpt.safetensors", dtype)
    if retrieval is not None:
        _write_weights(retrieval, path / "retrieval.safetensors", dtype)
    if verifier is not None:
        _write_weights(verifier, path / "verifier.safetensors", torch.float16)
    if namer is not None:
        _write_weights(namer, path / "namer.safetensors", torch.float16)
    if mover is not None:
        _write_weights(mover, path / "mover.safetensors", torch.float16)
    told = {
        "retrieval": retrieval is not None,
        "verifier": verifier and verifier.words,
        "namer": namer and _facts(namer),
        "mover": mover and _moves(mover),
    }
    write_json(path / "model.json", info.model_copy(update=told).model_dump(mode="json"))
    seal(path)
    return path


def with_decoder(path: Path | str, model: Bundle, visual: VisualTokenizer, made: dict[str, Any]) -> Path:
    """Write a copy of a model's folder with a visual tokenizer of the same encoder; `made` tells what made its
    decoder."""
    path = _copied(Path(path), model)
    stored = next(iter(load_file(model.path / "visual.safetensors").values())).dtype  # else codes would move
    _write_weights(visual, path / "visual.safetensors", stored)
    return _told(path, model, {"visual": visual.config, "made": model.info.made | {"decoder": made}})


def with_verifier(path: Path | str, model: Bundle, verifier: Verifier, made: dict[str, Any]) -> Path:
    """Write a copy of a model's folder with a verifier, stored as float16; `made` tells what made it."""
    path = _copied(Path(path), model)
    _write_weights(verifier, path / "verifier.safetensors", torch.float16)
    return _told(path, model, {"verifier": verifier.words, "made": model.info.made | {"verifier": made}})


def with_namer(path: Path | str, model: Bundle, namer: Verifier, made: dict[str, Any]) -> Path:
    """As `with_verifier`, with a namer."""
    path = _copied(Path(path), model)
    _write_weights(namer, path / "namer.safetensors", torch.float16)
    return _told(path, model, {"namer": _facts(namer), "made": model.info.made | {"namer": made}})


def with_mover(path: Path | str, model: Bundle, mover: Mover, made: dict[str, Any]) -> Path:
    """As `with_verifier`, with a mover."""
    path = _copied(Path(path), model)
    _write_weights(mover, path / "mover.safetensors", torch.float16)
    return _told(path, model, {"mover": _moves(mover), "made": model.info.made | {"mover": made}})


def _facts(namer: Verifier) -> NamerInfo:
    return NamerInfo(words=namer.words, names=namer.names, colourless=dict(namer.colourless))


def _moves(mover: Mover) -> MoverInfo:
    return MoverInfo(span=mover.span, ahead=mover.ahead, width=mover.width)


def _copied(path: Path, model: Bundle) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "SHA256.json").unlink(missing_ok=True)  # a folder being written is not whole
    for name in (*FILES, "detector.safetensors", "detector.json"):
        if (model.path / name).is_file():
            shutil.copyfile(model.path / name, path / name)
    return path


def _told(path: Path, model: Bundle, changes: dict[str, Any]) -> Path:
    write_json(path / "model.json", model.info.model_copy(update=changes).model_dump(mode="json"))
    seal(path)
    return path


def seal(path: Path) -> None:
    """Write the hashes of a model folder's files."""
    write_json(path / "SHA256.json", {name: sha256(path / name) for name in FILES if (path / name).is_file()})


def check(path: Path) -> None:
    """Compare each file of a model folder with its hash; ModelError names the first that differs."""
    sums = path / "SHA256.json"
    if not sums.is_file():
        raise ModelError(f"{path}: SHA256.json is missing, so the folder was not written whole: export the model again")
    try:
        hashes = hashes_of(path)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{sums}: damaged ({error}); copy the model folder again") from error
    for name, expected in hashes.items():
        if not (path / name).is_file():
            raise ModelError(f"{path / name}: missing; copy the model folder again")
        if sha256(path / name) != expected:
            raise ModelError(f"{path / name}: damaged (its SHA-256 differs from SHA256.json); copy the folder again")


def _write_weights(module: nn.Module | dict[str, torch.Tensor], path: Path, dtype: torch.dtype) -> None:
    tensors = module.state_dict() if isinstance(module, nn.Module) else module
    stored = {name: value.detach().to("cpu", dtype).contiguous() for name, value in tensors.items()}
    write_atomically(path, lambda file: save_file(stored, file))


def _read_weights(module: nn.Module, path: Path) -> None:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: can't be read: {error}") from error
    try:
        module.load_state_dict({name: value.float() for name, value in tensors.items()})
    except RuntimeError as error:
        raise ModelError(f"{path}: the weights don't fit model.json: {str(error).splitlines()[-1].strip()}") from error
