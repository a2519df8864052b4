"""What is known about a learning coefficient: its value, or bounds with reasons, and how it is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

Certificate = Mapping[str, Any]


@dataclass(frozen=True)
class Bound:
    """A pair (λ, m) in the order of volume: the smaller is the more singular.

    V(ε) ~ c·ε^λ (log 1/ε)^(m−1), so a smaller λ, or the same λ with a larger m, has more volume near 0.
    Where m is not known, a lower bound holds whatever m is and an upper bound says nothing of m; such a pair
    is compared as if m were 1.
    """

    rlct: Fraction
    multiplicity: int | None = None

    @property
    def _order(self) -> tuple[Fraction, int]:
        return self.rlct, -(self.multiplicity or 1)

    def __lt__(self, other: "Bound") -> bool:
        return self._order < other._order

    def __le__(self, other: "Bound") -> bool:
        return self._order <= other._order

    def __gt__(self, other: "Bound") -> bool:
        return self._order > other._order

    def __ge__(self, other: "Bound") -> bool:
        return self._order >= other._order

    def __str__(self) -> str:
        told = "" if self.multiplicity is None else f", m = {self.multiplicity}"
        return f"λ = {self.rlct}{told}"

    def to_dict(self) -> dict[str, Any]:
        return {"rlct": str(self.rlct), "multiplicity": self.multiplicity}


@dataclass(frozen=True)
class Stratum:
    """A part of a zero set, with the least pair on it."""

    where: str  # such as "x = 0, y > 0"
    lower: Bound
    upper: Bound | None  # None if no point of it was found

    def __str__(self) -> str:
        if self.upper == self.lower:
            return f"{self.where}: {self.lower}"
        return f"{self.where}: {self.lower} at least, {self.upper or 'nothing known'} at most"


@dataclass(frozen=True, kw_only=True)
class RLCT:
    """The real log canonical threshold λ and its multiplicity m, never as a guess.

    V(ε) = vol{K < ε} ~ c·ε^λ (log 1/ε)^(m−1). λ is that of K, also where generators f₁, … were given: then
    K = Σ fᵢ². With ``status="bounds"`` the value lies in the order of :class:`Bound` between ``lower`` and
    ``upper``, and ``reasons`` say what could not be resolved.
    """

    status: Literal["proved", "bounds"]
    lower: Bound  # the pair (λ, m) is not below this one
    upper: Bound  # nor above this one
    how: str  # the argument in one line
    certificate: Certificate | None = (
        None  # JSON: a tree of steps that a checker replays, or a citation
    )
    reasons: tuple[str, ...] = ()  # what keeps the bounds apart
    strata: tuple[
        Stratum, ...
    ] = ()  # parts of the zero set, the most singular first, if a box was asked for

    def __post_init__(self) -> None:
        if self.lower > self.upper:
            raise ValueError(
                f"The lower bound {self.lower} lies above the upper bound {self.upper}."
            )
        if self.status == "proved" and self.lower != self.upper:
            raise ValueError(
                f"A proved value needs equal bounds, got {self.lower} and {self.upper}."
            )

    @classmethod
    def proved(
        cls,
        value: Fraction,
        multiplicity: int | None,
        *,
        how: str,
        certificate: Certificate | None = None,
    ) -> "RLCT":
        """A value that is known; ``multiplicity=None`` if a source states λ alone."""
        pair = Bound(Fraction(value), multiplicity)
        return cls(status="proved", lower=pair, upper=pair, how=how, certificate=certificate)

    @property
    def value(self) -> Fraction | None:
        """λ if it is proved."""
        return self.upper.rlct if self.status == "proved" else None

    @property
    def multiplicity(self) -> int | None:
        """The multiplicity m if it is proved."""
        return self.upper.multiplicity if self.status == "proved" else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON, fractions as text."""
        return {
            "rlct": None if self.value is None else str(self.value),
            "multiplicity": self.multiplicity,
            "status": self.status,
            "lower": self.lower.to_dict(),
            "upper": self.upper.to_dict(),
            "how": self.how,
            "reasons": list(self.reasons),
            "strata": [str(stratum) for stratum in self.strata],
            "certificate": None if self.certificate is None else dict(self.certificate),
        }

    def explain(self) -> str:
        """A derivation to follow step by step, as text."""
        from singulab.exact.derivation import derivation

        return derivation(self)

    def __str__(self) -> str:
        if self.status == "proved":
            return f"{self.upper}, proved: {self.how}"
        return f"{self.lower} at least, {self.upper} at most: {self.how}"
