"""Steps that change generators and coordinates of a chart, but neither λ nor m of its ideal.

Each step is a list whose head is its name; a checker replays it from the old chart alone:

    ["mix", T]           new generators Σ_j T[i][j] f_j, T an invertible integer matrix
    ["drop", i, terms]   terms of f_i that a monomial generator bounds are left out
    ["solve", i, v]      f_i = M·(A·v + B) with a unit A and a small B: f_i/M becomes the coordinate v; where
                         M = 1 the coordinate leaves the chart and adds its weight to the offset. A may
                         contain v if no other generator does
    ["free", v]          a variable that no generator contains leaves the chart
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import gcd
from typing import Any

from singulab.exact.cone import Cone
from singulab.exact.deadline import Deadline
from singulab.exact.node import Node
from singulab.exact.polynomial import (
    Polynomial,
    TooLargeError,
    coefficients,
    degree,
    shift,
    substitute,
    take,
    variable,
)

_LONGEST = 400  # terms of a generator after a coordinate was solved for


def simplified(node: Node, deadline: Deadline) -> tuple[Node, list[Any]]:
    """The chart after all steps that apply, and the steps."""
    steps: list[Any] = []
    node = tidy(node)
    for _ in range(10 * (1 + node.small + len(node.generators))):
        deadline.check()
        before = len(steps)
        for rule in (_drop, _mix, _solve, _free):
            found = rule(node)
            if found is not None:
                step, node = found
                node = tidy(node)
                steps.append(step)
                if rule is not _mix:
                    break
        if len(steps) == before:
            break
    return node, steps


def tidy(node: Node) -> Node:
    """Generators up to units, without zeros and repetitions."""
    generators = []
    for g in node.generators:
        p = node.normal(g)
        if p and p not in generators:
            generators.append(p)
    return replace(node, generators=tuple(generators))


def product_direction(node: Node, v: int) -> bool:
    """Whether the cone is a product with the half-line of the variable v."""
    found = False
    for ray in node.cone.rays:
        if ray[v]:
            if any(e for i, e in enumerate(ray) if i != v):
                return False
            found = True
    return found


def without(node: Node, v: int, generators: Sequence[Polynomial]) -> Node:
    """The chart without a small variable that occurs nowhere any more."""
    keep = [i for i in range(len(node.kinds)) if i != v]
    small = [i for i in keep if i < node.small]

    def part(vectors: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(r[i] for i in small) for r in vectors if not r[v])

    return replace(
        node,
        kinds="".join(node.kinds[i] for i in keep),
        weights=tuple(node.weights[i] for i in small),
        cone=Cone(part(node.cone.rays), part(node.cone.facets)),
        generators=tuple(take(g, keep) for g in generators),
        conditions=tuple(take(c, keep) for c in node.conditions),
    )


def _drop(node: Node) -> tuple[Any, Node] | None:
    n = node.small
    monomials = []
    for i, g in enumerate(node.generators):
        if len({a[:n] for a in g}) == 1 and node.one_sign(g):
            monomials.append((i, next(iter(g))[:n]))
    for i, g in enumerate(node.generators):
        over = set()
        for a in {a[:n] for a in g}:
            for j, m in monomials:
                if i != j and node.cone.bounds([e - f for e, f in zip(a, m, strict=True)]):
                    same = all(e == f for e, f in zip(a, m, strict=True))
                    if not (same and any(k == i for k, _ in monomials) and j > i):
                        over.add(a)
                        break
        if over:
            rest = {a: c for a, c in g.items() if a[:n] not in over}
            generators = (*node.generators[:i], rest, *node.generators[i + 1 :])
            return ["drop", i, sorted(map(list, over))], replace(node, generators=generators)
    return None


def _mix(node: Node) -> tuple[Any, Node] | None:
    """Row reduction over the rationals, monomials of low degree first."""
    count, n = len(node.generators), node.small
    if count < 2 or sum(map(len, node.generators)) > 2000:
        return None
    columns = sorted({a for g in node.generators for a in g}, key=lambda a: (sum(a[:n]), a))
    rows = [
        ([Fraction(g.get(a, 0)) for a in columns], [Fraction(int(i == k)) for k in range(count)])
        for i, g in enumerate(node.generators)
    ]
    done = 0
    for column in range(len(columns)):
        pivot = next((i for i in range(done, count) if rows[i][0][column]), None)
        if pivot is None:
            continue
        rows[done], rows[pivot] = rows[pivot], rows[done]
        p = rows[done][0][column]
        for i in range(count):
            if i != done and (q := rows[i][0][column]):
                rows[i] = tuple(  # type: ignore[assignment]
                    [x - q / p * y for x, y in zip(a, b, strict=True)]
                    for a, b in zip(rows[i], rows[done], strict=True)
                )
        done += 1
        if done == count:
            break
    matrix = [_integers(row[1]) for row in rows]
    if all(sum(map(bool, row)) == 1 for row in matrix):
        return None
    generators = tuple(mixed(node, row) for row in matrix)
    if sum(map(len, generators)) > sum(map(len, node.generators)) and not _linear(node):
        return None
    return ["mix", matrix], replace(node, generators=generators)


def _linear(node: Node) -> bool:
    return sum(any(sum(a[: node.small]) == 1 for a in g) for g in node.generators) > 1


def mixed(node: Node, row: Sequence[int]) -> Polynomial:
    """Σ_j row[j]·f_j."""
    total: Polynomial = {}
    for factor, g in zip(row, node.generators, strict=True):
        for a, c in g.items():
            total[a] = total.get(a, 0) + factor * c
    return {a: c for a, c in total.items() if c}


def _integers(row: Sequence[Fraction]) -> list[int]:
    common = 1
    for x in row:
        common = common * x.denominator // gcd(common, x.denominator)
    numbers = [int(x * common) for x in row]
    divisor = gcd(*numbers) or 1
    return [x // divisor for x in numbers]


def _solve(node: Node) -> tuple[Any, Node] | None:
    candidates = []
    for v in range(node.small):
        if node.kinds[v] != "y" or node.weights[v] != 1:
            continue
        for i, g in enumerate(node.generators):
            split = linear_in(node, g, v)
            others = [coefficients(f, v) for k, f in enumerate(node.generators) if k != i]
            if split is None or (degree(g, v) > 1 and any(set(parts) > {0} for parts in others)):
                continue
            monomial, unit, rest = split
            if any(monomial) and not rest and len(unit) == 1:
                continue
            cost = sum(sum(len(c) * len(rest or [1]) ** e for e, c in parts.items()) for parts in others)
            candidates.append((any(monomial), len(unit) > 1, cost, i, v))
    for _, _, _, i, v in sorted(candidates):
        try:
            return ["solve", i, v], solved(node, i, v)
        except TooLargeError:
            continue
    return None


def linear_in(
    node: Node, g: Polynomial, v: int
) -> tuple[tuple[int, ...], Polynomial, Polynomial] | None:
    """Exponents of M, and A and B, with g = M·(A·v + B), A a unit and B small; None if there are none.

    A may contain v.
    """
    n = node.small
    rest = {a: c for a, c in g.items() if not a[v]}
    slope = {(*a[:v], a[v] - 1, *a[v + 1 :]): c for a, c in g.items() if a[v]}
    by_small: dict[tuple[int, ...], Polynomial] = {}
    for a, c in slope.items():
        by_small.setdefault(a[:n], {})[a] = c
    for m, lead in by_small.items():
        if m[v] or not node.one_sign(lead):
            continue
        others = [a for a in by_small if a != m] + [a[:n] for a in rest]
        if any(a == m for a in others):
            continue
        if all(node.cone.bounds([e - f for e, f in zip(a, m, strict=True)]) for a in others):
            down = [-e for e in m] + [0] * (len(node.kinds) - n)
            return m, shift(slope, down), shift(rest, down)
    return None


def solved(node: Node, i: int, v: int) -> Node:
    """The chart with f_i/M as its coordinate v."""
    split = linear_in(node, node.generators[i], v)
    assert split is not None
    monomial, unit, rest = split
    length = len(node.kinds)
    keeps = any(monomial)
    numerator = {a: -c for a, c in rest.items()}
    if keeps:
        numerator[next(iter(variable(v, length)))] = 1
    generators = []
    for k, g in enumerate(node.generators):
        if k == i:
            g = shift(variable(v, length), (*monomial, *(0,) * (length - node.small))) if keeps else {}
        else:
            g = node.normal(substitute(g, v, numerator, unit)) if degree(g, v) else g
        if len(g) > _LONGEST:
            raise TooLargeError("a coordinate that makes generators long")
        generators.append(g)
    if keeps:
        return replace(node, generators=tuple(generators))
    return replace(without(node, v, generators), offset=node.offset + 1)


def _free(node: Node) -> tuple[Any, Node] | None:
    used = {i for g in node.generators for a in g for i, e in enumerate(a) if e}
    for v in range(node.small):
        if v not in used and product_direction(node, v):
            return ["free", v], without(node, v, node.generators)
    return None


