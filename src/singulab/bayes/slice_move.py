"""Slice moves in a box: uniform on {f ≤ level}, for many particles at once.

Along an axis or along the difference of two particles the first bracket is the whole chord of the box; along
orbits w_i·exp(k_i s) it is a random interval. So the moves have no scale of their own: they follow an arm of width
1e-15 and a ball of radius 1e-8 alike. Along an axis the new coordinate itself is drawn, not its change, so that
it keeps full relative precision near 0. Differences are of particles taken at random: those of near ones would
lie better along a valley, but copies of one parent are not independent, and volumes come out wrong.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from singulab.bayes.box import Box

Particles = Float[np.ndarray, "particle dim"]
Numbers = Float[np.ndarray, " particle"]
Function = Callable[[Particles], Numbers]
Rows = Int[np.ndarray, " some"]
Steps = Float[np.ndarray, " some"]
# Rows of particles and their steps → candidates.
Stepped = Callable[[Rows, Steps], Float[np.ndarray, "some dim"]]

_MOST_SHRINKS = 400  # of one bracket: it is then 1e-90 of the box at the least
_ALONG_AXES, _ALONG_ORBITS = 0.25, 0.45  # shares of the moves
_ORBIT = 20.0  # longest step s along an orbit


class _Brackets(NamedTuple):
    """Where the particles of these rows look for their next place; ``here`` is where each stands."""

    rows: Rows
    low: Steps
    high: Steps
    here: Steps


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
        brackets, stepped = _along_axes(points, box, rng)
    elif kind < _ALONG_AXES + _ALONG_ORBITS:
        brackets, stepped = _along_orbits(points, box, rng)
    else:
        brackets, stepped = _along_differences(points, box, rng, shape)
    return _shrunk(points, values, level, function, box, rng, brackets, stepped)


def _shrunk(
    points: Particles,
    values: Numbers,
    level: Numbers,
    function: Function,
    box: Box,
    rng: np.random.Generator,
    brackets: _Brackets,
    stepped: Stepped,
) -> tuple[Particles, Numbers]:
    """Draw inside of each bracket, shrink it to the draw on the side of where the particle stands, and again."""
    points, values = points.copy(), values.copy()
    rows, low, high, here = brackets
    for _ in range(_MOST_SHRINKS):
        if not len(rows):
            break
        step = low + (high - low) * rng.random(len(rows))
        candidates = stepped(rows, step)
        fits = ((candidates >= box.lower) & (candidates <= box.upper)).all(axis=1)
        found = np.full(len(rows), np.inf)
        if fits.any():
            found[fits] = function(candidates[fits])
        inside = found <= level[rows]
        points[rows[inside]] = candidates[inside]
        values[rows[inside]] = found[inside]
        left = step < here
        low, high = np.where(left, step, low), np.where(left, high, step)
        keep = ~inside
        rows, low, high, here = rows[keep], low[keep], high[keep], here[keep]
    return points, values


def _along_axes(points: Particles, box: Box, rng: np.random.Generator) -> tuple[_Brackets, Stepped]:
    """One coordinate of each particle; the step is the coordinate itself."""
    axis = rng.integers(0, box.dim, size=len(points))
    rows = np.arange(len(points))

    def stepped(rows: Rows, step: Steps) -> Float[np.ndarray, "some dim"]:
        candidates = points[rows]
        candidates[np.arange(len(rows)), axis[rows]] = step
        return candidates

    return _Brackets(rows, box.lower[axis], box.upper[axis], points[rows, axis]), stepped


def _along_orbits(
    points: Particles, box: Box, rng: np.random.Generator
) -> tuple[_Brackets, Stepped]:
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

    def stepped(rows: Rows, step: Steps) -> Float[np.ndarray, "some dim"]:
        return points[rows] * np.exp(step[:, None] * weights[rows])

    return _Brackets(np.arange(len(points)), low, high, np.zeros(len(points))), stepped


def _along_differences(
    points: Particles, box: Box, rng: np.random.Generator, shape: tuple[int, int]
) -> tuple[_Brackets, Stepped]:
    direction = _differences(points, rng, shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (box.lower - points) / direction, (box.upper - points) / direction
    usable = direction != 0
    low = np.where(usable, np.minimum(one, other), -np.inf).max(axis=1)
    high = np.where(usable, np.maximum(one, other), np.inf).min(axis=1)
    rows = np.flatnonzero(np.isfinite(low) & np.isfinite(high))

    def stepped(rows: Rows, step: Steps) -> Float[np.ndarray, "some dim"]:
        # The ends of the chord may lie outside by a rounding.
        return np.clip(points[rows] + step[:, None] * direction[rows], box.lower, box.upper)

    return _Brackets(rows, low[rows], high[rows], np.zeros(len(rows))), stepped


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
