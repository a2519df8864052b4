"""The local posterior p(w) ∝ exp(−U(w)), with U(w) = nβ·(L(w) − L(w*)) + γ/2·|w − w*|²."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn

from singulab.data import Feed, Source, as_source, default_batch_size, leaves
from singulab.landscape import FunctionLandscape, Landscape, ModelLandscape, Slope
from singulab.losses import Loss, ModelLoss, NextToken, NextTokenFromHidden, as_loss
from singulab.params import Params, Selection, Weights, named_parameters

_LOGITS_BYTES = 256 << 20  # logits of a minibatch above which the head is applied in chunks


class Evaluation(NamedTuple):
    """U and what the samplers measure of it, at one position per chain."""

    gradient: Float[Tensor, "chain dim"]  # ∇U on the whole batch
    excess: Float[Tensor, " chain"]  # L_B(w) − L_B(w*), nats per datum
    half_excess: Float[Tensor, "chain half"]  # the same on each half of the batch
    half_gap: (
        Float[Tensor, "chain dim"] | None
    )  # nβ(g_A − g_B)/2, whose covariance is that of nβ·g_B
    displacement: Float[Tensor, "chain dim"]  # w − w*
    linear_noise: Float[Tensor, " chain"] | None = None  # minibatch noise of the excess, see Slope
    dots: Float[Tensor, "chain part"] | None = (
        None  # what ``dots_by_component`` gives, if it is known
    )

    def dots_by_component(self, sizes: Sequence[int]) -> Float[Tensor, "chain part"]:
        """δ·∇U over each component of these sizes, then |δ|²."""
        if self.dots is not None:
            return self.dots
        parts = zip(self.displacement.split(sizes, 1), self.gradient.split(sizes, 1), strict=True)
        dots = [row_dot(one, other) for one, other in parts]
        return torch.stack([*dots, row_dot(self.displacement, self.displacement)], 1)


def row_dot(
    one: Float[Tensor, "chain dim"], other: Float[Tensor, "chain dim"]
) -> Float[Tensor, " chain"]:
    """The inner product of each chain's rows, without a tensor of their size in between."""
    return torch.bmm(one.unsqueeze(1), other.unsqueeze(2)).flatten()


@dataclass(frozen=True)
class LocalPotential:
    """nβ·L plus a Gaussian tether of strength γ around w*.

    Args:
        landscape: L and its gradient.
        nbeta: inverse temperature n·β, per nat of mean loss.
        localization: γ, in 1/(squared weight units).
        batch_size: B of a minibatch; None for an exact loss.
    """

    landscape: Landscape
    nbeta: float
    localization: float
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.nbeta) and self.nbeta > 0):
            raise ValueError(f"nbeta must be positive and finite, got {self.nbeta}.")
        if not (math.isfinite(self.localization) and self.localization >= 0):
            raise ValueError(
                f"localization must be finite and not negative, got {self.localization}."
            )
        largest = torch.finfo(self.center.dtype).max
        if max(self.nbeta, self.localization) > largest:
            raise ValueError(
                f"nbeta and localization must be at most {largest:.3g}, what {self.center.dtype} holds, got "
                f"{self.nbeta} and {self.localization}."
            )

    @classmethod
    @torch.inference_mode(False)
    def of(
        cls,
        model: nn.Module,
        data: Any,
        loss: Any = "cross_entropy",
        *,
        weights: Weights = None,
        units: Mapping[str, float] | None = None,
        nbeta: float | None = None,
        localization: float | None = None,
        relative_radius: float = 0.3,
        labels: str = "data",
        batch_size: int | None = None,
        device: torch.device | str | None = None,
    ) -> "LocalPotential":
        """The local posterior of a model on data.

        Args:
            model: any module, standing at w*; it is never modified.
            data: see :func:`singulab.measure`.
            loss: see :func:`singulab.measure`.
            weights: which weights move; None = all.
            units: glob on parameter names → unit u: the tether is γ/2·Σ((w − w*)/u)², and radii are in
                these units. A network rescaled tensor by tensor keeps its λ̂ if its units are rescaled too.
            nbeta: n·β; default n/log n. Mandatory when n is unknown.
            localization: γ; default d/(ρ·|w*|)² with ρ = ``relative_radius``, which puts the radius of a
                flat landscape at ρ·|w*|; 1 where w* = 0.
            relative_radius: ρ of the default γ.
            labels: ``"data"``, or ``"model"`` for the behavioural loss.
            batch_size: B, made even; default the loader's own, else 128 or half of the data.
            device: where to compute; default where the model is.
        """
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}.")
        if labels not in ("data", "model"):
            raise ValueError(f"labels must be 'data' or 'model', got {labels!r}.")
        wanted = as_loss(loss)
        if labels == "model" and isinstance(wanted, ModelLoss):
            raise TypeError(
                'labels="model" needs the model\'s output, and loss(model, batch) hides it; pass loss(output, target).'
            )
        source = as_source(data)
        place = torch.device(device) if device is not None else _device(model)
        if next(model.parameters(), None) is None:
            raise ValueError("no weights selected: the model has no parameters.")
        size = batch_size if batch_size is not None else default_batch_size(source)
        if size is not None and size < 1:
            raise ValueError(f"batch_size must be at least 1, got {size}.")
        if size is not None:
            size = int(size + size % 2)  # gradient noise is seen between the halves of a batch
            size = size if source.num_data is None else min(size, source.num_data)
        source = source.to(place)
        if is_sharded(model):
            landscape = _sharded(model, source, wanted, weights, units, place, labels, size)
        else:
            moved = place != _device(model)
            parameters = {name: t.to(place) for name, t in named_parameters(model).items()}
            landscape = ModelLandscape(
                model,
                source,
                _with_split_head(wanted, model, source, size),
                Selection(parameters, weights, units),
                labels=labels,
                batch_size=size,
                buffers={n: b.to(place) for n, b in model.named_buffers()} if moved else None,
            )
        with landscape.ready():
            landscape.check(landscape.feed(seed=0, num_chains=1, batch_size=size)([0], 0))
        return cls._with_defaults(landscape, nbeta, localization, relative_radius, size)

    @classmethod
    @torch.inference_mode(False)
    def from_function(
        cls,
        loss: Callable[[Params], Tensor],
        center: Params,
        *,
        num_data: int | None = None,
        units: Mapping[str, float] | None = None,
        nbeta: float | None = None,
        localization: float | None = None,
        relative_radius: float = 0.3,
    ) -> "LocalPotential":
        """The local posterior of a loss given as a function, without data.

        Args:
            loss: ``{name: (chain, *shape)} -> (chain,)``: L of every chain, differentiable.
            center: w*, ``{name: tensor}``; its dtype (float32 or float64) is kept.
            num_data: n, from which nβ = n/log n unless ``nbeta`` is given.
            units: unit of each tensor, as in :meth:`of`.
            nbeta: n·β.
            localization: γ; default as in :meth:`of`, and 1 for w* = 0.
            relative_radius: ρ of the default γ.

        Example:
            >>> square = lambda w: w["x"].square().sum(1)
            >>> LocalPotential.from_function(square, {"x": torch.zeros(3)}, nbeta=50.0).dim
            3
        """
        landscape = FunctionLandscape(loss, center, num_data=num_data, units=units)
        return cls._with_defaults(landscape, nbeta, localization, relative_radius, None)

    @classmethod
    def _with_defaults(
        cls,
        landscape: Landscape,
        nbeta: float | None,
        localization: float | None,
        relative_radius: float,
        batch_size: int | None,
    ) -> "LocalPotential":
        n = landscape.num_data
        if nbeta is None:
            if n is None:
                raise ValueError(
                    "the number of data n is unknown, so nβ = n/log n is too; pass nbeta=…, or sl.Data(source, n=…)."
                )
            nbeta = n / math.log(n)
        potential = cls(landscape, float(nbeta), localization or 0.0, batch_size)
        if localization is not None:
            return potential
        return potential.at(
            localization=default_localization(potential.center_norm, potential.dim, relative_radius)
        )

    @property
    def dim(self) -> int:
        return self.landscape.dim

    @property
    def center(self) -> Float[Tensor, " dim"]:
        return self.landscape.center

    @property
    def components(self) -> tuple[str, ...]:
        return self.landscape.components

    @property
    def num_data(self) -> int | None:
        return self.landscape.num_data

    @property
    def beta(self) -> float | None:
        """β = nβ/n, where n is known."""
        return None if self.num_data is None else self.nbeta / self.num_data

    @property
    def unit(self) -> str:
        return self.landscape.unit

    @property
    def quantity(self) -> str:
        return self.landscape.quantity

    @property
    def noise_factor(self) -> float:
        """1 − B/n: how much of the half-batch variance is noise of the mean, drawing without replacement."""
        return self.landscape.noise_factor(self.batch_size)

    @property
    def exact(self) -> bool:
        """True if gradients carry no minibatch noise."""
        return self.noise_factor == 0

    @property
    def center_norm(self) -> float:
        """|w*| over the selected weights."""
        return math.sqrt(float(self.total(self.center.norm().double().square())))

    @property
    def model_norm(self) -> float | None:
        """The length of all weights of a model, tensors that do not move included; None for a function."""
        if not isinstance(self.landscape, ModelLandscape):
            return None
        if self.landscape.sharded:
            return self.center_norm
        fixed = self.landscape.selection.fixed.values()
        return math.hypot(self.center_norm, *(float(held.double().norm()) for held in fixed))

    def total(self, part: Tensor) -> Tensor:
        """A sum over all weights, from the sum over those that lie in this process."""
        return self.landscape.total(part)

    def at(
        self, *, nbeta: float | None = None, localization: float | None = None
    ) -> "LocalPotential":
        """The same landscape at another temperature or tether; nothing is computed again."""
        return replace(
            self,
            nbeta=self.nbeta if nbeta is None else float(nbeta),
            localization=self.localization if localization is None else float(localization),
        )

    def evaluate(
        self,
        position: Float[Tensor, "chain dim"],
        batch: Any,
        *,
        gap: bool = True,
        control: bool = False,
    ) -> Evaluation:
        """∇U and the paired excess loss on one minibatch per chain.

        Args:
            position: one point per chain.
            batch: one minibatch per chain, from the landscape's feed.
            gap: also measure the gradient noise, between the halves of each minibatch.
            control: take off the noise that the gradient has at w*, at twice the cost.
        """
        slope = self.landscape.slope(position, batch, halves=gap, control=control)
        return assembled(slope, position - self.center, self.nbeta, self.localization)

    def evaluate_full(self, position: Float[Tensor, "chain dim"]) -> tuple[Evaluation, float]:
        """∇U and the excess loss on all data, with the cost per chain in gradient units."""
        gradient, excess, cost = self.landscape.full(position, self.batch_size)
        displacement = position - self.center
        total = gradient * self.nbeta + self.localization * displacement
        return Evaluation(total, excess, excess.unsqueeze(1), None, displacement), cost

    def energy(
        self, position: Float[Tensor, "chain dim"], excess: Float[Tensor, " chain"]
    ) -> Float[Tensor, " chain"]:
        """U(w) from the excess loss."""
        squared = self.total((position - self.center).square().sum(1))
        return self.nbeta * excess + 0.5 * self.localization * squared


def assembled(
    slope: Slope,
    displacement: Float[Tensor, "chain dim"],
    nbeta: float | Tensor,
    localization: float | Tensor,
) -> Evaluation:
    """∇U and what goes with it from the slope of the loss; nβ and γ are numbers, or tensors without axes."""
    gradient, excess, linear = slope
    half_gap = None
    if gradient.shape[1] == 2:
        one, other = gradient.unbind(1)
        half_gap = (one - other).mul_(0.5 * nbeta)
        mean = (one + other).mul_(0.5 * nbeta)
    else:
        mean = gradient.squeeze(1).mul_(nbeta)
    if isinstance(localization, Tensor):
        total = mean.addcmul_(displacement, localization)
    else:
        total = mean.add_(displacement, alpha=localization)
    return Evaluation(total, excess.mean(1), excess, half_gap, displacement, linear)


def default_localization(norm: float, dim: int, relative_radius: float) -> float:
    """γ = d/(ρ|w*|)²; 1 where |w*| = 0.

    A flat landscape has E|w − w*|² = d/γ, so its radius is ρ|w*|.
    """
    if not relative_radius > 0:
        raise ValueError(f"relative_radius must be positive, got {relative_radius}.")
    return 1.0 if norm == 0 else dim / (relative_radius * norm) ** 2


def is_sharded(model: nn.Module) -> bool:
    """Whether FSDP2 or a distributed tensor holds any of a model's weights."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return False
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

    modules = any(isinstance(module, FSDPModule) for module in model.modules())
    return modules or any(isinstance(weight, DTensor) for weight in model.parameters())


def _sharded(
    model: nn.Module,
    source: Source,
    loss: Loss,
    weights: Weights,
    units: Mapping[str, float] | None,
    place: torch.device,
    labels: str,
    batch_size: int | None,
) -> ModelLandscape:
    from singulab.landscape.sharded import ShardedLandscape  # imports the machinery of FSDP

    if units:
        raise ValueError("units need an unsharded model; leave them out.")
    if place != _device(model):
        raise ValueError(f"the shards lie on {_device(model)}; leave device out, got {place}.")
    return ShardedLandscape(model, source, loss, weights, labels=labels, batch_size=batch_size)


def _device(model: nn.Module) -> torch.device:
    for tensor in model.parameters():
        return tensor.device
    return torch.device("cpu")


def _with_split_head(loss: Any, model: nn.Module, source: Source, batch_size: int | None) -> Any:
    """Apply a causal model's head in chunks of tokens where its logits would be the peak of memory.

    Only for models whose logits are exactly their output embedding applied to the body's output, which is
    checked on two tokens.
    """
    if type(loss) is not NextToken or not hasattr(model, "get_output_embeddings"):
        return loss
    head = model.get_output_embeddings()  # type: ignore[operator]  # a method of Hugging Face models
    prefix = getattr(model, "base_model_prefix", "")
    body = getattr(model, prefix, None)
    if head is None or not isinstance(body, nn.Module):
        return loss
    first = Feed(source, seed=0, batch_size=batch_size, num_chains=1)([0], 0)[0]
    tokens = max(leaf[0].numel() for leaf in leaves(first))
    if tokens * head.weight.shape[0] * 4 < _LOGITS_BYTES:
        return loss
    name = next((n for n, module in model.named_modules() if module is head), None)
    if name is None:
        return loss
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            ids = torch.zeros(1, 2, dtype=torch.long, device=_device(model))
            same = torch.equal(head(body(input_ids=ids)[0]), model(input_ids=ids).logits)
    except Exception:  # noqa: BLE001 - a model of another kind
        return loss
    finally:
        for module, training in modes:
            module.training = training
    if not same:
        return loss
    return NextTokenFromHidden(unit=loss.unit, head=name, body=prefix)
