"""The Leimkuhler–Matthews step: Langevin dynamics with the average of two successive noises.

    w' = w − (ε/2) S Sᵀ ∇U_B(w) + (√ε/2) S (ξ_t + ξ_{t+1})

It costs what SGLD costs, and its stationary law is exact on quadratics at every stable step, εa < 4. It is
the high-friction limit of BAOAB.

Source: Leimkuhler & Matthews (2013), Appl. Math. Res. Express.
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
    noise: Float[Tensor, "chain dim"]  # ξ_t, used again by the next step


@dataclass(frozen=True, kw_only=True)
class LeimkuhlerMatthews:
    """The step above; biased by gradient noise alone."""

    step_size: float | Sequence[float]  # ε, in squared weight units; one for all chains or one each
    preconditioner: Preconditioner = field(default_factory=Identity)
    name: str = "leimkuhler_matthews"
    biased: str | None = None

    def init(self, position: Float[Tensor, "chain dim"], target: Target) -> State:
        return State(position, target.start())

    def step(self, state: State, target: Target) -> tuple[State, Info]:
        """Move once; ``info`` belongs to the position that the step leaves."""
        w, s = state.position, self.preconditioner
        evaluation = target.evaluate(w)
        step = target.column(self.step_size, w)
        noise = target.normal()
        z = s.transpose(evaluation.gradient).mul_(-root(step)).add_(state.noise).add_(noise)
        return State(s.move(w, z.mul_(0.5 * root(step))), noise), Info(w, evaluation)
