"""V(ε) of one to three weights without chance: lengths of chords along one weight, integrated over the others.

The others are taken one inside the next, each by Gauss–Lobatto rules on cells that are halved until the integral stands
still at every ε together. All weights run over s with w = δ·sinh(s), in which every scale down to δ is as wide as the
next; a thin set that lies elsewhere is followed from one ε to the next smaller one, because its cells at one ε are
small enough to find it at the next.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from singulab.bayes.box import Box, Loss
from singulab.bayes.chords import chord_lengths
from singulab.errors import SingulabError

Points = Float[np.ndarray, "point dim"]
# Lengths or volumes at each ε, and behind them, in as many columns, what rounding may make of them.
Inner = Callable[[Points, Float[np.ndarray, "point level"]], Float[np.ndarray, "point twice"]]

MOST_DIMENSIONS = 3
# Of V, relative; the second where the first is not reached in time, with the evaluations that each may take.
_TRIES = {
    1: ((1e-7, 2e7),),
    2: ((2e-5, 1e8),),
    3: ((1e-3, 1.5e8), (1e-2, 2.5e8)),
}
_FLOOR = {1: 10.0, 2: 10.0, 3: 1.0}  # tolerances: a kink that both rules miss shows in no halving
# Gauss–Lobatto: an edge of the set that lies just inside a cell is seen by the node at the cell's end.
_UNIT = np.array([-1.0, -math.sqrt(3 / 7), 0.0, math.sqrt(3 / 7), 1.0])
_WEIGHTS = np.array([1 / 10, 49 / 90, 32 / 45, 49 / 90, 1 / 10])
# Simpson's rule at three of these nodes, as factors of the weights above; its difference counts for so much.
_SIMPSON = np.array([10 / 3, 0.0, 15 / 8, 0.0, 10 / 3])
_THIRD = 0.05
_END = 0.02  # least share of a cell that is in doubt where the set ends inside it
_CELL = 4.0  # width of a cell in s at the start
_STEPS = (0.35, 0.18, 0.07)  # between nodes of a line, in s; the next where one is too coarse
_OTHER = 0.62  # of a step, for the second run that has to agree …
_LOOSER = 3.0  # … at so many times the tolerance …
_AGREEING = 3.0  # … within so many errors of both, where
_ODD = 0.05  # share of the levels that may disagree: a cell is taken too early once in a while
_SOUND = 0.01  # they are smaller than this: rounding is no matter of nodes
_EVEN = 33  # nodes of a line at equal distances
_BELOW = 1e-7  # δ, against the smallest weight that matters
_SMALLEST = 1e-13  # width of a cell, against its place or in s
_AT_A_TIME = 3_000_000  # values of f held at once


class UnsettledError(SingulabError):
    """An integral that does not settle within the work that is allowed."""


@dataclass(frozen=True)
class Volumes:
    """V at each ε with the error that the last halvings suggest."""

    volume: Float[np.ndarray, " level"]  # as a share of the box
    error: Float[np.ndarray, " level"]  # relative
    evaluations: int


class _Axis(NamedTuple):
    """One weight: its range in s, and the factor by which even functions are folded."""

    weight: int
    low: float
    high: float
    fold: int


def volumes(
    excess: Loss,
    box: Box,
    epsilon: Float[np.ndarray, " level"],
    *,
    smallest: Float[np.ndarray, " dim"],
    order: tuple[int, ...],
    guess: Float[np.ndarray, " level"],
) -> Volumes:
    """V(ε)/vol(box) for decreasing ε.

    Args:
        excess: L − L_min ≥ 0.
        box: of one to three dimensions.
        epsilon: decreasing; V should fall by no more than e² or so from one to the next.
        smallest: |w_i| below which nothing of the set at the last ε is thought to happen.
        order: weights from the outermost integral to the chords.
        guess: V about, by which the work is shared out.

    Raises:
        UnsettledError: the work is spent.
    """
    evaluations = 0
    for tolerance, most in _TRIES[box.dim]:
        work = _Work(excess, box, epsilon, int(most))
        try:
            total, error = _agreed(work, smallest, order, guess, tolerance)
            return Volumes(total, error, evaluations + work.evaluations)
        except UnsettledError:
            evaluations += work.evaluations
    raise UnsettledError(
        f"The volume did not settle to {tolerance:g} within {most:.2g} evaluations; use method='splitting'."
    )


def _agreed(
    work: "_Work",
    smallest: Float[np.ndarray, " dim"],
    order: tuple[int, ...],
    guess: Float[np.ndarray, " level"],
    tolerance: float,
) -> tuple[Float[np.ndarray, " level"], Float[np.ndarray, " level"]]:
    """V and its error, the same on lines with other nodes: a minimum that falls between nodes is not in both."""
    for step in _STEPS:
        total, error = _integral(work, smallest, order, guess, tolerance, step)
        other, loose = _integral(work, smallest, order, guess, _LOOSER * tolerance, _OTHER * step)
        with np.errstate(divide="ignore", invalid="ignore"):
            away = np.abs(np.log(other / total)) / np.hypot(error, loose)
        sound = np.maximum(error, loose) < max(_SOUND, 2 * _LOOSER * tolerance)
        if (away[sound] > _AGREEING).sum() <= _ODD * sound.sum():
            return total, error
    raise UnsettledError("Lines with other nodes say something else.")


def _integral(
    work: "_Work",
    smallest: Float[np.ndarray, " dim"],
    order: tuple[int, ...],
    guess: Float[np.ndarray, " level"],
    tolerance: float,
    step: float,
) -> tuple[Float[np.ndarray, " level"], Float[np.ndarray, " level"]]:
    """V as a share of the box, and its relative error."""
    box = work.box
    delta = np.maximum(smallest * _BELOW, 1e-150 * (box.upper - box.lower))
    axes = [work.axis(index, float(delta[index])) for index in order]
    inner: Inner = work.chords(axes[-1], float(delta[order[-1]]), step)
    for axis in reversed(axes[:-1]):
        share = tolerance if axis is axes[0] else tolerance / 3
        inner = work.integrated(inner, axis, axes[0], float(delta[axis.weight]), share)
    found = inner(np.zeros((1, box.dim)), guess[None] * math.exp(box.log_volume))[0]
    total, rounding = np.split(found, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        halving, rounding = axes[0].fold * work.error / total, rounding / total
    error = np.maximum(3 * halving, _FLOOR[box.dim] * tolerance) + rounding
    return total / math.exp(box.log_volume), error


class _Work:
    """Evaluations of the loss, counted, and the integrals built on each other."""

    def __init__(
        self, excess: Loss, box: Box, epsilon: Float[np.ndarray, " level"], most: int
    ) -> None:
        self.excess, self.box, self.epsilon, self.most = excess, box, epsilon, most
        self.evaluations = 0
        self.error = np.zeros(len(epsilon))

    def axis(self, index: int, delta: float) -> _Axis:
        low, high = self.box.lower[index], self.box.upper[index]
        if low == -high and _is_even(self.excess, self.box, index):
            return _Axis(index, 0.0, math.asinh(high / delta), 2)
        return _Axis(index, math.asinh(low / delta), math.asinh(high / delta), 1)

    def at(self, points: Points) -> Float[np.ndarray, " point"]:
        self.evaluations += len(points)
        if self.evaluations > self.most:
            raise UnsettledError("The evaluations are spent.")
        return np.asarray(self.excess(points))

    def chords(self, axis: _Axis, delta: float, step: float) -> Inner:
        """Lengths of chords along an axis."""
        ends = delta * np.sinh([axis.low, axis.high])
        steps = max(2, math.ceil((axis.high - axis.low) / step))
        logs = delta * np.sinh(np.linspace(axis.low, axis.high, steps + 1))
        zero = [0.0] if ends[0] <= 0 <= ends[1] else []
        grid = np.unique(
            np.concatenate([logs, np.linspace(float(ends[0]), float(ends[1]), _EVEN), ends, zero])
        )
        size = max(1, _AT_A_TIME // len(grid))

        def lengths(points: Points, _: Float[np.ndarray, "point level"]) -> np.ndarray:
            found = [
                self._lengths(points[start : start + size], axis, grid)
                for start in range(0, len(points), size)
            ]
            return axis.fold * np.concatenate(found)

        return lengths

    def _lengths(
        self, points: Points, axis: _Axis, grid: Float[np.ndarray, " node"]
    ) -> Float[np.ndarray, "point twice"]:
        def on_lines(
            line: Int[np.ndarray, " at"], place: Float[np.ndarray, " at"]
        ) -> Float[np.ndarray, " at"]:
            candidates = points[line]
            candidates[:, axis.weight] = place
            return self.at(candidates)

        return np.concatenate(chord_lengths(on_lines, len(points), grid, self.epsilon), axis=1)

    def integrated(
        self, inner: Inner, axis: _Axis, outermost: _Axis, delta: float, tolerance: float
    ) -> Inner:
        """∫ inner dw over one axis, for many points of the axes outside it at once."""
        pieces = max(2, math.ceil((axis.high - axis.low) / _CELL))
        edges = np.linspace(axis.low, axis.high, pieces + 1)

        def sums(
            points: Points, owner: Int[np.ndarray, " cell"], a: np.ndarray, b: np.ndarray,
            matters: Float[np.ndarray, "point level"],
        ) -> tuple[
            Float[np.ndarray, "cell twice"], Float[np.ndarray, "cell twice"],
            Bool[np.ndarray, "cell level"],
        ]:  # fmt: skip
            half = (b - a) / 2
            s = (a + b)[:, None] / 2 + half[:, None] * _UNIT
            measure = (half[:, None] * _WEIGHTS * delta * np.cosh(s)).ravel()
            nodes = np.repeat(points[owner], len(_UNIT), axis=0)
            nodes[:, axis.weight] = delta * np.sinh(s).ravel()
            enough = matters[np.repeat(owner, len(_UNIT))] / measure[:, None] / pieces / len(_UNIT)
            found = (inner(nodes, enough) * measure[:, None]).reshape(len(owner), len(_UNIT), -1)
            there = found[:, :, : len(self.epsilon)] > 0
            whole = found.sum(axis=1)
            simpson = np.einsum("cuk,u->ck", found, _SIMPSON)
            return whole, np.abs(whole - simpson), there.any(axis=1) & ~there.all(axis=1)

        def integral(points: Points, matters: Float[np.ndarray, "point level"]) -> np.ndarray:
            count = len(points)
            owner = np.repeat(np.arange(count), pieces)
            a, b = np.tile(edges[:-1], count), np.tile(edges[1:], count)
            coarse, _, _ = sums(points, owner, a, b, matters)
            levels = len(self.epsilon)
            settled, errors = np.zeros((count, 2 * levels)), np.zeros((count, levels))
            while len(owner):
                middle = (a + b) / 2
                owners = np.repeat(owner, 2)
                left = np.stack([a, middle], axis=1).ravel()
                right = np.stack([middle, b], axis=1).ravel()
                halves, rough, edges_in = sums(points, owners, left, right, matters)
                fine = halves[0::2] + halves[1::2]
                change = np.abs(fine - coarse)[:, :levels] / 2
                # Two rules may agree by chance: a third is asked, and where the set ends inside a cell none is trusted.
                bent = (rough[0::2] + rough[1::2])[:, :levels]
                change = np.maximum(change, _THIRD * bent)
                unsure = edges_in[0::2] | edges_in[1::2]
                change = np.where(unsure, np.maximum(change, _END * fine[:, :levels]), change)
                total = settled[:, :levels].copy()
                np.add.at(total, owner, fine[:, :levels])
                allowed = tolerance * np.maximum(total, matters)[owner] / 6 + fine[:, levels:]
                narrow = b - a <= _SMALLEST * np.maximum(1.0, np.abs(a))
                done = (change <= allowed).all(axis=1) | narrow
                np.add.at(settled, owner[done], fine[done])
                np.add.at(errors, owner[done], change[done])
                again = np.repeat(~done, 2)
                owner, a, b, coarse = owners[again], left[again], right[again], halves[again]
            if axis is outermost:
                self.error = errors[0]
            return axis.fold * settled

        return integral


def _is_even(excess: Loss, box: Box, index: int) -> bool:
    """Whether a change of sign of one weight changes nothing, at points of many scales."""
    rng = np.random.default_rng(0)
    points = box.points(rng, 400) * np.exp(-20.0 * rng.random((400, box.dim)) ** 2)
    points = np.clip(points, box.lower, box.upper)
    other = points.copy()
    other[:, index] *= -1
    one, two = np.asarray(excess(points)), np.asarray(excess(other))
    with np.errstate(invalid="ignore"):  # ∞ − ∞, where both are outside of a well
        return bool(((one == two) | (np.abs(one - two) <= 1e-13 * np.abs(one))).all())
