"""The mean squared partial derivative of a network's loss against its size: is it O(1/N)?

A post on singular learning theory takes σ², the mean square of ∂ℓ/∂w over data and weights, to be O(1/N) in the
number N of weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import nn

from singulab.dynamics.mean import Mean
from singulab.dynamics.network import Network
from singulab.rng import Purpose, generator

Scaling = Literal["standard", "ntk"]


@dataclass(frozen=True, kw_only=True)
class WidthScan:
    """Mean squares at several widths, over independent initialisations."""

    widths: tuple[int, ...]
    num_weights: tuple[int, ...]  # N
    mean_squares: tuple[Mean, ...]  # σ² = E|∇ℓ|²/N; the error is the spread between initialisations

    def exponent(self) -> Mean:
        """Slope of log σ² against log N; the post supposes −1.

        The straight line weighs every width by its error. Where it is no power law the slope is that of the range.
        """
        x = np.log(self.num_weights)
        y = np.log([m.value for m in self.mean_squares])
        weight = np.array([(m.value / m.se) ** 2 for m in self.mean_squares])
        centred = x - np.average(x, weights=weight)
        information = float(weight @ centred**2)
        return Mean(float((weight * centred) @ y) / information, information**-0.5)


class _Scaled(nn.Module):
    """x ↦ √(2/fan_in)·Wx with unit-variance W: the neural-tangent scaling."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, dtype=torch.float64))
        self._factor = math.sqrt(2 / inputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._factor * (x @ self.weight.T)


def mean_squared_gradient(
    widths: Sequence[int],
    *,
    scaling: Scaling = "standard",
    depth: int = 2,
    num_inputs: int = 10,
    num_data: int = 128,
    num_seeds: int = 16,
    seed: int = 0,
) -> WidthScan:
    """σ² of ReLU networks at initialisation, on Gaussian inputs and independent targets, loss ½(y − f)².

    Args:
        widths: units of each hidden layer.
        scaling: ``"standard"`` has weights N(0, 2/fan_in); ``"ntk"`` unit-variance weights that are scaled
            in the forward pass.
        depth: hidden layers.
        num_inputs: dimension of the inputs.
        num_data: data per initialisation.
        num_seeds: independent initialisations with data of their own.
        seed: of all random numbers.

    Raises:
        ValueError: fewer than 2 widths or seeds, or a size below 1.
    """
    if len(widths) < 2 or num_seeds < 2:
        raise ValueError(
            f"A scan needs at least 2 widths and 2 seeds, got {len(widths)} and {num_seeds}."
        )
    if min(*widths, depth, num_inputs, num_data) < 1:
        raise ValueError("Widths, depth, num_inputs and num_data must be at least 1.")
    if scaling not in ("standard", "ntk"):
        raise ValueError(f"scaling must be 'standard' or 'ntk', got {scaling!r}.")
    counts, squares = [], []
    for place, width in enumerate(widths):
        values = []
        for which in range(num_seeds):
            random = generator(seed, Purpose.START, place, which)
            network = _network(width, scaling, depth, num_inputs, num_data, random)
            total = sum(
                float(network.datum_gradients(network.weights, first, first + 16).square().sum())
                for first in range(0, num_data, 16)
            )
            values.append(total / num_data / network.num_weights)
        counts.append(network.num_weights)
        squares.append(
            Mean(float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(num_seeds)))
        )
    return WidthScan(widths=tuple(widths), num_weights=tuple(counts), mean_squares=tuple(squares))


def _network(
    width: int,
    scaling: Scaling,
    depth: int,
    num_inputs: int,
    num_data: int,
    random: np.random.Generator,
) -> Network:
    sizes = [num_inputs, *[width] * depth, 1]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        if scaling == "ntk":
            layers.append(_Scaled(inputs, outputs))
        else:
            with torch.random.fork_rng(devices=[]):
                layers.append(nn.Linear(inputs, outputs, bias=False, dtype=torch.float64))
        layers.append(nn.ReLU())
    model = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for weight in model.parameters():
            deviation = 1.0 if scaling == "ntk" else math.sqrt(2 / weight.shape[1])
            weight.copy_(torch.from_numpy(deviation * random.standard_normal(weight.shape)))
    x = torch.from_numpy(random.standard_normal((num_data, num_inputs)))
    y = torch.from_numpy(random.standard_normal((num_data, 1)))
    return Network(model, x, y, lambda output, target: (output - target).square().sum(1) / 2)
