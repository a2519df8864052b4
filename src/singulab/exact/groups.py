"""Blow-ups of whole groups of variables, with symmetries, for ideals with many variables.

Where every generator is homogeneous in a group S of small variables, these are written as t·w, one w being 1 and
the others free: bounded reals. The charts of w_i = 1 cover a neighbourhood of 0 together, and those that a
permutation of the variables carries into one another have the same value, so one of them is looked at.

The value of a chart is the least over all values of its free variables. Where each generator is
quasi-homogeneous for weights that are positive on the free variables, scaling carries every point towards the
one where they are 0; the pair is constant along the way and does not grow at its end. So that point has the
least pair, and free variables become small ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from singulab.exact.cone import Cone
from singulab.exact.deadline import Deadline, tick
from singulab.exact.generators import product_direction, tidy
from singulab.exact.node import Node
from singulab.exact.polynomial import (
    Polynomial,
    add,
    constant,
    scale,
    substitute,
    to_json,
    variable,
)

Permutation = tuple[int, ...]
_STEPS = 3000  # of the search for weights


# ── groups ────────────────────────────────────────────────────────────────────────────────────────


def groups(node: Node) -> list[list[int]]:
    """Sets of variables in which all generators are homogeneous of degree 0 or 1, small ones first."""
    if set(node.kinds) != {"y"} or node.tails or node.root is not None:
        return []
    colours = refined(node, [0] * node.small)
    tried, found = set(), []
    for v in range(node.small):
        if colours[v] in tried or node.weights[v] != 1 or not product_direction(node, v):
            continue
        tried.add(colours[v])
        group = _covering(node, v, colours)
        if group is not None and len(group) > 1 and group not in found:
            found.append(group)
    return sorted(found, key=len)


def _covering(node: Node, v: int, colours: Sequence[int]) -> list[int] | None:
    """A group with v in it that meets as many generators of several terms as it can."""
    group = _homogeneous(node, {v}, colours)
    if group is None:
        return None
    for g in node.generators:
        if len(g) < 2 or any(a[i] for a in g for i in group):
            continue
        for w in sorted(
            {i for a in g for i, e in enumerate(a) if e}, key=lambda w: colours[w] != colours[v]
        ):
            if any(a[w] and any(a[i] for i in group) for p in node.generators for a in p):
                continue
            wider = _homogeneous(node, group | {w}, colours)
            if wider is not None:
                group = wider
                break
    return sorted(group) if all(node.weights[i] == 1 for i in group) else None


def _homogeneous(node: Node, group: set[int], colours: Sequence[int]) -> set[int] | None:
    """The group enlarged until each generator has degree 0 or 1 in it throughout."""
    for _ in range(4 * node.small):
        tick()
        for g in node.generators:
            degrees = {a: sum(a[i] for i in group) for a in g}
            if max(degrees.values()) > 1:
                return None
            if len(set(degrees.values())) > 1:
                low = min((a for a in degrees if not degrees[a]), key=lambda a: a)
                options = [i for i, e in enumerate(low) if e == 1 and node.weights[i] == 1]
                first = min(group)
                options.sort(
                    key=lambda i: (
                        any(a[i] and any(a[j] for j in group) for p in node.generators for a in p),
                        colours[i] != colours[first],
                    )
                )
                if not options:
                    return None
                group = group | {options[0]}
                break
        else:
            return group
    return None


# ── symmetries ────────────────────────────────────────────────────────────────────────────────────


def refined(node: Node, colours: list[int]) -> list[int]:
    """Colours of the variables, refined by the terms that they stand in until that changes nothing."""
    while True:
        tick()
        rows: list[list[Any]] = [[] for _ in colours]
        told: list[list[Any]] = []
        for g in node.generators:
            tick()
            told.append(
                [
                    (abs(c), tuple(sorted((colours[i], e) for i, e in enumerate(a) if e)))
                    for a, c in g.items()
                ]
            )
        terms = {term: k for k, term in enumerate(sorted({t for line in told for t in line}))}
        lines = [[terms[t] for t in line] for line in told]
        wholes = {key: k for k, key in enumerate(sorted({tuple(sorted(x)) for x in lines}))}
        for g, line in zip(node.generators, lines, strict=True):
            tick()
            whole = wholes[tuple(sorted(line))]
            for a, term in zip(g, line, strict=True):
                for i, e in enumerate(a):
                    if e:
                        rows[i].append((whole, term, e))
        keys = [(colours[i], node.weights[i], tuple(sorted(row))) for i, row in enumerate(rows)]
        order = {key: k for k, key in enumerate(sorted(set(keys)))}
        fresh = [order[key] for key in keys]
        if len(set(fresh)) == len(set(colours)):
            return fresh
        colours = fresh


def carrying(
    node: Node, group: Sequence[int], v: int, w: int, deadline: Deadline
) -> Permutation | None:
    """A permutation that keeps the group and the generators, up to sign, and carries v to w."""
    base = refined(node, [int(i in group) for i in range(node.small)])

    def marked(colours: list[int], i: int) -> list[int]:
        return refined(node, [2 * c + (j == i) for j, c in enumerate(colours)])

    def match(left: list[int], right: list[int], tries: int) -> Permutation | None:
        deadline.check()
        if sorted(left) != sorted(right):
            return None
        sizes: dict[int, int] = {}
        for c in left:
            sizes[c] = sizes.get(c, 0) + 1
        several = [c for c in left if sizes[c] > 1]
        if not several:
            where = {c: i for i, c in enumerate(right)}
            found = tuple(where[c] for c in left)
            return found if keeps(node, found) else None
        colour = min(several, key=lambda c: (sizes[c], c))
        i = left.index(colour)
        for j in [j for j, c in enumerate(right) if c == colour][:tries]:
            found_ = match(marked(left, i), marked(right, j), tries)
            if found_ is not None:
                return found_
        return None

    if base[v] != base[w]:
        return None
    return match(marked(base, v), marked(base, w), 2)


def keeps(node: Node, permutation: Permutation) -> bool:
    """Whether the permutation carries the generators into themselves up to sign."""
    old = {frozenset(node.normal(g).items()) for g in node.generators}
    new = {frozenset(node.normal(permuted(g, permutation)).items()) for g in node.generators}
    return old == new and all(node.weights[i] == node.weights[j] for i, j in enumerate(permutation))


def permuted(p: Polynomial, permutation: Sequence[int]) -> Polynomial:
    """The same with variable permutation[i] in the place of variable i."""
    inverse = sorted(range(len(permutation)), key=lambda i: permutation[i])
    return {(*(a[i] for i in inverse), *a[len(permutation) :]): c for a, c in p.items()}


def orbits(
    node: Node, group: Sequence[int], deadline: Deadline
) -> list[tuple[int, dict[int, Permutation]]]:
    """The group in parts: a member, and permutations that carry it to the others of its part."""
    left, parts = list(group), []
    while left:
        v = left.pop(0)
        found: dict[int, Permutation] = {v: tuple(range(node.small))}
        known: list[Permutation] = []
        for w in list(left):
            if w in found:
                continue
            made = carrying(node, group, v, w, deadline)
            if made is None:
                continue
            known.append(made)
            frontier = [*found]
            found[w] = made
            frontier.append(w)
            while frontier:
                x = frontier.pop()
                for step in known:
                    if step[x] not in found:
                        found[step[x]] = tuple(step[i] for i in found[x])
                        frontier.append(step[x])
        inside = {w: p for w, p in found.items() if w != v and w in left}
        left = [w for w in left if w not in inside]
        parts.append((v, inside))
    return parts


# ── charts ────────────────────────────────────────────────────────────────────────────────────────


def blown_up(node: Node, group: Sequence[int], i: int) -> Node:
    """The chart where w_i is the small variable and the others of the group are free multiples of it."""
    others = [v for v in group if v != i]
    stay = [v for v in range(node.small) if v not in others]
    generators = tuple(
        {
            (
                *(sum(a[v] for v in group) if s == i else a[s] for s in stay),
                *(a[v] for v in others),
            ): c
            for a, c in g.items()
        }
        for g in node.generators
    )
    weights = tuple(
        sum((node.weights[v] for v in group), Fraction(0)) if s == i else node.weights[s]
        for s in stay
    )
    return replace(
        node,
        kinds="y" * len(stay) + "f" * len(others),
        weights=weights,
        cone=Cone.orthant(len(stay)),
        generators=generators,
    )


def straightened(node: Node) -> tuple[Node, list[Any]]:
    """Free variables translated by one another where that makes the generators shorter."""
    steps: list[Any] = []
    one = constant(1, len(node.kinds))
    changed = True
    while changed:
        changed = False
        for v, q in _translations(node):
            image = add(variable(v, len(node.kinds)), q)
            made = tidy(
                replace(
                    node, generators=tuple(substitute(g, v, image, one) for g in node.generators)
                )
            )
            if sum(map(len, made.generators)) < sum(map(len, node.generators)):
                steps.append(["shear", v, to_json(q)])
                node, changed = made, True
                break
    return node, steps


def _translations(node: Node) -> Iterator[tuple[int, Polynomial]]:
    n = node.small
    for g in node.generators:
        parts: dict[tuple[int, ...], Polynomial] = {}
        for a, c in g.items():
            parts.setdefault(a[:n], {})[(*(0,) * n, *a[n:])] = c
        for part in parts.values():
            tick()
            for a, c in part.items():
                if len(part) > 1 and sum(a) == 1 and abs(c) == 1:
                    v = a.index(1)
                    rest = {b: d for b, d in part.items() if b != a}
                    if not any(b[v] for b in rest):
                        yield v, scale(rest, -c)


def settled(node: Node) -> tuple[Node, list[int]] | None:
    """The chart with its free variables small, and the weights that allow it."""
    size = len(node.kinds)
    rows: list[list[int]] = []
    for g in node.generators:
        first, *rest = g
        rows.extend([x - y for x, y in zip(a, first, strict=True)] for a in rest)
    basis = null_space(rows, size)
    used = {i for g in node.generators for a in g for i in range(node.small, size) if a[i]}
    weights = [0] * size
    for _ in range(_STEPS):
        low = next((f for f in sorted(used) if weights[f] <= 0), None)
        if low is None:
            break
        for vector in basis:
            if vector[low]:
                weights = [w + vector[low] * x for w, x in zip(weights, vector, strict=True)]
    else:
        return None
    if any(weights[f] <= 0 for f in used):
        return None
    made = replace(
        node,
        kinds="y" * size,
        weights=(*node.weights, *(node.weights[0] * 0 + 1 for _ in range(size - node.small))),
        cone=Cone.orthant(size),
    )
    return made, [1 if f >= node.small and f not in used else weights[f] for f in range(size)]


def null_space(rows: Sequence[Sequence[int]], size: int) -> list[list[int]]:
    """Integer vectors that span the solutions of a homogeneous system."""
    from singulab.exact.cone import unimodular

    columns, rank = unimodular([tuple(r) for r in rows], size)
    return columns[rank:]
