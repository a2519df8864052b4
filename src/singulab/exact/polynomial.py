"""Sparse polynomials with integer coefficients: dictionaries from exponents to coefficients.

All polynomials that meet have exponent tuples of one length. Exponents of small positive variables may be
negative. Coefficients are integers because only ideals matter here: a generator may be scaled.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import gcd
from typing import Any

from singulab.exact.deadline import tick

Exponents = tuple[int, ...]
Polynomial = dict[Exponents, int]

_LARGEST = 200_000  # products of terms in one multiplication


class TooLargeError(Exception):
    """A polynomial has grown beyond what is worth going on with."""


def constant(value: int, length: int) -> Polynomial:
    """A number as a polynomial."""
    return {(0,) * length: value} if value else {}


def variable(index: int, length: int) -> Polynomial:
    """One variable as a polynomial."""
    return {tuple(int(i == index) for i in range(length)): 1}


def add(p: Polynomial, q: Polynomial, factor: int = 1) -> Polynomial:
    """The sum p + factor·q."""
    total = dict(p)
    for a, c in q.items():
        value = total.get(a, 0) + factor * c
        if value:
            total[a] = value
        else:
            total.pop(a, None)
    return total


def scale(p: Polynomial, factor: int) -> Polynomial:
    """The product with a number."""
    return {a: factor * c for a, c in p.items()} if factor else {}


def multiply(p: Polynomial, q: Polynomial) -> Polynomial:
    """The product of two polynomials."""
    tick()
    if len(p) * len(q) > _LARGEST:
        raise TooLargeError(f"a product of {len(p)} by {len(q)} terms")
    total: Polynomial = {}
    for a, c in p.items():
        for b, d in q.items():
            e = tuple([i + j for i, j in zip(a, b, strict=True)])
            total[e] = total.get(e, 0) + c * d
    return {a: c for a, c in total.items() if c}


def power(p: Polynomial, exponent: int, length: int) -> Polynomial:
    """A whole power."""
    result = constant(1, length)
    for _ in range(exponent):
        result = multiply(result, p)
    return result


def shift(p: Polynomial, by: Sequence[int]) -> Polynomial:
    """The product with one monomial."""
    return {tuple([i + j for i, j in zip(a, by, strict=True)]): c for a, c in p.items()}


def mirrored(p: Polynomial, variables: Sequence[int]) -> Polynomial:
    """The same with −w in the place of some variables w."""
    return {a: -c if sum([a[i] for i in variables]) % 2 else c for a, c in p.items()}


def derivative(p: Polynomial, index: int) -> Polynomial:
    """The derivative by one variable."""
    return {
        (*a[:index], a[index] - 1, *a[index + 1 :]): c * a[index] for a, c in p.items() if a[index]
    }


def degree(p: Polynomial, index: int) -> int:
    """The degree in one variable."""
    return max((a[index] for a in p), default=0)


def coefficients(p: Polynomial, index: int) -> dict[int, Polynomial]:
    """Read as a polynomial in one variable: its coefficients by power, free of that variable."""
    parts: dict[int, Polynomial] = {}
    for a, c in p.items():
        parts.setdefault(a[index], {})[(*a[:index], 0, *a[index + 1 :])] = c
    return parts


def substitute(
    p: Polynomial, index: int, numerator: Polynomial, denominator: Polynomial
) -> Polynomial:
    """denominator^deg · p with numerator/denominator in the place of a variable of nonnegative powers."""
    parts = coefficients(p, index)
    top = max(parts, default=0)
    if top == 0:
        return p
    total: Polynomial = {}
    length = len(next(iter(p)))
    for e, part in parts.items():
        term = multiply(part, power(numerator, e, length))
        total = add(total, multiply(term, power(denominator, top - e, length)))
    return total


def reduce(p: Polynomial, index: int, relation: Sequence[int]) -> Polynomial:
    """Returns p modulo the monic polynomial Σ relation[k]·t^k in the variable t of that index."""
    top = len(relation) - 1
    total = dict(p)
    while True:
        tick()
        high = [a for a in total if a[index] >= top]
        if not high:
            return total
        for a in high:
            c = total.pop(a, 0)
            for k, r in enumerate(relation[:-1]):
                if c and r:
                    b = (*a[:index], a[index] - top + k, *a[index + 1 :])
                    value = total.get(b, 0) - c * r
                    if value:
                        total[b] = value
                    else:
                        total.pop(b, None)


def divide(p: Polynomial, q: Polynomial) -> Polynomial | None:
    """The quotient p / q if that is a polynomial, in the order of exponents."""
    lead = max(q)
    rest, quotient = dict(p), {}
    while rest:
        tick()
        top = max(rest)
        by = tuple([a - b for a, b in zip(top, lead, strict=True)])
        if min(by) < 0 or rest[top] % q[lead]:
            return None
        c = rest[top] // q[lead]
        quotient[by] = c
        rest = add(rest, shift(q, by), -c)
    return quotient


def content(p: Polynomial) -> int:
    """The greatest common divisor of the coefficients."""
    return gcd(*p.values()) if p else 0


def primitive(p: Polynomial, units: Iterable[int] = ()) -> Polynomial:
    """Returns p without its integer content and without powers of those variables; its first term positive."""
    if not p:
        return p
    c = content(p) * (1 if p[max(p)] > 0 else -1)
    low = {i: m for i in units if (m := min(a[i] for a in p))}
    if not low:
        return p if c == 1 else {a: v // c for a, v in p.items()}
    return {tuple([e - low.get(i, 0) for i, e in enumerate(a)]): v // c for a, v in p.items()}


def evaluate(p: Polynomial, values: Sequence[Fraction | int]) -> Fraction:
    """The value at a point."""
    total = Fraction(0)
    tick()
    for a, c in p.items():
        term = Fraction(c)
        for e, value in zip(a, values, strict=True):
            if e:
                term *= Fraction(value) ** e
        total += term
    return total


def occurring(p: Polynomial) -> set[int]:
    """The variables that occur."""
    return {i for a in p for i, e in enumerate(a) if e}


def take(p: Polynomial, positions: Sequence[int | None]) -> Polynomial:
    """The same with its variables in another order; ``None`` makes a variable that does not occur."""
    return {tuple([0 if i is None else a[i] for i in positions]): c for a, c in p.items()}


def to_json(p: Polynomial) -> list[list[int]]:
    """A list of [coefficient, exponents…]."""
    return [[c, *a] for a, c in sorted(p.items(), reverse=True)]


def from_json(terms: Iterable[Sequence[int]]) -> Polynomial:
    """What to_json wrote."""
    return {tuple(int(e) for e in term[1:]): int(term[0]) for term in terms}


def told(p: Polynomial, names: Sequence[str]) -> str:
    """As a person writes it: ``x^2*y - 3*z``."""
    text = ""
    for a, c in sorted(p.items(), key=lambda item: (sum(item[0]), [-e for e in item[0]])):
        factors = [n if e == 1 else f"{n}^{e}" for n, e in zip(names, a, strict=True) if e]
        if abs(c) != 1 or not factors:
            factors.insert(0, str(abs(c)))
        sign = ("-" if c < 0 else "") if not text else (" - " if c < 0 else " + ")
        text += sign + "*".join(factors)
    return text or "0"


def inner(a: Sequence[Any], b: Sequence[Any]) -> Any:
    """The scalar product."""
    return sum([i * j for i, j in zip(a, b, strict=True)])


def from_mapping(terms: Mapping[Exponents, Fraction]) -> Polynomial:
    """An integer multiple of a polynomial with rational coefficients; the factor is positive."""
    common = 1
    for c in terms.values():
        common = common * c.denominator // gcd(common, c.denominator)
    return {a: int(c * common) for a, c in terms.items() if c}


def determinant(table: list[list[Polynomial]]) -> Polynomial:
    """The determinant of a matrix of polynomials."""
    if len(table) == 1:
        return table[0][0]
    total: Polynomial = {}
    for k, entry in enumerate(table[0]):
        if entry:
            rest = [row[:k] + row[k + 1 :] for row in table[1:]]
            total = add(total, multiply(entry, determinant(rest)), -1 if k % 2 else 1)
    return total
