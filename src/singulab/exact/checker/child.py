"""The chart at a zero of a factor on a face."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from singulab.exact import polynomial as po
from singulab.exact.checker.chart import NEVER, Chart, Known
from singulab.exact.checker.claim import Branch, demand
from singulab.exact.checker.cone import axis, irredundant, less
from singulab.exact.checker.face import Face, Torus, turned
from singulab.exact.checker.sign import one_sign, reduced, sign_at
from singulab.exact.polynomial import Polynomial


def child(
    face: Face, at: Torus, j: int, top: Polynomial, bottom: Polynomial, root: Any, said: Branch
) -> Known | tuple[Chart, Branch]:
    """The chart where y = bottom·u_j − top is small; with a root, top is that number.

    Its variables are y, what is kept, x along the face, the other u, and the number.
    """
    c, old, along = face.c, at.chart, at.along
    size, pad = 1 + len(along), (0,) * (root is not None)
    length = size + len(old.kinds) + len(pad)  # u_j comes first until it is replaced

    def lift(p: Polynomial) -> Polynomial:
        return {(a[j], *(0,) * size, *a[:j], *a[j + 1 :], *pad): x for a, x in p.items()}

    limit, below = lift(top) if root is None else po.variable(length - 1, length), lift(bottom)
    number = po.add(po.variable(1, length), limit)
    gens = []
    for g in face.gens:
        flat: Polynomial = {}
        for a, t in turned(face, at, list(g)):
            powers = (po.inner(a[: c.n], b) for b in along)
            flat[(t[j], 0, *powers, *t[:j], *t[j + 1 :], *pad)] = g[a]
        gens.append({a[1:]: x for a, x in po.substitute(flat, 0, number, below).items()})
    kinds = old.kinds[:j] + old.kinds[j + 1 :] + "c" * len(pad)
    new = replace(
        c,
        kinds="y" * (1 + len(face.kept)) + "x" * (len(along) - len(face.kept)) + kinds,
        weights=(Fraction(1), *(Fraction(po.inner(b, c.weights)) for b in along)),
        walls=walls(face, at),
        gens=tuple(gens),
        tails=tuple(frozenset((0, *(po.inner(a, b) for b in along)) for a in t) for t in c.tails),
        root=root or c.root,
    )
    conditions = [] if root else [po.multiply(limit, below)]  # u_j > 0
    for q in old.conditions:
        there = po.substitute(lift(q), 0, limit, below)
        conditions.append(po.multiply(there, below) if po.degree(q, j) % 2 else there)
    bare = tuple(reduced(new, {a[1:]: x for a, x in q.items()}) for q in conditions)
    factors = tuple(po.from_json(q) for q in said.get("nonzero", ()))
    parts = all(any(po.divide(q, f) is not None for q in bare) for f in factors)
    demand(parts, "a factor of no condition")
    if said["child"] == {"end": "empty"}:
        demand(any(not q or one_sign(new, q) < 0 for q in bare), "a chart is not empty")
        return Known(NEVER, NEVER)
    real = "witness" in said
    if real:
        demand_point(new, [Fraction(x) for x in said["witness"]], bare)
    return replace(new, conditions=bare, factors=factors, real=real), said["child"]


def walls(face: Face, at: Torus) -> tuple[tuple[int, ...], ...]:
    """The cone along the normal cone of the face: y is small, and so is what lies above the face."""
    c, size = face.c, 1 + len(at.along)
    exponents = {a[: c.n] for g in c.gens for a in g}.union(*c.tails)
    above = [less(a, face.points[0]) for a in exponents]
    found = {(0, *(po.inner(w, b) for b in at.along)) for w in (*c.walls, *above)}
    return irredundant(found - {(0,) * size} | {axis(0, size)}, size)


def demand_point(c: Chart, point: Sequence[Fraction], conditions: Sequence[Polynomial]) -> None:
    """The point is one of the chart."""
    positive = all(x > 0 for x in point) and len(point) == len(c.units)
    demand(positive, "a witness that is not positive")
    met = all(sign_at(c, q, point) > 0 for q in conditions)
    demand(met, "a witness against a condition")
