"""Integrals of exp(u) over a box of up to three dimensions, in log space, by cells that are split where it matters.

The density exp(u) may have peaks that are narrow against the box. Cells that hold a point named as a peak are
split until their integral stands still, so that a narrow peak is never stepped over; all others as long as a
split changes the total. Peaks that nobody named are looked for at thousands of scattered points: one of a thousandth
of the box is found, a needle is not.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp
from scipy.stats import qmc

from singulab.bayes.box import Box

Cells = Float[np.ndarray, "cell dim 2"]  # lower and upper edge
Nodes = Float[np.ndarray, "node dim"]
Numbers = Float[np.ndarray, " node"]
Integrand = Callable[[Nodes], tuple[Numbers, Numbers]]

_NODES = {1: 12, 2: 8, 3: 6}  # Gauss–Legendre nodes per side of a cell
_FIRST = {1: 64, 2: 12, 3: 5}  # cells per side at the start
_MOST_CELLS = {1: 200_000, 2: 150_000, 3: 60_000}  # in all
_ERRORS = {1: 1e-9, 2: 1e-5, 3: 1e-3}
_PROBES, _KEPT = 2**14, 48  # scattered points, and how many of the highest are taken for peaks
_SMALLEST = 2.0**-60  # side of a cell that holds a peak, in sides of the box


class Weighted(NamedTuple):
    """Nodes and log weights: ∫ f·exp(u) ≈ Σ exp(log_weight)·f(node)."""

    nodes: Nodes
    log_weights: Numbers  # u + log of the volume of each node
    u: Numbers
    values: Numbers  # of what ``function`` returns beside u
    groups: Int[np.ndarray, " node"]
    error: float  # changes at the last split, relative to the integral of the group, at most

    @property
    def log_integral(self) -> float:
        """Log ∫ exp(u)."""
        return float(logsumexp(self.log_weights))


def cubature(
    function: Integrand,
    box: Box,
    peaks: Nodes,
    label: Callable[[Nodes], Int[np.ndarray, " node"]] | None = None,
    *,
    relative_error: float | None = None,
) -> Weighted:
    """Nodes and weights for integrals against exp(u).

    Args:
        function: points → (u, another number that is kept with each node, such as the loss).
        box: of one to three dimensions.
        peaks: points near every maximum of u that is narrower than a thousandth of the box.
        label: group of each point; the integral over each group is resolved, however small beside the others.
        relative_error: of ∫ exp(u) over each group; default 1e-9, 1e-5, 1e-3 in one, two, three dimensions.

    Raises:
        ValueError: more than three dimensions, or cells without end: u is too rough.
    """
    if box.dim not in _NODES:
        raise ValueError(f"Cubature is for one to three dimensions, got {box.dim}.")
    wanted = relative_error or _ERRORS[box.dim]
    label = label or (lambda points: np.zeros(len(points), dtype=int))
    peaks, heights = _with_probes(function, box, peaks)
    cells = _grid(box)
    coarse, kept = _sums(cells, function)
    group = _group(cells, label)
    settled: list[tuple[np.ndarray, ...]] = []
    totals: dict[int, float] = {}  # of what is settled
    errors, count = dict.fromkeys(np.unique(group).tolist(), 0.0), len(cells)
    while len(cells):
        children = _split(cells)
        count += len(children)
        if count > _MOST_CELLS[box.dim]:
            raise ValueError(
                f"The integral did not settle to {wanted:g} within {_MOST_CELLS[box.dim]} cells: the loss is too "
                "rough, or n is too large for this box."
            )
        fine, kept = _sums(children, function)
        together = np.logaddexp.reduce(fine.reshape(len(cells), -1), axis=1)
        change = np.empty(len(cells))
        for g in np.unique(group).tolist():
            mine = group == g
            total = np.logaddexp(logsumexp(together[mine]), totals.get(g, -math.inf))
            before = np.exp(
                np.minimum(coarse[mine] - total, 50.0)
            )  # a lone node may far overstate a peak
            change[mine] = np.abs(np.exp(together[mine] - total) - before)
        change = np.nan_to_num(change, nan=0.0)
        small = change <= wanted / max(len(cells), 16)
        done = small & ~_hides_a_peak(cells, peaks, heights, kept[1], box)
        done &= ~_beside_a_peak(cells, peaks, done)
        rows = np.repeat(done, 2**box.dim)
        settled.append(tuple(part[rows] for part in kept))
        for g in np.unique(group[done]).tolist():
            mine = done & (group == g)
            totals[g] = float(np.logaddexp(totals.get(g, -math.inf), logsumexp(together[mine])))
            errors[g] = errors.get(g, 0.0) + float(change[mine].sum())
        cells, coarse = children[~rows], fine[~rows]
        group = _group(cells, label) if len(cells) else group[:0]
    nodes = np.concatenate([part[0].reshape(-1, box.dim) for part in settled])
    u, volumes, values = (
        np.concatenate([part[index].ravel() for part in settled]) for index in (1, 2, 3)
    )
    return Weighted(nodes, u + volumes, u, values, label(nodes), max(errors.values()))


def _group(
    cells: Cells, label: Callable[[Nodes], Int[np.ndarray, " node"]]
) -> Int[np.ndarray, " cell"]:
    return np.asarray(label(cells.mean(axis=2)))


def _with_probes(
    function: Integrand, box: Box, peaks: Nodes
) -> tuple[Float[np.ndarray, "peak dim"], Float[np.ndarray, " peak"]]:
    """The peaks with the highest of some scattered points, apart from each other, and u at all of them."""
    probes = box.lower + (box.upper - box.lower) * _scattered(box.dim)
    heights = function(probes)[0]
    side = (box.upper - box.lower) / _FIRST[box.dim] / 4
    kept: list[int] = []
    places: set[tuple[int, ...]] = set()
    for index in np.argsort(-heights).tolist():
        place = tuple(((probes[index] - box.lower) // side).astype(int).tolist())
        if place not in places:
            places.add(place)
            kept.append(index)
        if len(kept) == _KEPT:
            break
    named = function(peaks)[0] if len(peaks) else np.empty(0)
    return np.concatenate([peaks, probes[kept]]), np.concatenate([named, heights[kept]])


@cache
def _scattered(dim: int) -> Float[np.ndarray, "point dim"]:
    return np.asarray(qmc.Sobol(dim, seed=0).random(_PROBES))


def _grid(box: Box) -> Cells:
    side = _FIRST[box.dim]
    edges = [
        np.linspace(low, high, side + 1) for low, high in zip(box.lower, box.upper, strict=True)
    ]
    lower = np.stack(np.meshgrid(*[e[:-1] for e in edges], indexing="ij"), axis=-1)
    upper = np.stack(np.meshgrid(*[e[1:] for e in edges], indexing="ij"), axis=-1)
    return np.stack([lower.reshape(-1, box.dim), upper.reshape(-1, box.dim)], axis=-1)


def _split(cells: Cells) -> Float[np.ndarray, "child dim 2"]:
    """2^dim children of each cell, next to each other."""
    for axis in range(cells.shape[1]):
        cells = np.repeat(cells, 2, axis=0)
        middle = cells[::2, axis].mean(axis=1)
        cells[::2, axis, 1] = middle
        cells[1::2, axis, 0] = middle
    return cells


def _sums(
    cells: Cells,
    function: Integrand,
) -> tuple[Float[np.ndarray, " cell"], tuple[np.ndarray, ...]]:
    """Log ∫ exp(u) over each cell, and its nodes, u, log weights and kept values."""
    dim = cells.shape[1]
    offsets, log_unit = _unit_nodes(dim)
    middle, half = cells.mean(axis=2), (cells[:, :, 1] - cells[:, :, 0]) / 2
    nodes = middle[:, None, :] + half[:, None, :] * offsets
    u, values = function(nodes.reshape(-1, dim))
    u = u.reshape(len(cells), -1)
    with np.errstate(divide="ignore"):  # a cell between neighbouring floating-point numbers
        log_weights = log_unit + np.log(half).sum(axis=1)[:, None]
    sums = np.logaddexp.reduce(u + log_weights, axis=1)
    return sums, (nodes, u, log_weights, values.reshape(len(cells), -1))


@cache
def _unit_nodes(
    dim: int,
) -> tuple[Float[np.ndarray, "place dim"], Float[np.ndarray, " place"]]:
    """Nodes and log weights on [−1, 1]^dim."""
    unit, unit_weights = np.polynomial.legendre.leggauss(_NODES[dim])
    offsets = np.stack(np.meshgrid(*[unit] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    grids = np.meshgrid(*[unit_weights] * dim, indexing="ij")
    log_unit = np.log(np.prod(grids, axis=0).ravel())
    return offsets, log_unit


def _hides_a_peak(
    cells: Cells, peaks: Nodes, heights: Numbers, u: Float[np.ndarray, "child place"], box: Box
) -> Bool[np.ndarray, " cell"]:
    """Whether a cell holds a peak that no node of its children comes near in height."""
    hidden = np.zeros(len(cells), dtype=bool)
    best = u.reshape(len(cells), -1).max(axis=1)
    sides = ((cells[:, :, 1] - cells[:, :, 0]) / (box.upper - box.lower)).max(axis=1)
    for peak, height in zip(peaks, heights, strict=True):
        holds = ((cells[:, :, 0] <= peak) & (peak <= cells[:, :, 1])).all(axis=1)
        hidden |= holds & (best < height - 1.0) & (sides > _SMALLEST)
    return hidden


def _beside_a_peak(
    cells: Cells, peaks: Nodes, done: Bool[np.ndarray, " cell"]
) -> Bool[np.ndarray, " cell"]:
    """Whether a peak lies within half a side of a cell while the cell that holds it is still being split.

    A narrow peak near the edge has a share of its mass beyond it, between the edge and the first node there.
    """
    beside = np.zeros(len(cells), dtype=bool)
    half = (cells[:, :, 1] - cells[:, :, 0]) / 2
    for peak in peaks:
        near = ((cells[:, :, 0] - half <= peak) & (peak <= cells[:, :, 1] + half)).all(axis=1)
        holds = near & ((cells[:, :, 0] <= peak) & (peak <= cells[:, :, 1])).all(axis=1)
        if (holds & ~done).any():
            beside |= near
    return beside
