"""Metropolis-adjusted Langevin algorithm (MALA): SGLD's move on all data, accepted or refused.

Proposal w' = w − (ε/2) S Sᵀ∇U(w) + √ε S ξ, accepted with probability min(1, r), where

    log r = U(w) − U(w') − (|ξ'|² − |ξ|²)/2,   ξ' = (S⁻¹(w − w') + (ε/2) Sᵀ∇U(w'))/√ε.

Exact at every step size; each step needs the gradient on all data.

Source: Roberts & Tweedie (1996), Bernoulli 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from singulab.potential import Evaluation
from singulab.sample.kernel import Info, Target, root
from singulab.sample.precondition import Identity, Preconditioner


class State(NamedTuple):
    """What the next step needs."""

    position: Float[Tensor, "chain dim"]
    gradient: Float[Tensor, "chain dim"]  # ∇U at the position
    excess: Float[Tensor, " chain"]  # L − L(w*) there


@dataclass(frozen=True, kw_only=True)
class MALA:
    """The accepted move above."""

    step_size: float | Sequence[float]  # ε, in squared weight units
    preconditioner: Preconditioner = field(default_factory=Identity)
    name: str = "mala"
    biased: str | None = None

    def init(self, position: Float[Tensor, "chain dim"], target: Target) -> State:
        evaluation = target.evaluate_full(position)
        return State(position, evaluation.gradient, evaluation.excess)

    def step(self, state: State, target: Target) -> tuple[State, Info]:
        """Propose and decide; ``info`` belongs to the position that the step arrives at."""
        w, s = state.position, self.preconditioner
        step = target.column(self.step_size, w)
        noise = target.normal()
        z = root(step) * noise - (0.5 * step) * s.transpose(state.gradient)
        proposal = s.move(w, z)
        there = target.evaluate_full(proposal)
        back = (-z + (0.5 * step) * s.transpose(there.gradient)) / root(step)
        energy = target.potential.energy
        log_ratio = (
            energy(w, state.excess)
            - energy(proposal, there.excess)
            - 0.5 * target.total(back.square().sum(1) - noise.square().sum(1))
        )
        acceptance = log_ratio.double().exp().clamp(max=1.0).nan_to_num(0.0)
        return accept(state, proposal, there, acceptance, target)


def accept(
    state: State, proposal: Tensor, there: Evaluation, acceptance: Tensor, target: Target
) -> tuple[State, Info]:
    """Move each chain to its proposal with its probability, else leave it."""
    moves = target.uniform().to(acceptance.device) < acceptance
    row = moves.unsqueeze(1)
    position = torch.where(row, proposal, state.position)
    gradient = torch.where(row, there.gradient, state.gradient)
    excess = torch.where(moves, there.excess, state.excess)
    displacement = position - target.potential.center
    seen = Evaluation(gradient, excess, excess.unsqueeze(1), None, displacement)
    return State(position, gradient, excess), Info(position, seen, acceptance)
