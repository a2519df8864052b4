"""Figures of finite machines and lattices; see :mod:`singulab.report.canvas` for the house style."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from singulab.discrete.fibres import Fibres
from singulab.discrete.generalisation import Comparison, Interpolants
from singulab.discrete.lattice import Crossing, Exponent
from singulab.discrete.precision import Reading
from singulab.report import discrete_series
from singulab.report.canvas import (
    COLOURS,
    FAINT,
    INK,
    MARKERS,
    Axes,
    Figure,
    axes,
    finish,
    matplotlib_classes,
)


def lattice_share(found: Sequence[Crossing], *, ax: Axes | None = None) -> Axes:
    """How much of what rounds to 0 lies at the singular point of θ₁θ₂, against η."""
    drawn = discrete_series.lattice_share(found)
    ax = axes(ax)
    ax.set_xscale("log")
    limit = drawn["limit"]
    ax.plot(
        limit["eta"],
        limit["share"],
        color=INK,
        linewidth=1.4,
        linestyle=(0, (4, 3)),
        label=limit["label"],
    )
    for index, line in enumerate(drawn["lines"]):
        ax.plot(
            line["eta"],
            line["share"],
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            markersize=4 if len(line["eta"]) < 60 else 0,
            linewidth=1.5,
            label=line["label"],
        )
    ax.set_ylim(0, 1.05)
    return finish(ax, drawn)


def lattice_exponents(
    found: Sequence[tuple[str, Sequence[Exponent]]],
    *,
    rlct: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """λ_eff of lattices beside that of the volume: they part where the lattice is too coarse for η."""
    drawn = discrete_series.lattice_exponents(found, rlct=rlct)
    ax = axes(ax)
    ax.set_xscale("log")
    smooth = drawn["continuum"]
    if smooth["eta"]:
        ax.plot(
            smooth["eta"],
            smooth["value"],
            color=INK,
            linewidth=1.4,
            linestyle=(0, (4, 3)),
            label="volume",
        )
    if drawn["rlct"] is not None:
        ax.axhline(drawn["rlct"], color=FAINT, linewidth=1.2, label=f"λ = {drawn['rlct']:.4g}")
    for index, line in enumerate(drawn["lines"]):
        ax.plot(
            line["eta"],
            line["value"],
            color=COLOURS[index % len(COLOURS)],
            linewidth=1.5,
            label=line["label"],
        )
    return finish(ax, drawn, bottom_at_zero=True)


def ranks(found: Fibres, *, ax: Axes | None = None) -> Axes:
    """The rank plot: P(f) of every function, with 95 % intervals where it was sampled."""
    drawn = discrete_series.ranks(found)
    ax = axes(ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    if not drawn["exact"]:
        ax.fill_between(
            drawn["rank"], drawn["low"], drawn["high"], color=COLOURS[0], alpha=0.25, linewidth=0
        )
    label = "exact count" if drawn["exact"] else "share of the draws, 95 % interval"
    ax.plot(drawn["rank"], drawn["probability"], ".", color=COLOURS[0], markersize=3.5, label=label)
    if drawn["slope"] is not None:
        ax.plot([], [], linestyle="none", label=f"slope {drawn['slope']:.2f} from rank 10 on")
    _decades(ax.yaxis)
    return finish(ax, drawn)


def simplicity(
    found: Fibres,
    complexity: Sequence[float] | np.ndarray,
    *,
    measure: str = "C_LZ (bits)",
    ax: Axes | None = None,
) -> Axes:
    """Simplicity bias: P(f) against complexity, under its upper bound."""
    drawn = discrete_series.simplicity(found, complexity, measure=measure)
    ax = axes(ax)
    ax.set_yscale("log")
    ax.plot(
        drawn["complexity"], drawn["probability"], ".", color=COLOURS[0], markersize=3.5, alpha=0.5
    )
    if drawn["bound"] is not None:
        line = drawn["bound"]
        ax.plot(
            line["complexity"],
            line["probability"],
            color=COLOURS[1],
            linewidth=1.5,
            label=line["label"],
        )
    ax.set_ylim(bottom=drawn["least"] / 2)
    _decades(ax.yaxis)
    return finish(ax, drawn)


def machine(
    found: Fibres, complexity: Sequence[float] | np.ndarray | None, *, measure: str = "C_LZ (bits)"
) -> Figure:
    """Both pictures of a parameter–function map, or the rank plot alone if complexities are not known."""
    columns = 1 if complexity is None else 2
    figure = matplotlib_classes()[0](
        figsize=(5.0 * columns + 1, 4.2), layout="constrained", dpi=100
    )
    panels = figure.subplots(1, columns, squeeze=False)[0]
    ranks(found, ax=panels[0])
    if complexity is not None:
        simplicity(found, complexity, measure=measure, ax=panels[1])
    return figure


def generalisation(
    fits: Interpolants, seen: Comparison | None = None, *, ax: Axes | None = None
) -> Axes:
    """Where the interpolants lie: posterior mass, functions counted once, and ends of training."""
    drawn = discrete_series.generalisation(fits, seen)
    ax = axes(ax)
    x = np.array(drawn["error"])
    ax.plot(
        x, drawn["posterior"], marker="o", color=COLOURS[0], linewidth=1.4, label="posterior mass"
    )
    ax.plot(
        x,
        drawn["uniform"],
        marker="s",
        color=FAINT,
        linewidth=1.2,
        markersize=4,
        label="every function once",
    )
    if drawn["sgd"] is not None:
        ax.errorbar(
            x,
            drawn["sgd"],
            drawn["sgd_se"],
            fmt="^",
            color=COLOURS[1],
            capsize=4,
            label="ends of SGD ± se",
        )
    return finish(ax, drawn, bottom_at_zero=True)


def precision(found: Sequence[Reading], *, ax: Axes | None = None) -> Axes:
    """Excess loss against bits; excesses of 0 and below lie on the axis at the smallest one above 0."""
    drawn = discrete_series.precision(found)
    ax = axes(ax)
    ax.set_yscale("log")
    every = [*drawn["excess"], *(f["excess"] for f in drawn["formats"])]
    floor = min((e for e in every if e > 0), default=1e-16)
    ax.plot(
        drawn["bits"],
        np.maximum(drawn["excess"], floor),
        marker="o",
        markersize=4,
        color=COLOURS[0],
        linewidth=1.4,
        label="uniform grid",
    )
    for index, one in enumerate(drawn["formats"], start=1):
        ax.plot(
            one["bits"],
            max(one["excess"], floor),
            marker=MARKERS[index % len(MARKERS)],
            markersize=7,
            linestyle="none",
            color=COLOURS[index % len(COLOURS)],
            label=one["label"],
        )
    _decades(ax.yaxis)
    return finish(ax, drawn)


def _decades(axis: Any) -> None:
    """At most eight labelled powers of ten and nothing between them; 1, 2 and 5 of each where there are few."""
    ticker = matplotlib_classes()[1]
    low, high = axis.get_view_interval()
    few = high < 100 * low
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if few else (1,), numticks=8))
    if few:
        axis.set_major_formatter(
            ticker.LogFormatterSciNotation(minor_thresholds=(math.inf, math.inf))
        )
    axis.set_minor_locator(ticker.NullLocator())
