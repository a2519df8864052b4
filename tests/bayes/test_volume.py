import math

import numpy as np
import pytest

from singulab.bayes import Splitting, volume_curve, volume_exponent
from singulab.bayes.box import Box
from singulab.bayes.volume import VolumeCurve, fitted

QUICK = Splitting(num_particles=250, num_populations=6, num_moves=10, num_levels=22)


def curve_of(log_volume_of, *, dim=2, num_levels=40, num_particles=1000, noise=1.0, seed=0):
    """A curve with the exact law of splitting with perfect mixing, for a V(ε) that falls with ℓ = log 1/ε."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0.0, 400.0, 400_001)
    falls = -log_volume_of(grid)
    step = noise * math.sqrt((math.e - 1) / num_particles)
    # log V at the k-th cut is −k plus a random walk of this step.
    walk = np.cumsum(1.0 + step * rng.standard_normal((8, num_levels)), axis=1)
    return VolumeCurve(
        log_epsilon=-np.interp(walk, falls - falls[0], grid),
        log_volume=-np.arange(1.0, num_levels + 1),
        box=Box.of(dim),
        minimum=0.0,
        num_particles=num_particles,
        evaluations=0,
        stopped="",
    )


@pytest.mark.parametrize(
    "text, volume",
    [
        ("x^2", lambda e: np.sqrt(e)),
        ("x^2 + y^2", lambda e: math.pi * e / 4),
        ("x^2*y^2", lambda e: np.sqrt(e) * (1 + 0.5 * np.log(1 / e))),
        ("abs(x)", lambda e: e),
    ],
)
def test_the_curve_is_the_exact_volume(text, volume):
    curve = volume_curve(text, splitting=QUICK, seed=3)
    z = (curve.log_volume - np.log(volume(curve.epsilon))) / curve.standard_error()
    # The walk is one number per level, strongly dependent: 3.5 at the worst level fails one time in 400.
    assert np.abs(z[2:]).max() < 3.5
    assert curve.standard_error()[-1] < 0.2


def test_the_volume_of_a_ball_in_twenty_dimensions():
    plan = Splitting(num_particles=150, num_populations=4, num_moves=40, num_levels=24)
    curve = volume_curve(lambda w: (w**2).sum(-1), 20, splitting=plan, seed=1)
    small = curve.epsilon < 0.9  # inside the box the set is a ball
    ball = 10 * math.log(math.pi) - math.lgamma(11) - 20 * math.log(2)
    exact = ball + 10 * np.log(curve.epsilon[small])
    z = (curve.log_volume[small] - exact) / curve.standard_error()[small]
    assert small.sum() >= 5
    assert np.abs(z).max() < 4


@pytest.mark.parametrize(
    "text, rlct",
    [
        ("x^2 + y^4", 0.75),
        pytest.param("(y - x^2)^2", 0.5, marks=pytest.mark.slow),
        pytest.param("x^4", 0.25, marks=pytest.mark.slow),
    ],
)
def test_the_exponent_is_lambda(text, rlct):
    found = volume_exponent(text, splitting=QUICK, seed=5)
    assert abs(found.value - rlct) < 4 * found.se
    assert found.se < 0.03 * rlct
    assert found.curve.decades >= 8
    assert found.multiplicity.startswith("m = 1 plausible")


@pytest.mark.slow
def test_a_loss_in_code_is_measured_like_the_formula():
    said = volume_exponent("x^2 + y^4", splitting=QUICK, seed=5)
    coded = volume_exponent(lambda w: w[..., 0] ** 2 + w[..., 1] ** 4, 2, splitting=QUICK, seed=5)
    assert coded.value == pytest.approx(said.value, abs=4 * said.se)


def test_the_minimum_is_found_and_taken_off():
    found = volume_exponent("3 + x^2 + y^2", splitting=QUICK, seed=2)
    assert found.curve.minimum == pytest.approx(3.0, abs=1e-12)
    assert abs(found.value - 1.0) < 4 * found.se


def test_a_curve_ends_where_rounding_begins():
    plan = Splitting(num_particles=100, num_populations=2, num_moves=8, num_levels=40)
    curve = volume_curve("3 + x^2", splitting=plan)
    # ε cannot be below 1e-16·3, and V = √ε.
    assert "rounding" in curve.stopped or "fall no further" in curve.stopped
    assert 6 < curve.decades < 8.5


def test_a_square_given_expanded_is_as_deep_as_the_square():
    plan = Splitting(num_particles=100, num_populations=2, num_moves=8, num_levels=30)
    assert volume_curve("x^4 - 2*x^2*y + y^2", splitting=plan).decades > 12


def exponent_of(kind, **options):
    return fitted(curve_of(kind, **options))


@pytest.mark.slow
@pytest.mark.parametrize(
    "rlct, multiplicity, shift", [(0.5, 1, 1.0), (0.5, 2, 2.0), (1.5, 2, 4.0), (0.5, 3, 3.0)]
)
def test_the_errors_of_the_fit_cover_on_exact_curves(rlct, multiplicity, shift):
    def log_volume(depth):
        return -rlct * depth + (multiplicity - 1) * np.log((depth + shift) / shift)

    zs = []
    for seed in range(40):
        found = exponent_of(log_volume, dim=4, seed=seed)
        zs.append((found.value - rlct) / found.se)
    # 68 % of the errors within one, up to a model error that is the same in all; 99.9 % of sound runs pass.
    assert np.mean(np.abs(zs) < 2) > 0.8
    assert np.abs(zs).max() < 4


def test_a_double_pole_is_suspected_and_a_single_one_is_not():
    double = exponent_of(lambda x: -0.5 * x + np.log1p(x / 2), num_particles=20_000)
    single = exponent_of(lambda x: -0.5 * x, num_particles=20_000)
    assert double.kinds["arrived"] < 0.01
    assert single.multiplicity == "m = 1 plausible"


def test_what_mixes_badly_has_a_larger_error():
    sound = exponent_of(lambda x: -0.5 * x)
    noisy = exponent_of(lambda x: -0.5 * x, noise=2.0)
    assert noisy.se > 1.4 * sound.se


def test_a_curve_that_is_too_short_has_no_exponent():
    found = exponent_of(lambda x: -0.5 * x, num_levels=4)
    assert math.isnan(found.value)
    assert "too short" in found.multiplicity


@pytest.mark.parametrize(
    "loss, box, sentence",
    [
        ("x^2 +", None, "is not a formula"),
        ("", None, "empty text"),
        ("3", None, "at least one variable"),
        ("x^y", None, "An exponent is a number"),
        ("__import__('os')", None, "There is no function"),
        ("x.real", None, "is something else"),
        ("foo(x)", None, "There is no function 'foo'"),
        ("x/0", None, "divides by 0"),
        ("x^1000", None, "at most 64"),
        ("log(x)", None, "not a number"),
        ("x^2", 2, "2 sides, the formula 1 variables"),
        (lambda w: w[..., 0] ** 2, None, "needs a box"),
        (lambda w: w**2, 2, "shape"),
        (lambda w: w[..., 0] * math.nan, 2, "not a number"),
        ("x^2", [(1.0, 0.0)], "low < high"),
        ("x^2", 0, "at least one dimension"),
        ("x^2", [1.0, 2.0], "one pair"),
    ],
)
def test_bad_input_is_one_sentence(loss, box, sentence, unchecked):
    with pytest.raises(ValueError, match=sentence):
        volume_exponent(loss, box)


def test_a_loss_below_its_minimum_is_refused():
    with pytest.raises(ValueError, match="below the minimum"):
        volume_exponent("x^2 - 1", minimum=0.0)


@pytest.mark.parametrize("options", [{"num_particles": 10}, {"num_moves": 0}, {"num_levels": 2}])
def test_a_plan_that_cannot_work_is_refused(options):
    with pytest.raises(ValueError, match="at least"):
        Splitting(**options)
