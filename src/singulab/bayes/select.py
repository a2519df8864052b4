"""Which of several models: free energy, WBIC, sBIC and WAIC side by side."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import logsumexp

from singulab.bayes.cloud import prior_of
from singulab.bayes.criteria import waic, wbic
from singulab.bayes.model import Model
from singulab.bayes.tempering import Tempered, Tempering, tempered
from singulab.exact.result import RLCT

Coefficients = Callable[[str, str], RLCT]

_CRITERIA = ("free_energy", "wbic", "sbic", "waic")


@dataclass(frozen=True, kw_only=True)
class Score:
    """One model; all numbers are nats for all data, smaller is better."""

    name: str
    free_energy: float | None  # −log evidence
    free_energy_se: float | None
    wbic: float | None
    wbic_se: float | None
    sbic: float | None  # −log of the sBIC evidence
    waic: float | None  # n·WAIC
    waic_se: float | None
    log_likelihood: float | None  # the largest


@dataclass(frozen=True)
class Selection:
    """Scores in the order given."""

    scores: tuple[Score, ...]

    def best(self, criterion: str = "free_energy") -> str:
        """Name of the model with the smallest value.

        Raises:
            ValueError: no such criterion, or no model has it.
        """
        if criterion not in _CRITERIA:
            raise ValueError(f"criterion is one of {', '.join(_CRITERIA)}, got {criterion!r}.")
        known = [
            (getattr(s, criterion), s.name)
            for s in self.scores
            if getattr(s, criterion) is not None
        ]
        if not known:
            raise ValueError(f"No model has a {criterion}.")
        return min(known)[1]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"scores": [vars(score) for score in self.scores]}

    def __getitem__(self, name: str) -> Score:
        for score in self.scores:
            if score.name == name:
                return score
        raise KeyError(f"There is no model {name!r}.")

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("model", *_CRITERIA)]
        for score in self.scores:
            values = [getattr(score, name) for name in _CRITERIA]
            rows.append((score.name, *("–" if v is None else f"{v:.2f}" for v in values)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


def select(
    candidates: Mapping[str, "Model | Mapping[str, Any]"],
    data: Float[np.ndarray, "datum column"] | None = None,
    *,
    coefficients: Coefficients | None = None,
    tempering: Tempering | None = None,
    seed: int = 0,
) -> Selection:
    """A table of free energy, WBIC, sBIC and WAIC.

    Args:
        candidates: name → :class:`Model`, which is learned here; or name → the draws of another program, a mapping with
            ``log_likelihood`` (β = 1) and, for WBIC, ``tempered`` (β = 1/log n). For sBIC, from the smallest model
            to the largest, each containing the one before.
        data: rows of data, for models.
        coefficients: (model, true submodel) → their learning coefficient, for sBIC; an upper bound is taken where there
            is no value, as sBIC does.
        tempering: work of the Monte Carlo.
        seed: of all randomness.

    Raises:
        ValueError: no candidates, models without data, data of another shape than the model's, candidates with
            different numbers of data, or sBIC for draws without their largest likelihood.
        TypeError: a candidate that is neither a model nor a mapping.

    Source: Drton & Plummer, "A Bayesian information criterion for singular models", J. R. Statist. Soc. B 79 (2017).
    """
    if not isinstance(candidates, Mapping):
        raise TypeError(
            f"select maps names to candidates, got {type(candidates).__name__}: give {{name: candidate}}."
        )
    if not candidates:
        raise ValueError("select needs at least one candidate.")
    models = {name: model for name, model in candidates.items() if isinstance(model, Model)}
    rows = {name: _rows(name, model, data) for name, model in models.items()}
    drawn = {
        name: _from_draws(name, candidate)
        for name, candidate in candidates.items()
        if not isinstance(candidate, Model)
    }
    counts = {name: len(rows[name]) if name in rows else drawn[name][1] for name in candidates}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise ValueError(f"Candidates are compared on the same data, got {told}.")
    num_data = next(iter(counts.values()))
    scores = [
        _learned(name, models[name], rows[name], tempering, seed)
        if name in models
        else drawn[name][0]
        for name in candidates
    ]
    if coefficients is not None:
        if any(score.log_likelihood is None for score in scores):
            raise ValueError("sBIC needs the largest likelihood of each: give Models and data.")
        values = sbic(
            [_number(score.log_likelihood) for score in scores],
            list(candidates),
            num_data,
            coefficients,
        )
        scores = [Score(**{**vars(s), "sbic": v}) for s, v in zip(scores, values, strict=True)]
    return Selection(tuple(scores))


def _rows(name: str, model: Model, data: Any) -> Float[np.ndarray, "datum column"]:
    """Data as the model takes them."""
    if data is None:
        raise ValueError(f"{name} is a model: give the data that it is to learn.")
    rows = np.asarray(data)
    if rows.dtype.kind not in "fiu":
        raise TypeError(f"data is an array of numbers, got {rows.dtype}.")
    columns = model.nodes.shape[1]
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise ValueError(f"{name} needs {columns} column(s) per datum, got shape {rows.shape}.")
    if len(rows) < 3:
        raise ValueError(f"{name} needs at least 3 data, got {len(rows)}.")
    if not np.isfinite(rows).all():
        raise ValueError("A datum is not finite; leave it out.")
    return rows.astype(float, copy=False)


def sbic(
    log_likelihoods: Sequence[float],
    names: Sequence[str],
    num_data: int,
    coefficients: Coefficients,
) -> list[float]:
    """−log of the singular BIC of nested models, all with the same prior probability.

    With L_ij = likelihood_i·n^{−λ_ij}(log n)^{m_ij−1}, λ_ij of model i at a generic truth in j, the evidence L_i solves
    Σ_{j≤i} (L_i − L_ij)·L_j = 0: an average of L_ij weighted by the evidence of the submodels, itself included.

    Args:
        log_likelihoods: largest log-likelihood of each, from the smallest model on.
        names: what ``coefficients`` calls them.
        num_data: n.
        coefficients: (model, true submodel) → learning coefficient.
    """
    log_n = math.log(num_data)
    found: list[float] = []
    for i, name in enumerate(names):
        terms = []
        for j in range(i + 1):
            bound = coefficients(name, names[j]).upper
            order = bound.multiplicity or 1
            terms.append(
                log_likelihoods[i] - float(bound.rlct) * log_n + (order - 1) * math.log(log_n)
            )
        found.append(_root(terms, found))
    return [-value for value in found]


def _root(terms: Sequence[float], smaller: Sequence[float]) -> float:
    """Log of the positive root of L² + (S − L_ii)L − Σ L_ij L_j = 0, S = Σ_{j<i} L_j."""
    if not smaller:
        return terms[0]
    top = max(*terms, *smaller)
    scaled = np.exp(np.array(terms) - top)
    below = np.exp(np.array(smaller) - top)
    b = below.sum() - scaled[-1]
    c = float(scaled[:-1] @ below)
    root = math.sqrt(b * b + 4 * c)
    # The form without cancellation; c may underflow, then one of the two is zero.
    value = (root - b) / 2 if b <= 0 else 2 * c / (root + b)
    return top + math.log(max(value, 1e-300))


def _learned(
    name: str,
    model: Model,
    data: Float[np.ndarray, "datum column"],
    tempering: Tempering | None,
    seed: int,
) -> Score:
    beta = 1 / math.log(len(data))
    truth = float(model.log_truth(data).sum())

    def loss(draws: Float[np.ndarray, "draw dim"]) -> Float[np.ndarray, " draw"]:
        return truth - model.total(draws, data)

    hot, cold = tempered(
        loss, prior_of(model), model.box, [beta, 1.0], tempering or Tempering(), seed
    )
    evidence = float(logsumexp(cold.log_evidence)) - math.log(len(cold.log_evidence))
    heated = wbic(_pointwise(model, hot, data), beta)
    criterion = waic(_pointwise(model, cold, data))
    return Score(
        name=name,
        free_energy=-(truth + evidence),
        free_energy_se=float(cold.log_evidence.std(ddof=1) / math.sqrt(len(cold.log_evidence))),
        wbic=heated.value,
        wbic_se=heated.mcse,
        sbic=None,
        waic=criterion.total,
        waic_se=criterion.se * len(data),
        log_likelihood=truth - _lowest(loss, cold, model),
    )


def _pointwise(
    model: Model, run: Tempered, data: Float[np.ndarray, "datum column"]
) -> Float[np.ndarray, "chain draw datum"]:
    """Every k-th draw, so that no more than some ten million numbers are held."""
    every = max(1, run.points.shape[0] * run.points.shape[1] * len(data) // 10_000_000)
    return np.stack([model.log_likelihood(chain[::every], data) for chain in run.points])


def _lowest(loss: Any, run: Tempered, model: Model) -> float:
    """The least loss, by descent from the best draws."""
    points = run.points.reshape(-1, model.dim)
    order = np.argsort(run.loss.ravel())[:5]
    # A share of 0 or 1 is the end of the box and a logarithm of 0.
    inner = 1e-9 * (model.box.upper - model.box.lower)
    bounds = list(zip(model.box.lower + inner, model.box.upper - inner, strict=True))
    found = [
        minimize(lambda w: float(loss(w[None])[0]), points[k], bounds=bounds, method="L-BFGS-B").fun
        for k in order
    ]
    return float(min(run.loss.min(), *found))


def _from_draws(name: str, given: Mapping[str, Any]) -> tuple[Score, int]:
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{name} is neither a Model nor a mapping with draws, got {type(given).__name__}."
        )
    unknown = set(given) - {"log_likelihood", "tempered"}
    if unknown or "log_likelihood" not in given:
        raise ValueError(
            f"{name} needs log_likelihood, and tempered for WBIC; got {', '.join(map(str, given))}."
        )
    criterion = waic(given["log_likelihood"])
    heated = None
    if "tempered" in given:
        heated = wbic(given["tempered"], 1 / math.log(criterion.num_data))
    return Score(
        name=name,
        free_energy=None,
        free_energy_se=None,
        wbic=None if heated is None else heated.value,
        wbic_se=None if heated is None else heated.mcse,
        sbic=None,
        waic=criterion.total,
        waic_se=criterion.se * criterion.num_data,
        log_likelihood=None,
    ), criterion.num_data


def _number(value: float | None) -> float:
    assert value is not None
    return value
