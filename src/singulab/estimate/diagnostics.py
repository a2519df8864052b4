"""Monte Carlo error and convergence of (chain, draw) arrays, by ArviZ's estimators."""

import numpy as np
from arviz_stats.base.array import array_stats
from numpy.typing import NDArray

Array = NDArray[np.floating]


def ess(draws: Array) -> float:
    """Effective sample size of the mean over (chain, draw); a constant counts as one draw."""
    if draws.shape[1] < 4:
        return 1.0
    if float(np.ptp(draws)) == 0.0:
        return 1.0
    return float(max(1.0, array_stats.ess(draws, chain_axis=0, draw_axis=1, method="mean")))


def batch_means_error(draws: Array, num_batches: int = 8) -> float:
    """Standard error of the mean from the spread of the means of ``num_batches`` stretches of each chain."""
    length = draws.shape[1] // num_batches
    means = draws[:, -length * num_batches :].reshape(draws.shape[0] * num_batches, length).mean(1)
    return float(means.std(ddof=1) / np.sqrt(len(means)))


def mcse(draws: Array) -> float:
    """Monte Carlo standard error of the mean of (chain, draw) numbers.

    The larger of √(variance/ESS), which counts autocorrelation and chain spread, and the error by batch
    means. Minibatch noise is independent between draws and can be far larger than the slow wandering of the
    chains beneath it; the autocorrelation is then too small to be seen lag by lag, and only long stretches
    show it.
    """
    if draws.shape[1] < 4:
        return float("inf")
    by_ess = float(np.std(draws, ddof=1) / np.sqrt(ess(draws)))
    return max(by_ess, batch_means_error(draws)) if draws.shape[1] >= 64 else by_ess


def rhat(draws: Array) -> float:
    """Split R-hat on ranks; 1 for a constant, infinite for chains that stand still apart."""
    if draws.shape[1] < 4 or draws.shape[0] < 2:
        return float("nan")
    if float(np.ptp(draws)) == 0.0:
        return 1.0
    if float(np.ptp(draws, axis=1).max()) == 0.0:
        return float("inf")
    return float(array_stats.rhat(draws, chain_axis=0, draw_axis=1, method="rank"))


def drift(draws: Array) -> tuple[float, float]:
    """Mean of the last half minus mean of the first, and its standard error."""
    half = draws.shape[1] // 2
    first, last = draws[:, :half], draws[:, -half:]
    return float(last.mean() - first.mean()), float(np.hypot(mcse(first), mcse(last)))
