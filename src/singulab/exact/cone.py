"""Rational polyhedral cones and Newton polyhedra by exact double description.

A cone C of directions has rays r and inequalities ⟨c, ω⟩ ≥ 0. The Newton polyhedron of points A over C is
Γ = conv(A) + C^∨. Its facet normals are the rays of {(ω, t): ω ∈ C, t ≤ ⟨ω, a⟩ for all a ∈ A}, other than
(0, −1), and t = N(ω) = min ⟨ω, a⟩ there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from math import gcd, lcm

from singulab.exact.deadline import tick
from singulab.exact.polynomial import inner

Vector = tuple[int, ...]

_MOST_FACES = 6000


class TooManyFacesError(Exception):
    """A polyhedron has more faces than are worth looking at."""


@dataclass(frozen=True)
class Cone:
    """A pointed cone of full dimension."""

    rays: tuple[Vector, ...]
    facets: tuple[Vector, ...]  # c with ⟨c, ω⟩ ≥ 0 on the cone; they are the rays of the dual cone

    @classmethod
    def orthant(cls, dimension: int) -> "Cone":
        units = tuple(tuple(int(i == j) for j in range(dimension)) for i in range(dimension))
        return cls(units, units)

    @classmethod
    def of_rays(cls, rays: Sequence[Vector]) -> "Cone":
        """The cone that the rays span; they must span the whole space."""
        dual = _dual(rays)
        return cls(tuple(rays), tuple(dual))

    @cached_property
    def is_orthant(self) -> bool:
        """Whether the rays are the coordinate axes."""
        return len(self.rays) == len(self.facets) and all(
            sum(ray) == 1 and min(ray) == 0 for ray in self.rays
        )

    @cached_property
    def middle(self) -> Vector:
        """A direction inside the cone: the sum of the rays."""
        return tuple(map(sum, zip(*self.rays, strict=True)))

    def bounds(self, exponents: Sequence[int]) -> bool:
        """Whether the monomial is bounded where all log-directions lie in the cone."""
        if self.is_orthant:
            return min(exponents, default=0) >= 0
        return all(inner(ray, exponents) >= 0 for ray in self.rays)


@dataclass(frozen=True)
class Face:
    """A bounded face: the points on it and the facet normals whose facets contain it."""

    points: tuple[Vector, ...]
    normals: tuple[Vector, ...]
    dimension: int


def primitive_vector(v: Sequence[int]) -> Vector:
    """The shortest integer vector in the same direction."""
    divisor = gcd(*v) or 1
    return tuple([i // divisor for i in v])


def rank(vectors: Sequence[Sequence[int]]) -> int:
    """Rank of integer vectors."""
    rows = [list(v) for v in vectors]
    found = 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        p = rows[found][column]
        for i in range(found + 1, len(rows)):
            if q := rows[i][column]:
                row = [p * a - q * b for a, b in zip(rows[i], rows[found], strict=True)]
                divisor = gcd(*row) or 1
                rows[i] = [a // divisor for a in row]
        found += 1
    return found


def _cut(
    rays: list[tuple[Vector, int]], value: Callable[[Vector], int], bit: int, dimension: int
) -> list[tuple[Vector, int]]:
    """Rays of a cone cut by value ≥ 0; each ray carries the set of inequalities that it makes equalities."""
    tick()
    signed = [(ray, mask, value(ray)) for ray, mask in rays]
    kept = [(r, m | bit if v == 0 else m) for r, m, v in signed if v >= 0]
    above = [(r, m, v) for r, m, v in signed if v > 0]
    below = [(r, m, v) for r, m, v in signed if v < 0]
    masks = [m for _, m in rays]
    for r, m, v in above:
        tick()
        for s, n, w in below:
            common = m & n
            if common.bit_count() < dimension - 2:
                continue
            if sum(1 for mask in masks if mask & common == common) > 2:
                continue
            edge = primitive_vector([v * b - w * a for a, b in zip(r, s, strict=True)])
            kept.append((edge, common | bit))
    return kept


def _dual(rays: Sequence[Vector]) -> list[Vector]:
    """Rays of {c: ⟨c, r⟩ ≥ 0 for all rays r}."""
    dimension = len(rays[0])
    basis: list[Vector] = []
    for ray in rays:
        if rank([*basis, ray]) > len(basis):
            basis.append(ray)
    if len(basis) < dimension:
        raise ValueError("the rays do not span the space")
    inverse = solve_matrix(basis)
    every = (1 << dimension) - 1
    found = [(primitive_vector(column), every & ~(1 << i)) for i, column in enumerate(inverse)]
    others = [ray for ray in rays if ray not in basis]
    for k, ray in enumerate(others):
        found = _cut(found, partial(inner, ray), 1 << (dimension + k), dimension)
    return [c for c, _ in found]


def solve_matrix(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    """Columns of the inverse of a square matrix, each times a positive integer."""
    n = len(rows)
    work = [
        [Fraction(x) for x in row] + [Fraction(int(i == j)) for j in range(n)]
        for i, row in enumerate(rows)
    ]
    for column in range(n):
        pivot = next(i for i in range(column, n) if work[i][column])
        work[column], work[pivot] = work[pivot], work[column]
        p = work[column][column]
        work[column] = [a / p for a in work[column]]
        for i in range(n):
            if i != column and (q := work[i][column]):
                work[i] = [a - q * b for a, b in zip(work[i], work[column], strict=True)]
    columns = []
    for j in range(n):
        entries = [work[i][n + j] for i in range(n)]
        common = lcm(*(c.denominator for c in entries))
        columns.append([int(c * common) for c in entries])
    return columns


class NewtonPolyhedron:
    """Γ = conv(A) + C^∨ with its facet normals.

    Args:
        points: exponents A; those above another one are left out.
        cone: the directions C.
    """

    def __init__(self, points: Sequence[Vector], cone: Cone) -> None:
        self.cone = cone
        unique = sorted(set(points), key=lambda a: (sum(a), a))
        self.points: list[Vector] = []
        orthant = cone.is_orthant
        for a in unique:
            tick()
            if not any(_above(a, b, cone, orthant) for b in unique if b != a):
                self.points.append(a)
        self.normals = self._normals()  # (ω, N(ω))

    def _normals(self) -> list[tuple[Vector, int]]:
        cone, first = self.cone, self.points[0]
        dimension = len(first) + 1
        bits = [
            sum(1 << i for i, c in enumerate(cone.facets) if inner(c, ray) == 0)
            for ray in cone.rays
        ]
        size = len(cone.facets)
        rays = [
            (primitive_vector((*ray, inner(ray, first))), mask | 1 << size)
            for ray, mask in zip(cone.rays, bits, strict=True)
        ]
        rays.append(((0,) * (dimension - 1) + (-1,), (1 << size) - 1))
        for k, a in enumerate(self.points[1:]):
            rays = _cut(rays, partial(inner, (*a, -1)), 1 << (size + 1 + k), dimension)
            if len(rays) > _MOST_FACES:
                raise TooManyFacesError(f"more than {_MOST_FACES} facets")
        return [(ray[:-1], ray[-1]) for ray, _ in rays if any(ray[:-1])]

    def bounded_faces(self) -> list[Face]:
        """All compact faces, vertices first."""
        normals, points = self.normals, self.points
        size = len(points)
        recession = self.cone.facets
        masks = []
        for ray, least in normals:
            mask = sum(1 << i for i, a in enumerate(points) if inner(ray, a) == least)
            mask |= sum(1 << (size + j) for j, c in enumerate(recession) if inner(ray, c) == 0)
            masks.append(mask)
        inside = (1 << size) - 1
        whole = set(masks)
        frontier = list(whole)
        while frontier:
            fresh = []
            for mask in frontier:
                tick()
                for facet in masks:
                    part = mask & facet
                    if part & inside and part not in whole:
                        whole.add(part)
                        fresh.append(part)
            if len(whole) > _MOST_FACES:
                raise TooManyFacesError(f"more than {_MOST_FACES} faces")
            frontier = fresh
        faces = []
        for mask in whole:
            if mask >> size:
                continue
            on = tuple(a for i, a in enumerate(points) if mask >> i & 1)
            around = tuple(r for (r, _), m in zip(normals, masks, strict=True) if m & mask == mask)
            dimension = len(on[0]) - rank(around)
            faces.append(Face(on, around, dimension))
        if len(self.points[0]) == 0:
            return [Face(((),), (), 0)]
        return sorted(faces, key=lambda f: (f.dimension, f.points))


def _above(a: Vector, b: Vector, cone: Cone, orthant: bool) -> bool:
    """Whether a ∈ b + C^∨."""
    if orthant:
        return all(i >= j for i, j in zip(a, b, strict=True))
    return all(inner(ray, a) >= inner(ray, b) for ray in cone.rays)


def unimodular(differences: Sequence[Vector], dimension: int) -> tuple[list[list[int]], int]:
    """A unimodular U with D·U = [H 0], H of full column rank; returns its columns and that rank."""
    columns = [[int(i == j) for i in range(dimension)] for j in range(dimension)]
    done = 0
    for d in differences:
        while True:
            values = [(abs(v), j) for j in range(done, dimension) if (v := inner(d, columns[j]))]
            if not values:
                break
            _, best = min(values)
            pivot = inner(d, columns[best])
            for _, j in values:
                if j != best:
                    q = inner(d, columns[j]) // pivot
                    columns[j] = [a - q * b for a, b in zip(columns[j], columns[best], strict=True)]
            if len(values) == 1:
                columns[done], columns[best] = columns[best], columns[done]
                done += 1
                break
    return columns, done
