"""Layered networks of which many settings are run side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Activation = Literal["relu", "tanh", "sign", "linear"]


@dataclass(frozen=True)
class Layered:
    """Fully connected layers with one activation between them and none at the end.

    A setting is one vector: layer after layer, in a layer unit after unit, and of a unit its incoming weights
    followed by its bias. ``sign`` is +1 above 0 and −1 at 0 and below.

    Example:
        >>> Layered((7, 40, 40, 1)).num_weights
        2001
    """

    widths: tuple[int, ...]  # inputs, hidden units, outputs
    activation: Activation = "relu"
    biases: tuple[bool, ...] | bool = True  # of every layer, or of all

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"widths needs two or more positive numbers, got {self.widths}.")
        if self.activation not in ("relu", "tanh", "sign", "linear"):
            raise ValueError(f"activation is relu, tanh, sign or linear, got {self.activation!r}.")
        if not isinstance(self.biases, bool) and len(self.biases) != len(self.widths) - 1:
            raise ValueError(
                f"{len(self.widths) - 1} layers need as many biases, got {len(self.biases)}."
            )

    @cached_property
    def layers(self) -> tuple[tuple[int, int, bool], ...]:
        """(fan-in, units, has biases) of every layer."""
        count = len(self.widths) - 1
        biases = (self.biases,) * count if isinstance(self.biases, bool) else self.biases
        return tuple(zip(self.widths[:-1], self.widths[1:], biases, strict=True))

    @cached_property
    def num_weights(self) -> int:
        return sum(units * (fan_in + bias) for fan_in, units, bias in self.layers)

    def deviations(self, scale: float, bias_scale: float) -> Float[Tensor, " weight"]:
        """Standard deviation of every weight: scale/√fan-in, and bias_scale for biases."""
        rows = []
        for fan_in, units, bias in self.layers:
            unit = [scale / fan_in**0.5] * fan_in + [bias_scale] * bias
            rows.append(torch.tensor(unit).repeat(units))
        return torch.cat(rows)

    def parts(
        self, weights: Float[Tensor, "setting weight"]
    ) -> Iterator[
        tuple[Float[Tensor, "setting unit fan_in"], Float[Tensor, "setting unit 1"] | None]
    ]:
        """Matrix and biases of every layer, as views."""
        start = 0
        for fan_in, units, bias in self.layers:
            stop = start + units * (fan_in + bias)
            layer = weights[:, start:stop].view(len(weights), units, fan_in + bias)
            yield layer[:, :, :fan_in], layer[:, :, fan_in:] if bias else None
            start = stop

    def __call__(
        self, weights: Float[Tensor, "setting weight"], inputs: Float[Tensor, "input feature"]
    ) -> Float[Tensor, "setting input output"]:
        """Outputs of every setting on every input."""
        settings, signals = len(weights), inputs.T
        for index, (matrix, bias) in enumerate(self.parts(weights)):
            if index:
                signals = self._active(signals)
            if signals.dim() == 2:  # the inputs, which all settings share
                fed = matrix.reshape(-1, matrix.shape[2]) @ signals
                fed = fed.view(settings, matrix.shape[1], -1)
                signals = fed if bias is None else self._shifted(fed, bias)
            elif bias is None:
                signals = torch.bmm(matrix, signals)
            else:
                signals = torch.baddbmm(bias, matrix, signals)
        return signals.transpose(1, 2)

    def _shifted(self, fed: Tensor, bias: Tensor) -> Tensor:
        return fed + bias if fed.requires_grad else fed.add_(bias)

    def _active(self, signals: Tensor) -> Tensor:
        if self.activation == "linear":
            return signals
        if self.activation == "relu":
            return signals.relu() if signals.requires_grad else signals.relu_()
        if self.activation == "tanh":
            return signals.tanh()
        return (signals > 0).to(signals.dtype).mul_(2).sub_(1)
