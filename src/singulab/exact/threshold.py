"""The learning coefficient of a polynomial at a point: search, bounds, certificate."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from singulab.exact.deadline import Deadline
from singulab.exact.node import NOTHING, Pair
from singulab.exact.polynomial import Polynomial
from singulab.exact.problem import Interval, Problem, of_ideal, of_loss
from singulab.exact.result import RLCT, Bound
from singulab.exact.search import Found, Search


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
        ValueError: not a polynomial, zero, negative near the point, not zero at the point, unknown symbols.

    Source: S. Watanabe, Algebraic Geometry and Statistical Learning Theory (2009); the recursion is proved in
    docs/exact.md.

    Example:
        >>> str(rlct("(y^2 - x^3)^2").value)
        '5/12'
    """
    return solve(of_loss(expression, at, domain, prior), time_limit)


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
    return solve(of_ideal(generators, at, domain, prior), time_limit)


def solve(problem: Problem, time_limit: float) -> RLCT:
    """The result for a problem, whatever the time allows."""
    if not isinstance(time_limit, int | float) or isinstance(time_limit, bool) or not time_limit > 0:
        raise ValueError(f"time_limit must be a positive number of seconds, got {time_limit!r}.")
    search = Search(Deadline(float(time_limit)), principal=problem.principal)
    found = search.explore(problem.node(), NOTHING)
    return result(problem, found, search)


def result(problem: Problem, found: Found, search: Search) -> RLCT:
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
            certificate={**certificate, "rlct": str(upper.rlct), "multiplicity": upper.multiplicity},
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
    return Bound(problem.scale * value + Fraction(problem.squared, 2), m)


def _floor(problem: Problem) -> Bound:
    """rank/2 + 1/(order of the rest), see docs/exact.md; with m open."""
    orders = [min(sum(a) for a in g) for g in problem.generators]
    linear = [g for g, order in zip(problem.generators, orders, strict=True) if order == 1]
    del linear
    return Bound(problem.scale * Fraction(1, min(orders)) + Fraction(problem.squared, 2))


__all__ = ["Polynomial", "replace", "rlct", "rlct_of_ideal", "solve"]
