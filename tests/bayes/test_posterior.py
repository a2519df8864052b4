import math

import numpy as np
import pytest
from scipy import integrate

from singulab.bayes import Posterior, Tempering

TWO_WELLS = "min(44/10500 + x^2, (x - 9.4)^2)"


def test_the_default_jump_has_the_masses_that_are_known():
    posterior = Posterior(TWO_WELLS, prior="normal")
    known = {9_000: "0.0016", 10_000: "0.093", 10_500: "0.456", 11_000: "0.872", 12_000: "0.998"}
    for n, mass in known.items():
        places = len(mass.partition(".")[2])
        assert f"{posterior.at(n).mass('9.4'):.{places}f}" == mass


def test_the_crossing_is_predicted_and_as_wide_as_theory_says():
    crossing = Posterior(TWO_WELLS, prior="normal").crossing(between=(5_000, 20_000))
    assert (crossing.before, crossing.after) == ("0", "9.4")
    assert crossing.predicted == pytest.approx(crossing.true, rel=0.01)
    # log-odds nΔL − C run from −log 9 to log 9 within 4.394/C of n.
    assert crossing.relative_width == pytest.approx(4.394 / (9.4**2 / 2), rel=0.01)


def test_a_gaussian_posterior_has_its_closed_form():
    posterior = Posterior("x^2/2 + y^2/2", prior="normal")
    for n in (1.0, 100.0, 1e5):
        at = posterior.at(n)
        assert at.log_evidence == pytest.approx(-math.log1p(n), abs=1e-5)
        assert n * at.mean_loss == pytest.approx(n / (1 + n), rel=1e-4)
        assert at.bumps[0].width == pytest.approx([(1 + n) ** -0.5] * 2, rel=1e-4)
        assert at.bumps[0].height == pytest.approx((1 + n) / (2 * math.pi), rel=1e-2)


def test_an_evidence_agrees_with_another_integrator():
    posterior = Posterior("x^2*y^2 + 0.1*x^4", [(-1, 1), (-1, 1)])
    exact, _ = integrate.dblquad(
        lambda y, x: math.exp(-300 * (x * x * y * y + 0.1 * x**4)) / 4, -1, 1, -1, 1, epsrel=1e-9
    )
    assert posterior.at(300).log_evidence == pytest.approx(math.log(exact), abs=1e-5)


def test_the_free_energy_of_a_crossing_has_its_log_log_term():
    # Z = (2√π/√t)(½ ln t + γ_E/2 + ln 2)/4 on [−1, 1]², to 1e-12 for t ≥ 1e4.
    t = 1e5
    exact = math.log(
        2 * math.sqrt(math.pi / t) * (0.5 * math.log(t) + 0.5772156649 / 2 + math.log(2)) / 4
    )
    posterior = Posterior("x^2*y^2", rlct={Posterior("x^2*y^2").wells.wells[0].name: (0.5, 2)})
    assert posterior.at(t).log_evidence == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("n", [1e6, 1e12, 1e18])
def test_a_peak_far_narrower_than_every_cell_is_not_stepped_over(n):
    at = Posterior("(x - 0.3137)^2", [(-1.0, 1.0)]).at(n)
    assert at.log_evidence == pytest.approx(0.5 * math.log(math.pi / n) - math.log(2), abs=1e-4)


def test_wells_are_found_with_their_heights():
    loss = "min(x^2 + y^2 + 0.01, (x - 2)^2 + (y - 2)^2, 5*(x + 2)^2 + 5*(y - 1)^2 + 0.03)"
    wells = Posterior(loss, [(-4, 4), (-4, 4)]).wells.wells
    assert [w.loss for w in wells] == pytest.approx([0.0, 0.01, 0.03], abs=1e-9)
    assert np.array([w.center for w in wells]) == pytest.approx(
        np.array([[2, 2], [0, 0], [-2, 1]]), abs=1e-4
    )


def test_a_ripple_is_no_well():
    loss = "x^2 + 0.001*sin(200*x)"
    assert len(Posterior(loss).wells.wells) == 1
    assert len(Posterior(loss, barrier=0.0).wells.wells) > 1


def test_several_jumps_follow_each_other():
    posterior = Posterior(
        "min(0.02 + x^2, 0.004 + (x - 4)^2, (x - 9)^2)", prior="normal", barrier=0.0
    )
    jumps = posterior.jumps(between=(50, 50_000))
    assert [(j.before, j.after) for j in jumps] == [("0", "4"), ("4", "9")]
    for jump, predicted in zip(jumps, (8 / 0.016, 32.5 / 0.004), strict=True):
        assert jump.true == pytest.approx(predicted, rel=0.01)
        assert jump.predicted == pytest.approx(jump.true, rel=0.01)


def test_a_jump_by_lambda_alone_at_equal_prior_density():
    # A flat prior and wells of equal curvature: only λ = ¼ against ½ keeps the worse well alive.
    posterior = Posterior("min((x + 1)^4 + 0.002, (x - 1)^2)", [(-2, 2)])
    quartic, parabola = posterior.wells.wells[1], posterior.wells.wells[0]
    phases = {phase.name: phase for phase in posterior.phases(n=1000)}
    assert phases[parabola.name].rlct == 0.5
    assert phases[quartic.name].rlct == pytest.approx(0.25, rel=0.05)
    assert phases[parabola.name].prior_density == phases[quartic.name].prior_density
    known = Posterior(
        "min((x + 1)^4 + 0.002, (x - 1)^2)", [(-2, 2)], rlct={quartic.name: (0.25, 1)}
    )
    crossing = known.crossing(between=(20, 50_000))
    # nΔL = (½ − ¼) log n + log(Γ(1/4)/2) − log(√π): solved by iteration.
    n = 500.0
    for _ in range(100):
        n = (0.25 * math.log(n) + math.log(math.gamma(0.25) / 2 / math.sqrt(math.pi))) / 0.002
    assert crossing.true == pytest.approx(n, rel=0.01)
    assert crossing.predicted == pytest.approx(n, rel=0.01)


def test_monte_carlo_agrees_with_a_closed_form_in_five_dimensions():
    posterior = Posterior("(a^2 + b^2 + c^2 + d^2 + e^2)/2", prior="normal", seed=1)
    for at, n in zip(posterior.along([10, 1000]), (10, 1000), strict=True):
        exact = -2.5 * math.log1p(n)
        assert abs(at.log_evidence - exact) < 4 * at.log_evidence_se
        assert at.log_evidence_se < 0.3
        # 4000 particles that hardly depend on each other: 2.5 ± 2.5^½/63.
        assert n * at.mean_loss == pytest.approx(2.5 * n / (1 + n), abs=0.12)


def test_monte_carlo_finds_the_mass_of_named_wells():
    def loss(w):
        left = ((w + 0.5) ** 2).sum(-1)
        return np.minimum(left + 0.01, 4 * ((w - 0.5) ** 2).sum(-1))

    posterior = Posterior(
        loss,
        4,
        regions={"right": lambda w: w.sum(-1) > 0.3, "left": lambda w: w.sum(-1) <= 0.3},
        tempering=Tempering(num_particles=2000, num_populations=6),
        seed=2,
    )
    n = 300.0
    at = posterior.at(n)
    # Volumes of the two Gaussians: (π/n)² against (π/4n)².
    odds = n * 0.01 - 2 * math.log(4)
    exact = 1 / (1 + math.exp(-odds))
    assert abs(at.mass("right") - exact) < 4 * max(at["right"].mass_se, 0.01)
    assert at.mass("left") + at.mass("right") == pytest.approx(1.0)


@pytest.mark.slow
def test_a_crossing_of_four_weights_is_predicted_from_constants_read_off_elsewhere():
    def loss(w):
        return np.minimum(((w + 0.5) ** 2).sum(-1) + 0.02, 9 * ((w - 0.5) ** 2).sum(-1))

    posterior = Posterior(
        loss,
        4,
        regions={"narrow": lambda w: w.sum(-1) > 0.5, "wide": lambda w: w.sum(-1) <= 0.5},
        tempering=Tempering(num_particles=1500, num_populations=4),
        seed=1,
    )
    # The widths differ by 9² in volume: n·0.02 = 4 log 3.
    exact = 4 * math.log(3) / 0.02
    crossing = posterior.crossing("wide", "narrow", between=(60, 1500))
    assert crossing.true == pytest.approx(exact, rel=0.1)
    assert crossing.predicted == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("between", [(10.0, 5.0), (0.0, 5.0), (1.0, math.inf)])
def test_a_stretch_of_n_that_is_none_is_refused(between):
    with pytest.raises(ValueError, match="0 < low < high"):
        Posterior(TWO_WELLS, prior="normal").crossing(between=between)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text, rlct, multiplicity", [("x^2*y^2", 0.5, 2), ("x^2*y^4", 0.25, 1), ("(y - x^2)^2", 0.5, 1)]
)
def test_a_flat_minimum_has_the_lambda_of_its_worst_point(text, rlct, multiplicity, unchecked):
    (phase,) = Posterior(text).phases(n=100)
    assert (phase.rlct, phase.multiplicity) == (rlct, multiplicity)
    assert phase.how.startswith("proved")


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: Posterior("x^2").at(0), "n is a finite number"),
        (lambda: Posterior("x^2").at(math.nan), "n is a finite number"),
        (lambda: Posterior("x^2", prior="flat"), "prior is"),
        (lambda: Posterior("x^2", prior=-1.0), "deviation > 0"),
        (lambda: Posterior("x^2").crossing(between=(1, 10)), "needs two wells"),
        (lambda: Posterior(TWO_WELLS, prior="normal").crossing(between=(10, 20)), "not overtake"),
        (lambda: Posterior("x^2", regions={}).at(3), "at least one name"),
        (
            lambda: Posterior("x^2", regions={"a": lambda w: w[:, 0] > 5}).at(3),
            "holds none of 100 000",
        ),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_an_unknown_well_is_named():
    with pytest.raises(KeyError, match="there are"):
        Posterior("x^2").at(3)["nothing"]


@pytest.mark.parametrize(
    "rlct, sentence",
    [
        ({"0": (-1, 0)}, "λ above 0 and m a whole number of at least 1"),
        ({"0": (math.nan, 1)}, "λ above 0 and m a whole number of at least 1"),
        ({"0": (0.5, 1.5)}, "λ above 0 and m a whole number of at least 1"),
        ({"0": (0.5, 0)}, "λ above 0 and m a whole number of at least 1"),
        ({"0": (0.5, True)}, "λ above 0 and m a whole number of at least 1"),
        ({"0": 0.5}, "λ above 0 and m a whole number of at least 1"),
        ({"zz": (0.5, 1)}, "rlct names the well 'zz'; there are 0"),
        ([("0", 0.5)], "rlct maps names of wells"),
    ],
)
def test_a_coefficient_that_is_none_is_refused(rlct, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        Posterior("x^2", rlct=rlct)


def test_a_free_energy_at_one_datum_has_no_log_log():
    # F(1) = −log ∫ e^{−x²/2} N(0, 1) = ½ log 2; its formula has λ log 1 = 0 and a constant near ½ log n − F(n).
    energy = Posterior("x^2/2", prior="normal").free_energy(1)
    assert energy.exact == pytest.approx(0.5 * math.log(2))
    assert energy.formula["0"] == pytest.approx(0.5 * math.log1p(1 / 100))
    assert Posterior("x^2/2", prior="normal").free_energy(0.01).formula["0"] < 0
    double = Posterior("x^2", rlct={"0": (0.5, 2)})
    (phase,) = double.phases(n=100)
    assert math.isnan(phase.free_energy(1))
    assert math.isnan(double.free_energy(0.5).formula["0"])


@pytest.mark.parametrize(
    "prior, sentence",
    [
        (lambda w: np.full(len(w), np.nan), "log density of the prior is not a number"),
        (lambda w: np.where(w[:, 0] > 0.9, np.nan, 0.0), "not a number"),
        (lambda w: np.full(len(w), np.inf), "log density of the prior is not a number"),
        (lambda w: np.full(len(w), -np.inf), "no mass in the box"),
        (lambda w: -(w**2), r"log density of a prior takes points \(…, 2\) and returns \(…\)"),
        (lambda w: "flat", "log density of a prior returns floating-point numbers"),
    ],
)
def test_a_prior_that_is_no_density_is_refused(prior, sentence, unchecked):
    with pytest.raises((TypeError, ValueError), match=sentence):
        Posterior("x^2 + y^2", 2, prior=prior).at(10)


def test_a_prior_may_be_zero_in_a_part_of_the_box():
    half = Posterior("x^2", prior=lambda w: np.where(w[:, 0] > 0, 0.0, -np.inf), box=1)
    assert half.at(100).log_evidence == pytest.approx(Posterior("x^2").at(100).log_evidence)


def test_a_number_of_data_is_any_real_number(unchecked):
    posterior = Posterior("x^2")
    known = posterior.at(100.0).log_evidence
    assert posterior.at(np.int64(100)).log_evidence == known
    assert posterior.at(np.float32(100)).log_evidence == known
    assert Posterior("x^2", prior=np.int64(1)).at(3).log_evidence == pytest.approx(
        Posterior("x^2", prior="normal").at(3).log_evidence
    )


@pytest.mark.parametrize("n", [True, math.nan, -1, "10", 1j, None, 10**400])
@pytest.mark.parametrize("loss", ["x^2", "a^2 + b^2 + c^2 + d^2"])
def test_a_number_of_data_that_is_none_is_refused(loss, n, unchecked):
    posterior = Posterior(loss)
    for look in (posterior.at, lambda n: posterior.along([n, 10]), posterior.free_energy):
        with pytest.raises(ValueError, match="n is a finite number > 0"):
            look(n)


@pytest.mark.parametrize("n", [1e28])
def test_a_posterior_narrower_than_floating_point_is_refused(n):
    with pytest.raises(ValueError, match="floating-point|did not settle"):
        Posterior("(x - 9.4)^2", [(-12, 12)]).at(n)


def test_a_kink_has_the_lambda_of_its_volume():
    (phase,) = Posterior("abs(x)").phases()
    assert phase.rlct == pytest.approx(1.0, abs=1e-5)
    assert phase.how.startswith("from its volume")
    assert not phase.how.endswith("± 0")
    # ∫ e^{−n|x|}/2 over [−1, 1] is 1/n.
    assert phase.free_energy(1e4) == pytest.approx(math.log(1e4), abs=1e-3)
