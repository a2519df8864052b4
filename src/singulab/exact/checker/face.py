"""A compact face with a pattern of signs: the forms of the generators on it, in coordinates of its torus."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from singulab.exact.checker.chart import Chart
from singulab.exact.checker.claim import Branch, demand
from singulab.exact.checker.cone import Vector, axis, less, rank
from singulab.exact.checker.sign import nonzero, normal
from singulab.exact.polynomial import Exponents, Polynomial, inner, mirrored


@dataclass(frozen=True)
class Face:
    """A face of a chart after a change of signs."""

    c: Chart
    points: tuple[Vector, ...]
    kept: list[int]  # the y across which nothing changes
    on: list[list[Exponents]]  # of the known terms of each generator on the face
    gens: list[Polynomial]  # with signs
    rays: list[Vector]  # normals of the facets around it


@dataclass(frozen=True)
class Torus:
    """Coordinates at a face: monomials along its normal cone, and u across it."""

    chart: Chart  # of the u alone
    along: list[Vector]
    across: list[Vector]
    powers: list[int]  # roots that were taken of the u


def undecided(c: Chart, points: Any, rays: Any) -> Iterator[dict[tuple[int, ...], Face]]:
    """Patterns of signs under which no face form has one sign, those with the same generators together."""
    inside = set(points)
    on = [
        [a for a in g if a[: c.n] in inside and not t & inside]
        for g, t in zip(c.gens, c.tails, strict=True)
    ]
    shapes = {v: {tuple(map(bool, r)) for r in rays if r[v]} for v in range(c.n)}
    small = [v for v in range(c.n) if c.kinds[v] == "y"]
    kept = [v for v in small if shapes[v] == {tuple(map(bool, axis(v, c.n)))}]
    odd = [v for v in small if v not in kept and any(a[v] % 2 for g in c.gens for a in g)]
    alike: dict[Any, dict[tuple[int, ...], Face]] = {}
    for signs in product(*((1, -1) if v in odd else (1,) for v in range(c.n))):
        flipped = [mirrored(g, [v for v in odd if signs[v] < 0]) for g in c.gens]
        shape = tuple(frozenset(normal(c, g).items()) for g in flipped)
        alike.setdefault(shape, {})[signs] = Face(c, points, kept, on, flipped, rays)
    for patterns in alike.values():
        face = next(iter(patterns.values()))
        parts = ({a: g[a] for a in p} for g, p in zip(face.gens, on, strict=True) if p)
        if not any(nonzero(c, part) for part in parts):
            yield patterns


def torus(face: Face, said: Branch) -> Torus:
    """The coordinates that a certificate names, if they are some."""
    c = face.c
    across = [tuple(g) for g in said["across"]]
    along = [*(axis(v, c.n) for v in face.kept), *(tuple(b) for b in said["along"])]
    level = all(inner(b, less(a, face.points[0])) == 0 for b in along for a in face.points)
    demand(level, "coordinates leave the face")
    full = rank([*along, *across]) == len(along) + len(across) == c.n
    demand(full, "coordinates depend on each other")

    def carried(polynomials: Sequence[Polynomial]) -> tuple[Polynomial, ...]:
        return tuple(
            {(*(0,) * len(across), *a[c.n :]): x for a, x in q.items()} for q in polynomials
        )

    kinds = "u" * len(across) + c.kinds[c.n :]
    chart = replace(
        c,
        kinds=kinds,
        weights=(),
        factors=carried(c.factors),
        conditions=carried(c.conditions),
    )
    return Torus(chart, along, across, said["powers"])


def turned(face: Face, at: Torus, exponents: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Exponents, each with its powers of u and c, least power 0, of which roots were taken."""
    n = face.c.n
    low = [min((inner(a[:n], v) for a in exponents), default=0) for v in at.across]
    for a in exponents:
        t = [inner(a[:n], v) - x for v, x in zip(at.across, low, strict=True)]
        whole = all(r > 0 and x % r == 0 for x, r in zip(t, at.powers, strict=True))
        demand(whole, "a root cannot be taken")
        yield a, (*(x // r for x, r in zip(t, at.powers, strict=True)), *a[n:])


def forms(face: Face, at: Torus) -> list[Polynomial]:
    """The face forms in the coordinates of the torus."""
    return [
        normal(at.chart, {t: g[a] for a, t in turned(face, at, part)})
        for g, part in zip(face.gens, face.on, strict=True)
    ]
