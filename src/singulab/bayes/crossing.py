"""Where one phase of a posterior overtakes another: the n that the free energies predict, and the true one."""

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq

if TYPE_CHECKING:
    from singulab.bayes.posterior import Posterior

_STEPS = 20  # of the grid on which jumps are looked for, per decade of n


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where one phase overtakes another."""

    before: str
    after: str
    predicted: float  # n_c where the two formulas meet
    true: float  # n_c where the two masses are equal
    start: float  # n where ``after`` has 10 % of the mass of both, NaN if outside of what was looked at …
    stop: float  # … and 90 %

    @property
    def relative_width(self) -> float:
        """(stop − start)/n_c."""
        return (self.stop - self.start) / self.true

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "before": self.before,
            "after": self.after,
            "predicted": self.predicted,
            "true": self.true,
            "start": self.start,
            "stop": self.stop,
            "relative_width": self.relative_width,
        }


def crossing_of(
    posterior: "Posterior", before: str | None, after: str | None, between: tuple[float, float]
) -> Crossing:
    """See :meth:`singulab.bayes.Posterior.crossing`."""
    names = [well.name for well in posterior.wells.wells]
    if len(names) < 2:
        raise ValueError(f"A crossing needs two wells, the loss has one: {', '.join(names)}.")
    after, before = after or names[0], before or names[1]
    low, high = _ordered(between)
    if not posterior.integrates:
        posterior.along(np.geomspace(low, high, 2 + int(8 * math.log10(high / low))).tolist())

    def solved(odds: float) -> float:
        return _where(posterior, before, after, odds, low, high)

    def ends(odds: float) -> float:
        try:
            return solved(odds)
        except ValueError:  # a jump so wide that it begins or ends outside
            return math.nan

    true = solved(0.0)
    phases = {phase.name: phase for phase in posterior.phases(n=true)}

    def gap(log_n: float) -> float:
        n = math.exp(log_n)
        return phases[before].free_energy(n) - phases[after].free_energy(n)

    # log log n is no number at n ≤ 1.
    left, right = math.log(max(true / 100, 1.5)), math.log(true * 100)
    grid = np.linspace(left, right, 400)
    gaps = np.array([gap(x) for x in grid])
    turns = np.flatnonzero((gaps[:-1] < 0) & (gaps[1:] >= 0))
    predicted = math.nan
    if len(turns):
        nearest = turns[np.abs(grid[turns] - math.log(true)).argmin()]
        predicted = math.exp(brentq(gap, grid[nearest], grid[nearest + 1]))
    return Crossing(
        before=before,
        after=after,
        predicted=predicted,
        true=true,
        start=ends(-math.log(9.0)),
        stop=ends(math.log(9.0)),
    )


def jumps_of(posterior: "Posterior", between: tuple[float, float]) -> tuple[Crossing, ...]:
    """See :meth:`singulab.bayes.Posterior.jumps`."""
    low, high = _ordered(between)
    count = 2 + int(_STEPS * math.log10(high / low))
    if not posterior.integrates:
        count = 2 + count // 5
    ns = np.geomspace(low, high, count).tolist()
    heaviest = [max(at.bumps, key=lambda bump: bump.mass).name for at in posterior.along(ns)]
    found = []
    for place, (first, second) in enumerate(itertools.pairwise(heaviest)):
        if first != second:
            around = (
                ns[max(place - count // 3, 0)],
                ns[min(place + 1 + count // 3, count - 1)],
            )
            found.append(crossing_of(posterior, first, second, around))
    return tuple(found)


def _ordered(between: tuple[float, float]) -> tuple[float, float]:
    low, high = map(float, between)
    if not 0 < low < high < math.inf:
        raise ValueError(f"between is two numbers of data, 0 < low < high, got {between}.")
    return low, high


def _where(
    posterior: "Posterior", before: str, after: str, odds: float, low: float, high: float
) -> float:
    """N at which log(mass after/mass before) = odds."""
    if posterior.integrates:

        def miss(log_n: float) -> float:
            at = posterior.integrated(math.exp(log_n))
            return at[before].free_energy - at[after].free_energy - odds

        left, right = math.log(low), math.log(high)
        if not miss(left) < 0 < miss(right):
            raise ValueError(
                f"{after} does not overtake {before} between n = {low:g} and {high:g}."
            )
        return math.exp(brentq(miss, left, right, xtol=1e-8))
    ns = sorted(n for n in posterior.known_n if low <= n <= high)
    logs = np.array(
        [posterior.at(n)[before].free_energy - posterior.at(n)[after].free_energy for n in ns]
    )
    logs = np.nan_to_num(logs, nan=0.0, posinf=50.0, neginf=-50.0) - odds
    turns = np.flatnonzero((logs[:-1] < 0) & (logs[1:] >= 0))
    if not len(turns):
        raise ValueError(f"{after} does not overtake {before} between n = {low:g} and {high:g}.")
    k = int(turns[0])
    share = -logs[k] / (logs[k + 1] - logs[k])
    return float(ns[k] * (ns[k + 1] / ns[k]) ** share)
