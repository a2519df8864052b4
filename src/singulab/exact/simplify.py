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

from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

from singulab.exact.cone import NewtonPolyhedron, Vector
from singulab.exact.coordinate import rational_coordinate, series_coordinate
from singulab.exact.deadline import Deadline, tick
from singulab.exact.generators import changed, product_direction, tidy, without
from singulab.exact.node import Node
from singulab.exact.polynomial import (
    add,
    coefficients,
    degree,
    multiply,
    scale,
)
from singulab.exact.row_reduction import reduced_rows
from singulab.exact.sign_change import NEGATIVE, NegativeError, refuse_sign_change


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
        for rule in (
            _square,
            _unit,
            _drop,
            reduced_rows,
            rational_coordinate,
            partial(series_coordinate, order=order),
            _free,
        ):
            found = rule(node)
            if found is not None:
                step, node = found
                node = tidy(node)
                steps.append(step)
                if rule is not reduced_rows:
                    break
        if len(steps) == before:
            break
    return node, steps


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


def _free(node: Node) -> tuple[Any, Node] | None:
    if node.tails:
        return None
    used = {i for g in node.generators for a in g for i, e in enumerate(a) if e}
    for v in range(node.small):
        if v not in used and product_direction(node, v):
            return ["free", v], without(node, v, node.generators)
    return None
