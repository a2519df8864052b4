"""What is asked: an ideal in coordinates at a point, on an orthant or a neighbourhood, with a prior."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from singulab.exact.cone import Cone
from singulab.exact.deadline import Deadline, TimeUpError
from singulab.exact.node import Node
from singulab.exact.parse import (
    NotAPolynomialError,
    Rational,
    expand,
    integral,
    moved,
    names,
    rational,
    read,
    squares,
)
from singulab.exact.polynomial import Polynomial, from_json, to_json
from singulab.exact.zeros import factored_square

Interval = tuple[Any, Any]
_MOST_VARIABLES = 100


class NotZeroError(ValueError):
    """The point is not on the zero set of K, so K is bounded below near it."""


@dataclass(frozen=True)
class Problem:
    """An ideal at the origin.

    λ of the problem is ``scale``·λ_I: the scale is ½ where K = Σ fᵢ² and 1 where K itself is the generator.
    """

    variables: tuple[str, ...]  # of the ideal, by their names in the input
    shifts: tuple[Fraction, ...]  # the point
    mirrored: tuple[bool, ...]  # whether the coordinate is point − w
    onesided: tuple[bool, ...]  # whether the coordinate is restricted to w ≥ 0
    powers: tuple[int, ...]  # h, of a prior Π|w|^h
    generators: tuple[Polynomial, ...]
    principal: bool  # the one generator is K itself

    @property
    def scale(self) -> Fraction:
        return Fraction(1) if self.principal else Fraction(1, 2)

    def node(self) -> Node:
        """The first chart."""
        n = len(self.variables)
        return Node(
            kinds="".join("x" if one else "y" for one in self.onesided),
            weights=tuple(Fraction(h + 1) for h in self.powers),
            cone=Cone.orthant(n),
            generators=self.generators,
            principal=self.principal,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "variables": list(self.variables),
            "point": [str(s) for s in self.shifts],
            "mirrored": [int(m) for m in self.mirrored],
            "onesided": [int(o) for o in self.onesided],
            "powers": list(self.powers),
            "generators": [to_json(g) for g in self.generators],
            "principal": self.principal,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Problem":
        return cls(
            tuple(data["variables"]),
            tuple(Fraction(s) for s in data["point"]),
            tuple(map(bool, data["mirrored"])),
            tuple(map(bool, data["onesided"])),
            tuple(data["powers"]),
            tuple(from_json(g) for g in data["generators"]),
            data["principal"],
        )


def mapping(given: Any, what: str, example: str) -> dict[str, Any]:
    """What is given by variable, as a dictionary from names."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{what} must be a mapping such as {example}, got {given!r:.60}.")
    return {str(name): value for name, value in given.items()}


def of_loss(
    expression: Any,
    at: Mapping[str, Any] | None,
    domain: Mapping[str, Interval] | None,
    prior: Any,
    deadline: Deadline | None = None,
) -> Problem:
    """K as text or sympy expression; a sum of squares that is written as one becomes its ideal."""
    syntax = read(expression)
    variables = names(syntax)
    parts = squares(syntax, variables)
    whole = parts if parts is not None else [expand(syntax, variables)]
    problem = _problem(variables, whole, parts is None, at, domain, prior)
    return _root(problem, deadline or Deadline(1.0)) if problem.principal else problem


def of_ideal(
    generators: Sequence[Any],
    at: Mapping[str, Any] | None,
    domain: Mapping[str, Interval] | None,
    prior: Any,
) -> Problem:
    """Generators f₁, … of which K = Σ fᵢ²."""
    if isinstance(generators, str) or not isinstance(generators, Sequence):
        raise NotAPolynomialError(
            f"rlct_of_ideal wants a list of generators such as ['x*y', 'z^2'], got {generators!r:.60}."
        )
    if not generators:
        raise NotAPolynomialError("An ideal needs at least one generator, got none.")
    read_all = [read(g) for g in generators]
    variables = sorted({v for syntax in read_all for v in names(syntax)})
    return _problem(variables, [expand(s, variables) for s in read_all], False, at, domain, prior)


def _problem(
    variables: Sequence[str],
    polynomials: Sequence[Rational],
    principal: bool,
    at: Mapping[str, Any] | None,
    domain: Mapping[str, Interval] | None,
    prior: Any,
) -> Problem:
    if len(variables) > _MOST_VARIABLES:
        raise NotAPolynomialError(
            f"{len(variables)} variables are more than the {_MOST_VARIABLES} that are searched; a formula "
            f"(exact.formulas) may know the model."
        )
    at = {} if at is None else mapping(at, "at", "{'x': 1}")
    domain = {} if domain is None else mapping(domain, "domain", "{'x': (0, None)}")
    for name in (*at, *domain):
        if name not in variables:
            raise NotAPolynomialError(
                f"The symbol {name!r} is unknown; the variables are {', '.join(variables) or 'none'}."
            )
    if not any(polynomials):
        raise NotAPolynomialError(
            "The polynomial is zero everywhere, so no learning coefficient exists."
        )
    point = [rational(at.get(v, 0), f"The value of {v}") for v in variables]
    mirrored, onesided = [], []
    for v, value in zip(variables, point, strict=True):
        low, high = interval(domain.get(v, (None, None)), v)
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(
                f"The point lies outside the domain: {v} = {value}, allowed {low} to {high}."
            )
        mirrored.append(high is not None and value == high)
        onesided.append(value in (low, high))
    powers = _prior(prior, variables, point)
    here = [moved(p, point, [-1 if m else 1 for m in mirrored]) for p in polynomials]
    zero = (0,) * len(variables)
    if any(p.get(zero) for p in here):
        told = (
            ", ".join(f"{v} = {x}" for v, x in zip(variables, point, strict=True)) or "every point"
        )
        raise NotZeroError(f"K is not 0 at {told}; give a point of its zero set with `at`.")
    used = [i for i in range(len(variables)) if any(a[i] for p in here for a in p) or powers[i]]
    return Problem(
        tuple(variables[i] for i in used),
        tuple(point[i] for i in used),
        tuple(mirrored[i] for i in used),
        tuple(onesided[i] for i in used),
        tuple(powers[i] for i in used),
        tuple(integral({tuple(a[i] for i in used): c for a, c in p.items()}) for p in here if p),
        principal,
    )


def interval(given: Any, name: str) -> tuple[Fraction | None, Fraction | None]:
    """(low, high) with None for no bound."""
    try:
        low, high = given
        if isinstance(given, str | Mapping | set):
            raise TypeError
    except (TypeError, ValueError):
        raise ValueError(
            f"The domain of {name} must be a pair (low, high), None for no bound, got {given!r}."
        ) from None
    ends = tuple(
        None if end is None else rational(end, f"A bound of {name}") for end in (low, high)
    )
    if ends[0] is not None and ends[1] is not None and ends[0] >= ends[1]:
        raise ValueError(f"The domain of {name} is empty or a point: {ends[0]} to {ends[1]}.")
    return ends[0], ends[1]


def _prior(prior: Any, variables: Sequence[str], point: Sequence[Fraction]) -> list[int]:
    """Powers h of a monomial prior at the point."""
    if prior is None:
        return [0] * len(variables)
    syntax = read(prior)
    density = expand(syntax, variables)
    if len(density) != 1:
        raise ValueError(
            f"The prior must be a monomial such as x^2*y (a factor that does not vanish at the point changes "
            f"nothing), got {str(prior)!r:.60}."
        )
    (powers,) = density
    return [h if value == 0 else 0 for h, value in zip(powers, point, strict=True)]


def of_polynomials(
    variables: Sequence[str],
    polynomials: Sequence[Rational],
    at: Mapping[str, Any] | None,
    domain: Mapping[str, Interval] | None,
    prior: Any,
) -> Problem:
    """Generators that are polynomials of those variables already."""
    return _problem(variables, polynomials, False, at, domain, prior)


def _root(problem: Problem, deadline: Deadline) -> Problem:
    """K = c·g² becomes the ideal (g)."""
    root = root_of(problem.generators[0], deadline)
    return problem if root is None else replace(problem, generators=(root,), principal=False)


def root_of(k: Polynomial, deadline: Deadline) -> Polynomial | None:
    """G with k = c·g², c > 0, if it is found within a second."""
    try:
        with deadline.sooner(1.0).alarm():
            return factored_square(k)
    except TimeUpError:
        return None
