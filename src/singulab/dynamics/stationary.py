"""The stationary law of SGD on a linear problem, measured beside its exact law at several rates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from singulab.dynamics.chain import (
    Moment,
    Observable,
    ProgressCallback,
    dissipation,
    fluctuation_dissipation,
    outer,
    simulate,
)
from singulab.dynamics.gibbs import FEWEST, GibbsTest, agreement, gibbs_test, thermometers
from singulab.dynamics.law import (
    diffusion_covariance,
    excess_loss,
    require_stable,
    stability_limit,
    stationary_covariance,
)
from singulab.dynamics.mean import Limit, Mean, Means, limit
from singulab.dynamics.problem import LinearProblem, Matrix

FORGETTING = 8.0  # relaxation times before the first moment: the start is forgotten to e^{−16}
MOST_STEPS = 1e7  # of one replica
_ALARM = 1e-4  # p-value below which a measurement contradicts the exact law


@dataclass(frozen=True, kw_only=True)
class StationaryPoint:
    """One learning rate: what was measured and what is exact."""

    rate: float  # η
    covariance: Means  # upper triangle of Σ, row by row
    exact_covariance: Matrix
    diffusion_covariance: Matrix  # to first order in η
    excess_loss: Mean
    exact_excess_loss: float
    gibbs: GibbsTest
    dissipation: tuple[Mean, Mean, Mean]  # E[δ·∇L], (η/2)E|g|², difference
    p_value: float  # of the measured covariance under the exact law
    num_steps: int
    num_kept: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether covariance and fluctuation–dissipation agree with what is exact."""
        return self.p_value > _ALARM and abs(self.dissipation[2].z(0.0)) < 4

    def measured(self) -> Matrix:
        """Σ as a matrix."""
        return _matrix(self.covariance.value, len(self.exact_covariance))

    def errors(self) -> Matrix:
        """Standard errors of its entries."""
        return _matrix(self.covariance.se, len(self.exact_covariance))

    def to_dict(self) -> dict[str, Any]:
        left, right, difference = self.dissipation
        return {
            "rate": self.rate,
            "covariance": self.measured().tolist(),
            "covariance_se": self.errors().tolist(),
            "exact_covariance": self.exact_covariance.tolist(),
            "diffusion_covariance": self.diffusion_covariance.tolist(),
            "p_value": self.p_value,
            "excess_loss": self.excess_loss.to_dict(),
            "exact_excess_loss": self.exact_excess_loss,
            "fluctuation_dissipation": {
                "pull": left.to_dict(),
                "noise": right.to_dict(),
                "difference": difference.to_dict(),
            },
            "gibbs": self.gibbs.to_dict(),
            "num_steps": self.num_steps,
            "num_kept": self.num_kept,
            "seconds": self.seconds,
            "passed": self.passed,
        }


@dataclass(frozen=True, kw_only=True)
class StationaryScan:
    """The stationary law at several rates."""

    points: tuple[StationaryPoint, ...]
    hessian: Matrix
    stability_limit: float  # the second moment exists below
    num_replicas: int
    seed: int

    @property
    def passed(self) -> bool:
        return all(point.passed for point in self.points)

    def covariance_limit(self, *, degree: int = 2) -> tuple[Limit, ...]:
        """Σ_ij/η at η → 0 for i ≤ j, row by row."""
        return tuple(
            self._limit(
                [p.covariance.value[k] / p.rate for p in self.points],
                [p.covariance.se[k] / p.rate for p in self.points],
                degree,
            )
            for k in range(len(self.points[0].covariance.value))
        )

    def excess_limit(self, *, degree: int = 2) -> Limit:
        """Excess loss/η at η → 0; tr(H)/(4B) for a realisable likelihood of unit variance."""
        return self._limit(
            [p.excess_loss.value / p.rate for p in self.points],
            [p.excess_loss.se / p.rate for p in self.points],
            degree,
        )

    def slope_limit(self, *, degree: int = 1) -> Limit:
        """The slope of log Σ against log h at η → 0: −1 under a Gibbs law, 0 at a likelihood's minimum."""
        slopes = [covariance_slope(p.gibbs.temperatures, self.hessian) for p in self.points]
        return self._limit([s.value for s in slopes], [s.se for s in slopes], degree)

    def gibbs_limit(self, *, degree: int = 1) -> GibbsTest:
        """The Gibbs test of the law at η → 0, on T/η of every direction.

        A chain at a finite rate is off a Gibbs law by about ηλ_max/2 whatever its noise; this verdict is not. Errors of
        different directions are taken as independent, which holds to first order in η.
        """
        count = len(self.points[0].gibbs.temperatures)
        found = [
            self._limit(
                [p.gibbs.temperatures[k].value / p.rate for p in self.points],
                [p.gibbs.temperatures[k].se / p.rate for p in self.points],
                degree,
            )
            for k in range(count)
        ]
        return agreement(
            Means(
                np.array([one.value for one in found]),
                np.diag([one.se**2 for one in found]),
                self.num_replicas,
            ),
            tolerance=self.points[0].gibbs.tolerance,
        )

    def _limit(self, values: Sequence[float], errors: Sequence[float], degree: int) -> Limit:
        rates = np.array([point.rate for point in self.points])
        return limit(rates, np.array(values), np.array(errors), degree=degree)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain containers."""
        return {
            "hessian": self.hessian.tolist(),
            "stability_limit": self.stability_limit,
            "num_replicas": self.num_replicas,
            "seed": self.seed,
            "points": [point.to_dict() for point in self.points],
            "passed": self.passed,
        }


def stationary(
    problem: LinearProblem,
    rates: Sequence[float],
    *,
    num_replicas: int = 4096,
    relaxations: float = 24.0,
    tolerance: float = 0.05,
    seed: int = 0,
    on_progress: ProgressCallback | None = None,
) -> StationaryScan:
    """Measure the stationary law of SGD at each rate, beside its exact law.

    Every replica starts at w*, forgets it for 8 relaxation times 1/(ηh_min), and is averaged over time for
    ``relaxations`` more. Rates have seeds of their own, so their errors are independent.

    Args:
        problem: a problem with affine gradients.
        rates: learning rates η, each below the stability limit.
        num_replicas: independent chains.
        relaxations: length of the averages, in relaxation times.
        tolerance: of the Gibbs verdict.
        seed: of all random numbers.
        on_progress: told what is under way and which share of all is done.

    Raises:
        ValueError: no rate, a rate that is not stable, or counts out of range.
    """
    if not rates:
        raise ValueError("stationary needs at least 1 learning rate.")
    if problem.num_weights < 2:
        raise ValueError(
            "stationary needs at least 2 weights: one direction alone has nothing to be compared with."
        )
    for rate in rates:
        require_stable(problem, rate)
    if not 0 < relaxations < math.inf:
        raise ValueError(f"relaxations must be positive and finite, got {relaxations:g}.")
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance:g}.")
    if not np.trace(problem.noise) > 0:
        raise ValueError(
            "Without gradient noise SGD ends at the minimum: there is no law to measure."
        )
    if num_replicas < FEWEST * problem.num_weights:
        raise ValueError(
            f"A Gibbs test of {problem.num_weights} directions needs at least "
            f"{FEWEST * problem.num_weights} replicas, got {num_replicas}."
        )
    longest = (FORGETTING + relaxations) / (min(rates) * np.linalg.eigvalsh(problem.hessian)[0])
    if longest > MOST_STEPS:
        raise ValueError(
            f"The flattest direction would need {longest:.1g} steps at rate {min(rates):g}, more than "
            f"{MOST_STEPS:.0e}: take larger rates, fewer relaxations or larger curvatures."
        )
    points = []
    for index, rate in enumerate(rates):

        def report(what: str, share: float, done: int = index) -> None:
            if on_progress is not None:
                on_progress(what, (done + share) / len(rates))

        points.append(
            _point(problem, rate, num_replicas, relaxations, tolerance, seed + 1000 * index, report)
        )
    return StationaryScan(
        points=tuple(points),
        hessian=problem.hessian,
        stability_limit=stability_limit(problem),
        num_replicas=num_replicas,
        seed=seed,
    )


def _point(
    problem: LinearProblem,
    rate: float,
    num_replicas: int,
    relaxations: float,
    tolerance: float,
    seed: int,
    report: ProgressCallback,
) -> StationaryPoint:
    curvatures = np.linalg.eigvalsh(problem.hessian)
    slowest, fastest = float(curvatures[0]), float(curvatures[-1])
    relaxation = 1 / (rate * slowest)
    burn_in = math.ceil(FORGETTING * relaxation) + 1
    every = max(1, int(0.25 / (rate * fastest)))
    chains = simulate(
        problem,
        rate=rate,
        num_steps=burn_in + math.ceil(relaxations * relaxation) + 1,
        num_replicas=num_replicas,
        start=problem.center,
        burn_in=burn_in,
        every=every,
        observables={
            "outer": outer(problem.center),
            "excess": excess(problem),
            "thermometers": thermometers(problem),
            "dissipation": dissipation(problem, problem.center),
        },
        seed=seed,
        on_progress=report,
    )
    exact = stationary_covariance(problem, rate)
    covariance = chains.means("outer")
    return StationaryPoint(
        rate=rate,
        covariance=covariance,
        exact_covariance=exact,
        diffusion_covariance=diffusion_covariance(problem, rate),
        excess_loss=chains.mean("excess"),
        exact_excess_loss=excess_loss(problem, exact),
        gibbs=gibbs_test(chains.averages["thermometers"], tolerance=tolerance),
        dissipation=fluctuation_dissipation(chains),
        p_value=covariance.p_value(exact[np.triu_indices(len(exact))]),
        num_steps=chains.num_steps,
        num_kept=chains.num_kept,
        seconds=chains.seconds,
    )


def excess(problem: LinearProblem) -> Observable:
    """The excess loss of every replica."""

    def observe(moment: Moment) -> Float[Tensor, " replica"]:
        return problem.loss(moment.w)

    return observe


def covariance_slope(temperatures: Sequence[Mean], hessian: Matrix) -> Mean:
    """Slope of log Σ against log h over the eigendirections of the Hessian.

    −1 under a Gibbs law, Σ ∝ H⁻¹; 0 where the covariance is the same in every direction, as for SGD at the
    minimum of a realisable likelihood at η → 0. The one number that tells the two laws apart.

    Args:
        temperatures: T_i = h_i Σ_ii in the order of ascending eigenvalues, as a Gibbs test on a linear problem
            has them; their errors are taken as independent, which holds to first order in η.
        hessian: H.

    Raises:
        ValueError: the eigenvalues of H are all the same.
    """
    x = np.log(np.linalg.eigvalsh(hessian))
    if np.ptp(x) < 1e-6:
        raise ValueError("All directions have the same curvature, so there is no slope.")
    y = np.array([math.log(t.value) for t in temperatures])
    weight = np.array([(t.value / t.se) ** 2 for t in temperatures])
    centred = x - np.average(x, weights=weight)
    information = float(weight @ centred**2)
    return Mean(float((weight * centred) @ y) / information - 1, information**-0.5)


def _matrix(upper: Float[np.ndarray, " pair"], dim: int) -> Matrix:
    full = np.zeros((dim, dim))
    full[np.triu_indices(dim)] = upper
    return full + np.triu(full, 1).T
