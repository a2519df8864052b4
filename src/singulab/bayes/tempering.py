"""Sequential Monte Carlo from the prior to prior·exp(−t·L), through every t on the way.

Particles are weighted by exp(−Δt·L), resampled, and moved by slice moves that leave the new density as it is; Δt is
as large as keeps half of the effective sample. Resampling is what chains in parallel lack: a valley whose
share changes with t gains and loses particles. The evidence Z(t) comes along as a product of mean weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from singulab.bayes.box import Box, Loss
from singulab.bayes.prior import Prior
from singulab.bayes.slice_move import slice_move


@dataclass(frozen=True, kw_only=True)
class Tempering:
    """How much work is done."""

    num_particles: int = 1000  # of each population
    num_populations: int = 4  # independent ones, for errors
    num_moves: int | None = None  # slice moves per particle and step; None = max(10, 2 dim)
    effective: float = 0.5  # share of the sample that stays effective in a step

    def __post_init__(self) -> None:
        if self.num_particles < 20 or self.num_populations < 2:
            raise ValueError(
                f"Tempering needs at least 20 particles in 2 populations, got {self.num_particles} in "
                f"{self.num_populations}."
            )
        if not 0 < self.effective < 1 or (self.num_moves is not None and self.num_moves < 1):
            raise ValueError("effective lies between 0 and 1, and num_moves is at least 1.")


class Tempered(NamedTuple):
    """Equally weighted particles of prior·exp(−t·L)."""

    t: float
    points: Float[np.ndarray, "population particle dim"]
    loss: Float[np.ndarray, "population particle"]
    log_evidence: Float[
        np.ndarray, " population"
    ]  # log ∫ prior·exp(−t·L), one estimate of each population


def tempered(
    loss: Loss, prior: Prior, box: Box, ts: Sequence[float], plan: Tempering, seed: int
) -> list[Tempered]:
    """Particles at each of some increasing t.

    Raises:
        ValueError: t that do not increase from above 0, or a prior without draws.
    """
    if not ts or min(ts) <= 0 or list(ts) != sorted(set(ts)):
        raise ValueError(f"t increases from above 0, got {list(ts)}.")
    if prior.draw is None:
        raise ValueError(
            "Above three weights the prior is 'uniform' or normal: one given as a log density has no draws."
        )
    rng = np.random.default_rng(seed)
    shape = (plan.num_populations, plan.num_particles)
    moves = plan.num_moves or max(10, 2 * box.dim)
    points = prior.draw(rng, shape[0] * shape[1])
    values = _finite(np.asarray(loss(points)))
    log_evidence, t, found = np.zeros(shape[0]), 0.0, []
    for wanted in ts:
        while t < wanted:
            after = _next(values, t, wanted, plan.effective)
            log_weights = (-(after - t) * values).reshape(shape)
            log_evidence = log_evidence + logsumexp(log_weights, axis=1) - math.log(shape[1])
            chosen = _resampled(log_weights, rng)
            points, t = points[chosen], after
            points, values = _refreshed(points, loss, prior, t, box, rng, shape, moves)
        found.append(
            Tempered(t, points.reshape(*shape, box.dim), values.reshape(shape), log_evidence)
        )
    return found


def _finite(values: Float[np.ndarray, " particle"]) -> Float[np.ndarray, " particle"]:
    return np.where(np.isfinite(values), values, 1e300)


def _next(values: Float[np.ndarray, " particle"], t: float, wanted: float, share: float) -> float:
    """The largest step that keeps the effective sample size above a share of all."""

    def effective(step: float) -> float:
        weights = -step * (values - values.min())
        return math.exp(2 * logsumexp(weights) - logsumexp(2 * weights)) / len(values)

    if effective(wanted - t) >= share:
        return wanted
    low, high = 0.0, wanted - t
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if effective(middle) >= share else (low, middle)
    return t + max(low, (wanted - t) * 1e-9)


def _resampled(
    log_weights: Float[np.ndarray, "population particle"], rng: np.random.Generator
) -> Int[np.ndarray, " chosen"]:
    """Systematic resampling within each population; flat indices."""
    count = log_weights.shape[1]
    chosen = []
    for row, logs in enumerate(log_weights):
        cumulative = np.cumsum(np.exp(logs - logsumexp(logs)))
        ticks = (np.arange(count) + rng.random()) / count
        index = np.minimum(np.searchsorted(cumulative, ticks), count - 1)
        chosen.append(row * count + index)
    return np.concatenate(chosen)


def _refreshed(
    points: Float[np.ndarray, "particle dim"],
    loss: Loss,
    prior: Prior,
    t: float,
    box: Box,
    rng: np.random.Generator,
    shape: tuple[int, int],
    moves: int,
) -> tuple[Float[np.ndarray, "particle dim"], Float[np.ndarray, " particle"]]:
    """Slice moves under U = t·L − log prior: a random height above each particle, then a move below it."""

    def potential(at: Float[np.ndarray, "particle dim"]) -> Float[np.ndarray, " particle"]:
        return t * _finite(np.asarray(loss(at))) - prior.log_density(at)

    values = potential(points)
    for _ in range(moves):
        level = values + rng.exponential(size=len(values))
        points, values = slice_move(points, values, level, potential, box, rng, shape)
    return points, _finite(np.asarray(loss(points)))
