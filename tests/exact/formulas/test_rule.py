from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from singulab.exact import rlct
from singulab.exact.formulas import (
    monomial,
    nonnegative_matrix_factorization,
    powers,
    product_rule,
    quadratic_power,
    regular,
    sum_rule,
)


def pair(found):
    return found.value, found.multiplicity


@pytest.mark.parametrize(
    "found, expression",
    [
        (regular(3), "x^2 + y^2 + z^2"),
        (monomial([2, 4, 4]), "x^2*y^4*z^4"),
        (powers([2, 4, 6]), "x^2 + y^4 + z^6"),
        (sum_rule(monomial([2, 2]), monomial([2, 2])), "x^2*y^2 + z^2*w^2"),
        (product_rule(powers([2, 2]), monomial([2])), "(x^2 + y^2)*z^2"),
        (product_rule(powers([2, 2]), powers([2, 2])), "(x^2 + y^2)*(z^2 + w^2)"),
        (quadratic_power(2, 2, definite=False), "(x^2 - y^2)^2"),
        (quadratic_power(3, 2, definite=False), "(x^2 + y^2 - z^2)^2"),
        (quadratic_power(3, 2, definite=True), "(x^2 + y^2 + z^2)^2"),
    ],
)
def test_rules_agree_with_algebra(found, expression, unchecked):
    other = rlct(expression)
    assert other.status == "proved"
    assert pair(found) == pair(other)


exponents = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@given(exponents, exponents)
def test_sums_and_products_do_not_depend_on_order_or_grouping(one, other):
    parts = [monomial(one), monomial(other), powers([2, 3])]
    for rule in (sum_rule, product_rule):
        whole = pair(rule(*parts))
        assert whole == pair(rule(*parts[::-1]))
        assert whole == pair(rule(rule(*parts[:2]), parts[2]))


@given(exponents)
def test_lambda_of_a_minimum_is_at_most_half_the_dimension(doubled):
    even = [2 * k for k in doubled]
    assert monomial(even).value <= Fraction(len(even), 2)
    assert powers(even).value <= Fraction(len(even), 2)


def test_a_prior_that_vanishes_raises_lambda():
    assert pair(monomial([2, 2], [1, 0])) == (Fraction(1, 2), 1)
    assert pair(monomial([2, 2], [1, 1])) == (Fraction(1), 2)


def test_bounds_stay_bounds():
    bounded = nonnegative_matrix_factorization(2, 2, 2, 0)
    found = sum_rule(bounded, regular(2))
    assert found.status == "bounds"
    assert (found.lower.rlct, found.upper.rlct) == (Fraction(5, 2), Fraction(3))
    least = product_rule(bounded, regular(1))
    assert least.status == "bounds"
    assert least.upper.rlct == Fraction(1, 2)


@pytest.mark.parametrize(
    "call, error, sentence",
    [
        (lambda: regular(0), ValueError, "at least 1, got 0"),
        (lambda: regular(2.0), TypeError, "whole number"),
        (lambda: monomial([]), ValueError, "one above 0"),
        (lambda: monomial([0, 0]), ValueError, "one above 0"),
        (lambda: monomial([-1, 2]), ValueError, "exponents ≥ 0"),
        (lambda: monomial([1.5]), TypeError, "whole numbers"),
        (lambda: monomial([2, 2], [1]), ValueError, "as many"),
        (lambda: powers([]), ValueError, "at least one"),
        (lambda: powers([0]), ValueError, "at least 1"),
        (lambda: quadratic_power(1, 2, definite=False), ValueError, "rank 1 is definite"),
        (lambda: sum_rule(), ValueError, "at least one part"),
        (lambda: product_rule(Fraction(1, 2)), TypeError, "what the formulas return"),
    ],
)
def test_a_hypothesis_that_fails_is_named(call, error, sentence, unchecked):
    with pytest.raises(error, match=sentence):
        call()
