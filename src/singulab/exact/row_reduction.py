"""Generators reduced by one another over the rationals."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm
from typing import Any

from singulab.exact.deadline import tick
from singulab.exact.generators import tidy
from singulab.exact.node import Node
from singulab.exact.polynomial import (
    Polynomial,
    primitive,
)


def reduced_rows(node: Node) -> tuple[Any, Node] | None:
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
    found = reduced_rows(tidy(node)) if len(node.generators) > 1 else None
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
