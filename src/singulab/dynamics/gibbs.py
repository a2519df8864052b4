"""Is a stationary law p ∝ e^{−βL}? And at which temperature T = 1/β is each direction, each region?

Under p ∝ e^{−L/T} every smooth vector field φ that does not grow too fast has

    E[φ·∇L] = T·E[div φ]

(integrate ∇·(φ p) over all space). So every field is a thermometer, T_φ = E[φ·∇L]/E[div φ], and the law is Gibbs
only if all of them agree. φ = (v·δ)v along a direction v gives the temperature of that direction, and the same
field cut off outside a region that does not bound v, the temperature of the region.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import chi2, norm
from torch import Tensor

from singulab.dynamics.chain import Moment, Observable
from singulab.dynamics.mean import Mean, Means, means
from singulab.dynamics.problem import LinearProblem, Problem

Verdict = Literal["gibbs", "not gibbs", "undecided"]
FEWEST = 10  # replicas per field, so that their covariance can be told
_FALSE_ALARM = 1e-3  # of the whole verdict, shared among the fields


@dataclass(frozen=True, kw_only=True)
class GibbsTest:
    """Thermometers of one law, their best common temperature, and whether they agree."""

    temperatures: tuple[Mean, ...]  # T_φ of each field
    temperature: Mean  # the common T that fits best
    chi2: float  # distance of all fields from it
    p_value: float  # of exact agreement
    spread: float  # largest |T_φ/T − 1|
    tolerance: float  # relative disagreement that still counts as Gibbs
    verdict: Verdict

    def to_dict(self) -> dict[str, object]:
        return {
            "temperatures": [t.to_dict() for t in self.temperatures],
            "temperature": self.temperature.to_dict(),
            "chi2": self.chi2,
            "p_value": self.p_value,
            "spread": self.spread,
            "tolerance": self.tolerance,
            "verdict": self.verdict,
        }


def gibbs_test(
    pulls: Float[np.ndarray, "replica field"],
    divergences: Float[np.ndarray, "replica field"] | None = None,
    *,
    tolerance: float = 0.05,
) -> GibbsTest:
    """Test p ∝ e^{−βL}, β unknown, on independent replicas.

    ``not gibbs`` says that some T_φ/T differs from 1 by more than the tolerance beyond doubt, ``gibbs`` that none
    does beyond doubt, at a joint false-alarm rate of 10⁻³; else the replicas are too few: ``undecided``. A chain
    at rate η differs from its own limit by about ηλ_max/2, so with enough replicas ``p_value`` speaks against
    exact agreement for every finite rate. The verdict has a tolerance for that reason.

    Args:
        pulls: φ·∇L of each field, averaged over each replica's time.
        divergences: div φ likewise; None for fields with div φ = 1.
        tolerance: relative.

    Raises:
        ValueError: fewer than 2 fields, too few replicas, a tolerance that is not positive, or a field whose mean
            divergence is lost in its error.
    """
    replicas, count = pulls.shape
    if count < 2:
        raise ValueError(f"A Gibbs test compares at least 2 fields, got {count}.")
    if replicas < FEWEST * count:
        raise ValueError(
            f"A Gibbs test of {count} fields needs at least {FEWEST * count} replicas, got {replicas}."
        )
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance:g}.")
    if divergences is None:
        divergences = np.ones_like(pulls)
    volume = means(divergences)
    if (np.abs(volume.value) < 5 * volume.se).any():
        raise ValueError(
            "The mean divergence of a field is lost in its error, so it measures no temperature: take a field "
            "with a larger one, or more replicas."
        )
    pull = means(pulls)
    each = pull.value / volume.value
    errors = means((pulls - each * divergences) / volume.value).covariance
    return agreement(Means(each, errors, replicas), tolerance=tolerance)


def agreement(temperatures: Means, *, tolerance: float = 0.05) -> GibbsTest:
    """The verdict of :func:`gibbs_test` on thermometers that have been read already.

    Args:
        temperatures: T_φ of each field with the covariance of their errors.
        tolerance: relative.

    Raises:
        ValueError: fewer than 2 fields, or a tolerance that is not positive.
    """
    each, count = temperatures.value, len(temperatures.value)
    if count < 2:
        raise ValueError(f"A Gibbs test compares at least 2 fields, got {count}.")
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance:g}.")
    weights = np.linalg.solve(temperatures.covariance, np.ones(count))
    information = float(weights.sum())
    weights /= information
    common = float(weights @ each)
    gap = each - common
    distance = float(gap @ np.linalg.solve(temperatures.covariance, gap))
    # T_φ/T − 1: the common temperature is an average of the same fields, so their errors are correlated.
    turned = (np.eye(count) - np.multiply.outer(each / common, weights)) / common
    off, off_se = each / common - 1, temperatures.linear(turned).se
    reach = float(norm.isf(_FALSE_ALARM / (2 * count)))
    verdict: Verdict = "undecided"
    if (np.abs(off) - reach * off_se > tolerance).any():
        verdict = "not gibbs"
    elif (np.abs(off) + reach * off_se < tolerance).all():
        verdict = "gibbs"
    return GibbsTest(
        temperatures=tuple(temperatures[k] for k in range(count)),
        temperature=Mean(common, information**-0.5),
        chi2=distance,
        p_value=float(chi2.sf(distance, count - 1)),
        spread=float(np.abs(off).max()),
        tolerance=tolerance,
        verdict=verdict,
    )


def thermometers(problem: LinearProblem) -> Observable:
    """(v·δ)(v·∇L) for every eigenvector v of the Hessian, in ascending order: fields with div φ = 1."""
    vectors = torch.from_numpy(np.linalg.eigh(problem.hessian)[1].T.copy())
    return thermometers_along(problem, center=problem.center, directions=vectors)


def thermometers_along(
    problem: Problem,
    *,
    center: Float[Tensor, " dim"],
    directions: Float[Tensor, "direction dim"] | None = None,
) -> Observable:
    """(v·δ)(v·∇L) along given directions of any problem: fields with div φ = 1.

    Args:
        problem: brings ∇L.
        center: the point from which δ is counted; any will do, one near the minimum costs least variance.
        directions: unit vectors v; None = the weights themselves.
    """

    def observe(moment: Moment) -> Float[Tensor, "replica direction"]:
        away, pull = moment.w - center, problem.mean_gradient(moment.w)
        if directions is None:
            return away * pull
        return (away @ directions.T) * (pull @ directions.T)

    return observe


def regional_thermometers(
    problem: Problem,
    *,
    center: Float[Tensor, " dim"],
    along: Float[Tensor, " dim"],
    edges: Sequence[float],
    directions: Float[Tensor, "direction dim"],
) -> Observable:
    """Thermometers of the regions between two values of a coordinate, in directions across it.

    Per region: Σ_v (v·δ)(v·∇L), the divergence of that field, (η-free) noise |g − ∇L|², and whether w lies in it.

    Args:
        problem: loss and gradient.
        center: w*, from which δ is counted.
        along: u, a unit vector; w lies in a region by u·(w − w*).
        edges: ascending borders of the regions.
        directions: unit vectors v across u.

    Raises:
        ValueError: edges do not ascend, or a direction is not across u.
    """
    borders = torch.tensor(list(edges), dtype=torch.float64)
    if len(borders) < 2 or not (borders.diff() > 0).all():
        raise ValueError(f"edges must be at least 2 ascending numbers, got {list(edges)}.")
    if not torch.allclose(directions @ along, torch.zeros(len(directions), dtype=torch.float64)):
        raise ValueError("Every direction must be orthogonal to the coordinate of the regions.")

    def observe(moment: Moment) -> Float[Tensor, "replica reading"]:
        away, slope = moment.w - center, problem.mean_gradient(moment.w)
        place = (away @ along)[:, None]
        inside = ((place >= borders[:-1]) & (place < borders[1:])).double()
        pull = ((away @ directions.T) * (slope @ directions.T)).sum(1, keepdim=True)
        noise = (moment.gradient - slope).square().sum(1, keepdim=True)
        return torch.cat([inside * pull, inside * len(directions), inside * noise, inside], 1)

    return observe


@dataclass(frozen=True, kw_only=True)
class Region:
    """Temperature of a stretch of a coordinate."""

    low: float
    high: float
    share: Mean  # of the time that replicas spend there
    temperature: Mean  # E[φ·∇L]/E[div φ] of the field across the coordinate
    noise_temperature: Mean  # (η/2)·E|g − ∇L|²/d there: what the noise alone would make of it


def regional_temperatures(
    readings: Float[np.ndarray, "replica reading"],
    *,
    edges: Sequence[float],
    rate: float,
    num_weights: int,
) -> tuple[Region, ...]:
    """What :func:`regional_thermometers` averaged, as temperatures; regions never visited have NaN.

    Args:
        readings: per replica.
        edges: as they were given there.
        rate: η.
        num_weights: d.
    """
    count = len(edges) - 1
    pull, volume, noise, inside = np.split(readings, 4, axis=1)
    return tuple(
        Region(
            low=float(edges[k]),
            high=float(edges[k + 1]),
            share=Mean(*_mean(inside[:, k])),
            temperature=_ratio(pull[:, k], volume[:, k], 1.0),
            noise_temperature=_ratio(noise[:, k], inside[:, k], rate / 2 / num_weights),
        )
        for k in range(count)
    )


def _mean(samples: Float[np.ndarray, " replica"]) -> tuple[float, float]:
    return float(samples.mean()), float(samples.std(ddof=1) / len(samples) ** 0.5)


def _ratio(
    above: Float[np.ndarray, " replica"], below: Float[np.ndarray, " replica"], factor: float
) -> Mean:
    """factor·E[above]/E[below] by the delta method."""
    if below.sum() == 0:
        return Mean(float("nan"), float("nan"))
    value = above.mean() / below.mean()
    se = ((above - value * below) / below.mean()).std(ddof=1) / len(above) ** 0.5
    return Mean(float(factor * value), float(factor * se))
