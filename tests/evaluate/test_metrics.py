import itertools
import math

import numpy as np
import pytest

from triptych.evaluate import metrics


def test_psnr_by_hand() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert metrics.psnr(black, black) == 100
    assert metrics.psnr(black, black + 255) == 0
    assert metrics.psnr(black, black + 1) == pytest.approx(20 * math.log10(255))
    with pytest.raises(ValueError, match="one shape"):
        metrics.psnr(black, black[:2])


def test_ssim_of_flat_pictures_is_the_term_of_brightness() -> None:
    one, two = np.full((16, 16, 3), 100, np.uint8), np.full((16, 16, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert metrics.ssim(one, one) == pytest.approx(1)
    assert metrics.ssim(one, two) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    assert metrics.ssim(noise, 255 - noise) < 0


def test_frechet_of_gaussians_with_known_distance() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    assert metrics.frechet(x, x) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet(x, x + np.array([1, 2, 0])) == pytest.approx(5)
    # Scaled by 3 the deviation is three times: (3 - 1)^2 of the variance, summed over features.
    y = x - x.mean(0)
    assert metrics.frechet(y, 3 * y) == pytest.approx(4 * y.var(0, ddof=1).sum())
    # Against the matrix root itself.
    z = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3))
    a, b = np.cov(x.T), np.cov(z.T)
    values, vectors = np.linalg.eigh(a)
    root = vectors * np.sqrt(values) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ b @ root)).sum()
    expected = ((x.mean(0) - z.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * trace
    assert metrics.frechet(x, z) == pytest.approx(expected)
    # Fewer samples than features.
    wide = rng.normal(size=(5, 100))
    assert metrics.frechet(wide, wide[::-1]) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="two or more"):
        metrics.frechet(x[:1], x)


def test_diversity() -> None:
    assert metrics.diversity(np.array([[1.0, 0], [2, 0]])) == pytest.approx(0)
    assert metrics.diversity(np.array([[1.0, 0], [0, 5]])) == pytest.approx(math.sqrt(2))


def test_interval_is_seeded_and_holds_the_mean() -> None:
    values = np.random.default_rng(1).random(200)
    low, high = metrics.interval(values, seed=3)
    assert (low, high) == metrics.interval(values, seed=3)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(200), rel=0.15)
    assert metrics.interval([1.0] * 5) == (1.0, 1.0)
    assert metrics.interval([(1, 2)] * 5, metrics.ratio) == (0.5, 0.5)
    with pytest.raises(ValueError, match="at least one"):
        metrics.interval([])


def test_assign_is_the_best_of_all_permutations() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        n, m = map(int, rng.integers(1, 6, 2))
        table = rng.integers(0, 4, (n, m)).astype(float)
        got = metrics.assign(table)
        used = [j for j in got if j is not None]
        assert len(used) == len(set(used))
        wide = table if n <= m else table.T
        best = max(
            sum(wide[i, p[i]] for i in range(len(wide)))
            for p in itertools.permutations(range(wide.shape[1]), len(wide))
        )
        assert sum(table[i, j] for i, j in enumerate(got) if j is not None) == best
    assert metrics.assign(np.zeros((2, 3))) == [None, None]
    assert metrics.assign(np.zeros((2, 0))) == [None, None]


RED = {"shape": "ball", "color": "red", "material": "metal", "size": "small", "center": [50, 100]}
BLUE = {"shape": "cube", "color": "blue", "material": "rubber", "size": "large", "center": [150, 120]}


def test_objects_asked_and_seen() -> None:
    assert metrics.objects_right([{"shape": "ball", "color": "red"}], [BLUE, RED]) == 1
    assert metrics.objects_right([{"shape": "ball", "color": "red", "material": "rubber"}], [RED]) == 0
    assert metrics.objects_right([{"shape": "ball"}, {"shape": "ball"}], [RED]) == 1, "one object can't stand for two"
    # Greedy matching would give RED to the first and leave the second without.
    assert metrics.objects_found(
        [{"shape": "ball"}, {"shape": "ball", "color": "red"}], [RED, {**RED, "color": "gray"}]
    ) == [
        True,
        True,
    ]
    assert metrics.objects_found([], [RED]) == []


def test_a_scene_is_right_without_extras() -> None:
    asked = [{"shape": "ball", "color": "red"}, {"shape": "cube"}]
    assert metrics.scene_right(asked, [BLUE, RED])
    assert not metrics.scene_right(asked, [BLUE, RED, RED])
    assert not metrics.scene_right(asked, [BLUE])
    assert metrics.scene_right([], [])


def test_relations() -> None:
    assert metrics.relation_holds(RED, "left", BLUE, 224)
    assert not metrics.relation_holds(RED, "right", BLUE, 224)
    assert metrics.relation_holds(BLUE, "front", RED, 224), "in front is lower in the picture"
    assert metrics.relation_holds(RED, "behind", BLUE, 224)
    near = {**RED, "center": [52, 101]}
    assert not any(metrics.relation_holds(RED, r, near, 224) for r in ("left", "right", "front", "behind", "on"))
    assert metrics.relation_holds({**RED, "center": [50, 80]}, "on", RED, 224)
    asked = [{"shape": "ball"}, {"shape": "cube"}]
    assert metrics.relations_right(asked, [(0, "left", 1), (0, "front", 1)], [BLUE, RED], 224) == 1
    assert metrics.relations_right(asked, [(0, "left", 1)], [RED], 224) == 0


def test_position_errors_count_what_is_missing() -> None:
    seen = [{**RED, "center": [53, 104]}]
    assert metrics.position_errors([RED, BLUE], seen, 224) == [5.0, 112.0]


def test_events_match_kind_roles_and_time() -> None:
    true = [(0.5, "collide", (0, 1)), (1.0, "stop", (0,))]
    assert metrics.match_events([(0.75, "collide", (0, 1))], true) == 1, "a quarter of a second still counts"
    assert metrics.match_events([(0.8, "collide", (0, 1))], true) == 0
    assert metrics.match_events([(0.8, "collide", (0, 1))], true, None) == 1
    assert metrics.match_events([(0.5, "collide", (1, 0))], true) == 0, "who hits whom matters"
    assert metrics.match_events([(0.5, "collide", (0, None))], [(0.5, "collide", (0, None))]) == 0
    assert metrics.match_events([(1.0, "stop", (0,))] * 2, true) == 1, "told twice counts once"
    assert metrics.match_events([(None, "stop", (0,))], true) == 0


def test_precision_recall_f1() -> None:
    counts = [(1, 2, 1), (1, 1, 3)]
    assert metrics.precision(counts) == pytest.approx(2 / 3)
    assert metrics.recall(counts) == pytest.approx(2 / 4)
    assert metrics.f1(counts) == pytest.approx(4 / 7)
    assert metrics.f1([(0, 0, 0)]) == 1
    assert metrics.f1([(0, 0, 2)]) == metrics.precision([(0, 0, 2)]) == 0


def test_bits_and_bytes() -> None:
    assert metrics.bits_per_byte(12, "球") == 4
    assert metrics.code_bytes(224, 16, 1000) == 245
    with pytest.raises(ValueError, match="not empty"):
        metrics.bits_per_byte(1, "")
