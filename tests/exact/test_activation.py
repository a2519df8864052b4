"""How many Taylor coefficients generate all others, by linear algebra and by power series."""

from fractions import Fraction

import pytest

from singulab.exact.activation import BIASED, ODD, biased_forms, odd_coefficient, tanh_polynomials


def homogeneous(weights, degree):
    """Exponents of that weighted degree."""
    if not weights:
        return [()] if degree == 0 else []
    first, *rest = weights
    return [
        (e, *more)
        for e in range(degree // first + 1)
        for more in homogeneous(rest, degree - e * first)
    ]


def generated(units, order):
    """Whether Q_order at ``units`` points is a combination of those before it with homogeneous coefficients."""
    from sympy import QQ
    from sympy.polys.matrices import DomainMatrix

    forms = biased_forms(order)

    def column(k, monomial):
        found = {}
        for i in range(units):
            for (h, q), c in forms[k].items():
                place = list(monomial)
                place[i] += h
                place[units + i] += q
                found[i, tuple(place)] = QQ(c)
        return found

    weights = [1] * units + [2] * units
    columns = [column(k, m) for k in range(order) for m in homogeneous(weights, order - k)]
    columns.append(column(order, (0,) * 2 * units))
    keys = {key: j for j, key in enumerate({key: 0 for c in columns for key in c})}
    rows = [{keys[key]: value for key, value in c.items()} for c in columns]

    def rank(some):
        sparse = {i: row for i, row in enumerate(some) if row}
        return DomainMatrix(sparse, (len(some), len(keys)), QQ).rank()

    return rank(rows) == rank(rows[:-1])


@pytest.mark.parametrize("units", [1, 2])
def test_so_many_coefficients_generate_the_others_and_one_fewer_do_not(units):
    assert generated(units, BIASED[units])
    assert not any(generated(units, order) for order in range(1, BIASED[units]))


def test_three_units_need_seven():
    assert generated(3, BIASED[3])
    assert not generated(3, BIASED[3] - 1)


def test_the_polynomials_are_the_derivatives_of_tanh():
    import sympy

    x = sympy.Symbol("x")
    value = sympy.tanh(x)
    for powers in tanh_polynomials(4):
        told = sum((sympy.Rational(c) * sympy.tanh(x) ** e for e, c in powers.items()), sympy.S(0))
        assert sympy.simplify(sympy.expand(value - told)) == 0
        value = sympy.diff(value, x)


@pytest.mark.parametrize("name", ODD)
def test_odd_coefficients_are_those_of_the_series(name):
    import sympy

    x = sympy.Symbol("x")
    function = getattr(sympy, name)(x)
    if name == "erf":
        function *= sympy.sqrt(sympy.pi) / 2  # the common factor
    series = sympy.Poly(sympy.series(function, x, 0, 10).removeO(), x)
    for order in range(1, 10, 2):
        assert odd_coefficient(name, order) == Fraction(str(series.coeff_monomial(x**order)))


def test_the_forms_are_the_derivatives():
    # one unit at h = b·t: D^{k+1} of a·t is A·Q_k
    a, b, t = Fraction(3), Fraction(2), Fraction(1, 3)
    for k, form in enumerate(biased_forms(5)):
        direct = a * b ** (k + 1) * sum(c * t**e for e, c in tanh_polynomials(k + 1)[-1].items())
        value = sum(c * (b * t) ** i * (b * b) ** j for (i, j), c in form.items())
        assert direct == a * b * (1 - t * t) * value
