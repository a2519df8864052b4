"""Means over independent replicas, with their errors.

Replicas share no random number. Whatever one replica averages over its own time, correlated as it may be, is
therefore one independent draw, and the spread between replicas is the error of their mean.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2, f


class Mean(NamedTuple):
    """A number and its standard error."""

    value: float
    se: float

    def z(self, exact: float, error: float = 0.0) -> float:
        """Distance to an exact value in units of the error."""
        se = math.hypot(self.se, error)
        return (self.value - exact) / se if se > 0 else math.copysign(math.inf, self.value - exact)

    def to_dict(self) -> dict[str, float]:
        return {"value": self.value, "se": self.se}


@dataclass(frozen=True)
class Means:
    """Several means over the same replicas, with the covariance of their errors."""

    value: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]
    num_replicas: int

    @property
    def se(self) -> Float[np.ndarray, " k"]:
        return np.sqrt(np.diag(self.covariance))

    def __getitem__(self, index: int) -> Mean:
        return Mean(float(self.value[index]), float(self.se[index]))

    def p_value(self, exact: Float[np.ndarray, " k"]) -> float:
        """Probability of a distance as large as this if ``exact`` are the true means (Hotelling's T²)."""
        gap, k, n = self.value - exact, len(self.value), self.num_replicas
        distance = float(gap @ np.linalg.solve(self.covariance, gap))
        return float(f.sf(distance * (n - k) / (k * (n - 1)), k, n - k))

    def linear(self, weights: Float[np.ndarray, "j k"]) -> "Means":
        """The means of linear combinations."""
        return Means(weights @ self.value, weights @ self.covariance @ weights.T, self.num_replicas)


def mean(samples: Float[np.ndarray, " replica"]) -> Mean:
    """Mean over replicas ± standard error.

    Raises:
        ValueError: fewer than 2 replicas.
    """
    _enough(len(samples))
    return Mean(float(samples.mean()), float(samples.std(ddof=1) / math.sqrt(len(samples))))


def means(samples: Float[np.ndarray, "replica k"]) -> Means:
    """Means over replicas with the covariance of their errors.

    Raises:
        ValueError: fewer than 2 replicas.
    """
    _enough(len(samples))
    centred = samples - samples.mean(axis=0)
    covariance = centred.T @ centred / (len(samples) - 1) / len(samples)
    return Means(samples.mean(axis=0), covariance, len(samples))


class Limit(NamedTuple):
    """What a quantity tends to at rate 0."""

    value: float
    se: float
    p_value: float  # of the polynomial; nan if it has as many coefficients as there are rates
    degree: int

    def z(self, exact: float) -> float:
        """Distance to an exact value in units of the error."""
        return (self.value - exact) / self.se


def limit(
    rates: Float[np.ndarray, " rate"],
    values: Float[np.ndarray, " rate"],
    errors: Float[np.ndarray, " rate"],
    *,
    degree: int = 1,
) -> Limit:
    """The value at rate 0 of the polynomial in the rate that fits best, each point weighted by 1/se².

    The error is that of the points. A polynomial of too low a degree errs by more; ``p_value`` tells whether
    the points speak against it.

    Args:
        rates: learning rates, all different.
        values: the quantity at each, measured independently.
        errors: their standard errors, > 0.
        degree: of the polynomial, smaller than the number of rates.

    Raises:
        ValueError: too few rates, or an error that is not positive.
    """
    if len(set(rates.tolist())) <= degree:
        raise ValueError(
            f"A limit of degree {degree} needs at least {degree + 1} different rates, got {len(rates)}."
        )
    if not (errors > 0).all():
        raise ValueError("A limit needs a positive standard error at every rate.")
    scale = rates.max()
    design = np.vander(rates / scale, degree + 1, increasing=True) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    found = covariance @ design.T @ (values / errors)
    residual = values / errors - design @ found
    freedom = len(rates) - degree - 1
    p_value = float(chi2.sf(residual @ residual, freedom)) if freedom else math.nan
    return Limit(float(found[0]), float(math.sqrt(covariance[0, 0])), p_value, degree)


def _enough(count: int) -> None:
    if count < 2:
        raise ValueError(
            f"A mean needs at least 2 replicas to estimate its error, got {count}: run more replicas."
        )
