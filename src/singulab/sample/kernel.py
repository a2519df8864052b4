"""What a kernel is: ``init`` and ``step`` on a small state.

A kernel is a frozen set of knobs with two pure functions. ``init`` makes the state of all chains from
their positions; ``step`` moves them once and says what it saw on the way. Kernels see the posterior only
through a :class:`Target`, so they know nothing of models, data or generators. They never raise on NaN and
never look at a number on the host.

All steps are in units of SGLD's ε: drift ε/2, noise √ε. A preconditioner S (see
:mod:`singulab.sample.precondition`) turns ∇U into S Sᵀ∇U and ξ into Sξ.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from singulab.potential import Evaluation, LocalPotential
from singulab.rng import Noise, Purpose, generator, uniform
from singulab.sample.compiled import CompiledEvaluation


class Info(NamedTuple):
    """What a step saw."""

    position: Float[Tensor, "chain dim"]  # where ``evaluation`` was made
    evaluation: Evaluation
    acceptance: Float[Tensor, " chain"] | None = None  # probability of the proposed move


class Target:
    """The posterior as some chains see it at one step.

    Args:
        potential: U.
        chains: the chains that move.
        step: how often they have moved before.
        seed: the run's seed.
        noise: normal numbers by chain and step.
        start: another such stream, for velocities that a kernel starts with.
        batch: makes the minibatches of these chains; called once, and only if a kernel wants a noisy gradient.
        compiled: evaluates U on the same minibatches, instead of the potential.
        gap: whether to measure the gradient noise between the halves of a minibatch.
        control: whether to take off the noise that a gradient has at w*.
    """

    def __init__(
        self,
        potential: LocalPotential,
        chains: Sequence[int],
        step: int,
        *,
        seed: int,
        noise: Noise,
        start: Noise,
        batch: Callable[[Sequence[int], int], Any],
        compiled: CompiledEvaluation | None,
        gap: bool,
        control: bool,
    ) -> None:
        self.potential, self.chains, self.step = potential, chains, step
        self._gap, self._control = gap, control
        self.cost = 0.0  # gradient units spent by these chains so far
        self._seed, self._noise, self._start = seed, noise, start
        self._batch, self._compiled = batch, compiled

    def evaluate(self, position: Float[Tensor, "chain dim"]) -> Evaluation:
        """∇U on a fresh minibatch of each chain."""
        gradients = 2 if self._control else 1
        self.cost += gradients * self.potential.landscape.cost * len(self.chains)
        if self._compiled is not None:
            return self._compiled(
                position, self.chains, self.step, gap=self._gap, control=self._control
            )
        batch = self._batch(self.chains, self.step)
        return self.potential.evaluate(position, batch, gap=self._gap, control=self._control)

    def evaluate_full(self, position: Float[Tensor, "chain dim"]) -> Evaluation:
        """∇U on all data."""
        evaluation, cost = self.potential.evaluate_full(position)
        self.cost += cost * len(self.chains)
        return evaluation

    def total(self, part: Tensor) -> Tensor:
        """A sum over all weights, from the sum over those that lie in this process."""
        return self.potential.total(part)

    def normal(self) -> Float[Tensor, "chain dim"]:
        """The step's N(0, 1) numbers; the same however often it is called."""
        return self._noise.normal(self.chains, self.step)

    def start(self) -> Float[Tensor, "chain dim"]:
        """N(0, 1) numbers for ``init``, independent of every step's."""
        return self._start.normal(self.chains, self.step)

    def uniform(self) -> Float[Tensor, " chain"]:
        """One U(0, 1) number per chain, for an accept test."""
        return uniform(self._seed, Purpose.ACCEPT, self.chains, self.step)

    def uniforms(self, count: int) -> Float[Tensor, "chain count"]:
        """Several U(0, 1) numbers per chain, in float64; each chain has its place in one stream."""
        random = generator(self._seed, Purpose.SLICE, self.step)
        drawn = random.random((max(self.chains) + 1, count))
        return torch.from_numpy(drawn)[list(self.chains)]

    def shared_uniform(self) -> float:
        """One U(0, 1) number that all chains share at this step (trajectory lengths)."""
        return float(uniform(self._seed, Purpose.TRAJECTORY, [0], self.step))

    def column(self, value: float | Sequence[float], like: Tensor) -> Tensor | float:
        """A per-chain knob as a column for (chain, dim) arithmetic."""
        if isinstance(value, int | float):
            return float(value)
        if len(self.chains) == 1:
            return float(value[self.chains[0]])
        return column(value, self.chains, like).unsqueeze(1)


def column(
    value: Sequence[float], chains: Sequence[int], like: Float[Tensor, "*any"]
) -> Float[Tensor, " chain"]:
    """The knobs of some chains as a tensor beside ``like``."""
    return _column(tuple(value), tuple(chains), like.dtype, like.device)


@lru_cache(maxsize=64)
def _column(
    value: tuple[float, ...], chains: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    return torch.tensor([value[chain] for chain in chains], dtype=dtype, device=device)


@runtime_checkable
class Kernel(Protocol):
    """``init`` and ``step``; ``name`` appears in traces, ``biased`` says why not to trust the result."""

    @property
    def name(self) -> str:
        """How the kernel is called in traces and settings."""

    @property
    def biased(self) -> str | None:
        """Why its law is wrong, if it is."""

    @property
    def step_size(self) -> float | Sequence[float]:
        """ε, one for all chains or one each."""

    def init(self, position: Float[Tensor, "chain dim"], target: Target) -> Any:
        """The state of chains that start at ``position``."""

    def step(self, state: Any, target: Target) -> tuple[Any, Info]:
        """Move every chain once."""


def root(step: Tensor | float) -> Tensor | float:
    """√ε for a number or a column."""
    return step.sqrt() if isinstance(step, Tensor) else step**0.5
