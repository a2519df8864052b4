"""Kernels on exact laws: a Gaussian target, and the stationary law of the algorithm itself."""

from typing import Any

import numpy as np
import pytest
import torch

import singulab as sl
from singulab.estimate.diagnostics import mcse
from singulab.sample import KERNELS
from singulab.sample.precondition import Diagonal
from singulab.sample.run import Simulation

CURVATURES = torch.tensor([1.0, 0.3, 0.0], dtype=torch.float64)
NBETA, GAMMA = 50.0, 4.0
STIFFNESS = NBETA * CURVATURES + GAMMA
SIGMA = 4.0  # a correct mean strays this far once in about 16 000 tests


def quadratic() -> sl.LocalPotential:
    """U = Σ a w²/2 with a = nβh + γ."""
    return sl.LocalPotential.from_function(
        lambda w: 0.5 * (CURVATURES * w["w"] ** 2).sum(1),
        {"w": torch.zeros(3, dtype=torch.float64)},
        nbeta=NBETA,
        localization=GAMMA,
    )


def stays(draws: np.ndarray, expected: float, largest_error: float, slack: float = 0.0) -> None:
    """The mean is the expected one in units of its own error, and that error is small enough to tell."""
    error = mcse(draws)
    assert error <= largest_error
    assert abs(draws.mean() - expected) <= SIGMA * error + slack


@pytest.mark.parametrize("step_size", [1e-2, 3e-2])
def test_sgld_keeps_its_own_biased_law_on_a_quadratic(step_size: float) -> None:
    # variance 1/(a(1 − εa/4)): at ε = 0.03 the energy is 1.22 where an exact sampler has 0.86
    a = STIFFNESS
    expected = float((0.5 * NBETA * CURVATURES / (a * (1 - step_size * a / 4))).sum())
    trace = sl.sample(quadratic(), sl.SGLD(step_size=step_size), num_chains=64, num_draws=700)
    stays(trace.energy[:, 100:], expected, 0.03)


@pytest.mark.parametrize("step_size", [1e-2, 3e-2, 6e-2])
def test_leimkuhler_matthews_is_exact_on_a_quadratic_at_every_stable_step(step_size: float) -> None:
    expected = float((0.5 * NBETA * CURVATURES / STIFFNESS).sum())
    kernel = sl.LeimkuhlerMatthews(step_size=step_size)
    trace = sl.sample(quadratic(), kernel, num_chains=64, num_draws=700)
    stays(trace.energy[:, 100:], expected, 0.03)


EXACT_ON_GAUSSIANS: dict[str, Any] = {
    "leimkuhler_matthews": sl.LeimkuhlerMatthews(step_size=3e-2),
    "baoab": sl.BAOAB(step_size=3e-2, memory=0.6),
    "baoab, preconditioned": sl.BAOAB(
        step_size=0.2,
        memory=0.5,
        preconditioner=Diagonal(STIFFNESS.rsqrt(), torch.ones(3, dtype=torch.float64)),
    ),
    "mala": sl.MALA(step_size=3e-2),
    "hmc": sl.HMC(step_size=1e-2, num_leapfrog=8),
    "sgnht, small step": sl.SGNHT(step_size=1e-3, injected=4.0),
}


def squares(kernel: Any, *, draws: int = 600) -> tuple[np.ndarray, Simulation]:
    """a·w² along the chains, from a start in equilibrium, (chain, draw, axis)."""
    start = torch.randn(48, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    simulation = Simulation(
        quadratic(), kernel, num_chains=48, seed=3, position=start * STIFFNESS.rsqrt()
    )
    seen: list[torch.Tensor] = []
    simulation.advance(100, record=False)
    simulation.advance(
        100 + draws, record=False, on_step=lambda s: seen.append(s.position**2 * STIFFNESS)
    )
    return torch.stack(seen, dim=1).numpy(), simulation


@pytest.mark.parametrize("name", EXACT_ON_GAUSSIANS)
def test_every_kernel_draws_the_variances_of_a_gaussian(name: str) -> None:
    drawn, _ = squares(EXACT_ON_GAUSSIANS[name])
    for axis in range(3):
        # half a per cent is the known bias of the thermostat's small step
        stays(drawn[:, :, axis], 1.0, 0.1, slack=0.005 if "small step" in name else 0.0)


def test_frozen_rmsprop_keeps_the_euler_law_of_its_metric() -> None:
    kernel = sl.RMSpropSGLD(step_size=2e-3, adapt_steps=100)
    drawn, simulation = squares(kernel, draws=1500)
    metric = 1 / (simulation.states[0].square.sqrt() + kernel.floor)
    exact = 1 / (1 - kernel.step_size * metric * STIFFNESS / 4)
    stays(drawn[:, :, 0], float(exact[:, 0].mean()), 0.1)


def test_baoab_without_memory_is_the_leimkuhler_matthews_step() -> None:
    one = sl.sample(quadratic(), sl.BAOAB(step_size=2e-2, memory=0.0), num_chains=2, num_draws=50)
    two = sl.sample(quadratic(), sl.LeimkuhlerMatthews(step_size=2e-2), num_chains=2, num_draws=50)
    np.testing.assert_allclose(one["excess_loss"], two["excess_loss"], rtol=1e-10, atol=1e-14)


def test_an_rmsprop_that_never_freezes_says_that_it_is_biased() -> None:
    kernel = sl.RMSpropSGLD(step_size=1e-3, adapt_steps=None)
    assert kernel.biased is not None
    assert "never stops adapting" in kernel.biased


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_a_chain_is_bitwise_the_same_beside_none_or_seven_others(name: str) -> None:
    kernel = KERNELS[name]() if name == "elliptical_slice" else KERNELS[name](step_size=1e-2)
    alone = sl.sample(quadratic(), kernel, num_chains=1, num_draws=20, seed=5)
    among = sl.sample(quadratic(), kernel, num_chains=8, num_draws=20, seed=5)
    np.testing.assert_array_equal(alone["excess_loss"], among["excess_loss"][:1])
    assert not np.array_equal(among["excess_loss"][0], among["excess_loss"][1])


@pytest.mark.parametrize("stacked", [True, False])
def test_a_chain_of_a_network_is_bitwise_the_same_beside_others(stacked: bool) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    data = torch.randn(60, 5), torch.randint(3, (60,))
    potential = sl.LocalPotential.of(model, data, batch_size=10, localization=10.0)
    kernel = sl.BAOAB(step_size=1e-3, memory=0.5)
    alone = sl.sample(potential, kernel, num_chains=1, num_draws=20, stacked=stacked)
    among = sl.sample(potential, kernel, num_chains=8, num_draws=20, stacked=stacked)
    np.testing.assert_array_equal(alone["excess_loss"], among["excess_loss"][:1])


def test_half_step_chains_move_half_as_fast() -> None:
    kernel = sl.SGLD(step_size=[1e-4, 5e-5] * 64)
    trace = sl.sample(quadratic(), kernel, num_chains=128, num_draws=5)
    radius = trace["radius_squared"][:, 4]  # seen at every fourth step
    assert radius[::2].mean() / radius[1::2].mean() == pytest.approx(2.0, rel=0.2)


def test_the_virial_of_an_exact_sampler_is_one() -> None:
    trace = sl.sample(
        quadratic(), sl.HMC(step_size=1e-2, num_leapfrog=8), num_chains=64, num_draws=200
    )
    stays(trace["virial"][:, 20:], 1.0, 0.02)


def test_gradient_noise_heats_as_its_prediction_says() -> None:
    # f(x) = w on n data y ~ N(0, 1): curvature 1, gradient noise of variance (1 − B/n)/B. A whitened step ε
    # keeps the extra energy ε·nβ·var/8, to first order; exactly, with the factor 1/(1 − ε/4).
    y = torch.randn(4000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = torch.nn.Linear(1, 1, bias=False).double()
    torch.nn.init.constant_(model.weight, float(y.mean()))
    nbeta, step_size = 1600.0, 0.1
    potential = sl.LocalPotential.of(
        model, (torch.ones_like(y), y), sl.gaussian(), nbeta=nbeta, localization=1e-6, batch_size=20
    )
    one = torch.ones(1, dtype=torch.float64)
    kernel = sl.LeimkuhlerMatthews(step_size=step_size, preconditioner=Diagonal(one / 40, one))
    trace = sl.sample(potential, kernel, num_chains=64, num_draws=700, stacked=True)
    energy, predicted = trace.energy[:, 100:], trace["noise_bias"][:, 100:]
    noise = nbeta * step_size / 8 / 20 * (1 - 20 / 4000) * float(y.var())
    assert predicted.mean() == pytest.approx(noise, rel=0.03)
    stays(energy, 0.5 + noise / (1 - step_size / 4), 0.1)


def test_unknown_kernels_and_missing_steps_are_named() -> None:
    with pytest.raises(ValueError, match="unknown kernel 'gibbs'"):
        sl.sample(quadratic(), "gibbs", step_size=1.0)
    with pytest.raises(ValueError, match="needs step_size"):
        sl.sample(quadratic(), "sgld")
    with pytest.raises(ValueError, match="belongs to the kernel"):
        sl.sample(quadratic(), sl.SGLD(step_size=0.1), step_size=0.1)


@pytest.mark.parametrize("name", sorted(set(KERNELS) - {"elliptical_slice"}))
@pytest.mark.parametrize("step_size", [0.0, -1e-3, float("nan"), float("inf"), [1e-3, -1.0], "1"])
def test_a_step_that_is_none_is_refused(unchecked: Any, name: str, step_size: Any) -> None:
    with pytest.raises(ValueError, match="step_size must be above 0 and finite, got"):
        sl.sample(quadratic(), KERNELS[name](step_size=step_size), num_chains=2, num_draws=2)
