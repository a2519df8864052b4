"""Generators of a chart up to units, and which monomial each of them is."""

from collections.abc import Sequence
from dataclasses import replace

from singulab.exact.checker.chart import Chart
from singulab.exact.checker.cone import Vector, less
from singulab.exact.checker.sign import nonzero, normal
from singulab.exact.polynomial import Polynomial, take


def tidy(c: Chart) -> Chart:
    """Generators up to units, without zeros, repetitions and what their tails contain."""
    gens: list[Polynomial] = []
    tails = []
    for g, t in zip(c.gens, c.tails, strict=True):
        tail = least(c, t)
        p = normal(c, {a: v for a, v in g.items() if not above(c, a[: c.n], tail)})
        if tail or (p and p not in gens):
            gens.append(p)
            tails.append(tail)
    return replace(c, gens=tuple(gens), tails=tuple(tails))


def least(c: Chart, t: frozenset[Vector]) -> frozenset[Vector]:
    """The exponents that are above no other one."""
    return frozenset(a for a in t if not above(c, a, t - {a}))


def above(c: Chart, a: Vector, others: frozenset[Vector]) -> bool:
    """Whether one of some monomials bounds w^a."""
    return any(c.bounded(less(a, t)) for t in others)


def lead(c: Chart, i: int) -> Vector | None:
    """The monomial that generator i is up to a unit."""
    terms = {a[: c.n] for a in c.gens[i]}
    for m in terms:
        others = (terms | c.tails[i]) - {m}
        if m not in c.tails[i] and all(c.bounded(less(a, m)) for a in others):
            part = {a: v for a, v in c.gens[i].items() if a[: c.n] == m}
            return m if nonzero(c, part) else None
    return None


def leads(c: Chart, but: int | None = None) -> list[Vector]:
    """The monomials of all generators that are one, one of them perhaps left out."""
    found = (lead(c, i) for i in range(len(c.gens)) if i != but)
    return [m for m in found if m is not None]


def kept(c: Chart, places: Sequence[int]) -> Chart:
    """The chart with these of its variables alone, in this order, small ones first."""
    small = [i for i in places if i < c.n]
    return replace(
        c,
        kinds="".join(c.kinds[i] for i in places),
        weights=tuple(c.weights[i] for i in small),
        walls=tuple(w for old in c.walls if any(w := tuple(old[i] for i in small))),
        gens=tuple(take(g, places) for g in c.gens),
        tails=tuple(frozenset(tuple(a[i] for i in small) for a in t) for t in c.tails),
        conditions=tuple(take(q, places) for q in c.conditions),
        factors=tuple(take(q, places) for q in c.factors),
    )


def without(c: Chart, v: int) -> Chart:
    """The chart without a variable that stands apart from the others."""
    return kept(c, [i for i in range(len(c.kinds)) if i != v])
