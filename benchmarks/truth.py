"""Error of the automatic measurement against known values, on networks and on plane potentials.

Networks: P1–P10 of the zoo at γ = 100 with the batch size of their table, no other setting, at most 16 000
gradient units each; the truth is a long HMC run on sufficient statistics. Plane potentials: γ = 1, nβ =
n/log n; the truth is quadrature. A passing run may be off by at most max(8 %, 4 joint errors) on a network
and 3.5 of its own errors on a plane potential.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import singulab as sl
from singulab.cli.bench import BenchConfig
from singulab.zoo import CASES, PLANE_POTENTIALS, DeepLinear, PlanePotential

LOCALIZATION = 100.0
WRONG, WRONG_Z = 0.08, 4.0  # what a passing network may be off by: the larger of the two
MEDIAN = 0.03
PLANE_Z = 3.5
PLANE_SE = 0.03


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Error of λ̂ against known values: P1–P10 and the two-dimensional table."""

    networks: tuple[str, ...] = tuple(f"P{i}" for i in range(1, 11))
    max_gradients: float = 16_000.0  # gradient units of each network run
    num_data: tuple[int, ...] = (10**3, 10**4, 10**6, 10**9)  # n of the plane potentials
    seeds: tuple[int, ...] = (0, 1, 2)  # of the networks
    plane_seed: int = 0


def run(config: Config, on_progress: Callable[[str, float], None] | None = None) -> dict[str, Any]:
    """Measure everything; ``passed`` says whether the promises above hold."""
    total = len(config.networks) * len(config.seeds) + len(config.num_data) * len(PLANE_POTENTIALS)
    rows: list[dict[str, Any]] = []

    def told(row: dict[str, Any]) -> None:
        rows.append(row)
        if on_progress is not None:
            on_progress(f"{row['case']} done", len(rows) / total)

    for name in config.networks:
        case = CASES[name]
        assert isinstance(case, DeepLinear)
        for seed in config.seeds:
            told(network(case, seed, config.max_gradients))
    for num_data in config.num_data:
        for plane in PLANE_POTENTIALS:
            told(potential(plane, num_data, config.plane_seed))
    networks = [row for row in rows if row["kind"] == "network"]
    planes = [row for row in rows if row["kind"] == "plane"]
    summary: dict[str, Any] = {"network_runs": len(networks), "plane_runs": len(planes)}
    if networks:
        errors = [abs(row["error"]) for row in networks]
        summary["median_error"] = median(errors)
        summary["largest_error_of_passing"] = max(
            (abs(row["error"]) for row in networks if row["passed"]), default=0.0
        )
        summary["passing"] = sum(row["passed"] for row in networks)
    broken = [row["case"] for row in rows if not row["promise_kept"]]
    summary["promises_broken"] = broken
    held = not broken and summary.get("median_error", 0.0) <= MEDIAN
    return {"rows": rows, "summary": summary, "passed": held}


def network(case: DeepLinear, seed: int, max_gradients: float) -> dict[str, Any]:
    """One run on a deep linear network."""
    truth = case.truth(LOCALIZATION)
    start = time.monotonic()
    m = sl.measure(
        case.model(),
        case.data(),
        sl.gaussian(),
        localization=LOCALIZATION,
        batch_size=case.batch_size,
        max_gradients=max_gradients,
        seed=seed,
    )
    error = m.llc.value / truth.value - 1
    joint = math.hypot(m.llc.se, truth.error)
    allowed = max(WRONG, WRONG_Z * joint / truth.value)
    return {
        "kind": "network",
        "case": case.name,
        "n": case.num_data,
        "seed": seed,
        "llc": m.llc.value,
        "se": m.llc.se,
        "truth": truth.value,
        "truth_error": truth.error,
        "error": error,
        "z": (m.llc.value - truth.value) / joint,
        "passed": m.passed,
        "failed_checks": ", ".join(c.name for c in m.checks if not c.passed),
        "gradients": m.gradients["total"],
        "seconds": time.monotonic() - start,
        "promise_kept": not m.passed or abs(error) <= allowed,
    }


def potential(case: PlanePotential, num_data: int, seed: int) -> dict[str, Any]:
    """One run on a plane potential.

    Up to n = 10⁶ the run must pass. At 10⁹ the arms are too narrow for any budget here, and the promise is
    that a wrong value does not pass.
    """
    nbeta = num_data / math.log(num_data)
    truth = case.truth(1.0, nbeta=nbeta)
    start = time.monotonic()
    budget = 4e8 if num_data == 10**6 else None
    m = sl.measure(case.exact_potential(1.0, nbeta=nbeta), max_gradients=budget, seed=seed)
    z = (m.llc.value - truth.value) / m.llc.se
    good = abs(z) <= PLANE_Z
    narrow = m.llc.se <= PLANE_SE * truth.value
    return {
        "kind": "plane",
        "case": case.name,
        "n": num_data,
        "seed": seed,
        "llc": m.llc.value,
        "se": m.llc.se,
        "truth": truth.value,
        "truth_error": truth.error,
        "error": m.llc.value / truth.value - 1,
        "z": z,
        "passed": m.passed,
        "failed_checks": ", ".join(c.name for c in m.checks if not c.passed),
        "gradients": m.gradients["total"],
        "seconds": time.monotonic() - start,
        "promise_kept": (m.passed and good and narrow)
        if num_data <= 10**6
        else (good or not m.passed),
    }
