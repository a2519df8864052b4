"""Bayesian learning from sampled data, on many data sets at once.

The particles that serve all of them are those of :mod:`singulab.bayes.cloud`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from singulab.bayes.cloud import Cloud, clouds, weighted
from singulab.bayes.model import Draws, Model
from singulab.bayes.tempering import Tempering
from singulab.bayes.wells import Region

_COOLNESS = 0.6  # t/n of the particles that are weighted
_FEWEST_DRAWS, _MOST_NUMBERS = 400, 4_000_000  # of draws × data for WAIC
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
    # Monte Carlo errors of the means of generalisation, wbic and free_energy, and of population: the particles are the
    # same for all data sets, so that more of those do not make these smaller.
    mcse: Mapping[str, float]

    def mean(self, name: str) -> tuple[float, float]:
        """Mean of a field over the data sets, and its standard error; NaN for fewer than two."""
        values = getattr(self, name)
        if len(values) < 2:
            return math.nan, math.nan
        return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))

    def to_dict(self) -> dict[str, Any]:
        """Means with errors, as JSON."""
        names = ("generalisation", "training", "waic", "wbic", "free_energy", "fluctuation")
        found: dict[str, Any] = {
            "num_data": self.num_data,
            "num_data_sets": len(self.generalisation),
        }
        for name in names:
            found[name], found[f"{name}_se"] = self.mean(name)
        found["masses"] = {name: float(values.mean()) for name, values in self.masses.items()}
        found["population_free_energy"] = self.population
        found["effective"] = float(np.median(self.effective))
        found["mcse"] = dict(self.mcse)
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
    ts = sorted({_COOLNESS * n for n in ns} | {_COOLNESS * n / math.log(n) for n in ns})
    shared = clouds(model, ts, plan, seed)
    sequences = _sequences(model, ns[-1], num_data_sets, seed)
    found = []
    for n in ns:
        cold, hot = (shared[t] for t in (_COOLNESS * n, _COOLNESS * n / math.log(n)))
        found.append(_learned(model, n, [data[:n] for data in sequences], regions or {}, cold, hot))
    return tuple(found)


def region_masses(
    model: Model,
    num_data: Sequence[int],
    regions: Mapping[str, Region],
    *,
    num_data_sets: int,
    tempering: Tempering,
    seed: int,
) -> dict[str, Float[np.ndarray, "set n"]]:
    """Posterior masses alone; see :func:`learning`."""
    ts = [_COOLNESS * n for n in num_data]
    shared = clouds(model, ts, tempering, seed)
    found = {name: np.full((num_data_sets, len(ts)), np.nan) for name in regions}
    for row, data in enumerate(_sequences(model, num_data[-1], num_data_sets, seed)):
        for column, (n, t) in enumerate(zip(num_data, ts, strict=True)):
            cold, _ = weighted(model, data[:n], shared[t], None, row)
            for name, region in regions.items():
                found[name][row, column] = cold.weights @ region(cold.draws)
    return found


def _sequences(
    model: Model, num_data: int, num_data_sets: int, seed: int
) -> list[Float[np.ndarray, "datum column"]]:
    rng = np.random.default_rng([seed, 1])
    return [model.simulate(rng, num_data) for _ in range(num_data_sets)]


def _learned(
    model: Model,
    n: int,
    data_sets: list[Float[np.ndarray, "datum column"]],
    regions: Mapping[str, Region],
    cold: Cloud,
    hot: Cloud,
) -> Learning:
    rows: list[dict[str, float]] = []
    alone: list[Float[np.ndarray, "population 3"]] = []  # what each population says
    at_nodes = np.exp(model.log_likelihood(cold.draws, model.nodes)) if _fits(model, cold) else None
    reference = model.log_truth(model.nodes)
    for place, data in enumerate(data_sets):
        truth = model.log_truth(data)
        here, heated = weighted(model, data, cold, hot, place)
        assert heated is not None
        predictive, variances = _pointwise(model, here.draws, here.weights, data)
        if at_nodes is not None and here.draws is cold.draws:
            p_nodes = here.weights @ at_nodes
            by_part = here.weights.reshape(here.populations, -1)
            halves = at_nodes.reshape(here.populations, -1, len(model.nodes))
            log_nodes = np.log(np.einsum("kd,kdn->kn", by_part, halves, optimize=True)) - np.log(
                by_part.sum(axis=1, keepdims=True)
            )
            parts, heated_parts = here.parts(), heated.parts()
            alone.append(
                np.column_stack(
                    [
                        n * (reference - log_nodes) @ model.weights,
                        [-part.weights @ part.total for part in heated_parts],
                        [-part.log_evidence for part in parts],
                    ]
                )
            )
        else:
            chosen = np.flatnonzero(here.weights > 1e-9 * here.weights.max())
            p_nodes = _mixed(model, here.draws[chosen], here.weights[chosen])
        row = {
            "generalisation": n * float(model.weights @ (reference - np.log(p_nodes))),
            "training": float((truth - predictive).sum()),
            "waic": float((truth - predictive + variances).sum()),
            "wbic": float(truth.sum() - heated.weights @ heated.total),
            "free_energy": float(truth.sum() - here.log_evidence),
            "fluctuation": float(variances.sum() / 2),
            "effective": here.effective,
            "effective_hot": heated.effective,
        }
        for name, region in regions.items():
            row[f"mass {name}"] = float(here.weights @ region(here.draws))
        rows.append(row)
    without_noise = cold.log_weights - (n - cold.t) * cold.excess
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return Learning(
        num_data=n,
        masses={name: columns.pop(f"mass {name}") for name in regions},
        population=-float(logsumexp(without_noise)),
        mcse=_mcse(alone, without_noise.reshape(cold.populations, -1)),
        **columns,
    )


def _mcse(
    alone: list[Float[np.ndarray, "population 3"]],
    without_noise: Float[np.ndarray, "population draw"],
) -> dict[str, float]:
    """Errors of means over data sets, from the populations; NaN where no data set is served by them."""
    count = len(without_noise)
    errors = np.full(3, math.nan)
    if alone:
        errors = np.mean(alone, axis=0).std(axis=0, ddof=1) / math.sqrt(count)
    logs = logsumexp(without_noise, axis=1)
    names = ("generalisation", "wbic", "free_energy")
    return {
        **{name: float(error) for name, error in zip(names, errors, strict=True)},
        "population": float(logs.std(ddof=1) / math.sqrt(count)),
    }


def _fits(model: Model, cloud: Cloud) -> bool:
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
    """Log E_w p(x_i|w) and Var_w log p(x_i|w).

    Draws without weight are left out; where all others times all data are too many, some stand for all.
    """
    chosen = np.flatnonzero(weights > 1e-7 * weights.max())
    share = weights[chosen] / weights[chosen].sum()
    most = max(_FEWEST_DRAWS, _MOST_NUMBERS // len(data))
    if len(chosen) > most:
        ticks = (np.arange(most) + 0.5) / most
        places = np.minimum(np.searchsorted(np.cumsum(share), ticks), len(chosen) - 1)
        chosen, counts = np.unique(chosen[places], return_counts=True)
        share = counts / most
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
