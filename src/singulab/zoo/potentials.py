"""Losses of two or a few weights whose λ̂ is known at every temperature.

They show what an estimate has to be compared with. Where the multiplicity m exceeds 1, λ̂ approaches λ only
like (m − 1)/log n: x²y² gives .361 at n = 10³ and still .450 at n = 10⁹, where λ = ½.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import loggamma
from torch import Tensor

from singulab.zoo.case import Case, ExactLoss, Labels, Setting, Truth
from singulab.zoo.quadrature import Quadrature, plane_llc

AnyPotential = TypeVar("AnyPotential", bound="Potential")

_NUM_DATA = 10_000


@dataclass(frozen=True, kw_only=True)
class Potential(Case):
    """A loss given as a function of one vector w; there are no data, and n only sets nβ = n/log n."""

    num_data: int = _NUM_DATA
    center: tuple[float, ...]  # w*

    def at(self: AnyPotential, num_data: int) -> AnyPotential:
        """The same loss at another n."""
        return replace(self, num_data=num_data)

    @property
    def num_weights(self) -> int:
        return len(self.center)

    @property
    def truths(self) -> dict[Setting, Truth]:
        """The truth at γ = 1; :meth:`truth` computes any other."""
        return {(self.nbeta, 1.0, "data"): self.truth(1.0)}

    @abstractmethod
    def value(self, w: Float[Tensor, "chain dim"]) -> Float[Tensor, " chain"]:
        """L(w) of every chain."""

    def exact_loss(self, labels: Labels = "data") -> ExactLoss:
        """L itself: L(w*) = 0. There are no labels to replace."""
        self._refuse_labels(labels)
        return ExactLoss(
            lambda weights: self.value(weights["w"]),
            {"w": torch.tensor(self.center, dtype=torch.float64)},
        )

    def _refuse_labels(self, labels: Labels) -> None:
        if labels != "data":
            raise ValueError(
                f"{self.name} has no labels to replace: labels must be 'data', got {labels!r}."
            )


@dataclass(frozen=True, kw_only=True)
class QuadraturePotential(Potential):
    """A loss of two weights with L(w*) = 0, its truth by quadrature."""

    @abstractmethod
    def quadrature(self, localization: float, *, nbeta: float | None = None) -> Quadrature:
        """λ̂, heat capacity, log evidence and radius at (nβ, γ)."""

    def truth(
        self, localization: float, *, nbeta: float | None = None, labels: Labels = "data"
    ) -> Truth:
        """λ̂ at any (nβ, γ)."""
        self._refuse_labels(labels)
        found = self.quadrature(localization, nbeta=nbeta)
        return Truth(
            value=found.llc,
            error=found.error,
            how="numerical",
            source="graded Gauss–Legendre quadrature; the error is the change at the last refinement",
            evidence={"radius_squared": found.radius_squared, "heat_capacity": found.heat_capacity},
        )


@dataclass(frozen=True, kw_only=True)
class PlanePotential(QuadraturePotential):
    """A loss of two weights given by a formula, its valleys along the axes."""

    formula: Callable[[Any, Any], Any]  # L(x, y), for tensors and arrays alike
    asymptotic: tuple[Fraction, int]  # λ and m at w*
    source: str  # how these are known

    @property
    def rlct(self) -> Truth:
        """λ at w*, from the Newton polygon or a sum rule."""
        return Truth(value=float(self.asymptotic[0]), error=0.0, how="proved", source=self.source)

    @property
    def multiplicity(self) -> int:
        return self.asymptotic[1]

    def value(self, w: Float[Tensor, "chain dim"]) -> Float[Tensor, " chain"]:
        return self.formula(w[:, 0], w[:, 1])

    def quadrature(self, localization: float, *, nbeta: float | None = None) -> Quadrature:
        return _plane_quadrature(
            self.formula,
            (self.center[0], self.center[1]),
            self.nbeta if nbeta is None else nbeta,
            localization,
        )


@cache
def _plane_quadrature(
    formula: Callable[[Any, Any], Any],
    center: tuple[float, float],
    nbeta: float,
    localization: float,
) -> Quadrature:
    return plane_llc(formula, center, nbeta=nbeta, localization=localization)


@dataclass(frozen=True, kw_only=True)
class Monomial(Potential):
    """L = Π w_i^{2k_i} around 0, in any number of weights.

    Write e^{−tL} as a Mellin–Barnes integral; the tether is Gaussian, so its moments of |w_i|^{−2ks} are known:

        Z(t) ∝ (1/2πi) ∫ Γ(s) t^{−s} Π_i (γ/2)^{k_i s} Γ(½ − k_i s)/√π ds,   0 < Re s < λ = 1/(2 max k),

    and λ̂ = tE[L] = −t Z′/Z puts a factor s into the integrand. One smooth integral, whatever the dimension.
    """

    exponents: tuple[int, ...]  # k_i ≥ 1; the loss has w_i^{2k_i}

    def __post_init__(self) -> None:
        if not self.exponents or min(self.exponents) < 1 or len(self.exponents) != len(self.center):
            raise ValueError(
                f"A monomial needs one exponent ≥ 1 per weight, got {self.exponents} for "
                f"{len(self.center)} weights."
            )

    @property
    def rlct(self) -> Truth:
        """1/(2 max k)."""
        return Truth(
            value=1 / (2 * max(self.exponents)),
            error=0.0,
            how="proved",
            source="normal crossing: λ = 1/(2 max k), m = how often the maximum occurs",
        )

    @property
    def multiplicity(self) -> int:
        return self.exponents.count(max(self.exponents))

    def value(self, w: Float[Tensor, "chain dim"]) -> Float[Tensor, " chain"]:
        factors = [w[:, index] ** (2 * k) for index, k in enumerate(self.exponents)]
        return torch.stack(factors).prod(dim=0)

    def truth(
        self, localization: float, *, nbeta: float | None = None, labels: Labels = "data"
    ) -> Truth:
        """λ̂ at any (nβ, γ) to about ten digits."""
        self._refuse_labels(labels)
        value = monomial_llc(self.exponents, self.nbeta if nbeta is None else nbeta, localization)
        return Truth(
            value=value,
            error=1e-10,
            how="computed exactly",
            source="Mellin–Barnes integral over a vertical line, trapezoidal rule",
        )


def monomial_llc(exponents: tuple[int, ...], nbeta: float, localization: float) -> float:
    """λ̂ = nβ E[Π w_i^{2k_i}] under exp(−nβ Π w_i^{2k_i} − γ/2‖w‖²); see :class:`Monomial`."""
    rlct = 1 / (2 * max(exponents))
    # Near the pole that rules at low temperature, or half way to the one at 0: elsewhere large terms cancel.
    steepness = math.log(nbeta) - sum(exponents) * math.log(localization / 2)
    gap = 1 / max(steepness, 2 / rlct)
    step = gap / 8  # the trapezoidal rule errs by e^{−2π·8}
    s = rlct - gap + 1j * step * np.arange(math.ceil(60 / step))
    log_terms = loggamma(s) - s * math.log(nbeta)
    for k in exponents:
        log_terms = log_terms + k * s * math.log(localization / 2) + loggamma(0.5 - k * s)
    # Values at conjugate points are conjugate: sum the real part over the upper half.
    terms = np.exp(log_terms - log_terms[0].real)
    terms[0] /= 2
    return float((s * terms).real.sum() / terms.real.sum())


def _plane(
    name: str,
    formula: Callable[[Any, Any], Any],
    asymptotic: tuple[Fraction, int],
    source: str,
    center: tuple[float, float] = (0.0, 0.0),
) -> PlanePotential:
    return PlanePotential(
        name=name, formula=formula, asymptotic=asymptotic, source=source, center=center
    )


_CROSSING = "normal crossing: λ = 1/(2 max k), m = how often the maximum occurs"
_POWERS = "sum of powers in separate variables: λ = Σ 1/a_i"

PLANE_POTENTIALS: tuple[PlanePotential, ...] = (
    _plane("x^2+y^2", lambda x, y: x**2 + y**2, (Fraction(1), 1), _POWERS),
    _plane("x^2+y^4", lambda x, y: x**2 + y**4, (Fraction(3, 4), 1), _POWERS),
    _plane("x^2+y^6", lambda x, y: x**2 + y**6, (Fraction(2, 3), 1), _POWERS),
    _plane("x^2y^2", lambda x, y: x**2 * y**2, (Fraction(1, 2), 2), _CROSSING),
    _plane(
        "x^2y^2 at (0,1)",
        lambda x, y: x**2 * y**2,
        (Fraction(1, 2), 1),
        "at (0, 1) the factor y² is a unit, so locally the loss is x²",
        center=(0.0, 1.0),
    ),
    _plane(
        "x^2y^2+x^4",
        lambda x, y: x**2 * y**2 + x**4,
        (Fraction(1, 2), 2),
        "x²(x² + y²): one blow-up gives u⁴v²(…) with Jacobian u, so ½ occurs twice",
    ),
    _plane("x^4y^4", lambda x, y: x**4 * y**4, (Fraction(1, 4), 2), _CROSSING),
    _plane("x^2y^4", lambda x, y: x**2 * y**4, (Fraction(1, 4), 1), _CROSSING),
)

MONOMIALS: tuple[Monomial, ...] = tuple(
    Monomial(
        name="monomial-" + "-".join(map(str, exponents)),
        exponents=exponents,
        center=(0.0,) * len(exponents),
    )
    for exponents in ((1,), (2,), (1, 1), (1, 2), (2, 3), (1, 1, 1), (1, 2, 3), (1, 1, 2, 2))
)
