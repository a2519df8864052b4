"""A closed box cut by the signs of its variables, seen from an origin in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice, product
from typing import Any

from singulab.exact import polynomial as po
from singulab.exact.checker.chart import Chart
from singulab.exact.checker.claim import Branch, demand
from singulab.exact.checker.cone import axis, orthant
from singulab.exact.checker.sign import sign_at


def parts(told: Branch, c: Chart, said: Sequence[Any]) -> Iterator[tuple[Chart, Branch, bool]]:
    """The chart of each part, its tree, and whether its zeros are zeros in the box.

    By its sign a variable is small at its origin (0), u between that and a far end (±1), or small at this far end
    (±2). In the place of all far ends beside a part one chart may stand in which its u have no end: one side of a
    point has no more volume than both, whatever sign K has there. It bounds from below only.
    """
    trees = {tuple(p["signs"]): p for p in said}
    box = [[None if e is None else Fraction(e) for e in ends] for ends in told["box"]]
    origin = [Fraction(o) for o in told["origin"]]
    demand(len(box) == len(origin) == c.n, "no box is given")
    sides = []
    for (low, high), o in zip(box, origin, strict=True):
        inside = (low is None or low <= o) and (high is None or o <= high)
        demand(inside, "an origin outside of its box")
        sides.append([0] + [1] * (high is None or high > o) + [-1] * (low is None or low < o))
    for signs in product(*sides):
        yield part(c, box, origin, signs, trees)
        ends = [[s, 2 * s] if s and box[i][s > 0] is not None else [s] for i, s in enumerate(signs)]
        if "beyond" in trees[signs]:
            wide, _, _ = part(c, box, origin, signs, trees)
            chart = replace(wide, conditions=(), real=False, principal=False)
            yield chart, trees[signs]["beyond"], False
            continue
        for face in islice(product(*ends), 1, None):
            yield part(c, box, origin, face, trees)


def part(
    c: Chart,
    box: Sequence[Sequence[Fraction | None]],
    origin: Sequence[Fraction],
    signs: tuple[int, ...],
    trees: Mapping[tuple[int, ...], Branch],
) -> tuple[Chart, Branch, bool]:
    """One part."""
    demand(signs in trees, f"nothing is said of the part {list(signs)} of the box")
    tree, n = trees[signs], c.n
    near, far = ([i for i in range(n) if (abs(signs[i]) == 1) == f] for f in (False, True))
    order = [*near, *far]
    gens = [po.mirrored(g, [i for i in range(n) if signs[i] < 0]) for g in c.gens]
    conditions = []
    for i, s in enumerate(signs):
        end = box[i][s > 0] if s else None
        if end is None:
            continue
        reach = abs(end - origin[i])
        left = {(0,) * n: reach.numerator, axis(i, n): -reach.denominator}
        if abs(s) == 1:
            conditions.append(po.take(left, order))
        else:
            gens = [po.substitute(g, i, left, po.constant(reach.denominator, n)) for g in gens]
    chart = replace(
        c,
        kinds="".join("x" if signs[i] or origin[i] in box[i] else "y" for i in near)
        + "u" * len(far),
        weights=tuple(Fraction(1) if signs[i] else c.weights[i] for i in near),
        walls=orthant(len(near)),
        gens=tuple(po.take(g, order) for g in gens),
        conditions=tuple(conditions),
    )
    point = [Fraction(x) for x in tree.get("witness", ())]
    real = len(point) == len(far) and all(x > 0 for x in point)
    real = real and all(sign_at(chart, q, point) > 0 for q in conditions)
    return replace(chart, real=real), tree["tree"], True
