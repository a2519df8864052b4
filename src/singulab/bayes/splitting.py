"""Multilevel splitting: the volume of {L < ε} in a box, down to e^{-100} of the box and further.

Particles uniform on {L < ε_k} are cut at the 1/e quantile ε_{k+1} of their losses; the survivors are copied and
moved at random within {L < ε_{k+1}}. Each level takes a factor e from the volume, so log V is known as a sum of
independent steps, with variance (e − 1)/N each if the moves mix perfectly.

The moves are those of :mod:`singulab.bayes.slice_move`.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from singulab.bayes.box import Box, Loss
from singulab.bayes.slice_move import Numbers, Particles, slice_move

SHARE = math.exp(-1)  # of the particles that survive a level
_ROUGH, _MOST_ROUGH = 0.2, 0.05  # change of a loss by its last digit; share of the particles
_STALLED = 0.002  # a level that lowers log ε by less has met a floor of the loss


class Levels(NamedTuple):
    """What splitting found: V(ε) of several independent populations at the same volumes."""

    log_epsilon: Float[np.ndarray, "population level"]  # where log V − log V(box) = −1, −2, …
    evaluations: int  # of the loss, one point each
    stopped: str  # why it went no deeper
    points: Particles  # of the last level


@dataclass(frozen=True, kw_only=True)
class Splitting:
    """How much work is done."""

    num_particles: int = 1000  # of each population
    num_populations: int = 8
    num_moves: int | None = None  # slice moves per particle and level; None = max(24, 2 dim)
    num_levels: int = 40  # log V down to −40
    max_evaluations: int = 200_000_000  # of the loss; the levels end where it is spent

    def __post_init__(self) -> None:
        if self.num_particles < 50 or self.num_populations < 2 or self.num_levels < 8:
            raise ValueError(
                "Splitting needs at least 50 particles, 2 populations and 8 levels, got "
                f"{self.num_particles}, {self.num_populations} and {self.num_levels}."
            )
        if self.num_moves is not None and self.num_moves < 1:
            raise ValueError(f"num_moves is at least 1, got {self.num_moves}.")


def levels(loss: Loss, box: Box, minimum: float, plan: Splitting, seed: int) -> Levels:
    """Run all populations side by side, a level at a time.

    Args:
        loss: L, vectorised over points.
        box: where V is taken; volumes are shares of it.
        minimum: L_min, subtracted from every value.
        plan: the work.
        seed: of all randomness.

    Raises:
        ValueError: the loss takes values below ``minimum``.
    """
    rng = np.random.default_rng(seed)
    shape = (plan.num_populations, plan.num_particles)
    moves = plan.num_moves or max(24, 2 * box.dim)
    spent, stopped = 0, "all levels were done"
    found: list[Float[np.ndarray, " population"]] = []

    def excess(points: Particles) -> Numbers:
        nonlocal spent
        spent += len(points)
        with np.errstate(all="ignore"):
            values = np.asarray(loss(points)) - minimum
        if (values < 0).any():
            raise ValueError(
                f"The loss falls to {float(values.min() + minimum):.6g}, below the minimum {minimum:.6g} that was "
                "given or found; give its least value as minimum."
            )
        return np.where(np.isnan(values), np.inf, values)

    points = box.points(rng, shape[0] * shape[1])
    values = excess(points)
    survivors = math.ceil(SHARE * shape[1])
    for _ in range(plan.num_levels):
        by_population = values.reshape(shape)
        ordered = np.sort(by_population, axis=1)
        # Halfway between the last survivor and the first that is cut; the share is survivors/N, not exactly 1/e.
        cut = np.sqrt(ordered[:, survivors - 1] * ordered[:, survivors])
        if not (cut > 1e-290).all():
            stopped = "the losses reached the end of floating point"
            break
        log_cut = np.log(cut)
        if found and (found[-1] - log_cut).max() < _STALLED:
            stopped = "the losses fall no further: is their minimum higher than was assumed?"
            break
        alive = by_population <= cut[:, None]
        order = np.argsort(~alive, axis=1, kind="stable")
        parents = _parents(rng, alive.sum(axis=1), shape)
        flat = np.take_along_axis(order, parents, axis=1) + shape[1] * np.arange(shape[0])[:, None]
        points, values = points[flat.ravel()], values[flat.ravel()]
        if _rounded(points, values, excess, box, rng):
            stopped = "rounding of the loss is as large as the loss"
            break
        found.append(log_cut)
        level = np.repeat(cut, shape[1])
        for _ in range(moves):
            points, values = slice_move(points, values, level, excess, box, rng, shape)
        if spent > plan.max_evaluations:
            stopped = f"{plan.max_evaluations:.3g} evaluations were spent"
            break
    return Levels(np.array(found).reshape(-1, shape[0]).T, spent, stopped, points)


def _parents(
    rng: np.random.Generator, counts: Int[np.ndarray, " population"], shape: tuple[int, int]
) -> Int[np.ndarray, "population particle"]:
    """Which survivor each particle copies: every one of them equally often, as far as N allows."""
    offset = rng.random((shape[0], 1))
    ranks = (np.arange(shape[1]) + offset) * counts[:, None] / shape[1]
    return np.minimum(ranks.astype(int), counts[:, None] - 1)


def _rounded(
    points: Particles, values: Numbers, excess: Loss, box: Box, rng: np.random.Generator
) -> bool:
    """Whether a change of the last digit of the weights changes some losses by a fifth and more."""
    some = rng.integers(0, len(points), size=min(400, len(points)))
    signs = rng.integers(0, 2, size=(len(some), box.dim)) * 2 - 1
    nudged = np.clip(points[some] * (1 + signs * np.finfo(float).eps), box.lower, box.upper)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        change = np.abs(excess(nudged) / values[some] - 1)
    rough = np.where(values[some] > 0, change, np.inf) > _ROUGH
    return bool(rough.mean() > _MOST_ROUGH)
