from fractions import Fraction

import numpy as np
import pytest
import torch

from singulab.discrete import binary, float_format, multiples, ternary, uniform
from singulab.discrete.levels import FORMATS, Levels, decimal, patterns


def test_small_sets_are_what_their_names_say():
    assert binary().values == (-1.0, 1.0)
    assert ternary().values == (-1.0, 0.0, 1.0)
    assert uniform(3, 2.0).values == (-2.0, 0.0, 2.0)
    assert multiples("0.25", "0.6").values == (-0.5, -0.25, 0.0, 0.25, 0.5)


def test_a_decimal_mesh_reaches_the_end_of_its_box():
    # In binary floats 1/0.1 could be 9.99…; read as decimals 0.1 divides 1.
    for n in range(2, 200):
        assert len(multiples(Fraction(1, n))) == 2 * n + 1
    assert len(multiples(0.001)) == 2001


@pytest.mark.parametrize(
    "name, finite",
    [("float8_e4m3fn", 254), ("float8_e5m2", 248), ("float16", 63488), ("bfloat16", 65280)],
)
def test_formats_hold_the_known_number_of_finite_patterns(name, finite):
    # All patterns but those with the exponent of NaN and infinity; e4m3fn has two NaN and no infinity.
    values = patterns(name)
    assert len(values) == finite == len(float_format(name))
    assert (values == 0).sum() == 2
    assert values.max() == torch.finfo(FORMATS[name]).max
    assert (
        values[values > 0].min()
        == torch.finfo(FORMATS[name]).smallest_normal
        * 2.0 ** -({"float8_e4m3fn": 3, "float8_e5m2": 2, "float16": 10, "bfloat16": 7}[name])
    )
    again = torch.from_numpy(values).to(FORMATS[name]).double().numpy()
    assert np.array_equal(again, values)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: multiples(0), "mesh must be above 0, got 0"),
        (lambda: multiples(-0.1), "mesh must be above 0"),
        (lambda: multiples("a"), "mesh must be a number above 0, got 'a'"),
        (lambda: multiples(float("nan")), "mesh must be a number above 0"),
        (lambda: multiples("1/0"), "mesh must be a number above 0"),
        (lambda: uniform(1), "at least 2 levels, got 1"),
        (lambda: uniform(3, 0.0), "radius must be > 0"),
        (lambda: float_format("float12"), "format is one of"),
        (lambda: float_format("float32"), "2^32 patterns"),
        (lambda: Levels(values=()), "at least one level"),
        (lambda: Levels(values=(1.0, float("inf"))), "finite"),
    ],
)
def test_bad_sets_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence.replace("^", r"\^")):
        make()


def test_decimals_are_exact():
    assert decimal(0.1, "x") == Fraction(1, 10)
    assert decimal("1e-7", "x") == Fraction(1, 10**7)
    assert decimal(3, "x") == 3
    assert decimal("1/3", "x") == Fraction(1, 3)
