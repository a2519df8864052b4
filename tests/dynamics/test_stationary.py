import json

import numpy as np
import pytest

from singulab.dynamics import GaussianRegression, covariance_slope, isotropic, stationary
from singulab.dynamics.mean import Mean

H = np.array([1.0, 0.5, 0.25])


@pytest.fixture(scope="module")
def scan():
    problem = GaussianRegression(H, batch_size=4)
    return stationary(problem, (0.1, 0.2, 0.4), num_replicas=512, seed=1)


def test_every_rate_agrees_with_the_exact_law(scan):
    assert scan.passed
    for point in scan.points:
        assert point.p_value > 1e-3
        assert abs(point.excess_loss.z(point.exact_excess_loss)) < 3.5
        assert point.excess_loss.se < 0.01 * point.exact_excess_loss
        assert (np.abs(point.measured() - point.exact_covariance) < 4 * point.errors()).all()
        np.testing.assert_allclose(point.diffusion_covariance, point.rate / 8 * np.eye(3))


def test_minibatch_noise_is_not_gibbs(scan):
    assert [point.gibbs.verdict for point in scan.points] == ["not gibbs"] * 3


def test_the_limits_are_those_of_a_likelihood(scan):
    """Σ/η → I/(2B), excess/η → tr H/(4B), and Σ does not depend on the curvature."""
    for found, wanted in zip(
        scan.covariance_limit(), np.eye(3)[np.triu_indices(3)] / 8, strict=True
    ):
        assert abs(found.z(wanted)) < 3.5
    excess = scan.excess_limit()
    assert abs(excess.z(H.sum() / 16)) < 3.5
    assert excess.se < 0.03 * excess.value
    assert abs(scan.slope_limit().value) < 0.05
    assert scan.gibbs_limit().verdict == "not gibbs"


def test_isotropic_noise_restores_gibbs():
    problem = isotropic(GaussianRegression(H, batch_size=4))
    scan = stationary(problem, (0.05, 0.1), num_replicas=2000, relaxations=16, tolerance=0.15)
    assert scan.passed
    assert [point.gibbs.verdict for point in scan.points] == ["gibbs", "gibbs"]
    assert scan.gibbs_limit().verdict == "gibbs"
    assert scan.slope_limit().value == pytest.approx(-1, abs=4 * scan.slope_limit().se)
    assert scan.slope_limit().se < 0.02


def test_a_scan_is_json_and_the_same_for_the_same_seed(scan):
    told = scan.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    problem = GaussianRegression(H, batch_size=4)
    again = stationary(problem, (0.1,), num_replicas=512, seed=1)
    np.testing.assert_array_equal(again.points[0].measured(), scan.points[0].measured())


def test_the_slope_is_that_of_a_power_law():
    h = np.array([0.1, 0.5, 1.0])
    temperatures = [Mean(2 * x**0.3, 0.01 * x) for x in h]  # T = hΣ, so Σ ∝ h^{−0.7}
    assert covariance_slope(temperatures, np.diag(h)).value == pytest.approx(-0.7)
    with pytest.raises(ValueError, match="the same curvature"):
        covariance_slope(temperatures, np.eye(3))


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"rates": ()}, "at least 1 learning rate"),
        ({"rates": (0.1, 3.0)}, "At rate 3 the second moment of SGD diverges; it exists below"),
        ({"relaxations": 0.0}, "relaxations must be positive"),
        ({"relaxations": float("inf")}, "relaxations must be positive and finite, got inf"),
        ({"problem": GaussianRegression(H, label_noise=0.0)}, "Without gradient noise"),
        ({"problem": GaussianRegression(np.array([1.0, 1e-9]))}, "flattest direction would need"),
        ({"problem": GaussianRegression(np.array([1.0]))}, "at least 2 weights"),
        ({"num_replicas": 8}, "at least 30 replicas, got 8"),
    ],
)
def test_bad_input_is_one_sentence(given, sentence):
    given = {"problem": GaussianRegression(H), "rates": (0.1,), **given}
    with pytest.raises(ValueError, match=sentence):
        stationary(given.pop("problem"), given.pop("rates"), **given)
