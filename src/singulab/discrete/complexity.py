"""How complex a single function is: Lempel–Ziv, a compressor, decision diagrams, formulas.

All take the truth table of a function as text, such as ``"0110"``, the inputs in counting order. None is
Kolmogorov's complexity; each is an upper bound of it up to a constant, by its own kind of description.
"""

import math
import zlib
from functools import cache

import numpy as np

_ALL_ORDERS = 7  # inputs up to which a diagram is made the smallest over all orders


def num_words(table: str) -> int:
    """Words of the parsing of Lempel and Ziv (1976).

    Each word is the shortest continuation that cannot be copied from what begins before it; the copy may
    overlap the word itself.

    Source: Lempel & Ziv (1976), IEEE Trans. Inf. Theory 22, whose own example this is:

    Example:
        >>> num_words("0001101001000101")
        6
    """
    words, start = 0, 0
    while start < len(table):
        length = 1
        while (
            start + length <= len(table)
            and table.find(table[start : start + length], 0, start + length - 1) != -1
        ):
            length += 1
        words += 1
        start += length
    return words


def lempel_ziv(table: str) -> float:
    """C_LZ in bits: log₂ n for a constant string, else log₂(n)·(words forwards + words backwards)/2.

    Source: Dingle, Camargo & Louis (2018), Nat. Commun. 9, 761.

    Example:
        >>> lempel_ziv("0" * 128)
        7.0
    """
    if not table:
        raise ValueError("the complexity of an empty function is not defined.")
    scale = math.log2(len(table))
    if table.count(table[0]) == len(table):
        return scale
    return scale * (num_words(table) + num_words(table[::-1])) / 2


def compressed(table: str) -> int:
    """Bits that DEFLATE of the standard library makes of the digits, without headers.

    Short functions all cost a similar number of bits; it separates only those of some hundred inputs well.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    return 8 * len(packer.compress(table.encode()) + packer.flush())


def diagram_size(table: str) -> int:
    """Inner nodes of the smallest reduced ordered binary decision diagram of a Boolean function.

    Below the variables S the diagram has one node at the next variable v for each different cofactor of the
    function by S that depends on v, whatever the order within S. So the smallest size over all orders is a
    shortest path through the subsets of variables (Friedman and Supowit).

    Args:
        table: 2^b digits 0 and 1, b ≤ 7.

    Source: Friedman & Supowit (1987), 24th Design Automation Conference.

    Example:
        >>> diagram_size("0110"), diagram_size("0000"), diagram_size("0001")
        (3, 0, 2)
    """
    num_inputs = _num_inputs(table)
    if num_inputs > _ALL_ORDERS:
        raise ValueError(
            f"diagrams are minimised over all orders of up to {_ALL_ORDERS} inputs, got {num_inputs}."
        )
    cube = np.array([c == "1" for c in table]).reshape((2,) * num_inputs)
    best = {0: 0}
    for subset in range(1 << num_inputs):
        above = [v for v in range(num_inputs) if subset >> v & 1]
        for v in range(num_inputs):
            if subset >> v & 1:
                continue
            longer = subset | 1 << v
            size = best[subset] + _num_nodes(cube, above, v)
            best[longer] = min(best.get(longer, size), size)
    return best[(1 << num_inputs) - 1]


def formula_size(table: str) -> int:
    """Leaves of the smallest formula of AND, OR and negated or plain inputs, for at most 3 inputs.

    A constant needs none. Parity shows what this measure adds: 4 leaves for 2 inputs and 10 for 3.

    Example:
        >>> formula_size("0110"), formula_size("01101001")
        (4, 10)
    """
    num_inputs = _num_inputs(table)
    if num_inputs > 3:
        raise ValueError(f"formulas are minimised for at most 3 inputs, got {num_inputs}.")
    return _formula_sizes(num_inputs)[int(table, 2)]


@cache
def _formula_sizes(num_inputs: int) -> dict[int, int]:
    """The size of every function, found in the order of sizes: a formula is an AND or OR of smaller ones."""
    places = 1 << num_inputs
    everything = (1 << places) - 1
    sizes = {0: 0, everything: 0}
    of_size: list[set[int]] = [set(), set()]
    for v in range(num_inputs):
        column = sum(1 << place for place in range(places) if place >> v & 1)
        of_size[1] |= {column, everything ^ column}
    sizes |= dict.fromkeys(of_size[1], 1)
    while len(sizes) < 1 << places:
        size, found = len(of_size), set[int]()
        for small in range(1, size // 2 + 1):
            for one in of_size[small]:
                for other in of_size[size - small]:
                    found |= {one & other, one | other}
        of_size.append(found - sizes.keys())
        sizes |= dict.fromkeys(of_size[size], size)
    return sizes


def _num_nodes(cube: np.ndarray, above: list[int], v: int) -> int:
    rest = [u for u in range(cube.ndim) if u not in above and u != v]
    rows = cube.transpose([*above, v, *rest]).reshape(1 << len(above), -1)
    half = rows.shape[1] // 2
    depends = (rows[:, :half] != rows[:, half:]).any(axis=1)
    return len({row.tobytes() for row in rows[depends]})


def _num_inputs(table: str) -> int:
    num_inputs = (len(table) - 1).bit_length() if table else 0
    if num_inputs < 1 or len(table) != 1 << num_inputs or set(table) - {"0", "1"}:
        raise ValueError(
            f"a truth table has 2^b digits 0 and 1 for b ≥ 1 inputs, got {len(table)} characters."
        )
    return num_inputs
