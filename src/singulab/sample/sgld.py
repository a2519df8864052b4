"""Stochastic gradient Langevin dynamics (SGLD).

One step of size ε from w to w', with a fresh minibatch B and ξ ~ N(0, 1):

    w' = w − (ε/2) S Sᵀ ∇U_B(w) + √ε S ξ

On a quadratic U = a w²/2 (S = 1) the stationary variance is 1/(a(1 − εa/4)): too large at every ε, and
unstable from εa = 4. With gradient noise of variance s² the injected ε becomes ε + ε²s²/4.

Source: Welling & Teh (2011), ICML; localised as in Lau et al. (2023), arXiv:2308.12108.
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


@dataclass(frozen=True, kw_only=True)
class SGLD:
    """The Euler step above; biased by its step size and by gradient noise."""

    step_size: float | Sequence[float]  # ε, in squared weight units; one for all chains or one each
    preconditioner: Preconditioner = field(default_factory=Identity)
    name: str = "sgld"
    biased: str | None = "a finite step and gradient noise both push λ̂ up"

    def init(self, position: Float[Tensor, "chain dim"], target: Target) -> State:
        return State(position)

    def step(self, state: State, target: Target) -> tuple[State, Info]:
        """Move once; ``info`` belongs to the position that the step leaves."""
        w, s = state.position, self.preconditioner
        evaluation = target.evaluate(w)
        step = target.column(self.step_size, w)
        z = s.transpose(evaluation.gradient).mul_(-0.5 * root(step)).add_(target.normal())
        return State(s.move(w, z.mul_(root(step)))), Info(w, evaluation)
