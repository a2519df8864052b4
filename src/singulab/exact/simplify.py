"""Steps that change generators and coordinates of a chart, but neither λ nor m of its ideal.

Each step is a list whose head is its name; a checker replays it from the old chart alone:

    ["mix", T]           new generators Σ_j T[i][j] f_j, T an invertible integer matrix
    ["drop", i, terms]   terms of f_i that a monomial generator bounds are left out
    ["solve", i, v]      f_i = M·(A·v + B) with a unit A and a small B: f_i/M becomes the coordinate v; where
                         M = 1 the coordinate leaves the chart and adds its weight to the offset. A may
                         contain v if no other generator does
    ["series", i, v, φ, d]  the same, where A or other generators contain v: v = φ/d up to a tail
    ["shear", v, q]      v + q takes the place of v, q a small polynomial in the other variables
    ["square", v]        K = A·v² + B·v + C ≥ 0 with a unit A and a small B is as large as (2A·v + B)² and
                         4AC − B² together; the first is a coordinate, which adds half its weight
    ["unit", i]          f_i is a monomial times a unit: the unit is left out
    ["free", v]          a variable that no generator contains leaves the chart
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import gcd, lcm
from typing import Any

from singulab.exact.cone import Cone, NewtonPolyhedron, Vector
from singulab.exact.deadline import Deadline, tick
from singulab.exact.node import Node
from singulab.exact.polynomial import (
    Polynomial,
    TooLargeError,
    add,
    coefficients,
    constant,
    degree,
    inner,
    multiply,
    primitive,
    scale,
    shift,
    substitute,
    take,
    to_json,
    variable,
)

_LONGEST = 400  # terms of a generator after a coordinate was solved for
_LONGEST_SERIES = 150
NEGATIVE = (
    "K takes negative values near the point, so it has no minimum there; a function f that changes its sign is "
    "meant as K = f^2."
)


def simplified(node: Node, deadline: Deadline, order: int = 8) -> tuple[Node, list[Any]]:
    """The chart after all steps that apply, and the steps.

    Args:
        node: the chart.
        deadline: when to stop.
        order: the order from which on a power series is left to its tail; 0 for no series.
    """
    steps: list[Any] = []
    node = tidy(node)
    for _ in range(10 * (1 + node.small + len(node.generators))):
        deadline.check()
        before = len(steps)
        for rule in (_square, _unit, _drop, _mix, _solve, partial(_series, order=order), _free):
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
    """Generators up to units, without zeros, repetitions and terms that their tails contain."""
    generators: list[Polynomial] = []
    tails = []
    for i, g in enumerate(node.generators):
        tick()
        tail = least(node.tail(i), node.cone)
        if tail:
            g = {a: c for a, c in g.items() if not _in_tail(a[: node.small], tail, node.cone)}
        p = node.normal(g)
        if tail or (p and p not in generators):
            generators.append(p)
            tails.append(tail)
    return replace(node, generators=tuple(generators), tails=tuple(tails) if any(tails) else ())


def least(tail: frozenset[Vector], cone: Cone) -> frozenset[Vector]:
    """The exponents that are not above another one."""
    if len(tail) < 2:
        return tail
    tick()
    return frozenset(a for a in tail if not _in_tail(a, tail - {a}, cone))


def _in_tail(a: Vector, tail: frozenset[Vector], cone: Cone) -> bool:
    tick()
    return any(cone.bounds([e - f for e, f in zip(a, t, strict=True)]) for t in tail)


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
        tails=tuple(frozenset(tuple(a[i] for i in small) for a in t) for t in node.tails),
        conditions=tuple(take(c, keep) for c in node.conditions),
        factors=tuple(take(c, keep) for c in node.factors),
    )


def _square(node: Node) -> tuple[Any, Node] | None:
    for v in range(node.small) if node.principal and node.generators else ():
        made = squared(node, v)
        if made is not None:
            return ["square", v], made
    return None


def squared(node: Node, v: int) -> Node | None:
    """The chart without v after its square was completed."""
    (k,) = node.generators
    if node.kinds[v] != "y" or node.weights[v] != 1 or any(node.tails) or degree(k, v) != 2:
        return None
    parts = coefficients(k, v)
    n = node.small
    lead = {a: c for a, c in parts[2].items() if not any(a[:n])}
    small = {a[:n] for a in parts[2]} - {(0,) * n}
    linear = {a[:n] for a in parts.get(1, {})}
    if (
        not node.nonzero(lead)
        or (0,) * n in linear
        or not all(map(node.cone.bounds, small | linear))
    ):
        return None
    rest = scale(multiply(parts[2], parts.get(0, {})), 4)
    rest = add(rest, multiply(parts.get(1, {}), parts.get(1, {})), -1)
    made = replace(without(node, v, [rest]), offset=node.offset + Fraction(1, 2))
    if rest and node.witness is not None:
        faces = NewtonPolyhedron(made.exponents(), made.cone).bounded_faces()
        vertices = [face.points[0] for face in faces if not face.dimension]
        refuse_sign_change(made, vertices)
        first = {a: c for a, c in made.generators[0].items() if a[: made.small] == vertices[0]}
        if made.one_sign(first) < 0:
            raise NegativeError(NEGATIVE)
    return made


def _unit(node: Node) -> tuple[Any, Node] | None:
    for i, g in enumerate(node.generators):
        if len(g) == 1 and not node.tail(i):
            ((a, _),) = g.items()
            if not any(a[node.small :]):
                continue
        m = node.leading(i)
        if m is not None:
            return ["unit", i], made_unit(node, i, m)
    return None


def made_unit(node: Node, i: int, m: Vector) -> Node:
    """The chart with a monomial in the place of f_i."""
    bare = {(*m, *(0,) * (len(node.kinds) - node.small)): 1}
    return changed(node, i, bare, frozenset())


def changed(node: Node, i: int, g: Polynomial, tail: frozenset[Vector]) -> Node:
    """The chart with another generator f_i."""
    generators = (*node.generators[:i], g, *node.generators[i + 1 :])
    tails = [node.tail(k) for k in range(len(generators))]
    tails[i] = tail
    return replace(node, generators=generators, tails=tuple(tails) if any(tails) else ())


def _drop(node: Node) -> tuple[Any, Node] | None:
    n = node.small
    monomials = [(j, m) for j in range(len(node.generators)) if (m := node.leading(j)) is not None]
    monomial = {j for j, _ in monomials}
    for i, g in enumerate(node.generators):
        tick()
        tail = node.tail(i)
        over = set()
        for a in {a[:n] for a in g} | tail:
            for j, m in monomials:
                first = a == m and i in monomial and j > i  # of two that agree it stays
                if (
                    i != j
                    and not first
                    and node.cone.bounds([e - f for e, f in zip(a, m, strict=True)])
                ):
                    over.add(a)
                    break
        if over:
            rest = {a: c for a, c in g.items() if a[:n] not in over}
            return ["drop", i, sorted(map(list, over))], changed(node, i, rest, tail - over)
    return None


def _mix(node: Node) -> tuple[Any, Node] | None:
    """Row reduction over the rationals, monomials of low degree first."""
    count, n = len(node.generators), node.small
    if count < 2 or sum(map(len, node.generators)) > 2000:
        return None
    if all(len(g) == 1 for g in node.generators):
        return None
    columns = sorted({a for g in node.generators for a in g}, key=lambda a: (sum(a[:n]), a))
    rows = [(dict[Any, Fraction](), {i: Fraction(1)}) for i in range(count)]
    for (row, _), g in zip(rows, node.generators, strict=True):
        row.update((a, Fraction(c)) for a, c in g.items())
    done = 0
    for column in columns:
        pivot = next((i for i in range(done, count) if column in rows[i][0]), None)
        if pivot is None:
            continue
        rows[done], rows[pivot] = rows[pivot], rows[done]
        tick()
        for i in range(count):
            if i != done and (q := rows[i][0].get(column)):
                factor = q / rows[done][0][column]
                for mine, first in zip(rows[i], rows[done], strict=True):
                    _subtract(mine, first, factor)
        done += 1
        if done == count:
            break
    matrix = [_integers([row.get(j, Fraction(0)) for j in range(count)]) for _, row in rows]
    if all(sum(map(bool, row)) == 1 for row in matrix):
        return None
    generators = tuple(mixed(node, row) for row in matrix)
    if sum(map(len, generators)) > sum(map(len, node.generators)) and not _linear(node):
        return None
    if set(map(_frozen, generators)) == set(map(_frozen, node.generators)):
        return None
    tails = tuple(
        frozenset().union(*(node.tail(j) for j, t in enumerate(row) if t)) for row in matrix
    )
    return ["mix", matrix], replace(node, generators=generators, tails=tails if any(tails) else ())


def _subtract(row: dict[Any, Fraction], other: Mapping[Any, Fraction], factor: Fraction) -> None:
    for key, value in other.items():
        left = row.get(key, 0) - factor * value
        if left:
            row[key] = left
        else:
            row.pop(key, None)


def _frozen(p: Polynomial) -> frozenset[Any]:
    return frozenset(primitive(p).items())


def mixed_down(node: Node) -> tuple[Any, Node] | None:
    """Row reduction, where it makes the generators shorter."""
    found = _mix(tidy(node)) if len(node.generators) > 1 else None
    if found is None or len(tidy(node).generators) != len(node.generators):
        return None
    before, after = (sum(map(len, x.generators)) for x in (node, found[1]))
    return (found[0], tidy(found[1])) if after < before else None


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
    common = lcm(*(x.denominator for x in row))
    numbers = [x.numerator * (common // x.denominator) for x in row]
    divisor = gcd(*numbers) or 1
    return [x // divisor for x in numbers]


def _solve(node: Node) -> tuple[Any, Node] | None:
    candidates = []
    for v in range(node.small):
        if node.kinds[v] != "y" or node.weights[v] != 1:
            continue
        tick()
        with_v = {k: f for k, f in enumerate(node.generators) if degree(f, v)}
        without_v = sum(len(f) for k, f in enumerate(node.generators) if k not in with_v)
        parts = {k: coefficients(f, v) for k, f in with_v.items()}
        for i, g in with_v.items():
            split = None if node.tail(i) else linear_in(node, g, v)
            if split is None or (degree(g, v) > 1 and len(with_v) > 1):
                continue
            if node.tails and any(
                t[v] for k, tail in enumerate(node.tails) if k != i for t in tail
            ):
                continue
            monomial, unit, rest = split
            if any(monomial) and ((not rest and len(unit) == 1) or _used(node, i, v)):
                continue
            cost = without_v + sum(
                len(c) * len(rest or [1]) ** e
                for k, powers in parts.items()
                if k != i
                for e, c in powers.items()
            )
            candidates.append((any(monomial), len(unit) > 1, cost, i, v))
    for _, _, _, i, v in sorted(candidates):
        try:
            return ["solve", i, v], solved(node, i, v)
        except TooLargeError:
            continue
    return None


def _used(node: Node, i: int, v: int) -> bool:
    """Whether another generator is a monomial that contains v, which a new coordinate would spoil."""
    others = (node.leading(j) for j in range(len(node.generators)) if j != i)
    return any(m[v] for m in others if m is not None)


def linear_in(
    node: Node, g: Polynomial, v: int
) -> tuple[tuple[int, ...], Polynomial, Polynomial] | None:
    """Exponents of M, and A and B, with g = M·(A·v + B), A a unit and B small; None if there are none.

    A may contain v.
    """
    tick()
    n = node.small
    tail = node.tail(node.generators.index(g)) if node.tails else frozenset()
    rest = {a: c for a, c in g.items() if not a[v]}
    slope = {(*a[:v], a[v] - 1, *a[v + 1 :]): c for a, c in g.items() if a[v]}
    by_small: dict[tuple[int, ...], Polynomial] = {}
    for a, c in slope.items():
        by_small.setdefault(a[:n], {})[a] = c
    for m, lead in by_small.items():
        if m[v] or not node.nonzero(lead):
            continue
        others = [a for a in by_small if a != m] + [a[:n] for a in rest]
        axis = tuple(e + (k == v) for k, e in enumerate(m))
        if any(a == m for a in others) or m in tail or axis in tail:
            continue
        others.extend(tail)
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
            g = (
                shift(variable(v, length), (*monomial, *(0,) * (length - node.small)))
                if keeps
                else {}
            )
        else:
            g = node.normal(substitute(g, v, numerator, unit)) if degree(g, v) else g
        if len(g) > _LONGEST:
            raise TooLargeError("a coordinate that makes generators long")
        generators.append(g)
    return _with_coordinate(
        node, v, generators, [node.tail(k) for k in range(len(generators))], keeps
    )


def _with_coordinate(
    node: Node,
    v: int,
    generators: Sequence[Polynomial],
    tails: Sequence[frozenset[Vector]],
    keeps: bool,
) -> Node:
    node = replace(node, generators=tuple(generators), tails=tuple(tails) if any(tails) else ())
    if keeps:
        return node
    return replace(without(node, v, generators), offset=node.offset + 1)


# ── coordinates that are power series ─────────────────────────────────────────────────────────────


def _series(node: Node, order: int) -> tuple[Any, Node] | None:
    """As solve, where v is a power series in the new coordinates."""
    candidates = []
    for v in range(node.small) if order else ():
        if node.kinds[v] != "y" or node.weights[v] != 1:
            continue
        for i, g in enumerate(node.generators):
            if not g or g == variable(v, len(node.kinds)):
                continue
            split = linear_in(node, g, v)
            if split is None:
                continue
            monomial, _, rest = split
            if any(monomial) and ((not rest and not node.tail(i)) or _used(node, i, v)):
                continue
            candidates.append((any(monomial), degree(g, v), len(g), i, v))
    for _, _, _, i, v in sorted(candidates):
        try:
            found = power_series(node, i, v, order)
            if found is not None:
                numerator, denominator = found
                made = series_solved(node, i, v, numerator, denominator)
                if made is not None:
                    return ["series", i, v, to_json(numerator), denominator], made
        except TooLargeError:
            continue
    return None


def power_series(node: Node, i: int, v: int, order: int) -> tuple[Polynomial, int] | None:
    """φ and d with v = φ/d up to high order, in the coordinate v′ = f_i/M that takes the place of v."""
    split = linear_in(node, node.generators[i], v)
    assert split is not None
    monomial, unit, rest = split
    length, n = len(node.kinds), node.small
    lead = {a: c for a, c in unit.items() if not any(a[:n])}
    if len(lead) != 1 or any(next(iter(lead))):
        return None
    slope = next(iter(lead.values()))
    weights = node.cone.middle
    lightest = min((w for a in (*unit, *rest) if (w := inner(a[:n], weights)) > 0), default=1)
    highest = order * min(lightest, weights[v])
    axis = variable(v, length)
    rests = add(multiply(unit, axis), rest)
    rests = add(rests, axis, -slope)  # f_i/M − slope·v
    parts = coefficients(rests, v)
    free = not any(monomial)
    start: Polynomial = {} if free else axis
    numerator, denominator = start, slope
    for _ in range(order + 2):
        total: Polynomial = {}
        top = max(parts, default=0)
        for e, part in parts.items():
            term = part
            for _ in range(e):
                term = _cut_off(multiply(term, numerator), weights, highest, node)
            total = add(total, scale(term, denominator ** (top - e)))
        fresh = add(scale(start, denominator**top), total, -1)
        fresh = _cut_off(fresh, weights, highest, node)
        bottom = slope * denominator**top
        divisor = gcd(bottom, *fresh.values())
        divisor = -divisor if bottom < 0 else divisor
        fresh, bottom = {a: c // divisor for a, c in fresh.items()}, bottom // divisor
        if (fresh, bottom) == (numerator, denominator):
            break
        numerator, denominator = fresh, bottom
        if len(numerator) > _LONGEST_SERIES:
            raise TooLargeError("a power series grows too long")
    return numerator, denominator


def _cut_off(p: Polynomial, weights: Sequence[int], highest: int, node: Node) -> Polynomial:
    p = node.normal_constant(p)
    return {a: c for a, c in p.items() if inner(a[: node.small], weights) < highest}


def series_solved(
    node: Node, i: int, v: int, numerator: Polynomial, denominator: int
) -> Node | None:
    """The chart with f_i/M as its coordinate v, where v is numerator/denominator up to a tail.

    With E = (f_i/M)(φ) − v′ the true v differs from φ by no more than a constant times |E| and the tail of
    f_i/M, for the derivative of f_i/M by v is a unit; and f(v) from f(φ) by as much.
    """
    split = linear_in(node, node.generators[i], v)
    if split is None:
        return None
    monomial, unit, rest = split
    length, n = len(node.kinds), node.small
    keeps = any(monomial)
    axis = variable(v, length)
    bottom = constant(denominator, length)
    straight = add(multiply(unit, axis), rest)
    error = substitute(straight, v, numerator, bottom)
    if keeps:
        error = add(error, axis, -(denominator ** degree(straight, v)))
    error = node.normal_constant(error)
    phi = least(frozenset(a[:n] for a in numerator), node.cone)
    off = least(frozenset(a[:n] for a in error), node.cone)
    for t in node.tail(i):
        down = tuple(e - m for e, m in zip(t, monomial, strict=True))
        off |= _replaced(down, v, phi)
    off = least(off, node.cone)
    generators: list[Polynomial] = []
    tails: list[frozenset[Vector]] = []
    for k, g in enumerate(node.generators):
        if k == i:
            own = (*monomial, *(0,) * (length - n))
            generators.append(shift(axis, own) if keeps else {})
            tails.append(frozenset())
            continue
        tail = {u for t in node.tail(k) for u in _replaced(t, v, phi | off)}
        for a in {a[:n] for a in g if a[v]}:
            base = (*a[:v], 0, *a[v + 1 :])
            inside = [(0,) * n] if a[v] != 2 else [*phi, *off]
            for p in inside:
                tail |= {tuple(x + y + z for x, y, z in zip(base, p, o, strict=True)) for o in off}
        made = substitute(g, v, numerator, bottom) if degree(g, v) else g
        made = node.normal(made)
        if len(made) > _LONGEST:
            raise TooLargeError("a coordinate that makes generators long")
        generators.append(made)
        tails.append(frozenset(tail))
    return _with_coordinate(node, v, generators, tails, keeps)


def _replaced(t: Vector, v: int, phi: frozenset[Vector]) -> set[Vector]:
    """Exponents that bound w^t where v is bounded by the monomials of φ."""
    base = (*t[:v], 0, *t[v + 1 :])
    if t[v] == 0:
        return {base}
    return {tuple(x + y for x, y in zip(base, p, strict=True)) for p in phi}


def _free(node: Node) -> tuple[Any, Node] | None:
    if node.tails:
        return None
    used = {i for g in node.generators for a in g for i, e in enumerate(a) if e}
    for v in range(node.small):
        if v not in used and product_direction(node, v):
            return ["free", v], without(node, v, node.generators)
    return None


# ── K that is not K ≥ 0 ───────────────────────────────────────────────────────────────────────────


class NegativeError(ValueError):
    """K takes negative values near the point, so it is no loss with a minimum there."""


def refuse_sign_change(node: Node, vertices: Sequence[Vector]) -> None:
    """An error if K, the one generator, takes both signs, as the vertices of its Newton polyhedron show."""
    signs = set()
    (k,) = node.generators
    for a in vertices:
        if node.tail(0) & {a}:
            continue
        part = {e: c for e, c in k.items() if e[: node.small] == a}
        sign = node.one_sign(part)
        signs.add(sign)
        if sign and any(e % 2 and kind == "y" for e, kind in zip(a, node.kinds, strict=False)):
            signs |= {1, -1}
    if {1, -1} <= signs:
        raise NegativeError(NEGATIVE)
