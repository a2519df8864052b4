"""A box cut by the signs of its variables, seen from an origin in it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

from singulab.exact import polynomial as po
from singulab.exact.checker.chart import Chart
from singulab.exact.checker.claim import Branch
from singulab.exact.checker.cone import axis, orthant
from singulab.exact.checker.sign import sign_at


def parts(told: Branch, c: Chart, said: Sequence[Any]) -> Iterator[tuple[Chart, Branch]]:
    """The chart of each part: variables near their origin are small, those above or below it are u."""
    n, trees = c.n, {tuple(p["signs"]): p for p in said}
    box = [[None if e is None else Fraction(e) for e in ends] for ends in told["box"]]
    origin = [Fraction(o) for o in told["origin"]]
    sides = [
        [0] + [1] * (high is None or high > o) + [-1] * (low is None or low < o)
        for (low, high), o in zip(box, origin, strict=True)
    ]
    for signs in product(*sides):
        near, far = ([i for i in range(n) if bool(signs[i]) == f] for f in (False, True))
        order = [*near, *far]
        below = [i for i in far if signs[i] < 0]
        conditions = tuple(
            {(0,) * n: reach.numerator, axis(order.index(i), n): -reach.denominator}
            for i in far
            if (end := box[i][signs[i] > 0]) is not None and (reach := abs(end - origin[i]))
        )
        part = replace(
            c,
            kinds="".join("x" if origin[i] in box[i] else "y" for i in near) + "u" * len(far),
            weights=tuple(c.weights[i] for i in near),
            walls=orthant(len(near)),
            gens=tuple(po.take(po.mirrored(g, below), order) for g in c.gens),
            conditions=conditions,
        )
        tree = trees[signs]
        point = [Fraction(x) for x in tree.get("witness", ())]
        real = len(point) == len(far) and all(x > 0 for x in point)
        real = real and all(sign_at(part, q, point) > 0 for q in conditions)
        yield replace(part, real=real), tree["tree"]
