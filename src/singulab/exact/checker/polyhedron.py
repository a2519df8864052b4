"""Newton polyhedra: facet normals, all compact faces, and the pair that they say."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from singulab.exact.checker.chart import NEVER, Chart, Pair
from singulab.exact.checker.cone import Vector, cone_rays, rank
from singulab.exact.polynomial import inner

Normals = list[tuple[Vector, int]]  # ω and N(ω)


def normals(c: Chart, points: Sequence[Vector]) -> Normals:
    """Facet normals ω of conv(points) + C^∨ with N(ω): rays of {(ω, t): ω ∈ C, t ≤ ⟨ω, a⟩}."""
    system = [(*w, 0) for w in c.walls] + [(*a, -1) for a in points]
    return [(r[:-1], r[-1]) for r in cone_rays(tuple(system), c.n + 1) if any(r[:-1])]


def best(ratios: Sequence[tuple[Fraction, Vector]], offset: Fraction) -> Pair:
    """The least of some ratios, plus an offset, and minus the rank of the rays that have it."""
    if not ratios:
        return NEVER
    value = min(r for r, _ in ratios)
    return value + offset, -rank([v for r, v in ratios if r == value])


def pair(c: Chart, around: Normals) -> Pair:
    """The Newton pair."""
    ratios = [(Fraction(inner(r, c.weights)) / t, r) for r, t in around if t > 0]
    return best(ratios, c.offset)


def faces(
    c: Chart, points: Sequence[Vector], around: Normals
) -> Iterator[tuple[tuple[Vector, ...], list[Vector]]]:
    """All compact faces, as their points, each with the normals of the facets around it."""
    if c.n == 0:
        yield ((),), []
        return
    sides = [
        frozenset(
            [("point", a) for a in points if inner(r, a) == t]
            + [("direction", w) for w in c.walls if inner(r, w) == 0]
        )
        for r, t in around
    ]
    known, fresh = set(sides), set(sides)
    while fresh:
        fresh = {s & side for s in fresh for side in sides} - known
        known |= fresh
    for s in known:
        if s and all(kind == "point" for kind, _ in s):
            inside = [r for (r, _), side in zip(around, sides, strict=True) if s <= side]
            yield tuple(sorted(a for _, a in s)), inside
