"""Signs of polynomials where u is positive and c is one root of its relation."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from singulab.exact import polynomial as po
from singulab.exact.checker.chart import Chart
from singulab.exact.checker.claim import Branch, demand
from singulab.exact.checker.cone import Vector
from singulab.exact.polynomial import Polynomial


def reduced(c: Chart, p: Polynomial) -> Polynomial:
    """Returns p with the algebraic number reduced."""
    return p if c.root is None else po.reduce(p, len(c.kinds) - 1, c.root[0])


def normal(c: Chart, p: Polynomial) -> Polynomial:
    """Returns p up to a unit."""
    return po.primitive(reduced(c, p), c.units)


def rational(x: Fraction | int) -> Any:
    """A rational number of sympy."""
    from sympy import QQ

    return QQ(x.numerator, x.denominator)


def univariate(coefficients: Sequence[Fraction | int]) -> Any:
    """A sympy polynomial with those coefficients, lowest first."""
    from sympy import QQ, Poly, Symbol

    return Poly([rational(x) for x in reversed(coefficients)], Symbol("t"), domain=QQ)


def sign(c: Chart, powers: Mapping[int, Fraction]) -> int:
    """The sign of Σ powers[e]·ρ^e at the root ρ of the chart."""
    values = [powers.get(e, Fraction(0)) for e in range(max(powers, default=0) + 1)]
    if len(values) == 1:
        return (values[0] > 0) - (values[0] < 0)
    demand(c.root, "a power of a number that is not there")
    assert c.root is not None
    relation, low, high = univariate(c.root[0]), c.root[1], c.root[2]
    number = univariate(values).rem(relation)
    if number.is_zero:
        return 0
    while number.count_roots(rational(low), rational(high)):
        middle = (low + high) / 2
        left = relation.count_roots(rational(low), rational(middle))
        low, high = (low, middle) if left else (middle, high)
    return 1 if number.eval(rational(low)) > 0 else -1


def one_sign(c: Chart, p: Polynomial) -> int:
    """The sign that all coefficients of p have, or 0."""
    last = len(c.kinds) - (c.root is not None)
    if any(c.kinds[i] == "f" for i in po.occurring(p)):
        return 0
    parts: dict[Vector, dict[int, Fraction]] = {}
    for a, v in reduced(c, p).items():
        parts.setdefault(a[:last], {})[sum(a[last:])] = Fraction(v)
    signs = {sign(c, part) for part in parts.values()}
    return signs.pop() if len(signs) == 1 else 0


def nonzero(c: Chart, p: Polynomial) -> bool:
    """Whether p is one-signed up to factors of the conditions."""
    if not p or one_sign(c, p):
        return bool(p)
    for q in c.factors:
        while (quotient := po.divide(p, q)) is not None:
            p = quotient
    return one_sign(c, p) != 0


def sign_at(c: Chart, p: Polynomial, point: Sequence[Fraction]) -> int:
    """The sign of a polynomial in u and the algebraic number at values of the u."""
    powers: dict[int, Fraction] = {}
    for a, v in p.items():
        rest = a[c.n + len(point) :]
        value = po.evaluate({a[c.n : c.n + len(point)]: v}, point)
        powers[sum(rest)] = powers.get(sum(rest), Fraction(0)) + value
    return sign(c, powers)


def vanishes_nowhere(torus: Chart, forms: Sequence[Polynomial], said: Branch) -> None:
    """Σ q f is one-signed up to factors of conditions, so the f have no common zero."""
    total: Polynomial = {}
    for q, f in zip(said["multipliers"], forms, strict=True):
        total = po.add(total, po.multiply(po.from_json(q), f))
    demand(nonzero(torus, reduced(torus, total)), "an identity does not hold")
