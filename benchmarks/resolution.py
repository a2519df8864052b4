"""λ_eff of polynomial networks at every temperature, against quadrature, and its limit against the exact λ.

    singulab bench resolution
    singulab bench resolution --cases polynomial-2-1 polynomial-3-3

Per network: the scale curve at γ = 1 from nβ = 10² upwards until a point fails a check, every passing point
against quadrature, and the limit of the passing points at infinite nβ against the closed form. Beside it stands
what the paper of these networks prints for plain SGLD, and the limit of as many exact points with the same errors:
what no sampler could better. Nothing of the exact answers is used on the way.

A network is done if every passing point is within 4 of its errors of quadrature and the limit within 10 % of λ.
Finished points stand in ``runs``, one line each: a call that was cut off goes on where it stood.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import singulab as sl
from benchmarks.book import Book, sampler
from singulab.cli.bench import BenchConfig
from singulab.estimate import limit
from singulab.estimate.limit import Limit
from singulab.estimate.llc import Estimate
from singulab.zoo import CASES, PolynomialNetwork
from singulab.zoo.polynomial_network import PUBLISHED_SGLD

FAR_OFF = 4.0  # errors
WRONG = 0.1  # of λ
EXPONENTS = (2, 3, 4, 6, 9, 14, 22, 35, 55, 90)
NETWORKS = ((2, 1), (2, 2), (2, 3), (2, 4), (2, 5), (3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (4, 3))


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Scale curves of polynomial networks and their limits."""

    cases: tuple[str, ...] = tuple(f"polynomial-{power}-{layers}" for power, layers in NETWORKS)
    nbeta: tuple[float, ...] = tuple(10.0**exponent for exponent in EXPONENTS)
    localization: float = 1.0  # γ
    relative_error: float = 0.02  # of each point
    max_gradients: float = 4e6  # of each point
    num_chains: int = 256
    seed: int = 0
    runs: Path = Path("runs/resolution.jsonl")  # every finished point; delete it to begin again


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """One row per network; ``points`` holds the curves."""
    book = Book(config.runs)
    rows: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for done, name in enumerate(config.cases):
        case = CASES[name]
        assert isinstance(case, PolynomialNetwork)

        def told(what: str, case: PolynomialNetwork = case, done: int = done) -> None:
            on_progress(f"{case.name}, {what}", done / len(config.cases))

        found = curve(case, config, book, told)
        rows.append(network(case, found))
        points += found
    return {"rows": rows, "points": points, "passed": all(row["passed"] for row in rows)}


def curve(
    case: PolynomialNetwork, config: Config, book: Book, told: Callable[[str], None]
) -> list[dict[str, Any]]:
    """The points of one network up to the first that fails."""
    names = ("localization", "relative_error", "max_gradients", "num_chains", "seed")
    key = {"case": case.name, **{name: getattr(config, name) for name in names}}
    key["code"] = sampler("zoo/polynomial_network.py", "zoo/quadrature.py")
    points: list[dict[str, Any]] = []
    for nbeta in sorted(config.nbeta):
        told(f"nβ = {nbeta:.0e}")
        points.append(book.get(key | {"nbeta": nbeta}, lambda t=nbeta: point(case, t, config)))
        if not points[-1]["passed"]:
            break
    return points


def point(case: PolynomialNetwork, nbeta: float, config: Config) -> dict[str, Any]:
    """One temperature, beside quadrature; the same numbers as within a whole curve."""
    (measured,) = sl.scale_curve(
        case.exact_potential(config.localization),
        nbeta=[nbeta],
        localization=[config.localization],
        relative_error=config.relative_error,
        max_gradients=config.max_gradients,
        num_chains=config.num_chains,
        seed=config.seed,
    ).points
    truth = case.truth(measured.localization, nbeta=measured.nbeta)
    return {
        "case": case.name,
        "nbeta": measured.nbeta,
        "localization": measured.localization,
        "radius": measured.radius,
        "llc": measured.llc.value,
        "mcse": measured.llc.mcse,
        "bias_se": measured.llc.bias_se,
        "quadrature": truth.value,
        "z": truth.z(measured.llc.value, measured.llc.se),
        "gradients": measured.gradients["total"],
        "seconds": round(measured.seconds, 1),
        "passed": measured.passed,
        "failed_checks": ", ".join(check.name for check in measured.checks if not check.passed),
    }


def network(case: PolynomialNetwork, points: list[dict[str, Any]]) -> dict[str, Any]:
    """The limit of one curve beside the exact λ."""
    passing = [point for point in points if point["passed"]]
    found, ideal = at_infinity(passing, "llc"), at_infinity(passing, "quadrature")
    exact = case.rlct.value
    published = PUBLISHED_SGLD.get((case.power, case.num_layers))
    farthest = max((point["z"] for point in passing), key=abs, default=0.0)
    error = found.llc.value / exact - 1
    return {
        "case": case.name,
        "exact": exact,
        "limit": found.llc.value,
        "se": found.llc.se,
        "error": error,
        "error_of_exact_points": ideal.llc.value / exact - 1,
        "published_sgld": published,
        "published_error": None if published is None else published / exact - 1,
        "points": len(passing),
        "largest_nbeta": max((point["nbeta"] for point in passing), default=0.0),
        "stopped_by": points[-1]["failed_checks"],
        "largest_z": farthest,
        "gradients": sum(point["gradients"] for point in points),
        "seconds": round(sum(point["seconds"] for point in points), 1),
        "passed": abs(error) <= WRONG and abs(farthest) <= FAR_OFF,
    }


def at_infinity(points: list[dict[str, Any]], of: str) -> Limit:
    """The limit of measured values, or of exact ones with the same errors."""
    errors = [Estimate(point[of], point["mcse"], point["bias_se"]) for point in points]
    return limit([point["nbeta"] for point in points], errors, num_weights=2)
