"""``singulab stationary``: the stationary law of SGD on linear regression, measured beside its exact law."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from singulab.cli.command import CommandConfig, Outcome, extra
from singulab.cli.progress import bar
from singulab.cli.screen import drawn
from singulab.report.table import Table, rounded

if TYPE_CHECKING:
    from singulab.dynamics import LinearProblem, StationaryScan

Noise = Literal["minibatch", "isotropic", "completed"]
ENOUGH = 3  # rates from which on limits at rate 0 are told


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig):
    """Measure where SGD ends up at constant learning rates, and whether that is a Gibbs law.

    The problem is linear regression with the unit-variance likelihood and fresh data at every step. Noise is that of
    minibatches; the same strength alike in all directions; or minibatches with noise added until it is alike in all.
    The exit code is 1 if a measurement contradicts the exact law.
    """

    curvatures: tuple[float, ...] = (1.0, 0.5, 0.25, 0.1)  # eigenvalues of the Hessian, at least 2
    batch_size: int = 4  # B
    label_noise: float = 1.0  # σ; 1 makes the likelihood realisable
    noises: tuple[Noise, ...] = ("minibatch", "isotropic")  # which to run
    rates: tuple[float, ...] = (0.05, 0.1, 0.2)  # learning rates η; 3 or more give limits at 0
    num_replicas: int = 2048  # independent chains
    relaxations: float = 24.0  # length of the averages, in relaxation times 1/(η·least curvature)
    tolerance: float = 0.05  # relative difference of temperatures that still counts as Gibbs
    seed: int = 0
    figure: Path = Path("runs/stationary.png")  # where the figure is drawn: .png, .svg or .pdf

    def __post_init__(self) -> None:
        if self.figure.suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"--figure must end in .png, .svg or .pdf, got {str(self.figure)!r}.")
        if not self.noises or len(set(self.noises)) < len(self.noises):
            raise ValueError("--noises needs at least one noise, and each at most once.")
        if len(set(self.rates)) < len(self.rates):
            raise ValueError("--rates must be different from each other.")


def run(config: Config, console: Console) -> Outcome:
    """Scan the rates under every noise, show them as a table, draw them."""
    import numpy as np

    from singulab.dynamics import GaussianRegression, stationary
    from singulab.dynamics.stationary import StationaryScan
    from singulab.sample.plan import Progress

    problem = GaussianRegression(
        np.array(config.curvatures),
        batch_size=config.batch_size,
        label_noise=config.label_noise,
    )
    scans: dict[str, StationaryScan] = {}
    for number, noise in enumerate(config.noises):
        with bar(console, noise) as show:

            def report(what: str, share: float, show: Any = show) -> None:
                show(Progress(what, share, 1.0, float("nan"), float("nan"), None, None))

            scans[noise] = stationary(
                _with_noise(problem, noise),
                config.rates,
                num_replicas=config.num_replicas,
                relaxations=config.relaxations,
                tolerance=config.tolerance,
                seed=config.seed + 1_000_000 * number,
                on_progress=report,
            )
    console.print(drawn(table(scans)))
    for name, scan in scans.items():
        console.print("\n".join(_limits(name, scan)))
    with extra("plot"):
        from singulab.report import dynamics_figure

        made = dynamics_figure.stationary(scans)
        config.figure.parent.mkdir(parents=True, exist_ok=True)
        made.savefig(config.figure, dpi=150)
    console.print(f"\nfigure: {config.figure}")
    passed = all(scan.passed for scan in scans.values())
    data = {
        "curvatures": list(config.curvatures),
        "batch_size": config.batch_size,
        "label_noise": config.label_noise,
        "seed": config.seed,
        "noises": {noise: {**scan.to_dict(), **_told(scan)} for noise, scan in scans.items()},
        "passed": passed,
        "figure": str(config.figure),
    }
    return Outcome(data=data, passed=passed)


def table(scans: "dict[str, StationaryScan]") -> Table:
    """One row per noise and rate."""
    rows = []
    for noise, scan in scans.items():
        for point in scan.points:
            gibbs = point.gibbs
            rows.append(
                (
                    noise,
                    f"{point.rate:g}",
                    rounded(point.excess_loss.value, point.excess_loss.se),
                    f"{point.exact_excess_loss:.4g}",
                    f"{point.p_value:.2g}",
                    f"{point.dissipation[2].z(0.0):+.1f} se",
                    " ".join(f"{t.value:.3g}" for t in gibbs.temperatures),
                    gibbs.verdict,
                )
            )
    columns = (
        "noise",
        "η",
        "excess loss ± se",
        "exact",
        "p of Σ",
        "E[w·∇L] − (η/2)E|g|²",
        "temperatures, flat to sharp",
        "law ∝ e^(−βL)?",
    )
    return Table(columns, tuple(rows))


def _with_noise(problem: "LinearProblem", noise: Noise) -> "LinearProblem":
    from singulab.dynamics import completed, isotropic

    if noise == "isotropic":
        return isotropic(problem)
    return completed(problem) if noise == "completed" else problem


def _told(scan: "StationaryScan") -> dict[str, Any]:
    """The limits at rate 0, None where there are too few rates or only one curvature."""
    if len(scan.points) < ENOUGH:
        return {"limits": None}
    told: dict[str, Any] = {
        "covariance": [{"value": x.value, "se": x.se} for x in scan.covariance_limit()],
        "excess_loss": scan.excess_limit()._asdict(),
        "slope": None,
        "gibbs": scan.gibbs_limit().to_dict(),
    }
    if _has_slope(scan):
        told["slope"] = scan.slope_limit()._asdict()
    return {"limits": told}


def _has_slope(scan: "StationaryScan") -> bool:
    import numpy as np

    values = np.linalg.eigvalsh(scan.hessian)
    return bool(values[-1] > 1.001 * values[0])


def _limits(noise: str, scan: "StationaryScan") -> list[str]:
    if len(scan.points) < ENOUGH:
        return []
    excess = scan.excess_limit()
    lines = [
        f"\n{noise}, η → 0: excess loss/η → {rounded(excess.value, excess.se)}",
        f"  law ∝ e^(−βL)? {scan.gibbs_limit().verdict}",
    ]
    if _has_slope(scan):
        slope = scan.slope_limit()
        lines.append(
            f"  variance of a direction ∝ curvature^p, p = {rounded(slope.value, slope.se)} "
            "(Gibbs: −1; the same in all directions: 0)"
        )
    return lines
