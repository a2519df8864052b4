"""Resolution by recursion over the faces of Newton polyhedra, over the reals.

At a chart the Newton rule gives an upper bound, which is exact apart from directions in whose face the face
forms have a common zero. There new coordinates are chosen: monomials x′ along the normal cone of the face,
torus coordinates u transverse to it, and one u replaced by y, which is small where a factor of a face form is
small. The new chart is searched in its turn, and the value of a chart is the least of its own Newton pair
and those of its children.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from singulab.exact.components import components, restricted
from singulab.exact.cone import NewtonPolyhedron, TooManyFacesError
from singulab.exact.deadline import Deadline, TimeUpError
from singulab.exact.found import UNKNOWN, Found, UnresolvedError, moved
from singulab.exact.groups import blown_up, groups, orbits, settled, straightened
from singulab.exact.locus import Locus
from singulab.exact.node import NOTHING, Node, Pair, newton_pair
from singulab.exact.place import Place, places
from singulab.exact.polynomial import TooLargeError
from singulab.exact.sign_change import NEGATIVE, NegativeError, refuse_sign_change
from singulab.exact.simplify import simplified
from singulab.exact.smooth import smooth
from singulab.exact.zeros import no_zero

_DEEPEST = 14
_MANY = 6  # variables from which on groups of them are blown up together
_LONGEST = 1500  # terms of all generators of a chart
TIME_UP = "the time was up"


class Search:
    """The recursion, with its deadline and what it could not resolve."""

    def __init__(self, deadline: Deadline, *, order: int = 8) -> None:
        self.deadline = deadline
        self.order = order  # of power series
        self.reasons: list[str] = []
        self.charts = 0

    def explore(self, node: Node, bound: Pair, depth: int = 0) -> Found:
        """Bounds for a chart; what lies above ``bound`` need not be resolved."""
        lower = UNKNOWN
        branch: dict[str, Any] = {}
        try:
            self.deadline.check()
            node, steps = simplified(node, self.deadline, self.order)
            self.charts += 1
            branch = {"steps": steps} if steps else {}
            lower = (node.offset, -(10**6))
            if node.principal and node.witness is not None:
                if any(step[0] in ("solve", "series") for step in steps):
                    raise NegativeError(
                        NEGATIVE
                    )  # K is a monomial times a coordinate of both signs
                if node.generators:
                    refuse_sign_change(node, node.monomials())
            if not node.generators:
                pair = (node.offset, -1)
                return Found(pair, pair if node.witness is not None else NOTHING, branch)
            if monomials := node.monomials():
                least = newton_pair(NewtonPolyhedron(monomials, node.cone), node.weights)
                lower = moved(least, node.offset)
                if lower >= bound:
                    return Found(lower, NOTHING, {**branch, "end": "above"})
                if len(monomials) == len(node.generators):
                    upper = lower if node.witness is not None else NOTHING
                    return Found(lower, upper, {**branch, "end": "monomials"})
            if parts := components(node):
                return self._split(node, parts, branch, depth)
            if node.small >= _MANY and depth < _DEEPEST:
                found = self._blow_up(node, bound, branch, depth)
                if found is not None:
                    return found
            return self._faces(node, bound, lower, branch, depth)
        except (TimeUpError, TooManyFacesError, TooLargeError, UnresolvedError) as error:
            reason = str(error) or TIME_UP
            self.reasons.append(reason)
            return Found(lower, NOTHING, {**branch, "open": reason})

    def _split(
        self, node: Node, parts: Sequence[Sequence[int]], branch: dict[str, Any], depth: int
    ) -> Found:
        """Ideals in separate variables: λ adds, and so does m − 1."""
        found = [self.explore(restricted(node, part), NOTHING, depth + 1) for part in parts]
        lower, upper = (
            (
                node.offset + sum((p[0] for p in pairs), Fraction(0)),
                sum(p[1] for p in pairs) + len(pairs) - 1,
            )
            for pairs in ([f.lower for f in found], [f.upper for f in found])
        )
        if any(f.upper == NOTHING for f in found):
            upper = NOTHING
        return Found(lower, upper, {**branch, "split": [f.branch for f in found]})

    def _blow_up(self, node: Node, bound: Pair, branch: dict[str, Any], depth: int) -> Found | None:
        """The charts of a group of variables, if they can be resolved."""
        for group in groups(node)[:2]:
            lower, upper, limit = NOTHING, NOTHING, bound
            told: list[dict[str, Any]] = []
            same: list[list[Any]] = []
            for i, others in orbits(node, group, self.deadline):
                chart, steps = simplified(blown_up(node, group, i), self.deadline, 0)
                chart, shears = straightened(chart)
                made = settled(chart)
                if made is None or chart.tails:
                    break
                found = self.explore(replace(made[0], witness=node.witness), limit, depth + 1)
                lower, upper = min(lower, found.lower), min(upper, found.upper)
                limit = min(limit, upper)
                told.append(
                    {
                        "index": i,
                        "steps": [*steps, *shears],
                        "weights": made[1],
                        "child": found.branch,
                    }
                )
                same.extend([j, i, list(p)] for j, p in others.items())
            else:
                if lower >= min(bound, upper):
                    return Found(
                        lower, upper, {**branch, "group": group, "charts": told, "same": same}
                    )
        return None

    def _faces(
        self, node: Node, bound: Pair, floor: Pair, branch: dict[str, Any], depth: int
    ) -> Found:
        """The Newton rule, and all faces on which it may fail; ``floor`` is a lower bound for all of them."""
        if sum(map(len, node.generators)) > _LONGEST:
            raise UnresolvedError("generators grow too long")
        polyhedron = NewtonPolyhedron(node.exponents(), node.cone)
        pair = moved(newton_pair(polyhedron, node.weights), node.offset)
        lower = pair
        upper = pair if node.witness is not None else NOTHING
        bound = min(bound, upper)
        closed: list[dict[str, Any]] = []
        try:
            faces = polyhedron.bounded_faces()
        except TooManyFacesError as error:
            self.reasons.append(str(error))
            return Found(floor, upper, {**branch, "open": str(error), "faces": []})
        if node.principal and node.witness is not None:
            refuse_sign_change(node, [f.points[0] for f in faces if not f.dimension])
        try:
            for face in faces:
                self.deadline.check()
                for place in places(node, face):
                    try:
                        found = self._close(place, bound, depth)
                    except (UnresolvedError, TooLargeError, TooManyFacesError) as error:
                        self.reasons.append(str(error))
                        found = Found(floor, NOTHING, {"open": str(error)})
                    lower, upper = min(lower, found.lower), min(upper, found.upper)
                    bound = min(bound, upper)
                    closed.append(
                        {
                            "face": sorted(map(list, face.points)),
                            "signs": list(place.signs),
                            "along": [list(b) for b in place.axes.beta],
                            "across": [list(g) for g in place.axes.gamma],
                            "powers": list(place.axes.roots),
                            **found.branch,
                        }
                    )
        except TimeUpError:
            self.reasons.append(TIME_UP)
            lower = min(lower, floor)
            branch = {**branch, "open": TIME_UP}
        return Found(lower, upper, {**branch, "faces": closed})

    def _close(self, place: Place, bound: Pair, depth: int) -> Found:
        """Bounds for the neighbourhood of the common zeros of the forms of a face."""
        proof = no_zero(place.torus, place.forms, self.deadline)
        if proof is not None:
            return Found(NOTHING, NOTHING, {"none": proof})
        found = smooth(place, bound, self.deadline)
        if found is not None:
            return found
        if depth >= _DEEPEST:
            raise UnresolvedError(f"{_DEEPEST} charts one above the other")
        locus = Locus(place, lambda child, b: self.explore(child, b, depth + 1), self.deadline)
        try:
            return locus.resolved(bound)
        except UnresolvedError as error:
            found = smooth(place, bound, self.deadline, any_value=True)
            if found is None:
                raise
            self.reasons.append(str(error))
            return found
