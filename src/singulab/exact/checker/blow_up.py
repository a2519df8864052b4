"""A group of variables blown up at once: w_i = t and w_j = t·w_j′ for the others, one chart for each i."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from singulab.exact.checker.chart import Chart
from singulab.exact.checker.claim import Branch, demand
from singulab.exact.checker.cone import orthant
from singulab.exact.checker.generator import tidy
from singulab.exact.checker.sign import normal
from singulab.exact.polynomial import inner, take


def blown_up(c: Chart, branch: Branch, steps: Any) -> Iterator[tuple[Chart, Branch]]:
    """All charts but those that a symmetry carries into one that is told; ``steps`` makes the steps of one."""
    group, charts = branch["group"], {chart["index"]: chart for chart in branch["charts"]}
    plain = set(c.kinds) == {"y"} and not any(c.tails)
    demand(plain, "only small variables of both signs are blown up")
    demand(all(c.coordinate(v) for v in group), "a prior on a group")
    for _, i, images in branch["same"]:
        demand(i in charts, "no permutation to a chart")
        symmetry(c, group, images)
    carried = {j for j, i, images in branch["same"] if images[i] == j}
    demand(len(carried) == len(branch["same"]), "no permutation to a chart")
    demand(set(group) <= {*charts, *carried}, "a chart of a blow-up is missing")
    demand(set(charts) <= set(group), "a chart of no variable of the group")
    for i, chart in charts.items():
        yield settled(steps(tidy(chart_of(c, group, i)), chart["steps"]), chart), chart["child"]


def symmetry(c: Chart, group: list[int], images: list[int]) -> None:
    """The permutation keeps the group, the prior and the ideal."""
    demand(sorted(images) == list(range(c.n)), "no permutation to a chart")
    demand({images[v] for v in group} == set(group), "a permutation leaves the group")
    alike = all(c.weights[v] == c.weights[w] for v, w in enumerate(images))
    demand(alike, "a permutation changes the prior")
    inverse = sorted(range(c.n), key=lambda v: images[v])
    old, new = (
        {frozenset(normal(c, g).items()) for g in gens}
        for gens in (c.gens, [take(g, inverse) for g in c.gens])
    )
    demand(new == old, "a permutation changes the ideal")


def chart_of(c: Chart, group: list[int], i: int) -> Chart:
    """The chart where w_i is the small one; the others of the group come last and are free."""
    others = [v for v in group if v != i]
    stay = [v for v in range(c.n) if v not in others]

    def image(a: tuple[int, ...]) -> tuple[int, ...]:
        front = (sum(a[v] for v in group) if s == i else a[s] for s in stay)
        return (*front, *(a[v] for v in others))

    return replace(
        c,
        kinds="y" * len(stay) + "f" * len(others),
        weights=tuple(Fraction(len(group)) if s == i else c.weights[s] for s in stay),
        walls=orthant(len(stay)),
        gens=tuple({image(a): x for a, x in g.items()} for g in c.gens),
    )


def settled(c: Chart, told: Branch) -> Chart:
    """The chart with its free variables small: a scaling that keeps the ideal moves every point there."""
    scaling, size = told["weights"], len(c.kinds)
    alike = all(len({inner(scaling, a) for a in g}) == 1 for g in c.gens)
    demand(alike, "generators do not scale")
    towards = all(w > 0 for w, kind in zip(scaling, c.kinds, strict=True) if kind == "f")
    demand(towards, "scaling leads away")
    demand(not any(c.tails) and set(c.kinds) <= {"y", "f"}, "a chart of a blow-up has tails")
    weights = (*c.weights, *(Fraction(1),) * (size - c.n))
    return replace(c, kinds="y" * size, weights=weights, walls=orthant(size))
