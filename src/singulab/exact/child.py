"""The chart at a zero of a factor on a face."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

from singulab.exact.cone import Cone
from singulab.exact.deadline import Deadline
from singulab.exact.found import Found
from singulab.exact.node import Node, Root
from singulab.exact.place import Place
from singulab.exact.polynomial import Polynomial, inner, multiply, substitute, to_json
from singulab.exact.zeros import factors, witness


def recentred(
    place: Place,
    j: int,
    numerator: Polynomial,
    denominator: Polynomial,
    root: Root | None,
    deadline: Deadline,
) -> Node:
    """The chart near denominator·u_j = numerator, whose new small y is the difference of the two.

    With a root, the numerator is that algebraic number.
    """
    node, torus, axes = place.node, place.torus, place.axes
    n = node.small
    kept, along = len(axes.kept), len(axes.beta)
    small = 1 + kept + along
    units = len(torus.kinds) - 1 - (torus.root is not None)
    length = small + units + (torus.root is not None or root is not None)
    had_root = torus.root is not None

    def lifted(p: Polynomial) -> Polynomial:
        """A polynomial in torus variables without u_j, in the variables of the child."""
        wide = (0,) * small
        pad = (0,) * (length - small - units - had_root)
        return {(*wide, *a[:j], *a[j + 1 :], *pad): c for a, c in p.items()}

    top = {(1,) + (0,) * (length - 1): 1}
    for a, c in lifted(numerator).items():
        top[a] = c
    bottom = lifted(denominator)
    if root is not None:
        top[(0,) * (length - 1) + (1,)] = 1
    generators = []
    for g in place.signed:
        wide_g: Polynomial = {}
        for t, (a, c) in zip(axes.across([a[:n] for a in g]), g.items(), strict=True):
            all_units = [*t, *a[n:]]
            power = all_units.pop(j)
            pad = [0] * (length - small - units - had_root)
            along_powers = (inner(a[:n], b) for b in axes.beta)
            wide_g[(power, 0, *(a[v] for v in axes.kept), *along_powers, *all_units, *pad)] = c
        # the first place holds u_j while it is replaced
        top_wide = {(0, *a): c for a, c in top.items()}
        bottom_wide = {(0, *a): c for a, c in bottom.items()}
        replaced = substitute(wide_g, 0, top_wide, bottom_wide)
        generators.append({a[1:]: c for a, c in replaced.items()})
    conditions = []
    new_root = root or torus.root
    cone_part = axes.cone
    units_small = tuple(tuple(int(i == k) for i in range(small)) for k in range(1))
    cone = Cone(
        (*units_small, *((0, *r) for r in cone_part.rays)),
        (*units_small, *((0, *c) for c in cone_part.facets)),
    )
    shell = Node(
        principal=node.principal,
        kinds="y" + "y" * kept + "x" * along + "u" * units + ("c" if new_root else ""),
        weights=(
            Fraction(1),
            *(node.weights[v] for v in axes.kept),
            *(Fraction(inner(b, node.weights)) for b in axes.beta),
        ),
        cone=cone,
        generators=tuple(generators),
        offset=node.offset,
        root=new_root,
        tails=tuple(
            frozenset((0, *(a[v] for v in axes.kept), *(inner(a, b) for b in axes.beta)) for a in t)
            for t in node.tails
        ),
    )
    zero_top = {a: c for a, c in top.items() if not a[0]}
    for old in torus.conditions:
        wide_c: Polynomial = {}
        for a, value in old.items():
            pad = [0] * (length - small - units - had_root)
            wide_c[(a[j], *(0,) * small, *a[:j], *a[j + 1 :], *pad)] = value
        power = max(a[0] for a in wide_c)
        replaced = substitute(
            wide_c,
            0,
            {(0, *a): v for a, v in zero_top.items()},
            {(0, *a): v for a, v in bottom.items()},
        )
        q = {a[1:]: v for a, v in replaced.items()}
        if power % 2:
            q = multiply(q, bottom)
        conditions.append(q)
    if root is None:
        conditions.append(multiply(zero_top, bottom))
    kept_conditions = []
    for q in conditions:
        q = shell.normal_constant(q)
        if shell.one_sign(q) <= 0 and q not in kept_conditions:
            kept_conditions.append(q)
    pieces: list[Polynomial] = []
    for q in kept_conditions:
        for piece, _ in factors(q, deadline) if q else ():
            piece = shell.normal(piece)
            if len(piece) > 1 and piece not in pieces:
                pieces.append(piece)
    shell = replace(shell, conditions=tuple(kept_conditions), factors=tuple(pieces))
    point = witness(shell) if all(kept_conditions) else None
    return replace(shell, witness=point)


def told_child(child: Node, found: Found) -> dict[str, Any]:
    """A child in the certificate: what is known of its conditions, its own branch."""
    branch: dict[str, Any] = {}
    if child.factors:
        branch["nonzero"] = [to_json(q) for q in child.factors]
    if child.witness is not None:
        branch["witness"] = [str(x) for x in child.witness]
    return {**branch, "child": found.branch}
