"""Off the training set: functions that fit some inputs of a machine, and what they do on the rest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from singulab.discrete.boltzmann import Agreement, agreement, tallied
from singulab.discrete.fibres import Fibres
from singulab.discrete.simplicity import Correlation, spearman
from singulab.discrete.training import Trained


@dataclass(frozen=True, kw_only=True, eq=False)
class Interpolants:
    """All functions of a machine that are right on the chosen places, the heaviest first."""

    place: Int64[np.ndarray, " function"]  # among the fibres
    mass: Float[np.ndarray, " function"]  # posterior: |A⁻¹(f)| over those of all interpolants
    complexity: Float[np.ndarray, " function"]  # c(f), nats
    error: Float[np.ndarray, " function"]  # share of wrong symbols off the training set
    log_evidence: float  # log of the share of settings that interpolate, nats

    def __len__(self) -> int:
        return len(self.place)

    @property
    def bayes_error(self) -> float:
        """Expected error of a setting drawn among all that interpolate."""
        return float(self.mass @ self.error)

    @property
    def uniform_error(self) -> float:
        """Expected error of a function drawn uniformly among all that interpolate."""
        return float(self.error.mean())

    @property
    def simplest_error(self) -> float:
        """Error of the functions with the least A-complexity; the mean of equal ones."""
        return float(self.error[self.complexity <= self.complexity.min() + 1e-12].mean())


def interpolants(
    found: Fibres, targets: Sequence[int] | np.ndarray, chosen: Sequence[int] | np.ndarray
) -> Interpolants:
    """The functions that fit, with posterior mass, complexity and error on the rest.

    Args:
        found: the fibres of a machine; if sampled, functions that were not met are missing.
        targets: the true symbols on all inputs.
        chosen: places that are trained on; a proper part of all.

    Raises:
        ValueError: no function of ``found`` fits, or no place is left to test on.

    Example:
        >>> from singulab.discrete import fibres, sign_network
        >>> fits = interpolants(fibres(sign_network(2, 3)), [1, 1, 1, 0], [0, 1, 2])
        >>> len(fits), fits.error.tolist()
        (2, [0.0, 1.0])
    """
    wanted, places = np.asarray(targets, np.int64), np.unique(np.asarray(chosen, np.int64))
    symbols = found.symbols
    if len(wanted) != symbols.shape[1]:
        raise ValueError(f"targets needs {symbols.shape[1]} symbols, got {len(wanted)}.")
    if len(places) and (places[0] < 0 or places[-1] >= len(wanted)):
        raise ValueError(f"chosen names places from 0 to {len(wanted) - 1}, got {list(chosen)}.")
    rest = np.setdiff1d(np.arange(len(wanted)), places)
    if not len(rest):
        raise ValueError("generalisation needs inputs that were not trained on, got none.")
    fits = np.flatnonzero((symbols[:, places] == wanted[places]).all(axis=1))
    if not len(fits):
        raise ValueError("no function of this machine fits the training set.")
    counts = found.counts[fits]
    return Interpolants(
        place=fits,
        mass=counts / counts.sum(),
        complexity=found.complexity[fits],
        error=(symbols[fits][:, rest] != wanted[rest]).mean(axis=1),
        log_evidence=math.log(int(counts.sum()) / found.total),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """How often training ends at each interpolant, beside its posterior mass."""

    frequency: Float[np.ndarray, " function"]  # share of the runs that fit
    mass: Float[np.ndarray, " function"]
    num_fit: int  # runs that fit
    num_strangers: int  # of them, at a function that the fibres do not hold
    correlation: Correlation  # Spearman of frequency and mass over functions with either of 2/num_fit or more
    verdict: Agreement  # of the hypothesis that the runs are draws of the posterior
    error: float  # mean error off the training set of the runs that fit
    error_se: float

    @property
    def total_variation(self) -> float:
        """½Σ|P_SGD − P_B|; ``verdict`` says how much of it as many exact draws would show."""
        return self.verdict.total_variation

    def to_dict(self) -> dict[str, float | int]:
        return {
            "num_fit": self.num_fit,
            "num_strangers": self.num_strangers,
            "correlation": self.correlation.value,
            "correlation_se": self.correlation.se,
            "total_variation": self.total_variation,
            "p_value": self.verdict.p_value,
            "error": self.error,
            "error_se": self.error_se,
        }


def comparison(runs: Trained, found: Fibres, fits: Interpolants) -> Comparison:
    """SGD against Bayes: P_SGD(f | S) beside P_B(f | S) for every interpolant.

    The question of Mingard et al., arXiv:2006.15191.

    Raises:
        ValueError: fewer than 2 runs fit the training set.
    """
    ended = runs.functions[runs.fit]
    if len(ended) < 2:
        raise ValueError(f"a comparison needs 2 runs that fit the training set, got {len(ended)}.")
    counts, strangers = tallied(ended, found)
    frequency = counts[fits.place] / len(ended)
    common = np.maximum(frequency, fits.mass) >= 2 / len(ended)
    enough = common.sum() >= 3
    correlation = (
        spearman(frequency[common], fits.mass[common])
        if enough
        else Correlation(math.nan, math.nan)
    )
    posterior = np.zeros(len(found))
    posterior[fits.place] = fits.mass
    known = frequency * len(ended)
    mean = float(known @ fits.error / max(known.sum(), 1))
    variance = float(known @ (fits.error - mean) ** 2 / max(known.sum(), 1))
    return Comparison(
        frequency=frequency,
        mass=fits.mass,
        num_fit=len(ended),
        num_strangers=strangers,
        correlation=correlation,
        verdict=agreement(ended, found, posterior),
        error=mean,
        error_se=math.sqrt(variance / max(known.sum(), 1)),
    )
