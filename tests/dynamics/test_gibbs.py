import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import nn

from singulab.dynamics import (
    GaussianRegression,
    Langevin,
    Network,
    gibbs_test,
    isotropic,
    regional_temperatures,
    regional_thermometers,
    simulate,
    thermometers_along,
)

H = np.array([1.0, 0.5, 0.1])


def pulls(temperatures, count, seed=0):
    """h x² of independent Gaussian draws with the given temperature in each direction."""
    x = np.random.default_rng(seed).normal(size=(count, len(temperatures)))
    return np.array(temperatures) * x**2


def test_one_temperature_is_gibbs():
    found = gibbs_test(pulls([0.3] * 3, 60_000))
    assert found.verdict == "gibbs"
    assert abs(found.temperature.z(0.3)) < 3.5
    assert all(abs(t.z(0.3)) < 3.5 for t in found.temperatures)
    assert found.p_value > 0.01


def test_temperatures_that_differ_are_not():
    found = gibbs_test(pulls([0.3, 0.3, 0.4], 20_000))
    assert found.verdict == "not gibbs"
    assert found.p_value < 1e-6
    assert found.spread > 0.1


def test_a_difference_within_the_tolerance_is_gibbs_although_it_is_seen():
    found = gibbs_test(pulls([0.3, 0.3, 0.306], 400_000))
    assert found.verdict == "gibbs"
    assert found.p_value < 1e-6
    assert gibbs_test(pulls([0.3, 0.3, 0.306], 400_000), tolerance=0.004).verdict == "not gibbs"


def test_few_replicas_decide_nothing():
    assert gibbs_test(pulls([0.3, 0.3, 0.32], 500)).verdict == "undecided"


def test_p_values_under_gibbs_are_uniform():
    values = [gibbs_test(pulls([1.0] * 3, 2000, seed)).p_value for seed in range(200)]
    assert kstest(values, "uniform").pvalue > 0.01


def test_a_quartic_well_has_its_temperature_though_it_is_far_from_gaussian():
    """p ∝ e^{−x⁴/T} on each axis: x⁴/T is Gamma(¼), and x·4x³ has mean T."""
    random = np.random.default_rng(0)
    fourth = 0.7 * random.gamma(0.25, size=(100_000, 2))
    found = gibbs_test(4 * fourth, tolerance=0.1)
    assert found.verdict == "gibbs"
    assert abs(found.temperature.z(0.7)) < 3.5


def test_fields_with_a_divergence_of_their_own():
    """φ = x³ on p ∝ e^{−x²/2T}: φ·L' = x⁴ and div φ = 3x², beside φ = x."""
    x = np.sqrt(0.4) * np.random.default_rng(1).normal(size=200_000)
    found = gibbs_test(
        np.stack([x**2, x**4], 1), np.stack([np.ones_like(x), 3 * x**2], 1), tolerance=0.05
    )
    assert found.verdict == "gibbs"
    assert abs(found.temperature.z(0.4)) < 3.5
    other = np.sqrt(0.4) * np.random.default_rng(2).laplace(size=200_000)
    assert (
        gibbs_test(
            np.stack([other**2, other**4], 1),
            np.stack([np.ones_like(x), 3 * other**2], 1),
        ).verdict
        == "not gibbs"
    )


def logistic():
    """Two weights, labels with a margin of doubt, and the minimum of the loss by Newton's method."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 2, generator=generator, dtype=torch.float64) * torch.tensor([2.0, 0.7])
    y = torch.bernoulli(torch.sigmoid(x.sum(1) / 2), generator=generator)[:, None]

    def loss(output, target):
        return nn.functional.softplus(output)[:, 0] - (output * target)[:, 0]

    problem = Network(nn.Linear(2, 1, bias=False), x, y, loss, batch_size=4)
    w = torch.zeros(2, dtype=torch.float64)
    for _ in range(20):
        p = torch.sigmoid(x @ w)
        w = w - torch.linalg.solve((x.T * (p * (1 - p))) @ x, x.T @ (p - y[:, 0]))
    return problem, w


@pytest.mark.parametrize("noise, verdict", [("langevin", "gibbs"), ("minibatch", "not gibbs")])
def test_on_a_loss_that_is_no_parabola_isotropic_noise_gives_gibbs_and_minibatches_do_not(
    noise, verdict
):
    problem, center = logistic()
    rate, temperature = 0.2, 0.03
    if noise == "langevin":
        problem = Langevin(problem, temperature=temperature, rate=rate)
    chains = simulate(
        problem,
        rate=rate,
        num_steps=450,
        burn_in=200,
        every=5,
        num_replicas=512,
        start=center,
        observables={"pulls": thermometers_along(problem, center=center)},
    )
    found = gibbs_test(chains.averages["pulls"], tolerance=0.25)
    assert found.verdict == verdict
    if noise == "langevin":
        # T/(1 − ηh/2) in a direction of curvature h ≤ 1, to first order.
        assert -4 * found.temperature.se < found.temperature.value - temperature
        assert found.temperature.value < temperature / (1 - rate / 2) + 4 * found.temperature.se


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"pulls": np.ones((100, 1))}, "at least 2 fields, got 1"),
        ({"pulls": np.ones((19, 2))}, "at least 20 replicas, got 19"),
        ({"pulls": pulls([1.0, 1.0], 50), "tolerance": 0.0}, "tolerance must be positive"),
        (
            {"pulls": pulls([1.0, 1.0], 50), "divergences": pulls([1.0, 1.0], 50) - 1.0},
            "lost in its error",
        ),
    ],
)
def test_bad_input_is_one_sentence(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        gibbs_test(**given)


def readings(problem, edges, rate=0.05):
    observe = regional_thermometers(
        problem,
        center=problem.center,
        along=torch.tensor([1.0, 0.0]).double(),
        edges=edges,
        directions=torch.tensor([[0.0, 1.0]]).double(),
    )
    chains = simulate(
        problem,
        rate=rate,
        num_steps=1500,
        burn_in=200,
        every=5,
        num_replicas=1024,
        start=problem.center,
        observables={"regions": observe},
    )
    return regional_temperatures(chains.averages["regions"], edges=edges, rate=rate, num_weights=2)


def test_noise_alike_everywhere_has_the_same_temperature_in_every_region():
    problem = isotropic(GaussianRegression(np.array([1.0, 1.0])), variance=2.0)
    regions = readings(problem, (-0.3, -0.1, 0.1, 0.3))
    # Variance of δ' = (1 − ηh)δ + ηξ, whatever the other coordinate is.
    wanted = 0.05**2 * 2 / (1 - 0.95**2)
    for region in regions:
        assert abs(region.temperature.z(wanted)) < 3.5
        assert abs(region.noise_temperature.z(0.05 / 2 * 2)) < 3.5
        assert region.temperature.se < 0.03 * wanted
    assert sum(region.share.value for region in regions) < 1


def test_minibatch_noise_is_hotter_far_from_the_minimum():
    """E|g − ∇L|² = σ²tr H + 2|δ|²·2 − |δ|² …: with H = 1 and B = 1 it is 2 + 3|δ|² in two dimensions."""
    problem = GaussianRegression(np.array([1.0, 1.0]), batch_size=1, label_noise=0.3)
    edges = (0.0, 0.02, 0.1, 0.4)
    regions = readings(problem, edges)
    noise = [region.noise_temperature for region in regions]
    assert noise[2].value - noise[0].value > 5 * np.hypot(noise[0].se, noise[2].se)
    assert regions[2].temperature.value > regions[0].temperature.value


def test_a_region_that_nobody_visits_has_no_temperature():
    problem = isotropic(GaussianRegression(np.array([1.0, 1.0])), variance=2.0)
    (region,) = readings(problem, (50.0, 60.0))
    assert np.isnan(region.temperature.value)
    assert region.share.value == 0.0


@pytest.mark.parametrize(
    "edges, directions, sentence",
    [
        ((0.1, 0.0), [[0.0, 1.0]], "ascending numbers"),
        ((0.0,), [[0.0, 1.0]], "ascending numbers"),
        ((0.0, 1.0), [[1.0, 1.0]], "orthogonal"),
    ],
)
def test_regions_must_be_regions(edges, directions, sentence):
    problem = GaussianRegression(np.array([1.0, 1.0]))
    with pytest.raises(ValueError, match=sentence):
        regional_thermometers(
            problem,
            center=problem.center,
            along=torch.tensor([1.0, 0.0]).double(),
            edges=edges,
            directions=torch.tensor(directions).double(),
        )
