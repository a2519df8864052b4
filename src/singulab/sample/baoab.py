"""BAOAB: underdamped Langevin dynamics, one gradient a step.

With dt = √ε, velocity v in preconditioned coordinates and 0 ≤ a < 1 (a = exp(−friction·dt)):

    v ← v − dt·Sᵀ∇U_B(w);   w ← w + (dt/2) S v;   v ← a·v + √(1 − a²) ξ;   w ← w + (dt/2) S v

The positions' stationary law is exact on quadratics while ε·a_max < 4. At a = 0 it is the
Leimkuhler–Matthews step. Gradient noise heats it (1 + a)/(1 − a) times more than the overdamped step.

Source: Leimkuhler & Matthews (2013), J. Chem. Phys. 138, 174102.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from singulab.sample.kernel import Info, Target, root
from singulab.sample.precondition import Identity, Preconditioner


class State(NamedTuple):
    """What the next step needs."""

    position: Float[Tensor, "chain dim"]
    velocity: Float[Tensor, "chain dim"]


@dataclass(frozen=True, kw_only=True)
class BAOAB:
    """The step above; biased by gradient noise alone."""

    step_size: float | Sequence[float]  # ε, in squared weight units; one for all chains or one each
    memory: float = 0.8  # a: share of the velocity that survives a step, 0 ≤ a < 1
    preconditioner: Preconditioner = field(default_factory=Identity)
    name: str = "baoab"
    biased: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.memory < 1:
            raise ValueError(f"memory must lie in [0, 1), got {self.memory}.")

    def init(self, position: Float[Tensor, "chain dim"], target: Target) -> State:
        return State(position, target.start())

    def step(self, state: State, target: Target) -> tuple[State, Info]:
        """Move once; ``info`` belongs to the position that the step leaves."""
        w, s = state.position, self.preconditioner
        evaluation = target.evaluate(w)
        dt = root(target.column(self.step_size, w))
        kicked = s.transpose(evaluation.gradient).mul_(-dt).add_(state.velocity)
        velocity = self.memory * kicked
        velocity.add_(target.normal(), alpha=(1 - self.memory**2) ** 0.5)
        z = kicked.add_(velocity).mul_(0.5 * dt)
        return State(s.move(w, z), velocity), Info(w, evaluation)
