"""Particles of a model that serve many data sets.

One run of sequential Monte Carlo under prior × exp(−t·K), K the population excess loss, serves most data sets: its
particles are weighted by exp(−(n·L_n − t·K)) for each. Data move a posterior by about its own width, so that the
weights stay even as long as t is below n. Where they do not, the data set gets a run of its own: to leave it out
would leave out those that err most.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from singulab.bayes.model import Draws, Model
from singulab.bayes.prior import Prior, normal, prior_on
from singulab.bayes.tempering import Tempering, tempered

LEAST_EFFECTIVE = 100.0  # effective draws below which a data set gets a run of its own
_OWN = Tempering(num_particles=400, num_populations=4)  # the work of that


@dataclass(frozen=True)
class Cloud:
    """Particles of prior·exp(−t·K) with the log of what each stands for: Σ exp(log_weight)·g = ∫ prior·exp(−t·K)·g."""

    draws: Draws
    log_weights: Float[np.ndarray, " draw"]
    excess: Float[np.ndarray, " draw"]
    t: float
    populations: int  # independent ones, one after the other

    @classmethod
    def of(cls, run: Any) -> "Cloud":
        populations, count = run.loss.shape
        log_weights = np.repeat(run.log_evidence - math.log(populations * count), count)
        return cls(
            run.points.reshape(populations * count, -1),
            log_weights,
            run.loss.ravel(),
            run.t,
            populations,
        )

    def weighted(self, log_likelihood: Float[np.ndarray, " draw"]) -> Float[np.ndarray, " draw"]:
        """Log weights for prior × likelihood."""
        return self.log_weights + self.t * self.excess + log_likelihood


class Weighted(NamedTuple):
    """A posterior of one data set: draws with weights that sum to 1."""

    draws: Draws
    weights: Float[np.ndarray, " draw"]
    total: Float[np.ndarray, " draw"]  # Σ_i log p(x_i|w)
    log_evidence: float
    populations: int

    def parts(self) -> "list[Weighted]":
        """What each population says alone: their spread is the Monte Carlo error."""
        shares = self.weights.reshape(self.populations, -1).sum(axis=1)
        found = []
        for index, share in enumerate(shares):
            size = len(self.weights) // self.populations
            mine = slice(index * size, (index + 1) * size)
            log_evidence = self.log_evidence + math.log(max(share * self.populations, 1e-300))
            weights = self.weights[mine] / max(share, 1e-300)
            found.append(Weighted(self.draws[mine], weights, self.total[mine], log_evidence, 1))
        return found

    @property
    def effective(self) -> float:
        """Effective number of draws."""
        return float(1 / (self.weights**2).sum())


def weighted(
    model: Model,
    data: Float[np.ndarray, "datum column"],
    cold: Cloud,
    hot: Cloud | None,
    place: int,
) -> tuple[Weighted, Weighted | None]:
    """The posterior at β = 1, and at 1/log n if asked for, from shared particles or from a run of its own."""
    beta = 1 / math.log(len(data))
    here = _shared(model, data, cold, 1.0)
    heated = None if hot is None else _shared(model, data, hot, beta)
    if min(here.effective, math.inf if heated is None else heated.effective) >= LEAST_EFFECTIVE:
        return here, heated
    truth = float(model.log_truth(data).sum())

    def loss(draws: Draws) -> Float[np.ndarray, " draw"]:
        return truth - model.total(draws, data)

    own = []
    for run in tempered(loss, prior_of(model), model.box, [beta, 1.0], _OWN, place):
        populations, count = run.loss.shape
        shares = np.exp(run.log_evidence - logsumexp(run.log_evidence)) / count
        log_evidence = float(logsumexp(run.log_evidence)) - math.log(populations) + run.t * truth
        own.append(
            Weighted(
                run.points.reshape(populations * count, -1),
                np.repeat(shares, count),
                truth - run.loss.ravel(),
                log_evidence,
                populations,
            )
        )
    return own[1], own[0]


def _shared(
    model: Model, data: Float[np.ndarray, "datum column"], cloud: Cloud, beta: float
) -> Weighted:
    total = model.total(cloud.draws, data)
    logs = cloud.weighted(beta * total)
    log_evidence = float(logsumexp(logs))
    return Weighted(
        cloud.draws, np.exp(logs - log_evidence), total, log_evidence, cloud.populations
    )


def clouds(model: Model, ts: Sequence[float], plan: Tempering, seed: int) -> dict[float, Cloud]:
    """Particles at each of some increasing t."""
    runs = tempered(model.excess, prior_of(model), model.box, ts, plan, seed)
    return {run.t: Cloud.of(run) for run in runs}


def prior_of(model: Model) -> Prior:
    """The prior of a model on its box."""
    if model.prior != "mixture":
        return prior_on(model.box, model.prior)
    # The share of a component is uniform on [0, 1], its mean normal.
    means = normal(type(model.box)(model.box.lower[1:], model.box.upper[1:]))
    assert means.draw is not None
    draw_means = means.draw

    def draw(rng: np.random.Generator, count: int) -> Draws:
        return np.column_stack([rng.random(count), draw_means(rng, count)])

    return Prior(
        name="uniform share, N(0, 1) means",
        log_density=lambda points: means.log_density(points[:, 1:]),
        draw=draw,
    )
