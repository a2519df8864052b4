import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import k0e, k1e

from singulab.zoo.quadrature import plane_llc


def crossing(x, y):
    return x**2 * y**2


@pytest.mark.parametrize("nbeta", [1.0, 144.8, 72_382.0, 4.8e7])
@pytest.mark.parametrize("localization", [0.1, 1.0, 100.0])
def test_a_tethered_crossing_has_the_value_of_its_bessel_function(nbeta, localization):
    # Z ∝ t^{-1/2} e^z K₀(z) with z = γ²/(8t), so −dlog Z/dlog t = ½ + z(1 − K₁(z)/K₀(z)).
    z = localization**2 / (8 * nbeta)
    expected = 0.5 + z * (1 - k1e(z) / k0e(z))
    found = plane_llc(crossing, (0.0, 0.0), nbeta=nbeta, localization=localization)
    assert found.llc == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("nbeta", [1e4, 72_382.0, 1e9])
def test_a_crossing_on_a_box_has_its_asymptotic_value(nbeta):
    found = plane_llc(crossing, (0.0, 0.0), nbeta=nbeta, localization=0.0, box=1.0)
    expected = 0.5 - 1 / (math.log(nbeta) + np.euler_gamma + 2 * math.log(2))
    assert found.llc == pytest.approx(expected, rel=1e-8)


def test_the_headline_value_of_the_crossing_is_424_and_not_500():
    found = plane_llc(crossing, (0.0, 0.0), nbeta=72_382.0, localization=0.0, box=1.0)
    assert round(found.llc, 3) == 0.424


def test_a_quadratic_has_its_tether_corrected_value_radius_and_heat_capacity():
    nbeta, localization, curvatures = 300.0, 7.0, (2.0, 0.3)
    found = plane_llc(
        lambda x, y: 0.5 * (curvatures[0] * x**2 + curvatures[1] * y**2),
        (0.0, 0.0),
        nbeta=nbeta,
        localization=localization,
    )
    stiffness = [nbeta * h + localization for h in curvatures]
    shares = [nbeta * h / a for h, a in zip(curvatures, stiffness, strict=True)]
    assert found.llc == pytest.approx(sum(shares) / 2, rel=1e-8)
    assert found.heat_capacity == pytest.approx(sum(s**2 for s in shares) / 2, rel=1e-7)
    assert found.radius_squared == pytest.approx(sum(1 / a for a in stiffness), rel=1e-8)
    log_evidence = sum(0.5 * math.log(2 * math.pi / a) for a in stiffness)
    assert found.log_evidence == pytest.approx(log_evidence, abs=1e-8)


@pytest.mark.parametrize("power", [4, 6])
def test_separable_powers_agree_with_one_dimensional_integrals(power):
    nbeta = 1e4 / math.log(1e4)

    def one(exponent):
        def weight(x):
            return math.exp(-nbeta * x**exponent - 0.5 * x * x)

        below, above = (
            quad(weight, 0, 9, points=[0.05, 0.3, 1.0], epsabs=0, epsrel=1e-11)[0],
            quad(
                lambda x: nbeta * x**exponent * weight(x),
                0,
                9,
                points=[0.05, 0.3, 1.0],
                epsrel=1e-11,
            )[0],
        )
        return above / below

    found = plane_llc(lambda x, y: x**2 + y**power, (0.0, 0.0), nbeta=nbeta, localization=1.0)
    assert found.llc == pytest.approx(one(2) + one(power), rel=1e-8)


def test_the_temperature_derivative_of_the_mean_is_the_variance():
    # d λ̂/d log t = λ̂ − heat capacity.
    step = 1e-3
    low, here, high = (
        plane_llc(crossing, (0.0, 1.0), nbeta=5000 * math.exp(shift), localization=2.0)
        for shift in (-step, 0.0, step)
    )
    slope = (high.llc - low.llc) / (2 * step)
    assert slope == pytest.approx(here.llc - here.heat_capacity, abs=1e-6)


@pytest.mark.parametrize("localization", [1.0, 1e3, 1e6])
def test_a_narrow_tether_far_from_the_axes_is_not_overlooked(localization):
    found = plane_llc(crossing, (0.0, 1.0), nbeta=1e5, localization=localization)
    if localization == 1e6:
        # Close to (0, 1) the loss is x²: λ̂ = ½·2t/(2t + γ).
        assert found.llc == pytest.approx(0.5 * 2e5 / (2e5 + 1e6), rel=1e-4)
    assert found.radius_squared < 3 / localization


def test_a_chart_turns_a_slanted_valley_into_one_along_an_axis():
    def slanted(x, y):
        return (x + y) ** 2 + x**4

    def chart(u, v):
        return v + 0.0 * u, u - v

    found = plane_llc(slanted, (0.0, 0.0), nbeta=1e6, localization=1.0, chart=chart)
    assert found.llc == pytest.approx(0.75, abs=2e-3)
    assert found.error < 1e-8


def test_the_reported_error_bounds_the_true_one():
    z = 1 / (8 * 1e5)
    expected = 0.5 + z * (1 - k1e(z) / k0e(z))
    for relative_error in (1e-3, 1e-5, 1e-8):
        found = plane_llc(
            crossing, (0.0, 0.0), nbeta=1e5, localization=1.0, relative_error=relative_error
        )
        assert abs(found.llc - expected) <= max(found.error, 1e-12)
        assert found.error <= relative_error * expected


def test_an_unbounded_integral_is_refused():
    with pytest.raises(ValueError, match="tether"):
        plane_llc(crossing, (0.0, 0.0), nbeta=10.0, localization=0.0)
    with pytest.raises(ValueError, match="center at 0"):
        plane_llc(crossing, (0.0, 1.0), nbeta=10.0, localization=1.0, chart=lambda u, v: (v, u))


def test_a_valley_off_the_axes_is_refused_rather_than_misjudged():
    with pytest.raises(ValueError, match="did not settle"):
        plane_llc(
            lambda x, y: np.abs(np.sin(1e4 * (x - y))), (0.0, 0.0), nbeta=1e8, localization=1.0
        )


@pytest.mark.parametrize("nbeta, localization", [(1e308, 1.0), (100.0, 1e308), (100.0, 1e-308)])
def test_what_leaves_the_range_of_numbers_is_refused(nbeta, localization):
    with pytest.raises(ValueError, match="leaves the range|did not settle"):
        plane_llc(crossing, (0.0, 0.0), nbeta=nbeta, localization=localization)
