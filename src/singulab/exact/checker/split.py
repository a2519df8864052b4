"""An ideal in separate groups of variables: λ adds, and so does m − 1."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from singulab.exact.checker.chart import NEVER, Bounds, Chart
from singulab.exact.checker.claim import Branch, demand
from singulab.exact.checker.generator import kept
from singulab.exact.polynomial import occurring


def parts(c: Chart, branches: Sequence[Branch]) -> Iterator[tuple[Chart, Branch]]:
    """A chart for each group that walls and generators tie together, in the order of first variables."""
    demand(not c.units and not any(c.tails), "a chart with u or tails does not split")
    links = [{i for i in occurring(g) if i < c.n} for g in c.gens]
    groups: list[set[int]] = [{v} for v in range(c.n)]
    for link in [*links, *({i for i, e in enumerate(w) if e} for w in c.walls)]:
        demand(link, "a generator without variables")
        apart = [g for g in groups if not g & link]
        groups = [*apart, link.union(*(g for g in groups if g & link))]
    demand(len(groups) == len(branches), "the variables fall into other groups")
    for group, branch in zip(sorted(map(sorted, groups)), branches, strict=True):
        mine = [i for i, link in enumerate(links) if link <= set(group)]
        part = replace(
            c, gens=tuple(c.gens[i] for i in mine), tails=tuple(c.tails[i] for i in mine)
        )
        yield replace(kept(part, [*group, *range(c.n, len(c.kinds))]), offset=Fraction(0)), branch


def together(c: Chart, found: Sequence[Bounds]) -> Bounds:
    """The pair of a sum of ideals in separate variables."""
    low, high = (
        (c.offset + sum(p[0] for p in pairs), sum(p[1] for p in pairs) + len(pairs) - 1)
        for pairs in zip(*found, strict=True)
    )
    return low, NEVER if any(f[1] == NEVER for f in found) else high
