"""Checks: what must hold before a number is worth printing without a warning."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from singulab.estimate.diagnostics import drift, mcse, rhat
from singulab.estimate.llc import Estimate, Extrapolation, widening
from singulab.trace import Trace

MONTE_CARLO = 0.025  # largest relative standard error
DRIFT_Z, DRIFT = 2.5, 0.05
RHAT, SPREAD = 1.15, 0.02
NOISE_SHARE = 0.6
HALVING = 0.08
VIRIAL = (0.85, 1.2)
VIRIAL_COMPONENT = (0.6, 1.6)
HEAT_CAPACITY = (0.0, 1.3)  # under a strong tether the variance is far below the mean
CRITICALITY = 0.1
LOST_UPDATES = 0.05
ACCEPTANCE = 0.5
STABILITY = 3.0  # curvature times ε of a leapfrog step, which is unstable from 4


@dataclass(frozen=True)
class Check:
    """One check: what was found, what was allowed, and what to do."""

    name: str
    value: float
    limit: str
    passed: bool
    advice: str  # one sentence; empty if there is nothing to do

    def to_dict(self) -> dict[str, Any]:
        content = asdict(self)
        content["value"] = self.value if math.isfinite(self.value) else None
        return content


@dataclass(frozen=True)
class Criticality:
    """How far w* is from a critical point of L, in units of λ̂."""

    drop: float  # predicted nβ·(loss drop), ½(nβ)² gᵀ(nβH + γ)⁻¹g
    se: float


def sampling_checks(
    trace: Trace, extrapolation: Extrapolation, *, relative_error: float
) -> list[Check]:
    """Checks of the sampling alone: error, drift, agreement of chains, equilibrium.

    Args:
        trace: living chains, burn-in cut off.
        extrapolation: λ̂ of that trace.
        relative_error: the caller's wish; above 2.5 % it becomes the limit.
    """
    llc, draws = extrapolation.llc, extrapolation.corrected
    size = max(abs(llc.value), 1e-300)
    limit = max(MONTE_CARLO, relative_error)
    error = llc.se / size
    advice = "Give a larger max_gradients, or accept the error by raising relative_error."
    if widening(trace) > 1:
        advice = "Give a larger localization: the chains go so far that the error is made larger."
    moved, moved_se = drift(draws)
    z = abs(moved) / max(moved_se, 1e-300)
    between = rhat(draws)
    means = draws.mean(1)
    spread = float(means.std(ddof=1) / size) if len(means) > 1 else math.nan
    virial = trace["virial"].astype(float)
    mean_virial = float(virial.mean())
    worst, name, sure = _worst_component(trace)
    return [
        Check(
            "monte_carlo_error",
            error,
            f"≤ {limit:.3g} of λ̂",
            bool(error <= limit),
            "" if error <= limit else advice,
        ),
        Check(
            "drift",
            moved / size,
            f"≤ {DRIFT:.0%} of λ̂, or {DRIFT_Z} of its errors",
            bool(z <= DRIFT_Z or abs(moved) <= DRIFT * size),
            ""
            if z <= DRIFT_Z or abs(moved) <= DRIFT * size
            else "The energy still changes along the run: give a larger max_gradients or a larger localization.",
        ),
        Check(
            "r_hat",
            between,
            f"≤ {RHAT}, or chain means within {SPREAD:.0%}",
            bool(between <= RHAT or spread <= SPREAD),
            ""
            if between <= RHAT or spread <= SPREAD
            else "The chains disagree: give a larger max_gradients or a larger localization.",
        ),
        Check(
            "virial",
            mean_virial,
            f"{VIRIAL[0]} … {VIRIAL[1]}",
            bool(VIRIAL[0] <= mean_virial <= VIRIAL[1]),
            ""
            if VIRIAL[0] <= mean_virial <= VIRIAL[1]
            else "Not in equilibrium at this γ, the value belongs to the effective one: raise γ or max_gradients.",
        ),
        Check(
            "virial_by_component",
            worst,
            f"{VIRIAL_COMPONENT[0]} … {VIRIAL_COMPONENT[1]} in every tensor",
            bool(not sure or VIRIAL_COMPONENT[0] <= worst <= VIRIAL_COMPONENT[1]),
            ""
            if not sure or VIRIAL_COMPONENT[0] <= worst <= VIRIAL_COMPONENT[1]
            else f"{name} is not in equilibrium; raise γ or the budget.",
        ),
    ]


def _worst_component(trace: Trace) -> tuple[float, str, bool]:
    """The virial farthest from 1 among the tensors, its name, and whether it is 3 errors off."""
    if "virial_by_component" not in trace or "component" not in trace.dataset.coords:
        return 1.0, "", False
    array = trace["virial_by_component"].astype(float)
    means = array.mean((0, 1))
    worst = int(np.argmax(np.abs(np.log(np.clip(means, 1e-6, None)))))
    error = mcse(array[:, :, worst])
    return (
        float(means[worst]),
        str(trace.dataset["component"].values[worst]),
        bool(abs(means[worst] - 1) > 3 * error),
    )


def restless(heat: Estimate, llc: Estimate, *, errors: float = 3.0) -> bool:
    """Whether the energy varies more than its mean allows, by so many errors: the step is too large."""
    size = max(abs(llc.value), 1e-300)
    return not heat.value - errors * heat.se <= HEAT_CAPACITY[1] * size


def all_checks(
    trace: Trace,
    extrapolation: Extrapolation,
    *,
    heat: Estimate,
    relative_error: float,
    criticality: Criticality | None,
    lost_updates: float,
    num_left_out: int,
    stability: float,
    biased: str | None,
    spent: float,
    budget: float,
) -> tuple[Check, ...]:
    """Every check of a finished measurement, in the order in which to read them."""
    llc = extrapolation.llc
    size = max(abs(llc.value), 1e-300)
    checks = sampling_checks(trace, extrapolation, relative_error=relative_error)
    share = extrapolation.noise_share
    checks.append(
        Check(
            "noise_share",
            share,
            f"≤ {NOISE_SHARE} of λ̂",
            bool(share <= NOISE_SHARE),
            ""
            if share <= NOISE_SHARE
            else "Minibatch noise heats the chains too much to be corrected: raise batch_size or max_gradients.",
        )
    )
    off = abs(extrapolation.halving)
    halved = bool(off <= HALVING or off <= 3 * extrapolation.halving_se)
    checks.append(
        Check(
            "step_halving",
            extrapolation.halving,
            f"≤ {HALVING:.0%} of λ̂, or 3 of its errors",
            halved,
            ""
            if halved
            else "Chains with half the step give another value: raise max_gradients, to afford smaller steps.",
        )
    )
    checks.append(
        Check(
            "sign",
            llc.value,
            "> 0",
            bool(llc.value > 0),
            ""
            if llc.value > 0
            else "The chains found a lower loss than at w*: train longer, or measure with labels='model'.",
        )
    )
    ratio, ratio_se = heat.value / size, heat.se / size
    fits = bool(HEAT_CAPACITY[0] - 3 * ratio_se <= ratio) and not restless(heat, llc)
    checks.append(
        Check(
            "heat_capacity",
            ratio,
            f"{HEAT_CAPACITY[0]} … {HEAT_CAPACITY[1]} of λ̂",
            fits,
            ""
            if fits
            else "Mean and variance of the energy disagree: the step is too large or w* is not a minimum.",
        )
    )
    if criticality is not None:
        drop = criticality.drop / size
        critical = bool(drop <= CRITICALITY or criticality.drop <= 2 * criticality.se)
        checks.append(
            Check(
                "criticality",
                drop,
                f"≤ {CRITICALITY} of λ̂",
                critical,
                ""
                if critical
                else "w* is not a critical point of this loss: train longer, or measure with labels='model'.",
            )
        )
    if np.isfinite(trace["acceptance"]).all():
        acceptance = float(trace["acceptance"].mean())
        checks.append(
            Check(
                "acceptance",
                acceptance,
                f"≥ {ACCEPTANCE}",
                acceptance >= ACCEPTANCE,
                ""
                if acceptance >= ACCEPTANCE
                else "Too many proposals are refused: give a smaller step_size.",
            )
        )
    if math.isfinite(stability):
        stable = stability <= STABILITY
        checks.append(
            Check(
                "stability",
                stability,
                f"≤ {STABILITY}",
                stable,
                ""
                if stable
                else "Chains stand where the step is nearly unstable, so walls beyond are out of reach: give a "
                "larger max_gradients.",
            )
        )
    checks.append(
        Check(
            "lost_update_fraction",
            lost_updates,
            f"≤ {LOST_UPDATES}",
            lost_updates <= LOST_UPDATES,
            ""
            if lost_updates <= LOST_UPDATES
            else "Steps vanish in rounding: give the model in float32 or float64, or raise localization less.",
        )
    )
    checks.append(
        Check(
            "living_chains",
            float(num_left_out),
            "0 left out",
            num_left_out == 0,
            ""
            if num_left_out == 0
            else "Some chains blew up and were left out: raise localization, or lower step_size.",
        )
    )
    if biased is not None:
        checks.append(
            Check(
                "unbiased_kernel",
                1.0,
                "0",
                False,
                f"This kernel is biased ({biased}); use kernel='auto'.",
            )
        )
    over = spent / budget
    checks.append(
        Check(
            "budget",
            over,
            "≤ 1.05 of max_gradients",
            over <= 1.05,
            "" if over <= 1.05 else "The preparation alone cost more than max_gradients: raise it.",
        )
    )
    return tuple(checks)


def failure(name: str, limit: str, advice: str) -> Check:
    """A check that failed before there was a number to look at."""
    return Check(name, math.nan, limit, False, advice)
