"""Losses per datum, in nats, and what their curvature needs.

A loss here never averages over a batch: it returns one number per datum, and the mean is taken by the
potential. Each form also knows its *teacher* version, in which the targets are the model's own outputs at
w* (``labels="model"``), and a *score*: a random vector u in output space with

    E[u uᵀ] = ∂²ℓ / ∂f²   (the Hessian of one datum's loss in the outputs f),

so that gradients of Σ_b u_b·f_w(x_b) have the generalised Gauss–Newton matrix as their second moment.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from singulab.data import Batch, batch_length

_CHUNK_NUMBERS = 1 << 24  # logits turned to losses at a time


class Losses(NamedTuple):
    """Losses per token, for a loss function that computes its own."""

    values: Float[Tensor, "batch token"]  # nats
    mask: Tensor | None = None  # True where a token counts; None = everywhere


@runtime_checkable
class Loss(Protocol):
    """What the potential asks of a loss; ``run`` calls the model with whatever parameters are in place."""

    @property
    def name(self) -> str:
        """How the loss is called."""

    @property
    def unit(self) -> str:
        """What n counts."""

    @property
    def has_score(self) -> bool:
        """Whether ``score`` exists."""

    @property
    def zero_at_teacher(self) -> bool:
        """Whether the loss against the output at w* vanishes at w*."""

    def run(self, model: nn.Module, batch: Batch) -> Any:
        """What the loss needs from the model: its output."""

    def values(self, output: Any, batch: Batch, teacher: Any | None) -> Float[Tensor, " batch"]:
        """Loss of each datum against the data, or against a teacher's output."""

    def teacher(self, output: Any) -> Any:
        """What of the output at w* is kept as the target."""

    def score(self, output: Any, batch: Batch, normal: Callable[[Tensor], Tensor]) -> Tensor:
        """The random vector u, in the shape of the differentiable output."""


def call(model: nn.Module, inputs: Batch) -> Any:
    """Call a model as its inputs suggest: a tensor, positional for a tuple, by name for a mapping."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, tuple | list):
        return model(*inputs)
    return model(inputs)


def output_tensor(output: Any) -> Tensor:
    """The prediction in whatever a model returns: a tensor, ``.logits``, ``["logits"]`` or the first entry."""
    if isinstance(output, Tensor):
        return output
    if hasattr(output, "logits"):
        return output.logits
    if isinstance(output, Mapping) and "logits" in output:
        return output["logits"]
    if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        return output[0]
    raise TypeError(
        f"the model returned {type(output).__name__}; wanted a tensor, or something with .logits. "
        "Pass loss=f(model, batch) for a model that computes its own loss."
    )


def split(batch: Batch) -> tuple[Batch, Tensor]:
    """Inputs and targets of a batch."""
    if isinstance(batch, Mapping):
        for key in ("labels", "label", "targets", "target"):
            if key in batch:
                return {name: leaf for name, leaf in batch.items() if name != key}, batch[key]
        raise ValueError(
            f"a batch given as a mapping needs 'labels', got the keys {sorted(batch)}."
        )
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    raise ValueError(
        f"this loss needs batches of (inputs, targets), got {type(batch).__name__}"
        + (f" of {len(batch)}." if isinstance(batch, tuple | list) else ".")
    )


def _wide(tensor: Tensor) -> Tensor:
    """At least float32: losses are differences of nearly equal numbers."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _mean_of_positions(losses: Tensor, mask: Tensor | None = None) -> Float[Tensor, " batch"]:
    if losses.ndim == 1 and mask is None:
        return losses
    losses = losses.reshape(losses.shape[0], -1)
    if mask is None:
        return losses.mean(1)
    mask = mask.reshape(losses.shape)
    return (losses * mask).sum(1) / mask.sum(1).clamp(min=1)


@dataclass(frozen=True)
class Gaussian:
    """½ Σ_outputs (y − f)²/σ²: minus the log density of N(f, σ²) up to a constant."""

    sigma: float | Tensor | Literal["residual"] = 1.0
    name: str = "gaussian"
    unit: str = "datum"
    has_score: bool = True
    zero_at_teacher: bool = True

    def run(self, model: nn.Module, batch: Batch) -> Tensor:
        return output_tensor(call(model, split(batch)[0]))

    def scale(self) -> float | Tensor:
        if isinstance(self.sigma, str):
            raise ValueError("sigma='residual' is resolved from the data first.")
        return self.sigma

    def values(
        self, output: Tensor, batch: Batch, teacher: Tensor | None
    ) -> Float[Tensor, " batch"]:
        target = split(batch)[1] if teacher is None else teacher
        if target.shape != output.shape:
            raise ValueError(
                f"the gaussian loss needs targets of the outputs' shape {tuple(output.shape)}, "
                f"got {tuple(target.shape)}."
            )
        residual = (_wide(output) - _wide(target)) / self.scale()
        return 0.5 * residual.square().reshape(residual.shape[0], -1).sum(1)

    def teacher(self, output: Tensor) -> Tensor:
        return output

    def score(self, output: Tensor, batch: Batch, normal: Callable[[Tensor], Tensor]) -> Tensor:
        return normal(output) / self.scale()


@dataclass(frozen=True)
class CrossEntropy:
    """−log p(y), classes on axis 1; further axes (pixels) are averaged within a datum; −100 is ignored."""

    name: str = "cross_entropy"
    unit: str = "datum"
    has_score: bool = True
    zero_at_teacher: bool = True

    def run(self, model: nn.Module, batch: Batch) -> Tensor:
        return output_tensor(call(model, split(batch)[0]))

    def values(
        self, output: Tensor, batch: Batch, teacher: Tensor | None
    ) -> Float[Tensor, " batch"]:
        if teacher is not None:
            return _mean_of_positions(kl_divergence(teacher, output, axis=1))
        target = split(batch)[1]
        soft = target.is_floating_point()
        if soft != (target.shape == output.shape) or (not soft and target.ndim != output.ndim - 1):
            raise ValueError(
                f"cross_entropy needs class indices of shape {(output.shape[0], *output.shape[2:])} or class "
                f"probabilities of shape {tuple(output.shape)}, got {target.dtype} of {tuple(target.shape)}."
            )
        losses = F.cross_entropy(_wide(output), target, reduction="none")
        return _mean_of_positions(losses, None if soft or losses.ndim == 1 else target != -100)

    def teacher(self, output: Tensor) -> Tensor:
        return output

    def score(self, output: Tensor, batch: Batch, normal: Callable[[Tensor], Tensor]) -> Tensor:
        u = softmax_score(output, normal(output), axis=1)
        target = split(batch)[1]
        if target.is_floating_point():
            return u / math.sqrt(max(1, math.prod(output.shape[2:])))
        counted = (target != -100).unsqueeze(1)
        number = counted.flatten(1).sum(1).clamp(min=1).view(-1, *(1,) * (u.ndim - 1))
        return u * (counted / number.sqrt())


def kl_divergence(teacher: Tensor, output: Tensor, *, axis: int) -> Tensor:
    """KL(p_teacher ‖ p_output) from logits, summed over the class axis."""
    log_p, log_q = F.log_softmax(_wide(teacher), axis), F.log_softmax(_wide(output), axis)
    return (log_p.exp() * (log_p - log_q)).sum(axis)


def softmax_score(logits: Tensor, normal: Tensor, *, axis: int) -> Tensor:
    """√p∘ξ − p (√p·ξ), whose covariance is diag(p) − p pᵀ, the Hessian of −log p(y) in the logits."""
    p = _wide(logits).softmax(axis)
    scaled = p.sqrt() * normal
    return (scaled - p * scaled.sum(axis, keepdim=True)).to(logits.dtype)


@dataclass(frozen=True)
class NextToken:
    """Mean over a sequence's tokens of −log p(next token); −100, and what is or follows padding, do not count.

    ``unit="sequence"``: a datum is a sequence. ``unit="token"``: the token is the datum; a sequence then
    weighs by its number of tokens, in units of ``tokens_per_sequence`` (their mean over the data).
    """

    unit: str = "sequence"
    tokens_per_sequence: float | None = None
    name: str = "next_token"
    has_score: bool = True
    zero_at_teacher: bool = True

    def run(self, model: nn.Module, batch: Batch) -> Any:
        ids, _, _ = _tokens(batch)
        if isinstance(batch, Mapping):
            inputs: Batch = {k: v for k, v in batch.items() if k != "labels"}
            return output_tensor(model(**inputs))
        return output_tensor(model(ids))

    def targets(self, batch: Batch) -> tuple[Int[Tensor, "batch token"], Tensor]:
        """Shifted targets and the mask of those that count."""
        ids, labels, attention = _tokens(batch)
        targets = (ids if labels is None else labels)[:, 1:]
        mask = targets != -100
        if attention is not None and labels is None:
            mask = mask & attention[:, 1:].bool() & attention[:, :-1].bool()
        return targets, mask

    def count(self, batch: Batch) -> Tensor:
        """Tokens that count, per sequence."""
        return self.targets(batch)[1].sum(1)

    def values(
        self, output: Tensor, batch: Batch, teacher: Tensor | None
    ) -> Float[Tensor, " batch"]:
        targets, mask = self.targets(batch)
        if output.shape[:2] != (targets.shape[0], targets.shape[1] + 1):
            raise ValueError(
                f"next_token needs logits of shape (batch, token, vocabulary) = "
                f"({targets.shape[0]}, {targets.shape[1] + 1}, …), got {tuple(output.shape)}."
            )
        logits = output[:, :-1]
        if teacher is None:
            losses = token_nll(logits, targets.clamp(min=0))
        else:
            losses = _chunked(lambda a, b: kl_divergence(a, b, axis=-1), teacher[:, :-1], logits)
        return self._reduce(losses, mask)

    def _reduce(self, losses: Tensor, mask: Tensor) -> Float[Tensor, " batch"]:
        if self.unit == "token":
            total = (losses * mask).sum(1)
            if self.tokens_per_sequence is None:
                return total / mask.sum() * mask.shape[0]
            return total / self.tokens_per_sequence
        return (losses * mask).sum(1) / mask.sum(1).clamp(min=1)

    def teacher(self, output: Tensor) -> Tensor:
        return output

    def score(self, output: Tensor, batch: Batch, normal: Callable[[Tensor], Tensor]) -> Tensor:
        _, mask = self.targets(batch)
        u = softmax_score(output[:, :-1], normal(output[:, :-1]), axis=-1)
        per = mask.sum(1, keepdim=True).clamp(min=1).to(u.dtype)
        if self.unit == "token":
            per = torch.full_like(
                per, self.tokens_per_sequence or float(mask.sum()) / mask.shape[0]
            )
        return F.pad(u * (mask / per.sqrt()).unsqueeze(-1), (0, 0, 0, 1))


def _tokens(batch: Batch) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Token ids, labels and attention mask of a batch."""
    if isinstance(batch, Mapping):
        if "input_ids" not in batch:
            raise ValueError(
                f"next_token needs 'input_ids' in a batch, got the keys {sorted(batch)}."
            )
        return batch["input_ids"], batch.get("labels"), batch.get("attention_mask")
    if isinstance(batch, tuple | list):
        if len(batch) not in (1, 2):
            raise ValueError(
                f"next_token needs batches of ids or (ids, labels), got {len(batch)} parts."
            )
        return batch[0], (batch[1] if len(batch) == 2 else None), None
    return batch, None, None


def token_nll(
    logits: Float[Tensor, "batch token class"], targets: Int[Tensor, "batch token"]
) -> Tensor:
    """−log softmax(logits)[target] in float32, in chunks, so that no second tensor of logits' size exists."""
    return _chunked(_nll, logits, targets)


def _nll(logits: Tensor, targets: Tensor) -> Tensor:
    values = F.cross_entropy(
        _wide(logits).flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-1
    )
    return values.view(targets.shape)


def _chunked(function: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor) -> Tensor:
    numbers = max(first.numel(), second.numel())
    if numbers <= _CHUNK_NUMBERS:
        return function(first, second)
    rows = max(1, first.shape[1] * _CHUNK_NUMBERS // numbers)
    pieces = [
        checkpoint(function, a, b, use_reentrant=False)
        for a, b in zip(first.split(rows, 1), second.split(rows, 1), strict=True)
    ]
    return torch.cat(pieces, 1)


@dataclass(frozen=True)
class NextTokenFromHidden(NextToken):
    """:class:`NextToken` for models whose head can be applied apart: logits exist for a chunk of tokens only."""

    has_score: bool = False
    head: str = ""  # name of the output embedding
    body: str = ""  # name of the module below it

    def run(self, model: nn.Module, batch: Batch) -> tuple[Tensor, nn.Module]:
        inputs = {"input_ids": batch} if isinstance(batch, Tensor) else batch
        inputs = inputs if isinstance(inputs, Mapping) else {"input_ids": inputs[0]}
        kept = {k: v for k, v in inputs.items() if k != "labels"}
        hidden = model.get_submodule(self.body)(**kept)[0]
        return hidden, model.get_submodule(self.head)

    def values(self, output: Any, batch: Batch, teacher: Any | None) -> Float[Tensor, " batch"]:
        hidden, to_logits = output
        targets, mask = self.targets(batch)
        width = to_logits.weight.shape[0]
        rows = max(1, _CHUNK_NUMBERS // (width * hidden.shape[0]))
        pieces = []
        for start in range(0, targets.shape[1], rows):
            stop = min(start + rows, targets.shape[1])
            wanted = (
                targets[:, start:stop].clamp(min=0)
                if teacher is None
                else teacher[0][:, start:stop]
            )
            pieces.append(
                checkpoint(
                    _head_loss,
                    to_logits.weight,
                    getattr(to_logits, "bias", None),
                    hidden[:, start:stop],
                    wanted,
                    None if teacher is None else teacher[1:],
                    use_reentrant=False,
                )
            )
        return self._reduce(torch.cat(pieces, 1), mask)

    def teacher(self, output: Any) -> Any:
        hidden, to_logits = output
        bias = getattr(to_logits, "bias", None)
        return hidden, to_logits.weight.detach(), None if bias is None else bias.detach()


def _head_loss(
    weight: Tensor, bias: Tensor | None, hidden: Tensor, wanted: Tensor, teacher: Any
) -> Tensor:
    logits = F.linear(hidden, weight, bias)
    if teacher is None:
        return _nll(logits, wanted)
    return kl_divergence(F.linear(wanted, *teacher), logits, axis=-1)


@dataclass(frozen=True)
class OutputLoss:
    """The caller's ``loss(output, target) -> [batch]``."""

    function: Callable[[Any, Any], Tensor]
    name: str = "callable"
    unit: str = "datum"
    has_score: bool = False
    zero_at_teacher: bool = False

    def run(self, model: nn.Module, batch: Batch) -> Any:
        output = call(model, split(batch)[0])
        return output if isinstance(output, Tensor) else output_tensor(output)

    def values(self, output: Any, batch: Batch, teacher: Any | None) -> Float[Tensor, " batch"]:
        if teacher is None:
            return _checked(self.function(output, split(batch)[1]), batch)
        try:
            values = self.function(output, teacher)
        except Exception as error:
            raise TypeError(
                'labels="model" gives the loss the model\'s own output as target, which this loss does not '
                f"accept ({type(error).__name__}: {error})."
            ) from error
        return _checked(values, batch)

    def teacher(self, output: Any) -> Any:
        return output

    def score(self, output: Any, batch: Batch, normal: Callable[[Tensor], Tensor]) -> Tensor:
        raise TypeError(
            "a loss given as a function has no score; its curvature is found by finite differences."
        )


@dataclass(frozen=True)
class ModelLoss:
    """The caller's ``loss(model, batch) -> [batch] | Losses``, for models that compute their own loss."""

    function: Callable[[nn.Module, Batch], Tensor | Losses]
    name: str = "callable"
    unit: str = "datum"
    has_score: bool = False
    zero_at_teacher: bool = False

    def run(self, model: nn.Module, batch: Batch) -> Any:
        return self.function(model, batch)

    def values(self, output: Any, batch: Batch, teacher: Any | None) -> Float[Tensor, " batch"]:
        if teacher is not None:
            raise TypeError(
                'labels="model" needs the model\'s output, and loss(model, batch) hides it; pass loss(output, target).'
            )
        if isinstance(output, Losses):
            return _checked(_mean_of_positions(output.values, output.mask), batch)
        return _checked(output, batch)

    def teacher(self, output: Any) -> Any:
        raise TypeError(
            'labels="model" needs the model\'s output, and loss(model, batch) hides it; pass loss(output, target).'
        )

    def score(self, output: Any, batch: Batch, normal: Callable[[Tensor], Tensor]) -> Tensor:
        raise TypeError(
            "a loss given as a function has no score; its curvature is found by finite differences."
        )


def _checked(values: Any, batch: Batch) -> Float[Tensor, " batch"]:
    wanted = batch_length(batch)
    if not isinstance(values, Tensor):
        raise TypeError(
            f"the loss must return a tensor of shape [{wanted}], got {type(values).__name__}."
        )
    if values.ndim == 0:
        raise ValueError(
            f"the loss returned a scalar; wanted one value per datum, shape [{wanted}]. Use reduction='none'."
        )
    if values.shape != (wanted,):
        raise ValueError(
            f"the loss returned shape {tuple(values.shape)}; wanted one value per datum, [{wanted}]."
        )
    return values


def gaussian(sigma: float | Tensor | Literal["residual"] = 1.0) -> Gaussian:
    """The Gaussian loss ½‖y − f‖²/σ², summed over outputs.

    Args:
        sigma: standard deviation: a number, a tensor that broadcasts over the outputs, or ``"residual"``
            for the root mean square of y − f at w* over all data and outputs.

    Example:
        >>> gaussian(2.0).values(torch.zeros(1, 1), (None, torch.full((1, 1), 4.0)), None)
        tensor([2.])
    """
    if isinstance(sigma, str):
        if sigma != "residual":
            raise ValueError(
                f"sigma must be a positive number, a tensor or 'residual', got {sigma!r}."
            )
    elif not bool((torch.as_tensor(sigma) > 0).all()):
        raise ValueError(f"sigma must be positive, got {sigma}.")
    return Gaussian(sigma=sigma)


def next_token(unit: str = "sequence") -> NextToken:
    """The next-token loss; ``unit`` says what a datum is, and so what n counts."""
    if unit not in ("sequence", "token"):
        raise ValueError(f"unit must be 'sequence' or 'token', got {unit!r}.")
    return NextToken(unit=unit)


def as_loss(loss: Any) -> Loss:
    """A loss by name, as an object of this module, or the caller's function."""
    named: dict[str, Loss] = {
        "cross_entropy": CrossEntropy(),
        "gaussian": Gaussian(),
        "next_token": NextToken(),
    }
    if isinstance(loss, str):
        if loss not in named:
            raise ValueError(
                f"unknown loss {loss!r}; choose from {sorted(named)} or pass a function."
            )
        return named[loss]
    if isinstance(loss, Gaussian | CrossEntropy | NextToken | OutputLoss | ModelLoss):
        return loss
    if not callable(loss):
        raise TypeError(f"loss must be a name or a function, got {type(loss).__name__}.")
    names = [p.name for p in inspect.signature(loss).parameters.values()]
    if names[:1] == ["model"] or names[1:2] == ["batch"]:
        return ModelLoss(function=loss)
    if len(names) < 2:
        raise TypeError("a loss function must take (output, target) or (model, batch).")
    return OutputLoss(function=loss)


__all__ = [
    "CrossEntropy",
    "Gaussian",
    "Loss",
    "Losses",
    "ModelLoss",
    "NextToken",
    "NextTokenFromHidden",
    "OutputLoss",
    "as_loss",
    "gaussian",
    "next_token",
]
