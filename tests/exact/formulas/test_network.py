from fractions import Fraction

import pytest

from singulab.exact import check, rlct_of_ideal
from singulab.exact.formulas import polynomial_network, tanh_network, vandermonde


def pair(found):
    return found.value, found.multiplicity


def row(text):
    """Numbers as printed: a star means m = 2."""
    return [(Fraction(word.rstrip("*")), 1 + word.endswith("*")) for word in text.split()]


@pytest.mark.parametrize(
    "period, outputs, table",
    [
        (2, 1, "1/2* 2/3 5/6 1* 11/10 6/5 13/10 7/5 3/2* 11/7 23/14 12/7"),
        (1, 1, "1/2* 3/4 1* 7/6 4/3 3/2* 13/8 7/4 15/8 2*"),
        (3, 1, "1/2* 5/8 3/4 7/8 1* 15/14 8/7 17/14 9/7 19/14"),
        (2, 2, "1/2 1* 7/6 4/3 3/2 5/3 11/6 2*"),
    ],
)
def test_the_published_tables(period, outputs, table):
    for index, known in enumerate(row(table)):
        assert pair(vandermonde(index + 1, num_outputs=outputs, period=period)) == known


def vandermonde_ideal(hidden, period, outputs):
    return [
        " + ".join(f"a{m}_{i}*b{i}^{period * k + 1}" for i in range(hidden))
        for m in range(outputs)
        for k in range(hidden)
    ]


@pytest.mark.parametrize(
    "hidden, period, outputs",
    [
        *((1, q, m) for q in (1, 2, 3) for m in (1, 2)),
        *((2, q, m) for q in (1, 2, 3) for m in (1, 2)),
        (3, 2, 1),
        pytest.param(3, 1, 1, marks=pytest.mark.slow),
        pytest.param(3, 3, 1, marks=pytest.mark.slow),
        pytest.param(2, 2, 3, marks=pytest.mark.slow),
    ],
)
def test_the_formula_is_proved_by_algebra(hidden, period, outputs, unchecked):
    other = rlct_of_ideal(vandermonde_ideal(hidden, period, outputs), time_limit=60)
    assert other.status == "proved"
    assert check(other.certificate) == (other.lower, other.upper)
    assert pair(vandermonde(hidden, num_outputs=outputs, period=period)) == pair(other)


@pytest.mark.slow
@pytest.mark.parametrize("hidden, period, outputs", [(3, 1, 2), (3, 2, 2), (4, 1, 1), (4, 2, 1)])
def test_larger_ones_have_the_formula_as_an_upper_bound(hidden, period, outputs, unchecked):
    other = rlct_of_ideal(vandermonde_ideal(hidden, period, outputs), time_limit=20)
    truth = vandermonde(hidden, num_outputs=outputs, period=period)
    assert other.lower <= truth.upper
    assert truth.upper == other.upper


def test_tanh_has_its_closed_form():
    for hidden in range(1, 60):
        k = int(hidden**0.5)
        assert tanh_network(hidden).value == Fraction(hidden + k * k + k, 4 * k + 2)


def test_more_hidden_units_never_lower_lambda_and_it_stays_below_half_the_dimension():
    for outputs in (1, 2, 3):
        values = [tanh_network(h, num_outputs=outputs).value for h in range(1, 40)]
        assert values == sorted(values)
        assert all(v <= Fraction(h * (outputs + 1), 2) for h, v in enumerate(values, 1))


@pytest.mark.parametrize(
    "power, table",
    [
        (2, "3/4 1/4 3/28 1/20 3/124"),
        (3, "3/4 3/16 3/52 3/160 3/484"),
        (4, "3/4 3/20 1/28 3/340 3/1364"),
    ],
)
def test_the_table_of_polynomial_networks(power, table):
    assert [polynomial_network(power, layers).value for layers in range(1, 6)] == [
        Fraction(word) for word in table.split()
    ]


def test_a_polynomial_network_agrees_with_algebra(unchecked):
    other = rlct_of_ideal(["x + y", "x^2", "y^2"])
    assert pair(polynomial_network(2, 1)) == pair(other)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: vandermonde(0), "at least 1"),
        (lambda: tanh_network(2, num_outputs=0), "at least 1"),
        (lambda: vandermonde(2, period=0), "at least 1"),
        (lambda: polynomial_network(1, 2), "power is at least 2"),
        (lambda: polynomial_network(2, 1000), "at most 60"),
    ],
)
def test_a_hypothesis_that_fails_is_named(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
