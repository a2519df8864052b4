"""Bayesian learning from sampled data, on many data sets at once.

One run of sequential Monte Carlo under prior × exp(−t·K), K the population excess loss, serves all data sets: its
particles are weighted by exp(−(n·L_n − t·K)) for each. Data move a posterior by about its own width, so that the
weights stay even as long as t is below n; the effective sample size is told with every number.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from singulab.bayes.model import Draws, Model
from singulab.bayes.phases import Region
from singulab.bayes.prior import Prior, normal, prior_on
from singulab.bayes.tempering import Tempering, tempered

_COOLNESS = 0.6  # t/n of the particles that are weighted
LEAST_EFFECTIVE = 50.0  # effective draws below which a data set is left out of averages
_NODES_AT_A_TIME = 512  # draws for which log p at all nodes is held

Numbers = Float[np.ndarray, " set"]


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What Bayesian learning does with each of some data sets of n data; excesses are over the true entropy.

    All are nats for all n data: n·G_n tends to λ, n·T_n to λ − 2ν, F_n − n·L_n(truth) to λ log n − (m − 1) log log n.
    """

    num_data: int
    generalisation: Numbers  # n·(G_n − entropy)
    training: Numbers  # n·(T_n − its value at the truth)
    waic: Numbers  # n·(WAIC − the loss of the truth on the data)
    wbic: Numbers  # WBIC − n·L_n(truth)
    free_energy: Numbers  # F_n − n·L_n(truth)
    fluctuation: Numbers  # ν = V_n/2
    masses: Mapping[str, Numbers]  # posterior mass of each region
    effective: Numbers  # effective draws at β = 1
    effective_hot: Numbers  # and at β = 1/log n
    population: float  # −log ∫ prior·exp(−n·K): the free energy without noise

    @property
    def sound(self) -> np.ndarray:
        """Data sets with enough effective draws."""
        return np.minimum(self.effective, self.effective_hot) >= LEAST_EFFECTIVE

    def mean(self, name: str) -> tuple[float, float]:
        """Mean of a field over the sound data sets, and its standard error."""
        values = getattr(self, name)[self.sound]
        if len(values) < 2:
            return math.nan, math.nan
        return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))

    def to_dict(self) -> dict[str, Any]:
        """Means with errors, as JSON."""
        names = ("generalisation", "training", "waic", "wbic", "free_energy", "fluctuation")
        found: dict[str, Any] = {"num_data": self.num_data, "num_sound": int(self.sound.sum())}
        for name in names:
            found[name], found[f"{name}_se"] = self.mean(name)
        found["masses"] = {
            name: float(values[self.sound].mean()) for name, values in self.masses.items()
        }
        found["population_free_energy"] = self.population
        found["effective"] = float(np.median(self.effective))
        return found


def learning(
    model: Model,
    num_data: Sequence[int],
    *,
    num_data_sets: int = 100,
    regions: Mapping[str, Region] | None = None,
    tempering: Tempering | None = None,
    seed: int = 0,
) -> tuple[Learning, ...]:
    """Learn a model from many data sets, at several n.

    The data sets of different n are beginnings of the same sequences, so that a phase can be followed along n.

    Args:
        model: what is learned.
        num_data: n, increasing, each at least 3.
        num_data_sets: sequences of data.
        regions: name → function of draws → bool; the masses of these are followed.
        tempering: work of the Monte Carlo.
        seed: of all randomness.

    Raises:
        ValueError: n that do not increase.
    """
    ns = [int(n) for n in num_data]
    if not ns or ns != sorted(set(ns)) or ns[0] < 3:
        raise ValueError(f"num_data increases from at least 3, got {list(num_data)}.")
    if num_data_sets < 1:
        raise ValueError(f"num_data_sets is at least 1, got {num_data_sets}.")
    plan = tempering or Tempering(num_particles=2000, num_populations=4)
    prior = prior_of(model)
    ts = sorted({_COOLNESS * n for n in ns} | {_COOLNESS * n / math.log(n) for n in ns})
    runs = {run.t: run for run in tempered(model.excess, prior, model.box, ts, plan, seed)}
    rng = np.random.default_rng([seed, 1])
    sequences = [model.simulate(rng, ns[-1]) for _ in range(num_data_sets)]
    found = []
    for n in ns:
        cold, hot = (_Cloud.of(runs[t]) for t in (_COOLNESS * n, _COOLNESS * n / math.log(n)))
        found.append(_learned(model, n, [data[:n] for data in sequences], regions or {}, cold, hot))
    return tuple(found)


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


@dataclass(frozen=True)
class _Cloud:
    """Particles of prior·exp(−t·K) with the log of what each stands for: Σ exp(log_weight)·g = ∫ prior·exp(−t·K)·g."""

    draws: Draws
    log_weights: Float[np.ndarray, " draw"]
    excess: Float[np.ndarray, " draw"]
    t: float

    @classmethod
    def of(cls, run: Any) -> "_Cloud":
        populations, count = run.loss.shape
        log_weights = np.repeat(run.log_evidence - math.log(populations * count), count)
        return cls(
            run.points.reshape(populations * count, -1), log_weights, run.loss.ravel(), run.t
        )

    def weighted(self, log_likelihood: Float[np.ndarray, " draw"]) -> Float[np.ndarray, " draw"]:
        """Log weights for prior × likelihood."""
        return self.log_weights + self.t * self.excess + log_likelihood


def _learned(
    model: Model,
    n: int,
    data_sets: list[Float[np.ndarray, "datum column"]],
    regions: Mapping[str, Region],
    cold: _Cloud,
    hot: _Cloud,
) -> Learning:
    inside = {name: np.asarray(region(cold.draws), dtype=bool) for name, region in regions.items()}
    rows: list[dict[str, float]] = []
    at_nodes = np.exp(model.log_likelihood(cold.draws, model.nodes)) if _fits(model, cold) else None
    reference = model.log_truth(model.nodes)
    for data in data_sets:
        truth = model.log_truth(data)
        total = model.total(cold.draws, data)
        logs = cold.weighted(total)
        log_evidence = logsumexp(logs)
        weights = np.exp(logs - log_evidence)
        hot_total = model.total(hot.draws, data)
        hot_weights = hot.weighted(hot_total / math.log(n))
        hot_weights = np.exp(hot_weights - logsumexp(hot_weights))
        predictive, variances = _pointwise(model, cold.draws, weights, data)
        chosen = np.flatnonzero(weights > 1e-9 * weights.max())
        p_nodes = (
            weights @ at_nodes
            if at_nodes is not None
            else _mixed(model, cold.draws[chosen], weights[chosen])
        )
        row = {
            "generalisation": n * float(model.weights @ (reference - np.log(p_nodes))),
            "training": float((truth - predictive).sum()),
            "waic": float((truth - predictive + variances).sum()),
            "wbic": float(truth.sum() - hot_weights @ hot_total),
            "free_energy": float(truth.sum() - log_evidence),
            "fluctuation": float(variances.sum() / 2),
            "effective": float(1 / (weights**2).sum()),
            "effective_hot": float(1 / (hot_weights**2).sum()),
        }
        row |= {f"mass {name}": float(weights[mask].sum()) for name, mask in inside.items()}
        rows.append(row)
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return Learning(
        num_data=n,
        masses={name: columns.pop(f"mass {name}") for name in inside},
        population=-float(logsumexp(cold.log_weights - (n - cold.t) * cold.excess)),
        **columns,
    )


def _fits(model: Model, cloud: _Cloud) -> bool:
    return len(model.nodes) * len(cloud.draws) <= 12_000_000


def _mixed(
    model: Model, draws: Draws, weights: Float[np.ndarray, " draw"]
) -> Float[np.ndarray, " node"]:
    """Predictive density at the nodes."""
    total = np.zeros(len(model.nodes))
    for start in range(0, len(draws), _NODES_AT_A_TIME):
        part = slice(start, start + _NODES_AT_A_TIME)
        total += weights[part] @ np.exp(model.log_likelihood(draws[part], model.nodes))
    return total


def _pointwise(
    model: Model,
    draws: Draws,
    weights: Float[np.ndarray, " draw"],
    data: Float[np.ndarray, "datum column"],
) -> tuple[Float[np.ndarray, " datum"], Float[np.ndarray, " datum"]]:
    """Log E_w p(x_i|w) and Var_w log p(x_i|w); draws without weight are left out."""
    chosen = np.flatnonzero(weights > 1e-7 * weights.max())
    share = weights[chosen] / weights[chosen].sum()
    mean, square, density = (np.zeros(len(data)) for _ in range(3))
    size = max(1, 4_000_000 // len(data))
    shift = model.log_truth(data)  # keeps the squares small
    for start in range(0, len(chosen), size):
        part = share[start : start + size]
        logs = model.log_likelihood(draws[chosen[start : start + size]], data) - shift
        mean += part @ logs
        square += part @ logs**2
        density += part @ np.exp(logs)
    return np.log(density) + shift, np.maximum(square - mean**2, 0.0)
