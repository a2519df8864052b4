"""Factors and roots, with flint and with sympy alone."""

import sys

import pytest

from known_rlct import LOSSES, TRAPS
from singulab.exact import check, rlct
from singulab.exact.deadline import Deadline
from singulab.exact.polynomial import constant, multiply, power
from singulab.exact.zeros import _factors, factored_square, factors


@pytest.fixture(params=["flint", "sympy"])
def engine(request, monkeypatch):
    """Which of the two factors polynomials."""
    if request.param == "flint":
        pytest.importorskip("flint")
    else:
        monkeypatch.setitem(sys.modules, "flint", None)
    _factors.cache_clear()
    yield request.param
    _factors.cache_clear()


def test_factors_multiply_to_the_polynomial(engine):
    p = {(2, 0, 1): 1, (0, 2, 1): -4}  # z(x − 2y)(x + 2y)
    q = {(1, 0, 0): 3, (0, 0, 0): 1}
    product = multiply(p, power(q, 2, 3))
    found = factors(product, Deadline(5))
    assert sorted(e for _, e in found) == [1, 1, 2]
    whole = constant(1, 3)
    for f, e in found:
        whole = multiply(whole, power(f, e, 3))
    assert multiply(whole, {(0, 0, 1): 1}) == product  # monomials are left out


def test_a_square_is_seen(engine):
    root = {(2, 0): 1, (0, 3): -1}
    assert factored_square(multiply(root, root)) == root
    assert factored_square(root) is None


@pytest.mark.parametrize("loss, value, multiplicity", [*LOSSES[:12], *TRAPS])
def test_values_do_not_depend_on_who_factors(engine, loss, value, multiplicity):
    found = rlct(loss, time_limit=60)
    assert (str(found.value), found.multiplicity) == (value, multiplicity)
    assert check(found.certificate) == (found.lower, found.upper)
