"""The ReLU network of the SGLD–MALA table: 10 → 20 → 20 → 10 with biases, 850 weights.

The paper does not print the law of the inputs, w* or the noise, so these are our own choice and its figures
stand beside ours only for orientation: x ~ N(0, I), weights N(0, 2/fan_in), biases N(0, 0.1²), labels without
noise, w* the truth. Then L_n(w*) = 0, w* is a minimum at any n, and both kinds of labels are the same.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from singulab.zoo.case import ExactLoss, Labels, NetworkCase, Setting, Truth

WIDTHS = (10, 20, 20, 10)

# λ̂ as printed in arXiv:2308.12108 at γ = 1, ε = 1e-5, batch 32, 10 000 steps: n → (SGLD, MALA).
PUBLISHED: dict[int, tuple[float, float]] = {
    100: (54.9, 54.3),
    316: (86.7, 86.4),
    1_000: (136.9, 140.0),
    3_162: (211.2, 215.4),
    10_000: (294.9, 296.2),
    31_623: (349.3, 359.1),
    100_000: (355.8, 349.1),
}

_NUM_LAYERS = len(WIDTHS) - 1
NAMES = tuple(f"layer{i}.{kind}" for i in range(_NUM_LAYERS) for kind in ("weight", "bias"))
_BIAS_DEVIATION = 0.1
_COLUMNS = 1000  # data at a time, so that the activations of some chains stay in the cache


@dataclass(frozen=True, kw_only=True)
class ReluNetwork(NetworkCase):
    """The network at its random truth, with n noise-free data.

    Draw order (CPU generator seeded 3000 + seed, float64): per layer its weights, then its biases; inputs last,
    so the data of a smaller n are the first ones of a larger.
    """

    batch_size: int = 32
    seed: int = 0

    @property
    def num_weights(self) -> int:
        return sum((below + 1) * above for below, above in pairwise(WIDTHS))

    @property
    def truths(self) -> dict[Setting, Truth]:
        """Gold values, the same for both kinds of labels."""
        known = super().truths
        return known | {(*setting[:2], "model"): truth for setting, truth in known.items()}

    def weights(self) -> dict[str, Tensor]:
        """w* in float64, by parameter name."""
        return self._weights(self._generator())

    def model(self, dtype: torch.dtype = torch.float32) -> nn.Sequential:
        """The network carrying w*."""
        with torch.device("meta"):
            layers: list[tuple[str, nn.Module]] = []
            for index, (below, above) in enumerate(pairwise(WIDTHS)):
                layers.append((f"layer{index}", nn.Linear(below, above, dtype=dtype)))
                if index < _NUM_LAYERS - 1:
                    layers.append((f"relu{index}", nn.ReLU()))
            network = nn.Sequential(OrderedDict(layers))
        weights = {name: weight.to(dtype) for name, weight in self.weights().items()}
        network.load_state_dict(weights, assign=True)
        return network.requires_grad_()

    def data(self) -> tuple[Float[Tensor, "datum in"], Float[Tensor, "datum out"]]:
        """Inputs and the true outputs, in float32."""
        inputs, targets = self._data_in_float64()
        return inputs.float(), targets.float()

    def exact_loss(self, labels: Labels = "data") -> ExactLoss:
        """½ mean ‖f − f*‖² over all data, in the precision of the weights; it is 0 at w*."""
        inputs, targets = self._data_in_float64()
        data = {
            torch.float64: (inputs.T.contiguous(), targets.T.contiguous()),
            torch.float32: (inputs.float().T.contiguous(), targets.float().T.contiguous()),
        }

        def excess_loss(stacked: dict[str, Tensor]) -> Float[Tensor, " chain"]:
            weights = [stacked[name] for name in NAMES]
            loss: Tensor = _HalfMeanSquare.apply(*data[weights[0].dtype], *weights)
            return loss

        return ExactLoss(excess_loss, self.weights())

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(3000 + self.seed)

    def _weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        weights = {}
        for index, (below, above) in enumerate(pairwise(WIDTHS)):
            normal = torch.randn(above, below, generator=generator, dtype=torch.float64)
            weights[f"layer{index}.weight"] = normal * (2 / below) ** 0.5
            normal = torch.randn(above, generator=generator, dtype=torch.float64)
            weights[f"layer{index}.bias"] = normal * _BIAS_DEVIATION
        return weights

    def _data_in_float64(self) -> tuple[Tensor, Tensor]:
        generator = self._generator()
        weights = self._weights(generator)
        # torch fills a draw from the front in blocks of 16, and redraws a last block that is not full.
        count = WIDTHS[0] * self.num_data
        drawn = torch.randn(-(-count // 16) * 16, generator=generator, dtype=torch.float64)
        inputs = drawn[:count].view(self.num_data, WIDTHS[0]).float().double()
        return inputs, _outputs({name: part[None] for name, part in weights.items()}, inputs)[0]


def _outputs(
    stacked: dict[str, Tensor], inputs: Float[Tensor, "datum in"]
) -> Float[Tensor, "chain datum out"]:
    signal: Tensor = inputs
    for index in range(_NUM_LAYERS):
        bias = stacked[f"layer{index}.bias"][:, None, :]
        signal = signal @ stacked[f"layer{index}.weight"].mT + bias
        if index < _NUM_LAYERS - 1:
            signal = F.relu(signal)
    return signal


class _HalfMeanSquare(torch.autograd.Function):
    """½ mean ‖f − y‖² of every chain with its gradient, which is made block by block on the way forward.

    Data stand in columns: products of small matrices with wide ones are faster than the other way round.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, targets: Tensor, *parameters: Tensor) -> Tensor:
        weights, biases = parameters[::2], [bias.unsqueeze(2) for bias in parameters[1::2]]
        loss = weights[0].new_zeros(weights[0].shape[0])
        gradients = [torch.zeros_like(parameter) for parameter in parameters]
        for x, y in zip(inputs.split(_COLUMNS, 1), targets.split(_COLUMNS, 1), strict=True):
            signals = [x.expand(len(loss), -1, -1)]
            for weight, bias in zip(weights, biases, strict=True):
                signals.append(torch.baddbmm(bias, weight, signals[-1]))
                if len(signals) <= _NUM_LAYERS:
                    signals[-1].relu_()
            slope = signals.pop() - y
            loss += 0.5 * slope.square().sum((1, 2))
            for layer in reversed(range(_NUM_LAYERS)):
                gradients[2 * layer].baddbmm_(slope, signals[layer].mT)
                gradients[2 * layer + 1] += slope.sum(2)
                if layer > 0:
                    slope = (weights[layer].mT @ slope).mul_(signals[layer] > 0)
        ctx.save_for_backward(*(gradient / inputs.shape[1] for gradient in gradients))
        return loss / inputs.shape[1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        scaled = (g * upstream.view(-1, *[1] * (g.ndim - 1)) for g in ctx.saved_tensors)
        return None, None, *scaled


RELU_NETWORKS: tuple[ReluNetwork, ...] = tuple(
    ReluNetwork(name=f"relu-{num_data}", num_data=num_data) for num_data in PUBLISHED
)
