"""A chart: variables and where they live, generators with their tails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from singulab.exact.checker.cone import Vector, cone_rays, orthant
from singulab.exact.polynomial import Polynomial, inner

Pair = tuple[Fraction, int]  # λ of the ideal, −m
Bounds = tuple[Pair, Pair]  # below and above


class Known(NamedTuple):
    """A chart that needs no tree."""

    low: Pair
    high: Pair


NEVER: Pair = (Fraction(10**9), -1)  # of an ideal that does not vanish


@dataclass(frozen=True)
class Chart:
    """Variables y, x, u, f, c as in the search; the cone is {ω: ⟨c, ω⟩ ≥ 0 for all walls c}.

    It is real if a point of it is known.
    """

    kinds: str
    weights: tuple[Fraction, ...]  # h + 1 of the small variables, which come first
    walls: tuple[Vector, ...]
    gens: tuple[Polynomial, ...]
    tails: tuple[frozenset[Vector], ...]  # of each generator: monomials times unknown functions
    offset: Fraction = Fraction(0)
    conditions: tuple[Polynomial, ...] = ()  # positive
    factors: tuple[Polynomial, ...] = ()  # of conditions, so that they have no zero either
    root: tuple[list[int], Fraction, Fraction] | None = None  # relation and interval of c
    real: bool = True
    principal: bool = False  # K ≥ 0 itself, up to a factor of one sign
    tell: Callable[..., None] | None = None  # hears of each chart, as ``check`` says

    @property
    def n(self) -> int:
        return len(self.weights)

    @property
    def units(self) -> list[int]:
        return [i for i, kind in enumerate(self.kinds) if kind == "u"]

    def bounded(self, a: Sequence[int], *, small: bool = False) -> bool:
        """Whether the monomial is bounded, or small, where the chart lives."""
        plain = self.walls == orthant(self.n)
        values = a if plain else [inner(r, a) for r in cone_rays(self.walls, self.n)]
        return min(values, default=0) >= 0 and (not small or any(values))

    def alone(self, v: int) -> bool:
        """Whether the cone is a product with the half-line of v."""
        return all(not w[v] or sum(map(bool, w)) == 1 for w in self.walls)

    def coordinate(self, v: int) -> bool:
        """Whether v is small, of both signs, without prior and apart from the others."""
        return self.kinds[v] == "y" and self.weights[v] == 1 and self.alone(v)
