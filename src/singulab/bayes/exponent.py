"""λ and m from a volume curve: every way in which its slope may arrive, weighed by how well it fits."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from singulab.bayes.approach import KINDS, Slopes, approaches
from singulab.bayes.box import Box, Loss, Sides
from singulab.bayes.splitting import Splitting
from singulab.bayes.volume import Method, VolumeCurve, volume_curve
from singulab.fits import Fits, kind_shares, mixture, mixture_quantile

BLOCK = 3  # levels that are joined into one point of the fit, fewer if the curve is short
LEAST = 4  # points of a fit
_TOLL = 2  # in units of log weight, for each point left out
_TEMPER = 1.7  # the weights of kinds are flattened: neighbouring points are not quite independent
SUSPECTED = 0.9  # weight of the fits with a logarithm
# λ lies above d/2 where the median of all fits does, by so many of their errors and such a share of d/2.
_ERRORS_ABOVE, _SHARE_ABOVE = 3.0, 1e-3
_REACH = 12.0  # errors beyond every fit that has weight: there a mixture without a bound ends


@dataclass(frozen=True, kw_only=True)
class VolumeExponent:
    """λ of V(ε) ~ c·ε^λ (log 1/ε)^(m−1), and what the curve says of m."""

    value: float  # λ: the median over all ways to get there
    se: float  # half the distance of the 16 % and 84 % quantiles
    low: float  # 16 % quantile
    high: float  # 84 % quantile
    multiplicity: str  # "m = 1 plausible" or "m > 1 suspected", with the alternative
    kinds: dict[str, float]  # weight of "arrived", "power" and "logarithm" among the fits
    misfit: float  # χ² of the best fit …
    num_points: int  # … and how many points it goes through
    curve: VolumeCurve

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Normal interval around the value."""
        z = float(norm.ppf(0.5 + level / 2))
        return self.value - z * self.se, self.value + z * self.se

    @property
    def above(self) -> bool:
        """Whether λ lies above d/2: the loss has a kink, or its minimum lies on the boundary only."""
        return self.value > self.curve.box.dim / 2

    @property
    def told(self) -> str:
        """Value ± error, the error with two digits."""
        if not (math.isfinite(self.value) and self.se > 0):
            return f"{self.value:.4f} ± {self.se:.4f}"
        places = min(max(2, 1 - math.floor(math.log10(self.se))), 12)
        return f"{self.value:.{places}f} ± {self.se:.{places}f}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "exponent": self.value,
            "se": self.se,
            "above": self.above,
            "low": self.low,
            "high": self.high,
            "multiplicity": self.multiplicity,
            "kinds": dict(self.kinds),
            "misfit": self.misfit,
            "num_points": self.num_points,
            "curve": self.curve.to_dict(),
        }

    def figure(self, loss: "str | Loss | None" = None) -> Any:
        """The log–log line, beside the sublevel sets if a loss of two weights is given."""
        from singulab.report import bayes_figure

        return bayes_figure.volume(self, loss)

    def __str__(self) -> str:
        bound = self.curve.box.dim / 2
        above = (
            f", above d/2 = {bound:g} (a kink, or a minimum on the boundary)" if self.above else ""
        )
        return f"λ = {self.told}{above} over {self.curve.decades:.1f} decades of volume; {self.multiplicity}"


def volume_exponent(
    loss: str | Loss,
    box: "int | Sides | Box | None" = None,
    *,
    method: Method = "auto",
    minimum: float | None = None,
    splitting: Splitting | None = None,
    num_levels: int | None = None,
    seed: int = 0,
) -> VolumeExponent:
    """λ from the volume of {L < L_min + ε}: the learning coefficient of the box, without any algebra.

    The local slope d log V/d log ε tends to λ in one of the ways of :mod:`singulab.bayes.approach`: it has arrived, a
    next pole fades, a pole of order m goes like (m − 1)/log 1/ε, or both. Every one of them is fitted, through all
    points and without the first few, and weighted by half of −χ²/2 − parameters − 2·points left out, in the exponent;
    the value is the median of this mixture on 0 < λ ≤ d/2, the error its spread.

    What a careful reader would get wrong: it is the least λ of the whole box, with the largest m; for a local
    value take a small box. The bound d/2 holds at interior minima of smooth losses. With a kink, or where the minimum
    lies on the boundary only, λ may be larger: if the fits say so by more than three errors, the value is their
    median without the bound, and ``above`` is true. And m is not measured: m = 2 and m = 3 look alike, and two
    close poles look like a logarithm.

    Args:
        loss: a formula such as ``"x**2*y**2"``, or a function of an array of points (…, dim) with values (…).
        box: dimension of [−1, 1]^dim, or (low, high) of each weight; a formula may go without.
        method: as in :func:`volume_curve`.
        minimum: L_min; None finds it: 0 if the loss comes near 0, else by descent.
        splitting: as in :func:`volume_curve`.
        num_levels: as in :func:`volume_curve`.
        seed: of all randomness.

    Returns:
        λ with its error, and the curve. NaN if the curve is too short for a fit.

    Source: Watanabe (2009), Algebraic Geometry and Statistical Learning Theory, for V(ε).
    """
    curve = volume_curve(
        loss, box, method=method, minimum=minimum, splitting=splitting, num_levels=num_levels,
        seed=seed,
    )  # fmt: skip
    return fitted(curve)


def fitted(curve: VolumeCurve) -> VolumeExponent:
    """The exponent of a curve that is at hand; see :func:`volume_exponent`."""
    slopes, top = _slopes(curve), curve.box.dim / 2
    if slopes is None:
        return VolumeExponent(
            value=math.nan, se=math.nan, low=0.0, high=top, misfit=math.nan, num_points=0,
            multiplicity="not known: the curve is too short", kinds={}, curve=curve,
        )  # fmt: skip
    fits = [
        fit
        for first in range(len(slopes.slope) - LEAST + 1)
        for fit in approaches(slopes.without(first), curve.box.dim)
    ]
    information = np.array([fit.information(_TOLL) for fit in fits])
    best = fits[int(information.argmax())]
    # Points further off than their errors allow: a curve that no form fits has larger errors than it says.
    scale = max(1.0, best.least / max(best.num_points - best.num_parameters, 1))
    shares = np.exp((information - information.max()) / (_TEMPER * scale))
    values, errors, weights = mixture(fits, shares)
    errors = errors * math.sqrt(scale)
    middle, low, high = _quantiles(values, errors, weights, top)
    kinds = kind_shares(fits, shares, KINDS)
    return VolumeExponent(
        value=middle,
        se=(high - low) / 2,
        low=low,
        high=high,
        multiplicity=_verdict(kinds),
        kinds=kinds,
        misfit=best.least,
        num_points=best.num_points,
        curve=curve,
    )


def _quantiles(values: Fits, errors: Fits, weights: Fits, top: float) -> tuple[float, float, float]:
    """Median, 16 % and 84 % quantile of the fits on [0, top], or without top if they lie clearly above it."""
    held = weights > 1e-12 * weights.sum()
    end = float((values + _REACH * errors)[held].max())
    for bound in (max(end, top), top):
        middle, low, high = (
            mixture_quantile(share, values, errors, weights, bound)
            for share in (0.5, norm.cdf(-1), norm.cdf(1))
        )
        if middle - top > max(_ERRORS_ABOVE * (high - low) / 2, _SHARE_ABOVE * top):
            break
    return middle, low, high


def _verdict(kinds: dict[str, float]) -> str:
    if kinds["logarithm"] >= SUSPECTED:
        return "m > 1 suspected (two poles close to each other would look the same)"
    if kinds["logarithm"] <= 1 - SUSPECTED:
        return "m = 1 plausible"
    return "m = 1 plausible, m > 1 not excluded"


def _slopes(curve: VolumeCurve) -> Slopes | None:
    """Slopes of blocks of levels with their errors; None if there are too few."""
    last = len(curve.log_epsilon) - 1
    if last < LEAST:
        return None
    block = max(1, min(BLOCK, last // (LEAST + 2)))
    edges = last - block * np.arange(last // block, -1, -1)
    heights = curve.log_epsilon[0] - curve.log_epsilon
    start, stop = heights[edges[:-1]], heights[edges[1:]]
    if not (stop > start).all():
        return None
    fall = -np.diff(curve.log_volume[edges])
    errors = np.sqrt(np.add.reduceat(curve.step_se[1 : edges[-1] + 1] ** 2, edges[:-1] - edges[0]))
    return Slopes(start, stop, fall / (stop - start), errors / (stop - start))
