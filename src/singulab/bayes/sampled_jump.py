"""A jump of the posterior as data come in, on many data sets: the law of the n at which it happens."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logsumexp

from singulab.bayes.cloud import prior_of
from singulab.bayes.cubature import cubature
from singulab.bayes.learning import region_masses
from singulab.bayes.model import Data, Draws, Model
from singulab.bayes.tempering import Tempering
from singulab.bayes.wells import Region, named_wells

_MOST_DIMENSIONS = 3  # above, particles are weighted instead of integrals computed


@dataclass(frozen=True, kw_only=True)
class SampledJump:
    """Where ``after`` overtakes ``before`` on each data set, for good as far as was looked."""

    before: str
    after: str
    num_data: tuple[int, ...]  # n that were looked at
    mass: Float[np.ndarray, "set n"]  # of ``after``, as a share of both
    crossings: Float[np.ndarray, " set"]  # n_c; NaN where it lies outside

    @property
    def sound(self) -> Float[np.ndarray, " inside"]:
        """The crossings that were found."""
        return self.crossings[np.isfinite(self.crossings)]

    def quantiles(self, shares: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> list[float]:
        """Of n_c over the data sets that cross."""
        if not len(self.sound):
            return [math.nan] * len(shares)
        return [float(q) for q in np.quantile(self.sound, shares)]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "before": self.before,
            "after": self.after,
            "num_data": list(self.num_data),
            "mean_mass": [float(x) for x in np.nanmean(self.mass, axis=0)],
            "crossings": [float(x) for x in np.sort(self.sound)],
            "num_data_sets": len(self.crossings),
            "quantiles": self.quantiles(),
        }


def sampled_jump(
    model: Model,
    regions: Mapping[str, Region],
    num_data: Sequence[int],
    *,
    before: str,
    after: str,
    num_data_sets: int = 100,
    tempering: Tempering | None = None,
    seed: int = 0,
) -> SampledJump:
    """Follow two regions of the posterior along n, on many sequences of data.

    Up to three weights the masses are integrals for each data set; above that they come from
    :func:`singulab.bayes.learning`. Between the n looked at the log-odds are interpolated in log n.

    Args:
        model: what is learned.
        regions: name → function of draws → bool, disjoint.
        num_data: n, increasing.
        before: the region that rules at small n.
        after: the region that rules at large n.
        num_data_sets: sequences of data.
        tempering: work of the Monte Carlo, above three weights.
        seed: of all randomness.

    Raises:
        ValueError: a region that is not there.
    """
    missing = {before, after} - set(regions)
    if missing or before == after:
        raise ValueError(
            f"before and after are two of {', '.join(regions)}, got {before}, {after}."
        )
    ns = [int(n) for n in num_data]
    if model.dim <= _MOST_DIMENSIONS:
        odds = _integrated(model, regions, ns, before, after, num_data_sets, seed)
    else:
        plan = tempering or Tempering(num_particles=4000)
        masses = region_masses(
            model, ns, regions, num_data_sets=num_data_sets, tempering=plan, seed=seed
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = np.log(masses[after]) - np.log(masses[before])
    return SampledJump(
        before=before,
        after=after,
        num_data=tuple(ns),
        mass=expit(odds),
        crossings=np.array([_last_rise(np.log(ns), row) for row in odds]),
    )


def _last_rise(log_n: Float[np.ndarray, " n"], odds: Float[np.ndarray, " n"]) -> float:
    """N where log-odds rise through 0 for the last time, and stay above."""
    known = ~np.isnan(odds)
    x, y = log_n[known], np.clip(odds[known], -50.0, 50.0)
    turns = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    if not len(turns) or y[-1] < 0:
        return math.nan
    k = turns[-1]
    return float(np.exp(x[k] - y[k] * (x[k + 1] - x[k]) / (y[k + 1] - y[k])))


def _integrated(
    model: Model,
    regions: Mapping[str, Region],
    ns: list[int],
    before: str,
    after: str,
    num_data_sets: int,
    seed: int,
) -> Float[np.ndarray, "set n"]:
    """Log of the ratio of two masses, by cubature for every data set and n."""
    prior = prior_of(model)
    wells = named_wells(model.excess, model.box, regions, seed)
    index = {well.name: place for place, well in enumerate(wells.wells)}
    rng = np.random.default_rng([seed, 1])
    odds = np.empty((num_data_sets, len(ns)))
    for row in range(num_data_sets):
        data = model.simulate(rng, ns[-1])
        for column, n in enumerate(ns):
            found = cubature(
                partial(_log_joint, model, prior.log_density, data[:n]),
                model.box,
                wells.centers,
                wells.label,
            )
            one, other = (
                logsumexp(found.log_weights[found.groups == index[name]])
                for name in (after, before)
            )
            odds[row, column] = one - other
    return odds


def _log_joint(
    model: Model, log_prior: Any, data: Data, draws: Draws
) -> tuple[Float[np.ndarray, " draw"], Float[np.ndarray, " draw"]]:
    total = model.total(draws, data)
    return log_prior(draws) + total, total
