"""Simplicity bias: how P(f) falls with the complexity of f, its upper bound and its ranks.

    P(f) ≤ 2^{−a·K̃(f) + b}

Source: Dingle, Camargo & Louis (2018), Nat. Commun. 9, 761; Valle-Pérez, Camargo & Louis, arXiv:1805.08522.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from singulab.discrete.fibres import Fibres
from singulab.rng import Purpose, generator

Numbers = Float[np.ndarray, " function"]

_RESAMPLES = 200


@dataclass(frozen=True)
class Correlation:
    """A correlation and its standard error over resampled functions."""

    value: float
    se: float


@dataclass(frozen=True)
class Bound:
    """log₂ P ≤ intercept − slope·complexity."""

    slope: float
    intercept: float

    def at(self, complexity: Numbers) -> Numbers:
        """log₂ of the bound."""
        return self.intercept - self.slope * complexity

    def held(self, log2_probability: Numbers, complexity: Numbers) -> float:
        """Share of functions that the bound holds for."""
        return float((log2_probability <= self.at(complexity) + 1e-9).mean())


def spearman(x: Numbers, y: Numbers, *, seed: int = 0) -> Correlation:
    """The correlation of ranks, ties sharing the mean rank; its error by resampling the functions."""
    return _correlation(ranks(x), ranks(y), seed)


def pearson(x: Numbers, y: Numbers, *, seed: int = 0) -> Correlation:
    """The linear correlation; its error by resampling the functions."""
    return _correlation(x, y, seed)


def upper_bound(log2_probability: Numbers, complexity: Numbers) -> Bound:
    """The lowest line above all functions: of all such lines the one that is least at the mean complexity.

    It runs along the edge of the convex hull over that point, the mean being over the different complexities that
    occur. Functions that were met once make a floor which flattens it: leave them out.

    Raises:
        ValueError: fewer than two different complexities.
    """
    levels, place = np.unique(complexity, return_inverse=True)
    if len(levels) < 2:
        raise ValueError("a bound needs functions of at least two complexities, got one.")
    highest = np.full(len(levels), -np.inf)
    np.maximum.at(highest, place, log2_probability)
    hull: list[int] = []
    for level in range(len(levels)):
        while len(hull) >= 2 and _turns_up(levels, highest, hull[-2], hull[-1], level):
            hull.pop()
        hull.append(level)
    middle = levels.mean()
    right = next(k for k in range(1, len(hull)) if levels[hull[k]] >= middle)
    a, b = hull[right - 1], hull[right]
    slope = float((highest[b] - highest[a]) / (levels[b] - levels[a]))
    return Bound(slope=-slope, intercept=float(highest[a] - slope * levels[a]))


def _turns_up(x: Numbers, y: Numbers, a: int, b: int, c: int) -> bool:
    """Whether b lies on or below the chord from a to c."""
    return bool((y[b] - y[a]) * (x[c] - x[a]) <= (y[c] - y[a]) * (x[b] - x[a]))


def predicted_bound(num_symbols: int, complexity: Numbers, *, num_letters: int = 2) -> Bound:
    """The bound before anything is fitted: a = log₂(number of functions)/largest complexity, b = 0."""
    return Bound(
        slope=num_symbols * math.log2(num_letters) / float(complexity.max()), intercept=0.0
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class RankFrequency:
    """log P against log rank: Zipf's law has slope −1."""

    rank: Numbers
    probability: Numbers
    slope: float  # least squares over ranks from 10 up, as far as counts are 10 or more


def rank_frequency(found: Fibres, *, first: int = 10, least: int = 10) -> RankFrequency:
    """The rank plot, and its slope where counts are large enough to have a rank."""
    rank = np.arange(1, len(found) + 1, dtype=float)
    used = (rank >= first) & (found.counts >= least)
    slope = math.nan
    if used.sum() >= 3:
        x = np.log(rank[used])
        # Ranks are dense at the high end: weights 1/rank make every decade count alike.
        weights = 1 / rank[used]
        x = x - np.average(x, weights=weights)
        y = np.log(found.probability[used])
        slope = float((weights * x) @ y / ((weights * x) @ x))
    return RankFrequency(rank=rank, probability=found.probability, slope=slope)


def ranks(values: Numbers) -> Numbers:
    """Ranks from 1; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


def _correlation(x: Numbers, y: Numbers, seed: int) -> Correlation:
    if len(x) < 3:
        raise ValueError(f"a correlation needs at least 3 functions, got {len(x)}.")
    random = generator(seed, Purpose.SCORE)
    again = [_pearson(x, y, random.integers(0, len(x), len(x))) for _ in range(_RESAMPLES)]
    return Correlation(_pearson(x, y, slice(None)), float(np.nanstd(again, ddof=1)))


def _pearson(x: Numbers, y: Numbers, chosen: Sequence[int] | np.ndarray | slice) -> float:
    a, b = x[chosen] - x[chosen].mean(), y[chosen] - y[chosen].mean()
    size = math.sqrt((a @ a) * (b @ b))
    return float(a @ b) / size if size > 0 else math.nan
