import numpy as np
import pytest

from singulab.dynamics import (
    FullBatch,
    GaussianRegression,
    divergence,
    isotropic,
    post_numbers,
    rate_advice,
)


def test_isotropic_noise_in_a_round_valley_reproduces_the_posterior():
    """H = h·I: Σ = ηc/(2h − ηh²)·I is 1/(nh) at η = 2/(nc + h)."""
    problem = isotropic(GaussianRegression(np.array([0.5, 0.5])), variance=0.25)
    found = rate_advice(problem, 100)
    assert found.best == pytest.approx(2 / (100 * 0.25 + 0.5), rel=1e-5)
    assert found.divergence == pytest.approx(0, abs=1e-9)
    assert found.temperature == pytest.approx(1, rel=1e-5)
    assert found.formula == pytest.approx(2 / 25)


def test_the_formula_is_the_best_rate_where_rates_are_small():
    """2d/(n tr) is least for the law of the diffusion; the exact law differs by a relative O(η)."""
    problem = GaussianRegression(np.array([1.0, 0.5, 0.1]), batch_size=4)
    for num_data in (10**3, 10**4):
        found = rate_advice(problem, num_data)
        assert found.best == pytest.approx(found.formula, rel=3 * found.formula)
        assert found.stable
        assert found.divergence <= divergence(problem, found.formula, num_data) + 1e-12
    assert found.formula == pytest.approx(2 * 4 * 3 / 10**4 / 1.6)


def test_noise_like_the_hessian_stays_away_from_the_posterior_at_every_rate():
    """Σ ∝ I against H⁻¹: ½(d log(tr H/d) − log det H) at the best rate."""
    h = np.array([1.0, 0.5, 0.1])
    found = rate_advice(GaussianRegression(h, batch_size=4), 10**6)
    wanted = (3 * np.log(h.mean()) - np.log(h).sum()) / 2
    assert found.divergence == pytest.approx(wanted, rel=1e-4)


def test_few_data_ask_for_a_rate_that_diverges():
    found = rate_advice(GaussianRegression(np.array([1.0, 0.5]), batch_size=8), 4, batch_size=8)
    assert not found.stable
    assert found.best < found.stability_limit < found.formula
    assert found.post == pytest.approx(2 * 2 * 8 / 4)


def test_the_numbers_of_the_post_are_its_arithmetic():
    found = post_numbers()
    assert found.rate == pytest.approx(1e5)
    assert found.temperature == pytest.approx(5e-19)
    assert found.posterior_temperature == pytest.approx(5e-11)
    assert found.rate / found.limit == pytest.approx(1e8)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda p: rate_advice(p, 0), "must be at least 1, got 0"),
        (lambda p: rate_advice(FullBatch(p), 10), "Without gradient noise"),
        (lambda p: post_numbers(used=0.0), "must be positive"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(GaussianRegression(np.array([1.0, 0.5])))
