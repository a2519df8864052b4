"""Small tanh networks of one input and one output, alone and side by side, with λ̂ known at every temperature.

f(x) = Σ_j a_j tanh(b_j x). The inputs take eight values and the label noise comes in pairs of opposite sign at
equal inputs, so the full-data loss is a sum of eight squares and w* minimises it exactly:

    L(w) − L(w*) = 1/16 Σ_k (f_w(x_k) − f_{w*}(x_k))².

At a = b = 0 the loss is a² times a function of b: the product of two singular factors, λ = ½ with m = 2.
"""

from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from singulab.zoo.case import ExactLoss, Labels, NetworkCase, Setting, Truth
from singulab.zoo.direct_sum import DirectSum
from singulab.zoo.quadrature import Quadrature, plane_llc

INPUTS = (-2.2, -1.3, -0.7, -0.2, 0.4, 1.0, 1.6, 2.8)
NAMES = ("inner.weight", "outer.weight")


@dataclass(frozen=True, kw_only=True)
class TanhUnit(NetworkCase):
    """One or more tanh units of one input, and their data.

    Draw order (CPU generator seeded 3000 + seed): noise randn(n/2) in float32, for the first half of the data;
    the second half has the same inputs and the opposite noise.
    """

    outer: tuple[float, ...]  # a_j at w*
    inner: tuple[float, ...]  # b_j at w*
    label_noise: float = 0.0  # σ
    seed: int = 0
    batch_size: int = 64
    num_data: int = 10_000

    def __post_init__(self) -> None:
        if not self.outer or len(self.outer) != len(self.inner):
            raise ValueError(
                f"a tanh unit needs as many outer as inner weights, got {self.outer} and {self.inner}."
            )
        if self.num_data % (2 * len(INPUTS)):
            raise ValueError(
                f"num_data must be a multiple of {2 * len(INPUTS)}, got {self.num_data}."
            )

    @property
    def num_weights(self) -> int:
        return 2 * len(self.outer)

    @property
    def rlct(self) -> Truth | None:
        """½ where a or b is 0, else 1 (regular); unknown for several units."""
        if len(self.outer) > 1:
            return None
        regular = self.outer[0] != 0.0 and self.inner[0] != 0.0
        return Truth(
            value=1.0 if regular else 0.5,
            error=0.0,
            how="proved",
            source="L ~ a²b² near a = b = 0; one of its factors where the other is not 0; else regular",
        )

    @property
    def multiplicity(self) -> int | None:
        """2 where both weights are 0."""
        if len(self.outer) > 1:
            return None
        return 2 if self.outer == self.inner == (0.0,) else 1

    @property
    def truths(self) -> dict[Setting, Truth]:
        """Gold values, which do not depend on the labels; :meth:`truth` of one unit needs none."""
        return {
            (nbeta, localization, kind): truth
            for (nbeta, localization, _), truth in super().truths.items()
            for kind in ("data", "model")
        }

    def truth(
        self, localization: float, *, nbeta: float | None = None, labels: Labels = "data"
    ) -> Truth:
        """λ̂ at any (nβ, γ) for one unit, by quadrature; at those of gold.json for more."""
        if len(self.outer) > 1:
            return super().truth(localization, nbeta=nbeta, labels=labels)
        found = _quadrature(
            self.outer[0], self.inner[0], self.nbeta if nbeta is None else nbeta, localization
        )
        return Truth(
            value=found.llc,
            error=found.error,
            how="numerical",
            source="graded Gauss–Legendre quadrature; the error is the change at the last refinement",
            evidence={"radius_squared": found.radius_squared, "heat_capacity": found.heat_capacity},
        )

    def model(self, dtype: torch.dtype = torch.float32) -> nn.Sequential:
        """Linear, tanh, linear, without biases, carrying w*."""
        with torch.device("meta"):
            network = nn.Sequential(
                OrderedDict(
                    inner=nn.Linear(1, len(self.inner), bias=False, dtype=dtype),
                    tanh=nn.Tanh(),
                    outer=nn.Linear(len(self.outer), 1, bias=False, dtype=dtype),
                )
            )
        weights = {name: weight.to(dtype) for name, weight in self._center().items()}
        network.load_state_dict(weights, assign=True)
        return network.requires_grad_()

    def data(self) -> tuple[Float[Tensor, "datum 1"], Float[Tensor, "datum 1"]]:
        """Inputs and targets in float32."""
        half = self.num_data // 2
        inputs = torch.tensor(INPUTS, dtype=torch.float64).repeat(half // len(INPUTS))
        outer, inner = (
            torch.tensor(part, dtype=torch.float64) for part in (self.outer, self.inner)
        )
        targets = torch.tanh(inputs[:, None] * inner) @ outer
        noise = self.label_noise * torch.randn(
            half, generator=torch.Generator().manual_seed(3000 + self.seed)
        )
        pairs = torch.cat([inputs, inputs]), torch.cat([targets + noise, targets - noise])
        return pairs[0].float()[:, None], pairs[1].float()[:, None]

    def exact_loss(self, labels: Labels = "data") -> ExactLoss:
        """1/16 Σ_k (f_w(x_k) − f_{w*}(x_k))², for both kinds of labels."""
        center = self._center()
        inputs = torch.tensor(INPUTS, dtype=torch.float64)[:, None]

        def outputs(weights: dict[str, Tensor]) -> Float[Tensor, "chain input"]:
            inner, outer = (weights[name] for name in NAMES)
            return (torch.tanh(inputs @ inner.mT) @ outer.mT)[..., 0]

        at_center = outputs({name: weight[None] for name, weight in center.items()})

        def excess_loss(stacked: dict[str, Tensor]) -> Float[Tensor, " chain"]:
            return 0.5 * (outputs(stacked) - at_center).square().mean(dim=1)

        return ExactLoss(excess_loss, center)

    def _center(self) -> dict[str, Tensor]:
        return {
            "inner.weight": torch.tensor(self.inner, dtype=torch.float64)[:, None],
            "outer.weight": torch.tensor(self.outer, dtype=torch.float64)[None],
        }


class TanhColumns(nn.Module):
    """Column m of the inputs → Σ_j a_mj tanh(b_mj x_m), column m of the outputs."""

    def __init__(self, inner: Float[Tensor, "unit hidden"], outer: Float[Tensor, "unit hidden"]):
        super().__init__()
        self.inner, self.outer = nn.Parameter(inner), nn.Parameter(outer)

    def forward(self, inputs: Float[Tensor, "datum unit"]) -> Float[Tensor, "datum unit"]:
        """All units at once."""
        return (self.outer * torch.tanh(self.inner * inputs[..., None])).sum(-1)


@dataclass(frozen=True, kw_only=True)
class TanhUnits(DirectSum):
    """Tanh units side by side, their weights stacked in two tensors; λ̂ is the sum of theirs."""

    parts: tuple[TanhUnit, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len({len(unit.outer) for unit in self.parts}) > 1:
            raise ValueError(f"the units of {self.name} need equally many hidden units each.")

    def model(self, dtype: torch.dtype = torch.float32) -> TanhColumns:
        """One module for all units."""
        return TanhColumns(*(weight.to(dtype) for weight in self._center().values()))

    def exact_loss(self, labels: Labels = "data") -> ExactLoss:
        """1/16 Σ_k ‖f_w(x_k) − f_{w*}(x_k)‖², for both kinds of labels."""
        inputs = torch.tensor(INPUTS, dtype=torch.float64)[:, None, None]

        def outputs(weights: dict[str, Tensor]) -> Float[Tensor, "chain input unit"]:
            inner, outer = weights["inner"][:, None], weights["outer"][:, None]
            return (outer * torch.tanh(inner * inputs)).sum(-1)

        center = self._center()
        at_center = outputs({name: weight[None] for name, weight in center.items()})

        def excess_loss(stacked: dict[str, Tensor]) -> Float[Tensor, " chain"]:
            return 0.5 * (outputs(stacked) - at_center).square().sum(-1).mean(-1)

        return ExactLoss(excess_loss, center)

    def _center(self) -> dict[str, Tensor]:
        return {
            "inner": torch.tensor([unit.inner for unit in self.parts], dtype=torch.float64),
            "outer": torch.tensor([unit.outer for unit in self.parts], dtype=torch.float64),
        }


@cache
def _quadrature(outer: float, inner: float, nbeta: float, localization: float) -> Quadrature:
    """Of one unit; the loss is a function of a and b alone."""
    at_center = [outer * np.tanh(inner * x) for x in INPUTS]

    def loss(a: Any, b: Any) -> Any:
        squares = [(a * np.tanh(b * x) - y) ** 2 for x, y in zip(INPUTS, at_center, strict=True)]
        return 0.5 * sum(squares) / len(INPUTS)

    return plane_llc(loss, (outer, inner), nbeta=nbeta, localization=localization)
