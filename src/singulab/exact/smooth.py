"""Face forms with independent differentials at their zeros, which are coordinates themselves."""

from fractions import Fraction

from singulab.exact.cone import Cone, NewtonPolyhedron
from singulab.exact.deadline import Deadline
from singulab.exact.found import Found, moved
from singulab.exact.node import NOTHING, Node, Pair, newton_pair
from singulab.exact.place import Place
from singulab.exact.polynomial import TooLargeError, inner
from singulab.exact.zeros import changes_sign, minors, no_zero


def smooth(
    place: Place, bound: Pair, deadline: Deadline, *, any_value: bool = False
) -> Found | None:
    """Face forms with independent differentials at their zeros become coordinates themselves."""
    node, forms, torus = place.node, place.forms, place.torus
    live = [i for i, f in enumerate(forms) if f]
    if len(live) > min(3, len(torus.units)):
        live = live[:1]
    for size in range(len(live), 0, -1):
        if size > len(torus.units):
            continue
        chosen = live[:size]
        least = moved(smooth_pair(place, size), node.offset)
        whole = size == len(node.generators)
        enough = any_value or bound <= least < NOTHING
        if not enough and not (whole and size == 1):
            continue
        try:
            found = minors([forms[i] for i in chosen], torus.units)
        except TooLargeError:
            continue
        proof = no_zero(torus, [*forms, *found], deadline)
        if proof is None:
            continue
        upper, between = NOTHING, None
        if whole and size == 1 and node.witness is not None and convex(torus):
            between = changes_sign(torus, forms[chosen[0]])
            upper = NOTHING if between is None else least
        if not enough and upper == NOTHING:
            continue
        branch = {"smooth": chosen, "proof": proof}
        if between is not None:
            branch["between"] = [[str(x) for x in point] for point in between]
        return Found(least, upper, branch)
    return None


def convex(torus: Node) -> bool:
    """Whether the conditions are linear, so that a polynomial of two signs has a zero between the points."""
    return torus.root is None and all(sum(a) <= 1 for q in torus.conditions for a in q)


def smooth_pair(place: Place, count: int) -> Pair:
    """The pair of x^κ·(y₁, …, y_count), x^κ the monomial of the face."""
    node, face, axes = place.node, place.face, place.axes
    first = face.points[0]
    kappa = (*(first[v] for v in axes.kept), *(inner(first, b) for b in axes.beta))
    size = len(kappa)
    units = Cone.orthant(count).rays
    cone = Cone(
        (*((*r, *(0,) * count) for r in axes.cone.rays), *((0,) * size + u for u in units)),
        (*((*c, *(0,) * count) for c in axes.cone.facets), *((0,) * size + u for u in units)),
    )
    points = [(*kappa, *u) for u in units]
    weights = (
        *(node.weights[v] for v in axes.kept),
        *(Fraction(inner(b, node.weights)) for b in axes.beta),
        *(Fraction(1),) * count,
    )
    return newton_pair(NewtonPolyhedron(points, cone), weights)
