"""Steps inside a chart that keep λ and m, and completion of a square."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

from singulab.exact import polynomial as po
from singulab.exact.checker.chart import Chart
from singulab.exact.checker.claim import demand
from singulab.exact.checker.cone import Vector, rank
from singulab.exact.checker.generator import above, lead, leads, without
from singulab.exact.checker.sign import nonzero
from singulab.exact.polynomial import Polynomial


def mix(c: Chart, matrix: list[list[int]]) -> Chart:
    """New generators by an invertible matrix."""
    demand(len(matrix) == len(c.gens) == rank(matrix), "a matrix is not invertible")
    gens, tails = [], []
    for row in matrix:
        total: Polynomial = {}
        for factor, g in zip(row, c.gens, strict=True):
            total = po.add(total, g, factor)
        gens.append(total)
        tails.append(frozenset().union(*(t for f, t in zip(row, c.tails, strict=True) if f)))
    return replace(c, gens=tuple(gens), tails=tuple(tails))


def shear(c: Chart, v: int, told: Any) -> Chart:
    """V + q takes the place of v."""
    q, length = po.from_json(told), len(c.kinds)
    demand(all(not a[v] for a in q) and not any(c.tails), "a shear by its own variable")
    if c.kinds[v] == "f":
        demand(
            all(c.kinds[i] == "f" for i in po.occurring(q)),
            "a free variable is sheared by one that is not",
        )
    else:
        demand(c.coordinate(v), "no free coordinate")
        demand(
            all(not any(a[c.n :]) and c.bounded(a[: c.n], small=True) for a in q),
            "a shear is not small",
        )
    image = po.add(po.variable(v, length), q)
    one = po.constant(1, length)
    return replace(c, gens=tuple(po.substitute(g, v, image, one) for g in c.gens))


def square(c: Chart, v: int) -> Chart:
    """K = A·v² + B·v + C ≥ 0: 4A·K = (2A·v + B)² + (4AC − B²), and v = −B/2A shows the last not negative."""
    parts = po.coefficients(c.gens[0], v)
    demand(c.principal and c.coordinate(v), "no square to complete")
    top = {a: x for a, x in parts[2].items() if not any(a[: c.n])}
    linear = {a[: c.n] for a in parts.get(1, {})}
    demand(max(parts) == 2 and not any(c.tails) and nonzero(c, top), "no square to complete")
    demand(
        all(c.bounded(a) for a in linear | {a[: c.n] for a in parts[2]}), "a square is not small"
    )
    demand(not any(not any(a) for a in linear), "a square is not small")
    rest = po.scale(po.multiply(parts[2], parts.get(0, {})), 4)
    rest = po.add(rest, po.multiply(parts.get(1, {}), parts.get(1, {})), -1)
    return replace(without(replace(c, gens=(rest,)), v), offset=c.offset + Fraction(1, 2))


def drop(c: Chart, i: int, terms: list[list[int]]) -> Chart:
    """Terms that a monomial generator bounds are left out."""
    over = set(map(tuple, terms))
    others = frozenset(leads(c, i))
    demand(all(above(c, a, others) for a in over), "a term is dropped that nothing bounds")
    rest = {a: v for a, v in c.gens[i].items() if a[: c.n] not in over}
    return exchanged(c, i, rest, c.tails[i] - over)


def unit(c: Chart, i: int) -> Chart:
    """A monomial times a unit becomes the monomial."""
    m = lead(c, i)
    demand(m is not None, "a generator is no monomial")
    return exchanged(c, i, {(*(m or ()), *(0,) * (len(c.kinds) - c.n)): 1}, frozenset())


def exchanged(c: Chart, i: int, g: Polynomial, tail: frozenset[Vector]) -> Chart:
    """The chart with another generator in the place of one."""
    gens, tails = list(c.gens), list(c.tails)
    gens[i], tails[i] = g, tail
    return replace(c, gens=tuple(gens), tails=tuple(tails))


def free(c: Chart, v: int) -> Chart:
    """A variable that no generator contains is left out."""
    demand(c.alone(v) and not any(c.tails), "a variable is not free")
    demand(all(not a[v] for g in c.gens for a in g), "a variable is not free")
    return without(c, v)
