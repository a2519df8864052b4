"""``singulab jump``: a posterior that jumps from one well to another as data come in."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from singulab.cli.command import CommandConfig, Outcome, extra
from singulab.cli.screen import drawn
from singulab.report.table import Table

if TYPE_CHECKING:
    from singulab.bayes.crossing import Crossing
    from singulab.bayes.posterior import Posterior

_AGREEMENT = 0.01  # of the predicted crossing with the true one
_MOST_WELLS = 6
# What is integrated in seconds: beyond, a peak is narrower than the floating-point numbers around it.
_N = (1e-6, 1e12)
_CURVATURES = (1e-6, 1e10)
_SHARPEST = 1e15  # curvature·n


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig):
    """Show at which number of data the posterior of a loss with several wells jumps, and how sharply.

    Every well is a parabola: L(θ) = min over the wells of height + curvature·(θ − place)². The exit code is 1 if the
    crossing that the free energies predict is off by more than 1 %.
    """

    wells: tuple[float, ...] = (0.0, 9.4)  # places θ of the wells
    heights: tuple[float, ...] = (44 / 10_500, 0.0)  # loss at each of them
    curvatures: tuple[float, ...] = ()  # of each well; default 1
    prior: str = "normal"  # normal or uniform
    deviation: float = 1.0  # standard deviation of a normal prior
    n: tuple[float, ...] = (9_000, 10_000, 10_500, 11_000, 12_000)  # numbers of data to show
    figure: Path = Path("runs/jump.png")  # where the figure is drawn: .png, .svg or .pdf

    def __post_init__(self) -> None:
        if self.figure.suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"--figure must end in .png, .svg or .pdf, got {str(self.figure)!r}.")
        if not 2 <= len(self.wells) <= _MOST_WELLS:
            raise ValueError(f"--wells needs 2 to {_MOST_WELLS} places, got {len(self.wells)}.")
        if len(self.heights) != len(self.wells) or len(self.curvatures) not in (0, len(self.wells)):
            raise ValueError(
                f"--heights and --curvatures need one number per well: {len(self.wells)} wells, "
                f"{len(self.heights)} heights, {len(self.curvatures)} curvatures."
            )
        numbers = (*self.wells, *self.heights, *self.curvatures, self.deviation, *self.n)
        if not all(map(math.isfinite, numbers)):
            raise ValueError("All numbers of a jump are finite.")
        if self.prior not in ("normal", "uniform") or self.deviation <= 0:
            raise ValueError("--prior is normal or uniform, and --deviation is above 0.")
        if not self.n or min(self.n) <= 0 or any(c <= 0 for c in self.curvatures):
            raise ValueError("--n and --curvatures are above 0.")
        curvatures = self.curvatures or (1.0,)
        for name, given, (low, high) in (
            ("n", self.n, _N),
            ("curvatures", curvatures, _CURVATURES),
        ):
            if min(given) < low or max(given) > high:
                raise ValueError(
                    f"--{name} must lie between {low:g} and {high:g}, got {min(given):g} … {max(given):g}."
                )
        if max(curvatures) * max(self.n) > _SHARPEST:
            raise ValueError(
                f"A curvature times n is at most {_SHARPEST:g}, got {max(curvatures) * max(self.n):g}."
            )
        if len(set(self.wells)) < len(self.wells):
            raise ValueError("Two wells stand at the same place.")


def run(config: Config, console: Console) -> Outcome:
    """The posterior at every n, the crossings, and the picture."""
    posterior = _posterior(config)
    ns = sorted(set(config.n))
    better = posterior.wells.wells[0].name
    masses = [{"n": n, "mass": posterior.at(n).mass(better)} for n in ns]
    names = [well.name for well in posterior.wells.wells]
    console.print(
        drawn(
            Table(
                ("n", *(f"mass of the well at {name}" for name in names), "free energy"),
                tuple(
                    (
                        f"{n:,.0f}",
                        *(f"{posterior.at(n).mass(name):.4f}" for name in names),
                        f"{posterior.at(n).free_energy:.3f}",
                    )
                    for n in ns
                ),
            )
        )
    )
    jumps = posterior.jumps(between=(min(ns) / 20, max(ns) * 20))
    for jump in jumps:
        console.print(
            f"\nfrom {jump.before} to {jump.after} at n = {jump.true:,.0f}; the free energies predict "
            f"{jump.predicted:,.0f}; {_width(jump)}"
        )
    final = next((j for j in reversed(jumps) if j.after == better), None)
    if final is not None:
        from singulab.report import bayes_figure

        with extra("plot"):
            picture = bayes_figure.jump(posterior, ns, final)
            config.figure.parent.mkdir(parents=True, exist_ok=True)
            picture.savefig(config.figure, dpi=120)
        console.print(f"\nfigure: {config.figure}")
    else:
        console.print("\nThe better well does not take over within these n.")
    passed = final is not None and all(
        abs(jump.predicted / jump.true - 1) <= _AGREEMENT for jump in jumps
    )
    return Outcome(
        data={
            "posterior": masses,
            "crossing": None if final is None else final.true,
            "predicted": None if final is None else final.predicted,
            "width": None if final is None else final.relative_width,
            "jumps": [jump.to_dict() for jump in jumps],
            "wells": [
                {"name": well.name, "place": well.center[0], "height": well.loss}
                for well in posterior.wells.wells
            ],
            "prior": str(posterior.prior),
            "passed": passed,
            "figure": None if final is None else str(config.figure),
        },
        passed=passed,
    )


def _width(jump: "Crossing") -> str:
    if math.isnan(jump.relative_width):
        return "10 % or 90 % lie outside of what was looked at"
    return f"10 % to 90 % within {100 * jump.relative_width:.1f} % of n"


def _posterior(config: Config) -> "Posterior":
    from singulab.bayes.posterior import Posterior

    curvatures = config.curvatures or (1.0,) * len(config.wells)
    terms = [
        f"({height!r}) + ({curvature!r})*(x - ({place!r}))**2"
        for height, curvature, place in zip(config.heights, curvatures, config.wells, strict=True)
    ]
    reach = 2.0 if config.prior == "uniform" else 12.0 * config.deviation
    low, high = min(config.wells), max(config.wells)
    margin = 0.25 * (high - low)
    box = [(min(-reach, low - margin), max(reach, high + margin))]
    prior = "uniform" if config.prior == "uniform" else config.deviation
    # Wells of equal shape meet on a ridge: any dip below it counts.
    return Posterior(f"min({', '.join(terms)})", box, prior=prior, barrier=0.0)
