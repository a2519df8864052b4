"""Intercepts of many straight lines at once, and quantiles of a mixture of their normal laws."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.stats import norm

Fits = Float[np.ndarray, " fit"]

_NOTHING = 1e-12  # probability below which a mixture has no mass in its interval


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
