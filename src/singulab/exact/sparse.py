"""Coordinates in which an ideal is sparse, by a descent over elementary changes.

The search sees more in sparse coordinates, while λ and m do not depend on them. A change v → v + q, with a
polynomial q of the other variables that vanishes at the origin, keeps volumes, so it is always allowed for a
variable without boundary and without prior.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations_with_replacement
from typing import Any

from singulab.exact.deadline import Deadline, TimeUpError
from singulab.exact.node import Node
from singulab.exact.polynomial import (
    Polynomial,
    TooLargeError,
    add,
    constant,
    scale,
    substitute,
    to_json,
    variable,
)
from singulab.exact.row_reduction import mixed_down

_FACTORS = (1, -1, 2, -2)
_ROUNDS = 40


def sheared(node: Node, v: int, q: Polynomial) -> Node:
    """The chart with v + q in the place of v."""
    length = len(node.kinds)
    image = add(variable(v, length), q)
    one = constant(1, length)
    return replace(node, generators=tuple(substitute(g, v, image, one) for g in node.generators))


def sparser(node: Node, deadline: Deadline) -> tuple[Node, list[Any]]:
    """The first chart in sparser coordinates, and the steps to it; none if nothing is gained."""
    steps: list[Any] = []
    node, best = _mixed(node, steps)
    try:
        for _ in range(_ROUNDS):
            found = _better(node, best, deadline)
            if found is None:
                break
            for step in found:
                steps.append(step)
                node = sheared(node, step[1], {tuple(t[1:]): t[0] for t in step[2]})
            node, best = _mixed(node, steps)
    except TimeUpError:
        pass
    return node, steps


def _mixed(node: Node, steps: list[Any]) -> tuple[Node, tuple[int, int]]:
    """Generators reduced by one another where that makes them shorter; and their size."""
    found = mixed_down(node)
    if found is not None:
        step, node = found
        steps.append(step)
    return node, _size(node)


def _size(node: Node) -> tuple[int, int]:
    return (
        sum(map(len, node.generators)),
        sum(sum(a) for g in node.generators for a in g),
    )


def _better(node: Node, best: tuple[int, int], deadline: Deadline) -> list[Any] | None:
    """One change that makes the ideal sparser, or two that do so together."""
    singles = []
    for step in _moves(node):
        deadline.check()
        size = _after(node, step)
        if size is not None:
            singles.append((size, step))
    if not singles:
        return None
    singles.sort(key=lambda pair: pair[0])
    if singles[0][0] < best:
        return [singles[0][1]]
    for _, first in singles[:12]:
        middle = sheared(node, first[1], {tuple(t[1:]): t[0] for t in first[2]})
        for second in _moves(middle):
            deadline.check()
            size = _after(middle, second)
            if size is not None and size < best:
                return [first, second]
    return None


def _after(node: Node, step: Any) -> tuple[int, int] | None:
    try:
        made = sheared(node, step[1], {tuple(t[1:]): t[0] for t in step[2]})
    except TooLargeError:
        return None
    found = mixed_down(made)
    return _size(made if found is None else found[1])


def _moves(node: Node) -> Iterator[Any]:
    """Elementary changes: v + c·w, and v + c·w·w′."""
    length, n = len(node.kinds), node.small
    used = {i for g in node.generators for a in g for i, e in enumerate(a) if e}
    free = [v for v in range(n) if node.kinds[v] == "y" and node.weights[v] == 1 and v in used]
    for v in free:
        others = [w for w in range(n) if w != v and w in used]
        for w in others:
            for c in _FACTORS:
                yield ["shear", v, to_json(scale(variable(w, length), c))]
        if n > 6:
            continue
        for w, x in combinations_with_replacement(others, 2):
            product = tuple(int(i == w) + int(i == x) for i in range(length))
            for c in _FACTORS[:2]:
                yield ["shear", v, to_json({product: c})]
