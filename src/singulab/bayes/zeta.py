"""The zeta function ζ(z) = ∫ K^z φ of a loss, its poles, and the state density v(ε) = dV/dε.

Its largest pole is −λ, of order m: V(ε), ζ and the free energy are one object, seen through the Mellin and the
Laplace transform.
"""

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from singulab.bayes.box import Box, Loss, Sides, finite, loss_on
from singulab.bayes.cubature import cubature
from singulab.bayes.volume import VolumeCurve

_FINEST = 1e-30  # δ, the scale below which w is linear in s
_TINY, _MOST_TINY = (
    10.0,
    0.05,
)  # s of weights so small, and the share of an integral that may come from there
# Away from the axes a zero is resolved to rounding: side of a cell near it, and the share of an integral that may
# come from such cells, for a value and for a pole.
_FINE = 1e-10
_MOST_FINE, _MOST_FINE_POLE = 0.01, 0.3
_LEAST = 1e-300  # of a loss that is told from 0
_NEAREST, _FARTHEST, _POINTS = 0.12, 0.7, 7  # of z to the pole, as shares of λ
_GUESSES = 8
_SOUND, _STILL = (
    0.01,
    0.005,
)  # largest residual of a pole, and its largest relative change in the last round
_ROUNDS = 6  # of moving the points to the pole that was found


@dataclass(frozen=True)
class MonomialZeta:
    """ζ of K = Π w_j^{k_j} on [−1, 1]^d with density ∝ Π |w_j|^{h_j}: Π (h_j + 1)/(k_j z + h_j + 1), for |w_j|."""

    exponents: tuple[int, ...]  # k_j
    prior: tuple[int, ...]  # h_j

    def __post_init__(self) -> None:
        if len(self.exponents) != len(self.prior) or not self.exponents:
            raise ValueError("A monomial needs exponents, and as many of its prior.")
        for k in (*self.exponents, *self.prior):
            if not isinstance(k, numbers.Integral) or isinstance(k, bool):
                raise ValueError(
                    f"Exponents are whole numbers, got {self.exponents} and {self.prior}."
                )
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
    return MonomialZeta(tuple(exponents), tuple([0] * len(exponents) if prior is None else prior))


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
        relative_error: of the integral, between 0 and 1.

    Raises:
        ValueError: more than two dimensions, a negative loss, z at or left of the pole, or so near to it that rounding
            of the weights matters, which is sooner where K vanishes away from the axes; z or ``relative_error`` that
            is no such number.
    """
    if not finite(z):
        raise ValueError(f"z is a finite number, got {z!r}.")
    if not (finite(relative_error) and 0 < relative_error < 1):
        raise ValueError(f"relative_error lies between 0 and 1, got {relative_error!r}.")
    return _integral(loss, float(z), box, float(relative_error), _MOST_FINE)


def _integral(
    loss: str | Loss,
    z: float,
    box: "int | Sides | Box | None",
    relative_error: float,
    most_fine: float,
) -> float:
    """As :func:`zeta`, with a share of it that may come from cells as small as rounding."""
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
        if np.isnan(values).any():
            raise ValueError("The loss is not a number at some point of the box.")
        log_measure = np.log(_FINEST * np.cosh(s)).sum(axis=1)
        logs = z * np.log(np.maximum(values, _LEAST))
        if z > 0:
            logs = np.where(values > 0, logs, -1e4)
        return logs + log_measure, values

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
    lost = (found.values < _LEAST) & (z < 0)
    cell = (found.log_weights - found.u) / sides.dim
    fine = cell < scales.log_volume / sides.dim + math.log(_FINE)
    for where, most in ((tiny | lost, _MOST_TINY), (fine, most_fine)):
        if np.exp(found.log_weights[where] - found.log_integral).sum() > most:
            raise ValueError(sentence)
    log_zeta = found.log_integral - sides.log_volume
    if log_zeta > math.log(np.finfo(float).max):
        raise ValueError(f"ζ is larger than floating point holds at z = {z:g}.")
    return math.exp(log_zeta)


def zeta_pole(
    loss: str | Loss, box: "int | Sides | Box | None" = None, *, guess: float | None = None
) -> Pole:
    """The largest pole of ζ and its order, from values of ζ right of it.

    Near a pole of order m, ζ(z)^{−1/m} is analytic with a simple zero there: a parabola through some values has
    its root at −λ. The order is the one whose parabola fits best.

    Args:
        loss: as in :func:`zeta`.
        box: as in :func:`zeta`.
        guess: a number above 0 near λ to start from; default half the dimension, or less where ζ is infinite there.

    Raises:
        ValueError: as :func:`zeta`; a guess that is not above 0; or no pole was found: the values do not lie on such a
            parabola, or its root does not stand still or is not below 0.
    """
    if guess is not None and not (finite(guess) and guess > 0):
        raise ValueError(f"guess is a finite number above 0, near λ, got {guess!r}.")
    _, sides = loss_on(loss, box)
    rlct = _first_guess(loss, sides) if guess is None else float(guess)
    best: Pole | None = None
    change = math.inf
    for _ in range(_ROUNDS):
        z = -rlct + rlct * np.linspace(_NEAREST, _FARTHEST, _POINTS)
        try:
            values = np.array([_integral(loss, float(x), sides, 1e-5, _MOST_FINE_POLE) for x in z])
        except ValueError as error:
            if "does not settle" not in str(error):
                raise
            raise ValueError(f"No pole was found near {-rlct:g}. {error}") from error
        fits = {order: _root(z, values ** (-1 / order)) for order in range(1, sides.dim + 1)}
        order = min(fits, key=lambda m: fits[m][1])
        others = {m: fit[1] for m, fit in fits.items() if m != order}
        best = Pole(fits[order][0], order, fits[order][1], others)
        change = abs(-best.value / rlct - 1)
        if change < 1e-3 or not best.value < 0:
            break
        rlct = -best.value
    assert best is not None
    if not (best.value < 0 and best.residual < _SOUND and change < _STILL):
        raise ValueError(
            f"No pole was found: the fit ends at {best.value:.4g} with a residual of {best.residual:.2g}. Has the loss "
            "a zero in the box? If so, give guess, a number near λ."
        )
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
    for _ in range(_GUESSES):
        try:
            _integral(loss, (_NEAREST - 1) * rlct, sides, 1e-5, _MOST_FINE_POLE)
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
