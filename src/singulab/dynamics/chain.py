"""SGD as a Markov chain: thousands of replicas of w ← w − η g side by side."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from singulab.dynamics.mean import Mean, Means, mean, means
from singulab.dynamics.problem import Problem, Weights
from singulab.dynamics.replicas import Draws
from singulab.errors import DivergedError

ProgressCallback = Callable[[str, float], None]
_SHOWN = 20  # replicas that an error names


class Moment(NamedTuple):
    """What an observable sees: all replicas before a step, and the gradient that moves them."""

    w: Weights
    gradient: Weights


Observable = Callable[[Moment], Float[Tensor, "replica ..."]]


@dataclass(frozen=True, kw_only=True)
class Chains:
    """Where the replicas ended, and what each of them averaged on its way."""

    w: Weights  # after the last step
    averages: dict[str, Float[np.ndarray, "replica k"]]  # over time, per replica
    rate: float  # η
    num_steps: int  # of each replica, burn-in included
    num_kept: int  # moments that the averages are over
    seed: int
    seconds: float

    def mean(self, name: str) -> Mean:
        """A scalar observable, averaged over time and replicas."""
        return mean(self.averages[name][:, 0])

    def means(self, name: str) -> Means:
        """All entries of an observable with the covariance of their errors."""
        return means(self.averages[name])


def simulate(
    problem: Problem,
    *,
    rate: float,
    num_steps: int,
    num_replicas: int,
    start: Float[Tensor, "..."],
    burn_in: int = 0,
    every: int = 1,
    observables: Mapping[str, Observable] | None = None,
    seed: int = 0,
    on_progress: ProgressCallback | None = None,
) -> Chains:
    """Run SGD at a constant rate.

    Args:
        problem: loss and noisy gradient.
        rate: η > 0.
        num_steps: steps of each replica.
        num_replicas: independent chains; an error needs 2.
        start: weights at step 0, one vector for all replicas or one each.
        burn_in: steps before the first moment that is averaged.
        every: steps between averaged moments.
        observables: name → function of a :class:`Moment`, with values per replica.
        seed: of all random numbers.
        on_progress: told what is under way and which share is done.

    Returns:
        Final weights and time averages of each replica.

    Raises:
        ValueError: a count or the rate is out of range, or the start does not fit.
        DivergedError: weights are no longer finite.
    """
    _check(rate, num_steps, burn_in, every)
    draws = Draws(seed, num_replicas)
    w = _spread(start, num_replicas, problem.num_weights)
    sums: dict[str, Tensor] = {}
    kept, begun = 0, time.monotonic()
    notice = max(1, num_steps // 50)
    for step in range(num_steps):
        gradient = problem.gradient(w, draws, step)
        if observables and step >= burn_in and (step - burn_in) % every == 0:
            kept += 1
            for name, observable in observables.items():
                seen = observable(Moment(w, gradient)).reshape(num_replicas, -1)
                sums[name] = sums[name] + seen if name in sums else seen.clone()
        w = w - rate * gradient
        if (step + 1) % notice == 0:
            _require_finite(w, rate, step)
            if on_progress is not None:
                on_progress(f"rate {rate:g}", (step + 1) / num_steps)
    _require_finite(w, rate, num_steps)
    return Chains(
        w=w,
        averages={name: (total / kept).numpy() for name, total in sums.items()},
        rate=rate,
        num_steps=num_steps,
        num_kept=kept,
        seed=seed,
        seconds=time.monotonic() - begun,
    )


def fluctuation_dissipation(chains: Chains) -> tuple[Mean, Mean, Mean]:
    """Both sides of E[w·∇L] = (η/2)·E|g|² and their difference, measured on the same replicas.

    w ← w − ηg leaves E|w|² as it is at stationarity, which is this identity: exact at every rate, on every loss, for
    every noise. It holds from every origin, since E∇L = 0. The chains need the observable
    :func:`dissipation`.

    Returns:
        E[(w − w₀)·∇L], (η/2)·E|g|² and the first minus the second.

    Source: Yaida, arXiv:1810.00004.
    """
    if "dissipation" not in chains.averages:
        raise ValueError(
            "fluctuation_dissipation needs chains with the observable 'dissipation': pass "
            "observables={'dissipation': dissipation(problem, origin)} to simulate."
        )
    seen = chains.averages["dissipation"]
    left, right = seen[:, 0], chains.rate / 2 * seen[:, 1]
    return mean(left), mean(right), mean(left - right)


def dissipation(problem: Problem, origin: Float[Tensor, " dim"]) -> Observable:
    """(w − w₀)·∇L and |g|² of every replica."""

    def observe(moment: Moment) -> Float[Tensor, "replica two"]:
        pull = ((moment.w - origin) * problem.mean_gradient(moment.w)).sum(1)
        return torch.stack([pull, moment.gradient.square().sum(1)], 1)

    return observe


def outer(center: Float[Tensor, " dim"]) -> Observable:
    """The upper triangle of (w − w*)(w − w*)ᵀ, row by row."""
    rows, columns = torch.triu_indices(len(center), len(center))

    def observe(moment: Moment) -> Float[Tensor, "replica pair"]:
        away = moment.w - center
        return away[:, rows] * away[:, columns]

    return observe


def _spread(start: Float[Tensor, "..."], num_replicas: int, dim: int) -> Weights:
    if start.shape not in ((dim,), (num_replicas, dim)):
        raise ValueError(
            f"start must have shape ({dim},) or ({num_replicas}, {dim}), got {tuple(start.shape)}."
        )
    return start.double().expand(num_replicas, dim).clone()


def _check(rate: float, num_steps: int, burn_in: int, every: int) -> None:
    if not 0 < rate < float("inf"):
        raise ValueError(f"A learning rate must be positive and finite, got {rate:g}.")
    if num_steps < 1 or every < 1 or not 0 <= burn_in < num_steps:
        raise ValueError(
            f"simulate needs num_steps ≥ 1, every ≥ 1 and 0 ≤ burn_in < num_steps, got "
            f"{num_steps}, {every} and {burn_in}."
        )


def _require_finite(w: Weights, rate: float, step: int) -> None:
    lost = (~torch.isfinite(w).all(1)).nonzero()[:, 0].tolist()
    if lost:
        raise DivergedError(
            f"{len(lost)} of {len(w)} replicas diverged by step {step} at rate {rate:g}: lower the rate.",
            chains=lost[:_SHOWN],
        )
