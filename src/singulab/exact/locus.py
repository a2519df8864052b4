"""Charts that cover the common zeros of the forms of a face."""

from collections.abc import Callable
from typing import Any

from singulab.exact.child import recentred, told_child
from singulab.exact.deadline import Deadline
from singulab.exact.found import Found, UnresolvedError
from singulab.exact.node import NOTHING, Node, Pair, Root
from singulab.exact.place import Place
from singulab.exact.polynomial import (
    Polynomial,
    coefficients,
    constant,
    occurring,
    scale,
    to_json,
)
from singulab.exact.zeros import factors, monic_root, no_zero, positive_roots

_IMPOSSIBLE = 9
Factors = list[tuple[Polynomial, int]]


class Locus:
    """The zeros at one place.

    Args:
        place: a face with signs.
        explore: what bounds a child.
        deadline: when to stop.
    """

    def __init__(
        self, place: Place, explore: Callable[[Node, Pair], Found], deadline: Deadline
    ) -> None:
        self.place, self.explore, self.deadline = place, explore, deadline
        self.torus = place.torus

    def resolved(self, bound: Pair) -> Found:
        """Children at the zeros of the factors of that form which is the easiest."""
        best: tuple[Any, int, Factors] | None = None
        for i, f in enumerate(self.place.forms):
            if not f:
                continue
            split = factors(f, self.deadline)
            grades = [self._grade(p) for p, _ in split if not self.torus.nonzero(p)]
            key = (max(grades, default=0), len(grades), sum(grades))
            if best is None or key < best[0]:
                best = (key, i, split)
        if best is None:
            raise UnresolvedError("the tail of a power series")
        if best[0][0] >= _IMPOSSIBLE:
            raise UnresolvedError("a face form that is linear in none of its variables")
        found = self._factors(best[2], self.place.forms, bound)
        return Found(found.lower, found.upper, {"form": best[1], **found.branch})

    def _grade(self, p: Polynomial) -> int:
        """How hard it is to make p a coordinate: 0 and 1 linear, 2 a root."""
        grades = [_IMPOSSIBLE]
        for j in occurring(p) & set(self.torus.units):
            parts = coefficients(p, j)
            if set(parts) == {0, 1}:
                grades.append(0 if self.torus.nonzero(parts[1]) else 1)
        if len(occurring(p)) == 1 and self.torus.root is None:
            grades.append(2)
        return min(grades)

    def _factors(self, split: Factors, forms: list[Polynomial], bound: Pair) -> Found:
        """The zeros of each factor among those of the forms."""
        lower, upper = NOTHING, NOTHING
        told = []
        for p, power in split:
            found = Found(NOTHING, NOTHING, {})
            if not self.torus.nonzero(p):
                found = self._zeros(p, [*forms, p], bound)
            lower, upper = min(lower, found.lower), min(upper, found.upper)
            bound = min(bound, upper)
            told.append({"factor": to_json(p), "power": power, **found.branch})
        return Found(lower, upper, {"factors": told})

    def _zeros(self, p: Polynomial, forms: list[Polynomial], bound: Pair) -> Found:
        """Charts that cover a neighbourhood of the zeros of p among those of the forms."""
        proof = no_zero(self.torus, forms, self.deadline, effort=20)
        if proof is not None:
            return Found(NOTHING, NOTHING, {"none": proof})
        linear = []
        for j in sorted(occurring(p) & set(self.torus.units)):
            parts = coefficients(p, j)
            if set(parts) == {0, 1}:
                indefinite, old = not self.torus.nonzero(parts[1]), j >= len(self.place.axes.gamma)
                linear.append((indefinite, len(parts[1]), old, len(parts[0]), j))
        if not linear:
            used = occurring(p)
            if len(used) == 1 and self.torus.root is None:
                return self._roots(p, next(iter(used)), bound)
            raise UnresolvedError("a face form that is linear in none of its variables")
        indefinite, _, _, _, j = min(linear)
        parts = coefficients(p, j)
        found, branch = self._child(j, scale(parts[0], -1), parts[1], None, bound)
        lower, upper = found.lower, found.upper
        branch = {"solve": j, **branch}
        if indefinite:  # where the coefficient by which was divided vanishes too
            both = [*forms, parts[1], parts[0]]
            proof = no_zero(self.torus, both, self.deadline, effort=20)
            if proof is not None:
                rest = Found(NOTHING, NOTHING, {"none": proof})
            else:
                split = factors(parts[1], self.deadline)
                rest = self._factors(split, both, min(bound, upper))
            lower, upper = min(lower, rest.lower), min(upper, rest.upper)
            branch["rest"] = rest.branch
        return Found(lower, upper, branch)

    def _roots(self, p: Polynomial, j: int, bound: Pair) -> Found:
        """A chart at each positive root of a polynomial in u_j alone."""
        lower, upper = NOTHING, NOTHING
        told = []
        for low, high in positive_roots(p, j, self.deadline):
            root, lead = monic_root(p, j, low, high)
            scaling = constant(lead, len(self.torus.kinds))
            found, branch = self._child(j, {}, scaling, root, bound)
            lower, upper = min(lower, found.lower), min(upper, found.upper)
            bound = min(bound, upper)
            told.append({"low": str(low), "high": str(high), **branch})
        return Found(lower, upper, {"variable": j, "roots": told})

    def _child(
        self, j: int, top: Polynomial, bottom: Polynomial, root: Root | None, bound: Pair
    ) -> tuple[Found, dict[str, Any]]:
        """Bounds of one child, and what the certificate tells of it."""
        child = recentred(self.place, j, top, bottom, root, self.deadline)
        if any(not q or child.one_sign(q) < 0 for q in child.conditions):
            found = Found(NOTHING, NOTHING, {"end": "empty"})
        else:
            found = self.explore(child, bound)
        return found, told_child(child, found)
