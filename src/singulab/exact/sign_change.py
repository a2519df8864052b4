"""K that is not K ≥ 0."""

from collections.abc import Sequence

from singulab.exact.cone import Vector
from singulab.exact.node import Node

NEGATIVE = (
    "K takes negative values near the point, so it has no minimum there; a function f that changes its sign is "
    "meant as K = f^2."
)


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
