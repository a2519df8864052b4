"""Any small torch model as a problem: gradients per datum, and SGD of many replicas of it at once."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from singulab.dynamics.problem import Problem, Weights
from singulab.dynamics.replicas import Draws

Loss = Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) → loss of each datum, in nats


class Network(Problem):
    """A model with its data set: minibatch SGD from a vector of weights.

    The model itself is never changed: weights travel as vectors, in the order of ``named_parameters``.
    Batch normalisation and dropout couple data or draw their own random numbers, and are refused.

    Args:
        model: a module whose output for a datum depends on that datum alone.
        inputs: first axis = datum.
        targets: first axis = datum.
        loss: (outputs, targets) → loss of each datum.
        batch_size: B.
        replacement: whether a datum may come twice into a minibatch.
        dtype: of weights and inputs; float64 if not given.

    Raises:
        ValueError: sizes do not fit, the model couples data, or the loss does not return one number per datum.

    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> x, y = torch.ones(3, 2), torch.ones(3, 1)
        >>> Network(model, x, y, lambda f, y: (f - y).square().sum(1), batch_size=1).num_weights
        2
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        loss: Loss,
        *,
        batch_size: int = 1,
        replacement: bool = True,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        n = len(inputs)
        if n == 0 or len(targets) != n:
            raise ValueError(
                f"{n} inputs need as many targets, and at least 1; got {len(targets)}."
            )
        if batch_size < 1 or (not replacement and batch_size > n):
            raise ValueError(f"batch_size must lie between 1 and {n}, got {batch_size}.")
        self.num_data, self.batch_size, self.replacement = n, batch_size, replacement
        self.inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
        self.targets = targets.to(dtype) if targets.is_floating_point() else targets
        self._model, self._loss = model, loss
        _refuse_coupling(model)
        named = dict(model.named_parameters())
        self._shapes = {name: value.shape for name, value in named.items()}
        self._buffers = {
            name: value.to(dtype) if value.is_floating_point() else value
            for name, value in model.named_buffers()
        }
        self.weights = torch.cat([p.detach().reshape(-1) for p in named.values()]).to(dtype)
        self.num_weights = len(self.weights)
        one = self.losses(self.weights, self.inputs[:1], self.targets[:1])
        if one.shape != (1,):
            raise ValueError(
                f"loss must return one number per datum, for 1 datum it returned shape {tuple(one.shape)}."
            )
        self._slope = vmap(grad(self._batch_loss), in_dims=(0, 0, 0))
        self._full_slope = vmap(grad(self._batch_loss), in_dims=(0, None, None))
        self._full_loss = vmap(self._batch_loss, in_dims=(0, None, None))
        self._per_datum = vmap(grad(self._datum_loss), in_dims=(None, 0, 0))

    def losses(self, weights: Float[Tensor, " dim"], inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each datum at one vector of weights."""
        output = functional_call(self._model, {**self._named(weights), **self._buffers}, inputs)
        return self._loss(output, targets)

    def gradient(self, w: Weights, draws: Draws, step: int) -> Weights:
        chosen = draws.indices(
            step,
            num_data=self.num_data,
            batch_size=self.batch_size,
            replacement=self.replacement,
        )
        return self._slope(w.to(self.weights.dtype), self.inputs[chosen], self.targets[chosen])

    def mean_gradient(self, w: Weights) -> Weights:
        return self._full_slope(w.to(self.weights.dtype), self.inputs, self.targets)

    def loss(self, w: Weights) -> Float[Tensor, " replica"]:
        return self._full_loss(w.to(self.weights.dtype), self.inputs, self.targets)

    def datum_gradients(
        self, w: Float[Tensor, " dim"], first: int = 0, last: int | None = None
    ) -> Float[Tensor, "datum dim"]:
        """The gradient of every datum's loss at one vector of weights, or of a range of data."""
        chosen = slice(first, last)
        return self._per_datum(w.to(self.weights.dtype), self.inputs[chosen], self.targets[chosen])

    def _named(self, weights: Float[Tensor, " dim"]) -> dict[str, Tensor]:
        sizes = [shape.numel() for shape in self._shapes.values()]
        parts = weights.split(sizes)
        return {
            name: part.view(shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def _batch_loss(
        self, weights: Float[Tensor, " dim"], inputs: Tensor, targets: Tensor
    ) -> Tensor:
        return self.losses(weights, inputs, targets).mean()

    def _datum_loss(
        self, weights: Float[Tensor, " dim"], inputs: Tensor, targets: Tensor
    ) -> Tensor:
        return self.losses(weights, inputs[None], targets[None])[0]


def _refuse_coupling(model: nn.Module) -> None:
    for name, module in model.named_modules():
        coupled = isinstance(module, nn.modules.batchnorm._BatchNorm)
        random = isinstance(module, nn.modules.dropout._DropoutNd)
        if module.training and (coupled or (random and module.p > 0)):
            raise ValueError(
                f"{name or 'The model'} is a {type(module).__name__} in training mode, so the gradient of a "
                "datum depends on more than the datum: call model.eval() first."
            )
