import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from singulab.dynamics import (
    DataRegression,
    FullBatch,
    GaussianRegression,
    Noisy,
    completed,
    diffusion_covariance,
    excess_loss,
    isotropic,
    stability_limit,
    stationary_covariance,
)
from singulab.dynamics.law import growth

curvatures = st.lists(st.floats(0.05, 3.0), min_size=1, max_size=4)


def gaussian_law(h, batch_size, rate, label_noise=1.0):
    """s_i and t = Σ h_i s_i of a diagonal H in closed form, or None where it does not exist.

    Row i of the law reads 2h s − ηh²s(1 + 1/B) − (η/B) h t = ησ²h/B, hence s = (η/B)(σ² + t)/(2 − ηh(1 + 1/B)) and
    t = (σ² + t)·a with a = (η/B) Σ h/(2 − ηh(1 + 1/B)).
    """
    stiff = 2 - rate * h * (1 + 1 / batch_size)
    a = rate / batch_size * np.sum(h / stiff)
    if (stiff <= 0).any() or a >= 1:
        return None
    t = label_noise**2 * a / (1 - a)
    return rate / batch_size * (label_noise**2 + t) / stiff, t


@given(curvatures, st.integers(1, 8), st.floats(0.02, 0.95), st.floats(0.1, 2.0))
@settings(max_examples=15, deadline=None)
def test_the_law_of_gaussian_regression_is_its_closed_form(h, batch_size, share, label_noise):
    h = np.array(h)
    problem = GaussianRegression(h, batch_size=batch_size, label_noise=label_noise)
    rate = share * stability_limit(problem)
    found = stationary_covariance(problem, rate)
    diagonal, t = gaussian_law(h, batch_size, rate, label_noise)
    np.testing.assert_allclose(found, np.diag(diagonal), rtol=1e-6, atol=1e-10 * t)
    assert excess_loss(problem, found) == pytest.approx(t / 2, rel=1e-6)


@given(curvatures, st.integers(1, 8))
@settings(max_examples=10, deadline=None)
def test_the_stability_limit_is_where_the_closed_form_ends(h, batch_size):
    h = np.array(h)
    top = 2 / (h.max() * (1 + 1 / batch_size))

    def excess_at(rate):
        return rate / batch_size * np.sum(h / (2 - rate * h * (1 + 1 / batch_size))) - 1

    wanted = brentq(excess_at, 0, top * (1 - 1e-12))
    problem = GaussianRegression(h, batch_size=batch_size)
    assert stability_limit(problem) == pytest.approx(wanted, rel=1e-6)


def test_without_multiplicative_noise_the_limit_is_that_of_gradient_descent():
    problem = isotropic(GaussianRegression(np.array([4.0, 1.0])))
    assert stability_limit(problem) == pytest.approx(0.5)
    assert growth(problem, 0.5) == pytest.approx(1.0)


def test_many_weights_take_the_iterative_way_to_the_same_law():
    h = np.linspace(0.1, 1, 30)
    problem = GaussianRegression(h, batch_size=8)
    found = stationary_covariance(problem, 0.1)
    np.testing.assert_allclose(found, np.diag(gaussian_law(h, 8, 0.1)[0]), atol=1e-11)
    assert stability_limit(problem) == pytest.approx(stability_limit_of_closed_form(h, 8), rel=1e-6)


def stability_limit_of_closed_form(h, batch_size):
    top = 2 / (h.max() * (1 + 1 / batch_size))
    return brentq(
        lambda rate: rate / batch_size * np.sum(h / (2 - rate * h * (1 + 1 / batch_size))) - 1,
        0,
        top * (1 - 1e-12),
    )


def test_a_turned_problem_has_the_turned_law():
    random = np.random.default_rng(0)
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    h = np.array([1.0, 0.3, 0.1])
    plain = stationary_covariance(GaussianRegression(h, batch_size=2), 0.3)
    matrix = turn @ np.diag(h) @ turn.T
    turned = stationary_covariance(GaussianRegression((matrix + matrix.T) / 2, batch_size=2), 0.3)
    np.testing.assert_allclose(turned, turn @ plain @ turn.T, atol=1e-12)


def every_batch(n, batch_size, replacement):
    kind = itertools.product(range(n), repeat=batch_size)
    return list(kind) if replacement else list(itertools.combinations(range(n), batch_size))


@pytest.mark.parametrize("replacement", [True, False])
def test_the_law_of_a_data_set_is_that_of_all_its_minibatches_enumerated(replacement):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    y = torch.randn(5, generator=generator, dtype=torch.float64)
    problem = DataRegression(x, y, batch_size=2, replacement=replacement)
    rate = 0.5 * stability_limit(problem)
    inputs, residual = x.numpy(), (y - x @ problem.center).numpy()
    covariance = np.zeros((2, 2))
    batches = every_batch(5, 2, replacement)
    for _ in range(1500):
        after = np.zeros((2, 2))
        for batch in batches:
            rows = inputs[list(batch)]
            step = np.eye(2) - rate * rows.T @ rows / 2
            kick = rate * rows.T @ residual[list(batch)] / 2
            after += step @ covariance @ step.T + np.outer(kick, kick)
        covariance = after / len(batches)
    np.testing.assert_allclose(stationary_covariance(problem, rate), covariance, rtol=1e-9)


def test_the_law_tends_to_that_of_the_diffusion_which_at_a_likelihood_is_isotropic():
    h = np.array([1.0, 0.5, 0.1])
    problem = GaussianRegression(h, batch_size=4)
    first = diffusion_covariance(problem, 1.0)
    np.testing.assert_allclose(first, np.eye(3) / 8, atol=1e-14)
    for rate in (1e-2, 1e-3, 1e-4):
        exact = stationary_covariance(problem, rate)
        assert np.abs(exact / rate - first).max() < rate
        assert excess_loss(problem, exact) / rate == pytest.approx(h.sum() / 16, rel=3 * rate)


def test_isotropic_noise_gives_the_inverse_hessian_and_so_does_completed_noise():
    h = np.array([1.0, 0.5, 0.1])
    problem = GaussianRegression(h, batch_size=4)
    for noisy in (isotropic(problem), completed(problem)):
        law = diffusion_covariance(noisy, 1.0)
        np.testing.assert_allclose(law * h, law[0, 0] * np.eye(3), atol=1e-12)


def test_one_direction_with_plain_noise_is_an_autoregression():
    noisy = isotropic(GaussianRegression(np.array([2.0, 1.0])), variance=3.0)
    found = stationary_covariance(noisy, 0.1)
    # Variance of δ' = (1 − ηh)δ + ηξ: η²σ²/(1 − (1 − ηh)²).
    for k, h in enumerate((2.0, 1.0)):
        assert found[k, k] == pytest.approx(0.01 * 3 / (1 - (1 - 0.1 * h) ** 2))


def test_added_noise_adds_once():
    problem = GaussianRegression(np.array([1.0, 0.5]))
    twice = Noisy(Noisy(problem, np.eye(2)), 2 * np.eye(2))
    np.testing.assert_allclose(twice.noise, problem.noise + 3 * np.eye(2))
    assert twice.problem is problem


def test_gradient_descent_ends_at_the_minimum():
    problem = FullBatch(GaussianRegression(np.array([1.0, 0.5])))
    np.testing.assert_array_equal(stationary_covariance(problem, 0.5), np.zeros((2, 2)))


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda p: stationary_covariance(p, 1.9), "At rate 1.9 the second moment of SGD diverges"),
        (lambda p: stationary_covariance(p, 0.0), "must be positive and finite, got 0"),
        (lambda p: stationary_covariance(p, math.nan), "must be positive and finite, got nan"),
        (lambda p: Noisy(p, -np.eye(2)), "positive semidefinite, its least eigenvalue is -1"),
        (lambda p: Noisy(p, np.eye(3)), "symmetric 2 × 2 matrix"),
        (lambda p: isotropic(p, -1.0), "variance must not be negative"),
        (lambda p: GaussianRegression(np.array([1.0, 0.0])), "must be positive definite"),
        (lambda p: GaussianRegression(np.ones((2, 3))), "a square matrix or a list"),
        (lambda p: GaussianRegression(np.array([[1.0, 0.5], [0.0, 1.0]])), "finite and symmetric"),
        (lambda p: GaussianRegression(np.ones(2), batch_size=0), "batch_size must be at least 1"),
        (
            lambda p: GaussianRegression(np.ones(2), label_noise=-1.0),
            "label_noise must be between 0",
        ),
        (
            lambda p: DataRegression(torch.ones(3, 2), torch.ones(3)),
            "must be positive definite",
        ),
        (
            lambda p: DataRegression(torch.eye(2), torch.ones(2), batch_size=3, replacement=False),
            "must not exceed the 2 data",
        ),
        (lambda p: DataRegression(torch.eye(2), torch.ones(3)), "2 inputs need as many targets"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        call(GaussianRegression(np.array([1.0, 0.5])))
