"""Ideals in separate variables."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from singulab.exact.cone import Cone, Vector
from singulab.exact.generators import product_direction
from singulab.exact.node import Node
from singulab.exact.polynomial import occurring


def components(node: Node) -> list[list[int]]:
    """Groups of small variables that share no generator, if there are at least two and no u."""
    if node.units or node.tails:
        return []
    n = node.small
    group = list(range(n))

    def find(i: int) -> int:
        while group[i] != i:
            i = group[i]
        return i

    coupled = [v for v in range(n) if not product_direction(node, v)]
    for v in coupled[1:]:
        group[find(v)] = find(coupled[0])
    for g in node.generators:
        used = sorted(i for i in occurring(g) if i < n)
        if not used:
            return []
        for v in used[1:]:
            group[find(v)] = find(used[0])
    parts: dict[int, list[int]] = {}
    for v in range(n):
        parts.setdefault(find(v), []).append(v)
    return sorted(parts.values()) if len(parts) > 1 else []


def restricted(node: Node, part: Sequence[int]) -> Node:
    """The chart with the small variables of one group and the generators in them."""
    n, keep = node.small, [*part, *range(node.small, len(node.kinds))]
    inside = set(part)

    def cut(vectors: Sequence[Vector]) -> tuple[Vector, ...]:
        return tuple(tuple(v[i] for i in part) for v in vectors if any(v[i] for i in part))

    generators = []
    for g in node.generators:
        used = {i for i in occurring(g) if i < n}
        if used <= inside:
            generators.append({tuple(a[i] for i in keep): c for a, c in g.items()})
    return replace(
        node,
        kinds="".join(node.kinds[i] for i in keep),
        weights=tuple(node.weights[i] for i in part),
        cone=Cone(cut(node.cone.rays), cut(node.cone.facets)),
        generators=tuple(generators),
        offset=Fraction(0),
    )
