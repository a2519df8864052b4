"""Elliptical slice sampling is exact, needs no tuning, and enters valleys and walls alike."""

import numpy as np
import pytest
import torch

import singulab as sl
from singulab.zoo import CASES


def quadratic(curvatures, nbeta=100.0, localization=1.0):
    h = torch.tensor(curvatures, dtype=torch.float64)
    return sl.LocalPotential.from_function(
        lambda w: 0.5 * (w["w"].square() * h).sum(1),
        {"w": torch.zeros(len(curvatures), dtype=torch.float64)},
        nbeta=nbeta,
        localization=localization,
    )


@pytest.mark.parametrize(
    "curvatures, localization", [((1.0,), 1.0), ((1.0, 30.0), 5.0), ((0.01, 1.0, 3.0), 2.0)]
)
def test_the_energy_of_a_quadratic_is_exact(curvatures, localization):
    potential = quadratic(curvatures, localization=localization)
    trace = sl.sample(potential, sl.EllipticalSlice(), num_chains=200, num_draws=250)
    exact = sum(0.5 * 100 * h / (100 * h + localization) for h in curvatures)
    found = sl.estimate.llc(trace, burn_in=50)
    # 3 cases at 4 errors: a sound sampler fails 1 time in 5 000.
    assert abs(found.value - exact) < 4 * found.mcse
    assert found.mcse < 0.02 * exact
    virial = trace["virial"][:, 50:].mean()
    assert virial == pytest.approx(1, abs=0.06)


def test_the_tether_may_stand_anywhere():
    # E of nβ·½h(w − a)² with w* = 0: the mean of w is nβha/(nβh + γ) and its variance 1/(nβh + γ).
    nbeta, gamma, shift = 10.0, 7.0, 0.8
    potential = sl.LocalPotential.from_function(
        lambda w: 0.5 * (w["w"] - shift).square().sum(1),
        {"w": torch.zeros(1, dtype=torch.float64)},
        nbeta=nbeta,
        localization=gamma,
    )
    trace = sl.sample(potential, sl.EllipticalSlice(), num_chains=200, num_draws=250)
    bias = shift * gamma / (nbeta + gamma)
    exact = 0.5 * nbeta * (bias**2 + 1 / (nbeta + gamma) - shift**2)
    found = sl.estimate.llc(trace, burn_in=50)
    assert abs(found.value - exact) < 4 * found.mcse
    assert found.mcse < 0.02


def test_a_chain_is_the_same_beside_any_number_of_others():
    potential = quadratic((1.0, 2.0))
    few, many = (
        sl.sample(potential, sl.EllipticalSlice(), num_chains=c, num_draws=20) for c in (2, 5)
    )
    assert np.array_equal(few.energy, many.energy[:2])


def test_auto_takes_it_for_few_weights_and_hmc_for_more():
    few = sl.measure(quadratic((1.0, 2.0)), relative_error=0.1, num_chains=64)
    many = sl.measure(quadratic((1.0,) * 12), relative_error=0.1, max_gradients=5e4)
    assert few.settings.found["kernel"] == "elliptical_slice"
    assert many.settings.found["kernel"] == "hmc"
    assert few.passed


@pytest.mark.parametrize(
    "name, nbeta",
    [("polynomial-2-2", 1e6), pytest.param("polynomial-2-5", 1e13, marks=pytest.mark.slow)],
)
def test_steep_walls_and_bent_valleys_are_no_obstacle(name, nbeta):
    case = CASES[name]
    truth = case.truth(1.0, nbeta=nbeta)
    m = sl.measure(case.exact_potential(1.0, nbeta=nbeta), relative_error=0.05)
    assert m.passed, m
    assert abs(m.llc.value - truth.value) < 4 * m.llc.se
    assert m.llc.se < 0.06 * truth.value


def test_chains_that_still_spread_are_told():
    # The arms of x²y² at nβ = 10⁹ are long and thin: a small budget cannot fill them.
    m = sl.measure(CASES["x^2y^2"].exact_potential(1.0, nbeta=1e9), max_gradients=2e5)
    assert any("still spread along the valleys" in note for note in m.notes)


def test_it_needs_a_tether_and_has_no_step():
    untethered = quadratic((1.0,), localization=0.0)
    with pytest.raises(ValueError, match="needs a tether"):
        sl.sample(untethered, sl.EllipticalSlice(), num_draws=1)
    with pytest.raises(ValueError, match="no step size"):
        sl.EllipticalSlice(step_size=0.1)
