"""The limit is right where the approach is one of its forms, and says so where it cannot know."""

import math

import numpy as np
import pytest

from singulab.estimate.limit import limit
from singulab.estimate.llc import Estimate
from singulab.zoo import CASES

NBETA = [10.0**k for k in (2, 3, 4, 6, 8, 10, 13)]
X = np.log(NBETA)


def noisy(values, error, seed):
    drawn = np.random.default_rng(seed).normal(size=len(values))
    return [Estimate(v * (1 + error * z), error * v) for v, z in zip(values, drawn, strict=True)]


def test_a_power_law_has_the_limit_it_was_made_with_within_its_error():
    # 40 independent errors: fewer than 34 within 2 errors happens 1 time in 100 at 95 %.
    values = 0.25 - 0.1 * np.exp(-0.2 * X)
    found = [limit(NBETA, noisy(values, 0.005, seed), num_weights=2) for seed in range(40)]
    within = [abs(f.llc.value - 0.25) <= 2 * f.llc.se for f in found]
    assert sum(within) >= 34
    assert np.median([f.llc.se for f in found]) < 0.003
    assert all(f.low <= f.llc.value <= f.high for f in found)


def test_a_logarithm_has_the_limit_it_was_made_with_within_its_error():
    values = 0.5 - 1 / (X + 2.2)
    found = [limit(NBETA, noisy(values, 0.005, seed), num_weights=2) for seed in range(40)]
    assert sum(abs(f.llc.value - 0.5) <= 2 * f.llc.se for f in found) >= 34
    # A power law fits about as well, and the error knows it.
    assert np.median([f.llc.se for f in found]) > 0.005


@pytest.mark.parametrize("name", ["x^2+y^6", "x^2y^2", "x^2y^4"])
def test_quadrature_values_lead_to_the_exact_coefficient(name):
    case = CASES[name]
    nbeta = [10.0**k for k in (2, 3, 4, 6, 8)]
    values = [case.truth(1.0, nbeta=t).value for t in nbeta]
    for seed in range(3):
        found = limit(nbeta, noisy(values, 0.005, seed), num_weights=2)
        assert abs(found.llc.value - case.rlct.value) <= 3 * found.llc.se
        assert found.llc.se < 0.15 * case.rlct.value


def test_points_that_have_arrived_give_their_mean():
    values = np.full(len(NBETA), 0.75)
    found = limit(NBETA, noisy(values, 1e-4, 0), num_weights=2)
    assert abs(found.llc.value - 0.75) < 3e-4
    assert found.llc.se < 3e-4


def test_points_far_below_the_scaling_range_are_outvoted():
    values = 0.25 - 0.1 * np.exp(-0.2 * X)
    values[0] *= 0.6
    found = limit(NBETA, noisy(values, 0.005, 1), num_weights=2)
    assert found.num_points < len(NBETA)
    assert abs(found.llc.value - 0.25) <= 3 * found.llc.se


def test_few_decades_and_large_errors_give_a_wide_range():
    nbeta = [100.0, 200.0, 400.0, 800.0]
    values = 0.25 - 0.1 * np.exp(-0.05 * np.log(nbeta))
    found = limit(nbeta, noisy(values, 0.02, 0), num_weights=2)
    assert found.llc.se > 0.02
    assert found.low >= 0
    assert found.high <= 1  # d/2


def test_no_limit_is_invented():
    values = [0.2, 0.4, 0.2, 0.4, 0.2, 0.4, 0.2]
    assert math.isnan(limit(NBETA, noisy(values, 0.001, 0), num_weights=2).llc.value)
    few = limit(NBETA[:3], noisy(values[:3], 0.1, 0), num_weights=2)
    assert math.isnan(few.llc.value)
    assert (few.low, few.high) == (0.0, 1.0)
    missing = [*noisy(values[:3], 0.1, 0), Estimate(math.nan, math.nan)]
    assert math.isnan(limit(NBETA[:4], missing, num_weights=2).llc.value)
    with pytest.raises(ValueError, match="need as many estimates"):
        limit(NBETA, noisy(values[:3], 0.1, 0), num_weights=2)
