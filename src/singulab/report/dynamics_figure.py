"""Figures of SGD as a Markov chain: for each the numbers first, then the drawing."""

from collections.abc import Mapping

import numpy as np

from singulab.dynamics.ring import RingRun
from singulab.dynamics.stationary import StationaryScan
from singulab.report.canvas import (
    COLOURS,
    HEIGHT,
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
from singulab.report.series import Series


def covariance_series(scans: Mapping[str, StationaryScan]) -> Series:
    """Σ/η along each eigendirection against its curvature, at the smallest rate of each scan."""
    curves = []
    for label, scan in scans.items():
        point = min(scan.points, key=lambda p: p.rate)
        h, vectors = np.linalg.eigh(scan.hessian)
        exact = np.einsum("ij,ik,kj->j", vectors, point.exact_covariance, vectors)
        temperatures = point.gibbs.temperatures
        curves.append(
            {
                "label": label,
                "rate": point.rate,
                "x": h.tolist(),
                "y": [
                    t.value / k / point.rate for t, k in zip(temperatures, h.tolist(), strict=True)
                ],
                "se": [
                    t.se / k / point.rate for t, k in zip(temperatures, h.tolist(), strict=True)
                ],
                "exact": (exact / point.rate).tolist(),
            }
        )
    return {
        "curves": curves,
        "x_label": "curvature h of the direction",
        "y_label": "variance of the direction / η",
    }


def covariance(scans: Mapping[str, StationaryScan], *, ax: Axes | None = None) -> Axes:
    """Variance of every eigendirection with error bars, on the line of the exact law.

    A Gibbs law falls like 1/h; noise whose covariance is the Hessian gives a level line.

    Args:
        scans: name of the noise → its scan.
        ax: axes to draw on; None makes a figure.
    """
    drawn = covariance_series(scans)
    ax = axes(ax)
    ax.set_xscale("log")
    ax.set_yscale("log")
    for index, curve in enumerate(drawn["curves"]):
        colour = COLOURS[index % len(COLOURS)]
        ax.plot(curve["x"], curve["exact"], color=colour, linewidth=1.2)
        ax.errorbar(
            curve["x"],
            curve["y"],
            curve["se"],
            fmt=MARKERS[index % len(MARKERS)],
            color=colour,
            markersize=5,
            capsize=5,
            label=f"{curve['label']} ± se, η = {curve['rate']:g}",
        )
    ax.plot([], [], color=INK, linewidth=1.2, label="exact law")
    finish(ax, drawn)
    plain_log_ticks(ax.xaxis)
    plain_log_ticks(ax.yaxis)
    return ax


def excess_series(scans: Mapping[str, StationaryScan]) -> Series:
    """Excess loss/η against η, the exact law, and the limit at 0 where there are enough rates."""
    curves = []
    for label, scan in scans.items():
        points = sorted(scan.points, key=lambda p: p.rate)
        at_zero = None
        if len(points) >= 3:
            found = scan.excess_limit()
            at_zero = {"value": found.value, "se": found.se}
        curves.append(
            {
                "label": label,
                "x": [p.rate for p in points],
                "y": [p.excess_loss.value / p.rate for p in points],
                "se": [p.excess_loss.se / p.rate for p in points],
                "exact": [p.exact_excess_loss / p.rate for p in points],
                "limit": at_zero,
            }
        )
    return {"curves": curves, "x_label": "learning rate η", "y_label": "excess loss / η (nats)"}


def excess(scans: Mapping[str, StationaryScan], *, ax: Axes | None = None) -> Axes:
    """Excess loss in units of the rate with error bars, on the line of the exact law; hollow: limit at rate 0.

    Args:
        scans: name of the noise → its scan.
        ax: axes to draw on; None makes a figure.
    """
    drawn = excess_series(scans)
    ax = axes(ax)
    for index, curve in enumerate(drawn["curves"]):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        style = {"fmt": marker, "color": colour, "markersize": 5, "capsize": 5}
        ax.plot(curve["x"], curve["exact"], color=colour, linewidth=1.2)
        ax.errorbar(curve["x"], curve["y"], curve["se"], **style, label=curve["label"])
        if curve["limit"] is not None:
            ax.errorbar(
                [0.0], [curve["limit"]["value"]], [curve["limit"]["se"]], **style,
                markerfacecolor="none",
            )  # fmt: skip
    ax.plot([], [], color=INK, linewidth=1.2, label="exact law; hollow: limit at η = 0")
    return finish(ax, drawn)


def stationary(scans: Mapping[str, StationaryScan]) -> Figure:
    """Variance against curvature, and excess loss against the rate, side by side."""
    made = matplotlib_classes()[0](figsize=(1.5 * WIDTH, HEIGHT), layout="constrained", dpi=100)
    left, right = made.subplots(1, 2)
    covariance(scans, ax=left)
    excess(scans, ax=right)
    return made


def ring_series(runs: Mapping[str, RingRun]) -> Series:
    """Shares of replicas per bin with their errors, the exact law of the chain and that at rate 0."""
    return {
        "curves": [
            {
                "label": label,
                "x": ((np.arange(len(run.masses)) + 0.5) / len(run.masses)).tolist(),
                "y": run.masses.tolist(),
                "se": np.sqrt(run.exact * (1 - run.exact) / run.num_replicas).tolist(),
                "exact": run.exact.tolist(),
            }
            for label, run in runs.items()
        ],
        "x_label": "place on the ring (turns)",
        "y_label": "share of replicas",
    }


def ring(runs: Mapping[str, RingRun], *, ax: Axes | None = None) -> Axes:
    """Where replicas on a ring are, on the line of the exact law of their chain.

    Args:
        runs: name of the noise → its run.
        ax: axes to draw on; None makes a figure.
    """
    drawn = ring_series(runs)
    ax = axes(ax)
    for index, curve in enumerate(drawn["curves"]):
        colour = COLOURS[index % len(COLOURS)]
        ax.plot(curve["x"], curve["exact"], color=colour, linewidth=1.2)
        ax.errorbar(
            curve["x"],
            curve["y"],
            curve["se"],
            fmt=MARKERS[index % len(MARKERS)],
            color=colour,
            markersize=3,
            capsize=2,
            elinewidth=1.0,
            label=f"{curve['label']} ± se",
        )
    ax.plot([], [], color=INK, linewidth=1.2, label="exact law of the chain")
    return finish(ax, drawn)
