"""Rational cones by their walls, with rays by double description."""

from collections.abc import Sequence
from functools import lru_cache
from math import gcd, lcm
from typing import Any

from singulab.exact.checker.claim import demand
from singulab.exact.polynomial import inner

Vector = tuple[int, ...]


def axis(i: int, n: int) -> Vector:
    """A unit vector."""
    return tuple(int(i == j) for j in range(n))


@lru_cache(maxsize=200)
def orthant(n: int) -> tuple[Vector, ...]:
    """The walls of ω ≥ 0."""
    return tuple(axis(i, n) for i in range(n))


def less(a: Sequence[int], b: Sequence[int]) -> Vector:
    """The difference of two vectors."""
    return tuple(x - y for x, y in zip(a, b, strict=True))


def matrix(rows: Sequence[Sequence[int]], width: int) -> Any:
    """Rows over the rationals."""
    from sympy import QQ
    from sympy.polys.matrices import DomainMatrix

    return DomainMatrix([[QQ(x) for x in row] for row in rows], (len(rows), width), QQ)


def rank(rows: Sequence[Sequence[int]]) -> int:
    """Rank of integer rows."""
    return int(matrix(rows, len(rows[0])).rank()) if rows and rows[0] else 0


def primitive(v: Sequence[int]) -> Vector:
    """The shortest integer vector in the same direction."""
    divisor = gcd(*v) or 1
    return tuple(x // divisor for x in v)


@lru_cache(maxsize=5000)
def cone_rays(walls: tuple[Vector, ...], n: int) -> list[Vector]:
    """Rays of {ω: ⟨c, ω⟩ ≥ 0 for all walls c}, a pointed cone of full dimension."""
    if n == 0:
        return []
    rows = matrix(walls, n)
    _, pivots = rows.transpose().rref()
    demand(len(pivots) == n, "a cone is not pointed")
    inverse = rows.extract(list(pivots), range(n)).inv()
    order = [*pivots, *(k for k in range(len(walls)) if k not in pivots)]
    found = []  # rays, each with the set of walls that it lies on, as bits
    for j, column in enumerate(inverse.transpose().to_list()):
        common = lcm(*(int(x.denominator) for x in column))
        ray = primitive([int(x * common) for x in column])
        found.append((ray, (1 << n) - 1 - (1 << j)))
    for k in range(n, len(walls)):
        values = [inner(r, walls[order[k]]) for r, _ in found]
        signed = [(r, on, v) for (r, on), v in zip(found, values, strict=True)]
        fresh = [(r, on if v else on | 1 << k) for r, on, v in signed if v >= 0]
        below = [(r, on, v) for r, on, v in signed if v < 0]
        for r, on, v in (s for s in signed if s[2] > 0):
            for s, other, w in below:
                both = on & other
                meet = sum(both & o == both for _, o in found) if both.bit_count() >= n - 2 else 0
                if meet == 2:  # neighbours: no third ray lies on all walls that these share
                    edge = [v * y - w * x for x, y in zip(r, s, strict=True)]
                    fresh.append((primitive(edge), both | 1 << k))
        found = fresh
    return [r for r, _ in found]


def irredundant(walls: set[Vector], n: int) -> tuple[Vector, ...]:
    """Walls whose rays are not a part of those of another wall."""
    listed = sorted({primitive(w) for w in walls})
    rays = cone_rays(tuple(listed), n)
    on = {w: frozenset(i for i, r in enumerate(rays) if inner(w, r) == 0) for w in listed}
    return tuple(
        w
        for k, w in enumerate(listed)
        if not any(on[w] < on[x] or (on[w] == on[x] and x in listed[:k]) for x in listed)
    )
