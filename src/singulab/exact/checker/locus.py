"""Where the forms of a face vanish: nowhere, smoothly, or at zeros of factors, each with a chart of its own."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

from singulab.exact import polynomial as po
from singulab.exact.checker.chart import NEVER, Chart, Known
from singulab.exact.checker.child import child
from singulab.exact.checker.claim import Branch, demand
from singulab.exact.checker.cone import axis
from singulab.exact.checker.face import Face, Torus, forms, torus
from singulab.exact.checker.polyhedron import best
from singulab.exact.checker.sign import (
    nonzero,
    normal,
    rational,
    sign_at,
    univariate,
    vanishes_nowhere,
)
from singulab.exact.polynomial import Polynomial

Goal = Known | tuple[Chart, Branch]  # known, or to be found in a chart


def goals(face: Face, said: Branch) -> Iterator[Goal]:
    """What bounds the neighbourhood of the common zeros of the forms; nothing if there are none."""
    at = torus(face, said)
    found = forms(face, at)
    if "none" in said:
        vanishes_nowhere(at.chart, found, said["none"])
    elif "smooth" in said:
        yield smooth(face, at, found, said)
    else:
        yield from zeros(face, at, found, found[said["form"]], said["factors"])


def smooth(face: Face, at: Torus, found: Sequence[Polynomial], said: Branch) -> Known:
    """Forms with independent differentials are coordinates v, and the ideal contains x^κ·v."""
    c, chosen = face.c, [found[i] for i in said["smooth"]]
    table = [[po.derivative(f, j) for j in at.chart.units] for f in chosen]
    minors = [
        po.determinant([[row[j] for j in js] for row in table])
        for js in combinations(range(len(at.chart.units)), len(chosen))
    ]
    vanishes_nowhere(at.chart, [*found, *minors], said["proof"])
    ratios = [
        (Fraction(po.inner(r, c.weights)) / t, (*r, 0))
        for r in face.rays
        if (t := po.inner(r, face.points[0]))
    ]
    value = best([*ratios, (Fraction(len(chosen)), axis(c.n, c.n + 1))], c.offset)
    signs = set()
    for told in said.get("between", ()):
        point = [Fraction(x) for x in told]
        if min(point) > 0 and all(sign_at(at.chart, q, point) > 0 for q in at.chart.conditions):
            signs.add(sign_at(at.chart, chosen[0], point))
    # between two points of a convex set where a form has both signs it has a zero
    convex = c.root is None and all(sum(a) <= 1 for q in at.chart.conditions for a in q)
    exact = len(chosen) == len(found) == 1 and signs >= {1, -1} and c.real and convex
    return Known(value, value if exact else NEVER)


def zeros(
    face: Face, at: Torus, found: Sequence[Polynomial], form: Polynomial, said: Any
) -> Iterator[Goal]:
    """Charts for where a form and the others vanish, factor by factor of the form."""
    length = len(at.chart.kinds)
    whole = po.constant(1, length)
    for f in said:
        p = po.from_json(f["factor"])
        whole = po.multiply(whole, po.power(p, f["power"], length))
        if "none" in f:
            vanishes_nowhere(at.chart, [*found, p], f["none"])
        elif "solve" in f:
            parts = po.coefficients(p, f["solve"])
            linear = set(parts) == {0, 1} and at.chart.kinds[f["solve"]] == "u"
            demand(linear, "a factor is not linear")
            yield child(face, at, f["solve"], po.scale(parts[0], -1), parts[1], None, f)
            both = [*found, p, parts[1], parts[0]]  # where the divisor vanishes too
            if "none" in f.get("rest", ()):
                vanishes_nowhere(at.chart, both, f["rest"]["none"])
            elif "rest" in f:
                yield from zeros(face, at, both, parts[1], f["rest"]["factors"])
            else:
                demand(nonzero(at.chart, parts[1]), "a divisor may vanish")
        elif "roots" in f:
            yield from roots(face, at, p, f["variable"], f["roots"])
        else:
            demand(nonzero(at.chart, p), "a factor is left out")
    number = po.variable(length - 1, length) if at.chart.root else {}
    powers = range(1 + po.degree(form, length - 1) if at.chart.root else 1)
    same = (po.multiply(whole, po.power(number, k, length)) for k in powers)
    told = any(normal(at.chart, p) == normal(at.chart, form) for p in same)
    demand(told, "the factors are not those of the form")


def roots(face: Face, at: Torus, p: Polynomial, j: int, said: Any) -> Iterator[Goal]:
    """A chart at each positive root of an irreducible polynomial in u_j alone."""
    single = po.occurring(p) == {j} and at.chart.root is None and at.chart.kinds[j] == "u"
    demand(single, "no polynomial in one u")
    powers = {a[j]: x for a, x in p.items()}
    top = max(powers)
    a, turn = abs(powers[top]), 1 if powers[top] > 0 else -1  # a·u_j is an algebraic integer
    relation = [powers.get(e, 0) * turn * a ** (top - 1 - e) for e in range(top)] + [1]
    poly = univariate(relation)
    ends = [(Fraction(r["low"]) * a, Fraction(r["high"]) * a) for r in said]
    demand(poly.is_irreducible and poly.count_roots(0) == len(ends), "not all roots are listed")
    alone = all(0 < x < y and poly.count_roots(rational(x), rational(y)) == 1 for x, y in ends)
    demand(alone, "an interval does not isolate a root")
    demand(all(x[1] < y[0] for x, y in pairwise(ends)), "intervals meet")
    for end, r in zip(ends, said, strict=True):
        scale = po.constant(a, len(at.chart.kinds))
        yield child(face, at, j, {}, scale, (relation, *end), r)
