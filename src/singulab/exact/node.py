"""One chart of a resolution: variables, where they live, and the generators there.

Variables come in this order:

    y   small, of both signs
    x   small and positive; the log-directions of all small variables lie in a cone
    f   free: real and bounded
    u   positive, bounded and bounded away from 0
    c   at most one, a fixed real algebraic integer

A generator may end in a tail: a sum of the monomials of ``tails`` in the small variables, each times an
unknown analytic function. Nothing that is proved depends on what these are.

``weights`` are h + 1, where the measure is Π|w|^h du over the small variables w. The chart adds ``offset``
to λ of its ideal (generators that became coordinates of their own). ``conditions`` are polynomials in u and
c that are positive where the chart lives, and ``witness`` is such a point, if one is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from singulab.exact.cone import Cone, NewtonPolyhedron, rank
from singulab.exact.deadline import tick
from singulab.exact.polynomial import (
    Polynomial,
    coefficients,
    divide,
    evaluate,
    inner,
    occurring,
    primitive,
    reduce,
)

Pair = tuple[
    Fraction, int
]  # λ of the ideal and −m, so that the order of tuples is the order of volume
NOTHING: Pair = (Fraction(10**9), -1)  # of an ideal that does not vanish


@dataclass(frozen=True)
class Root:
    """A real root of a monic irreducible integer polynomial, in an interval with rational ends."""

    relation: tuple[int, ...]  # coefficients, lowest first
    low: Fraction
    high: Fraction

    def refined(self) -> "Root":
        middle = (self.low + self.high) / 2
        if (self._at(self.low) > 0) == (self._at(middle) > 0):
            return replace(self, low=middle)
        return replace(self, high=middle)

    def _at(self, value: Fraction) -> Fraction:
        return sum((c * value**k for k, c in enumerate(self.relation)), Fraction(0))

    def to_json(self) -> dict[str, Any]:
        return {"relation": list(self.relation), "low": str(self.low), "high": str(self.high)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Root":
        return cls(tuple(data["relation"]), Fraction(data["low"]), Fraction(data["high"]))


@dataclass(frozen=True)
class Node:
    """A chart."""

    kinds: str
    weights: tuple[Fraction, ...]  # of the small variables
    cone: Cone
    generators: tuple[Polynomial, ...]
    offset: Fraction = Fraction(0)
    conditions: tuple[Polynomial, ...] = ()
    factors: tuple[Polynomial, ...] = ()  # of the conditions, so that they have no zero either
    root: Root | None = None
    tails: tuple[frozenset[tuple[int, ...]], ...] = ()  # of each generator; () if there are none
    principal: bool = False  # the one generator is K ≥ 0 itself, up to a factor of one sign
    witness: tuple[Fraction, ...] | None = field(default=(), compare=False)

    @property
    def small(self) -> int:
        return len(self.weights)

    @property
    def units(self) -> list[int]:
        return [i for i, kind in enumerate(self.kinds) if kind == "u"]

    def normal(self, p: Polynomial) -> Polynomial:
        """Returns p up to a unit, with the algebraic number reduced."""
        if self.root is not None:
            p = reduce(p, len(self.kinds) - 1, self.root.relation)
        return primitive(p, self.units)

    def normal_constant(self, p: Polynomial) -> Polynomial:
        """Returns p with the algebraic number reduced, and nothing else."""
        return p if self.root is None else reduce(p, len(self.kinds) - 1, self.root.relation)

    def coefficient_sign(self, p: Polynomial) -> int:
        """The sign of a number: a nonzero polynomial in the algebraic number alone."""
        if self.root is None:
            return 1 if next(iter(p.values())) > 0 else -1
        root = self.root
        while True:
            low = high = Fraction(0)
            for a, c in p.items():
                ends = [c * root.low ** a[-1], c * root.high ** a[-1]]
                if a[-1] and a[-1] % 2 == 0 and root.low < 0 < root.high:
                    ends.append(Fraction(0))
                low, high = low + min(ends), high + max(ends)
            if low > 0 or high < 0:
                return 1 if low > 0 else -1
            root = root.refined()

    def one_sign(self, p: Polynomial) -> int:
        """+1 or −1 if all coefficients of p have that sign, so that p has it for positive variables; else 0."""
        if not p or ("f" in self.kinds and any(self.kinds[i] == "f" for i in occurring(p))):
            return 0
        if self.root is None:
            values = p.values()
            return 1 if min(values) > 0 else -1 if max(values) < 0 else 0
        parts: dict[tuple[int, ...], Polynomial] = {}
        for a, c in p.items():
            parts.setdefault(a[:-1], {})[a] = c
        signs = {self.coefficient_sign(part) for part in parts.values()}
        return signs.pop() if len(signs) == 1 else 0

    def nonzero(self, p: Polynomial) -> bool:
        """Whether p plainly has no zero where the chart lives: it is one-signed up to factors of conditions."""
        if self.one_sign(p):
            return True
        for q in self.factors if p else ():
            while (quotient := divide(p, q)) is not None:
                p = quotient
        return bool(self.one_sign(p))

    def tail(self, i: int) -> frozenset[tuple[int, ...]]:
        return self.tails[i] if self.tails else frozenset()

    def exponents(self) -> list[tuple[int, ...]]:
        known = [a[: self.small] for g in self.generators for a in g]
        return known + [a for tail in self.tails for a in tail]

    def leading(self, i: int) -> tuple[int, ...] | None:
        """The small exponents m where generator i is the monomial m times a unit."""
        return self._leadings[i]

    @cached_property
    def _leadings(self) -> list[tuple[int, ...] | None]:
        return [self._leading(i) for i in range(len(self.generators))]

    def _leading(self, i: int) -> tuple[int, ...] | None:
        tick()
        parts: dict[tuple[int, ...], Polynomial] = {}
        for a, c in self.generators[i].items():
            parts.setdefault(a[: self.small], {})[a] = c
        if not parts:
            return None
        middle = self.cone.middle
        m = min(parts, key=lambda a: inner(a, middle))
        if not self.nonzero(parts[m]):
            return None
        for a in (*parts, *self.tail(i)):
            if a == m and a in self.tail(i):
                return None
            if not self.cone.bounds([e - f for e, f in zip(a, m, strict=True)]):
                return None
        return m

    def monomials(self) -> list[tuple[int, ...]]:
        """Small exponents of the generators that are a monomial times a unit."""
        return [m for m in self._leadings if m is not None]

    def satisfied(self, point: Sequence[Fraction]) -> bool:
        """Whether the conditions hold at values of the u."""
        return all(self.sign_at(c, point) > 0 for c in self.conditions)

    def sign_at(self, p: Polynomial, point: Sequence[Fraction]) -> int:
        """The sign of a polynomial in u and c at values of the u."""
        if self.root is None:
            value = evaluate(p, (*(0 for _ in self.weights), *point))
            return (value > 0) - (value < 0)
        index = len(self.kinds) - 1
        parts = {
            e: evaluate(part, (*(0 for _ in self.weights), *point, 0))
            for e, part in coefficients(p, index).items()
        }
        common = 1
        for value in parts.values():
            common *= value.denominator
        number = {(0,) * index + (e,): int(value * common) for e, value in parts.items() if value}
        number = reduce(number, index, self.root.relation)
        return self.coefficient_sign(number) if number else 0


def newton_pair(polyhedron: NewtonPolyhedron, weights: Sequence[Fraction]) -> Pair:
    """λ and −m of the monomial ideal: λ = min ⟨ω, h+1⟩/N(ω) over facet normals, m the rank of the minimal ones."""
    ratios = [(inner(ray, weights) / least, ray) for ray, least in polyhedron.normals if least > 0]
    if not ratios:
        return NOTHING
    value = min(ratio for ratio, _ in ratios)
    return Fraction(value), -rank([ray for ratio, ray in ratios if ratio == value])
