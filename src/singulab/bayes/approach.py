"""The ways in which the slope d log V/d log ε approaches λ, each fitted to the slopes of a curve.

With ℓ = log 1/ε, V = Σ over poles of ε^{λ_j}·(a polynomial in ℓ), so that the slope is

    λ                                   it has arrived,
    λ + a·e^{−κℓ}                       a next pole at λ + κ,
    λ + a·e^{−κℓ} + b·e^{−2κℓ}          the same in second order,
    λ − (m − 1)/(ℓ + c)                 a leading pole of order m, its polynomial the power of one factor,
    λ − d log((ℓ + c)² + q)/dℓ          a leading pole of order 3 with any polynomial,
    λ − (m − 1)/(ℓ + c) + a·e^{−κℓ}     both.

λ, a and b are solved for, κ, c and q run over a grid that closes in on where they fit.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from singulab.fits import Approach, Fits, intercepts

Numbers = Float[np.ndarray, " block"]

KINDS = ("arrived", "power", "logarithm")
_SIDE = {1: 60, 2: 28}  # points of a grid in one and two parameters
_ROUNDS = 4  # of closing in
_NEAR, _FEWEST = 12.0, 6  # χ² above the best, and points, that stay in sight
# Powers of a loss stretch ℓ, so that all ranges are shares of the stretch of ℓ that the curve covers.
_GAPS = (1.5, 150.0)  # κ times that
_SHIFTS = (0.003, 0.3)  # ℓ + c where the curve begins
_APART = (0.02, 50.0)  # 1 + q/c²


class Slopes(NamedTuple):
    """Mean slopes over stretches of ℓ, counted from where the curve begins."""

    start: Numbers
    stop: Numbers
    slope: Numbers
    error: Numbers

    def without(self, first: int) -> "Slopes":
        """All but the first few."""
        return Slopes(*(numbers[first:] for numbers in self))


Solved = tuple[Fits, Fits, Fits]


def approaches(slopes: Slopes, dim: int) -> Iterator[Approach]:
    """Every way through these slopes; a pole of order m asks for m ≤ dim."""
    start, stop, y, errors = slopes
    count, weights = len(y), errors**-2.0
    span = stop - start
    none = np.zeros((1, count))

    def flat(shapes: Float[np.ndarray, "fit block"]) -> Solved:
        """λ alone, with a shape taken off."""
        values = (y - shapes) @ weights / weights.sum()
        misfits = (y - shapes - values[:, None]) ** 2 @ weights
        return values, np.full(len(values), weights.sum() ** -0.5), misfits

    def bent(shapes: Float[np.ndarray, "#fit block"], gaps: Float[np.ndarray, " fit"]) -> Solved:
        """λ and a, with a shape taken off."""
        falls = gaps[:, None]
        decays = (np.exp(-falls * (start - start[0])) - np.exp(-falls * (stop - start[0]))) / (
            falls * span
        )
        return intercepts(decays, y - shapes, weights)

    def twice(gaps: Float[np.ndarray, " fit"]) -> Solved:
        """λ, a and b."""
        falls = gaps[:, None]
        decays = [
            (np.exp(-k * falls * (start - start[0])) - np.exp(-k * falls * (stop - start[0])))
            / (k * falls * span)
            for k in (1, 2)
        ]
        columns = np.stack([np.ones_like(decays[0]), *decays], axis=-1)
        weighted = columns * weights[:, None]
        normal = np.einsum("fbi,fbj->fij", weighted, columns)
        # A ridge far below every error keeps shapes that coincide solvable.
        normal += 1e-12 * np.eye(3) * np.trace(normal, axis1=1, axis2=2)[:, None, None]
        inverse = np.linalg.inv(normal)
        solved = np.einsum("fij,fbj,b->fi", inverse, weighted, y)
        misfits = (y - np.einsum("fbi,fi->fb", columns, solved)) ** 2 @ weights
        return solved[:, 0], np.sqrt(np.abs(inverse[:, 0, 0])), misfits

    def root(shifts: Float[np.ndarray, " fit"]) -> Float[np.ndarray, "fit block"]:
        shift = shifts[:, None]
        return -np.log((stop + shift) / (start + shift)) / span

    def pair(
        shifts: Float[np.ndarray, " fit"], apart: Float[np.ndarray, " fit"]
    ) -> Float[np.ndarray, "fit block"]:
        shift = shifts[:, None]
        extra = ((apart - 1) * shifts**2)[:, None]  # q: above −c², or the polynomial has a zero
        return -np.log(((stop + shift) ** 2 + extra) / ((start + shift) ** 2 + extra)) / span

    reach = float(stop[-1])
    gaps = (_GAPS[0] / reach, _GAPS[1] / reach)
    shifts = (_SHIFTS[0] * reach, _SHIFTS[1] * reach)
    yield Approach(*flat(none), count, 1, "arrived")
    if count > 3:
        yield Approach(*_closed_in(lambda k: bent(none, k), gaps), count, 3, "power")
    if count > 4:
        yield Approach(*_closed_in(twice, gaps), count, 4, "power")
    for order in range(1, dim):
        # Each factor that has to agree for a pole of order m is worth a parameter.
        yield Approach(
            *_closed_in(lambda c, k=order: flat(k * root(c)), shifts), count, 1 + order, "logarithm"
        )  # fmt: skip
    if count > 4 and dim > 1:
        yield Approach(
            *_closed_in(lambda c, k: bent(root(c), k), shifts, gaps), count, 4, "logarithm"
        )
    if count > 4 and dim > 2:
        yield Approach(
            *_closed_in(lambda c, q: flat(pair(c, q)), shifts, _APART), count, 4, "logarithm"
        )


def _closed_in(solve: Callable[..., Solved], *ranges: tuple[float, float]) -> Solved:
    """Fits on a grid of the parameters (in ratios) that has closed in on the best of them."""
    side = _SIDE[len(ranges)]
    ends = [(math.log(low), math.log(high)) for low, high in ranges]
    for _ in range(_ROUNDS):
        axes = [np.linspace(low, high, side) for low, high in ends]
        grid = np.exp(np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")]))
        found = solve(*grid)
        ordered = np.sort(found[2])
        near = found[2] <= max(ordered[0] + _NEAR, ordered[_FEWEST])
        inside = np.log(grid[:, near])
        steps = [a[1] - a[0] for a in axes]
        ends = [
            (
                max(float(row.min() - step), float(axis[0])),
                min(float(row.max() + step), float(axis[-1])),
            )
            for row, step, axis in zip(inside, steps, axes, strict=True)
        ]
    return found
