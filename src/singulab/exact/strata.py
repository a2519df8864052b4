"""The least learning coefficient over the zero set in a closed box.

The box is cut by the signs of its variables: each is near 0, or positive, or negative, between 0 and its far end, or
near this far end, which counts with the one side that is in the box. On each part the search of a point goes through
as it is, with the variables between in the part of torus coordinates: what is found there is the least over all
their values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, product
from math import prod
from typing import Any

from singulab.exact.cone import Cone
from singulab.exact.deadline import Deadline, TimeUpError
from singulab.exact.found import UNKNOWN, Found
from singulab.exact.node import NOTHING, Node, Pair
from singulab.exact.parse import (
    NotAPolynomialError,
    expand,
    integral,
    moved,
    names,
    read,
    reading,
    squares,
)
from singulab.exact.polynomial import (
    Polynomial,
    TooLargeError,
    constant,
    mirrored,
    scale,
    substitute,
    take,
    to_json,
    variable,
)
from singulab.exact.problem import Interval, interval, mapping, root_of
from singulab.exact.result import RLCT, Bound, Stratum
from singulab.exact.search import TIME_UP, Search
from singulab.exact.zeros import witness

_MOST_PARTS = 3000


def rlct_over(
    expression: Any, box: Mapping[str, Interval], *, prior: Any = None, time_limit: float = 10.0
) -> RLCT:
    """The least (λ, m) over the zero set of K in a closed box, and the strata that the box was cut into.

    The prior is positive on the box unless it is a monomial that vanishes somewhere. Zeros outside the box
    count for the lower bound only where they cannot be told apart from those inside.

    Args:
        expression: K as text or sympy expression, or a list of generators, K = Σ fᵢ².
        box: (low, high) for each variable, which belong to it; None for no bound. A zero on a face counts with
            the side that is in the box.
        prior: a monomial that the prior behaves like where it vanishes.
        time_limit: seconds for all of the box; what was not searched by then stays a bound.

    Returns:
        The least pair; ``strata`` lists the parts of the zero set, the most singular first.

    Raises:
        ValueError: as in :func:`rlct`, or the zero set does not meet the box.
        TypeError: the box is no mapping.

    Example:
        >>> found = rlct_over("(x*y)^2", {"x": (-1, 1), "y": (-1, 1)})
        >>> str(found.value), found.multiplicity, found.strata[0].where
        ('1/2', 2, 'x = 0, y = 0')
    """
    deadline = Deadline.after(time_limit)
    with reading(deadline):
        asked = _asked(expression, mapping(box, "box", "{'x': (-1, 1)}"), prior, deadline)
    return _search(asked, deadline)


def _asked(expression: Any, box: Mapping[str, Any], prior: Any, deadline: Deadline) -> "Box":
    """The ideal on the box."""
    several = not isinstance(expression, str) and isinstance(expression, Sequence)
    syntax = [read(e) for e in expression] if several else [read(expression)]
    variables = sorted({v for s in syntax for v in names(s)})
    for name in box:
        if name not in variables:
            raise NotAPolynomialError(
                f"The symbol {name!r} is unknown; the variables are {', '.join(variables) or 'none'}."
            )
    if missing := [v for v in variables if v not in box]:
        raise ValueError(
            f"The box must bound every variable; (low, high) of {', '.join(missing)} is missing."
        )
    parts = None if several else squares(syntax[0], variables)
    whole = [expand(s, variables) for s in syntax] if parts is None else parts
    ends = [interval(box[v], v) for v in variables]
    origin = [_origin(low, high) for low, high in ends]
    here = [integral(moved(p, origin, [1] * len(variables))) for p in whole]
    principal = parts is None and not several
    generators = [g for g in here if g]
    if not generators:
        raise NotAPolynomialError(
            "The polynomial is zero everywhere, so no learning coefficient exists."
        )
    if principal and (root := root_of(generators[0], deadline)) is not None:
        generators, principal = [root], False
    powers = [0] * len(variables)
    if prior is not None:
        density = expand(read(prior), variables)
        if len(density) != 1:
            raise ValueError(f"The prior must be a monomial such as x^2*y, got {str(prior)!r:.60}.")
        (exponents,) = density
        powers = [h if o == 0 else 0 for h, o in zip(exponents, origin, strict=True)]
    return Box(
        variables=tuple(variables),
        generators=tuple(generators),
        principal=principal,
        ends=tuple(ends),
        origin=tuple(origin),
        powers=tuple(powers),
    )


def _origin(low: Fraction | None, high: Fraction | None) -> Fraction:
    """0 if it is in the interval, else an end of it."""
    if low is not None and low > 0:
        return low
    if high is not None and high < 0:
        return high
    return Fraction(0)


@dataclass(frozen=True, kw_only=True)
class Box:
    """An ideal on a closed box, seen from an origin in it.

    A part of it is a sign for each variable: 0 near its origin, ±1 between that and the far end on this side,
    ±2 at this far end.
    """

    variables: tuple[str, ...]
    generators: tuple[Polynomial, ...]
    principal: bool  # the one generator is K itself
    ends: tuple[tuple[Fraction | None, Fraction | None], ...]
    origin: tuple[Fraction, ...]
    powers: tuple[int, ...]  # of the prior at the origin

    def end(self, i: int, sign: int) -> Fraction | None:
        """The far end of a variable on one side."""
        return self.ends[i][sign > 0]

    def sides(self) -> list[list[int]]:
        """The signs that each variable takes, far ends left out."""
        return [
            [0] + [1] * (high is None or high > o) + [-1] * (low is None or low < o)
            for (low, high), o in zip(self.ends, self.origin, strict=True)
        ]

    def far_faces(self, signs: Sequence[int]) -> list[list[int]]:
        """What each variable of a part may do on the far faces beside it; one of them at least is at its far end."""
        return [
            [s, 2 * s] if s and self.end(i, s) is not None else [s] for i, s in enumerate(signs)
        ]

    def chart(self, signs: Sequence[int]) -> Node:
        """The part as a chart: small at an end or at the origin, u between them."""
        size = len(signs)
        near = [i for i, s in enumerate(signs) if abs(s) != 1]
        far = [i for i, s in enumerate(signs) if abs(s) == 1]
        order = [*near, *far]
        below = [i for i, s in enumerate(signs) if s < 0]
        made = [mirrored(g, below) for g in self.generators]
        conditions = []
        for i, s in enumerate(signs):
            end = self.end(i, s) if s else None
            if end is None:
                continue
            reach = abs(end - self.origin[i])
            left = {(0,) * size: reach.numerator} | scale(variable(i, size), -reach.denominator)
            if abs(s) == 1:
                conditions.append(take(left, order))
            else:
                made = [substitute(g, i, left, constant(reach.denominator, size)) for g in made]
        node = Node(
            kinds="".join("x" if signs[i] or self.origin[i] in self.ends[i] else "y" for i in near)
            + "u" * len(far),
            weights=tuple(Fraction(1 if signs[i] else self.powers[i] + 1) for i in near),
            cone=Cone.orthant(len(near)),
            generators=tuple(take(g, order) for g in made),
            conditions=tuple(conditions),
            principal=self.principal,
        )
        return replace(node, witness=witness(node))

    def where(self, signs: Sequence[int]) -> str:
        """A part in words."""
        return ", ".join(
            f"{v} = {self.end(i, s)}" if abs(s) == 2 else f"{v} {'=><'[s]} {self.origin[i]}"
            for i, (v, s) in enumerate(zip(self.variables, signs, strict=True))
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "variables": list(self.variables),
            "origin": [str(o) for o in self.origin],
            "box": [[None if e is None else str(e) for e in pair] for pair in self.ends],
            "powers": list(self.powers),
            "generators": [to_json(g) for g in self.generators],
            "principal": self.principal,
        }


class _Sweep:
    """Searches the parts of a box one after the other, and keeps the least bounds."""

    def __init__(self, box: Box, deadline: Deadline) -> None:
        self.box, self.deadline = box, deadline
        self.lower, self.upper = NOTHING, NOTHING
        self.strata: list[Stratum] = []
        self.reasons: list[str] = []
        self.told: list[dict[str, Any]] = []
        self.count = 0  # of far faces
        self._known: dict[str, tuple[Found, list[str]]] = {}

    def part(self, signs: Sequence[int], node: Node) -> dict[str, Any]:
        """One part; what the certificate says of it."""
        scale_of = Fraction(1) if self.box.principal else Fraction(1, 2)
        found, reasons = self._searched(node, NOTHING)
        self.reasons.extend(reasons)
        self.lower, self.upper = min(self.lower, found.lower), min(self.upper, found.upper)
        entry = {"signs": list(signs), "tree": found.branch}
        if node.witness is not None:
            entry["witness"] = [str(x) for x in node.witness]
        self.told.append(entry)
        if found.lower != NOTHING:
            high = None if found.upper == NOTHING else _bound(scale_of, found.upper)
            self.strata.append(Stratum(self.box.where(signs), _bound(scale_of, found.lower), high))
        return entry

    def far_faces(self, entry: dict[str, Any]) -> None:
        """The far faces beside a part.

        A half-neighbourhood has no more volume than a whole one, so the part without its far ends bounds them from
        below, for |K|. Only where that is not enough they are parts of their own.
        """
        choices = self.box.far_faces(entry["signs"])
        more = prod(map(len, choices)) - 1
        if not more:
            return
        node = replace(self.box.chart(entry["signs"]), conditions=(), principal=False)
        found, reasons = self._searched(node, self.upper)
        if found.lower < self.upper:
            charts = self._charts(choices, more)
            if not isinstance(charts, str):
                self.count += more
                for signs, chart in charts:
                    self.part(signs, chart)
                return
            self.reasons.extend([*reasons, charts])
        self.lower = min(self.lower, found.lower)
        entry["beyond"] = found.branch

    def _charts(
        self, choices: Sequence[Sequence[int]], more: int
    ) -> list[tuple[Sequence[int], Node]] | str:
        """The charts of far faces, or why they are not searched."""
        if self.count + more > _MOST_PARTS:
            return f"the box has more than {_MOST_PARTS} far faces"
        try:
            with self.deadline.guard():
                return [(s, self.box.chart(s)) for s in islice(product(*choices), 1, None)]
        except TimeUpError:
            return TIME_UP
        except TooLargeError as error:
            return str(error)

    def _searched(self, node: Node, bound: Pair) -> tuple[Found, list[str]]:
        """A chart searched, or one that was searched before."""
        parts = (node.kinds, node.weights, node.generators, node.conditions, node.principal, bound)
        key = repr(parts)
        if key not in self._known:
            search = Search(self.deadline)
            found = Found(UNKNOWN, NOTHING, {"open": TIME_UP})
            try:
                with self.deadline.guard():
                    found = search.explore(node, bound)
            except TimeUpError:
                search.reasons.append(TIME_UP)
            self._known[key] = found, search.reasons
        return self._known[key]


def _search(box: Box, deadline: Deadline) -> RLCT:
    sides = box.sides()
    if (count := prod(map(len, sides))) > _MOST_PARTS:
        raise ValueError(
            f"The box falls into {count} parts by the signs of its {len(sides)} variables, more than the "
            f"{_MOST_PARTS} that are searched; ask at points of it with rlct(…, at=…)."
        )
    sweep = _Sweep(box, deadline)
    parts = sorted(product(*sides), key=lambda s: (sum(map(abs, s)), [-x for x in s]))
    for entry in [sweep.part(signs, box.chart(signs)) for signs in parts]:
        sweep.far_faces(entry)
    lower, upper, reasons = sweep.lower, sweep.upper, sweep.reasons
    if lower == NOTHING:
        raise ValueError(
            "The zero set of K does not meet the box, so there is no learning coefficient."
        )
    order = sorted(sweep.strata, key=lambda s: (s.lower.rlct, -(s.lower.multiplicity or 10**6)))
    certificate: dict[str, Any] = {"problem": box.to_json(), "parts": sweep.told}
    found_none = upper == NOTHING
    if found_none:
        size = sum((Fraction(h + 1) for h in box.powers), Fraction(0))
        upper = (max(size, lower[0]), -1)
        reasons.append("no point of the zero set was found in the box")
    proved = lower == upper and not found_none
    scale_of = Fraction(1) if box.principal else Fraction(1, 2)
    floor, ceiling = _bound(scale_of, lower), _bound(scale_of, upper)
    if proved:
        certificate |= {"rlct": str(ceiling.rlct), "multiplicity": ceiling.multiplicity}
    best = next((s.where for s in order if s.upper == ceiling), "a part that is not resolved")
    return RLCT(
        status="proved" if proved else "bounds",
        lower=ceiling if proved else floor,
        upper=ceiling,
        how=f"the least of {len(order)} strata, at {best}",
        certificate=certificate,
        reasons=() if proved else tuple(dict.fromkeys(reasons)) or ("bounds of parts do not meet",),
        strata=tuple(order),
    )


def _bound(scale_of: Fraction, pair: Pair) -> Bound:
    value, minus = pair
    return Bound(scale_of * value, None if minus < -1000 else -minus)
