"""SGLD preconditioned by RMSprop, frozen after a while.

While adapting, v ← α v + (1 − α) g² with g = ∇L_B, and the step is SGLD's with S² = 1/(√v + ω). The law is
right only once v is frozen: a preconditioner that keeps following the gradient lacks the divergence term,
and its error *grows* as the step shrinks. ``adapt_steps=None`` never freezes, for comparison with programs
that do so.

Source: Li et al. (2016), arXiv:1512.07666; Hitchcock & Hoogland (2025), arXiv:2507.21449.
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
    square: Float[Tensor, "chain dim"]  # v


@dataclass(frozen=True, kw_only=True)
class RMSpropSGLD:
    """RMSprop-SGLD; with ``adapt_steps=None`` it is biased at every step size."""

    step_size: float | Sequence[float]  # ε, in squared weight units
    adapt_steps: int | None = 200  # steps after which v is frozen; None = never
    decay: float = 0.99  # α
    floor: float = 0.1  # ω, added to √v
    name: str = "rmsprop_sgld"

    @property
    def biased(self) -> str | None:
        if self.adapt_steps is None:
            return "the preconditioner never stops adapting, so the chain samples another law"
        return "a finite step and gradient noise both push λ̂ up"

    def init(self, position: Float[Tensor, "chain dim"], target: Target) -> State:
        return State(position, torch.ones_like(position))

    def step(self, state: State, target: Target) -> tuple[State, Info]:
        """Move once; ``info`` belongs to the position that the step leaves."""
        w, square = state
        evaluation = target.evaluate(w)
        if self.adapt_steps is None or target.step < self.adapt_steps:
            tether = target.potential.localization * (w - target.potential.center)
            gradient = (evaluation.gradient - tether) / target.potential.nbeta
            square = self.decay * square + (1 - self.decay) * gradient.square()
        metric = 1 / (square.sqrt() + self.floor)
        step = target.column(self.step_size, w)
        moved = (
            w
            - (0.5 * step) * metric * evaluation.gradient
            + root(step) * metric.sqrt() * target.normal()
        )
        return State(moved, square), Info(w, evaluation)
