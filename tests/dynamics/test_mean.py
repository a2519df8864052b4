import math

import numpy as np
import pytest
from scipy.stats import kstest

from singulab.dynamics.mean import Mean, limit, mean, means


def test_a_mean_has_the_error_of_independent_draws():
    found = mean(np.array([1.0, 2.0, 3.0, 6.0]))
    assert found.value == 3.0
    assert found.se == pytest.approx(np.std([1, 2, 3, 6], ddof=1) / 2)
    assert found.z(found.value + 2 * found.se) == pytest.approx(-2)


def test_p_values_of_the_true_mean_are_uniform():
    random = np.random.default_rng(0)
    root = random.normal(size=(3, 3))
    values = [
        means(random.normal(size=(40, 3)) @ root + 1.0).p_value(np.ones(3)) for _ in range(400)
    ]
    assert kstest(values, "uniform").pvalue > 0.01


def test_linear_combinations_carry_their_errors():
    random = np.random.default_rng(1)
    samples = random.normal(size=(50, 3)) @ random.normal(size=(3, 3))
    weights = random.normal(size=(2, 3))
    turned = means(samples).linear(weights)
    direct = means(samples @ weights.T)
    np.testing.assert_allclose(turned.value, direct.value)
    np.testing.assert_allclose(turned.covariance, direct.covariance)


def test_a_limit_finds_the_constant_of_a_polynomial_and_its_error():
    rates = np.array([0.1, 0.2, 0.3, 0.4])
    random = np.random.default_rng(2)
    errors = np.array([0.1, 0.05, 0.05, 0.2])
    truth = 2 - 3 * rates + rates**2
    exact = limit(rates, truth, errors, degree=2)
    assert exact.value == pytest.approx(2, abs=1e-9)
    found = [
        limit(rates, truth + errors * random.normal(size=4), errors, degree=2) for _ in range(1000)
    ]
    scores = np.array([one.z(2.0) for one in found])
    assert abs(scores.mean()) < 4 / math.sqrt(1000)
    assert abs(scores.std() - 1) < 4 / math.sqrt(2000)
    assert kstest([one.p_value for one in found], "uniform").pvalue > 0.01


def test_a_limit_of_too_low_a_degree_is_told_by_its_p_value():
    rates, errors = np.array([0.1, 0.2, 0.4]), np.full(3, 1e-3)
    assert limit(rates, 1 + rates**2, errors, degree=1).p_value < 1e-6


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: mean(np.ones(1)), "at least 2 replicas"),
        (lambda: limit(np.ones(2), np.ones(2), np.ones(2), degree=1), "at least 2 different"),
        (lambda: limit(np.array([1.0, 2.0]), np.ones(2), np.zeros(2)), "positive standard error"),
    ],
)
def test_bad_input_is_told(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_mean_without_error_is_infinitely_far_from_anything_else():
    assert Mean(1.0, 0.0).z(2.0) == -math.inf
