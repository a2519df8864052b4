"""Stochastic gradient Nosé–Hoover thermostat (SGNHT), as a symmetric splitting.

Beside position w and velocity v there is one friction ξ per chain, which absorbs gradient noise that is
the same in every direction. With dt = √ε and injected noise A:

    v ← v − dt ∇U_B(w);  w ← w + dt/2 v;  ξ ← ξ + dt/2 (|v|²/d − 1)
    v ← e^{−ξ dt} v + √(A (1 − e^{−2ξ dt})/ξ) η;   ξ ← ξ + dt/2 (|v|²/d − 1);  w ← w + dt/2 v

A scalar friction cannot undo noise that differs between directions, and a network's does: the result then
stays biased.

Source: Ding et al. (2014), NeurIPS; splitting of Leimkuhler & Shang (2016), arXiv:1505.06889.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from singulab.sample.kernel import Info, Target, root


class State(NamedTuple):
    """What the next step needs."""

    position: Float[Tensor, "chain dim"]
    velocity: Float[Tensor, "chain dim"]
    friction: Float[Tensor, "chain one"]  # ξ


@dataclass(frozen=True, kw_only=True)
class SGNHT:
    """The step above; biased by gradient noise that is not isotropic."""

    step_size: float | Sequence[float]  # ε = dt², in squared weight units
    injected: float = 1.0  # A, in 1/dt units: friction of the noiseless law
    name: str = "sgnht"
    biased: str | None = "one friction cannot absorb gradient noise that differs between directions"

    def init(self, position: Float[Tensor, "chain dim"], target: Target) -> State:
        friction = torch.full_like(position[:, :1], self.injected)
        return State(position, target.start(), friction)

    def step(self, state: State, target: Target) -> tuple[State, Info]:
        """Move once; ``info`` belongs to the position that the step leaves."""
        w, v, friction = state
        evaluation = target.evaluate(w)
        dt = root(target.column(self.step_size, w))
        v = v - dt * evaluation.gradient
        moved = w + (0.5 * dt) * v
        friction = friction + (0.5 * dt) * (_heat(v, target) - 1)
        # (1 − e^{−2ξdt})/ξ → 2dt as ξ → 0, and stays positive for ξ < 0
        safe = torch.where(friction.abs() < 1e-6, torch.full_like(friction, 1e-6), friction)
        spread = (self.injected * -torch.expm1(-2 * safe * dt) / safe).sqrt()
        v = torch.exp(-safe * dt) * v + spread * target.normal()
        friction = friction + (0.5 * dt) * (_heat(v, target) - 1)
        return State(moved + (0.5 * dt) * v, v, friction), Info(w, evaluation)


def _heat(velocity: Float[Tensor, "chain dim"], target: Target) -> Float[Tensor, "chain one"]:
    """Mean of v² over all weights, 1 in equilibrium."""
    return target.total(velocity.square().sum(1, keepdim=True)) / target.potential.dim
