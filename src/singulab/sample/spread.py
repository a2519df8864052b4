"""Flat directions filled at once: displacements from w* stretched until the virial is 1.

In equilibrium E[δ·∇U]/d = 1. Steep directions get there in a few steps. What is missing from 1, beyond what
gradient noise adds, is the tether's part γE|δ|²/d of flat directions, which diffusion alone would take the longest
part of a run to fill. A stretch is an approximation that warm-up forgets, not a move of the chains' law.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from singulab.potential import LocalPotential

LARGEST = 1.5  # factor of the radius between two segments
_WALL = 20.0  # times the energy before it, that a stretch may lead up to
_HALVINGS = 3  # of the factor's logarithm, where it leads higher


def wanted(potential: LocalPotential, virial: float, radius_squared: float, heat: float) -> float:
    """The factor of all displacements that would make the virial 1, between 1/``LARGEST`` and ``LARGEST``.

    Args:
        potential: U.
        virial: mean of δ·∇U/d.
        radius_squared: mean of |δ|².
        heat: mean of what gradient noise adds to the energy, which it adds to the virial twice over d.
    """
    held = potential.localization * radius_squared / potential.dim
    if not held > 0:
        return 1.0
    square = 1 + (1 - virial + 2 * heat / potential.dim) / held
    if not math.isfinite(square):
        return 1.0
    return math.sqrt(min(max(square, LARGEST**-2), LARGEST**2))


def stretch(
    potential: LocalPotential,
    position: Float[Tensor, "chain dim"],
    factor: float,
    level: float,
    feed: Callable[..., Any],
    groups: list[list[int]],
    *,
    step: int,
) -> tuple[Float[Tensor, "chain dim"], float, float]:
    """Displacements times the factor, or as much of it as does not lead up walls.

    Args:
        potential: U.
        position: where the chains stand.
        factor: wanted; its root is tried if the mean energy of the chains would grow beyond 4·``level``,
            then the root of that, and so on.
        level: mean energy nβ·(L − L*) that the chains had.
        feed: minibatches.
        groups: chains that are evaluated together.
        step: address of the minibatch.

    Returns:
        Positions, the factor taken, and the gradient units it cost.
    """
    cost = 0.0
    for _ in range(1 + _HALVINGS):
        moved = potential.center + factor * (position - potential.center)
        if factor <= 1:
            return moved, factor, cost
        excess = [potential.evaluate(moved[g], feed(g, step), gap=False).excess for g in groups]
        cost += len(position) * potential.landscape.cost
        if potential.nbeta * float(torch.cat(excess).mean()) <= _WALL * level:
            return moved, factor, cost
        factor = math.sqrt(factor)
    return position, 1.0, cost
