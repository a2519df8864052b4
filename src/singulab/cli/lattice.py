"""``singulab lattice``: how much of what rounds to 0 lies at the singular point, counted exactly."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from singulab.cli.command import CommandConfig, Outcome, extra
from singulab.cli.progress import bar
from singulab.cli.screen import drawn
from singulab.report.table import Table

if TYPE_CHECKING:
    from singulab.discrete.lattice import Crossing

_WORK = 3e7  # √η/ε of a point of the picture: more would take seconds


@dataclass(frozen=True, kw_only=True)
class Config(CommandConfig):
    """Count the points of a lattice of weights at which an output rounds to 0, and those near the singular point.

    The output is θ₁θ₂, or --polynomial. Points count if |output| < η/2, and lie near the point if their distance from
    it is at most √η. All numbers are read as exact decimals, and no count is rounded.
    """

    eta: tuple[str, ...] = ("0.01",)  # η, mesh of the outputs; one or several
    eps: tuple[str, ...] = ("0.001",)  # ε, mesh of the weights; one or several
    radius: str = "1"  # R: weights lie in [−R, R]
    polynomial: str | None = (
        None  # such as "y^2 - x^3", in the place of θ₁θ₂; every point is then evaluated
    )
    point: tuple[str, ...] = ()  # the singular point of --polynomial; default the origin
    figure: Path | None = None  # where the picture is drawn: .png, .svg or .pdf

    def __post_init__(self) -> None:
        if self.figure is not None and self.figure.suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"--figure must end in .png, .svg or .pdf, got {str(self.figure)!r}.")
        if not self.eta or not self.eps:
            raise ValueError("--eta and --eps need at least one number each.")
        from singulab.discrete.levels import decimal

        for name in ("eta", "eps"):
            for value in getattr(self, name):
                decimal(value, f"--{name}")
        if self.point and self.polynomial is None:
            raise ValueError(
                "--point belongs to --polynomial; θ₁θ₂ has its singular point at the origin."
            )
        if self.figure is not None and self.polynomial is not None:
            raise ValueError("--figure draws θ₁θ₂, whose counts are fast; leave out --polynomial.")


def run(config: Config, console: Console) -> Outcome:
    """All counts, as a table and, if wanted, as a picture."""
    points = _polynomial(config, console) if config.polynomial is not None else _crossing(config)
    columns = [name for name in points[0] if name != "points"]
    console.print(
        drawn(
            Table(
                tuple(columns),
                tuple(tuple(_cell(point[name]) for name in columns) for point in points),
            )
        )
    )
    data: dict[str, Any] = points[0] if len(points) == 1 else {"points": points}
    if config.figure is not None:
        with extra("plot"):
            from singulab.report import discrete_figure

            axes = discrete_figure.lattice_share(_curves(config))
            config.figure.parent.mkdir(parents=True, exist_ok=True)
            axes.figure.savefig(config.figure, dpi=150)
        console.print(f"\nfigure: {config.figure}")
        data = {**data, "figure": str(config.figure)}
    return Outcome(data=data)


def _crossing(config: Config) -> list[dict[str, Any]]:
    from singulab.discrete.lattice import crossing

    found = []
    for eta, eps in itertools.product(config.eta, config.eps):
        c = crossing(eta, eps, config.radius)
        found.append(
            {
                "eta": eta,
                "eps": eps,
                "total": c.total,
                "origin": c.origin,
                "axes": c.axes,
                "share": c.share,
                "regime": c.limit.regime,
                "limit_share": c.limit.share,
                "limit_total": c.limit.total,
                "uniform_total": c.uniform_total,
            }
        )
    return found


def _polynomial(config: Config, console: Console) -> list[dict[str, Any]]:
    from singulab.discrete.lattice import counts
    from singulab.sample.plan import Progress

    assert config.polynomial is not None
    found = []
    for eps in config.eps:
        with bar(console, f"ε = {eps}") as show:

            def on_progress(done: int, total: int, show: Any = show) -> None:
                show(Progress("count", done, total, float("nan"), float("nan"), None, None))

            row = counts(
                config.polynomial,
                config.eta,
                eps,
                config.radius,
                point=config.point or None,
                on_progress=on_progress,
            )
        for eta, c in zip(config.eta, row, strict=True):
            found.append(
                {"eta": eta, "eps": eps, "total": c.total, "origin": c.near, "share": c.share}
            )
    return found


def _curves(config: Config) -> "Sequence[Crossing]":
    """θ₁θ₂ over all η between ε² and R², for every ε, as far as it is quick."""
    from singulab.discrete.lattice import crossing
    from singulab.discrete.levels import decimal

    radius, found = decimal(config.radius, "radius"), []
    for eps in config.eps:
        mesh = decimal(eps, "eps")
        for tenth in range(10 * 24):
            eta = mesh**2 / 10 * Fraction(10 ** (tenth / 10)).limit_denominator(10**6)
            if eta > radius**2 or float(eta) ** 0.5 / float(mesh) > _WORK:
                break
            found.append(crossing(eta, mesh, radius))
    return found


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
