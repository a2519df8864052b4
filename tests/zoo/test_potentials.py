import math

import pytest
import torch
from scipy.integrate import quad

from singulab.zoo import CASES
from singulab.zoo.potentials import MONOMIALS, PLANE_POTENTIALS, monomial_llc

# λ̂ at γ = 1 and nβ = n/log n for n = 10³, 10⁴, 10⁶, 10⁹, as printed to four digits.
PRINTED = {
    "x^2+y^2": (0.9966, 0.9995, 1.0000, 1.0000),
    "x^2+y^4": (0.7414, 0.7472, 0.7497, 0.7500),
    "x^2+y^6": (0.6551, 0.6614, 0.6654, 0.6665),
    "x^2y^2": (0.3614, 0.3912, 0.4253, 0.4497),
    "x^2y^2 at (0,1)": (0.3805, 0.4036),
    "x^2y^2+x^4": (0.3833, 0.4054, 0.4323, 0.4530),
    "x^4y^4": (0.1504, 0.1658, 0.1872, 0.2053),
    "x^2y^4": (0.2095, 0.2254, 0.2413, 0.2483),
}


@pytest.mark.parametrize("name", PRINTED)
def test_every_printed_value_is_reproduced_to_all_its_digits(name):
    for exponent, expected in zip((3, 4, 6, 9), PRINTED[name], strict=False):
        truth = CASES[name].at(10**exponent).truth(1.0)
        assert round(truth.value, 4) == expected
        assert truth.error < 1e-6


@pytest.mark.parametrize("case", PLANE_POTENTIALS, ids=lambda case: case.name)
def test_the_effective_coefficient_tends_to_the_asymptotic_one_from_below(case):
    # At (0, 1) a wide tether reaches the origin; a narrow one keeps the local value.
    localization = 1e4 if "at" in case.name else 1.0
    values = [case.truth(localization, nbeta=10.0**power).value for power in (8, 16, 20)]
    assert values == sorted(values)
    gap = case.rlct.value - values[-1]
    assert gap >= -1e-9
    assert gap < (1e-3 if case.multiplicity == 1 else 1.2 / math.log(1e20))


def test_the_multiplicity_shows_in_the_approach():
    # λ_eff = λ − (m − 1)/(log t + c): 1/(λ − λ_eff) grows by log 10⁴ over four decades when m = 2.
    double = [case for case in PLANE_POTENTIALS if case.multiplicity == 2]
    assert len(double) >= 2
    for case in double:
        gaps = [case.rlct.value - case.truth(1.0, nbeta=t).value for t in (1e16, 1e20)]
        assert 1 / gaps[1] - 1 / gaps[0] == pytest.approx(math.log(1e4), rel=1e-3)


@pytest.mark.parametrize(
    "name, exponents", [("x^2y^2", (1, 1)), ("x^4y^4", (2, 2)), ("x^2y^4", (1, 2))]
)
@pytest.mark.parametrize("num_data", [1_000, 1_000_000])
def test_the_mellin_barnes_integral_agrees_with_the_quadrature(name, exponents, num_data):
    case = CASES[name].at(num_data)
    for localization in (0.3, 1.0, 30.0):
        assert monomial_llc(exponents, case.nbeta, localization) == pytest.approx(
            case.truth(localization).value, rel=1e-8
        )


@pytest.mark.parametrize("k", [1, 2, 3])
def test_one_variable_agrees_with_a_direct_integral(k):
    nbeta, localization = 500.0, 2.0

    def weight(x):
        return math.exp(-nbeta * x ** (2 * k) - localization / 2 * x * x)

    points = [0.05, 0.2, 0.5, 1.0]
    below = quad(weight, 0, 9, points=points, epsabs=0, epsrel=1e-12)[0]
    above = quad(lambda x: nbeta * x ** (2 * k) * weight(x), 0, 9, points=points, epsrel=1e-12)[0]
    assert monomial_llc((k,), nbeta, localization) == pytest.approx(above / below, rel=1e-9)


def test_a_weak_temperature_leaves_the_mean_of_the_tether():
    # nβ → 0: E[x²y²z²] = γ^{-3} under the tether alone.
    assert monomial_llc((1, 1, 1), 1e-6, 2.0) == pytest.approx(1e-6 / 8, rel=1e-4)


@pytest.mark.parametrize("case", MONOMIALS, ids=lambda case: case.name)
def test_a_monomial_tends_to_its_coefficient_with_its_multiplicity(case):
    expected, m = case.rlct.value, case.multiplicity
    gaps = [expected - case.truth(1.0, nbeta=10.0**power).value for power in (60, 120)]
    if m == 1:
        assert abs(gaps[-1]) < 1e-4
    else:
        assert (m - 1) * (1 / gaps[1] - 1 / gaps[0]) == pytest.approx(60 * math.log(10), rel=0.02)


@pytest.mark.parametrize("case", PLANE_POTENTIALS + MONOMIALS, ids=lambda case: case.name)
def test_the_loss_is_0_at_its_center_and_nowhere_negative(case):
    function, center = case.exact_loss()
    assert float(function({"w": center["w"][None]})[0]) == 0.0
    generator = torch.Generator().manual_seed(0)
    cloud = torch.randn(200, case.num_weights, generator=generator, dtype=torch.float64)
    assert float(function({"w": cloud}).min()) > 0.0


def test_a_potential_has_no_labels():
    with pytest.raises(ValueError, match="labels"):
        CASES["x^2y^2"].exact_loss("model")
    with pytest.raises(ValueError, match="labels"):
        CASES["monomial-1-1"].truth(1.0, labels="model")
