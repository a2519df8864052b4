"""Hamiltonian Monte Carlo (HMC) on all data: the exact sampler that makes gold values.

A fresh velocity v ~ N(0, 1), then leapfrog steps of size dt = √ε in preconditioned coordinates,

    v ← v − (dt/2) Sᵀ∇U(w);   w ← w + dt·S v;   v ← v − (dt/2) Sᵀ∇U(w),

and the end is accepted with probability min(1, exp(H_start − H_end)), H = U + |v|²/2. The number of
leapfrog steps is drawn uniformly from ½ to 3/2 of ``num_leapfrog``, so that no trajectory length resonates.

Source: Duane et al. (1987), Phys. Lett. B 195; Neal (2011), arXiv:1206.1901.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from singulab.sample.kernel import Info, Target, root
from singulab.sample.mala import State, accept
from singulab.sample.precondition import Identity, Preconditioner


@dataclass(frozen=True, kw_only=True)
class HMC:
    """The accepted trajectory above."""

    step_size: float | Sequence[float]  # ε = dt², in squared weight units
    num_leapfrog: int = 32  # mean number of leapfrog steps of a trajectory
    preconditioner: Preconditioner = field(default_factory=Identity)
    name: str = "hmc"
    biased: str | None = None

    def __post_init__(self) -> None:
        if self.num_leapfrog < 1:
            raise ValueError(f"num_leapfrog must be at least 1, got {self.num_leapfrog}.")

    def init(self, position: Float[Tensor, "chain dim"], target: Target) -> State:
        evaluation = target.evaluate_full(position)
        return State(position, evaluation.gradient, evaluation.excess)

    def step(self, state: State, target: Target) -> tuple[State, Info]:
        """One trajectory; ``info`` belongs to the position that the step arrives at."""
        w, s = state.position, self.preconditioner
        dt = root(target.column(self.step_size, w))
        start = target.normal()
        length = max(1, round(self.num_leapfrog * (0.5 + target.shared_uniform())))
        velocity = start - (0.5 * dt) * s.transpose(state.gradient)
        for leap in range(length):
            w = s.move(w, dt * velocity)
            there = target.evaluate_full(w)
            kick = 0.5 * dt if leap == length - 1 else dt
            velocity = velocity - kick * s.transpose(there.gradient)
        energy = target.potential.energy
        change = (
            energy(state.position, state.excess)
            - energy(w, there.excess)
            + 0.5 * target.total(start.square().sum(1) - velocity.square().sum(1))
        )
        acceptance = change.double().exp().clamp(max=1.0).nan_to_num(0.0)
        return accept(state, w, there, acceptance, target)
