"""The least learning coefficient over the zero set in a box.

The box is cut by the signs of its variables: each is near 0, positive, or negative, apart from 0 but bounded.
On each part the search of a point goes through as it is, with the variables that are not near 0 in the part of
torus coordinates: what is found there is the least over all their values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

from singulab.exact.cone import Cone
from singulab.exact.deadline import Deadline, TimeUpError
from singulab.exact.found import UNKNOWN, Found
from singulab.exact.node import NOTHING, Node
from singulab.exact.parse import NotAPolynomialError, expand, integral, moved, names, read, squares
from singulab.exact.polynomial import Polynomial, take, to_json
from singulab.exact.problem import Interval, interval
from singulab.exact.result import RLCT, Bound, Stratum
from singulab.exact.search import TIME_UP, Search
from singulab.exact.zeros import factored_square, witness

_MOST_PARTS = 3000


def rlct_over(
    expression: Any, box: Mapping[str, Interval], *, prior: Any = None, time_limit: float = 10.0
) -> RLCT:
    """The least (λ, m) over the zero set of K in a box, and the strata that the box was cut into.

    The prior is positive on the box unless it is a monomial that vanishes somewhere. Zeros outside the box
    count for the lower bound only where they cannot be told apart from those inside.

    Args:
        expression: K as text or sympy expression, or a list of generators, K = Σ fᵢ².
        box: (low, high) for each variable; None for no bound.
        prior: a monomial that the prior behaves like where it vanishes.
        time_limit: seconds for all of the box; what was not searched by then stays a bound.

    Returns:
        The least pair; ``strata`` lists the parts of the zero set, the most singular first.

    Raises:
        ValueError: as in :func:`rlct`, or the zero set does not meet the box.

    Example:
        >>> found = rlct_over("(x*y)^2", {"x": (-1, 1), "y": (-1, 1)})
        >>> str(found.value), found.multiplicity, found.strata[0].where
        ('1/2', 2, 'x = 0, y = 0')
    """
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
    if principal and (root := factored_square(generators[0])) is not None:
        generators, principal = [root], False
    powers = [0] * len(variables)
    if prior is not None:
        density = expand(read(prior), variables)
        if len(density) != 1:
            raise ValueError(f"The prior must be a monomial such as x^2*y, got {str(prior)!r:.60}.")
        (exponents,) = density
        powers = [h if o == 0 else 0 for h, o in zip(exponents, origin, strict=True)]
    return _search(variables, generators, principal, ends, origin, powers, time_limit)


def _origin(low: Fraction | None, high: Fraction | None) -> Fraction:
    """0 if it is in the interval, else an end of it."""
    if low is not None and low > 0:
        return low
    if high is not None and high < 0:
        return high
    return Fraction(0)


def _search(
    variables: Sequence[str],
    generators: list[Polynomial],
    principal: bool,
    ends: Sequence[tuple[Fraction | None, Fraction | None]],
    origin: Sequence[Fraction],
    powers: Sequence[int],
    time_limit: float,
) -> RLCT:
    if (
        not isinstance(time_limit, int | float)
        or isinstance(time_limit, bool)
        or not time_limit > 0
    ):
        raise ValueError(f"time_limit must be a positive number of seconds, got {time_limit!r}.")
    scale = Fraction(1) if principal else Fraction(1, 2)
    choices = []
    for (low, high), o in zip(ends, origin, strict=True):
        sides = [0]
        sides += [1] if high is None or high > o else []
        sides += [-1] if low is None or low < o else []
        choices.append(sides)
    count = 1
    for sides in choices:
        count *= len(sides)
    if count > _MOST_PARTS:
        raise ValueError(
            f"The box falls into {count} parts by the signs of its {len(choices)} variables, more than the "
            f"{_MOST_PARTS} that are searched; ask at points of it with rlct(…, at=…)."
        )
    deadline = Deadline(float(time_limit))
    lower, upper = NOTHING, NOTHING
    strata, told, reasons = [], [], []
    known: dict[str, tuple[Any, Any, Any]] = {}
    for signs in sorted(product(*choices), key=lambda s: (sum(map(abs, s)), [-x for x in s])):
        node = part(generators, principal, ends, origin, powers, signs)
        key = repr((node.kinds, node.weights, node.generators, node.conditions))
        if key in known:
            found = known[key]
        else:
            search = Search(deadline)
            result = Found(UNKNOWN, NOTHING, {"open": TIME_UP})
            try:
                with deadline.guard():
                    result = search.explore(node, NOTHING)
            except TimeUpError:
                search.reasons.append(TIME_UP)
            reasons.extend(search.reasons)
            found = known[key] = (result.lower, result.upper, result.branch)
        lower, upper = min(lower, found[0]), min(upper, found[1])
        entry = {"signs": list(signs), "tree": found[2]}
        if node.witness is not None:
            entry["witness"] = [str(x) for x in node.witness]
        told.append(entry)
        if found[0] != NOTHING:
            where = ", ".join(
                _where(v, o, s) for v, o, s in zip(variables, origin, signs, strict=True)
            )
            high_pair = None if found[1] == NOTHING else _bound(scale, found[1])
            strata.append(Stratum(where, _bound(scale, found[0]), high_pair))
    if lower == NOTHING:
        raise ValueError(
            "The zero set of K does not meet the box, so there is no learning coefficient."
        )
    order = sorted(strata, key=lambda s: (s.lower.rlct, -(s.lower.multiplicity or 10**6)))
    certificate: dict[str, Any] = {
        "problem": {
            "variables": list(variables),
            "origin": [str(o) for o in origin],
            "box": [[None if e is None else str(e) for e in pair] for pair in ends],
            "powers": list(powers),
            "generators": [to_json(g) for g in generators],
            "principal": principal,
        },
        "parts": told,
    }
    found_none = upper == NOTHING
    if found_none:
        size = sum((Fraction(h + 1) for h in powers), Fraction(0))
        upper = (max(size, lower[0]), -1)
        reasons.append("no point of the zero set was found in the box")
    proved = lower == upper and not found_none
    floor, ceiling = _bound(scale, lower), _bound(scale, upper)
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


def part(
    generators: Sequence[Polynomial],
    principal: bool,
    ends: Sequence[tuple[Fraction | None, Fraction | None]],
    origin: Sequence[Fraction],
    powers: Sequence[int],
    signs: Sequence[int],
) -> Node:
    """The chart where each variable, seen from its origin, is small, positive or negative."""
    size = len(signs)
    near = [i for i in range(size) if not signs[i]]
    far = [i for i in range(size) if signs[i]]
    flipped = [i for i in far if signs[i] < 0]
    order = [*near, *far]
    made = tuple(
        take({a: -c if sum(a[i] for i in flipped) % 2 else c for a, c in g.items()}, order)
        for g in generators
    )
    conditions = []
    for k, i in enumerate(far):
        low, high = ends[i]
        end = high if signs[i] > 0 else low
        if end is not None:
            reach = abs(end - origin[i])
            index = len(near) + k
            axis = tuple(int(j == index) for j in range(size))
            conditions.append({(0,) * size: reach.numerator, axis: -reach.denominator})
    node = Node(
        kinds="".join("x" if origin[i] in ends[i] else "y" for i in near) + "u" * len(far),
        weights=tuple(Fraction(powers[i] + 1) for i in near),
        cone=Cone.orthant(len(near)),
        generators=made,
        conditions=tuple(conditions),
        principal=principal,
    )
    return replace(node, witness=witness(node))


def _where(name: str, origin: Fraction, sign: int) -> str:
    return f"{name} {'=><'[sign]} {origin}"


def _bound(scale: Fraction, pair: Any) -> Bound:
    value, minus = pair
    return Bound(scale * value, None if minus < -1000 else -minus)
