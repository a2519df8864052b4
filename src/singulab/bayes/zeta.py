"""The zeta function ζ(z) = ∫ K^z φ of a loss, its poles, and the state density v(ε) = dV/dε.

Its largest pole is −λ, of order m: V(ε), ζ and the free energy are one object, seen through the Mellin and the
Laplace transform.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from singulab.bayes.box import Box, Loss, Sides, loss_on
from singulab.bayes.cubature import cubature
from singulab.bayes.volume import VolumeCurve

_FINEST = 1e-30  # δ, the scale below which w is linear in s
_TINY, _MOST_TINY = (
    10.0,
    0.05,
)  # s of weights so small, and the share of an integral that may come from there
_NEAREST, _FARTHEST, _POINTS = 0.12, 0.7, 7  # of z to the pole, as shares of λ
_ROUNDS = 6  # of moving the points to the pole that was found


@dataclass(frozen=True)
class MonomialZeta:
    """ζ of K = Π w_j^{k_j} on [−1, 1]^d with density ∝ Π |w_j|^{h_j}: Π (h_j + 1)/(k_j z + h_j + 1), for |w_j|."""

    exponents: tuple[int, ...]  # k_j
    prior: tuple[int, ...]  # h_j

    def __post_init__(self) -> None:
        if len(self.exponents) != len(self.prior) or not self.exponents:
            raise ValueError("A monomial needs exponents, and as many of its prior.")
        if min(self.exponents) < 0 or min(self.prior) < 0 or max(self.exponents) == 0:
            raise ValueError(
                f"Exponents are ≥ 0 and one is above 0, got {self.exponents} and {self.prior}."
            )

    def __call__(self, z: float) -> float:
        """The analytic continuation; infinite at a pole."""
        total = 1.0
        for k, h in zip(self.exponents, self.prior, strict=True):
            factor = k * z + h + 1
            if factor == 0:
                return math.inf
            total *= (h + 1) / factor
        return total

    @property
    def poles(self) -> tuple[tuple[Fraction, int], ...]:
        """Pole and order, the largest pole first."""
        found: dict[Fraction, int] = {}
        for k, h in zip(self.exponents, self.prior, strict=True):
            if k:
                pole = -Fraction(h + 1, k)
                found[pole] = found.get(pole, 0) + 1
        return tuple(sorted(found.items(), reverse=True))


def monomial_zeta(exponents: Sequence[int], prior: Sequence[int] | None = None) -> MonomialZeta:
    """ζ of a monomial, exactly.

    Example:
        >>> monomial_zeta([2, 2]).poles
        ((Fraction(-1, 2), 2),)
    """
    return MonomialZeta(tuple(exponents), tuple(prior or [0] * len(exponents)))


class Pole(NamedTuple):
    """The largest pole of ζ by fit."""

    value: float  # −λ
    order: int  # m
    residual: float  # of ζ^{−1/m} against a parabola in z, relative; small where the order is right
    others: dict[int, float]  # residual of each other order


def zeta(
    loss: str | Loss,
    z: float,
    box: "int | Sides | Box | None" = None,
    *,
    relative_error: float = 1e-6,
) -> float:
    """ζ(z) = ∫ K^z φ for z > −λ, with uniform φ, in one or two dimensions.

    The integral is taken over s with w = δ sinh(s), which spreads the scales around 0 evenly.

    Args:
        loss: K ≥ 0, as in :func:`singulab.bayes.volume_curve`.
        z: right of the largest pole: ζ is infinite at it and the integral does not converge.
        box: as in :func:`singulab.bayes.volume_curve`.
        relative_error: of the integral.

    Raises:
        ValueError: more than two dimensions, a negative loss, or z at or left of the pole.
    """
    function, sides = loss_on(loss, box)
    if sides.dim > 2:
        raise ValueError(f"ζ is computed in one and two dimensions, got {sides.dim}.")
    scales = Box(np.arcsinh(sides.lower / _FINEST), np.arcsinh(sides.upper / _FINEST))

    def density(
        s: Float[np.ndarray, "node dim"],
    ) -> tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]]:
        # Below δ the loss is held where it is at δ: what is left out there is far below a thousandth.
        held = np.where(np.abs(s) < 1, np.where(s < 0, -1.0, 1.0), s)
        values = np.asarray(function(_FINEST * np.sinh(held)))
        if (values < 0).any():
            raise ValueError("ζ is that of a loss ≥ 0; subtract its minimum.")
        log_measure = np.log(_FINEST * np.cosh(s)).sum(axis=1)
        return z * np.log(np.maximum(values, 1e-300)) + log_measure, values

    sentence = (
        f"The integral of K^z does not settle at z = {z:g}: z lies at or left of the largest pole −λ or too near "
        "to it, or K vanishes along a curve that is neither an axis nor parallel to one."
    )
    try:
        found = cubature(density, scales, np.empty((0, sides.dim)), relative_error=relative_error)
    except ValueError as error:
        if "settle" not in str(error):
            raise
        raise ValueError(sentence) from error
    # A divergent integral has its weight at the smallest weights that are told apart.
    tiny = (np.abs(found.nodes) < _TINY).any(axis=1)
    if np.exp(found.log_weights[tiny] - found.log_integral).sum() > _MOST_TINY:
        raise ValueError(sentence)
    return math.exp(found.log_integral - sides.log_volume)


def zeta_pole(
    loss: str | Loss, box: "int | Sides | Box | None" = None, *, guess: float | None = None
) -> Pole:
    """The largest pole of ζ and its order, from values of ζ right of it.

    Near a pole of order m, ζ(z)^{−1/m} is analytic with a simple zero there: a parabola through some values has
    its root at −λ. The order is the one whose parabola fits best.

    Args:
        loss: as in :func:`zeta`.
        box: as in :func:`zeta`.
        guess: a number near λ to start from; default half the dimension, the largest that it can be.
    """
    _, sides = loss_on(loss, box)
    rlct = sides.dim / 2 if guess is None else float(guess)
    best: Pole | None = None
    if guess is None:
        rlct = _first_guess(loss, sides)
    for _ in range(_ROUNDS):
        z = -rlct + rlct * np.linspace(_NEAREST, _FARTHEST, _POINTS)
        values = np.array([zeta(loss, float(x), sides, relative_error=1e-5) for x in z])
        fits = {order: _root(z, values ** (-1 / order)) for order in range(1, sides.dim + 1)}
        order = min(fits, key=lambda m: fits[m][1])
        others = {m: fit[1] for m, fit in fits.items() if m != order}
        best = Pole(fits[order][0], order, fits[order][1], others)
        if abs(-best.value / rlct - 1) < 1e-3:
            break
        rlct = -best.value
    assert best is not None
    return best


def state_density(
    curve: VolumeCurve,
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """ε and v(ε) = dV/dε ~ c·ε^{λ−1}(log 1/ε)^{m−1}, from the levels of a volume curve.

    Args:
        curve: what :func:`singulab.bayes.volume_curve` returns.

    Returns:
        ε in the middle (geometric) of each two levels, and the density there.
    """
    epsilon, volume = curve.epsilon, curve.volume
    middle = np.sqrt(epsilon[1:] * epsilon[:-1])
    # dV/dε = (V/ε)·d log V/d log ε, steady where V is nearly a power.
    slope = np.diff(curve.log_volume) / np.diff(np.log(epsilon))
    return middle, slope * np.sqrt(volume[1:] * volume[:-1]) / middle


def _first_guess(loss: str | Loss, sides: Box) -> float:
    """Largest of some λ ≤ d/2 for which ζ can be computed a little right of −λ."""
    rlct = sides.dim / 2
    for _ in range(8):
        try:
            zeta(loss, (_NEAREST - 1) * rlct, sides, relative_error=1e-5)
        except ValueError as error:
            if "does not settle" not in str(error):
                raise
            rlct *= 0.75
        else:
            return rlct
    return rlct


def _root(z: Float[np.ndarray, " point"], y: Float[np.ndarray, " point"]) -> tuple[float, float]:
    """Root of the best parabola next to the left end, and its misfit."""
    coefficients = np.polyfit(z, y, 2)
    misfit = float(np.abs(np.polyval(coefficients, z) - y).max() / np.abs(y).max())
    roots = np.roots(coefficients)
    real = roots.real[np.abs(roots.imag) < 1e-9]
    if not len(real):
        return float(z[0]), math.inf
    return float(real[np.abs(real - z[0]).argmin()]), misfit
