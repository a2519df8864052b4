"""Figures of volumes, posteriors and jumps; see :mod:`singulab.report.canvas` for the house style."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from singulab.bayes.box import Loss
from singulab.bayes.crossing import Crossing
from singulab.bayes.exponent import VolumeExponent
from singulab.bayes.posterior import Posterior
from singulab.report import bayes_series
from singulab.report.canvas import (
    COLOURS,
    FAINT,
    INK,
    Axes,
    Figure,
    finish,
    matplotlib_classes,
)

_SHADES = ("#cfe3f1", "#7fb5db", "#0072b2")  # from the widest sublevel set to the narrowest


def volume(found: VolumeExponent, loss: "str | Loss | None" = None) -> Figure:
    """V(ε) on log–log axes, beside the sublevel sets if a loss of two weights is given."""
    drawn = bayes_series.volume(found, loss)
    beside = drawn["sublevel"] is not None
    figure = matplotlib_classes()[0](
        figsize=(9.2 if beside else 7.2, 4.2), layout="constrained", dpi=100
    )
    panels = figure.subplots(1, 2 if beside else 1, squeeze=False)[0]
    if beside:
        _sublevel(panels[0], drawn["sublevel"])
    _log_log(panels[-1], drawn)
    return figure


def _log_log(ax: Axes, drawn: bayes_series.Series) -> None:
    ten = np.log(10)
    x, y = np.array(drawn["log_epsilon"]) / ten, np.array(drawn["log_volume"]) / ten
    error = np.array(drawn["log_volume_se"]) / ten
    ax.errorbar(
        x, y, error, fmt="o", markersize=3.5, color=COLOURS[0], capsize=3, elinewidth=1.2,
        label="measured ± se",
    )  # fmt: skip
    for line, colour, style in zip(drawn["lines"], COLOURS[1:], ("-", (0, (4, 3))), strict=False):
        ax.plot(
            x, np.array(line["log_volume"]) / ten, color=colour, linewidth=1.4, linestyle=style,
            label=line["label"],
        )  # fmt: skip
    ax.set_ylim(y.min() - 1.0, 0.6)
    ticker = matplotlib_classes()[1]
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(ticker.MaxNLocator(6, integer=True))
        axis.set_major_formatter(ticker.FuncFormatter(_power_of_ten))
    finish(ax, drawn)


def _power_of_ten(value: float, _: Any) -> str:
    superscript = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return "10" + str(round(value)).translate(superscript)


def _sublevel(ax: Axes, drawn: bayes_series.Series) -> None:
    """Sublevel sets inside each other, the darkest the smallest."""
    loss = np.array(drawn["loss"])
    floor = loss.min() - 1.0
    for epsilon, shade in zip(drawn["epsilon"], _SHADES, strict=False):
        ax.contourf(drawn["x"], drawn["y"], loss, levels=[floor, epsilon], colors=[shade])
        if (
            loss.min() < epsilon < loss.max()
        ):  # where a set is thinner than a pixel, its edge is seen
            ax.contour(drawn["x"], drawn["y"], loss, levels=[epsilon], colors=[shade], linewidths=1)
        ax.plot([], [], color=shade, linewidth=6, label=f"ε = {epsilon:.2g}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(matplotlib_classes()[1].MaxNLocator(5))
    finish(ax, drawn, legend=False)
    ax.grid(False)
    ax.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=9,
        labelcolor=INK, handlelength=1.2, columnspacing=1.0,
    )  # fmt: skip


def jump(posterior: Posterior, ns: Sequence[float], crossing: Crossing) -> Figure:
    """The posterior at several n, one panel per well, over the free energies and the mass of the better well."""
    drawn = bayes_series.jump(posterior, ns, crossing)
    wells = drawn["wells"]
    figure = matplotlib_classes()[0](figsize=(9.2, 6.4), layout="constrained", dpi=100)
    grid = figure.add_gridspec(2, 2 * len(wells), height_ratios=[1.1, 1])
    top = max(max(part["density"]) for part in drawn["densities"])
    order = sorted(
        wells, key=lambda name: next(p["x"][0] for p in drawn["densities"] if p["well"] == name)
    )
    for column, well in enumerate(order):
        ax = figure.add_subplot(grid[0, 2 * column : 2 * column + 2])
        for index, n in enumerate(ns):
            part = next(p for p in drawn["densities"] if p["n"] == n and p["well"] == well)
            ax.plot(
                part["x"], part["density"], color=COLOURS[index % len(COLOURS)], linewidth=1.6,
                label=f"n = {n:,.0f}: {part['mass']:.2g}" if part["mass"] < 0.9995 else f"n = {n:,.0f}: 1",
            )  # fmt: skip
        ax.set_ylim(0, 1.05 * top)
        labels = {
            "x_label": f"weight, around the well at {well}",
            "y_label": "posterior density" if column == 0 else "",
        }
        finish(ax, labels, legend=False)
        ax.legend(
            loc="upper left",
            title="mass of this well",
            title_fontsize=9,
            frameon=False,
            fontsize=9,
            labelcolor=INK,
        )
        ax.xaxis.set_major_locator(matplotlib_classes()[1].MaxNLocator(5))
    energies = figure.add_subplot(grid[1, : len(wells)])
    offset = np.array(drawn["total"])
    n_of = np.array(drawn["n"])
    for index, (name, values) in enumerate(drawn["free_energy"].items()):
        exact, formula = (np.array(values[kind]) - offset for kind in ("exact", "formula"))
        energies.plot(n_of, exact, color=COLOURS[index], linewidth=1.8, label=f"well at {name}")
        energies.plot(
            n_of, formula, color=INK, linewidth=1.0, linestyle=(0, (4, 3)),
            label="nL + λ log n + c" if index == 0 else None,
        )  # fmt: skip
    _mark(energies, drawn["crossing"])
    finish(energies, {"x_label": "n", "y_label": "free energy − that of the whole"}, legend=False)
    energies.legend(
        loc="upper center", framealpha=1.0, edgecolor="none", fontsize=9, labelcolor=INK
    )
    energies.set_ylim(top=1.45 * energies.get_ylim()[1])
    mass = figure.add_subplot(grid[1, len(wells) :])
    mass.plot(
        n_of,
        drawn["mass"],
        color=COLOURS[list(drawn["free_energy"]).index(drawn["after"])],
        linewidth=1.8,
    )
    mass.plot([], [], color=FAINT, linewidth=6, alpha=0.4, label="10 % to 90 %")
    _mark(mass, drawn["crossing"])
    mass.set_ylim(-0.02, 1.02)
    finish(mass, {"x_label": "n", "y_label": f"mass of the well at {drawn['after']}"})
    return figure


def _mark(ax: Axes, crossing: dict[str, Any]) -> None:
    """The crossing as a line, the width of the jump as a band."""
    if np.isfinite([crossing["start"], crossing["stop"]]).all():
        ax.axvspan(crossing["start"], crossing["stop"], color=FAINT, alpha=0.18, linewidth=0)
    ax.axvline(
        crossing["true"],
        color=INK,
        linewidth=1.1,
        linestyle=":",
        label=f"n = {crossing['true']:,.0f}",
    )
    ax.ticklabel_format(axis="x", style="plain")
