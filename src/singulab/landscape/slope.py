"""What the potential and the samplers ask of a loss: its excess over w* and its gradient, chain by chain."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from singulab.params import Selection
from singulab.rng import Noise, Purpose


class Slope(NamedTuple):
    """What one evaluation of a landscape gives; ``half`` has 2 entries, or 1 where halves mean nothing."""

    gradient: Float[Tensor, "chain part dim"]  # ∇L on each half of the batch, or on the whole batch
    excess: Float[Tensor, "chain half"]  # L − L(w*) on each half, nats per datum
    linear_noise: Float[Tensor, " chain"] | None = None  # (g_B(w*) − g_n(w*))·(w − w*), where known


@runtime_checkable
class Landscape(Protocol):
    """What the potential and the samplers ask of a loss."""

    dim: int
    center: Float[Tensor, " dim"]
    center_loss: float  # L_n(w*), nats per datum; NaN where only differences are known
    selection: Selection
    components: tuple[str, ...]
    offsets: tuple[int, ...]  # start of each component in the flat vector of all weights
    num_data: int | None
    unit: str
    quantity: str
    cost: float  # gradient units of one ``slope`` for one chain
    sharded: bool  # whether the weights are spread over processes

    def ready(self) -> AbstractContextManager[None]:
        """A context in which evaluations leave no trace on the model."""

    def noise_factor(self, batch_size: int | None) -> float:
        """1 − B/n: the part of the half-batch variance that is noise of the mean; 0 = exact gradients."""

    def feed(
        self, *, seed: int, num_chains: int, batch_size: int | None, purpose: Purpose
    ) -> Callable[[Sequence[int], int], Any]:
        """Minibatches by chains and step."""

    def slope(
        self, position: Tensor, batch: Any, *, halves: bool = True, control: bool = False
    ) -> Slope:
        """Excess loss on each half of one minibatch per chain; the gradient by halves, or of the whole.

        ``control`` takes off the noise that the gradient has at w*.
        """

    def full(self, position: Tensor, batch_size: int | None) -> tuple[Tensor, Tensor, float]:
        """Gradient and excess loss on all data, and what it cost per chain."""

    def fingerprints(self) -> dict[str, str]:
        """Sha256 of weights, data and loss."""

    def noise(self, seed: int, purpose: Purpose) -> Noise:
        """Normal numbers for the weights that lie in this process."""

    def total(self, part: Tensor) -> Tensor:
        """A sum over all weights, from the sum over those that lie in this process."""

    def largest(self, part: Tensor) -> Tensor:
        """The largest number of all weights, from those that lie in this process."""


class Whole:
    """What a landscape does whose weights all lie in this process."""

    sharded = False
    dim: int
    center: Float[Tensor, " dim"]

    def noise(self, seed: int, purpose: Purpose) -> Noise:
        center = self.center
        return Noise(seed, self.dim, dtype=center.dtype, device=center.device, purpose=purpose)

    def total(self, part: Tensor) -> Tensor:
        return part

    def largest(self, part: Tensor) -> Tensor:
        return torch.max(part)
