"""The learning coefficient of a polynomial at a point: search, bounds, certificate."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

from singulab.exact.cone import NewtonPolyhedron, TooManyFacesError
from singulab.exact.deadline import Deadline, TimeUpError
from singulab.exact.found import UNKNOWN, Found
from singulab.exact.node import NOTHING, Node, Pair, newton_pair
from singulab.exact.parse import reading
from singulab.exact.problem import Interval, Problem, of_ideal, of_loss
from singulab.exact.result import RLCT, Bound
from singulab.exact.search import TIME_UP, Search
from singulab.exact.sign_change import NegativeError, refuse_sign_change
from singulab.exact.sparse import sparser

_MOST_SHEARED = 16  # variables in which other coordinates are looked for
_FIRST = 0.3  # share of the time for the coordinates as they are given


def rlct(
    expression: Any,
    at: Mapping[str, Any] | None = None,
    *,
    domain: Mapping[str, Interval] | None = None,
    prior: Any = None,
    time_limit: float = 10.0,
) -> RLCT:
    """λ and m of a polynomial K ≥ 0 with rational coefficients at a point where it is 0.

    V(ε) = vol{K < ε, near the point} ~ c·ε^λ (log 1/ε)^(m−1), over the reals. K written as a sum of squares,
    as in ``"(x*y)^2 + z^4"``, is treated as the ideal of what is squared, which resolves more than the same K
    multiplied out. That K ≥ 0 is not proved, but an error says so where negative values are met.

    Args:
        expression: K as text or as a sympy expression; floats are refused.
        at: the point, by variable; others are 0.
        domain: (low, high) by variable, None for no bound. Where the point lies on a bound, only that side
            counts, and λ may be larger than d/2.
        prior: a monomial that the prior density behaves like, such as ``"x^2"``; default a positive density.
        time_limit: seconds, after which bounds are returned.

    Returns:
        ``status="proved"`` with a certificate that :func:`check` replays, or ``status="bounds"`` with reasons.

    Raises:
        ValueError: not a polynomial, zero, negative near the point, not zero at the point, unknown symbols, or
            not multiplied out within the time.
        TypeError: ``at`` or ``domain`` is no mapping.

    Source: S. Watanabe, Algebraic Geometry and Statistical Learning Theory (2009); the recursion is proved in
    docs/exact.md.

    Example:
        >>> str(rlct("(y^2 - x^3)^2").value)
        '5/12'
    """
    deadline = Deadline.after(time_limit)
    with reading(deadline):
        problem = of_loss(expression, at, domain, prior, deadline)
    return solve(problem, deadline)


def rlct_of_ideal(
    generators: Sequence[Any],
    at: Mapping[str, Any] | None = None,
    *,
    domain: Mapping[str, Interval] | None = None,
    prior: Any = None,
    time_limit: float = 10.0,
) -> RLCT:
    """λ and m of K = f₁² + … + f_k², given by its generators; see :func:`rlct`.

    λ is that of K, so it is half of what is called the threshold of the ideal.

    Args:
        generators: f₁, …, f_k as texts or sympy expressions.
        at: the point, by variable; others are 0.
        domain: (low, high) by variable.
        prior: a monomial that the prior density behaves like.
        time_limit: seconds, after which bounds are returned.

    Example:
        >>> found = rlct_of_ideal(["x*y", "z*w"])
        >>> str(found.value), found.multiplicity
        ('1', 3)
    """
    deadline = Deadline.after(time_limit)
    with reading(deadline):
        problem = of_ideal(generators, at, domain, prior)
    return solve(problem, deadline)


def solve(problem: Problem, deadline: Deadline) -> RLCT:
    """The result for a problem, whatever the time allows."""
    time_limit = deadline.left
    if problem.principal:
        with suppress(TimeUpError, TooManyFacesError), deadline.guard():
            refuse_negative(problem)
    several = len(problem.variables) <= _MOST_SHEARED
    first = deadline.sooner(time_limit * _FIRST) if several else deadline
    found, search = _attempt(problem.node(), first, [])
    if found.lower != found.upper and several and not any(problem.onesided):
        try:
            with deadline.guard():
                node, steps = sparser(problem.node(), deadline.sooner(time_limit * _FIRST))
        except TimeUpError:
            steps = []
        again = _attempt(node, deadline, steps) if steps else None
        if again is not None and (again[0].lower == again[0].upper or again[0].upper < found.upper):
            found, search = again
        elif found.upper > found.lower and TIME_UP in search.reasons:
            again = _attempt(problem.node(), deadline, [])
            if again[0].upper <= found.upper:
                found, search = again
    if found.upper == NOTHING:
        found.upper = _ceiling(problem)
    return result(problem, found, search)


def _attempt(node: Node, deadline: Deadline, steps: list[Any]) -> tuple[Found, Search]:
    """One search within its time."""
    search = Search(deadline)
    found = Found(UNKNOWN, NOTHING, {"open": TIME_UP})
    try:
        with deadline.guard():
            found = search.explore(node, NOTHING)
    except TimeUpError:
        search.reasons.append(TIME_UP)
    branch = {**found.branch, "steps": [*steps, *found.branch.get("steps", [])]}
    return Found(found.lower, found.upper, branch if branch["steps"] else found.branch), search


def result(problem: Problem, found: Found, search: Search) -> RLCT:
    """What a search found, as a result."""
    lower, upper = _bound(problem, found.lower), _bound(problem, found.upper)
    floor = _floor(problem)
    if lower < floor:
        lower = floor
    certificate = {"problem": problem.to_json(), "tree": found.branch}
    if found.lower == found.upper:
        charts = "one chart" if search.charts == 1 else f"{search.charts} charts"
        return RLCT(
            status="proved",
            lower=upper,
            upper=upper,
            how=f"Newton polyhedra of the generators in {charts}, no face with a zero left open",
            certificate={
                **certificate,
                "rlct": str(upper.rlct),
                "multiplicity": upper.multiplicity,
            },
        )
    reasons = tuple(dict.fromkeys(search.reasons)) or ("bounds of different charts do not meet",)
    return RLCT(
        status="bounds",
        lower=lower,
        upper=upper,
        how="the charts that could be resolved",
        certificate=certificate,
        reasons=reasons,
    )


def _bound(problem: Problem, pair: Pair) -> Bound:
    value, minus_m = pair
    m = None if minus_m < -1000 else -minus_m
    return Bound(problem.scale * value, m)


def _floor(problem: Problem) -> Bound:
    """1/order of K, m open; see docs/exact.md."""
    return Bound(problem.scale / min(sum(a) for g in problem.generators for a in g))


def _ceiling(problem: Problem) -> Pair:
    """An upper bound at little cost: the Newton pair, or that of one weight for all variables."""
    node = problem.node()
    grace = Deadline(0.5)
    try:
        with grace.guard():
            return newton_pair(NewtonPolyhedron(node.exponents(), node.cone), node.weights)
    except (TimeUpError, TooManyFacesError):
        order = min(sum(a) for g in problem.generators for a in g)
        return sum(node.weights, Fraction(0)) / order, -1


def refuse_negative(problem: Problem) -> None:
    """An error if a vertex of the Newton polyhedron shows K to be negative somewhere near the point."""
    node = problem.node()
    (k,) = problem.generators
    polyhedron = NewtonPolyhedron(list(k), node.cone)
    faces = [face for face in polyhedron.bounded_faces() if face.dimension == 0]
    refuse_sign_change(node, [face.points[0] for face in faces])
    if all(k[face.points[0]] < 0 for face in faces):
        raise NegativeError(
            "K is negative wherever it is not 0; a minimum is wanted, such as that of -K."
        )
