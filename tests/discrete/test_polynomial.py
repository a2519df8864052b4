from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singulab.discrete import Polynomial
from singulab.discrete.polynomial import at_most


@pytest.mark.parametrize(
    "text, terms",
    [
        ("x*y", {(1, 1): 1}),
        ("y^2 - x**3", {(0, 2): 1, (3, 0): -1}),
        ("-(x + 0.1)^2", {(2,): -1, (1,): Fraction(-1, 5), (0,): Fraction(-1, 100)}),
        ("2*x/3 - +x", {(1,): Fraction(-1, 3)}),
        ("(x - y)*(x + y)", {(2, 0): 1, (0, 2): -1}),
        ("a^2 + 0*b", {(2, 0): 1}),
    ],
)
def test_text_is_read_exactly(text, terms):
    assert Polynomial.parse(text).terms == terms


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "must be text such as"),
        ("x +", "must be text such as"),
        ("3", "at least one variable"),
        ("x - x", "must not be 0 everywhere"),
        ("x^0.5", "got 'x \\*\\* 0.5'"),
        ("x^y", "whole powers"),
        ("x^-1", "whole powers"),
        ("x^99", "whole powers up to 64"),
        ("1/x", "division by numbers"),
        ("x/0", "division by numbers"),
        ("sin(x)", "got 'sin\\(x\\)'"),
        ("x.real", "a polynomial is made of"),
        ("True*x", "a polynomial is made of"),
        ("1j*x", "a polynomial is made of"),
    ],
)
def test_other_text_is_refused(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        Polynomial.parse(text)


def test_scaling_to_integers_divides_out_what_is_common():
    coefficients, factor = Polynomial.parse("2*x^2 - 4*y").scaled(Fraction(1, 10))
    assert coefficients == {(2, 0): 1, (0, 1): -20}
    assert factor == Fraction(1, 50)


powers = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(powers, st.integers(-9, 9).filter(bool), min_size=1, max_size=4),
    st.integers(0, 10**12),
    st.sampled_from([1, 10**6, 10**15]),
)
def test_integers_are_compared_without_rounding(coefficients, limit, size):
    axes = [np.array([-3, -1, 0, 2, 5]) * size, np.array([-2, 0, 1, 1, 7])]
    (found,) = at_most(coefficients, axes, [limit])
    expected = [
        abs(sum(c * int(x) ** p * int(y) ** q for (p, q), c in coefficients.items())) <= limit
        for x, y in zip(*axes, strict=True)
    ]
    assert found.tolist() == expected


def test_values_beyond_64_bits_are_decided_at_their_last_digit():
    x = np.array([10**9, 10**9 + 1])
    exact = (10**9) ** 7
    (below,) = at_most({(7,): 1}, [x], [exact])
    assert below.tolist() == [True, False]
    (below,) = at_most({(7,): 1}, [x], [exact - 1])
    assert below.tolist() == [False, False]


def test_axes_of_different_shape_span_a_grid():
    rows, columns = np.arange(-3, 4)[:, None], np.arange(-5, 6)[None]
    near, far = at_most({(1, 1): 1}, [rows, columns], [2, 6])
    assert np.array_equal(near, np.abs(rows * columns) <= 2)
    assert np.array_equal(far, np.abs(rows * columns) <= 6)
