"""``report.html`` of a run folder: one measurement, a ladder of γ, or a scale curve."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from singulab.cli.command import Outcome
from singulab.environment import environment, installed
from singulab.errors import MissingExtraError
from singulab.measurement import Measurement
from singulab.report import canvas, table
from singulab.report.page import render, write
from singulab.report.table import Table, rounded
from singulab.scale_curve import ScaleCurve

QUANTITY = {"llc": "λ̂", "behavioural_llc": "behavioural λ̂"}


def write_report(
    folder: Path, outcome: Outcome, measured: Measurement | ScaleCurve, console: Console
) -> None:
    """Write the page into the run folder and say where; without the extra ``report``, say what is missing."""
    try:
        write(folder / "report.html", page(measured, outcome))
    except MissingExtraError as error:
        console.print(f"note: {folder / 'report.html'} was not written: {error}")
    else:
        console.print(f"\nPage to read: {folder / 'report.html'}")


def page(measured: Measurement | ScaleCurve, outcome: Outcome) -> str:
    """The whole page as HTML."""
    if isinstance(measured, ScaleCurve):
        points, drawings = measured.points, {"curve": measured.figure()}
    else:
        points, drawings = measured.ladder or (measured,), {}
    first = points[0]
    if first.trace is not None:
        drawings["measurement"] = first.figure()
    return render(
        "run.html",
        {
            "version": installed("singulab") or "",
            "quantity": QUANTITY[first.quantity],
            "passed": outcome.passed,
            "answers": [answer(point) for point in points],
            "figures": {name: canvas.svg(drawn, name=name) for name, drawn in drawings.items()},
            "rungs": rungs(points),
            "checks": {resolution(point): table.checks(point) for point in points},
            "cost": table.cost({resolution(point): point for point in points}),
            "notes": list(dict.fromkeys(note for point in points for note in point.notes)),
            "settings": first.settings.to_toml(),
            "environment": table.environment(environment()),
            "data": outcome.data,
        },
    )


def answer(m: Measurement) -> str:
    """Value, interval and verdict in one sentence."""
    failed = [check.name for check in m.checks if not check.passed]
    low, high = m.llc.interval(0.95)
    return (
        f"{QUANTITY[m.quantity]} = {rounded(m.llc.value, m.llc.se)}, 95 % [{low:.4g}, {high:.4g}]: "
        + (f"failed {', '.join(failed)}" if failed else "all checks passed")
    )


def resolution(m: Measurement) -> str:
    """At which nβ and γ."""
    return f"nβ = {m.nbeta:.4g}, γ = {m.localization:.4g}"


def rungs(measurements: Sequence[Measurement]) -> Table:
    """One row per resolution: nβ, γ, γ_eff, radius, λ̂ ± se and the verdict."""
    rows = []
    for m in measurements:
        failed = [check.name for check in m.checks if not check.passed]
        rows.append(
            (
                f"{m.nbeta:.4g}",
                f"{m.localization:.4g}",
                f"{m.effective_localization:.4g}",
                f"{m.radius:.3g}",
                rounded(m.llc.value, m.llc.se),
                "failed " + ", ".join(failed) if failed else "passed",
            )
        )
    return Table(("nβ", "γ", "γ_eff", "radius", "λ̂ ± se", "checks"), tuple(rows))
