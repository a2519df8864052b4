"""The wells of a loss: what a barrier separates, found on a grid or told by the caller.

Flooding: points enter in the order of their loss and join the wells of their neighbours. Where two wells meet,
the shallower one survives only if the place lies higher above its minimum than ``barrier``; else it is a ripple
of the deeper one. (This is persistence of connected components.)
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize

from singulab.bayes.box import Box, Loss

Nodes = Float[np.ndarray, "node dim"]
Region = Callable[[Nodes], Bool[np.ndarray, " node"]]

_SIDE = {1: 8001, 2: 241, 3: 41}  # points per side of the grid


@dataclass(frozen=True, kw_only=True)
class Well:
    """One well: where its minimum is, and how high."""

    name: str
    center: tuple[float, ...]
    loss: float  # L there


@dataclass(frozen=True, kw_only=True)
class Wells:
    """All wells, best first, and to which one each point belongs."""

    wells: tuple[Well, ...]
    label: Callable[
        [Nodes], Int[np.ndarray, " node"]
    ]  # index of the well; −1 in none of the caller's regions

    @property
    def centers(self) -> Nodes:
        return np.array([well.center for well in self.wells])


def found_wells(loss: Loss, box: Box, barrier: float | None) -> Wells:
    """Wells of a loss of one to three weights, by flooding a grid.

    Args:
        loss: L.
        box: where.
        barrier: least height of the ridge above the shallower of two wells; None = 1 % of the median loss
            above the minimum.

    Raises:
        ValueError: more than three weights: name the regions instead.
    """
    if box.dim not in _SIDE:
        raise ValueError(
            f"Wells are found for up to three weights, got {box.dim}: give regions, a name and a function of "
            "points for each."
        )
    side = _SIDE[box.dim]
    axes = [np.linspace(a, b, side) for a, b in zip(box.lower, box.upper, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = np.asarray(loss(grid.reshape(-1, box.dim))).reshape(grid.shape[:-1])
    if barrier is None:
        barrier = 0.01 * float(np.median(values) - values.min())
    flooded, starts = _flooded(values, barrier)
    spacing = (box.upper - box.lower) / (side - 1)
    wells = []
    for name, start in enumerate(starts):
        at = grid.reshape(-1, box.dim)[start]
        near = np.stack([np.maximum(at - spacing, box.lower), np.minimum(at + spacing, box.upper)])
        center, height = _descended(loss, at, near)
        wells.append((height, name, center))
    wells.sort(key=lambda well: well[0])
    rank = np.empty(len(wells), dtype=int)
    rank[[name for _, name, _ in wells]] = np.arange(len(wells))

    def label(points: Nodes) -> Int[np.ndarray, " node"]:
        index = np.rint((points - box.lower) / spacing).astype(int)
        return rank[flooded[tuple(np.clip(index, 0, side - 1).T)]]

    return Wells(
        wells=tuple(
            Well(name=_name(center), center=tuple(float(x) for x in center), loss=height)
            for height, _, center in wells
        ),
        label=label,
    )


def named_wells(loss: Loss, box: Box, regions: Mapping[str, Region], seed: int) -> Wells:
    """Wells given as regions: the first that holds a point owns it."""
    if not regions:
        raise ValueError("regions needs at least one name with a function of points.")

    def label(points: Nodes) -> Int[np.ndarray, " node"]:
        result = np.full(len(points), -1)
        for index, region in reversed(list(enumerate(regions.values()))):
            result[np.asarray(region(points), dtype=bool)] = index
        return result

    points = box.points(np.random.default_rng(seed), 100_000)
    values, owner = np.asarray(loss(points)), label(points)
    wells = []
    for index, name in enumerate(regions):
        mine = np.flatnonzero(owner == index)
        if not len(mine):
            raise ValueError(f"The region {name!r} holds none of 100 000 random points of the box.")
        start = points[mine[values[mine].argmin()]]
        center, height = _descended(loss, start, np.stack([box.lower, box.upper]))
        if label(center[None])[0] != index:
            center, height = start, float(values[mine].min())
        wells.append(Well(name=name, center=tuple(float(x) for x in center), loss=height))
    return Wells(wells=tuple(wells), label=label)


def _flooded(
    values: Float[np.ndarray, "..."], barrier: float
) -> tuple[Int[np.ndarray, "..."], list[int]]:
    """Well of every grid point, and the lowest point of each well."""
    shape, flat = values.shape, values.ravel()
    owner = np.full(flat.size, -1)
    parent = list(range(flat.size))
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    coordinates = np.stack(np.unravel_index(np.arange(flat.size), shape), axis=1).tolist()
    steps = [(axis, sign) for axis, sign in itertools.product(range(len(shape)), (-1, 1))]

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    heights = flat.tolist()
    for index in np.argsort(flat, kind="stable").tolist():
        roots = set()
        for axis, sign in steps:
            place = coordinates[index][axis] + sign
            if 0 <= place < shape[axis]:
                neighbour = index + sign * strides[axis]
                if owner[neighbour] >= 0:
                    roots.add(root(int(owner[neighbour])))
        if not roots:
            owner[index] = index
            continue
        deepest = min(roots, key=lambda r: heights[r])
        for other in roots - {deepest}:
            if heights[index] - heights[other] <= barrier:
                parent[other] = deepest
        owner[index] = deepest
    roots_of_all = np.array([root(int(index)) for index in owner])
    starts, labels = np.unique(roots_of_all, return_inverse=True)
    return labels.reshape(shape), starts.tolist()


def _descended(
    loss: Loss, start: Float[np.ndarray, " dim"], near: Float[np.ndarray, "2 dim"]
) -> tuple[Float[np.ndarray, " dim"], float]:
    """The lowest point near a start, and L there."""
    found = minimize(
        lambda w: float(loss(w[None])[0]),
        start,
        bounds=list(zip(*near, strict=True)),
        method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 0.0, "maxiter": 4000},
    )
    at_start = float(loss(start[None])[0])
    if not found.fun < at_start:
        return start, at_start
    return np.clip(found.x, near[0], near[1]), float(found.fun)


def _name(center: Float[np.ndarray, " dim"]) -> str:
    told = ", ".join(f"{0.0 if abs(x) < 5e-7 else x:.4g}" for x in center)
    return f"({told})" if len(center) > 1 else told
