"""prior × exp(−n·loss), seen whole: evidence, phases, their free energies, and where one overtakes another."""

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from singulab.bayes.box import Box, Loss, Sides, finite, loss_on
from singulab.bayes.crossing import Crossing, crossing_of, jumps_of
from singulab.bayes.cubature import cubature
from singulab.bayes.phases import FreeEnergy, Phase, phases_of
from singulab.bayes.prior import REACH, LogDensity, Prior, prior_on
from singulab.bayes.tempering import Tempering, tempered
from singulab.bayes.wells import Region, Wells, found_wells, named_wells

_SPACINGS = 8  # of floating-point numbers around a bump that its width must be …
_HELD = 1e-6  # … if it has such a mass


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
            reach = REACH * (abs(float(prior)) if finite(prior) else 1.0)
            found = Box.of([(-reach, reach)] * found.dim)
        self.box = found
        self.prior = prior_on(found, prior)
        self.regions = regions
        self.barrier = barrier
        self.tempering = tempering or Tempering()
        self.seed = seed
        self._at: dict[float, PosteriorAt] = {}
        self.known = self._checked(rlct)

    def _checked(
        self, rlct: Mapping[str, tuple[float, int]] | None
    ) -> dict[str, tuple[float, int]]:
        """(λ, m) by name, for wells that there are."""
        if rlct is None:
            return {}
        if not isinstance(rlct, Mapping):
            raise ValueError(
                f"rlct maps names of wells to (λ, m), got {type(rlct).__name__}: give rlct={{name: (λ, m)}}."
            )
        names = [well.name for well in self.wells.wells] if rlct else []
        for name, pair in rlct.items():
            if name not in names:
                raise ValueError(f"rlct names the well {name!r}; there are {', '.join(names)}.")
            if not _is_coefficient(pair):
                raise ValueError(
                    f"rlct gives a well λ above 0 and m a whole number of at least 1, got {pair!r} for {name!r}."
                )
        return {name: (float(pair[0]), int(pair[1])) for name, pair in rlct.items()}

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
            ValueError: n is not a number > 0, the integral is too rough, or the posterior as narrow as rounding.
        """
        n = _number_of_data(n)
        if n not in self._at:
            if self.integrates:
                self._at[n] = self.integrated(n)
            else:
                self.along([n])
        return self._at[n]

    @property
    def known_n(self) -> tuple[float, ...]:
        """Numbers of data at which the posterior is at hand."""
        return tuple(sorted(self._at))

    def along(self, ns: Sequence[float]) -> tuple[PosteriorAt, ...]:
        """The posterior at several n; above three weights one Monte Carlo run passes through all of them."""
        ns = [_number_of_data(n) for n in ns]
        missing = sorted(set(ns) - set(self._at))
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
        return tuple(self._at[n] for n in ns)

    def phases(self, *, n: float = 1e4) -> tuple[Phase, ...]:
        """Every well with its λ, m and constant.

        λ of a well comes from ``rlct`` if given; else from a Hessian of full rank (λ = d/2); else from algebra if the
        loss is a polynomial with one well; else from the volume of its sublevel sets. c is then read off
        the exact free energy of the well at 100·n, far from the crossing; above three weights at the largest n looked
        at (see :meth:`along`) at which the well still holds a tenth of the mass.

        Args:
            n: a number of data in the range of interest.
        """
        return phases_of(self, n)

    def free_energy(self, n: float) -> FreeEnergy:
        """F at n: exact, and Watanabe's formula for each phase."""
        at = self.at(n)
        n = at.n
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
        return crossing_of(self, before, after, between)

    def jumps(self, *, between: tuple[float, float]) -> tuple[Crossing, ...]:
        """Every jump of the heaviest well from one n to another, in order."""
        return jumps_of(self, between)

    @cached_property
    def _log_constant(self) -> float:
        """What a log density that was given has to be divided by."""
        if self.prior.draw is not None or not self.integrates:
            return 0.0
        none = np.empty((0, self.dim))

        def function(
            points: Float[np.ndarray, "node dim"],
        ) -> tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]]:
            return _no_nan(np.asarray(self.prior.log_density(points))), np.zeros(len(points))

        with np.errstate(invalid="ignore"):  # a prior of no mass
            total = cubature(function, self.box, none).log_integral
        if total == -math.inf:
            raise ValueError("The prior has no mass in the box: its log density is −∞ everywhere.")
        return total

    def log_prior(self, points: Float[np.ndarray, "node dim"]) -> Float[np.ndarray, " node"]:
        """Log density of the prior, normalised."""
        return np.asarray(self.prior.log_density(points)) - self._log_constant

    def integrated(self, n: float) -> PosteriorAt:
        """As :meth:`at`, not kept."""

        def function(
            points: Float[np.ndarray, "node dim"],
        ) -> tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]]:
            values = np.asarray(self.loss(points))
            return _no_nan(self.log_prior(points) - n * values), values

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
        for bump in bumps:
            if bump.mass > _HELD and not _wider_than_rounding(bump):
                raise ValueError(
                    f"The posterior at n = {n:g} is as narrow as floating-point numbers lie around the well "
                    f"{bump.name}: take a smaller n."
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
        heights = self.log_prior(points) - run.t * (run.loss.ravel() + floor) - log_evidence
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


def _number_of_data(n: object) -> float:
    if not finite(n) or float(n) <= 0:
        raise ValueError(f"n is a finite number > 0, got {str(n)[:40]}.")
    return float(n)


def _is_coefficient(pair: object) -> bool:
    """Whether it is (λ, m)."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        return False
    rlct, multiplicity = pair
    whole = isinstance(multiplicity, numbers.Integral) and not isinstance(multiplicity, bool)
    return finite(rlct) and rlct > 0 and whole and multiplicity >= 1


def _no_nan(u: Float[np.ndarray, " node"]) -> Float[np.ndarray, " node"]:
    if np.isnan(u).any() or np.isposinf(u).any():
        raise ValueError("The loss or the log density of the prior is not a number at some point.")
    return u


def _wider_than_rounding(bump: Bump) -> bool:
    mean, width = np.array(bump.mean), np.array(bump.width)
    return bool((width >= _SPACINGS * np.spacing(np.abs(mean))).all())
