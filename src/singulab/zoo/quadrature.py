"""Exact λ̂ of two-dimensional potentials, by quadrature that resolves many decades.

A singular loss has structure at every scale: valleys of width t^{-1/2} that fade only logarithmically. The
substitution u = δ sinh(s) spreads the scales evenly (s is nearly log|u| away from 0, and linear inside δ).
In s the integrand is smooth at unit scale, except along the cliff where t·L passes 1, which steep losses make
sharp: rectangles there are quartered until the result stands still.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Grid = Float[np.ndarray, "..."]  # two such arrays broadcast to the plane
Chart = Callable[[Grid, Grid], tuple[Grid, Grid]]
Rectangles = Float[np.ndarray, "rectangle 4"]  # s of the left, right, lower and upper edge
Sums = Float[np.ndarray, "rectangle 4"]  # ∫ p, ∫ p·E, ∫ p·E², ∫ p·‖w−w*‖² with E = nβ L

_NODES = 8  # Gauss–Legendre nodes per side of a rectangle
_TETHER_REACH = 9.0  # the tether has fallen to e^{-40} at this many of its standard deviations
_MAX_RECTANGLES = 1 << 16  # unsettled at a time
_RECTANGLES_AT_A_TIME = 2048


class Quadrature(NamedTuple):
    """Moments of nβ·L under exp(−nβ L − γ/2‖w−w*‖²), and how far they can be off."""

    llc: float  # nβ E[L]
    heat_capacity: float  # (nβ)² Var[L]
    log_evidence: float  # log ∫ exp(−nβ L − γ/2‖w−w*‖²) dw
    radius_squared: float  # E‖w−w*‖²
    error: float  # bound on the error of llc: all changes at the last quartering added up


def identity(u: Grid, v: Grid) -> tuple[Grid, Grid]:
    """Valleys along the axes."""
    return u, v


def plane_llc(
    loss: Callable[[Grid, Grid], Grid],
    center: tuple[float, float],
    *,
    nbeta: float,
    localization: float,
    chart: Chart = identity,
    box: float | None = None,
    finest: float = 1e-12,
    relative_error: float = 1e-8,
) -> Quadrature:
    """λ̂ = nβ E[L] of a loss on the plane with L(w*) = 0, at any temperature.

    Nodes are dense near u = 0 and v = 0, so the valleys of the loss must lie along these axes.

    Args:
        loss: L(x, y), vectorised, smooth at unit scale in (log|u|, log|v|).
        center: w*.
        nbeta: nβ.
        localization: γ; may be 0 if ``box`` is given.
        chart: (u, v) → (x, y), linear with determinant ±1, for valleys along other lines;
            |u|, |v| ≤ 2·max(|x|, |y|).
        box: integrate over |u|, |v| ≤ box; None = as far as the tether reaches.
        finest: δ, a scale below which the loss is flat at this temperature.
        relative_error: quarter rectangles until λ̂ is known to this.

    Raises:
        ValueError: neither a tether nor a box, or the loss is too rough to resolve.
    """
    if chart is not identity and any(center):
        raise ValueError(f"A chart needs the center at 0, got {center}.")
    if box is None and localization <= 0:
        raise ValueError("Without a tether (localization > 0) the integral needs a box.")
    axes = [
        _first_edges(coordinate, localization, chart is not identity, box, finest)
        for coordinate in center
    ]

    def integrals(rectangles: Rectangles) -> Sums:
        return np.concatenate(
            [
                _integrals(block, loss, center, nbeta, localization, chart, finest)
                for block in np.split(
                    rectangles, range(_RECTANGLES_AT_A_TIME, len(rectangles), _RECTANGLES_AT_A_TIME)
                )
            ]
        )

    rectangles = _product(*axes)
    coarse = integrals(rectangles)
    settled, changes = np.zeros(4), np.zeros(4)
    while len(rectangles) <= _MAX_RECTANGLES:
        quarters = _quartered(rectangles)
        fine = integrals(quarters)
        change = np.abs(fine.reshape(-1, 4, 4).sum(axis=1) - coarse)
        total = settled + fine.sum(axis=0)
        if not (total[:2] > 0).all() or not np.isfinite(total).all():
            raise ValueError(
                f"The integral at nβ = {nbeta:g} and γ = {localization:g} leaves the range of floating-point numbers."
            )
        # λ̂ = ∫pE/∫p moves by at most this when a rectangle changes.
        shift = (change[:, 1] + change[:, 0] * total[1] / total[0]) / total[1]
        done = shift <= relative_error / 1000
        settled += fine.reshape(-1, 4, 4)[done].sum(axis=(0, 1))
        changes += change[done].sum(axis=0)
        if done.all():
            return _moments(settled, changes)
        keep = np.repeat(~done, 4)
        rectangles, coarse = quarters[keep], fine[keep]
    raise ValueError(
        f"The quadrature did not settle to {relative_error:g}: do the valleys of the loss lie along the axes of "
        "its chart, and is it flat below `finest`?"
    )


def _moments(sums: Float[np.ndarray, "4"], changes: Float[np.ndarray, "4"]) -> Quadrature:
    total, first, second, radius = sums
    mean = first / total
    return Quadrature(
        llc=float(mean),
        heat_capacity=float(second / total - mean * mean),
        log_evidence=float(np.log(total)),
        radius_squared=float(radius / total),
        error=float((changes[1] + mean * changes[0]) / total),
    )


def _first_edges(
    center: float, localization: float, sheared: bool, box: float | None, finest: float
) -> Float[np.ndarray, " edge"]:
    """Edges in s, a unit apart, with more of them where the tether is narrow against the distance to 0."""
    if box is not None:
        top = math.asinh(box / finest)
        return np.linspace(-top, top, 2 * math.ceil(top) + 1)
    deviation = 1 / math.sqrt(localization)
    reach = (abs(center) + _TETHER_REACH * deviation) * (2 if sheared else 1)
    top = math.asinh(reach / finest)
    around = center + deviation * np.arange(-_TETHER_REACH, _TETHER_REACH + 1)
    edges = np.union1d(np.linspace(-top, top, 2 * math.ceil(top) + 1), np.arcsinh(around / finest))
    return edges[(edges >= -top) & (edges <= top)]


def _product(u: Float[np.ndarray, " edge"], v: Float[np.ndarray, " other"]) -> Rectangles:
    left, lower = np.meshgrid(u[:-1], v[:-1], indexing="ij")
    right, upper = np.meshgrid(u[1:], v[1:], indexing="ij")
    return np.stack([left.ravel(), right.ravel(), lower.ravel(), upper.ravel()], axis=1)


def _quartered(rectangles: Rectangles) -> Float[np.ndarray, "child 4"]:
    """Four children per rectangle, next to each other."""
    left, right, lower, upper = rectangles.T
    middle, centre = (left + right) / 2, (lower + upper) / 2
    children = [
        [left, middle, lower, centre],
        [left, middle, centre, upper],
        [middle, right, lower, centre],
        [middle, right, centre, upper],
    ]
    return np.array(children).transpose(2, 0, 1).reshape(-1, 4)


def _integrals(
    rectangles: Rectangles,
    loss: Callable[[Grid, Grid], Grid],
    center: tuple[float, float],
    nbeta: float,
    localization: float,
    chart: Chart,
    finest: float,
) -> Sums:
    """Gauss–Legendre sums over each rectangle."""
    u, u_weights = _axis(rectangles[:, 0], rectangles[:, 1], finest)
    v, v_weights = _axis(rectangles[:, 2], rectangles[:, 3], finest)
    x, y = chart(u[:, :, None], v[:, None, :])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        square = (x - center[0]) ** 2 + (y - center[1]) ** 2
        energy = nbeta * loss(x, y)
        density = np.exp(-energy - 0.5 * localization * square)
    density = density * u_weights[:, :, None] * v_weights[:, None, :]
    # Where the loss overflows the density is 0, and so is its share of every moment.
    gone = ~(density > 0.0)
    density = np.where(gone, 0.0, density)
    energy = np.where(gone, 0.0, energy)
    square = np.where(gone, 0.0, square)
    moments = [density, density * energy, density * energy * energy, density * square]
    return np.stack([moment.sum(axis=(1, 2)) for moment in moments], axis=1)


def _axis(
    start: Float[np.ndarray, " rectangle"], stop: Float[np.ndarray, " rectangle"], finest: float
) -> tuple[Float[np.ndarray, "rectangle node"], Float[np.ndarray, "rectangle node"]]:
    """Nodes u = δ sinh(s) and their weights on each interval of s."""
    unit, unit_weights = np.polynomial.legendre.leggauss(_NODES)
    half = (stop - start)[:, None] / 2
    s = start[:, None] + half * (1 + unit)
    return finest * np.sinh(s), half * unit_weights * finest * np.cosh(s)
