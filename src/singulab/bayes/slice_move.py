"""Slice moves in a box: uniform on {f ≤ level}, for many particles at once.

Along an axis or along the difference of two particles the first bracket is the whole chord of the box; along
orbits w_i·exp(k_i s) it is a random interval. So the moves have no scale of their own: they follow an arm of width
1e-15 and a ball of radius 1e-8 alike. Along an axis the new coordinate itself is drawn, not its change, so that
it keeps full relative precision near 0. Differences are of particles taken at random: those of near ones would
lie better along a valley, but copies of one parent are not independent, and volumes come out wrong.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from singulab.bayes.box import Box

Particles = Float[np.ndarray, "particle dim"]
Numbers = Float[np.ndarray, " particle"]
Function = Callable[[Particles], Numbers]

_MOST_SHRINKS = 400  # of one bracket: it is then 1e-90 of the box at the least
_ALONG_AXES, _ALONG_ORBITS = 0.25, 0.45  # shares of the moves
_ORBIT = 20.0  # longest step s along an orbit


def slice_move(
    points: Particles,
    values: Numbers,
    level: Numbers,
    function: Function,
    box: Box,
    rng: np.random.Generator,
    shape: tuple[int, int],
) -> tuple[Particles, Numbers]:
    """One slice move of every particle within {function ≤ level}; all take the same kind of move.

    Args:
        points: particles of all populations, one population after the other.
        values: of the function at them, ≤ level.
        level: of each particle.
        function: of points.
        box: which no particle leaves.
        rng: all randomness.
        shape: number of populations, particles in each.

    Returns:
        Points and values after the move.
    """
    kind = rng.random()
    if kind < _ALONG_AXES:
        return _moved_along_axes(points, values, level, function, box, rng)
    if kind < _ALONG_AXES + _ALONG_ORBITS:
        return _moved_along_orbits(points, values, level, function, box, rng)
    return _moved_along_differences(points, values, level, function, box, rng, shape)


def _moved_along_axes(
    points: Particles,
    values: Numbers,
    level: Numbers,
    function: Function,
    box: Box,
    rng: np.random.Generator,
) -> tuple[Particles, Numbers]:
    axis = rng.integers(0, box.dim, size=len(points))
    rows = np.arange(len(points))
    here = points[rows, axis]
    low, high = box.lower[axis].copy(), box.upper[axis].copy()
    points, values = points.copy(), values.copy()
    for _ in range(_MOST_SHRINKS):
        drawn = low + (high - low) * rng.random(len(rows))
        candidates = points[rows]
        candidates[np.arange(len(rows)), axis] = drawn
        found = function(candidates)
        inside = found <= level[rows]
        points[rows[inside]] = candidates[inside]
        values[rows[inside]] = found[inside]
        left = drawn < here
        low, high = np.where(left, drawn, low), np.where(left, high, drawn)
        keep = ~inside
        if not keep.any():
            break
        rows, axis, here, low, high = rows[keep], axis[keep], here[keep], low[keep], high[keep]
    return points, values


def _moved_along_orbits(
    points: Particles,
    values: Numbers,
    level: Numbers,
    function: Function,
    box: Box,
    rng: np.random.Generator,
) -> tuple[Particles, Numbers]:
    """w_i → w_i·exp(k_i s) with integers k_i: the arms of a singularity at 0 in one step.

    Uniform in w is e^{κs} in s with κ = Σk_i, so a slice has a random height below that.
    """
    weights = rng.integers(-1, 2, size=points.shape)
    wide = rng.random(len(points)) < 0.3
    weights[wide] = rng.integers(-3, 4, size=(int(wide.sum()), box.dim))
    total = weights.sum(axis=1)
    span, share = _ORBIT * rng.random(len(points)), rng.random(len(points))
    low, high = -span * share, span * (1 - share)
    bound = np.log(rng.random(len(points)))
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = bound / np.abs(total)
    low = np.where(total > 0, np.maximum(low, slope), low)
    high = np.where(total < 0, np.minimum(high, -slope), high)
    here, rows = points, np.arange(len(points))
    points, values = points.copy(), values.copy()
    for _ in range(_MOST_SHRINKS):
        step = low + (high - low) * rng.random(len(rows))
        candidates = here[rows] * np.exp(step[:, None] * weights[rows])
        fits = ((candidates >= box.lower) & (candidates <= box.upper)).all(axis=1)
        found = np.full(len(rows), np.inf)
        if fits.any():
            found[fits] = function(candidates[fits])
        inside = found <= level[rows]
        points[rows[inside]] = candidates[inside]
        values[rows[inside]] = found[inside]
        low, high = np.where(step < 0, step, low), np.where(step < 0, high, step)
        keep = ~inside
        if not keep.any():
            break
        rows, low, high = rows[keep], low[keep], high[keep]
    return points, values


def _moved_along_differences(
    points: Particles,
    values: Numbers,
    level: Numbers,
    function: Function,
    box: Box,
    rng: np.random.Generator,
    shape: tuple[int, int],
) -> tuple[Particles, Numbers]:
    direction = _differences(points, rng, shape)
    here = points
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (box.lower - here) / direction, (box.upper - here) / direction
    usable = direction != 0
    low = np.where(usable, np.minimum(one, other), -np.inf).max(axis=1)
    high = np.where(usable, np.maximum(one, other), np.inf).min(axis=1)
    rows = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    low, high = low[rows], high[rows]
    points, values = points.copy(), values.copy()
    for _ in range(_MOST_SHRINKS):
        if not len(rows):
            break
        step = low + (high - low) * rng.random(len(rows))
        candidates = here[rows] + step[:, None] * direction[rows]
        np.clip(candidates, box.lower, box.upper, out=candidates)
        found = function(candidates)
        inside: Bool[np.ndarray, " particle"] = found <= level[rows]
        points[rows[inside]] = candidates[inside]
        values[rows[inside]] = found[inside]
        low, high = np.where(step < 0, step, low), np.where(step < 0, high, step)
        keep = ~inside
        rows, low, high = rows[keep], low[keep], high[keep]
    return points, values


def _differences(points: Particles, rng: np.random.Generator, shape: tuple[int, int]) -> Particles:
    """Difference of two other particles of the same population, as a unit vector; 0 where they coincide."""
    start = shape[1] * np.repeat(np.arange(shape[0]), shape[1])
    first, second = (start + rng.integers(0, shape[1], size=len(points)) for _ in range(2))
    difference = points[first] - points[second]
    largest = np.abs(difference).max(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.where(largest > 0, difference / largest, 0.0)
        difference /= np.linalg.norm(difference, axis=1, keepdims=True)
    return np.nan_to_num(difference)
