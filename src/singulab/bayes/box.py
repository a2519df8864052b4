"""The box of weights on which a loss is looked at, and losses as functions of arrays of points."""

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Float

from singulab.bayes.expression import Expression, Points, Values, expression

Loss = Callable[[Points], Values]
Sides = Sequence[tuple[float, float]]


def finite(value: object) -> TypeGuard[float]:
    """Whether it is a real number, no bool, that fits into floating point."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


@dataclass(frozen=True)
class Box:
    """A product of intervals."""

    lower: Float[np.ndarray, " dim"]
    upper: Float[np.ndarray, " dim"]

    @classmethod
    def of(cls, box: "int | Sides | Box") -> "Box":
        """``3`` is [−1, 1]³; ``[(0, 1), (-2, 2)]`` gives every side.

        Raises:
            ValueError: no dimension, or a side without length.
        """
        if isinstance(box, Box):
            return box
        if isinstance(box, int):
            if isinstance(box, bool) or box < 1:
                raise ValueError(f"A box has at least one dimension, got {box}.")
            return cls(-np.ones(box), np.ones(box))
        sides = np.asarray(box, dtype=float)
        if sides.ndim != 2 or sides.shape[1] != 2 or not len(sides):
            raise ValueError(f"box is a dimension or one pair (low, high) per weight, got {box!r}.")
        if not (np.isfinite(sides).all() and (sides[:, 0] < sides[:, 1]).all()):
            raise ValueError(f"Each side of a box is (low, high) with low < high, got {box!r}.")
        return cls(sides[:, 0].copy(), sides[:, 1].copy())

    @property
    def dim(self) -> int:
        return len(self.lower)

    @property
    def log_volume(self) -> float:
        return float(np.log(self.upper - self.lower).sum())

    def points(self, rng: np.random.Generator, *shape: int) -> Float[np.ndarray, "*shape dim"]:
        """Uniform draws."""
        return self.lower + (self.upper - self.lower) * rng.random((*shape, self.dim))

    def to_list(self) -> list[list[float]]:
        """One pair per weight."""
        return [[float(a), float(b)] for a, b in zip(self.lower, self.upper, strict=True)]


def loss_on(loss: "str | Loss", box: "int | Sides | Box | None") -> tuple[Loss, Box]:
    """A loss and its box, checked: the loss takes points (…, dim) and returns finite values (…).

    Args:
        loss: a formula, or a function of an array of points whose last axis is the weights.
        box: a :class:`Box` or what :meth:`Box.of` takes; None is [−1, 1] for each variable of a formula.

    Raises:
        ValueError: a function without a box, a box of another dimension, values that are not finite numbers of
            the right shape.
    """
    if isinstance(loss, str):
        loss = expression(loss)
    if isinstance(loss, Expression):
        box = len(loss.names) if box is None else box
        found = Box.of(box)
        if found.dim != len(loss.names):
            raise ValueError(
                f"The box has {found.dim} sides, the formula {len(loss.names)} variables: "
                f"{', '.join(loss.names)}."
            )
    elif not callable(loss):
        raise TypeError(f"A loss is a formula or a function of points, got {type(loss).__name__}.")
    elif box is None:
        raise ValueError("A loss given as a function needs a box: its dimension, or its sides.")
    else:
        found = Box.of(box)
    points = found.points(np.random.default_rng(0), 64)
    with np.errstate(all="ignore"):
        values = np.asarray(_checked(loss(points)))
    if values.shape != (64,):
        raise ValueError(
            f"A loss takes points (…, {found.dim}) and returns (…): for 64 points it returned an array "
            f"of shape {values.shape}."
        )
    if np.isnan(values).any() or not np.isfinite(values).any():
        raise ValueError("The loss is not a number at some point of the box.")
    return loss, found


def _checked(values: Any) -> Any:
    if isinstance(values, str) or not np.issubdtype(np.asarray(values).dtype, np.floating):
        kind = type(values).__name__ if isinstance(values, str) else np.asarray(values).dtype
        raise TypeError(f"A loss returns floating-point numbers, got {kind}.")
    return values


def lowest(loss: Loss, box: Box, rng: np.random.Generator) -> float:
    """L_min on the box: 0 if the loss comes that near to 0 and never below, else what a descent finds.

    A minimum that is not 0 is known to about 1e-16 of itself, so that ε cannot be smaller than that.
    """
    from scipy.optimize import minimize

    points = box.points(rng, 4096)
    values = np.asarray(loss(points))
    starts = points[np.argsort(values)[:8]]
    bounds = list(zip(box.lower, box.upper, strict=True))
    best = float(values.min())
    for start in starts:
        found = minimize(lambda w: float(loss(w[None])[0]), start, bounds=bounds, method="L-BFGS-B")
        if math.isfinite(found.fun):
            best = min(best, float(found.fun))
    typical = float(np.median(np.abs(values[np.isfinite(values)])))
    if -1e-14 * typical <= best <= 1e-6 * typical:
        return 0.0
    return best
