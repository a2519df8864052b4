"""Tables as text and Markdown, with numbers rounded where their error begins."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from singulab.development.curve import Curve
from singulab.measurement import Measurement


@dataclass(frozen=True)
class Table:
    """Cells of text under column names."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Columns padded with spaces."""
        widths = [max(map(len, cells)) for cells in zip(self.columns, *self.rows, strict=True)]
        rule = tuple("-" * width for width in widths)
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (self.columns, rule, *self.rows)
        )

    def markdown(self) -> str:
        rule = ("---",) * len(self.columns)
        return "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
            for row in (self.columns, rule, *self.rows)
        )


def rounded(value: float, error: float) -> str:
    """``value ± error`` with the error to two significant digits if it begins with 1 or 2, else to one.

    Example:
        >>> rounded(137.96, 0.341), rounded(8.0872, 0.1834), rounded(15234.0, 420.0)
        ('138.0 ± 0.3', '8.09 ± 0.18', '15200 ± 400')
    """
    if not math.isfinite(value):
        return "–"
    if not math.isfinite(error) or error <= 0:
        return f"{value:.3g}"
    exponent = math.floor(math.log10(error))
    places = (1 if error / 10.0**exponent < 2.95 else 0) - exponent
    shown = max(places, 0)
    return f"{round(value, places):.{shown}f} ± {round(error, places):.{shown}f}"


def curve(points: Curve, **columns: Mapping[float | int, str]) -> Table:
    """One row per point: step, λ̂ ± se, radius, verdict, then the caller's columns.

    Args:
        points: a curve.
        **columns: name → {step: cell}; underscores in names become spaces.
    """
    rows = []
    for step, m in points:
        failed = [check.name for check in m.checks if not check.passed]
        verdict = "passed" if m.passed else "failed: " + ", ".join(failed)
        rows.append(
            (
                f"{step:g}",
                *(cells.get(step, "") for cells in columns.values()),
                rounded(m.llc.value, m.llc.se),
                percent(m.llc.se / abs(m.llc.value) if m.llc.value else math.nan),
                f"{m.radius:.3g}",
                verdict,
            )
        )
    extra = tuple(name.replace("_", " ") for name in columns)
    return Table(("step", *extra, "λ̂ ± se", "relative error", "radius", "checks"), tuple(rows))


def checks(measurement: Measurement) -> Table:
    """Every check of a measurement with its value, limit, verdict and advice."""
    return Table(
        ("check", "value", "limit", "verdict", "advice"),
        tuple(
            (
                check.name,
                f"{check.value:.3g}" if math.isfinite(check.value) else "–",
                check.limit,
                "passed" if check.passed else "failed",
                check.advice,
            )
            for check in measurement.checks
        ),
    )


def cost(named: Mapping[str, Measurement]) -> Table:
    """Gradient units and seconds of several measurements, item by item, with their sum."""
    items = list(dict.fromkeys(item for m in named.values() for item in m.gradients))
    items = [item for item in items if item != "total"] + ["total"]
    rows = [
        (name, *(f"{m.gradients.get(item, 0.0):,.0f}" for item in items), f"{m.seconds:.1f}")
        for name, m in named.items()
    ]
    sums = [sum(m.gradients.get(item, 0.0) for m in named.values()) for item in items]
    seconds = sum(m.seconds for m in named.values())
    rows.append(("sum", *(f"{total:,.0f}" for total in sums), f"{seconds:.1f}"))
    return Table(("measurement", *items, "seconds"), tuple(rows))


def environment(where: Mapping[str, Any]) -> Table:
    """Machine and versions, as :func:`singulab.environment.environment` tells them."""
    return Table(
        ("what", "which"),
        (
            ("processor", f"{where['processor']}, {where['cores']} cores"),
            ("system", f"{where['system']}, Python {where['python']}"),
            ("packages", ", ".join(f"{name} {which}" for name, which in where["packages"].items())),
        ),
    )


def percent(share: float) -> str:
    """A share in percent, with one digit after the point."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"
