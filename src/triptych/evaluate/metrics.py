"""Scores as pure functions of arrays and plain data: no models, no files.

An object is a dict that holds some of shape, color, material, size, and, where it was seen, center (x, y) in pixels.
B pictures, Y rows, X columns, N samples, D features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Object = dict[str, Any]
LOOKS = ("shape", "color", "material", "size")
SIDE_MARGIN, DEPTH_MARGIN = (
    0.06,
    0.025,
)  # of the picture's side; half of what the world asks for when it names a relation


def psnr(one: np.ndarray, two: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 arrays of one shape; 100 where they are equal.

    Errors: ValueError if the shapes differ.
    """
    _same_shape("psnr", one, two)
    error = float(np.mean((one.astype(np.float64) - two.astype(np.float64)) ** 2))
    return min(100.0, 10 * math.log10(255**2 / error)) if error else 100.0


def ssim(one: np.ndarray, two: np.ndarray) -> float:
    """Structural similarity (Wang et al., 2004) of two uint8 pictures (Y, X, 3), over grey, Gaussian windows of 11.

    Returns: the mean over all whole windows, in -1..1.
    Errors: ValueError if the shapes differ or a side is shorter than 11.
    """
    _same_shape("ssim", one, two)
    if min(one.shape[:2]) < 11:
        raise ValueError(f"ssim needs sides of at least 11 pixels, got {one.shape}")
    grey = np.array([0.299, 0.587, 0.114])
    a, b = one.astype(np.float64) @ grey, two.astype(np.float64) @ grey
    mean_a, mean_b = _smooth(a), _smooth(b)
    var_a, var_b, both = _smooth(a * a) - mean_a**2, _smooth(b * b) - mean_b**2, _smooth(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def _smooth(x: Array) -> Array:
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()
    for axis in (0, 1):
        x = np.lib.stride_tricks.sliding_window_view(x, 11, axis) @ window
    return x


def _same_shape(name: str, one: np.ndarray, two: np.ndarray) -> None:
    if one.shape != two.shape:
        raise ValueError(f"{name} compares arrays of one shape, got {one.shape} and {two.shape}")


def frechet(one: np.ndarray, two: np.ndarray) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features (N, D) and (M, D).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); the trace of the root is the sum of singular values of A1 A2', where
    C = A'A, so no matrix root is taken and sets smaller than D do no harm. Fewer samples bias it upwards: compare
    only distances of equal counts.
    Errors: ValueError for fewer than two samples.
    """
    if min(len(one), len(two)) < 2 or one.shape[1:] != two.shape[1:]:
        raise ValueError(f"frechet needs two or more samples each of one width, got {one.shape} and {two.shape}")
    a, b = (np.asarray(x, np.float64) for x in (one, two))
    mean = a.mean(0) - b.mean(0)
    a, b = ((x - x.mean(0)) / math.sqrt(len(x) - 1) for x in (a, b))
    # tr((C1 C2)^(1/2)) = tr((A B' B A')^(1/2)), symmetric, so eigh serves; taken on the smaller side.
    cross = a @ b.T if len(a) <= len(b) else b @ a.T
    roots = np.sqrt(np.clip(np.linalg.eigh(cross @ cross.T)[0], 0, None))
    return float(max(0.0, mean @ mean + (a * a).sum() + (b * b).sum() - 2 * roots.sum()))


def diversity(features: np.ndarray) -> float:
    """Mean distance between two different rows of (N, D), each scaled to unit length: 0 if all pictures are alike."""
    if len(features) < 2:
        raise ValueError(f"diversity needs two or more samples, got {len(features)}")
    x = np.asarray(features, np.float64)
    x = x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12)
    square = np.clip(2 - 2 * x @ x.T, 0, None)
    np.fill_diagonal(square, 0)
    return float(np.sqrt(square).sum() / (len(x) * (len(x) - 1)))


def interval(
    values: Sequence[Any],
    score: Callable[[Sequence[Any]], float] | None = None,
    *,
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap confidence interval (percentiles) of a score over samples; of their mean where no score is given.

    Samples are what is drawn again: give one value a picture, not one an object, where objects share a picture.
    """
    if not len(values):
        raise ValueError("interval needs at least one value")
    rng = np.random.default_rng([seed, len(values)])
    if score is None:
        flat = np.asarray(values, np.float64)
        scores = np.array([flat[rng.integers(len(flat), size=len(flat))].mean() for _ in range(draws)])
    else:
        scores = np.array(
            [score([values[i] for i in rng.integers(len(values), size=len(values))]) for _ in range(draws)]
        )
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Sum of firsts over sum of seconds; 0 where there is nothing to divide by."""
    total = sum(pair[1] for pair in pairs)
    return sum(pair[0] for pair in pairs) / total if total else 0.0


def f1(counts: Sequence[tuple[int, int, int]]) -> float:
    """F1 from (right, told, true) of each sample: 2 right / (told + true), and 1 where there is nothing at all."""
    right, told, true = (sum(c[i] for c in counts) for i in range(3))
    return 2 * right / (told + true) if told + true else 1.0


def precision(counts: Sequence[tuple[int, int, int]]) -> float:
    """Share of what was told that is true; 0 if nothing was told."""
    return ratio([(right, told) for right, told, _ in counts])


def recall(counts: Sequence[tuple[int, int, int]]) -> float:
    """Share of what is true that was told."""
    return ratio([(right, true) for right, _, true in counts])


def assign(weights: np.ndarray) -> list[int | None]:
    """The assignment of rows to columns, each used once at most, with the largest sum of weights.

    Args: weights: (n, m) at least 0; a pair of weight 0 stays unmatched.
    Returns: for each row its column or None. Exact, by the Hungarian method in O(n^2 m).
    """
    weights = np.asarray(weights, np.float64)
    if weights.size == 0:
        return [None] * len(weights)
    if len(weights) > weights.shape[1]:
        out: list[int | None] = [None] * len(weights)
        for column, row in enumerate(assign(weights.T)):
            if row is not None:
                out[row] = column
        return out
    n, m = weights.shape
    cost = -weights
    u, v = np.zeros(n + 1), np.zeros(m + 1)
    owner = np.zeros(m + 1, int)  # row (from 1) of each column (from 1); column 0 holds the row being placed
    for row in range(1, n + 1):
        owner[0], here = row, 0
        least, before = np.full(m + 1, np.inf), np.zeros(m + 1, int)
        used = np.zeros(m + 1, bool)
        while owner[here]:
            used[here] = True
            reduced = cost[owner[here] - 1] - u[owner[here]] - v[1:]
            better = ~used[1:] & (reduced < least[1:])
            least[1:][better], before[1:][better] = reduced[better], here
            following = 1 + int(np.argmin(np.where(used[1:], np.inf, least[1:])))
            step = least[following]
            u[owner[used]] += step
            v[used] -= step
            least[~used] -= step
            here = following
        while here:
            owner[here], here = owner[before[here]], before[here]
    result: list[int | None] = [None] * n
    for column in range(1, m + 1):
        if owner[column] and weights[owner[column] - 1, column - 1] > 0:
            result[owner[column] - 1] = column - 1
    return result


def fits(asked: Object, seen: Object) -> bool:
    """Whether an object has every look that was asked for; what was left unsaid is free."""
    return all(seen.get(key) == asked[key] for key in LOOKS if asked.get(key) is not None)


def match_looks(asked: Sequence[Object], seen: Sequence[Object]) -> list[int | None]:
    """Which seen object stands for each asked one: as many as possible right, and then as many looks as possible.

    Shape and colour count for more than material and size when none is wholly right.
    """
    weight = {"shape": 2.0, "color": 2.0, "material": 1.0, "size": 1.0}
    table = np.zeros((len(asked), len(seen)))
    for i, want in enumerate(asked):
        for j, have in enumerate(seen):
            agreeing = sum(w for key, w in weight.items() if want.get(key) is not None and have.get(key) == want[key])
            table[i, j] = agreeing + 1000 * fits(want, have)
    return assign(table)


def match_places(one: Sequence[Object], two: Sequence[Object], reach: float) -> list[int | None]:
    """Which of `two` stands where each of `one` does, at most `reach` pixels away; nearest pairs over all."""
    table = np.zeros((len(one), len(two)))
    for i, a in enumerate(one):
        for j, b in enumerate(two):
            away = float(np.hypot(a["center"][0] - b["center"][0], a["center"][1] - b["center"][1]))
            table[i, j] = max(0.0, reach - away) if away < reach else 0.0
    return assign(table)


def objects_found(asked: Sequence[Object], seen: Sequence[Object]) -> list[bool]:
    """Which asked objects were found, each standing for one seen object."""
    pairs = match_looks(asked, seen)
    return [j is not None and fits(want, seen[j]) for want, j in zip(asked, pairs, strict=True)]


def objects_right(asked: Sequence[Object], seen: Sequence[Object]) -> int:
    """How many asked objects were found."""
    return sum(objects_found(asked, seen))


def scene_right(asked: Sequence[Object], seen: Sequence[Object]) -> bool:
    """All asked objects found, and none besides."""
    return len(asked) == len(seen) and objects_right(asked, seen) == len(asked)


def relation_holds(a: Object, relation: str, b: Object, side: float) -> bool:
    """Whether `a` stands left of, right of, in front of, behind or on `b`, judged by their centres in the picture.

    Args: relation: left, right, front, behind or on. side: of the picture in pixels. In front is lower in the picture.
    """
    dx, dy = a["center"][0] - b["center"][0], a["center"][1] - b["center"][1]
    if relation == "on":
        return abs(dx) < 0.1 * side and dy < -DEPTH_MARGIN * side
    amount = {"left": -dx, "right": dx, "front": dy, "behind": -dy}[relation]
    return amount > (SIDE_MARGIN if relation in ("left", "right") else DEPTH_MARGIN) * side


def relations_right(
    asked: Sequence[Object], relations: Sequence[tuple[int, str, int]], seen: Sequence[Object], side: float
) -> int:
    """How many of (first, relation, second), indices of asked objects, hold between the objects found for them."""
    pairs = match_looks(asked, seen)
    count = 0
    for first, relation, second in relations:
        i, j = pairs[first], pairs[second]
        if i is None or j is None or not (fits(asked[first], seen[i]) and fits(asked[second], seen[j])):
            continue
        count += relation_holds(seen[i], relation, seen[j], side)
    return count


def position_errors(truth: Sequence[Object], seen: Sequence[Object], side: float) -> list[float]:
    """Distance in pixels from each true object to the seen one of its shape and colour; half the side where none is."""
    table = np.zeros((len(truth), len(seen)))
    for i, a in enumerate(truth):
        for j, b in enumerate(seen):
            if a["shape"] == b["shape"] and a["color"] == b["color"]:
                table[i, j] = 2 * side - math.dist(a["center"], b["center"])
    worst = side / 2
    pairs = assign(table)
    return [
        worst if j is None else min(worst, math.dist(a["center"], seen[j]["center"]))
        for a, j in zip(truth, pairs, strict=True)
    ]


Event = tuple[float | None, str, tuple[int | None, ...]]  # seconds, kind, objects' ids


def match_events(told: Sequence[Event], true: Sequence[Event], tolerance: float | None = 0.25) -> int:
    """How many told events are true: of one kind, the same objects in the same roles, at most `tolerance` seconds off.

    Args: tolerance: None leaves time out of account. An event without a time is never right where time counts.
    """
    table = np.zeros((len(told), len(true)))
    for i, (time, kind, things) in enumerate(told):
        for j, (other_time, other_kind, other_things) in enumerate(true):
            same = kind == other_kind and things == other_things and None not in things
            if tolerance is None:
                table[i, j] = same
            elif same and time is not None and other_time is not None:
                # Times are told with one decimal, so a difference of exactly the tolerance counts.
                table[i, j] = abs(time - other_time) <= tolerance + 1e-6
    return sum(j is not None for j in assign(table))


def bits_per_byte(bits: float, text: str) -> float:
    """Bits that a model needs for a text, a byte of its UTF-8."""
    size = len(text.encode("utf-8"))
    if not size:
        raise ValueError("bits_per_byte needs a text that is not empty")
    return bits / size


def code_bytes(side: int, stride: int, codes: int) -> int:
    """Bytes that a picture's codes take: log2(codes) bits for each cell of side/stride x side/stride, rounded up."""
    return math.ceil((side // stride) ** 2 * math.log2(codes) / 8)
