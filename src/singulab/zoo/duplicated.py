"""A network whose every layer sees its input k times: the same functions, k times the weights.

A layer Σ_i W_i x with k copies of a weight computes what one layer with W = Σ_i W_i computes. The copies'
differences are exactly flat, and under a tether of strength γ their sum is held by γ/k alone:

    min over Σ W_i = W of γ/2·Σ|W_i − W*/k|² = (γ/k)/2·|W − W*|².

So λ̂(nβ, γ) of k copies is λ̂(nβ, γ/k) of one, at the same λ and m: an exact test on weights that a sampler
cannot tell apart.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from singulab.zoo.case import ExactLoss, Labels, NetworkCase, Setting, Truth


class Repeat(nn.Module):
    """x → (x, …, x)."""

    def __init__(self, copies: int) -> None:
        super().__init__()
        self.copies = copies

    def forward(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... more"]:
        """K copies of the last axis, one behind the other."""
        return torch.cat([x] * self.copies, dim=-1)


@dataclass(frozen=True, kw_only=True)
class Duplicated(NetworkCase):
    """k copies of every weight of a network of bias-free linear layers."""

    base: NetworkCase
    copies: int

    def __post_init__(self) -> None:
        if self.copies < 1 or self.num_data != self.base.num_data:
            raise ValueError(
                f"copies must be at least 1 and num_data that of {self.base.name}, "
                f"{self.base.num_data}; got {self.copies} and {self.num_data}."
            )

    @property
    def num_weights(self) -> int:
        return self.copies * self.base.num_weights

    @property
    def rlct(self) -> Truth | None:
        """λ of the base: flat directions add nothing."""
        return self.base.rlct

    @property
    def multiplicity(self) -> int | None:
        """M of the base."""
        return self.base.multiplicity

    @property
    def truths(self) -> dict[Setting, Truth]:
        """Those of the base, at k times their γ."""
        return {
            (nbeta, self.copies * localization, labels): truth
            for (nbeta, localization, labels), truth in self.base.truths.items()
        }

    def truth(
        self, localization: float, *, nbeta: float | None = None, labels: Labels = "data"
    ) -> Truth:
        """λ̂ of the base at γ/k."""
        return self.base.truth(localization / self.copies, nbeta=nbeta, labels=labels)

    def model(self, dtype: torch.dtype = torch.float32) -> nn.Sequential:
        """Every linear layer behind a :class:`Repeat`, its weights divided among the copies."""
        base = self.base.model(dtype)
        assert isinstance(base, nn.Sequential)
        layers: list[nn.Module] = []
        for layer in base:
            if isinstance(layer, nn.Linear):
                wide = nn.Linear(1, 1, bias=False, device="meta", dtype=dtype)
                wide.in_features = self.copies * layer.in_features
                wide.out_features = layer.out_features
                wide.weight = nn.Parameter(self._shared(layer.weight.detach()))
                layers += [Repeat(self.copies), wide]
            else:
                layers.append(layer)
        return nn.Sequential(*layers)

    def data(self) -> tuple[Tensor, Tensor]:
        """The base's."""
        return self.base.data()

    def exact_loss(self, labels: Labels = "data") -> ExactLoss:
        """The base's, at the sums of the copies."""
        base = self.base.exact_loss(labels)
        names = [name for name, _ in self.model(torch.float64).named_parameters()]
        original = dict(zip(names, base.center, strict=True))

        def excess_loss(stacked: dict[str, Tensor]) -> Float[Tensor, " chain"]:
            return base.function(
                {
                    original[name]: torch.stack(weight.chunk(self.copies, dim=-1)).sum(0)
                    for name, weight in stacked.items()
                }
            )

        center = {name: self._shared(base.center[original[name]]) for name in names}
        return ExactLoss(excess_loss, center)

    def _shared(self, weight: Float[Tensor, "out in"]) -> Float[Tensor, "out more"]:
        return weight.repeat(1, self.copies) / self.copies
