"""Prior densities on a box."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from singulab.bayes.box import Box, finite

Nodes = Float[np.ndarray, "node dim"]
LogDensity = Callable[[Nodes], Float[np.ndarray, " node"]]

_PROBES = 64  # points at which a log density that is given is looked at
REACH = 12.0  # standard deviations of a normal prior that a box reaches if none is given


@dataclass(frozen=True, kw_only=True)
class Prior:
    """A density on a box, normalised there if it is one of ours."""

    name: str
    log_density: LogDensity
    draw: Callable[[np.random.Generator, int], Nodes] | None  # None: no independent draws are known

    def __str__(self) -> str:
        return self.name


def uniform(box: Box) -> Prior:
    """Equal density everywhere in the box."""
    return Prior(
        name="uniform",
        log_density=lambda points: np.full(len(points), -box.log_volume),
        draw=lambda rng, count: box.points(rng, count),
    )


def normal(box: Box, deviation: float = 1.0, mean: float = 0.0) -> Prior:
    """Independent N(mean, deviation²) for each weight, cut to the box and normalised there."""
    if not (deviation > 0 and math.isfinite(deviation) and math.isfinite(mean)):
        raise ValueError(f"A normal prior has a deviation > 0, got {deviation}.")
    low, high = (box.lower - mean) / deviation, (box.upper - mean) / deviation
    inside = ndtr(high) - ndtr(low)
    if not (inside > 0).all():
        raise ValueError("The normal prior has no mass in the box.")
    constant = -box.dim * (math.log(deviation) + 0.5 * math.log(2 * math.pi)) - np.log(inside).sum()

    def log_density(points: Nodes) -> Float[np.ndarray, " node"]:
        return constant - 0.5 * (((points - mean) / deviation) ** 2).sum(axis=1)

    def draw(rng: np.random.Generator, count: int) -> Nodes:
        share = rng.random((count, box.dim))
        return np.clip(mean + deviation * ndtri(ndtr(low) + share * inside), box.lower, box.upper)

    name = "N(0, 1)" if (mean, deviation) == (0.0, 1.0) else f"N({mean:g}, {deviation:g}²)"
    return Prior(name=name, log_density=log_density, draw=draw)


def prior_on(box: Box, prior: "str | float | LogDensity | Prior") -> Prior:
    """``"uniform"``, ``"normal"``, the deviation of a normal one, or a log density up to a constant."""
    if isinstance(prior, Prior):
        return prior
    if isinstance(prior, str) and prior == "uniform":
        return uniform(box)
    if isinstance(prior, str) and prior == "normal":
        return normal(box)
    if finite(prior):
        return normal(box, float(prior))
    if callable(prior):
        _probed(prior, box)
        return Prior(name="given", log_density=prior, draw=None)
    raise ValueError(
        f"prior is 'uniform', 'normal', a standard deviation, or a log density, got {prior!r}."
    )


def _probed(log_density: LogDensity, box: Box) -> None:
    """One sentence if what was given is no log density on the box; −∞ is a density of 0."""
    with np.errstate(all="ignore"):
        values = np.asarray(log_density(box.points(np.random.default_rng(0), _PROBES)))
    if not np.issubdtype(values.dtype, np.floating):
        raise TypeError(
            f"A log density of a prior returns floating-point numbers, got {values.dtype}."
        )
    if values.shape != (_PROBES,):
        raise ValueError(
            f"A log density of a prior takes points (…, {box.dim}) and returns (…): for {_PROBES} points it returned "
            f"an array of shape {values.shape}."
        )
    if np.isnan(values).any() or np.isposinf(values).any():
        raise ValueError("The log density of the prior is not a number at some point of the box.")
