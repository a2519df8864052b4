"""The whole measurement against known values, and what it says when it must not be believed."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import singulab as sl
from singulab.checks import Criticality
from singulab.measure import _criticality
from singulab.sample.precondition import Diagonal
from singulab.zoo import CASES, DeepLinear

SIGMA = 4.0


@pytest.mark.parametrize("name", ["P1", "P3", "P4"])
def test_deep_linear_networks_come_out_at_their_gold_value_within_4000_gradients(name: str) -> None:
    case = CASES[name]
    assert isinstance(case, DeepLinear)
    truth = case.truth(100.0)
    m = sl.measure(
        case.model(), case.data(), sl.gaussian(),
        localization=100.0, batch_size=case.batch_size, max_gradients=4000,
    )  # fmt: skip
    joint = math.hypot(m.llc.se, truth.error)
    assert m.llc.se <= 0.06 * truth.value
    assert abs(m.llc.value - truth.value) <= SIGMA * joint
    assert m.gradients["total"] <= 4000 * 1.05
    assert m.effective_localization == pytest.approx(100.0, rel=0.5)


@pytest.mark.parametrize("name", ["x^2+y^4", "x^2y^2"])
def test_plane_potentials_come_out_at_their_quadrature_value(name: str) -> None:
    case = CASES[name]
    nbeta = 1000 / math.log(1000)
    truth = case.truth(1.0, nbeta=nbeta)
    m = sl.measure(case.exact_potential(1.0, nbeta=nbeta), relative_error=0.025)
    assert m.passed, m
    assert m.llc.se <= 0.03 * truth.value
    assert abs(m.llc.value - truth.value) <= 3.5 * m.llc.se


@pytest.mark.slow
@pytest.mark.parametrize("num_data", [10**3, 10**4])
@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("x^")])
def test_every_plane_potential_passes_within_three_and_a_half_errors(
    name: str, num_data: int
) -> None:
    nbeta = num_data / math.log(num_data)
    truth = CASES[name].truth(1.0, nbeta=nbeta)
    m = sl.measure(CASES[name].exact_potential(1.0, nbeta=nbeta))
    assert m.passed, m
    assert m.llc.se <= 0.03 * truth.value
    assert abs(m.llc.value - truth.value) <= 3.5 * m.llc.se


def quadratic(gamma: float = 2.0) -> sl.LocalPotential:
    return sl.LocalPotential.from_function(
        lambda w: 0.5 * w["w"].square().sum(1),
        {"w": torch.zeros(4)},
        nbeta=50.0,
        localization=gamma,
    )


def linear_regression(
    noise: float = 1.0,
) -> tuple[torch.nn.Linear, tuple[torch.Tensor, torch.Tensor]]:
    """A regular model at its least-squares minimum, with 4 weights."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 4, generator=generator)
    y = x.sum(1, keepdim=True) + noise * torch.randn(400, 1, generator=generator)
    model = torch.nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(x, y).solution.T)
    return model, (x, y)


def exact_regression_llc(gamma: float) -> float:
    """½ Σ nβh/(nβh + γ) with h the eigenvalues of mean xxᵀ."""
    _, (x, _) = linear_regression()
    h = torch.linalg.eigvalsh(x.T.double() @ x.double() / len(x))
    a = 400 / math.log(400) * h
    return float(0.5 * (a / (a + gamma)).sum())


@pytest.mark.parametrize(
    "kernel, batch_size", [("auto", 50), ("leimkuhler_matthews", 50), ("hmc", 400)]
)
def test_a_regular_model_has_half_its_weights_less_the_tether(kernel: str, batch_size: int) -> None:
    model, data = linear_regression()
    m = sl.measure(
        model, data, "gaussian", localization=5.0, kernel=kernel, batch_size=batch_size,
        relative_error=0.05, max_gradients=6_000,
    )  # fmt: skip
    assert m.llc.se <= 0.15
    assert abs(m.llc.value - exact_regression_llc(5.0)) <= SIGMA * m.llc.se


def test_plain_sgld_comes_back_failed_because_it_is_biased() -> None:
    model, data = linear_regression()
    settings = replace(
        sl.Settings.published("lau2023_dln_1k"), step_size=1e-3, batch_size=50, num_draws=600
    )
    m = sl.measure(model, data, "gaussian", settings=settings)
    assert not m.passed
    failed = {check.name: check.advice for check in m.checks if not check.passed}
    assert "use kernel='auto'" in failed["unbiased_kernel"]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    model, data = linear_regression()
    knobs = {"localization": 5.0, "batch_size": 50, "max_gradients": 1200}
    one, two, other = (
        sl.measure(model, data, "gaussian", seed=seed, **knobs) for seed in (1, 1, 2)
    )
    assert one.llc == two.llc
    assert one.llc.value != other.llc.value


def test_a_second_measurement_of_a_potential_gives_the_numbers_of_the_first() -> None:
    model, data = linear_regression()
    potential = sl.LocalPotential.of(model, data, "gaussian", localization=5.0, batch_size=50)
    one, two = (sl.measure(potential, max_gradients=1200, seed=1) for _ in range(2))
    assert one.settings.found["control"] == "on"
    assert one.llc == two.llc
    assert one.gradients == two.gradients


def test_a_frozen_settings_measures_what_was_calibrated_and_refuses_other_arguments() -> None:
    model, data = linear_regression()
    potential = sl.LocalPotential.of(model, data, "gaussian", batch_size=50)
    settings = sl.calibrate([potential, potential], relative_radius=0.5, max_gradients=1200)
    again = sl.Settings.from_toml(settings.to_toml())
    assert again == settings
    m = sl.measure(model, data, "gaussian", settings=again)
    assert (m.nbeta, m.localization) == (settings.nbeta, settings.localization)
    assert m.localization == pytest.approx(4 / (0.25 * float(model.weight.detach().square().sum())))
    with pytest.raises(ValueError, match="settings already fix nbeta"):
        sl.measure(model, data, "gaussian", settings=settings, nbeta=3.0)


def test_the_ladder_lowers_gamma_while_the_checks_pass() -> None:
    model, data = linear_regression()
    m = sl.measure(
        model, data, "gaussian", localization="ladder", relative_error=0.05, batch_size=400
    )
    gammas = [rung.localization for rung in m.ladder]
    assert gammas[0] == m.localization
    np.testing.assert_allclose(gammas, m.localization * np.array([1, 1 / 3, 1 / 10])[: len(gammas)])
    assert all(rung.passed for rung in m.ladder[:-1])
    assert [r.radius for r in m.ladder] == sorted(r.radius for r in m.ladder)
    for rung in m.ladder:
        assert f"ladder: radius {rung.radius:.4g} (γ = {rung.localization:.4g}) {rung.llc}" in str(
            m
        )


def test_the_measurement_survives_json_and_a_folder(tmp_path) -> None:
    m = sl.measure(quadratic(), relative_error=0.05)
    m.save(tmp_path / "m")
    again = sl.Measurement.load(tmp_path / "m")
    assert json.loads(json.dumps(m.to_dict(), allow_nan=False)) == again.to_dict()
    assert again.trace is not None
    assert m.trace is not None
    np.testing.assert_array_equal(again.trace["excess_loss"], m.trace["excess_loss"])


def test_the_scale_line_says_n_beta_nbeta_gamma_and_radius() -> None:
    model, data = linear_regression()
    m = sl.measure(model, data, "gaussian", localization=5.0, max_gradients=2000)
    for part in ("n = 400 data", "β = 0.1669", "nβ = 66.76", "γ = 5", "radius = ", "of |w*|"):
        assert part in m.scale


def test_criticality_is_the_newton_decrement_without_minibatch_bias() -> None:
    model, data = linear_regression(noise=0.3)
    with torch.no_grad():
        model.weight += torch.tensor([[0.5, -0.2, 0.0, 0.3]])
    potential = sl.LocalPotential.of(model, data, "gaussian", localization=1e-6, batch_size=10)
    scale = torch.full((4,), 0.1)
    found = [
        _criticality(potential, Diagonal(scale, torch.ones(4)), seed, 16_000.0)[0]
        for seed in range(16)
    ]
    gradient = potential.landscape.full(potential.center[None], 10)[0]
    exact = 0.5 * float((potential.nbeta * gradient * scale).square().sum())
    values = [c.drop for c in found if isinstance(c, Criticality)]
    errors = [c.se for c in found if isinstance(c, Criticality)]
    assert abs(np.mean(values) - exact) <= SIGMA * np.std(values, ddof=1) / math.sqrt(16)
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.6)


def test_a_point_off_the_minimum_fails_by_name_and_its_behavioural_llc_passes_that_check() -> None:
    model, data = linear_regression()
    with torch.no_grad():
        model.weight += 1.0
    knobs = {"localization": 5.0, "batch_size": 100, "max_gradients": 4000, "relative_error": 0.1}
    off = sl.measure(model, data, "gaussian", **knobs)
    assert {"criticality", "sign"} <= {c.name for c in off.checks if not c.passed}
    behavioural = sl.measure(model, data, "gaussian", labels="model", **knobs)
    assert behavioural.quantity == "behavioural_llc"
    assert abs(behavioural.llc.value - exact_regression_llc(5.0)) <= SIGMA * behavioural.llc.se


def test_a_scale_curve_tends_to_half_the_weights_as_gamma_falls() -> None:
    curve = sl.scale_curve(
        quadratic(), nbeta=[20.0, 80.0], localization=[1.0, 40.0], relative_error=0.05
    )
    assert len(curve.points) == 4
    for point in curve.points:
        exact = 2 * point.nbeta / (point.nbeta + point.localization)
        assert abs(point.llc.value - exact) <= SIGMA * point.llc.se
    slope = curve.slope(1.0)
    expected = 2 * (1 / 21 - 1 / 81) / (1 / 20 - 1 / 80)
    assert abs(slope.value - expected) <= SIGMA * slope.mcse
    assert set(curve.to_dict()) == {"points", "slopes", "limits"}


def test_label_noise_is_taken_off_the_gradients_where_that_pays() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 6, bias=False), torch.nn.Linear(6, 4, bias=False)
    )
    x = torch.randn(2000, 6)
    clean = model(x).detach()
    knobs = {"localization": 100.0, "max_gradients": 3000.0, "batch_size": 64, "seed": 1}
    noisy = sl.measure(model, (x, clean + torch.randn_like(clean)), sl.gaussian(), **knobs)
    assert noisy.settings.found["control"] == "on"
    assert noisy.gradients["control"] >= 2000 / 64
    for targets, labels in ((clean, "data"), (clean + torch.randn_like(clean), "model")):
        quiet = sl.measure(model, (x, targets), sl.gaussian(), labels=labels, **knobs)
        assert quiet.settings.found["control"] == "off"
        assert "control" not in quiet.gradients


def test_a_budget_smaller_than_the_preparation_is_said_and_raises_nothing() -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(6, 4)
    x = torch.randn(4000, 6)
    noisy = model(x).detach() + torch.randn(4000, 4)
    m = sl.measure(model, (x, noisy), sl.gaussian(), batch_size=16, max_gradients=20.0)
    assert not m.passed
    assert "budget" in [check.name for check in m.checks if not check.passed]
