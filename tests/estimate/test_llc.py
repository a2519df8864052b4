"""Estimators on exact draws: no sampler is involved."""

import math

import numpy as np
import pytest

from singulab.errors import DivergedError
from singulab.estimate import heat_capacity, llc, llc_extrapolated, llc_slope
from singulab.estimate.diagnostics import batch_means_error, drift, ess, mcse, rhat
from singulab.estimate.llc import Estimate, controlled_energy
from singulab.trace import Trace

SIGMA = 4.0


def trace_of(
    energy: np.ndarray,
    *,
    nbeta: float = 50.0,
    noise: np.ndarray | None = None,
    virial: float = 1.0,
    linear_noise: np.ndarray | None = None,
    radius: float = 0.0,
    **facts: object,
) -> Trace:
    """A trace whose energies nβ(L − L*) are given."""
    excess = energy / nbeta
    return Trace.of_arrays(
        {
            "excess_loss": excess,
            "excess_a": excess,
            "excess_b": excess,
            "noise_bias": np.zeros_like(excess) if noise is None else noise,
            "virial": np.full_like(excess, virial),
            "radius_squared": np.full_like(excess, radius**2),
            "linear_noise": np.zeros_like(excess) if linear_noise is None else linear_noise / nbeta,
        },
        nbeta=nbeta,
        localization=1.0,
        dim=3,
        **facts,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("k", [1, 2, 3])
def test_mean_and_variance_recover_the_rlct_of_a_monomial_from_exact_draws(k: int) -> None:
    # under exp(−t w^2k) the energy t w^2k is Gamma(1/2k, 1) for every t, and λ = 1/2k
    draws = np.random.default_rng(k).gamma(1 / (2 * k), size=(64, 800))
    for estimator in (llc, heat_capacity):
        estimate = estimator(trace_of(draws))
        assert estimate.mcse < 0.02
        assert abs(estimate.value - 1 / (2 * k)) < SIGMA * estimate.mcse


def test_temperature_slope_recovers_lambda_whatever_the_loss_at_the_center() -> None:
    generator = np.random.default_rng(0)
    traces = [
        trace_of(generator.gamma(0.75, size=(16, 2000)) + 3.0 * nbeta, nbeta=nbeta)
        for nbeta in (20.0, 50.0, 200.0)
    ]
    estimate = llc_slope(traces)
    assert estimate.mcse < 0.02
    assert abs(estimate.value - 0.75) < SIGMA * estimate.mcse


def test_a_slope_of_a_single_trace_is_refused(unchecked: None) -> None:
    with pytest.raises(TypeError, match="several traces, got one"):
        llc_slope(trace_of(np.ones((4, 20))))


def test_extrapolation_takes_off_noise_bias_that_the_prediction_gets_wrong_by_a_fifth() -> None:
    generator = np.random.default_rng(1)
    predicted = np.array([1.0, 1.0, 0.5, 0.5])[:, None] * np.ones((4, 20_000))
    energy = generator.gamma(10.0, size=(4, 20_000)) + 1.2 * predicted
    result = llc_extrapolated(
        trace_of(energy, noise=predicted, step_sizes=[2e-3, 2e-3, 1e-3, 1e-3])
    )
    assert result.factor == pytest.approx(1.2, abs=0.1)
    assert abs(result.llc.value - 10.0) < SIGMA * result.llc.se
    assert result.raw.value == pytest.approx(10.9, abs=0.1)
    assert result.noise_share == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("actual", [0.8, 1.0, 1.2, 3.0])
def test_noise_beyond_first_order_is_told_by_the_two_steps_and_costs_an_honest_error(
    actual: float,
) -> None:
    generator, errors, widths = np.random.default_rng(5), [], []
    predicted = np.array([1.0, 1.0, 0.5, 0.5])[:, None] * np.ones((4, 1500))
    for _ in range(40):
        energy = generator.gamma(10.0, size=(4, 1500)) + actual * predicted
        result = llc_extrapolated(
            trace_of(energy, noise=predicted, step_sizes=[2e-3, 2e-3, 1e-3, 1e-3])
        )
        errors.append((result.llc.value - 10.0) / result.llc.se)
        widths.append(result.llc.se / 10.0)
    assert np.mean(np.abs(errors) < 1.96) >= 0.9
    assert np.median(widths) < 0.035


def test_a_step_size_effect_that_noise_does_not_explain_leaves_the_smaller_step_alone() -> None:
    generator = np.random.default_rng(2)
    energy = generator.gamma(10.0, size=(4, 20_000))
    energy[:2] += 2.0
    result = llc_extrapolated(trace_of(energy, step_sizes=[2e-3, 2e-3, 1e-3, 1e-3]))
    assert result.used_smaller_step_only
    assert abs(result.llc.value - 10.0) < SIGMA * result.llc.se
    assert result.halving > 0.08


def test_chains_left_out_keep_their_step_sizes() -> None:
    energy = np.random.default_rng(3).gamma(10.0, size=(4, 1000))
    steps = [2e-3, 2e-3, 1e-3, 1e-3]
    part = trace_of(energy, step_sizes=steps).select(chains=[0, 2, 3])
    groups = llc_extrapolated(part)
    assert not groups.used_smaller_step_only
    assert math.isfinite(groups.halving_se)


def test_reordering_chains_changes_nothing() -> None:
    draws = np.random.default_rng(4).gamma(2.0, size=(6, 500))
    assert llc(trace_of(draws)).value == pytest.approx(llc(trace_of(draws[::-1])).value, rel=1e-12)


def test_estimators_refuse_one_chain_no_draws_and_dead_chains() -> None:
    draws = np.random.default_rng(5).gamma(2.0, size=(3, 50))
    with pytest.raises(ValueError, match="at least 2 chains"):
        llc(trace_of(draws[:1]))
    with pytest.raises(ValueError, match="leaves no draws"):
        llc(trace_of(draws), burn_in=50)
    draws[1, 30] = math.nan
    with pytest.raises(DivergedError) as caught:
        llc(trace_of(draws))
    assert caught.value.chains == (1,)
    with pytest.raises(ValueError, match="different nβ"):
        llc_slope([trace_of(draws), trace_of(draws)])


def test_interval_is_the_normal_one() -> None:
    low, high = Estimate(1.0, 0.3, 0.4).interval(0.95)
    assert (low, high) == pytest.approx((1 - 0.979982, 1 + 0.979982), abs=1e-5)


def test_printed_digits_follow_the_error() -> None:
    assert str(Estimate(12.3456, 0.0321)) == "12.346 ± 0.032"
    assert str(Estimate(123.456, 3.21)) == "123.5 ± 3.2"


def autoregressive(chains: int, draws: int, rho: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(chains, draws)) * math.sqrt(1 - rho**2)
    x[:, 0] /= math.sqrt(1 - rho**2)
    for t in range(1, draws):
        x[:, t] += rho * x[:, t - 1]
    return x


def test_mcse_of_an_autoregressive_chain_is_its_exact_error() -> None:
    rho, chains, draws = 0.9, 8, 4000
    exact = math.sqrt((1 + rho) / (1 - rho) / (chains * draws))
    errors = [mcse(autoregressive(chains, draws, rho, seed)) for seed in range(10)]
    assert np.mean(errors) == pytest.approx(exact, rel=0.15)
    assert ess(autoregressive(chains, draws, rho, 0)) == pytest.approx(chains * draws / 19, rel=0.3)


def test_mcse_sees_slow_wandering_beneath_fast_noise() -> None:
    # white noise of sd 30 hides an autoregression of sd 5 and 200 steps; its lags are 3 % each, and unseen
    rho = 1 - 1 / 200
    slow = [5 * autoregressive(4, 3000, rho, seed) for seed in range(20)]
    draws = [
        s + 30 * np.random.default_rng(99 + i).normal(size=s.shape) for i, s in enumerate(slow)
    ]
    spread = math.sqrt(25 * 2 * 200 / 12_000 + 900 / 12_000)
    assert np.mean([mcse(d) for d in draws]) == pytest.approx(spread, rel=0.3)


def test_batch_means_of_white_noise_give_its_error() -> None:
    errors = [batch_means_error(np.random.default_rng(s).normal(size=(4, 800))) for s in range(40)]
    assert np.mean(errors) == pytest.approx(1 / math.sqrt(3200), rel=0.05)


def test_drift_and_rhat_notice_what_they_are_for() -> None:
    steady = np.random.default_rng(6).normal(size=(4, 1000))
    moved, error = drift(steady + np.linspace(0, 1, 1000))
    assert moved == pytest.approx(0.5, abs=0.15)
    assert abs(moved) > 3 * error
    assert rhat(steady) < 1.01
    assert rhat(steady + np.arange(4)[:, None]) > 1.5


def test_chains_that_have_not_spread_widen_the_error_by_a_quarter_of_what_is_missing() -> None:
    energy = np.random.default_rng(0).gamma(20.0, 1.0, (4, 4000))
    for virial, missing in ((1.0, 0.0), (0.8, 0.2), (1.2, 0.2)):
        found = llc_extrapolated(trace_of(energy, virial=virial)).llc
        assert found.bias_se == pytest.approx(0.25 * missing * found.value)
        assert found.se == pytest.approx(np.hypot(found.mcse, found.bias_se))


@pytest.mark.parametrize(
    "norm, factor", [(None, 1.0), (0.0, 1.0), (4.0, 1.0), (2.0, 1.5), (0.1, 4.0)]
)
def test_errors_grow_in_proportion_once_chains_go_farther_than_the_weights_are_long(
    norm: float | None, factor: float
) -> None:
    energy = np.random.default_rng(0).gamma(20.0, 1.0, (4, 4000))
    near = llc_extrapolated(trace_of(energy, virial=0.9)).llc
    facts = {} if norm is None else {"model_norm": norm}
    found = llc_extrapolated(trace_of(energy, virial=0.9, radius=3.0, **facts)).llc
    assert found.se == pytest.approx(factor * near.se)
    assert (found.value, found.mcse) == (near.value, near.mcse)


def test_known_minibatch_noise_is_taken_off_the_energies_and_leaves_their_mean() -> None:
    random = np.random.default_rng(1)
    known = random.normal(0.0, 30.0, (4, 4000))
    energy = random.gamma(20.0, 1.0, (4, 4000)) + 0.8 * known
    plain, taken = trace_of(energy), trace_of(energy, linear_noise=known)
    assert controlled_energy(plain) == pytest.approx(energy)
    left = controlled_energy(taken)
    assert left.std() == pytest.approx(20**0.5, rel=0.05)
    assert abs(left.mean() - 20.0) < 4 * 20**0.5 / 4000**0.5
    found = llc_extrapolated(taken).llc
    assert abs(found.value - 20.0) < 4 * found.se
    assert found.mcse < 0.25 * llc_extrapolated(plain).llc.mcse


@pytest.mark.parametrize("controlled, distrust", [(False, 0.25), (True, 0.3)])
def test_the_prediction_of_noise_bias_is_trusted_less_where_the_noise_at_the_center_is_off(
    controlled: bool, distrust: float
) -> None:
    random = np.random.default_rng(2)
    energy = random.gamma(20.0, 1.0, (4, 4000)) + 2.0
    noise = np.full_like(energy, 2.0)
    linear = random.normal(0.0, 1e-6, energy.shape) if controlled else None
    found = llc_extrapolated(trace_of(energy, noise=noise, linear_noise=linear)).llc
    assert found.bias_se == pytest.approx(distrust * 2.0)
