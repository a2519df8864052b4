"""The generators of a chart: up to units, exchanged, and without a variable."""

from collections.abc import Sequence
from dataclasses import replace

from singulab.exact.cone import Cone, Vector
from singulab.exact.deadline import tick
from singulab.exact.node import Node
from singulab.exact.polynomial import (
    Polynomial,
    take,
)


def tidy(node: Node) -> Node:
    """Generators up to units, without zeros, repetitions and terms that their tails contain."""
    generators: list[Polynomial] = []
    tails = []
    for i, g in enumerate(node.generators):
        tick()
        tail = least(node.tail(i), node.cone)
        if tail:
            g = {a: c for a, c in g.items() if not in_tail(a[: node.small], tail, node.cone)}
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
    return frozenset(a for a in tail if not in_tail(a, tail - {a}, cone))


def in_tail(a: Vector, tail: frozenset[Vector], cone: Cone) -> bool:
    """Whether a monomial of the tail bounds w^a."""
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


def changed(node: Node, i: int, g: Polynomial, tail: frozenset[Vector]) -> Node:
    """The chart with another generator f_i."""
    generators = (*node.generators[:i], g, *node.generators[i + 1 :])
    tails = [node.tail(k) for k in range(len(generators))]
    tails[i] = tail
    return replace(node, generators=generators, tails=tuple(tails) if any(tails) else ())
