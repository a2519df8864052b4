"""The numbers behind every figure, as plain JSON-ready dictionaries.

One function per figure of :mod:`singulab.report.figure`. What is not finite becomes ``None``.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from singulab.development.curve import Curve, require_one_resolution
from singulab.development.stages import Stages
from singulab.measurement import Measurement
from singulab.report.table import rounded
from singulab.scale_curve import ScaleCurve

Series = dict[str, Any]

QUANTITY = {"llc": "label λ̂", "behavioural_llc": "behavioural λ̂"}
STEP_LABEL = "training step"


def axis_label(measurement: Measurement) -> str:
    """What λ̂ is on an axis: quantity and resolution, for λ̂ without them says nothing."""
    return (
        f"{QUANTITY[measurement.quantity]} "
        f"(nβ = {measurement.nbeta:.4g}, γ = {measurement.localization:.3g})"
    )


def llc_curve(curve: Curve, stages: Stages | None = None) -> Series:
    """λ̂ ± standard error against the training step, with the borders of its stages."""
    return {
        **_points(curve, curve.steps),
        "x_label": STEP_LABEL,
        "y_label": axis_label(curve.measurements[0]),
        "stages": [] if stages is None else [s.to_dict() for s in stages.stages],
        "borders": [] if stages is None else [b.to_dict() for b in stages.borders],
    }


def llc_against(curves: Sequence[Curve], xs: Sequence[Sequence[Any]], *, x_label: str) -> Series:
    """λ̂ ± standard error of several curves against another quantity, such as the training loss.

    Args:
        curves: curves at one resolution.
        xs: for each curve the abscissa of each of its points.
        x_label: its name and unit.
    """
    require_one_resolution([(curve.label, curve.measurements[0]) for curve in curves])
    return {
        "curves": [_points(curve, x) for curve, x in zip(curves, xs, strict=True)],
        "x_label": x_label,
        "y_label": axis_label(curves[0].measurements[0]),
    }


def comparison(named: Mapping[str, Measurement]) -> Series:
    """λ̂ ± standard error of several measurements at one resolution."""
    require_one_resolution(list(named.items()))
    return {
        "labels": list(named),
        "y": _plain([m.llc.value for m in named.values()]),
        "se": _plain([m.llc.se for m in named.values()]),
        "passed": [bool(m.passed) for m in named.values()],
        "y_label": axis_label(next(iter(named.values()))),
    }


def lines(named: Mapping[str, tuple[Sequence[Any], Sequence[Any]]], *, y_label: str) -> Series:
    """Plain recorded numbers without sampling error, such as the training loss, against the step."""
    return {
        "lines": [
            {"label": label, "x": _plain(x), "y": _plain(y)} for label, (x, y) in named.items()
        ],
        "x_label": STEP_LABEL,
        "y_label": y_label,
    }


def traces(measurement: Measurement, *, num_points: int = 120) -> Series:
    """What each chain saw: nβ(L − L(w*)) averaged over blocks of draws, and its mean since burn-in.

    Block means because a single minibatch is far noisier than the loss itself.

    Args:
        measurement: one with a trace.
        num_points: points per chain at most.

    Raises:
        ValueError: the measurement was loaded without its trace.
    """
    if measurement.trace is None:
        raise ValueError(
            "This measurement has no trace; load it with the folder that holds trace.zarr."
        )
    energy = measurement.trace.energy
    draws = energy.shape[1]
    burn_in = int(measurement.settings.burn_in * draws)
    edges = np.linspace(0, draws, min(num_points, draws) + 1).astype(int)
    edges = np.unique(np.append(edges, burn_in))
    counts = np.diff(edges)
    kept = edges[:-1] >= burn_in
    # Chains that blew up hold infinities, which become None below.
    with np.errstate(invalid="ignore", over="ignore"):
        sums = np.add.reduceat(energy, edges[:-1], axis=1)
        running = np.cumsum(np.where(kept, sums, 0.0), axis=1) / np.maximum(edges[1:] - burn_in, 1)
    running[:, ~kept] = np.nan
    return {
        "draw": _plain((edges[:-1] + edges[1:]) / 2),
        "burn_in": burn_in,
        "chains": [
            {
                "chain": chain,
                "block_mean": _plain(sums[chain] / counts),
                "running_mean": _plain(running[chain]),
            }
            for chain in range(energy.shape[0])
        ],
        "llc": _number(measurement.llc.value),
        "se": _number(measurement.llc.se),
        "raw": _number(measurement.raw.value),
        "passed": bool(measurement.passed),
        "x_label": "draw",
        "y_label": "nβ(L − L(w*))",
    }


def measurement(measured: Measurement) -> Series:
    """One measurement: its traces, the mean of every chain against λ̂, and its checks."""
    return {
        "traces": traces(measured),
        "chains": _plain(measured.llc.per_chain),
        "llc": _number(measured.llc.value),
        "se": _number(measured.llc.se),
        "checks": [(check.name, bool(check.passed)) for check in measured.checks],
        "title": (
            f"{axis_label(measured)}: {rounded(measured.llc.value, measured.llc.se)}"
            f"{'' if measured.passed else ' (failed)'}"
        ),
        "y_label": QUANTITY[measured.quantity],
    }


def scale_curve(scale: ScaleCurve, *, against: str | None = None) -> Series:
    """λ_eff ± standard error against nβ, γ or the radius reached; one line per value of the other.

    Args:
        scale: a ``ScaleCurve``.
        against: ``"nbeta"``, ``"localization"`` or ``"radius"``; None takes nβ if it varies, else γ.

    Raises:
        ValueError: for another word.
    """
    names = {
        "nbeta": "inverse temperature nβ",
        "localization": "localization γ",
        "radius": "radius |w − w*| (root mean square)",
    }
    points = list(scale.points)
    if against is None:
        against = "nbeta" if len({p.nbeta for p in points}) > 1 else "localization"
    if against not in names:
        raise ValueError(f"against is one of {', '.join(names)}, got {against!r}.")
    other, symbol = ("localization", "γ") if against == "nbeta" else ("nbeta", "nβ")
    curves = []
    for value in sorted({getattr(p, other) for p in points}):
        chosen = sorted(
            (p for p in points if getattr(p, other) == value), key=lambda p: getattr(p, against)
        )
        curves.append(
            {
                "label": f"{symbol} = {value:.4g}",
                "x": _plain([getattr(p, against) for p in chosen]),
                "y": _plain([p.llc.value for p in chosen]),
                "se": _plain([p.llc.se for p in chosen]),
                "passed": [bool(p.passed) for p in chosen],
            }
        )
    return {
        "curves": curves,
        "x_label": names[against],
        "y_label": f"effective {QUANTITY[points[0].quantity]}",
    }


def checks(curve: Curve) -> Series:
    """Which check of which point passed; ``None`` where a point has no such check."""
    names = list(dict.fromkeys(check.name for _, m in curve for check in m.checks))
    by_point = [{check.name: check for check in m.checks} for _, m in curve]
    return {
        "label": curve.label,
        "names": names,
        "steps": list(curve.steps),
        "passed": [
            [bool(point[name].passed) if name in point else None for point in by_point]
            for name in names
        ],
        "x_label": STEP_LABEL,
    }


def _points(curve: Curve, x: Sequence[Any]) -> Series:
    if len(x) != len(curve):
        raise ValueError(f"{len(curve)} points need as many abscissae, got {len(x)}.")
    return {
        "label": curve.label,
        "x": _plain(x),
        "y": _plain(curve.values),
        "se": _plain(curve.errors),
        "passed": list(curve.passed),
    }


def _plain(numbers: Iterable[Any]) -> list[float | None]:
    return [_number(number) for number in numbers]


def _number(number: Any) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None
