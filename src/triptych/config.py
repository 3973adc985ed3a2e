"""Typed settings: defaults <- YAML recipe <- key=value. An unknown key is an error that names its near miss."""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triptych.errors import ConfigError


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values are checked on assignment too."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, use_attribute_docstrings=True)


class VisualTokenizerConfig(Settings):
    """The network between pixels and codes."""

    levels: tuple[Annotated[int, Field(ge=2)], ...] = Field((8, 5, 5, 5), min_length=1)
    """Steps of each latent dimension (FSQ, arXiv 2309.15505); their product is the number of codes."""
    widths: tuple[int, int, int] = (32, 64, 128)
    """Channels at strides 4 (of the decoder), 8 and 16."""
    blocks: int = Field(2, ge=1)
    """Residual blocks at strides 8 and 16."""
    extra: int = Field(0, ge=0)
    """Further residual blocks at strides 8 and 16 of the encoder, 8 and 4 of the decoder. A trained tokenizer (`start`)
    grows by them; it keeps those that it has."""

    stride: Literal[16] = 16
    """Pixels a code spans on each side."""
    span: Literal[4] = 4
    """Frames a code spans in time; a clip has 1 + 4k frames."""

    @property
    def codes(self) -> int:
        """Number of different codes."""
        return math.prod(self.levels)


SEEN = 3  # places whose values a position of a map holds (see `sequence.layout`)
EDGES = 5  # numbers of the box of a planned thing (see `sequence.plan`)
WORDS = 32  # numbers of its words
LAID = EDGES + WORDS
PLACES = 32  # rows, and columns, of groups that the network tells apart by a vector of their own
TICKS = 32  # steps of TICK positions in which it tells apart how far into a sequence a map stands
TICK = 4  # fewer than a map of 224 pixels takes (7), so that each of a clip has a step of its own
READ = ("beside", "placed", "planned", "timed")  # what a network reads besides the values of a place, or doesn't
SPELLING = 2  # 1, which older models learned, counted the rows and columns of a map on from its time


class GPTConfig(Settings):
    """The Transformer. `depth` is the one dial: width, heads and feed-forward sizes follow from it."""

    depth: int = Field(8, ge=1)
    """Layers; the width is 48 a layer, rounded up to a multiple of 64."""
    extra: int = Field(0, ge=0)
    """Further layers, all together, which leave the width as it is. A trained GPT (`start`) grows until it has as many;
    it keeps what it knows."""
    group: Literal[1, 2] = 2
    """Codes that one position holds on each side: 1 (1x1) or 2 (2x2, four codes by the depth head)."""
    head_layers: int = Field(2, ge=1)
    """Layers of the depth head, which predicts the codes of one position one after another."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of each block's output that training drops."""
    vocabulary: int = Field(1024, ge=2)
    """Text and special ids; set from the text tokenizer."""
    codes: int = Field(1000, ge=2)
    """Different visual codes; set from the visual tokenizer."""
    latent: int = Field(4, ge=1)
    """Dimensions of a visual latent; set from the visual tokenizer."""
    beside: bool = True
    """Each position of a map also holds what stood there, and at the next place, in the map before (see
    `sequence.layout`)."""
    placed: bool = True
    """Each position of a map also holds its row and its column, so that what reads it elsewhere knows where it stood:
    rotary positions tell attention how far a place is, but not what is read there."""
    planned: bool = True
    """Each position of a map also holds what is planned for the next place (see `sequence.plan`)."""
    timed: bool = True
    """Each position of a map also holds how far into the sequence the map stands, so that what reads it elsewhere
    knows when it was shown."""
    spelling: int = SPELLING
    """Version of the spelling (see `sequence`) in which it learned; set by the program."""

    @property
    def layers(self) -> int:
        """All layers of the trunk."""
        return self.depth + self.extra

    @property
    def width(self) -> int:
        """D, the width of the residual stream."""
        return -(-self.depth * 48 // 64) * 64

    @property
    def heads(self) -> int:
        """Query heads, 64 wide each."""
        return self.width // 64

    @property
    def kv_heads(self) -> int:
        """Key and value heads: half the query heads where that divides them, else all (grouped attention)."""
        return self.heads // 2 if self.heads % 2 == 0 else self.heads

    @property
    def hidden(self) -> int:
        """Inner width of the feed-forward layers (SwiGLU, about 8/3 of the width)."""
        return _feed_forward(self.width)

    @property
    def slots(self) -> int:
        """G, codes a position."""
        return self.group * self.group

    @property
    def parts(self) -> tuple[int, int, int, int, int]:
        """Numbers of one position of a map that the network reads: its own values, those beside it, its plan, its
        place, its time."""
        own = self.slots * self.latent
        beside, planned = own * (SEEN - 1) * self.beside, self.slots * LAID * self.planned
        return own, beside, planned, 2 * PLACES * self.placed, TICKS * self.timed

    @property
    def laid(self) -> int:
        """Numbers of one position as `sequence.layout` lays them, whether the network reads them or not."""
        return self.slots * (SEEN * self.latent + LAID)

    @property
    def inputs(self) -> int:
        """All of these."""
        return sum(self.parts)

    @property
    def head_width(self) -> int:
        """Width of the depth head."""
        return max(64, self.width * 2 // 3 // 64 * 64)

    @property
    def head_hidden(self) -> int:
        """Inner width of the depth head's feed-forward layers."""
        return _feed_forward(self.head_width)

    @property
    def cache_bytes(self) -> int:
        """Bytes of keys and values, as float32, that a position takes in all layers."""
        return 2 * self.layers * self.kv_heads * 64 * 4


def _feed_forward(width: int) -> int:
    return -(-width * 8 // 3 // 64) * 64


class OptimConfig(Settings):
    """How weights move."""

    optimizer: Literal["adamw", "muon"] = "muon"
    """`muon` moves hidden matrices by Muon and all else by AdamW; `adamw` moves all by AdamW."""
    lr: float = Field(2e-3, gt=0)
    """Peak learning rate of AdamW."""
    muon_lr: float = Field(1e-2, gt=0)
    """Peak learning rate of Muon."""
    weight_decay: float = Field(0.02, ge=0)
    """Decoupled weight decay, on matrices only."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's decay rates."""
    warmup: int = Field(100, ge=0)
    """Steps of linear warm-up."""
    decay: float = Field(0.5, ge=0, le=1)
    """Share of the run, at its end, in which the rate falls linearly to zero."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    ema: float = Field(0.999, ge=0, lt=1)
    """Decay of the averaged weights that are validated and exported; 0 keeps none."""


class RunConfig(Settings):
    """One training run, of one part of a model."""

    kind: Literal["tokenizer", "gpt", "retrieval", "verifier", "namer", "mover"]
    """What is trained."""
    data: Path
    """Folder that `triptych prepare` wrote; of kind mover, one that holds motions.jsonl."""
    more: list[Path] = []
    """Further such folders, of media that came later, to learn from too (not kind tokenizer). Those of a GPT or a
    head for retrieval are cut by the same tokenizer (`triptych prepare FOLDER OUT --tokenizer DATA/tokenizers`)."""
    out: Path
    """Folder of the run: checkpoints, curves, samples, and the exported model."""
    start: str | None = None
    """Name or folder of a model to start from (fine-tuning); its tokenizers are kept, but for the visual one where that
    is what trains (kind: tokenizer) or where `new_codes` is set."""
    new_codes: bool = False
    """Whether the data's visual tokenizer may take the place of the one that `start` reads, if it has the same levels
    (kind: gpt): one that was trained on. All weights of the GPT are kept; what codes mean it learns by training."""
    blend: float = Field(1.0, gt=0, le=1)
    """Share of the trained weights in those that are validated and exported; the rest are those of `start` (kind: gpt).
    Between the two often lies a network that is better than either (WiSE-FT, arXiv 2109.01903). A run that has ended
    exports anew when its command is given again with another share."""
    steps: int = Field(2000, ge=1)
    """Optimiser steps."""
    minutes: float | None = Field(None, gt=0)
    """If given, the schedule follows the clock and ends after so many minutes (not bit-repeatable)."""
    batch: int = Field(16, ge=1)
    """Rows a step."""
    seed: int = Field(0, ge=0)
    """Of initial weights, data order and dropout."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: cuda where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; `auto` is bf16 on cuda and on a CPU with AMX, else fp32. Some other CPUs
    train twice as fast in bf16, some slower: `--dry-run` times a step."""
    compile: bool = False
    """Compile the network by torch.compile."""
    workers: int = Field(2, ge=0)
    """Processes that prepare batches."""
    log_every: int = Field(20, ge=1)
    """Steps between lines of the log."""
    validate_every: int = Field(500, ge=1)
    """Steps between validations and samples."""
    checkpoint_every: int = Field(500, ge=1)
    """Steps between checkpoints."""
    keep: int = Field(2, ge=1)
    """Checkpoints kept."""
    optim: OptimConfig = Field(default_factory=OptimConfig)
    """How weights move."""
    visual: VisualTokenizerConfig = Field(default_factory=VisualTokenizerConfig)
    """The visual tokenizer's network (kind: tokenizer)."""
    gpt: GPTConfig = Field(default_factory=GPTConfig)
    """The Transformer (kind: gpt)."""
    pairs: int = Field(16_000, ge=16)
    """Media whose vectors the head learns from (kind: retrieval); clips first, since they are fewer."""
    perceptual: float = Field(0.5, ge=0)
    """Weight of the perceptual loss (kind: tokenizer); 0 needs no feature network."""
    detail: float = Field(0.0, ge=0)
    """How much more pixels count whose surroundings vary: edges, small things, gloss (kind: tokenizer)."""
    steady: float = Field(0.0, ge=0)
    """Weight of codes that hold still when something else in the picture changes (kind: tokenizer); for a second run,
    from a tokenizer that has learned: at the beginning it keeps codes from coming apart."""
    decoder_only: bool = False
    """Train the decoder alone (kind: tokenizer, with `start`): codes, and what a GPT has learned of them, stay what
    they are, and pictures become better at once."""
    reread: float = Field(0.0, ge=0)
    """Weight of what the encoder reads of a drawn medium: it is to find there what it found in the original (kind:
    tokenizer). It tells what pixels weigh too little, as gloss, which tells metal from plastic."""
    critic: float = Field(0.0, ge=0)
    """Weight of a critic that learns to tell drawn media from real ones (kind: tokenizer), as the ratio of its gradient
    to that of the other losses; makes edges and gloss crisp. For a tokenizer that has learned, best with
    `decoder_only`."""
    crop: int = Field(0, ge=0, multiple_of=16)
    """Side of the square that training cuts out of each medium; 0 takes it whole (kind: tokenizer)."""
    cached: bool = False
    """Decode the media once, into files beside the prepared data, instead of at each step (kind: tokenizer): a GPU
    would wait for the decoders most of the time. 147 KiB a picture of 224 pixels, 2.4 MiB a clip; of a clip longer
    than its window of 17 frames, the first window."""
    perceptual_crop: int = Field(128, ge=32)
    """Side of the random square that the perceptual loss looks at (kind: tokenizer)."""
    clip_share: float = Field(0.25, ge=0, le=1)
    """Share of a batch's frames that come as clips, where the data has clips (kind: tokenizer)."""
    mix: dict[str, float] = Field(default_factory=dict)
    """Rows of each spelling in a batch, as weights by name (kind: gpt); empty takes all, drawing most."""
    drop: float = Field(0.1, ge=0, le=1)
    """Share of drawing rows whose condition is dropped, for guidance (kind: gpt)."""
    summary: float = Field(0.0, ge=0)
    """Weight of predicting, at each code that is drawn, which codes are still to come (kind: gpt); binds words to what
    they name much earlier. 0 leaves it out."""
    prompts: list[str] = Field(default_factory=list)
    """Texts drawn at each validation; empty takes captions of the validation data (kind: gpt)."""


S = TypeVar("S", bound=Settings)


def load_settings(kind: type[S], recipe: Path | str | None = None, overrides: list[str] | None = None) -> S:
    """Build settings from a YAML recipe and `key=value` overrides; nested keys are written `optim.lr=1e-3`.

    Errors: ConfigError that names the file or the override, the key, and the nearest valid key.
    """
    values: dict[str, Any] = {}
    if recipe is not None:
        try:
            loaded = yaml.safe_load(Path(recipe).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ConfigError(f"{recipe}: no such recipe") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{recipe}: not a readable recipe: {error}") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{recipe}: not valid YAML: {error}") from error
        if not isinstance(loaded, dict):
            raise ConfigError(f"{recipe}: a recipe is a mapping of keys to values, not {type(loaded).__name__}")
        values = loaded
    for override in overrides or []:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"{override!r}: an override is written key=value")
        place = values
        *outer, last = key.split(".")
        for part in outer:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{override!r}: {part!r} holds a value, not a group of keys")
        try:
            place[last] = yaml.safe_load(_yaml_number(text))
        except yaml.YAMLError as error:
            raise ConfigError(f"{override!r}: the value is not valid YAML: quote it") from error
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        where = str(recipe) if recipe is not None else "settings"
        raise ConfigError(f"{where}: " + "; ".join(_explain(kind, item) for item in error.errors())) from error


def _yaml_number(text: str) -> str:
    # YAML 1.1 reads 1e-3 as a string, since it wants a dot in floats.
    try:
        float(text)
    except ValueError:
        return text
    return text if text.lstrip("+-").isdigit() else repr(float(text))


def _explain(kind: type[Settings], item: Any) -> str:
    path = [str(part) for part in item["loc"]]
    key = ".".join(path)
    if item["type"] != "extra_forbidden":
        return f"{key}={item['input']!r}: {item['msg']}" if item["type"] != "missing" else f"{key} is missing"
    fields = kind.model_fields
    for part in path[:-1]:
        inner = fields[part].annotation
        if isinstance(inner, type) and issubclass(inner, Settings):
            fields = inner.model_fields
    near = difflib.get_close_matches(path[-1], fields, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(fields)}"
    return f"unknown key {key!r}; {hint}"
