"""Polishing: from where a model stands down to the minimum of exactly the loss that is measured."""

import copy
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from singulab.measure import untouched_random_state
from singulab.params import Params, Weights
from singulab.potential import LocalPotential
from singulab.sample.plan import Progress

Vector = Float[Tensor, " dim"]

DEFAULT_PASSES = 500  # over all data, where no budget is given
MEMORY = 20  # steps whose curvature is remembered
PATIENCE = 10  # steps that together must gain more than the tolerance
_ARMIJO = 1e-4  # least share of the promised gain that a step must bring
_SHORTEST = 2.0**-20  # of a step, before the line search gives up
_NOTHING = 1e-3  # share of the tolerance below which a promised gain is rounding
_PROBE = 1e-3  # length of the first difference, relative to |w|


@dataclass(frozen=True, kw_only=True)
class Polished:
    """A minimum near w*, and how far it was."""

    model: nn.Module | None  # a copy that stands there; None for a loss given as a function
    weights: Params  # the weights there, by name
    loss_drop: float  # L_n(w*) − L_n(there), nats per datum; never negative
    energy_drop: float  # nβ times that, to be compared with λ̂
    distance: float  # |there − w*|
    relative_distance: float | None  # divided by |w*|; None if w* = 0
    converged: bool  # False: the budget ended, or rounding stopped it, while it still went down
    num_steps: int
    gradients: dict[str, float] = field(
        default_factory=dict
    )  # gradient units by purpose, and "total"

    def __str__(self) -> str:
        relative = (
            "" if self.relative_distance is None else f" ({self.relative_distance:.2%} of |w*|)"
        )
        return (
            f"polished [{'converged' if self.converged else 'NOT converged'}]: "
            f"loss drop {self.loss_drop:.4g} nats per datum, nβ·drop {self.energy_drop:.4g}, "
            f"distance {self.distance:.4g}{relative}, {self.gradients['total']:.0f} gradient units"
        )


def polish(
    model: nn.Module | LocalPotential,
    data: Any = None,
    loss: Any = "cross_entropy",
    *,
    weights: Weights = None,
    nbeta: float | None = None,
    tolerance: float = 0.01,
    batch_size: int | None = None,
    max_gradients: float | None = None,
    device: torch.device | str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Polished:
    """Walk downhill on all data until nothing is left to gain, and say how far that was.

    λ̂ with ``labels="data"`` belongs to a minimum of L_n. A network that was trained with weight decay,
    dropout, augmentation or too short stands beside one. This goes there by L-BFGS with a line search on the
    exact L_n, a pass over all data per step, so no minibatch noise is in it. It ends when ten steps
    together gained less than ``tolerance`` nats of nβ·L_n: directions flatter than that do not change λ̂,
    and going on would only lead away along them.

    What a careful reader would get wrong: the polished model is another model. λ̂ there is a property of the
    basin, not of the checkpoint; quote ``energy_drop`` and ``distance`` beside it, and prefer
    ``labels="model"`` where the checkpoint itself is the question. A saddle whose gradient is zero is left as it is.

    Args:
        model: a module, which is not changed; or a :class:`LocalPotential`, without data, loss, weights and
            nbeta. Its tether plays no part.
        data: see :func:`singulab.measure`; of stable order, so no stream.
        loss: see :func:`singulab.measure`.
        weights: what moves; see :func:`singulab.measure`.
        nbeta: n·β, in which the tolerance is measured; default n/log n.
        tolerance: nats of nβ·L_n that ten steps must gain to go on.
        batch_size: rows per chunk of a pass.
        max_gradients: budget in gradient units; default 500 passes over the data.
        device: where to compute; default where the model is.
        on_progress: called after each step.

    Returns:
        A copy of the model at the minimum, with the drop, the distance and the cost. With ``converged=False``
        it is on the way.

    Raises:
        ValueError, TypeError: wrong arguments, data or loss.

    Source: Liu & Nocedal (1989), Math. Program. 45, for L-BFGS.

    Example:
        >>> square = lambda w: (w["x"] - 3).square().sum(1)
        >>> start = LocalPotential.from_function(square, {"x": torch.zeros(2)}, nbeta=100.0)
        >>> round(polish(start).loss_drop, 6)
        18.0
    """
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance must be positive and finite, got {tolerance}.")
    if max_gradients is not None and not max_gradients > 0:
        raise ValueError(f"max_gradients must be positive, got {max_gradients}.")
    if isinstance(model, LocalPotential):
        told = {"data": data, "weights": weights, "nbeta": nbeta, "batch_size": batch_size}
        given = [name for name, value in told.items() if value is not None]
        if given:
            raise ValueError(f"a LocalPotential fixes {', '.join(given)} itself; leave it out.")
    with untouched_random_state():
        if isinstance(model, LocalPotential):
            return _polished(model, None, _Knobs(tolerance, max_gradients, on_progress))
        potential = LocalPotential.of(
            model, data, loss, weights=weights, nbeta=nbeta, batch_size=batch_size, device=device
        )
        return _polished(potential, model, _Knobs(tolerance, max_gradients, on_progress))


class _Knobs(NamedTuple):
    tolerance: float
    max_gradients: float | None
    on_progress: Callable[[Progress], None] | None


def _polished(potential: LocalPotential, model: nn.Module | None, knobs: _Knobs) -> Polished:
    landscape = potential.landscape
    if landscape.sharded:
        raise ValueError("polish needs an unsharded model.")
    with landscape.ready():
        descent = _Descent(potential, knobs)
        converged = descent.run()
    center, there = potential.center, descent.position
    weights = {k: v.detach().clone() for k, v in landscape.selection.unflatten(there).items()}
    norm, distance = float(center.norm()), float((there - center).norm())
    return Polished(
        model=None if model is None else _copy(model, weights),
        weights=weights,
        loss_drop=-descent.excess,
        energy_drop=-potential.nbeta * descent.excess,
        distance=distance,
        relative_distance=None if norm == 0 else distance / norm,
        converged=converged,
        num_steps=descent.num_steps,
        gradients={
            "center": descent.preparation,
            "polish": descent.spent - descent.preparation,
            "total": descent.spent,
        },
    )


def _copy(model: nn.Module, weights: Params) -> nn.Module:
    """The model with other weights, as a module of its own."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])
    return twin


class _Descent:
    """L-BFGS with backtracking on L_n, from w*."""

    def __init__(self, potential: LocalPotential, knobs: _Knobs) -> None:
        self.potential, self.tolerance = potential, knobs.tolerance
        self.on_progress = knobs.on_progress
        self.preparation = float(getattr(potential.landscape, "preparation", 0.0))
        self.spent, self.num_steps = self.preparation, 0
        self.position = potential.center.clone()
        self.excess = 0.0  # L_n − L_n(w*)
        self.gradient, _, cost = self._at(self.position)
        most = knobs.max_gradients
        self.budget = DEFAULT_PASSES * cost if most is None else most
        self.pairs: deque[tuple[Vector, Vector]] = deque(maxlen=MEMORY)  # (step, gradient change)

    def run(self) -> bool:
        """Go down; True if there was nothing left to gain."""
        gains: deque[float] = deque(maxlen=PATIENCE)
        self._look_ahead()
        while self.spent < self.budget:
            before, direction = self.excess, self._direction()
            if self._promised(direction) <= _NOTHING * self.tolerance:
                return True
            if not self._step(direction):
                return self._promised(direction) <= self.tolerance
            gains.append(self.potential.nbeta * (before - self.excess))
            if len(gains) == PATIENCE and sum(gains) <= self.tolerance:
                return True
        return False

    def _at(self, position: Vector) -> tuple[Vector, float, float]:
        gradient, excess, cost = self.potential.landscape.full(
            position[None], self.potential.batch_size
        )
        self.spent += cost
        return gradient[0], float(excess[0]), cost

    def _look_ahead(self) -> None:
        """The curvature along the gradient, so that the first step already has a length."""
        size = float(self.gradient.norm())
        if size == 0 or not math.isfinite(size):
            return
        length = _PROBE * max(float(self.position.norm()), 1e-3) / size
        there, _, _ = self._at(self.position - length * self.gradient)
        self._remember(-length * self.gradient, there - self.gradient)

    def _step(self, direction: Vector) -> bool:
        """One step with a line search; False if no step goes down."""
        share = 1.0
        while share >= _SHORTEST and self.spent < self.budget:
            there = self.position + share * direction
            gradient, excess, _ = self._at(there)
            wanted = 2 * _ARMIJO * share * self._promised(direction) / self.potential.nbeta
            if math.isfinite(excess) and excess < self.excess - wanted:
                self._remember(share * direction, gradient - self.gradient)
                self.position, self.gradient, self.excess = there, gradient, excess
                self.num_steps += 1
                self._report()
                return True
            share /= 2 if share > 1 / 16 else 8
        return False

    def _promised(self, direction: Vector) -> float:
        """nβ·½|g·d|, the drop that a quadratic with this minimum would give."""
        return -0.5 * self.potential.nbeta * float(self.gradient @ direction)

    def _remember(self, step: Vector, change: Vector) -> None:
        """Keep a pair whose curvature is positive; others would turn the direction uphill."""
        curvature = float(step @ change)
        if curvature > 1e-10 * float(step.norm()) * float(change.norm()):
            self.pairs.append((step, change))

    def _direction(self) -> Vector:
        """−H⁻¹g with the curvature of the remembered steps, by the two-loop recursion."""
        direction = -self.gradient
        shares = []
        for step, change in reversed(self.pairs):
            share = (step @ direction) / (step @ change)
            direction = direction - share * change
            shares.append(share)
        if self.pairs:
            step, change = self.pairs[-1]
            direction = direction * ((step @ change) / (change @ change))
        for (step, change), share in zip(self.pairs, reversed(shares), strict=True):
            direction = direction + (share - (change @ direction) / (step @ change)) * step
        return direction

    def _report(self) -> None:
        if self.on_progress is not None:
            self.on_progress(
                Progress("polish", self.spent, self.budget, math.nan, math.nan, None, None)
            )
