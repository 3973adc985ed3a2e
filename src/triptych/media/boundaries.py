"""Where one shot gives way to the next: cuts, dissolves and fades, found as the frames come, in constant memory.

Frames are looked at very small (`SIZE`), many a second. What tells a cut from motion is what motion can't explain: each
block of a frame is looked for near its place in the frame before, and what is left over is the change. A cut is a
change that stands out from those around it and lasts, as a flash doesn't. A dissolve is a stretch whose frames are
mixtures of its first and its last one, in shares that grow evenly; motion makes no such mixtures. Shares that grow
while the picture stays the same but for its brightness are a change of light.
Sources: block matching and a threshold by the neighbours as in Yusoff, Christmas, Kittler, "Video shot cut detection
using adaptive thresholding", 2000; the linear model of dissolves of Zhang, Kankanhalli, Smoliar, "Automatic
partitioning of full-motion video", 1993.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SIZE = (32, 18)  # width and height at which frames are looked at, whatever their shape
RATE = 24.0  # frames a second that are looked at, about
DELAY = 1.0  # seconds by which a boundary may be told late
BLOCK = (3, 4)  # rows and columns of a block
REACH = (2, 3)  # rows and columns that a block may move from a frame to the next
FAR = (3, 5)  # and from the first frame of a dissolve to its last
CHROMA = 0.6  # weight of a difference of colour against one of brightness
MOST = 60.0  # what a block counts at most: something small that leaps is no cut
CUT = 18.0  # change in a cut at least, of 255 for each channel, channels added
STANDS_OUT = 1.6  # times as large as the changes around it
AROUND = 0.3  # seconds around a cut that it must stand out from
LASTS = 0.17  # seconds that a cut must last, longer than a flash
MIXED = 20.0  # change between the ends of a dissolve, at least
LENGTHS = (0.3, 0.38, 0.46, 0.54, 0.63, 0.75, 0.87, 1.0, 1.2, 1.4, 1.65)  # seconds of dissolves that are tried
EVEN = 0.09  # mean deviation of the shares of a dissolve from an even growth, at most
INNER = 8  # frames of a dissolve that are compared, about
RESIDUE = 0.8  # part of the change that the mixtures leave unexplained, at most
PALER = 0.8  # part of the contrast that mixtures lose, at least; what moves or grows keeps its own
ROOM = 0.5  # seconds below which motion has less time to leave anything unexplained
LIGHT = 0.9  # correlation from which on a change is one of light
FLAT = 6.0  # deviation below which a picture shows nothing: fades lead there and back
WAIT = 0.13  # seconds without a mixture after which a dissolve has ended
SHORTEST = 0.5  # seconds between two boundaries, at least


@dataclass(frozen=True)
class _Look:
    time: float
    planes: np.ndarray  # float32 (Y, X, 3): brightness, two differences of colour
    change: float  # what motion doesn't explain of the difference from the look before

    @property
    def flat(self) -> bool:
        return float(self.planes.std((0, 1)).max()) < FLAT


@dataclass(frozen=True)
class _Mixture:
    """A stretch that looks like a dissolve: how surely, from when to when, and whether it ends in a shot."""

    strength: float
    start: float
    end: float
    begins: bool


class Boundaries:
    """Looks at the frames of a clip one by one.

    Attributes:
        settled: seconds up to which all boundaries have been told.
    """

    def __init__(self) -> None:
        self.settled = -np.inf
        self._looks: deque[_Look] = deque()
        self._judged = -np.inf  # up to where cuts were looked for
        self._last = -np.inf  # the last boundary
        self._from = -np.inf  # where its transition ended
        self._best: _Mixture | None = None  # the surest of a run of mixtures, and when the last of the run was seen
        self._mixed = -np.inf

    def see(self, time: float, pixels: np.ndarray) -> list[float]:
        """Look at the next frame.

        Args:
            time: in seconds; later than that of the frame before.
            pixels: uint8 (Y, X, 3) of `SIZE`.

        Returns:
            seconds at which shots begin, each later than `settled` was.
        """
        planes, looks = _planes(pixels), self._looks
        if not looks:
            self._judged = self._last = time
        looks.append(_Look(time, planes, _change(looks[-1].planes, planes, REACH) if looks else 0.0))
        while time - looks[0].time > LENGTHS[-1] + AROUND + LASTS:
            looks.popleft()
        told = [*self._cuts(time - LASTS), *self._dissolves(time)]
        self.settled = time - DELAY
        return told

    def end(self) -> list[float]:
        """What is still to be told where no frame follows."""
        told = self._tell(self._best)
        self.settled = np.inf
        return told

    def _cuts(self, until: float) -> list[float]:
        told = []
        for place in range(1, len(self._looks)):
            time = self._looks[place].time
            if self._judged < time <= until + 1e-6:
                self._judged = time
                if self._is_cut(place) and time - self._last >= SHORTEST:
                    self._last = self._from = time
                    self._best = None
                    told.append(time)
        return told

    def _is_cut(self, place: int) -> bool:
        here, before = self._looks[place], self._looks[place - 1]
        if here.change < CUT or here.flat:
            return False
        near = [look for look in self._looks if abs(look.time - here.time) <= AROUND + 1e-6]
        if here.change < STANDS_OUT * max((look.change for look in near if look is not here), default=0.0):
            return False
        earlier, later = near[0], self._looks[-1]
        pairs = ((before, later), (earlier, here), (earlier, later))
        return not _same_but_for_light(before, here) and all(
            _change(one.planes, other.planes, REACH) >= CUT for one, other in pairs
        )

    def _dissolves(self, time: float) -> list[float]:
        for mixture in self._mixtures():
            self._mixed = time
            if self._best is None or mixture.strength > self._best.strength:
                self._best = mixture
        if self._best is not None and time - self._mixed > WAIT:
            return self._tell(self._best)
        return []

    def _tell(self, mixture: _Mixture | None) -> list[float]:
        self._best = None
        if mixture is None:
            return []
        middle = max((mixture.start + mixture.end) / 2, self.settled + 1e-3)
        self._from = mixture.end
        if not mixture.begins or middle - self._last < SHORTEST:
            return []
        self._last = middle
        return [middle]

    def _mixtures(self) -> Iterator[_Mixture]:
        """Stretches up to the last look that may be dissolves."""
        looks = self._looks
        last, tried = looks[-1], len(looks)
        for length in LENGTHS:
            place = next((i for i in range(tried - 1, -1, -1) if last.time - looks[i].time >= length - 1e-6), -1)
            if place < 0 or looks[place].time < self._from:
                return
            if place == tried or len(looks) - place < 5:
                continue
            tried, first = place, looks[place]
            difference = last.planes - first.planes
            if np.abs(difference).sum(2).mean() < MIXED:
                continue
            strength = self._mixture(place, difference)
            if strength > 0:
                yield _Mixture(strength, first.time, last.time, not last.flat)

    def _mixture(self, place: int, difference: np.ndarray) -> float:
        """How surely the looks from `place` on are mixtures of the first and the last; 0 where they aren't."""
        first, last = self._looks[place], self._looks[-1]
        step = max(1, (len(self._looks) - place) // INNER)
        inner = [self._looks[i] for i in range(place + step, len(self._looks) - 1, step)]
        passed = np.array([(look.time - first.time) / (last.time - first.time) for look in inner])
        moved = np.stack([look.planes - first.planes for look in inner])
        shares = np.einsum("fyxc,yxc->f", moved, difference) / max(float((difference**2).sum()), 1e-6)
        uneven = float(np.abs(shares - passed).mean()) / EVEN
        if uneven >= 1:
            return 0.0
        rest = np.abs(moved - shares[:, None, None, None].astype(np.float32) * difference).sum(3).mean()
        whole = np.minimum(np.abs(moved).sum(3).mean((1, 2)), np.abs(moved - difference).sum(3).mean((1, 2))).mean()
        length = last.time - first.time
        residue = float(rest) / max(float(whole), 1e-6) / (RESIDUE * min(1, length / ROOM))
        if residue >= 1 or _fading(first, last, inner, shares) < PALER or _same_but_for_light(first, last):
            return 0.0
        size = _change(first.planes, last.planes, FAR)
        return size * (1 - residue) * (1 - uneven) if size >= MIXED else 0.0


def _planes(pixels: np.ndarray) -> np.ndarray:
    colours = pixels.astype(np.float32)
    light = colours @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.stack([light, CHROMA * (colours[..., 0] - light), CHROMA * (colours[..., 2] - light)], 2)


def _change(one: np.ndarray, other: np.ndarray, reach: tuple[int, int]) -> float:
    """Mean over blocks of a picture of the difference from where each fits best in another, planes added."""
    plain = float(np.abs(one - other).sum(2).mean())
    if plain < CUT / STANDS_OUT:  # too small to decide anything
        return plain
    rows, columns = one.shape[:2]
    padded = np.pad(one, ((reach[0],) * 2, (reach[1],) * 2, (0, 0)), mode="edge")
    shifted = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(0, 1))  # (dy, dx, C, Y, X)
    rest = np.abs(shifted - other.transpose(2, 0, 1)).sum(2)
    blocks = rest.reshape(-1, rows // BLOCK[0], BLOCK[0], columns // BLOCK[1], BLOCK[1]).mean((2, 4))
    return float(np.minimum(blocks.min(0), MOST).mean())


def _fading(first: _Look, last: _Look, inner: list[_Look], shares: np.ndarray) -> float:
    """How much contrast the looks between two lose, as a part of what mixtures of the two would: 0 to 1."""
    begin, end = first.planes.var((0, 1)).sum(), last.planes.var((0, 1)).sum()
    apart = (last.planes - first.planes).var((0, 1)).sum()
    lost = [(1 - w) * begin + w * end - look.planes.var((0, 1)).sum() for w, look in zip(shares, inner, strict=True)]
    # var((1 - w) a + w b) = (1 - w) var(a) + w var(b) - w (1 - w) var(a - b)
    return float(sum(lost) / max(float((shares * (1 - shares)).sum() * apart), 1e-6))


def _same_but_for_light(one: _Look, other: _Look) -> bool:
    """Whether two pictures differ by brightness, contrast and a shift only: by normalised cross-correlation."""
    (down, across), (rows, columns) = FAR, one.planes.shape[:2]
    inner = one.planes[down : rows - down, across : columns - across].transpose(2, 0, 1).copy()
    places = np.lib.stride_tricks.sliding_window_view(other.planes, inner.shape[1:], axis=(0, 1)).copy()
    inner[0] -= inner[0].mean()
    places[:, :, 0] -= places[:, :, 0].mean((2, 3), keepdims=True)  # light adds to brightness, never to colour
    fit = (places * inner).sum((2, 3, 4))
    whole = (places**2).sum((2, 3, 4)) * (inner**2).sum()
    return bool((fit >= LIGHT * np.sqrt(whole) + 1e-6).any())
