import math
from fractions import Fraction

import numpy as np
import pytest

from singulab.bayes import Splitting, monomial_zeta, state_density, volume_curve, zeta, zeta_pole
from singulab.exact.formulas import monomial


@pytest.mark.parametrize("exponents", [(2,), (4,), (2, 2), (2, 4), (6, 2)])
def test_zeta_of_a_monomial_is_its_closed_form(exponents):
    text = "*".join(f"{name}^{k}" for name, k in zip("xy", exponents, strict=False))
    exact = monomial_zeta(exponents)
    rlct = float(monomial(exponents).value)
    for z in (-0.6 * rlct, -0.3 * rlct, 0.5, 2.0):
        assert zeta(text, z) == pytest.approx(exact(z), rel=1e-5)


@pytest.mark.parametrize(
    "exponents, prior", [((2, 2, 4), (0, 0, 0)), ((2, 2), (1, 0)), ((2, 4, 6), (0, 1, 2))]
)
def test_the_largest_pole_of_a_monomial_is_minus_lambda(exponents, prior):
    pole, order = monomial_zeta(exponents, prior).poles[0]
    known = monomial(exponents, prior)
    assert (-pole, order) == (known.value, known.multiplicity)


def test_a_monomial_has_all_its_poles():
    assert monomial_zeta([2, 2, 4]).poles == ((Fraction(-1, 4), 1), (Fraction(-1, 2), 2))
    assert monomial_zeta([2])(-0.5) == math.inf


@pytest.mark.parametrize(
    "text, rlct, order",
    [
        ("x^2", 0.5, 1),
        ("x^4", 0.25, 1),
        ("x^2 + y^2", 1.0, 1),
        ("x^2*y^2", 0.5, 2),
        ("x^2*y^4", 0.25, 1),
    ],
)
def test_a_pole_is_found_with_its_order(text, rlct, order):
    pole = zeta_pole(text)
    assert -pole.value == pytest.approx(rlct, rel=2e-3)
    assert pole.order == order
    assert all(other > 5 * pole.residual for other in pole.others.values())


def test_the_state_density_is_the_derivative_of_the_volume():
    plan = Splitting(num_particles=2000, num_populations=4, num_moves=10, num_levels=12)
    epsilon, density = state_density(volume_curve("x^2", splitting=plan))
    # V = √ε, so v = ½ε^{−1/2}; one level moves log ε by 2 ± 0.03.
    assert density == pytest.approx(0.5 / np.sqrt(epsilon), rel=0.1)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: zeta("x^2", -0.6), "does not settle"),
        (lambda: zeta("x^2*y^2*z^2", 1.0), "one and two dimensions"),
        (lambda: zeta("x", 1.0), "a loss ≥ 0"),
        (lambda: monomial_zeta([]), "needs exponents"),
        (lambda: monomial_zeta([0, 0]), "one is above 0"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize(
    "text, z",
    [
        ("(x - 0.3)^2", -0.6),
        ("(x - 0.3)^2", -0.5),
        ("(x - 1/3)^2", -0.7),
        ("(x - 1)^2", -0.6),
        ("(x - 0.3)^2 + (y + 0.4)^2", -1.2),
        ("max(x, 0)^2", -0.3),
        ("0*x", -0.1),
    ],
)
def test_an_integral_that_diverges_away_from_the_origin_is_refused(text, z):
    with pytest.raises(ValueError, match="does not settle"):
        zeta(text, z)


@pytest.mark.parametrize("z", [-0.3, -0.1, 1.0])
def test_a_zero_away_from_the_origin_has_its_closed_form(z):
    power = 2 * z + 1
    exact = (0.7**power + 1.3**power) / power / 2
    assert zeta("(x - 0.3)^2", z) == pytest.approx(exact, rel=1e-5)


def test_a_loss_of_zero_has_the_zeta_of_zero():
    assert zeta("0*x", 0.001) == 0.0
    assert zeta("0*x", 0.0) == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["x^2 + 1", "0*x", "x^64"])
def test_a_pole_that_is_not_found_is_not_reported(text):
    with pytest.raises(ValueError, match="No pole was found"):
        zeta_pole(text)


@pytest.mark.parametrize("guess", [0.0, -1.0, math.nan, math.inf, True, "a"])
def test_a_guess_is_above_zero(guess, unchecked):
    with pytest.raises(ValueError, match="guess is a finite number above 0"):
        zeta_pole("x^2", guess=guess)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: zeta("x^2", math.nan), "z is a finite number"),
        (lambda: zeta("x^2", True), "z is a finite number"),
        (lambda: zeta("x^2", "1"), "z is a finite number"),
        (lambda: zeta("x^2", 1.0, relative_error=0), "relative_error lies between 0 and 1"),
        (lambda: zeta("x^2", 1.0, relative_error=math.nan), "relative_error lies between 0 and 1"),
        (lambda: monomial_zeta([2.5]), "Exponents are whole numbers"),
        (lambda: monomial_zeta([2], [0.5]), "Exponents are whole numbers"),
        (lambda: monomial_zeta([2, 2], []), "as many of its prior"),
    ],
)
def test_arguments_that_are_no_numbers_are_refused(call, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        call()
