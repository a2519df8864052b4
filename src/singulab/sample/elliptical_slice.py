"""Elliptical slice sampling: exact, without gradient, step or tuning, for a few weights.

The tether is a Gaussian. With ν ~ N(0, 1/γ) the ellipse

    w(θ) = w* + (w − w*)·cos θ + ν·sin θ

keeps its law, so a point on it needs to be accepted by the loss alone. A level nβL(w) + E is drawn, E ~ Exp(1),
then angles: the first from the whole turn, each further one from a bracket that shrinks towards θ = 0, until
one lies below the level. Walls cost a shrinking and flat valleys nothing, where a leapfrog step would have to
resolve the steepest wall of all chains. Along a valley a draw moves about as far as it is wide, or at times
across, so it suits few weights and valleys that are not too narrow.

Source: Murray, Adams & MacKay (2010), AISTATS, arXiv:1001.0175.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from singulab.potential import Evaluation
from singulab.sample.kernel import Info, Target

_ANGLES = 100  # after so many the bracket is below the rounding of w


class State(NamedTuple):
    """What the next step needs."""

    position: Float[Tensor, "chain dim"]
    gradient: Float[Tensor, "chain dim"]  # ∇U at the position
    excess: Float[Tensor, " chain"]  # L − L(w*) there


@dataclass(frozen=True, kw_only=True)
class EllipticalSlice:
    """The move above; it has no step size, and takes none but 1."""

    step_size: float | Sequence[float] = 1.0
    name: str = "elliptical_slice"
    biased: str | None = None

    def __post_init__(self) -> None:
        if self.step_size != 1.0:
            raise ValueError(
                f"elliptical_slice has no step size; leave it out, got {self.step_size}."
            )

    def init(self, position: Float[Tensor, "chain dim"], target: Target) -> State:
        if target.potential.localization <= 0:
            raise ValueError("elliptical_slice needs a tether: give localization > 0.")
        evaluation = target.evaluate_full(position)
        return State(position, evaluation.gradient, evaluation.excess)

    def step(self, state: State, target: Target) -> tuple[State, Info]:
        """One accepted point per chain; chains that have theirs are not evaluated again."""
        potential = target.potential
        start = state.position - potential.center
        across = target.normal() / math.sqrt(potential.localization)
        uniforms = target.uniforms(1 + _ANGLES).to(start)
        level = potential.nbeta * state.excess - uniforms[:, 0].log()
        angle = 2 * math.pi * uniforms[:, 1]
        low, high = angle - 2 * math.pi, angle.clone()
        position, gradient, excess = (part.clone() for part in state)
        left = torch.arange(len(start), device=start.device)
        for draw in range(2, 1 + _ANGLES):
            turn = angle[left].unsqueeze(1)
            proposal = potential.center + start[left] * turn.cos() + across[left] * turn.sin()
            there, cost = potential.evaluate_full(proposal)
            target.cost += cost * len(left)
            below = potential.nbeta * there.excess <= level[left]
            done = left[below]
            position[done], gradient[done] = proposal[below], there.gradient[below]
            excess[done] = there.excess[below]
            left = left[~below]
            if not len(left):
                break
            missed = angle[left]
            low[left] = torch.where(missed < 0, missed, low[left])
            high[left] = torch.where(missed < 0, high[left], missed)
            angle[left] = low[left] + (high[left] - low[left]) * uniforms[left, draw]
        displacement = position - potential.center
        seen = Evaluation(gradient, excess, excess.unsqueeze(1), None, displacement)
        always = torch.ones_like(excess)
        return State(position, gradient, excess), Info(position, seen, always)
