"""The agreement of two maps against a slow twin, and where it is not defined."""

import math

import numpy as np
import pytest

from explain.agreement import agreement, strength


def slow_agreement(a, b):
    a, b = [float(value) for value in a.ravel()], [float(value) for value in b.ravel()]
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    covariance = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread_a = sum((x - mean_a) ** 2 for x in a)
    spread_b = sum((y - mean_b) ** 2 for y in b)
    return covariance / math.sqrt(spread_a * spread_b)


def maps(seed, shape=(7, 5)):
    dice = np.random.default_rng(seed)
    a = dice.normal(size=shape)
    return a.astype(np.float32), (0.4 * a + dice.normal(size=shape) + 3).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_the_slow_twin(seed):
    a, b = maps(seed)
    assert agreement(a, b) == pytest.approx(slow_agreement(a, b), abs=1e-9)
    assert agreement(b, a) == agreement(a, b)
    assert abs(agreement(a, b)) < 0.9


def test_by_hand():
    a = np.array([[1, 2], [3, 4]], np.float32)
    # Less their means: -1.5 -0.5 / 0.5 1.5 and -1 1 / -1 1; 2 over the root of 5 x 4.
    assert agreement(a, np.array([[0, 2], [0, 2]], np.float32)) == pytest.approx(2 / math.sqrt(20))


def test_scale_and_shift_play_no_part_but_the_sign_does():
    a, b = maps(9)
    assert agreement(a, 100 * a + 7) == pytest.approx(1)
    assert agreement(a, -0.01 * a) == pytest.approx(-1)
    assert agreement(a, -b) == pytest.approx(-agreement(a, b))
    assert agreement(a + np.float32(1e4), b) == pytest.approx(agreement(a, b), abs=1e-3)
    tiny = (a * 1e-20).astype(np.float32)
    assert agreement(tiny, b) == pytest.approx(agreement(a, b), abs=1e-5)
    assert -1 <= agreement(a, a) <= 1


def test_a_constant_map_agrees_with_nothing():
    a, _ = maps(1)
    for value in (0.0, 0.1, -1e6, 1e-30):
        with np.errstate(all="raise"):
            assert math.isnan(agreement(a, np.full_like(a, value)))
            assert math.isnan(agreement(np.full_like(a, value), a))
    assert math.isnan(agreement(np.ones((1, 1)), np.ones((1, 1))))
    broken = a.copy()
    broken[0, 0] = np.nan
    assert math.isnan(agreement(a, broken))


def test_maps_of_different_layers():
    with pytest.raises(ValueError, match="different layers"):
        agreement(np.zeros((7, 7)), np.zeros((14, 14)))


def test_strength_is_the_largest_absolute_value():
    assert strength(np.array([[0.5, -2.0], [1.0, 0.0]], np.float32)) == 2.0
    assert strength(np.zeros((3, 3), np.float32)) == 0.0
    assert math.isnan(strength(np.array([[np.nan, 1.0]])))
