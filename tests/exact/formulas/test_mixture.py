from fractions import Fraction

import pytest

from singulab.exact import rlct, rlct_of_ideal
from singulab.exact.formulas import (
    gaussian_mixture,
    naive_bayes,
    sbic_factor_analysis,
    sbic_latent_forest,
    sbic_mixture,
)


def pair(found):
    return found.value, found.multiplicity


def moments(weights, means, powers):
    """Σ a_j b_j^k for weights and means given as text."""
    return [
        " + ".join(f"({a})*({b})^{k}" for a, b in zip(weights, means, strict=True)) for k in powers
    ]


@pytest.mark.parametrize(
    "at, expected", [({}, gaussian_mixture(2)), ({"a": "1/2"}, gaussian_mixture(2))]
)
def test_two_components_agree_with_algebra(at, expected, unchecked):
    other = rlct_of_ideal(moments(["a", "1 - a"], ["b", "c"], (1, 2, 3)), at)
    assert other.status == "proved"
    assert pair(other) == pair(expected) == (Fraction(3, 4), 1)


def test_three_components_agree_with_algebra(unchecked):
    weights = ["1/3 + p", "1/3 + q", "1/3 - p - q"]
    other = rlct_of_ideal(moments(weights, ["b", "c", "d"], (1, 2, 3)))
    assert other.status == "proved"
    assert pair(gaussian_mixture(3)) == pair(other) == (Fraction(1), 1)


def test_a_spare_component_in_the_plane_has_a_double_pole(unchecked):
    # a²(b² + c²)² for the spare one, two regular means.
    other = rlct("x^2 + y^2 + a^2*(b^2 + c^2)^2", domain={"a": (0, None)})
    assert pair(gaussian_mixture(2, dim=2)) == pair(other) == (Fraction(3, 2), 2)


def test_a_mixture_without_spare_components_is_regular():
    for dim, number in ((1, 1), (1, 3), (2, 2), (5, 4)):
        assert gaussian_mixture(number, number, dim=dim).value == Fraction(
            dim * number + number - 1, 2
        )


def test_sbic_bounds_hold_the_value():
    for number in range(1, 7):
        for true in range(1, number + 1):
            found = sbic_mixture(number, true, dim=1)
            exact = gaussian_mixture(number, true).value
            assert found.lower.rlct <= exact <= found.upper.rlct
    assert sbic_mixture(3, 3, dim=2).value == Fraction(8, 2)


@pytest.mark.parametrize(
    "features, truth, value, multiplicity",
    [
        (1, "independent", "1/2", 1),
        (2, "independent", "3/2", 3),
        (2, "pair", "3/2", 1),
        (3, "independent", "2", 1),
        (3, "pair", "5/2", 1),
        (3, "regular", "7/2", 1),
        (6, "independent", "7/2", 1),
        (6, "regular", "13/2", 1),
    ],
)
def test_the_table_of_naive_bayes(features, truth, value, multiplicity):
    assert pair(naive_bayes(features, truth)) == (Fraction(value), multiplicity)


def test_two_independent_features_agree_with_algebra(unchecked):
    # Means of both features, and their covariance a·u·v, a the weight of a class on the boundary.
    other = rlct("x^2 + y^2 + (a*u*v)^2", domain={"a": (0, None)})
    assert pair(naive_bayes(2)) == pair(other)


def test_factor_analysis_at_its_ends():
    assert sbic_factor_analysis(6, 2, 2).value == Fraction(
        3 * 6 - 1, 2
    )  # regular: half the dimension
    assert sbic_factor_analysis(5, 1, 0).value == Fraction(15, 4)
    between = sbic_factor_analysis(6, 2, 0)
    assert between.status == "bounds"
    assert between.upper.rlct == 6
    assert between.upper.rlct < Fraction(17, 2)


def test_one_factor_agrees_with_algebra(unchecked):
    # Off-diagonal covariances of three variables; the diagonal is regular.
    other = rlct("x^2 + y^2 + z^2 + (a*b)^2 + (a*c)^2 + (b*c)^2")
    assert sbic_factor_analysis(5, 1, 0).value - Fraction(5, 2) == Fraction(5, 4)
    assert pair(other) == (Fraction(9, 4), 1)
    assert pair(sbic_latent_forest([("h", "a"), ("h", "b"), ("h", "c")], [], "abc")) == pair(other)


def test_a_whole_tree_is_regular():
    tree = [("h", "a"), ("h", "b"), ("h", "g"), ("g", "c"), ("g", "d")]
    assert sbic_latent_forest(tree, tree, "abcd").value == Fraction(4 + 5, 2)
    # One inner edge missing: both latent nodes are left with two edges, each pair is one correlation.
    found = sbic_latent_forest(tree, [e for e in tree if e != ("h", "g")], "abcd")
    assert found.value == Fraction(4 + 2, 2) + Fraction(2, 4)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: gaussian_mixture(2, 3), "not realised"),
        (lambda: gaussian_mixture(0), "at least 1"),
        (lambda: naive_bayes(2, "regular"), "at least 3 features"),
        (lambda: naive_bayes(3, "odd"), "'regular', 'pair' or 'independent'"),
        (lambda: sbic_mixture(2, 3, dim=1), "not realised"),
        (lambda: sbic_mixture(2, 1, dim=1, phi=Fraction(0)), "above 0"),
        (lambda: sbic_factor_analysis(3, 2, 1), "not identified"),
        (lambda: sbic_factor_analysis(6, 1, 2), "number of factors"),
        (lambda: sbic_latent_forest([("a", "b")], [("a", "c")], "ab"), "one of the model"),
        (lambda: sbic_latent_forest([("h", "a"), ("h", "b")], [], "ab"), "three edges"),
        (lambda: sbic_latent_forest([], [], ""), "needs leaves"),
        (
            lambda: sbic_latent_forest([("a", "b"), ("b", "c"), ("c", "a")], [], "xyz"),
            "no cycle",
        ),
    ],
)
def test_a_hypothesis_that_fails_is_named(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
