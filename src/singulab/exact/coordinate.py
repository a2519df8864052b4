"""A generator f = M·(A·v + B) as a coordinate: a rational function, or a series with a tail."""

from collections.abc import Sequence
from dataclasses import replace
from math import gcd
from typing import Any

from singulab.exact.cone import Vector
from singulab.exact.deadline import tick
from singulab.exact.generators import least, without
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
    scale,
    shift,
    substitute,
    to_json,
    variable,
)

_LONGEST = 400  # terms of a generator after a coordinate was solved for
_LONGEST_SERIES = 150


def rational_coordinate(node: Node) -> tuple[Any, Node] | None:
    """The step that makes a generator a coordinate at the least cost, and the chart after it."""
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


def series_coordinate(node: Node, order: int) -> tuple[Any, Node] | None:
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
