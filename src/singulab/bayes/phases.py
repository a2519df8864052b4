"""Phases of a posterior: its wells as n grows, with λ, m and the constant of Watanabe's free energy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from singulab.bayes.posterior import Posterior

_REFERENCE = 100.0  # the constant of a phase is read off where n is so many times the n of interest


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
        """The asymptotic formula."""
        return (
            n * self.loss
            + self.rlct * math.log(n)
            - (self.multiplicity - 1) * math.log(math.log(n))
            + self.constant
        )

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
    far = n * _REFERENCE
    at = posterior.at(far) if posterior.integrates else posterior.along([n])[0]
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
        constant = at[well.name].free_energy - phase.free_energy(at.n)
        found.append(Phase(**{**vars(phase), "constant": constant}))
    return tuple(found)
