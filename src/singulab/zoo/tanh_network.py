"""One-hidden-layer tanh networks: a closed form for zero truth, and two trained instances with gold values.

T1 and T2 are over-wide students of teachers half of whose hidden units are off, so their minima are
degenerate without being linear. w* was found once by benchmarks/tanh_weights.py and is shipped with the
package; it minimises L_n + ½·1e-4·‖w‖², hence ∇L_n(w*) = −1e-4·w*.
"""

from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files

import torch
from jaxtyping import Float
from safetensors.torch import load
from torch import Tensor, nn

from singulab.exact import formulas
from singulab.zoo.case import ExactLoss, Labels, NetworkCase

WEIGHT_DECAY = 1e-4
NAMES = ("hidden.weight", "hidden.bias", "output.weight", "output.bias")


def learning_coefficient(
    num_hidden: int, *, num_outputs: int = 1, period: int = 2
) -> tuple[Fraction, int]:
    """λ and m with one input, no biases and zero truth; see :func:`singulab.exact.formulas.vandermonde`.

    Example:
        >>> learning_coefficient(4)
        (Fraction(1, 1), 2)
    """
    found = formulas.vandermonde(num_hidden, num_outputs=num_outputs, period=period)
    assert found.value is not None
    assert found.multiplicity is not None
    return found.value, found.multiplicity


@dataclass(frozen=True, kw_only=True)
class TanhNetwork(NetworkCase):
    """x → V tanh(Wx + b) + c, a trained student of a smaller teacher.

    Draw order (CPU generator seeded 2000 + seed, float64): teacher W/√inputs, b, V, c, all standard normal, with
    V = 0 from the second half of the hidden units; inputs N(0, I); then labels: f(x) + σξ, or one class
    from softmax f(x).
    """

    num_inputs: int
    num_hidden: int
    num_outputs: int
    seed: int
    label_noise: float = 0.0  # σ of a gaussian case; classes carry their own noise

    @property
    def num_weights(self) -> int:
        return (self.num_inputs + 1) * self.num_hidden + (self.num_hidden + 1) * self.num_outputs

    def teacher(self) -> dict[str, Tensor]:
        """The true weights, in float64."""
        return self._teacher(self._generator())

    def data(self) -> tuple[Float[Tensor, "datum in"], Tensor]:
        """Inputs in float32; targets in float32, or int64 classes."""
        inputs, targets = self._data_in_float64()
        return inputs.float(), targets if self.loss == "cross_entropy" else targets.float()

    def weights(self) -> dict[str, Tensor]:
        """The trained w*, in float64."""
        return dict(_shipped_weights()[self.name])

    def model(self, dtype: torch.dtype = torch.float32) -> nn.Sequential:
        """The network carrying w*."""
        with torch.device("meta"):
            network = nn.Sequential(
                OrderedDict(
                    hidden=nn.Linear(self.num_inputs, self.num_hidden, dtype=dtype),
                    tanh=nn.Tanh(),
                    output=nn.Linear(self.num_hidden, self.num_outputs, dtype=dtype),
                )
            )
        weights = {name: weight.to(dtype) for name, weight in self.weights().items()}
        network.load_state_dict(weights, assign=True)
        return network.requires_grad_()

    def mean_loss(
        self, weights: dict[str, Tensor], labels: Labels = "data"
    ) -> Float[Tensor, " chain"]:
        """L_n of stacked weights in float64; for labels "model" ½‖f − f*‖², or KL from softmax f*."""
        return self._mean_loss(weights, *self._targets(labels))

    def exact_loss(self, labels: Labels = "data") -> ExactLoss:
        """The mean over all data in float64."""
        center = self.weights()
        inputs, targets = self._targets(labels)
        at_center = self._mean_loss(_stacked(center), inputs, targets)

        def excess_loss(stacked: dict[str, Tensor]) -> Float[Tensor, " chain"]:
            return self._mean_loss(stacked, inputs, targets) - at_center

        return ExactLoss(excess_loss, center)

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(2000 + self.seed)

    def _teacher(self, generator: torch.Generator) -> dict[str, Tensor]:
        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        hidden = normal(self.num_hidden, self.num_inputs) / self.num_inputs**0.5
        hidden_bias = normal(self.num_hidden)
        output = normal(self.num_outputs, self.num_hidden)
        output[:, self.num_hidden // 2 :] = 0.0
        return dict(
            zip(NAMES, (hidden, hidden_bias, output, normal(self.num_outputs)), strict=True)
        )

    def _data_in_float64(self) -> tuple[Float[Tensor, "datum in"], Tensor]:
        generator = self._generator()
        teacher = self._teacher(generator)
        inputs = torch.randn(
            self.num_data, self.num_inputs, generator=generator, dtype=torch.float64
        )
        outputs = _outputs(_stacked(teacher), inputs)[0]
        if self.loss == "cross_entropy":
            classes = torch.multinomial(outputs.softmax(dim=1), 1, generator=generator)
            return inputs, classes[:, 0]
        noise = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
        return inputs, outputs + self.label_noise * noise

    def _targets(self, labels: Labels) -> tuple[Tensor, Tensor]:
        """Inputs, and targets of rank 1 (classes) or 2 (real outputs; log probabilities of the teacher)."""
        # The network sees float32 data: use the same numbers here.
        inputs, targets = (
            part.double() if part.is_floating_point() else part for part in self.data()
        )
        if labels == "data":
            return inputs, targets
        outputs = _outputs(_stacked(self.weights()), inputs)[0]
        return inputs, outputs.log_softmax(dim=1) if self.loss == "cross_entropy" else outputs

    def _mean_loss(
        self, weights: dict[str, Tensor], inputs: Tensor, targets: Tensor
    ) -> Float[Tensor, " chain"]:
        outputs = _outputs(weights, inputs)
        if self.loss != "cross_entropy":
            return 0.5 * (outputs - targets).square().sum(dim=2).mean(dim=1)
        log_probabilities = outputs.log_softmax(dim=2)
        if targets.ndim == 1:
            return -log_probabilities[:, torch.arange(len(targets)), targets].mean(dim=1)
        return (targets.exp() * (targets - log_probabilities)).sum(dim=2).mean(dim=1)


def _stacked(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight[None] for name, weight in weights.items()}


def _outputs(
    weights: dict[str, Tensor], inputs: Float[Tensor, "datum in"]
) -> Float[Tensor, "chain datum out"]:
    hidden, hidden_bias, output, output_bias = (weights[name] for name in NAMES)
    active = torch.tanh(inputs @ hidden.mT + hidden_bias[:, None, :])
    return active @ output.mT + output_bias[:, None, :]


def minimum(case: TanhNetwork, *, seed: int, max_iterations: int = 5000) -> dict[str, Tensor]:
    """A student trained from a random start by L-BFGS on L_n + ½·1e-4·‖w‖², in float64."""
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: 0.5 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        for name, weight in case.teacher().items()
    }
    free = [weight.requires_grad_() for weight in weights.values()]
    inputs, targets = case._targets("data")
    optimizer = torch.optim.LBFGS(
        free,
        max_iter=max_iterations,
        max_eval=2 * max_iterations,
        history_size=50,
        tolerance_grad=1e-10,
        tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )

    def objective() -> float:
        optimizer.zero_grad()
        decay = sum(weight.square().sum() for weight in free)
        value = case._mean_loss(_stacked(weights), inputs, targets)[0] + WEIGHT_DECAY / 2 * decay
        value.backward()
        return float(value.detach())

    optimizer.step(objective)
    return {name: weight.detach() for name, weight in weights.items()}


@cache
def _shipped_weights() -> dict[str, dict[str, Tensor]]:
    tensors = load(files("singulab.zoo").joinpath("tanh_weights.safetensors").read_bytes())
    shipped: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        case, name = key.split("/")
        shipped.setdefault(case, {})[name] = tensor
    return {case: {name: part[name] for name in NAMES} for case, part in shipped.items()}


TANH_NETWORKS: tuple[TanhNetwork, ...] = (
    TanhNetwork(
        name="T1",
        num_inputs=4,
        num_hidden=8,
        num_outputs=2,
        num_data=2000,
        batch_size=64,
        label_noise=0.5,
        seed=1,
    ),
    TanhNetwork(
        name="T2",
        num_inputs=6,
        num_hidden=12,
        num_outputs=5,
        num_data=4000,
        batch_size=64,
        loss="cross_entropy",
        seed=2,
    ),
)
