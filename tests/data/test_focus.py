import numpy as np

from triptych.data.focus import Focus


def world(number=200, seed=0):
    """Maps of one background code a place, with one rare code somewhere in each."""
    rng = np.random.default_rng(seed)
    codes = np.tile(np.arange(16).reshape(4, 4) % 3, (number, 1, 1))
    places = rng.integers(0, 16, number)
    codes.reshape(number, 16)[np.arange(number), places] = 7 + rng.integers(0, 3, number)
    return codes


def test_rare_codes_count_more_and_the_mean_stays_one():
    codes = world()
    focus = Focus(codes, 10, 2.0)
    weights = np.stack([focus(map_) for map_ in codes])
    assert weights[codes >= 7].mean() > 5 * weights[codes < 7].mean()
    np.testing.assert_allclose(weights.mean(), 1, rtol=1e-4)


def test_power_zero_counts_all_alike():
    codes = world()
    np.testing.assert_allclose(Focus(codes, 10, 0.0)(codes[0]), 1, rtol=1e-6)


def test_what_is_rare_depends_on_the_place():
    codes = world()
    focus = Focus(codes, 10, 1.0)
    strange = codes[0].copy()
    strange[0, 0] = 1  # a common code, elsewhere
    usual = np.tile(np.arange(16).reshape(4, 4) % 3, (1, 1, 1))[0]
    assert focus(strange)[0, 0] > 3 * focus(usual)[0, 0]


def test_a_code_never_seen_and_a_map_of_another_size():
    focus = Focus(world(), 12, 2.0)
    assert np.isfinite(focus(np.full((4, 4), 11))).all()
    assert (focus(np.zeros((2, 6), int)) == 1).all()
