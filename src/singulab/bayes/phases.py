"""Phases of a posterior: its wells as n grows, with λ, m and the constant of Watanabe's free energy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from singulab.bayes.posterior import Posterior, PosteriorAt

_REFERENCE = 100.0  # the constant of a phase is read off where n is so many times the n of interest
_HELD = 0.1  # mass of a phase whose particles say enough of it


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A well as n grows: F(n) = n·L + λ log n − (m − 1) log log n + c."""

    name: str
    center: tuple[float, ...]
    loss: float  # L at its minimum
    prior_density: float  # there
    rlct: float  # λ of the loss in this well
    multiplicity: int  # m
    constant: float  # c
    how: str  # how λ and m are known

    def free_energy(self, n: float) -> float:
        """The asymptotic formula; NaN for n ≤ 1 if m > 1, where log log n is no number."""
        order = 0.0
        if self.multiplicity > 1:
            order = (self.multiplicity - 1) * math.log(math.log(n)) if n > 1 else math.nan
        return n * self.loss + self.rlct * math.log(n) - order + self.constant

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "center": list(self.center),
            "loss": self.loss,
            "prior_density": self.prior_density,
            "rlct": self.rlct,
            "multiplicity": self.multiplicity,
            "constant": self.constant,
            "how": self.how,
        }


@dataclass(frozen=True, kw_only=True)
class FreeEnergy:
    """F at one n, exact and by Watanabe's formula."""

    n: float
    exact: float  # −log evidence
    phases: Mapping[str, float]  # −log of the part of each well, exact
    formula: Mapping[str, float]  # n·L + λ log n − (m − 1) log log n + c of each


def phases_of(posterior: "Posterior", n: float) -> tuple[Phase, ...]:
    """See :meth:`singulab.bayes.Posterior.phases`."""
    from singulab.bayes.local import local_coefficient

    found = []
    if not posterior.integrates:
        posterior.along([n])
    for index, well in enumerate(posterior.wells.wells):
        center = np.array(well.center)
        rlct, multiplicity, how = local_coefficient(posterior, index)
        phase = Phase(
            name=well.name,
            center=well.center,
            loss=well.loss,
            prior_density=float(np.exp(posterior.log_prior(center[None])[0])),
            rlct=rlct,
            multiplicity=multiplicity,
            constant=0.0,
            how=how,
        )
        at = _reference(posterior, well.name, n)
        constant = at[well.name].free_energy - phase.free_energy(at.n)
        found.append(Phase(**{**vars(phase), "constant": constant}))
    return tuple(found)


def _reference(posterior: "Posterior", name: str, n: float) -> "PosteriorAt":
    """Where the constant of a phase is read off: far beyond n, or as far as particles still hold the phase."""
    if posterior.integrates:
        return posterior.at(n * _REFERENCE)
    held = [known for known in posterior.known_n if posterior.at(known).mass(name) >= _HELD]
    return posterior.at(max(held, default=n))
