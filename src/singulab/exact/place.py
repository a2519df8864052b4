"""A compact face with a pattern of signs, in coordinates of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import gcd

from singulab.exact.cone import Cone, Face, Vector, unimodular
from singulab.exact.node import Node
from singulab.exact.polynomial import Polynomial, inner, mirrored


@dataclass(frozen=True)
class Axes:
    """Coordinates along and across the normal cone of a face.

    Every exponent a of the small variables becomes (kept, beta, gamma): powers of the y that stay, of the
    new small x and of the torus coordinates.
    """

    kept: tuple[int, ...]
    beta: tuple[Vector, ...]
    gamma: tuple[Vector, ...]
    roots: tuple[
        int, ...
    ]  # powers by which the torus coordinates are divided: all generators have only these
    cone: Cone  # of (kept, x)

    def across(self, exponents: Sequence[Vector]) -> list[list[int]]:
        """Powers of the torus coordinates in the terms of a polynomial, the least of each being 0."""
        columns = []
        for g, root in zip(self.gamma, self.roots, strict=True):
            powers = [inner(a, g) for a in exponents]
            low = min(powers)
            columns.append([(p - low) // root for p in powers])
        return (
            [list(row) for row in zip(*columns, strict=True)]
            if columns
            else [[] for _ in exponents]
        )


@dataclass(frozen=True)
class Place:
    """Where the forms of a face may have a common zero."""

    node: Node
    face: Face
    signs: tuple[int, ...]
    signed: list[Polynomial]  # the generators with these signs
    forms: list[Polynomial]  # on the torus
    torus: Node
    axes: Axes


def places(node: Node, face: Face) -> Iterator["Place"]:
    """Signs for which it is not plain that the face forms have no common zero, one of each kind."""
    n = node.small
    on = set(face.points)
    known = [not node.tail(i) & on for i in range(len(node.generators))]
    parts = [
        {a: c for a, c in g.items() if a[:n] in on} if sure else {}
        for g, sure in zip(node.generators, known, strict=True)
    ]
    if any(len({a[:n] for a in p}) == 1 and node.nonzero(p) for p in parts if p):
        return
    axes = coordinates(node, face)
    seen = []
    for signs in sign_patterns(node, axes):
        signed = [mirrored(g, [i for i, s in enumerate(signs) if s < 0]) for g in node.generators]
        shape = [node.normal(g) for g in signed]
        if shape in seen:
            continue
        seen.append(shape)
        torus = torus_of(node, axes)
        forms = [
            torus.normal(
                in_torus(node, axes, {a: c for a, c in g.items() if a[:n] in on} if sure else {})
            )
            for g, sure in zip(signed, known, strict=True)
        ]
        if any(torus.nonzero(f) for f in forms if f):
            continue
        yield Place(node, face, signs, signed, forms, torus, axes)


def coordinates(node: Node, face: Face) -> Axes:
    """The coordinates of a face."""
    n = node.small
    kept = tuple(
        v
        for v in range(n)
        if node.kinds[v] == "y"
        and any(r[v] for r in face.normals)
        and all(not r[v] or not any(e for i, e in enumerate(r) if i != v) for r in face.normals)
    )
    free = [i for i in range(n) if i not in kept]
    first = face.points[0]
    differences = [tuple(a[i] - first[i] for i in free) for a in face.points[1:]]
    columns, across = unimodular(differences, len(free))

    def full(column: Sequence[int]) -> Vector:
        vector = [0] * n
        for i, value in zip(free, column, strict=True):
            vector[i] = value
        return tuple(vector)

    gamma = tuple(full(c) for c in columns[:across])
    roots = tuple(common_power(node, g) for g in gamma)
    rays = [r for r in face.normals if not any(r[v] for v in kept)]
    along = len(free) - across
    units = [tuple(int(i == j) for j in range(len(kept) + along)) for i in range(len(kept))]
    if len(rays) == along:
        return Axes(kept, tuple(rays), gamma, roots, Cone.orthant(len(kept) + along))
    basis = [columns[across + k] for k in range(along)]
    inside = [_in_basis([r[i] for i in free], basis) for r in rays]
    part = Cone.of_rays(inside)
    wide = (0,) * len(kept)
    cone = Cone(
        (*units, *((*wide, *r) for r in part.rays)), (*units, *((*wide, *c) for c in part.facets))
    )
    return Axes(kept, tuple(full(c) for c in basis), gamma, roots, cone)


def common_power(node: Node, direction: Vector) -> int:
    """The greatest k of which all powers of a torus coordinate are multiples, in each generator up to a factor."""
    found = 0
    for g in node.generators:
        if g:
            first = inner(next(iter(g))[: node.small], direction)
            found = gcd(found, *(inner(a[: node.small], direction) - first for a in g))
    return found or 1


def _in_basis(vector: Sequence[int], basis: Sequence[Sequence[int]]) -> Vector:
    """Integer coordinates in a basis of a saturated lattice."""
    size = len(basis)
    rows = [[Fraction(b[i]) for b in basis] + [Fraction(vector[i])] for i in range(len(vector))]
    for column in range(size):
        pivot = next(i for i in range(column, len(rows)) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        p = rows[column][column]
        rows[column] = [x / p for x in rows[column]]
        for i in range(len(rows)):
            if i != column and (q := rows[i][column]):
                rows[i] = [x - q * y for x, y in zip(rows[i], rows[column], strict=True)]
    return tuple(int(rows[i][size]) for i in range(size))


def sign_patterns(node: Node, axes: Axes) -> Iterator[tuple[int, ...]]:
    """Signs of the y that do not stay; those with even powers only need one."""
    n = node.small
    choices = []
    for v in range(n):
        odd = any(a[v] % 2 for g in node.generators for a in g)
        choices.append((1, -1) if node.kinds[v] == "y" and v not in axes.kept and odd else (1,))
    return product(*choices)


def torus_of(node: Node, axes: Axes) -> Node:
    """The torus of a face: its coordinates, then the u and c of the chart; conditions carried over."""
    across, units = len(axes.gamma), node.kinds[node.small :]
    n = node.small
    conditions = tuple({(0,) * across + a[n:]: c for a, c in q.items()} for q in node.conditions)
    return Node(
        kinds="u" * across + units,
        weights=(),
        cone=Cone((), ()),
        generators=(),
        conditions=conditions,
        factors=tuple({(0,) * across + a[n:]: c for a, c in q.items()} for q in node.factors),
        root=node.root,
        witness=None,
    )


def in_torus(node: Node, axes: Axes, p: Polynomial) -> Polynomial:
    """A face form in torus coordinates, times a monomial so that its powers are not negative."""
    n = node.small
    powers = axes.across([a[:n] for a in p]) if p else []
    return {(*t, *a[n:]): c for t, (a, c) in zip(powers, p.items(), strict=True)}
