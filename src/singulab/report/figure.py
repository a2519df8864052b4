"""Figures: one function per series, each drawing on the axes it is given or on a figure of its own.

Failed points are hollow, so colour never carries a verdict alone. See :mod:`singulab.report.canvas` for what
all figures share.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from singulab.development.curve import Curve
from singulab.development.stages import Stages
from singulab.measurement import Measurement
from singulab.report import series
from singulab.report.canvas import (
    COLOURS,
    FAINT,
    INK,
    MARKERS,
    WIDTH,
    Axes,
    Figure,
    axes,
    finish,
    matplotlib_classes,
    plain_log_ticks,
)
from singulab.report.table import rounded
from singulab.scale_curve import ScaleCurve

MOST_CHAINS = 24  # chains drawn in one panel


def llc_curve(curve: Curve, *, stages: Stages | None = None, ax: Axes | None = None) -> Axes:
    """λ̂ with error bars along training; the borders of the stages are dashed lines.

    Args:
        curve: points at one resolution; those that failed their checks are drawn hollow.
        stages: the stages of this curve, or None.
        ax: axes to draw on; None makes a figure.

    Returns:
        The axes; ``ax.figure.savefig(path)`` saves them.
    """
    drawn = series.llc_curve(curve, stages)
    ax = axes(ax)
    _logarithmic_steps(ax, drawn["x"])
    _error_bars(ax, drawn, 0)
    for border in drawn["borders"]:
        middle = math.expm1(
            (math.log1p(border["after_step"]) + math.log1p(border["before_step"])) / 2
        )
        ax.axvline(middle, color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
    arrows = {"rises": "↗", "falls": "↘", "flat": "→"}
    for stage in drawn["stages"] if drawn["borders"] else ():
        middle = math.expm1((math.log1p(stage["first_step"]) + math.log1p(stage["last_step"])) / 2)
        ax.text(
            middle,
            0.98,
            arrows[stage["direction"]],
            transform=ax.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=13,
            color=INK,
        )
    return finish(ax, drawn, bottom_at_zero=True)


def llc_against(
    curves: Sequence[Curve],
    xs: Sequence[Sequence[Any]],
    *,
    x_label: str,
    falling: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """λ̂ of several curves against another quantity, both axes logarithmic.

    Args:
        curves: curves at one resolution.
        xs: for each curve the abscissa of each point, > 0.
        x_label: name and unit of the abscissa.
        falling: put large abscissae left, so that training runs to the right.
        ax: axes to draw on; None makes a figure.
    """
    drawn = series.llc_against(curves, xs, x_label=x_label)
    ax = axes(ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    for index, points in enumerate(drawn["curves"]):
        _error_bars(ax, points, index)
    finish(ax, drawn, legend=True)
    if falling:
        ax.invert_xaxis()
    plain_log_ticks(ax.xaxis)
    plain_log_ticks(ax.yaxis)
    return ax


def comparison(named: Mapping[str, Measurement], *, ax: Axes | None = None) -> Axes:
    """λ̂ of a few measurements side by side, with error bars."""
    drawn = series.comparison(named)
    ax = axes(ax, height=1.2 + 0.5 * len(drawn["labels"]))
    for row, (value, error, ok) in enumerate(
        zip(drawn["y"], drawn["se"], drawn["passed"], strict=True)
    ):
        colour = COLOURS[row % len(COLOURS)]
        ax.errorbar(
            _nan(value),
            row,
            xerr=_nan(error),
            fmt=MARKERS[row % len(MARKERS)],
            color=colour,
            markerfacecolor=colour if ok else "none",
            markersize=8,
            capsize=4,
        )
        if value is not None and error is not None:
            ax.annotate(
                rounded(value, error),
                (value, row),
                xytext=(0, 9),
                textcoords="offset points",
                ha="center",
                fontsize=10,
                color=INK,
            )
    ax.set_yticks(range(len(drawn["labels"])), drawn["labels"])
    ax.set_ylim(len(drawn["labels"]) - 0.5, -0.6)
    # Room for the numbers above the outermost marks, and 0 always in sight.
    low, high = ax.get_xlim()
    low = min(low, 0.0)
    ax.set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    return finish(ax, {"x_label": drawn["y_label"], "y_label": ""})


def lines(
    named: Mapping[str, tuple[Sequence[Any], Sequence[Any]]],
    *,
    y_label: str,
    logarithmic: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Recorded numbers of a training run, such as its loss, against the step."""
    drawn = series.lines(named, y_label=y_label)
    ax = axes(ax)
    _logarithmic_steps(ax, [x for line in drawn["lines"] for x in line["x"]])
    for index, line in enumerate(drawn["lines"]):
        ax.plot(
            _nans(line["x"]),
            _nans(line["y"]),
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            markersize=4,
            linewidth=1.5,
            label=line["label"],
        )
    if logarithmic:
        ax.set_yscale("log")
        plain_log_ticks(ax.yaxis)
    return finish(ax, drawn, legend=len(drawn["lines"]) > 1)


def traces(measurement: Measurement, *, ax: Axes | None = None, legend: bool = True) -> Axes:
    """What the chains saw: block means (thin) and means since burn-in (thick) per chain, λ̂ as a band.

    The band is λ̂ ± its standard error; it may lie below the chains, because the bias that gradient noise
    causes is removed from λ̂ but is part of what the chains see.
    """
    drawn = series.traces(measurement)
    ax = axes(ax)
    shown, every = drawn["chains"][:MOST_CHAINS], len(drawn["chains"])
    for index, chain in enumerate(shown):
        label = None
        if every <= len(COLOURS):
            label = f"chain {chain['chain']}"
        elif index == 0:
            label = f"{len(shown)} of {every} chains"
        colour = COLOURS[index % len(COLOURS)]
        ax.plot(drawn["draw"], _nans(chain["block_mean"]), color=colour, linewidth=0.6, alpha=0.45)
        ax.plot(
            drawn["draw"],
            _nans(chain["running_mean"]),
            color=colour,
            linewidth=1.7,
            label=label,
        )
    if drawn["llc"] is not None:
        error = drawn["se"] or 0.0
        ax.axhspan(drawn["llc"] - error, drawn["llc"] + error, color=FAINT, alpha=0.35, linewidth=0)
        ax.axhline(drawn["llc"], color=INK, linewidth=1.2, linestyle="--", label="λ̂ ± se")
    if drawn["burn_in"]:
        ax.axvspan(0, drawn["burn_in"], color=FAINT, alpha=0.15, linewidth=0, label="dropped")
    ax.margins(x=0)
    return finish(ax, drawn, legend=legend)


def measurement(measured: Measurement) -> Figure:
    """Traces, the mean of every chain against λ̂, and the checks of one measurement."""
    drawn = series.measurement(measured)
    figure = matplotlib_classes()[0](figsize=(WIDTH + 0.8, 4.6), layout="constrained", dpi=100)
    panels = figure.subplot_mosaic(
        [["traces", "chains"], ["checks", "checks"]], width_ratios=[3, 1], height_ratios=[4, 1]
    )
    figure.suptitle(drawn["title"], fontsize=12, color=INK)
    if measured.trace is not None:
        traces(measured, ax=panels["traces"])
    chains = panels["chains"]
    means = _nans(drawn["chains"])
    chains.plot(
        range(len(means)), means, marker="o", linestyle="none", color=COLOURS[0], label="chain"
    )
    if drawn["llc"] is not None:
        chains.axhline(drawn["llc"], color=INK, linewidth=1.2, linestyle="--")
        error = drawn["se"] or 0.0
        chains.axhspan(
            drawn["llc"] - error, drawn["llc"] + error, color=FAINT, alpha=0.35, linewidth=0
        )
    if len(means) <= 2 * len(COLOURS):
        chains.set_xticks(range(len(means)))
    chains.margins(x=0.2)
    finish(chains, {"x_label": "chain", "y_label": drawn["y_label"]}, legend=False)
    _verdicts(panels["checks"], drawn["checks"])
    return figure


def _verdicts(ax: Axes, verdicts: Sequence[tuple[str, bool]], num_columns: int = 4) -> None:
    """Names of checks in columns, each behind a dot for passed or a cross for failed."""
    ax.set_axis_off()
    ax.set_xlim(0, num_columns)
    ax.set_ylim(-(-len(verdicts) // num_columns) - 0.5, -0.5)
    for index, (name, passed) in enumerate(verdicts):
        row, column = divmod(index, num_columns)
        colour = COLOURS[0] if passed else COLOURS[1]
        ax.plot(
            column + 0.05,
            row,
            marker="o" if passed else "X",
            markersize=6,
            color=colour,
            clip_on=False,
        )
        weight = "normal" if passed else "bold"
        ax.text(column + 0.12, row, name, va="center", fontsize=9, color=INK, weight=weight)


def traces_grid(named: Mapping[str, Measurement], *, num_columns: int = 4) -> Figure:
    """The traces of many measurements as small panels, each with its own scale."""
    figure_class = matplotlib_classes()[0]
    num_columns = min(num_columns, len(named))
    num_rows = -(-len(named) // num_columns)
    figure = figure_class(
        figsize=(WIDTH + 0.8, 1.75 * num_rows + 0.3), layout="constrained", dpi=100
    )
    panels = np.atleast_1d(figure.subplots(num_rows, num_columns, squeeze=False)).ravel()
    for index, (panel, (title, measurement)) in enumerate(zip(panels, named.items(), strict=False)):
        traces(measurement, ax=panel, legend=False)
        failed = "" if measurement.passed else " (failed)"
        panel.set_title(title + failed, fontsize=10, color=INK)
        panel.tick_params(labelsize=8)
        panel.set_xlabel("")
        panel.set_ylabel("nβ(L − L(w*))" if index % num_columns == 0 else "", fontsize=9)
        panel.locator_params(nbins=3)
    figure.supxlabel("draw", fontsize=10, color=INK)
    for panel in panels[len(named) :]:
        panel.set_visible(False)
    return figure


def scale_curve(scale: ScaleCurve, *, against: str | None = None, ax: Axes | None = None) -> Axes:
    """λ_eff with error bars against nβ, γ or the radius reached.

    Args:
        scale: a ``ScaleCurve``.
        against: ``"nbeta"``, ``"localization"`` or ``"radius"``; None takes nβ if it varies, else γ.
        ax: axes to draw on; None makes a figure.
    """
    drawn = series.scale_curve(scale, against=against)
    ax = axes(ax)
    ax.set_xscale("log")
    for index, points in enumerate(drawn["curves"]):
        _error_bars(ax, points, index)
    finish(ax, drawn, legend=True, bottom_at_zero=True)
    plain_log_ticks(ax.xaxis)
    return ax


def checks(curve: Curve, *, ax: Axes | None = None) -> Axes:
    """Which check of which point passed: a dot for passed, a cross for failed."""
    drawn = series.checks(curve)
    names, steps = drawn["names"], drawn["steps"]
    ax = axes(ax, height=1.0 + 0.3 * len(names))
    for passed, marker, colour, label in (
        (True, "o", COLOURS[0], "passed"),
        (False, "X", COLOURS[1], "failed"),
    ):
        cells = [
            (column, row)
            for row, verdicts in enumerate(drawn["passed"])
            for column, verdict in enumerate(verdicts)
            if verdict is passed
        ]
        if cells:
            x, y = zip(*cells, strict=True)
            ax.scatter(x, y, marker=marker, s=44, color=colour, linewidths=0, label=label)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xticks(range(len(steps)), [f"{step:g}" for step in steps])
    ax.set_xlim(-0.5, len(steps) - 0.5)
    finish(ax, {"x_label": drawn["x_label"], "y_label": ""})
    ax.grid(False)
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=9, labelcolor=INK
    )
    return ax


def _error_bars(ax: Axes, points: series.Series, index: int) -> None:
    """One series: line, error bars, full marks for passed points and hollow ones for failed points."""
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    x, y, se = _nans(points["x"]), _nans(points["y"]), np.nan_to_num(_nans(points["se"]))
    ok = np.array(points["passed"], dtype=bool) & np.isfinite(y)
    ax.plot(x[ok], y[ok], color=colour, linewidth=1.0, alpha=0.6)
    # Caps wider than the marks: an error smaller than its mark still shows as two lines across it.
    style = {"fmt": marker, "color": colour, "markersize": 5, "capsize": 5, "elinewidth": 1.4}
    ax.errorbar(x[ok], y[ok], se[ok], **style, label=f"{points['label'] or 'λ̂'} ± se")
    failed = ~ok & np.isfinite(y)
    if failed.any():
        ax.errorbar(
            x[failed],
            y[failed],
            se[failed],
            **style,
            markerfacecolor="none",
            label="hollow: failed its checks",
        )
    if (~np.isfinite(y)).any():
        missing = ", ".join(f"{at:g}" for at in x[~np.isfinite(y)])
        ax.plot([], [], linestyle="none", label=f"no value at {missing}")


def _logarithmic_steps(ax: Axes, steps: Sequence[Any]) -> None:
    """Scale the abscissa as ln(1 + step), which shows step 0 and is what stages are found on."""
    ticker = matplotlib_classes()[1]
    ax.set_xscale("function", functions=(_log1p, np.expm1))
    highest = max((step for step in steps if step is not None), default=1)
    decades = [10**k for k in range(int(math.log10(max(highest, 1))) + 1)]
    ticks = [0, *decades]
    if len(decades) < 4:
        ticks += [3 * decade for decade in decades if 3 * decade <= highest]
    ax.xaxis.set_major_locator(ticker.FixedLocator(sorted(ticks)))
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    minor = [m * decade for decade in decades for m in range(2, 10) if m * decade <= highest]
    ax.xaxis.set_minor_locator(ticker.FixedLocator(minor))


def _log1p(step: Any) -> Any:
    # Axis limits may run below 0 by a margin, never to −1.
    return np.log1p(np.maximum(step, -0.9))


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _nans(values: Sequence[float | None]) -> np.ndarray:
    return np.array([_nan(value) for value in values], dtype=float)
