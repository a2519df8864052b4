import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singulab.discrete import compressed, diagram_size, formula_size, lempel_ziv
from singulab.discrete.complexity import num_words

tables = st.integers(1, 64).flatmap(lambda n: st.text("01", min_size=n, max_size=n))


def naive_words(table: str) -> int:
    """A word goes on while it occurs in the text before its own last letter."""
    words, start = 0, 0
    while start < len(table):
        stop = start + 1
        while stop <= len(table) and any(
            table[k : k + stop - start] == table[start:stop] for k in range(start)
        ):
            stop += 1
        words += 1
        start = stop
    return words


@pytest.mark.parametrize(
    "table, words",
    [
        ("0001101001000101", 6),  # 0·001·10·100·1000·101, the example of Lempel and Ziv
        ("0", 1),
        ("00000000", 2),  # 0·0000000
        ("01010101", 3),  # 0·1·010101
        ("10", 2),
    ],
)
def test_words_of_known_strings(table, words):
    assert num_words(table) == words


@settings(max_examples=200, deadline=None)
@given(tables)
def test_words_are_those_of_a_naive_parsing(table):
    assert num_words(table) == naive_words(table)


def test_the_complexity_of_dingle_is_symmetric_and_least_for_constants():
    assert lempel_ziv("1" * 128) == lempel_ziv("0" * 128) == 7.0
    random = np.random.default_rng(0)
    values = []
    for _ in range(50):
        table = "".join(random.choice(["0", "1"], 128))
        assert lempel_ziv(table) == lempel_ziv(table[::-1])
        values.append(lempel_ziv(table))
    assert lempel_ziv("01" * 64) == 7 * 3.0
    assert min(values) > 100
    with pytest.raises(ValueError, match="empty"):
        lempel_ziv("")


def test_a_compressor_knows_order_from_noise():
    random = "".join(np.random.default_rng(0).choice(["0", "1"], 1024))
    assert compressed("01" * 512) < compressed(random) / 4


def naive_diagram(table: str) -> int:
    """Every order, every node by its cofactor."""
    inputs = int(math.log2(len(table)))
    cube = np.array([int(c) for c in table]).reshape((2,) * inputs)
    best = 10**9
    for order in itertools.permutations(range(inputs)):
        nodes = set()
        moved = cube.transpose(order)
        for level in range(inputs):
            for above in itertools.product((0, 1), repeat=level):
                below = moved[above]
                if not np.array_equal(below[0], below[1]):
                    nodes.add((level, below.tobytes()))
        best = min(best, len(nodes))
    return best


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4).flatmap(lambda b: st.text("01", min_size=2**b, max_size=2**b)))
def test_diagrams_are_the_smallest_over_all_orders(table):
    assert diagram_size(table) == naive_diagram(table)


def test_diagrams_of_known_functions():
    parity = "".join(str(bin(k).count("1") % 2) for k in range(32))
    majority = "".join(str(int(bin(k).count("1") > 2)) for k in range(32))
    assert diagram_size(parity) == 9  # 2b − 1
    assert diagram_size(majority) == 9  # nodes by how many ones there were: 1+2+3+2+1
    # x₁x₂ + x₃x₄ + …: linear in a good order, exponential in the bad one that this is written in.
    good = "".join(
        str(int(any(k >> i & 1 and k >> (i + 3) & 1 for i in range(3)))) for k in range(64)
    )
    assert diagram_size(good) == 6


def test_formulas_of_known_functions():
    assert formula_size("01") == formula_size("10") == 1
    assert formula_size("0000") == 0
    assert formula_size("0001") == formula_size("0111") == 2
    assert formula_size("0110") == 4
    assert formula_size("00010111") == 5  # majority: xy + z(x + y)
    assert formula_size("01101001") == 10  # parity of three


@pytest.mark.parametrize("call", [diagram_size, formula_size])
@pytest.mark.parametrize("table", ["", "0", "011", "012a"])
def test_other_text_is_refused(call, table):
    with pytest.raises(ValueError, match="2\\^b digits 0 and 1"):
        call(table)


def test_too_many_inputs_are_refused():
    with pytest.raises(ValueError, match="at most 3 inputs, got 4"):
        formula_size("0" * 16)
    with pytest.raises(ValueError, match="up to 7 inputs, got 8"):
        diagram_size("0" * 256)
