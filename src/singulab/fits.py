"""Intercepts of many straight lines at once, kinds of fits, and quantiles of a mixture of their normal laws."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.stats import norm

Fits = Float[np.ndarray, " fit"]

_NOTHING = 1e-12  # probability below which a mixture has no mass in its interval


class Approach(NamedTuple):
    """One kind of approach to λ through some of the points: a fit for every shape."""

    value: Fits  # λ
    error: Fits
    misfit: Fits  # χ²
    num_points: int
    num_parameters: int
    kind: str

    @property
    def least(self) -> float:
        """χ² of the best shape."""
        return float(self.misfit.min())

    @property
    def weights(self) -> Fits:
        """Of the shapes among each other, summing to 1."""
        weights = np.exp(-0.5 * (self.misfit - self.least))
        return weights / weights.sum()

    def information(self, toll: int) -> float:
        """Log weight: −χ²/2 − parameters − toll·points left out, up to a constant."""
        return -0.5 * self.least - self.num_parameters + toll * self.num_points


def intercepts(
    shapes: Float[np.ndarray, "fit point"],
    y: Float[np.ndarray, "*fits point"],
    weights: Float[np.ndarray, " point"],
) -> tuple[Fits, Fits, Fits]:
    """Intercepts of y = λ + a·shape by weighted least squares, with their errors and χ²: one per shape (and y)."""
    total = weights.sum()
    centers, level = shapes @ weights / total, y @ weights / total
    offsets = shapes - centers[:, None]
    spreads = offsets**2 @ weights
    slopes = (offsets * weights * (y - np.expand_dims(level, -1))).sum(axis=1) / spreads
    values = level - slopes * centers
    misfits = (y - values[:, None] - slopes[:, None] * shapes) ** 2 @ weights
    return values, np.sqrt(1 / total + centers**2 / spreads), misfits


def mixture(
    fits: Sequence[Approach], shares: Float[np.ndarray, " kind"]
) -> tuple[Fits, Fits, Fits]:
    """Values, errors and weights of all shapes of all kinds, each kind with its share."""
    return (
        np.concatenate([fit.value for fit in fits]),
        np.concatenate([fit.error for fit in fits]),
        np.concatenate([share * fit.weights for share, fit in zip(shares, fits, strict=True)]),
    )


def kind_shares(
    fits: Sequence[Approach], shares: Float[np.ndarray, " kind"], kinds: Iterable[str]
) -> dict[str, float]:
    """The share of each kind among all."""
    found = dict.fromkeys(kinds, 0.0)
    for share, fit in zip(shares / shares.sum(), fits, strict=True):
        found[fit.kind] += float(share)
    return found


def mixture_quantile(share: float, values: Fits, errors: Fits, weights: Fits, top: float) -> float:
    """Quantile of a mixture of normal laws, each cut to [0, top]; an end of it if they all lie outside."""
    below = norm.cdf((0.0 - values) / errors)
    inside = norm.cdf((top - values) / errors) - below
    total = float(weights @ inside)
    if total < _NOTHING:
        return top if float(weights @ values) > top else 0.0

    def excess(value: float) -> float:
        return float(weights @ (norm.cdf((value - values) / errors) - below)) / total - share

    return float(brentq(excess, 0.0, top, xtol=1e-9))
