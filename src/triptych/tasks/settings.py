"""How pictures are drawn: the defaults of the whole package, and what each setting means. Light: imports no torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, TypedDict

from triptych.errors import ConfigError

WINDOWS = {"exact": 1, "speculative": 7, "parallel": 1}  # positions at once, in raster order
FRAMINGS, MOST_FRAMINGS = 4, 5  # in which a clip is read for a text or for where things are: see docs/log.md
PLANS = ("auto", "none")  # else a plan
PICTURES_ONLY = ("width", "height", "best_of", "passes", "plan")  # settings that films don't have
LARGEST = 4096  # pixels of a side


def checked_framings(count: int) -> int:
    """A number of framings that clips can be read in; else ConfigError."""
    if not 1 <= count <= MOST_FRAMINGS:
        raise ConfigError(f"framings={count}: clips are read in 1 to {MOST_FRAMINGS} framings")
    return count


def _setting(default: Any, help: str, legal: str) -> Any:
    """A field with its help for the command line and the words that an illegal value is refused with."""
    return field(default=default, metadata={"help": help, "legal": legal})


@dataclass(frozen=True)
class DrawSettings:
    """How pictures are drawn; see also generate.sample.Sampling.

    Raises:
        ConfigError: a value is out of range; the message names the setting, the value and what is allowed.
    """

    guidance: float = _setting(
        2.0,
        "1 is none; more follows the text more closely (arXiv 2207.12598).",
        "a number from 0",
    )
    ramp: float = _setting(
        0.25, "Share of the picture over which guidance grows from 1; 0 holds it level.", "a number from 0 to 1"
    )
    temperature: float = _setting(
        0.5,
        "Below 1 is safer, above 1 bolder; 0 takes the likeliest; 0.3 in edits.",
        "a number from 0",
    )
    top_k: int = _setting(0, "Draw only from the k likeliest codes; 0 takes all.", "a whole number from 0")
    top_p: float = _setting(
        0.9, "Draw only from the likeliest codes that together reach p; 1 takes all.", "a number above 0, at most 1"
    )
    negative: str = _setting("", "A text to keep away from: guidance leads from it to the text.", "a text")
    best_of: int = _setting(
        1,
        "Candidates for each picture, of which one is kept: the one that the model reads its text and its own plan off "
        "most surely, or that fits given parts best; 8 from a text or earlier views alone.",
        "a whole number from 1 to 256",
    )
    decode: str = _setting(
        "exact",
        "`exact` draws one position after another, `speculative` guesses several ahead: the same pictures in fewer "
        "steps. `parallel` draws in any order, given parts first, several positions at once, in so many `passes`.",
        " or ".join(WINDOWS),
    )
    passes: int = _setting(
        16,
        "Passes of `parallel`: fewer are faster and worse, since what is drawn at once doesn't know of each other.",
        "a whole number from 1 to 256",
    )
    width: int = _setting(
        0, "Pixels; 0 takes the model's own. Larger pictures are drawn in tiles.", f"a whole number from 0 to {LARGEST}"
    )
    height: int = _setting(0, "Pixels; 0 takes the model's own.", f"a whole number from 0 to {LARGEST}")
    plan: str = _setting(
        "auto",
        "What is to stand where: `auto` lets a model that has learned it write a plan of the text first, `none` draws "
        "without; or a plan, in words and boxes (left, top, right, bottom in percent): 'small red ball 10 40 30 60; "
        "...'",
        "auto, none, or things with their boxes",
    )

    def __post_init__(self) -> None:
        ranges = {
            "guidance": self.guidance >= 0,
            "ramp": 0 <= self.ramp <= 1,
            "temperature": self.temperature >= 0,
            "top_k": self.top_k >= 0,
            "top_p": 0 < self.top_p <= 1,
            "best_of": 1 <= self.best_of <= 256,
            "decode": self.decode in WINDOWS,
            "passes": 1 <= self.passes <= 256,
            "width": 0 <= self.width <= LARGEST,
            "height": 0 <= self.height <= LARGEST,
        }
        for setting in fields(self):
            if not ranges.get(setting.name, True):
                value = getattr(self, setting.name)
                raise ConfigError(f"{setting.name}={value!r}: give {setting.metadata['legal']}")
        if not self.plan.strip(" ;；\n"):
            object.__setattr__(self, "plan", "none")  # an empty plan, as a picture without one tells it
        if self.plan not in PLANS:
            from triptych.sequence.plan import parse  # reads no more than text, but brings numpy

            try:
                parse(self.plan)
            except ValueError as error:
                raise ConfigError(f"plan: {error}") from None

    @property
    def window(self) -> int:
        """Positions that go through the network at once, in raster order; see generate.engine."""
        return WINDOWS[self.decode]

    @property
    def any_order(self) -> int:
        """Passes in any order; 0 for raster order."""
        return self.passes if self.decode == "parallel" else 0

    def changed(self, values: Mapping[str, Any]) -> DrawSettings:
        """These settings with some changed; texts, as a CSV file or a picture's metadata hold them, become numbers.

        Raises:
            ConfigError: an unknown name, with the nearest known one, or a value that is no such setting.
        """
        known = {setting.name: setting for setting in fields(self)}
        new: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"settings: {', '.join(known)}"
                raise ConfigError(f"no setting {name!r}: {hint}")
            kind = {"float": float, "int": int, "str": str}[str(known[name].type)]
            try:
                if isinstance(value, bool) or (kind is int and isinstance(value, float) and value != int(value)):
                    raise ValueError
                new[name] = kind(value)
            except (TypeError, ValueError, OverflowError):
                raise ConfigError(f"{name}={value!r}: give {known[name].metadata['legal']}") from None
        return replace(self, **new)


def usual(verb: str = "draw") -> DrawSettings:
    """The defaults of a verb. Edits keep nearer to the likeliest: most of it is to stay as it was, and what only a text
    asks for isn't. Of what a text or earlier views ask for the best of several is kept."""
    if verb == "edit":
        return DrawSettings(temperature=0.3)
    return DrawSettings(best_of=8 if verb == "draw" else 1)


class Drawing(TypedDict, total=False):
    """The fields of DrawSettings as keyword arguments; what each means and its default stand there."""

    guidance: float
    ramp: float
    temperature: float
    top_k: int
    top_p: float
    negative: str
    best_of: int
    decode: str
    passes: int
    width: int
    height: int
    plan: str


@dataclass(frozen=True)
class PredictSettings:
    """How futures are drawn; see generate.sample.Sampling. These are the defaults of the whole package."""

    guidance: float = 1.0
    temperature: float = 0.3
    top_k: int = 0
    top_p: float = 0.9
    plan: Literal["auto", "none"] = "auto"

    def __post_init__(self) -> None:
        if self.plan not in PLANS:
            raise ConfigError(f"plan={self.plan!r}: futures are planned by the model (auto) or not at all (none)")

    @property
    def sampling(self) -> dict[str, Any]:
        """What the engine takes of them."""
        return {name: value for name, value in asdict(self).items() if name != "plan"}
