"""λ_eff of polynomial networks at every temperature, against quadrature, and its limit against the exact λ.

    singulab bench resolution

Per network: the scale curve at γ = 1 from nβ = 10² upwards until a point fails a check, every passing point
against quadrature, and the limit of the passing points at infinite nβ against the closed form. Beside it stands
what the paper of these networks prints for plain SGLD. Nothing of the exact answers is used on the way.

A network is done if every passing point is within 4 of its errors of quadrature and the limit within 10 % of λ.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import singulab as sl
from singulab.cli.bench import BenchConfig
from singulab.zoo import CASES, PolynomialNetwork
from singulab.zoo.polynomial_network import PUBLISHED_SGLD

FAR_OFF = 4.0  # errors
WRONG = 0.1  # of λ
EXPONENTS = (2, 4, 6, 9, 13, 20, 30, 45, 70, 110, 160)
NETWORKS = ((2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (4, 3))


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Scale curves of polynomial networks and their limits."""

    cases: tuple[str, ...] = tuple(f"polynomial-{power}-{layers}" for power, layers in NETWORKS)
    nbeta: tuple[float, ...] = tuple(10.0**exponent for exponent in EXPONENTS)
    localization: float = 1.0  # γ
    relative_error: float = 0.01  # of each point
    num_chains: int = 2048
    seed: int = 0


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """One row per network; ``points`` holds the curves."""
    rows: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for done, name in enumerate(config.cases):
        on_progress(name, done / len(config.cases))
        case = CASES[name]
        assert isinstance(case, PolynomialNetwork)
        row, curve = network(case, config)
        rows.append(row)
        points += curve
    return {"rows": rows, "points": points, "passed": all(row["passed"] for row in rows)}


def network(case: PolynomialNetwork, config: Config) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The curve of one network, its points beside quadrature, and its limit."""
    start = time.monotonic()
    curve = sl.scale_curve(
        case.exact_potential(config.localization),
        nbeta=config.nbeta,
        localization=[config.localization],
        relative_error=config.relative_error,
        num_chains=config.num_chains,
        until_failure=True,
        seed=config.seed,
    )
    seconds = time.monotonic() - start
    points = [_point(case, measured) for measured in curve.points]
    passing = [point for point in points if point["passed"]]
    limit, exact = curve.limit(config.localization), case.rlct.value
    published = PUBLISHED_SGLD.get((case.power, case.num_layers))
    farthest = max((point["z"] for point in passing), key=abs, default=0.0)
    error = limit.llc.value / exact - 1
    row = {
        "case": case.name,
        "exact": exact,
        "limit": limit.llc.value,
        "se": limit.llc.se,
        "error": error,
        "published_sgld": published,
        "published_error": None if published is None else published / exact - 1,
        "points": len(passing),
        "largest_nbeta": max((point["nbeta"] for point in passing), default=0.0),
        "largest_z": farthest,
        "gradients": sum(measured.gradients["total"] for measured in curve.points),
        "seconds": seconds,
        "passed": abs(error) <= WRONG and abs(farthest) <= FAR_OFF,
    }
    return row, points


def _point(case: PolynomialNetwork, measured: sl.Measurement) -> dict[str, Any]:
    truth = case.truth(measured.localization, nbeta=measured.nbeta)
    return {
        "case": case.name,
        "nbeta": measured.nbeta,
        "localization": measured.localization,
        "radius": measured.radius,
        "llc": measured.llc.value,
        "se": measured.llc.se,
        "quadrature": truth.value,
        "z": truth.z(measured.llc.value, measured.llc.se),
        "gradients": measured.gradients["total"],
        "seconds": measured.seconds,
        "passed": measured.passed,
        "failed_checks": ", ".join(check.name for check in measured.checks if not check.passed),
    }
