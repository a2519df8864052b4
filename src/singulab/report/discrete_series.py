"""The numbers behind the figures of :mod:`singulab.report.discrete_figure`, as plain JSON-ready dictionaries."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from singulab.discrete.fibres import Fibres
from singulab.discrete.generalisation import Comparison, Interpolants
from singulab.discrete.lattice import Crossing, Exponent
from singulab.discrete.precision import Reading
from singulab.discrete.simplicity import Bound, rank_frequency, upper_bound

Series = dict[str, Any]

MOST_MARKS = 3_000  # functions drawn; the most frequent ones and an even choice of the rest


def lattice_share(found: Sequence[Crossing]) -> Series:
    """The share of the singular point against η, one line per lattice, beside its limit as ε → 0."""
    lines = []
    for mesh in sorted({c.mesh for c in found}, reverse=True):
        chosen = sorted((c for c in found if c.mesh == mesh), key=lambda c: c.eta)
        lines.append(
            {
                "label": f"ε = {float(mesh):g}",
                "eta": [float(c.eta) for c in chosen],
                "share": [c.share for c in chosen],
            }
        )
    radius = float(found[0].radius)
    low = min(float(c.eta) for c in found)
    high = min(max(float(c.eta) for c in found), radius**2)
    eta = np.geomspace(low, high, 200) if high > low else np.array([low])
    return {
        "lines": lines,
        "limit": {
            "label": "limit ε → 0: π/(2(1 + ln(2R²/η)))",
            "eta": eta.tolist(),
            "share": (math.pi / (2 * (1 + np.log(2 * radius**2 / eta)))).tolist(),
        },
        "x_label": "mesh η of the outputs",
        "y_label": "share of the disk |θ|² ≤ η\nin the points that round to 0",
    }


def lattice_exponents(
    found: Sequence[tuple[str, Sequence[Exponent]]], *, rlct: float | None = None
) -> Series:
    """λ_eff of lattices against η, with the λ_eff of the volume where it was given, and λ as a line.

    Args:
        found: a label and the exponents of each lattice.
        rlct: λ of the singularity.
    """
    lines = [
        {"label": label, "eta": [e.eta for e in row], "value": [e.value for e in row]}
        for label, row in found
    ]
    smooth = {e.eta: e.continuum for _, row in found for e in row if e.continuum is not None}
    return {
        "lines": lines,
        "continuum": {"eta": sorted(smooth), "value": [smooth[eta] for eta in sorted(smooth)]},
        "rlct": rlct,
        "x_label": "mesh η of the outputs",
        "y_label": "λ_eff of the count",
    }


def ranks(found: Fibres) -> Series:
    """P(f) with its interval against the rank of f, and the slope of the law of Zipf that fits."""
    place = _chosen(len(found))
    low, high = found.intervals()[place].T
    fitted = rank_frequency(found)
    return {
        "rank": (place + 1).tolist(),
        "probability": found.probability[place].tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "exact": found.exact,
        "slope": fitted.slope if math.isfinite(fitted.slope) else None,
        "x_label": "rank of the function",
        "y_label": "P(f)",
    }


def simplicity(
    found: Fibres, complexity: Sequence[float] | np.ndarray, *, measure: str = "C_LZ (bits)"
) -> Series:
    """log₁₀ P(f) against the complexity of f, with the upper bound that lies over all functions.

    Args:
        found: fibres.
        complexity: of the most frequent functions, as many as are given.
        measure: its name and unit.
    """
    values = np.asarray(complexity, float)
    probability = found.probability[: len(values)]
    bound = upper_bound(np.log2(probability), values) if len(set(values)) > 1 else None
    place = _chosen(len(values))
    ends = np.array([values.min(), values.max()])
    return {
        "complexity": values[place].tolist(),
        "probability": probability[place].tolist(),
        "bound": None
        if bound is None
        else {
            "complexity": ends.tolist(),
            "probability": (2.0 ** bound.at(ends)).tolist(),
            "label": _bound_label(bound),
        },
        "least": float(found.counts[: len(complexity)].min() / found.total),
        "x_label": measure,
        "y_label": "P(f)",
    }


def generalisation(fits: Interpolants, seen: Comparison | None = None) -> Series:
    """Posterior mass, and how often training ends there, of the interpolants with each error on the rest."""
    errors = np.unique(fits.error.round(12))
    rows = [np.isclose(fits.error, e) for e in errors]
    return {
        "error": errors.tolist(),
        "posterior": [float(fits.mass[row].sum()) for row in rows],
        "uniform": [float(row.mean()) for row in rows],
        "sgd": None if seen is None else [float(seen.frequency[row].sum()) for row in rows],
        "sgd_se": None
        if seen is None
        else [
            math.sqrt(max(p * (1 - p), 1 / seen.num_fit) / seen.num_fit)
            for p in (float(seen.frequency[row].sum()) for row in rows)
        ],
        "x_label": "error off the training set",
        "y_label": "share",
    }


def precision(found: Sequence[Reading]) -> Series:
    """Excess loss against the bits of a weight, on uniform grids and in float formats."""
    grid = sorted((r for r in found if r.precision == "grid"), key=lambda r: r.bits)
    floats = sorted((r for r in found if r.precision != "grid"), key=lambda r: r.bits)
    return {
        "bits": [r.bits for r in grid],
        "excess": [r.excess for r in grid],
        "error": [r.error for r in grid],
        "formats": [{"label": r.precision, "bits": r.bits, "excess": r.excess} for r in floats],
        "x_label": "bits of a weight",
        "y_label": "excess loss (nats)",
    }


def _bound_label(bound: Bound) -> str:
    fall = "" if abs(bound.slope) < 0.005 else f" {-bound.slope:+.2f}·C"
    return f"P ≤ 2^({bound.intercept:.1f}{fall})".replace("-", "−")


def _chosen(length: int) -> np.ndarray:
    """Places of at most ``MOST_MARKS`` functions: the first half of them all, the rest evenly in log rank."""
    if length <= MOST_MARKS:
        return np.arange(length)
    first = MOST_MARKS // 2
    rest = np.geomspace(first, length - 1, MOST_MARKS - first)
    return np.unique(np.concatenate([np.arange(first), rest.astype(int)]))
