"""Requests -> pictures: what draw, complete, inpaint, vary and edit have in common.

Each of them is a prompt and a canvas: a map of codes of which some are given and the others are to be drawn. A canvas
larger than the model's own pictures is drawn in tiles, from the upper left on; what of a tile stands on its neighbours
before it is given to it, by the same means as codes that the user gives.

Y, X rows and columns of codes; y, x rows and columns of a tile.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from triptych.generate.engine import UNKNOWN
from triptych.generate.grammar import DrawMap
from triptych.generate.sample import Sampling
from triptych.model.cache import STEP
from triptych.sequence import plan as plans
from triptych.sequence import spell
from triptych.sequence.layout import Builder, Row
from triptych.tasks import kept, planning, verifying
from triptych.tasks.common import BATCH, Medium, Model, chunks, language_of, sampling
from triptych.tasks.request import Request
from triptych.tasks.settings import PLANS

AROUND = 1  # codes around what an edit changes that change with it: shadows and reflections
OVERLAP = 3 / 7  # of a tile's side that lies on its neighbour
VERIFIED = 4.0  # weight of what the verifier sees, in the choice among candidates (docs/log.md)
READ = 0.25  # and of what a thing gains in being read: boxes are read by the pixel, which says little of what is right
BLANK = 127  # grey of what is not drawn yet
Progress = Callable[[int, int], None]
Partial = Callable[[int, np.ndarray, float], None]
"""Called with a picture's number, its pixels so far uint8 (Y, X, 3), and the share (0 to 1) that is drawn."""


@dataclass
class Candidate:
    """One drawing of a request: `things` are its plan; `fit` is the log-probability of the given codes among those
    drawn before them."""

    number: int
    request: Request
    seed: int
    first: bool
    prompt: Row
    canvas: np.ndarray
    things: tuple[plans.Thing, ...] = ()
    given: np.ndarray = field(init=False)
    fit: float = 0.0

    def __post_init__(self) -> None:
        self.given = self.canvas != UNKNOWN


def paint(
    model: Model,
    requests: Sequence[Request],
    *,
    progress: Progress | None = None,
    partial: Partial | None = None,
) -> Iterator[tuple[int, np.ndarray, str]]:
    """Draw requests, those of one size side by side in full batches.

    Args:
        model: what draws.
        requests: what to draw, as `checked` gives them.
        progress: called with (done, all) positions.
        partial: called with each picture so far whenever another line of codes is there; of several candidates, with
            the first.

    Yields:
        each request's number, its pixels uint8 and its plan, as soon as they are there, in any order.
    """
    waiting: dict[tuple[object, ...], list[Candidate]] = {}
    for candidate in (c for number, request in enumerate(requests) for c in _candidates(model, number, request)):
        # Long prompts share a batch with their like alone, so that attention rounds as it does for each by itself.
        length = len(candidate.prompt) + 2 * model.codes**2 // model.gpt.config.slots
        # In any order each row has as many passes as its own canvas asks for, so only like canvases go together.
        settings = candidate.request.settings
        like = settings.any_order, candidate.given.tobytes() if settings.any_order else b""
        kind = (candidate.canvas.shape, settings.decode, length if length > STEP else 0, *like)
        waiting.setdefault(kind, []).append(candidate)
    parts = [part for candidates in waiting.values() for part in chunks(candidates, BATCH)]
    places = [tiles(part[0].canvas.shape, model.codes, model.gpt.config.group) for part in parts]
    drawn: dict[int, list[Candidate]] = {}
    done, total = 0, sum(map(len, places))
    for part, its in zip(parts, places, strict=True):
        _plan(model, part)
        for place in its:
            _draw(model, part, place, done, total, progress, partial)
            done += 1
        for candidate in part:
            drawn.setdefault(candidate.number, []).append(candidate)
        whole = [n for n, found in drawn.items() if len(found) == requests[n].candidates]
        chosen = [_best(model, drawn.pop(n)) for n in whole]
        for candidate in chosen:
            request = candidate.request
            pixels, held = model.paint([candidate.canvas])[0], request.kept
            if request.before is not None:
                held = kept.unchanged(request.before, candidate.canvas, model.bundle.info.visual.stride)
            if request.original is not None and held is not None:
                pixels = kept.merged(pixels, request.original, held)
            yield candidate.number, pixels, plans.write(candidate.things)


def tiles(shape: tuple[int, ...], side: int, group: int) -> list[tuple[slice, slice]]:
    """Parts of a map (Y, X) of at most side x side codes, from the upper left on, that overlap and cover it.

    >>> [(part[0].start, part[1].start) for part in tiles((14, 28), 14, 2)]
    [(0, 0), (0, 8), (0, 14)]
    """

    def starts(length: int) -> list[int]:
        if length <= side:
            return [0]
        overlap = max(group, round(side * OVERLAP / group) * group)
        count = math.ceil((length - overlap) / (side - overlap))
        return sorted({min(length - side, round(s / group) * group) for s in np.linspace(0, length - side, count)})

    return [
        (slice(top, min(top + side, shape[0])), slice(left, min(left + side, shape[1])))
        for top in starts(shape[0])
        for left in starts(shape[1])
    ]


def derived(seed: int, *salt: object) -> int:
    """Another seed, the same for the same seed and salt."""
    text = "/".join(map(str, (seed, *salt)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 2


def _candidates(model: Model, number: int, request: Request) -> Iterator[Candidate]:
    assert request.codes is not None
    prompt = _prompt(model, request.text, request.views)
    for place in range(request.candidates):
        seed = derived(request.seed, "candidate", place) if place else request.seed
        yield Candidate(number, request, seed, not place, prompt, request.codes.copy())


def _plan(model: Model, candidates: Sequence[Candidate]) -> None:
    """Give candidates the plan of their settings, or let the model write one where nothing but a text, or pictures that
    come before, says what is to stand where."""
    told: list[Candidate] = []
    sure: list[Candidate] = []
    for candidate in candidates:
        request, settings = candidate.request, candidate.request.settings
        if settings.plan not in PLANS:
            candidate.things = plans.parse(settings.plan)
            continue
        verb = "draw" if not request.views else "edit" if request.guided_from_views else "view"
        single = len(tiles(candidate.canvas.shape, model.codes, model.gpt.config.group)) == 1
        free = single and not candidate.given.any() and not settings.any_order and (request.text or request.views)
        if free and settings.plan == "auto" and planning.is_learned(model, verb):
            (sure if request.views else told).append(candidate)
    prompts = [planning.prompt(model, c.request.text, c.request.views) for c in told]
    how = [
        Sampling(
            min(planning.TEMPERATURE, c.request.settings.temperature),
            top_p=planning.TOP_P,
            seed=derived(c.seed, "plan"),
        )
        for c in told
    ]
    for candidate, things in zip(told, planning.write(model, prompts, how), strict=True):
        candidate.things = things
    _plan_surely(model, sure)
    _hold(model, [candidate for candidate in sure if candidate.request.guided_from_views])


def _likeliest(model: Model, prompts: Mapping[int, Row]) -> dict[int, tuple[plans.Thing, ...]]:
    written = planning.write(model, list(prompts.values()), [Sampling(0.0)] * len(prompts))
    return dict(zip(prompts, written, strict=True))


def _plan_surely(model: Model, candidates: Sequence[Candidate]) -> None:
    """Give edits and next views the likeliest plan, the same for all candidates of a request.

    An instruction says what changes, and a scene stands still: drawn from, a plan would move the rest (docs/log.md).
    """
    asks = {c.number: c.request for c in candidates}
    planned = _likeliest(model, {n: planning.prompt(model, r.text, r.views) for n, r in asks.items()})
    for candidate in candidates:
        candidate.things = planned[candidate.number]


def _hold(model: Model, candidates: Sequence[Candidate]) -> None:
    """Give edits the codes of their picture where their plan leaves everything as the model reads it off the picture.

    Where the two plans tell no change, as of the floor, all is drawn anew.
    """
    read: dict[int, tuple[plans.Thing, ...]] = {}
    if planning.is_learned(model, "things"):
        asks = {c.number: c.request for c in candidates}
        prompts = {n: planning.reading(model, r.views[-1], language_of(r.text)) for n, r in asks.items()}
        read = _likeliest(model, prompts)
    for candidate in candidates:
        changes = plans.changed(read.get(candidate.number, ()), candidate.things)
        rows, columns = candidate.canvas.shape
        drawn = plans.covered(changes, rows, columns, AROUND)
        if read and drawn.any() and candidate.request.before is not None:
            candidate.canvas = np.where(drawn, UNKNOWN, candidate.request.before)
            candidate.given = ~drawn


def _prompt(model: Model, text: str, views: Sequence[Medium]) -> Row:
    return _begun(model, text, views).finish()


def _begun(model: Model, text: str, views: Sequence[Medium]) -> Builder:
    builder = model.begin()
    for view in views:
        model.show(builder, view)
    return spell.draw_prompt(builder, model.encode(text))


def _draw(
    model: Model,
    part: Sequence[Candidate],
    place: tuple[slice, slice],
    done: int,
    tiles: int,
    progress: Progress | None,
    partial: Partial | None,
) -> None:
    """Fill one tile of the canvases of candidates; it is number `done` of so many `tiles` of all parts."""
    given = [c.canvas[place].copy() for c in part]
    if all((codes != UNKNOWN).all() for codes in given):
        return
    settings, group = part[0].request.settings, model.gpt.config.group
    outputs = model.engine.generate(
        [_by_plan(model, c, place) for c in part],
        [DrawMap(given[0].shape[0] // group, given[0].shape[1] // group, settings.any_order)],
        [_sampling(c, place) for c in part],
        unconditional=[
            _prompt(model, c.request.settings.negative, c.request.views if c.request.guided_from_views else ())
            for c in part
        ],
        given=[[codes] for codes in given],
        window=settings.window,
        progress=progress and (lambda drawn, all_: progress(done * all_ + drawn, tiles * all_)),
        watch=partial and (lambda maps: _show(model, part, place, maps, partial)),
    )
    for candidate, output in zip(part, outputs, strict=True):
        candidate.canvas[place] = output.maps[0]
        candidate.fit += float(output.nats[0][candidate.given[place]].sum())


def _by_plan(model: Model, candidate: Candidate, place: tuple[slice, slice]) -> Row:
    """A candidate's prompt with what its plan lays beside a tile."""
    numbers = planning.beside(model, candidate.things, candidate.canvas.shape, place)
    return candidate.prompt if numbers is None else candidate.prompt.by([numbers], model.gpt.config.group)


def _sampling(candidate: Candidate, place: tuple[slice, slice]) -> Sampling:
    request, settings = candidate.request, candidate.request.settings
    corner = (place[0].start, place[1].start)
    seed = derived(candidate.seed, *corner) if any(corner) else candidate.seed
    return sampling(
        settings, seed, conditional=bool(request.text or request.views or settings.negative or candidate.things)
    )


def _best(model: Model, candidates: list[Candidate]) -> Candidate:
    """One of the candidates of a request.

    Where a picture leads to it, it is the one that guidance finds likeliest, since no picture tells an instruction.
    Where codes were given behind drawn ones, candidate i is taken with a probability in proportion to exp(fit_i): as
    candidates grow in number, that draws from the model's own distribution given all that is given, not only what
    stands before (importance resampling; likelihood weighting). Otherwise it is the one off which the model reads its
    text and its own plan most surely (the text tells relations, the plan each thing's looks, whatever their number),
    and whose pixels show its plan most surely. Of these counts what there is: no text, a model that can't read plans,
    no verifier, nothing planned, or a canvas that isn't square, leave some out; without any, it is the first.
    """
    if len(candidates) == 1:
        return candidates[0]
    fits = np.array([candidate.fit for candidate in candidates])
    request = candidates[0].request
    if request.guided_from_views:
        return candidates[int(np.argmax(_guided_nats(model, candidates)))]
    if np.ptp(fits) > 0:
        noise = np.random.default_rng(derived(request.seed, "choice")).gumbel(size=len(fits))
        return candidates[int((fits + noise * (request.settings.temperature > 0)).argmax())]
    rows, columns = candidates[0].canvas.shape
    # The model reads the middle square, in which boxes of a wide canvas would stand elsewhere.
    planned = rows == columns and any(c.things for c in candidates)
    if not request.text and not planned:
        return candidates[0]
    pixels, language = model.paint([c.canvas for c in candidates]), language_of(request.text)
    nats = np.zeros(len(candidates))
    if request.text:
        nats += model.caption_nats(pixels, [request.text] * len(pixels), language)
    if planned:
        planned_by = [candidate.things for candidate in candidates]
        if planning.is_learned(model, "things"):
            gains = planning.read_gains(model, pixels, planned_by, language)
            nats += READ * gains / np.maximum(1, [len(things) for things in planned_by])
        if model.bundle.verifier is not None:
            whole = request.settings.plan in PLANS  # a plan of the user's need not name all looks of a thing
            nats += VERIFIED * _shown(verifying.nats(model, pixels, planned_by, language, whole=whole))
    return candidates[int(np.argmax(nats))]


def _shown(seen: Sequence[np.ndarray]) -> np.ndarray:
    """Nats of candidates by those of their things (things,): float64 (N,).

    What another candidate has more counts as badly as what is shown worst of all, or a plan that forgets a thing would
    seem surer.
    """
    most = max(map(len, seen))
    worst = min((nats.min() for nats in seen if len(nats)), default=0.0)
    return np.array([nats.sum() + worst * (most - len(nats)) for nats in seen])


def _guided_nats(model: Model, candidates: Sequence[Candidate]) -> np.ndarray:
    """Log-likelihoods of candidates of one request as guidance weighs them, up to a constant."""
    request = candidates[0].request
    maps = [model.known_maps(candidate.canvas[None])[0] for candidate in candidates]

    def nats(text: str) -> np.ndarray:
        prompts = [_begun(model, text, request.views) for _ in candidates]
        for prompt, candidate in zip(prompts, candidates, strict=True):
            whole = slice(0, candidate.canvas.shape[0]), slice(0, candidate.canvas.shape[1])
            numbers = planning.beside(model, candidate.things, candidate.canvas.shape, whole) if text else None
            if numbers is not None:
                prompt.plan(numbers)
        return np.array([part.sum() for part in model.code_nats(prompts, maps)])

    without = nats("")
    return without + request.settings.guidance * (nats(request.text) - without)


def _show(
    model: Model, part: Sequence[Candidate], place: tuple[slice, slice], maps: list[np.ndarray], partial: Partial
) -> None:
    stride = model.bundle.info.visual.stride
    first = [(candidate, codes) for candidate, codes in zip(part, maps, strict=True) if candidate.first]
    canvases = []
    for candidate, codes in first:
        canvas = candidate.canvas.copy()
        canvas[place] = np.where(codes == UNKNOWN, canvas[place], codes)
        canvases.append(canvas)
    if not canvases:
        return
    middle = int(model.grid.abs().sum(1).argmin())
    painted = model.paint([np.where(canvas == UNKNOWN, middle, canvas) for canvas in canvases])
    for (candidate, _), canvas, pixels in zip(first, canvases, painted, strict=True):
        unknown = canvas == UNKNOWN
        pixels = np.where(np.kron(unknown, np.ones((stride, stride), bool))[..., None], np.uint8(BLANK), pixels)
        partial(candidate.number, pixels, float(1 - unknown.sum() / max(1, (~candidate.given).sum())))
