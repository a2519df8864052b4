"""The learning coefficient at infinite nβ, from measurements at several finite ones."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2, norm

from singulab.estimate.llc import NOTHING, Estimate
from singulab.fits import Approach, intercepts, kind_shares, mixture, mixture_quantile

Numbers = Float[np.ndarray, " point"]

LEAST = 4  # points of a fit
MISFIT = 1e-3  # probability of so large a χ² of the best fit below which there is no limit
_TOLL = 1  # in units of log weight, for each point left out
_EXPONENTS = np.geomspace(1e-4, 2.0, 400)  # κ
_NEAREST, _FARTHEST = 0.05, 15.0  # log nβ + c at the first point, and c at most
_SHIFTS = 400  # how many c


@dataclass(frozen=True)
class Limit:
    """λ at infinite nβ: the median over all ways to get there, and how far they differ."""

    llc: Estimate  # mcse: of the best fit alone; bias_se: what the other fits add
    low: float  # 16 % and 84 % quantiles
    high: float
    kinds: dict[str, float]  # weight of "arrived", "power" and "logarithm" among the fits
    misfit: float  # χ² of the best fit …
    num_points: int  # … and how many points, those of the largest nβ, it goes through

    def to_dict(self) -> dict[str, Any]:
        return {
            "llc": self.llc.to_dict(),
            "low": self.low,
            "high": self.high,
            "kinds": dict(self.kinds),
            "misfit": self.misfit,
            "num_points": self.num_points,
        }


def limit(nbeta: Sequence[float], estimates: Sequence[Estimate], *, num_weights: int) -> Limit:
    """λ = lim λ_eff(nβ) for nβ → ∞ at one γ, averaged over every way in which λ_eff can get there.

    Z(nβ) = ∫ exp(−nβL − γ/2·|δ|²) dw has an asymptotic series in (nβ)^{−λ_k}·(log nβ)^{m_k − 1}, and
    λ_eff = −d log Z/d log nβ. To leading order therefore

        λ_eff = λ                            where it has arrived,
        λ_eff = λ + a·(nβ)^{−κ}              where the leading pole is simple,
        λ_eff = λ − (m − 1)/(log nβ + c)     where it has order m = 2 … d,

    with κ < 2, and c < 15: it is the logarithm of a ratio of volumes, and a larger one would be no more than an
    offset. With κ, or c and m, held fixed the best λ has a closed form with error σ and misfit χ². The shapes
    of one kind are weighted with exp(−χ²/2); the kinds, with p parameters, through all points and through
    all but the first k, with exp(−χ²/2 − p − k) at their least χ². The value is the median of this mixture
    on 0 ≤ λ ≤ d/2, the bound that every L obeys.

    What a careful reader would get wrong: this is an extrapolation. It is narrow only if the points reach
    to where λ_eff has nearly arrived; over a few decades a power law with small κ and a logarithm look alike,
    and then the error says so. The multiplicity is averaged over, not found.

    Args:
        nbeta: temperatures, four or more different ones.
        estimates: λ_eff at each, with independent errors; those that are not finite are left out.
        num_weights: d.

    Returns:
        The limit; NaN where fewer than four points are finite or no fit goes through the last four.

    Source: Watanabe (2009), Algebraic Geometry and Statistical Learning Theory, for the series; Jay & Neil
        (2021), Phys. Rev. D 103, arXiv:2008.01069, for the weights.
    """
    if len(nbeta) != len(estimates):
        raise ValueError(f"{len(nbeta)} temperatures need as many estimates, got {len(estimates)}.")
    points = sorted(
        (t, e.value, e.se)
        for t, e in zip(nbeta, estimates, strict=True)
        if math.isfinite(e.value) and math.isfinite(e.se) and e.se > 0
    )
    if len({t for t, _, _ in points}) < LEAST:
        return _nothing(num_weights)
    t, y, errors = (np.array(column) for column in zip(*points, strict=True))
    fits = [
        fit
        for first in range(len(t) - LEAST + 1)
        for fit in _fits(np.log(t[first:]), y[first:], errors[first:], num_weights)
    ]
    information = np.array([fit.information(_TOLL) for fit in fits])
    best = fits[int(information.argmax())]
    if chi2.sf(best.least, best.num_points - 2) < MISFIT:
        return _nothing(num_weights)
    shares = np.exp(information - information.max())
    fitted = mixture(fits, shares)
    middle, low, high = (
        mixture_quantile(share, *fitted, num_weights / 2)
        for share in (0.5, norm.cdf(-1), norm.cdf(1))
    )
    reach = max(high - middle, middle - low)
    alone = min(float(best.error[best.misfit.argmin()]), reach)
    return Limit(
        llc=Estimate(middle, alone, math.sqrt(reach**2 - alone**2)),
        low=low,
        high=high,
        kinds=kind_shares(fits, shares, (fit.kind for fit in fits)),
        misfit=best.least,
        num_points=best.num_points,
    )


def _nothing(num_weights: int) -> Limit:
    return Limit(NOTHING, 0.0, num_weights / 2, {}, math.nan, 0)


def _fits(x: Numbers, y: Numbers, errors: Numbers, num_weights: int) -> Iterator[Approach]:
    """Every kind of approach; x = log nβ."""
    weights, far = errors**-2.0, x - x[0]
    mean, alone = y @ weights / weights.sum(), weights.sum() ** -0.5
    misfit = (y - mean) ** 2 @ weights
    yield Approach(np.array([mean]), np.array([alone]), np.array([misfit]), len(x), 1, "arrived")
    yield Approach(*intercepts(np.exp(-_EXPONENTS[:, None] * far), y, weights), len(x), 3, "power")
    shifts = np.geomspace(_NEAREST, max(x[0] + _FARTHEST, 2 * _NEAREST), _SHIFTS)
    for order in range(1, num_weights):
        levels = y + order / (far + shifts[:, None])
        values = levels @ weights / weights.sum()
        misfits = (levels - values[:, None]) ** 2 @ weights
        yield Approach(values, np.full_like(values, alone), misfits, len(x), 2, "logarithm")
