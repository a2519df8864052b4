"""prior × exp(−n·loss), seen whole: evidence, phases, their free energies, and where one overtakes another."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import logsumexp

from singulab.bayes.box import Box, Loss, Sides, loss_on
from singulab.bayes.cubature import cubature
from singulab.bayes.phases import Region, Wells, found_wells, named_wells
from singulab.bayes.prior import REACH, LogDensity, Prior, prior_on
from singulab.bayes.tempering import Tempering, tempered

_REFERENCE = 100.0  # the constant of a phase is read off where n is so many times the n of interest
_STEPS = 20  # of the grid on which jumps are looked for, per decade of n


@dataclass(frozen=True, kw_only=True)
class Bump:
    """What the posterior has in one well at one n."""

    name: str
    mass: float
    mass_se: float  # 0 where an integral was computed
    height: float  # largest posterior density
    mean: tuple[float, ...]
    width: tuple[float, ...]  # standard deviation of each weight
    free_energy: float  # −log ∫ over the well


@dataclass(frozen=True, kw_only=True)
class PosteriorAt:
    """The posterior at one n, as weighted points."""

    n: float
    log_evidence: float  # log ∫ prior·exp(−n·L)
    log_evidence_se: float
    mean_loss: float  # E[L]
    bumps: tuple[Bump, ...]  # one per well, best first
    points: Float[np.ndarray, "node dim"]
    weights: Float[np.ndarray, " node"]  # summing to 1

    @property
    def free_energy(self) -> float:
        """F = −log ∫ prior·exp(−n·L)."""
        return -self.log_evidence

    def mass(self, name: str) -> float:
        """Of one well."""
        return self[name].mass

    def __getitem__(self, name: str) -> Bump:
        for bump in self.bumps:
            if bump.name == name:
                return bump
        known = ", ".join(bump.name for bump in self.bumps)
        raise KeyError(f"There is no well {name!r}; there are {known}.")

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without the points."""
        return {
            "n": self.n,
            "log_evidence": self.log_evidence,
            "log_evidence_se": self.log_evidence_se,
            "mean_loss": self.mean_loss,
            "bumps": [
                {
                    "name": bump.name,
                    "mass": bump.mass,
                    "mass_se": bump.mass_se,
                    "height": bump.height,
                    "mean": list(bump.mean),
                    "width": list(bump.width),
                    "free_energy": bump.free_energy,
                }
                for bump in self.bumps
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A well as n grows: F(n) = n·L + λ log n − (m − 1) log log n + c."""

    name: str
    center: tuple[float, ...]
    loss: float  # L at its minimum
    prior_density: float  # there
    rlct: float  # λ of the loss in this well
    multiplicity: int  # m
    constant: float  # c
    how: str  # how λ and m are known

    def free_energy(self, n: float) -> float:
        """The asymptotic formula."""
        return (
            n * self.loss
            + self.rlct * math.log(n)
            - (self.multiplicity - 1) * math.log(math.log(n))
            + self.constant
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "center": list(self.center),
            "loss": self.loss,
            "prior_density": self.prior_density,
            "rlct": self.rlct,
            "multiplicity": self.multiplicity,
            "constant": self.constant,
            "how": self.how,
        }


@dataclass(frozen=True, kw_only=True)
class FreeEnergy:
    """F at one n, exact and by Watanabe's formula."""

    n: float
    exact: float  # −log evidence
    phases: Mapping[str, float]  # −log of the part of each well, exact
    formula: Mapping[str, float]  # n·L + λ log n − (m − 1) log log n + c of each


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


class Posterior:
    """prior × exp(−n·loss) of a small model, for any n.

    Up to three weights every number is an integral (adaptive cubature in log space); above that
    it is sequential Monte Carlo with errors from independent populations.

    What a careful reader would get wrong: the loss here is a function that is given, such as a population loss; for
    the fluctuations of sampled data use :class:`singulab.bayes.Model`. And n may be any number > 0:
    only n·loss enters.

    Args:
        loss: a formula such as ``"min(0.004 + x^2, (x - 9.4)^2)"``, or a function of points (…, dim) → (…).
        box: dimension of [−1, 1]^dim, or (low, high) of each weight. A formula may go without: [−1, 1] of each
            variable, ±12 deviations if the prior is normal.
        prior: ``"uniform"``, ``"normal"`` (standard), the deviation of a normal one, or a log density up to a constant.
        regions: name → function of points → bool, for the wells; None finds them, up to three weights.
        barrier: least height of the ridge between two wells; None = 1 % of the median loss.
        rlct: (λ, m) of wells by name, where it is known better than from the volume.
        tempering: work of the Monte Carlo.
        seed: of all randomness.
    """

    def __init__(
        self,
        loss: str | Loss,
        box: "int | Sides | Box | None" = None,
        *,
        prior: "str | float | LogDensity | Prior" = "uniform",
        regions: Mapping[str, Region] | None = None,
        barrier: float | None = None,
        rlct: Mapping[str, tuple[float, int]] | None = None,
        tempering: Tempering | None = None,
        seed: int = 0,
    ) -> None:
        self.text = loss if isinstance(loss, str) else None
        self.loss, found = loss_on(loss, box)
        if box is None and not (isinstance(prior, str) and prior == "uniform"):
            reach = REACH * (abs(prior) if isinstance(prior, int | float) else 1.0)
            found = Box.of([(-reach, reach)] * found.dim)
        self.box = found
        self.prior = prior_on(found, prior)
        self.regions = regions
        self.barrier = barrier
        self.known = dict(rlct or {})
        self.tempering = tempering or Tempering()
        self.seed = seed
        self._at: dict[float, PosteriorAt] = {}

    @property
    def dim(self) -> int:
        """Number of weights."""
        return self.box.dim

    @property
    def integrates(self) -> bool:
        """Whether numbers are integrals, not Monte Carlo."""
        return self.dim <= 3

    @cached_property
    def wells(self) -> Wells:
        """Wells of the loss, best first (in the caller's order if given)."""
        if self.regions is not None:
            return named_wells(self.loss, self.box, self.regions, self.seed)
        if not self.integrates:
            everywhere = {"all": lambda points: np.ones(len(points), dtype=bool)}
            return named_wells(self.loss, self.box, everywhere, self.seed)
        return found_wells(self.loss, self.box, self.barrier)

    def at(self, n: float) -> PosteriorAt:
        """The posterior after n data.

        Raises:
            ValueError: n is not a number > 0, or the integral is too rough.
        """
        if not (isinstance(n, int | float) and n > 0 and math.isfinite(n)):
            raise ValueError(f"n is a finite number > 0, got {n!r}.")
        if n not in self._at:
            if self.integrates:
                self._at[n] = self._integrated(float(n))
            else:
                self.along([n])
        return self._at[n]

    def along(self, ns: Sequence[float]) -> tuple[PosteriorAt, ...]:
        """The posterior at several n; above three weights one Monte Carlo run passes through all of them."""
        missing = sorted({float(n) for n in ns} - set(self._at))
        if self.integrates:
            return tuple(self.at(n) for n in ns)
        if missing:
            floor = min(well.loss for well in self.wells.wells)
            runs = tempered(
                lambda w: np.asarray(self.loss(w)) - floor,
                self.prior, self.box, missing, self.tempering, self.seed,
            )  # fmt: skip
            for run in runs:
                self._at[run.t] = self._sampled(run, floor)
        return tuple(self._at[float(n)] for n in ns)

    def phases(self, *, n: float = 1e4) -> tuple[Phase, ...]:
        """Every well with its λ, m and constant.

        λ of a well comes from ``rlct`` if given; else from a Hessian of full rank (λ = d/2); else from algebra if the
        loss is a polynomial with one well; else from the volume of its sublevel sets. c is then read off
        the exact free energy of the well at 100·n, far from the crossing.

        Args:
            n: a number of data in the range of interest.
        """
        from singulab.bayes.local import local_coefficient

        found = []
        far = n * _REFERENCE
        at = self.at(far) if self.integrates else self.along([n])[0]
        for index, well in enumerate(self.wells.wells):
            center = np.array(well.center)
            rlct, multiplicity, how = local_coefficient(self, index)
            phase = Phase(
                name=well.name,
                center=well.center,
                loss=well.loss,
                prior_density=float(np.exp(self._log_prior(center[None])[0])),
                rlct=rlct,
                multiplicity=multiplicity,
                constant=0.0,
                how=how,
            )
            constant = at[well.name].free_energy - phase.free_energy(at.n)
            found.append(Phase(**{**vars(phase), "constant": constant}))
        return tuple(found)

    def free_energy(self, n: float) -> FreeEnergy:
        """F at n: exact, and Watanabe's formula for each phase."""
        at = self.at(n)
        return FreeEnergy(
            n=n,
            exact=at.free_energy,
            phases={bump.name: bump.free_energy for bump in at.bumps},
            formula={phase.name: phase.free_energy(n) for phase in self.phases(n=n)},
        )

    def crossing(
        self, before: str | None = None, after: str | None = None, *, between: tuple[float, float]
    ) -> Crossing:
        """Where the well ``after`` overtakes the well ``before``.

        Args:
            before: the well that rules at small n; default the second best.
            after: the well that rules at large n; default the best.
            between: two numbers of data, one on either side of the crossing and of its 10 % and 90 % points.

        Raises:
            ValueError: the two do not cross there.
        """
        names = [well.name for well in self.wells.wells]
        if len(names) < 2:
            raise ValueError(f"A crossing needs two wells, the loss has one: {', '.join(names)}.")
        after, before = after or names[0], before or names[1]
        low, high = map(float, between)
        if not self.integrates:
            self.along(np.geomspace(low, high, 2 + int(8 * math.log10(high / low))).tolist())

        def solved(odds: float) -> float:
            return self._where(before, after, odds, low, high)

        def ends(odds: float) -> float:
            try:
                return solved(odds)
            except ValueError:  # a jump so wide that it begins or ends outside
                return math.nan

        true = solved(0.0)
        phases = {phase.name: phase for phase in self.phases(n=true)}

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

    def jumps(self, *, between: tuple[float, float]) -> tuple[Crossing, ...]:
        """Every jump of the heaviest well from one n to another, in order."""
        low, high = map(float, between)
        count = 2 + int(_STEPS * math.log10(high / low))
        if not self.integrates:
            count = 2 + count // 5
        ns = np.geomspace(low, high, count).tolist()
        heaviest = [max(at.bumps, key=lambda bump: bump.mass).name for at in self.along(ns)]
        found = []
        for place, (first, second) in enumerate(itertools.pairwise(heaviest)):
            if first != second:
                around = (
                    ns[max(place - count // 3, 0)],
                    ns[min(place + 1 + count // 3, count - 1)],
                )
                found.append(self.crossing(first, second, between=around))
        return tuple(found)

    def _where(self, before: str, after: str, odds: float, low: float, high: float) -> float:
        """N at which log(mass after/mass before) = odds."""
        if self.integrates:

            def miss(log_n: float) -> float:
                at = self._integrated(math.exp(log_n))
                return at[before].free_energy - at[after].free_energy - odds

            left, right = math.log(low), math.log(high)
            if not miss(left) < 0 < miss(right):
                raise ValueError(
                    f"{after} does not overtake {before} between n = {low:g} and {high:g}."
                )
            return math.exp(brentq(miss, left, right, xtol=1e-8))
        ns = sorted(n for n in self._at if low <= n <= high)
        logs = np.array(
            [self._at[n][before].free_energy - self._at[n][after].free_energy for n in ns]
        )
        logs = np.nan_to_num(logs, nan=0.0, posinf=50.0, neginf=-50.0) - odds
        turns = np.flatnonzero((logs[:-1] < 0) & (logs[1:] >= 0))
        if not len(turns):
            raise ValueError(
                f"{after} does not overtake {before} between n = {low:g} and {high:g}."
            )
        k = int(turns[0])
        share = -logs[k] / (logs[k + 1] - logs[k])
        return float(ns[k] * (ns[k + 1] / ns[k]) ** share)

    @cached_property
    def _log_constant(self) -> float:
        """What a log density that was given has to be divided by."""
        if self.prior.draw is not None or not self.integrates:
            return 0.0
        none = np.empty((0, self.dim))
        return cubature(
            lambda w: (self.prior.log_density(w), np.zeros(len(w))), self.box, none
        ).log_integral

    def _log_prior(self, points: Float[np.ndarray, "node dim"]) -> Float[np.ndarray, " node"]:
        return np.asarray(self.prior.log_density(points)) - self._log_constant

    def _integrated(self, n: float) -> PosteriorAt:
        def function(
            points: Float[np.ndarray, "node dim"],
        ) -> tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]]:
            values = np.asarray(self.loss(points))
            return self._log_prior(points) - n * values, values

        found = cubature(function, self.box, self.wells.centers, self.wells.label)
        log_masses = found.log_weights - found.log_integral
        weights = np.exp(log_masses)
        bumps = tuple(
            self._bump(
                well.name,
                found.groups == index,
                found.nodes,
                log_masses,
                found.log_integral,
                found.u - found.log_integral,
                0.0,
            )
            for index, well in enumerate(self.wells.wells)
        )
        return PosteriorAt(
            n=n,
            log_evidence=found.log_integral,
            log_evidence_se=found.error,
            mean_loss=float(weights @ found.values),
            bumps=bumps,
            points=found.nodes,
            weights=weights,
        )

    def _sampled(self, run: Any, floor: float) -> PosteriorAt:
        populations, count = run.loss.shape
        shares = run.log_evidence - logsumexp(run.log_evidence)
        log_evidence = logsumexp(run.log_evidence) - math.log(populations) - run.t * floor
        points = run.points.reshape(-1, self.dim)
        log_masses = np.repeat(shares - math.log(count), count)
        labels = self.wells.label(points)
        heights = self._log_prior(points) - run.t * (run.loss.ravel() + floor) - log_evidence
        bumps = []
        for index, well in enumerate(self.wells.wells):
            mine = labels == index
            each = mine.reshape(populations, count).mean(axis=1)
            error = float(each.std(ddof=1) / math.sqrt(populations))
            bumps.append(
                self._bump(well.name, mine, points, log_masses, log_evidence, heights, error)
            )
        weights = np.exp(log_masses)
        return PosteriorAt(
            n=run.t,
            log_evidence=float(log_evidence),
            log_evidence_se=float(run.log_evidence.std(ddof=1) / math.sqrt(populations)),
            mean_loss=float(weights @ run.loss.ravel()) + floor,
            bumps=tuple(bumps),
            points=points,
            weights=weights,
        )

    def _bump(
        self,
        name: str,
        mine: np.ndarray,
        points: Float[np.ndarray, "node dim"],
        log_masses: Float[np.ndarray, " node"],
        log_evidence: float,
        heights: Float[np.ndarray, " node"],
        mass_se: float,
    ) -> Bump:
        nothing = (math.nan,) * self.dim
        if not mine.any():
            return Bump(
                name=name, mass=0.0, mass_se=mass_se, height=0.0, mean=nothing, width=nothing,
                free_energy=math.inf,
            )  # fmt: skip
        log_mass = float(logsumexp(log_masses[mine]))
        weights = np.exp(log_masses[mine] - log_mass)
        mean = weights @ points[mine]
        width = np.sqrt(np.maximum(weights @ (points[mine] - mean) ** 2, 0.0))
        return Bump(
            name=name,
            mass=min(math.exp(log_mass), 1.0),
            mass_se=mass_se,
            height=float(np.exp(min(heights[mine].max(), 700.0))),
            mean=tuple(float(x) for x in mean),
            width=tuple(float(x) for x in width),
            free_energy=-log_evidence - log_mass,
        )
