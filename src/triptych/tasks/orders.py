"""Orders -> pictures: every way of drawing in plain values, alike in a file, in a picture's metadata and in a call."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from triptych.errors import ConfigError, TriptychError
from triptych.files import sha256
from triptych.media import image
from triptych.results import Picture
from triptych.tasks.canvas import Partial, Progress, paint
from triptych.tasks.common import Model
from triptych.tasks.complete import complete
from triptych.tasks.draw import draw
from triptych.tasks.edit import edit
from triptych.tasks.inpaint import inpaint, outpaint
from triptych.tasks.request import Request, checked
from triptych.tasks.settings import DrawSettings, usual
from triptych.tasks.vary import vary

VERBS: dict[str, tuple[Callable[..., Request], tuple[str, ...]]] = {
    "draw": (draw, ("images",)),
    "complete": (complete, ("image", "keep", "codes")),
    "inpaint": (inpaint, ("image", "mask", "box")),
    "outpaint": (outpaint, ("image", "left", "top", "right", "bottom")),
    "vary": (vary, ("image", "strength")),
    "edit": (edit, ("image",)),
}
NUMBERS = {"keep": float, "strength": float, **dict.fromkeys(("left", "top", "right", "bottom"), int)}


@dataclass(frozen=True)
class Order:
    """What to draw, and from what.

    Args:
        text: what to draw, or the instruction.
        seed: of its random numbers.
        settings: how.
        verb: one of VERBS.
        inputs: what the verb takes besides, by name; media may be files, arrays or Pillow images.
    """

    text: str = ""
    seed: int = 0
    settings: DrawSettings = field(default_factory=DrawSettings)
    verb: str = "draw"
    inputs: Mapping[str, Any] = field(default_factory=dict)


def order_of(values: Mapping[str, Any], folder: Path = Path()) -> Order:
    """An order from plain values, as a line of a file holds them.

    Args:
        values: `prompt`, `seed`, `verb`, the verb's inputs, and settings, by name; what is None or "" is left out.
        folder: where the files of the inputs lie.

    Raises:
        ConfigError: an unknown name, or a value of a wrong form.
    """
    given = {str(name): value for name, value in values.items() if value is not None and value != ""}
    verb = str(given.pop("verb", "draw"))
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        raise ConfigError(f"verb={verb!r}: {f'did you mean {near[0]!r}?' if near else f'give {_or(VERBS)}'}")
    text, seed = str(given.pop("prompt", "")), given.pop("seed", 0)
    try:
        seed = int(seed)
        if not 0 <= seed < 2**62:
            raise ValueError
    except (TypeError, ValueError):
        raise ConfigError(f"seed={seed!r}: give a whole number from 0") from None
    inputs = {name: _input(name, given.pop(name), folder) for name in VERBS[verb][1] if name in given}
    return Order(text, seed, usual(verb).changed(given), verb, inputs)


def fulfil(
    model: Model,
    orders: Sequence[Order],
    *,
    progress: Progress | None = None,
    partial: Partial | None = None,
) -> Iterator[tuple[int, Picture | TriptychError]]:
    """Draw orders, those of one size side by side in full batches.

    Args:
        model: what draws.
        orders: what to draw.
        progress: called with (done, all).
        partial: called with pictures so far; see tasks.canvas.

    Yields:
        each order's number and its picture, as soon as it is there, in any order; or what is wrong with it: the others
        are drawn all the same.
    """
    requests: list[tuple[int, Request]] = []
    for number, order in enumerate(orders):
        try:
            requests.append((number, checked(model, _request(model, order))))
        except TriptychError as error:
            yield number, error
    numbers = [number for number, _ in requests]
    shown = partial and (lambda place, pixels, share: partial(numbers[place], pixels, share))
    for place, pixels, plan in paint(model, [r for _, r in requests], progress=progress, partial=shown):
        yield numbers[place], picture_of(model, orders[numbers[place]], pixels, plan)


def picture_of(model: Model, order: Order, pixels: np.ndarray, plan: str = "") -> Picture:
    """What an order's pixels uint8 (Y, X, 3) become: a picture that knows how it was made."""
    inputs = _noted(order.inputs)
    return Picture(pixels, order.text, order.seed, asdict(order.settings), model.label, order.verb, inputs, plan)


def again(path: Path | str, changes: Mapping[str, Any]) -> tuple[Order, str]:
    """The order that a picture's metadata holds, with some values changed, and the label of the model that drew it.

    Args:
        path: a picture that `Picture.save` wrote with its metadata.
        changes: values as `order_of` takes them, for those to change.

    Raises:
        MediaError: not a picture. ConfigError: it keeps no metadata, or a picture that it was made from is missing or
            another one by now.
    """
    kept = image.read_metadata(path)
    try:
        values: dict[str, Any] = {"prompt": kept["prompt"], "seed": int(kept["seed"]), **json.loads(kept["settings"])}
        task = json.loads(kept.get("task", "{}"))
        values |= {"verb": task.get("verb", "draw"), **task.get("inputs", {})}
    except (KeyError, ValueError, TypeError, AttributeError):
        raise ConfigError(f"{path}: keeps no record of how it was drawn: give a picture that triptych drew") from None
    values |= changes
    for name, value in values.items():
        values[name] = [_found(path, v) for v in value] if isinstance(value, list) else _found(path, value)
    return order_of(values), kept.get("model", "")


def _request(model: Model, order: Order) -> Request:
    make, names = VERBS[order.verb]
    missing = [
        name for name in ("image",) if name in names and name not in order.inputs and "codes" not in order.inputs
    ]
    if missing:
        raise ConfigError(f"{order.verb} takes a picture: give image")
    for name in order.inputs:
        if name not in names:
            raise ConfigError(f"{order.verb} takes no {name}: it takes {_or(names)}")
    sized = replace(order.settings, width=0, height=0) != order.settings
    if sized and order.verb != "draw":
        raise ConfigError(f"{order.verb} takes its size from its picture: leave width and height out")
    return make(model, order.text, order.seed, order.settings, **order.inputs)


def _input(name: str, value: Any, folder: Path) -> Any:
    """An input as its task takes it: numbers from texts, files below a folder."""
    if name in NUMBERS:
        try:
            return NUMBERS[name](value)
        except (TypeError, ValueError):
            raise ConfigError(f"{name}={value!r}: give a number") from None
    if name == "box":
        parts = value.replace(",", " ").split() if isinstance(value, str) else value
        try:
            return [int(part) for part in parts]
        except (TypeError, ValueError):
            raise ConfigError(f"box={value!r}: give left, top, right and bottom in pixels") from None
    if name == "codes":
        return np.array(value)
    if name == "images":
        return tuple(folder / v if isinstance(v, str) else v for v in ([value] if isinstance(value, str) else value))
    return folder / value if isinstance(value, str) else value


def _noted(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as plain values: files by name and hash, other media by their shape alone."""

    def plain(value: Any) -> Any:
        if isinstance(value, str | Path):
            return {"file": str(value), "sha256": sha256(value)} if Path(value).is_file() else str(value)
        if isinstance(value, np.ndarray | Image.Image):
            return {"array": list(np.asarray(value).shape)}
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    return {name: plain(value) for name, value in inputs.items()}


def _found(path: Path | str, value: Any) -> Any:
    """A noted input as an order takes it."""
    if not isinstance(value, dict):
        return value
    if "file" not in value:
        raise ConfigError(f"{path}: was made from a picture that was no file, so it can't be drawn again")
    file = Path(value["file"])
    if not file.is_file():
        raise ConfigError(f"{file}: is missing, and {path} was made from it")
    if sha256(file) != value.get("sha256"):
        raise ConfigError(f"{file}: is not the file any more that {path} was made from")
    return str(file)


def _or(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(names)
