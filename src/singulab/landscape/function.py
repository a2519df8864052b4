"""A loss given as a function of the weights: exact, without data."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from singulab.fingerprint import fingerprint
from singulab.landscape.slope import Slope, Whole
from singulab.params import Params, Selection
from singulab.rng import Purpose


class FunctionLandscape(Whole):
    """A loss given as a function of parameter tensors with a leading chain axis.

    Args:
        loss: ``{name: (chain, *shape)} -> (chain,)``, the loss of every chain in nats per datum.
        center: ``{name: shape}``, the point w*.
        num_data: n, if the loss is a mean over data.
        units: unit of each tensor, see :class:`singulab.params.Selection`.
    """

    unit = "datum"
    quantity = "llc"
    cost = 1.0

    def __init__(
        self,
        loss: Callable[[Params], Tensor],
        center: Params,
        *,
        num_data: int | None = None,
        units: Mapping[str, float] | None = None,
    ) -> None:
        self.selection = Selection(center, units=units)
        self.center = self.selection.center()
        self.dim, self.components = self.selection.size, self.selection.names
        self.offsets = tuple(c.start for c in self.selection.components)
        self.num_data, self._loss = num_data, loss
        self.center_loss = float(self._value(self.center[None])[0])
        if not math.isfinite(self.center_loss):
            raise ValueError(f"the loss at the center is {self.center_loss}; it must be finite.")

    @contextmanager
    def ready(self) -> Iterator[None]:
        with torch.inference_mode(False), torch.enable_grad():
            yield

    def noise_factor(self, batch_size: int | None) -> float:
        """0: the gradient is exact."""
        return 0.0

    def feed(
        self,
        *,
        seed: int,
        num_chains: int,
        batch_size: int | None,
        purpose: Purpose = Purpose.BATCH,
    ) -> Any:
        return lambda chains, step: None

    def _value(self, position: Float[Tensor, "chain dim"]) -> Float[Tensor, " chain"]:
        params = {}
        for c in self.selection.components:
            part = position[:, c.start : c.start + c.size].view(-1, *c.shape)
            params[c.name] = part if c.unit == 1 else part * c.unit
        value = self._loss(params)
        if not isinstance(value, Tensor) or value.shape != position.shape[:1]:
            raise ValueError(
                f"the loss must return one value per chain, shape [{position.shape[0]}], got "
                f"{tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__}."
            )
        return value

    def slope(
        self,
        position: Float[Tensor, "chain dim"],
        batch: Any = None,
        *,
        halves: bool = True,
        control: bool = False,
    ) -> Slope:
        """Gradient and excess loss; there are no halves, and no noise to take off."""
        gradient, excess, _ = self.full(position)
        return Slope(gradient.unsqueeze(1), excess.unsqueeze(1))

    def full(
        self, position: Float[Tensor, "chain dim"], batch_size: int | None = None
    ) -> tuple[Float[Tensor, "chain dim"], Float[Tensor, " chain"], float]:
        """Gradient and excess loss; the third entry is the cost in gradient units per chain."""
        leaf = position.detach().requires_grad_()
        value = self._value(leaf)
        if not value.requires_grad:
            raise ValueError("the loss does not depend on the weights, or is not differentiable.")
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        return gradient, value.detach() - self.center_loss, 1.0

    def fingerprints(self) -> dict[str, str]:
        probe = self.center + torch.linspace(0.1, 0.2, self.dim, dtype=self.center.dtype)
        with torch.no_grad():
            value = self._value(probe[None])
        return {
            "weights": fingerprint(self.center),
            "data": "none",
            "loss": fingerprint(
                value, getattr(self._loss, "__qualname__", type(self._loss).__name__)
            ),
        }
