"""Deep linear networks: f(x) = W_L ⋯ W_1 x, whose learning coefficient is known for any widths and rank.

P1–P13 are fixed instances. They stand at the most singular point (rank exactly r in every layer) of a network
of true rank r. Everything about the loss lies in second moments of the data, so exact full-data sampling costs
no more than a few small matrix products:

    L(w) − L(w*) = ½ tr(D S Dᵀ) + ⟨D, G⟩,   D = W_L ⋯ W_1 − (the same at w*),   S = mean xxᵀ,
    G = mean (f_{w*}(x) − y)xᵀ.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from singulab.exact import formulas
from singulab.zoo.case import ExactLoss, Labels, NetworkCase, Setting, Truth

Matrix = Float[Tensor, "_ _"]

_LARGEST_SINGULAR_VALUE, _SMALLEST_SINGULAR_VALUE = 1.5, 0.6
_ROWS_AT_A_TIME = 50_000  # data rows held in float64 while moments are summed


def learning_coefficient(widths: Sequence[int], rank: int) -> tuple[Fraction, int]:
    """λ and m of a deep linear network at its most singular point; see :func:`singulab.exact.formulas.deep_linear`.

    Example:
        >>> learning_coefficient((10, 10, 10), 3)
        (Fraction(44, 1), 2)
    """
    found = formulas.deep_linear(widths, rank)
    assert found.value is not None
    assert found.multiplicity is not None
    return found.value, found.multiplicity


class Moments(NamedTuple):
    """What the gaussian loss of a linear map keeps of the data, in float64."""

    inputs: Float[Tensor, "in in"]  # S = mean xxᵀ
    gradient: Float[Tensor, "out in"]  # G = mean (f_{w*}(x) − y)xᵀ


def product(weights: Sequence[Float[Tensor, "... _ _"]]) -> Float[Tensor, "... _ _"]:
    """W_L ⋯ W_1 of layers given from the input up."""
    return reduce(lambda below, layer: layer @ below, weights)


@dataclass(frozen=True, kw_only=True)
class DeepLinear(NetworkCase):
    """A bias-free linear network at the most singular point of a rank-r truth, and its data.

    x ~ N(0, diag) with log-spaced variances, y = W x + σξ, L = ½ mean‖y − f(x)‖². With label noise w* is the
    least-squares minimum if the truth has full rank, otherwise the true weights (then L_n has a gradient
    of order n^{-1/2} there). With ``orthogonal_noise`` the true weights minimise L_n at every rank, and both
    kinds of labels give the same excess loss on all data (not on a minibatch).

    Draw order, fixed for ever (CPU generator seeded 1000 + seed): U_l = qr(randn(H_l, r)) in float64 for
    l = 0 … L; if ``generic`` randn(H_{l+1}, H_l)/√max in float64 for layers 2 …; X = randn(n, H_0) float32;
    noise randn(n, H_L) float32, from which ``orthogonal_noise`` then takes its regression on X.
    """

    widths: tuple[int, ...]  # H_0 … H_L
    rank: int  # r of every layer
    seed: int
    label_noise: float = 0.0  # σ
    orthogonal_noise: bool = False  # the noise is uncorrelated with the inputs in the sample itself
    input_condition: float = 1.0  # largest over smallest input variance
    imbalance: float = 1.0  # layers are multiplied alternately by u and 1/u
    generic: bool = False  # layers 2 … have full rank, so λ = H_0 H_L / 2

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or not 1 <= self.rank <= min(self.widths):
            raise ValueError(
                f"A deep linear network needs two or more widths and 1 ≤ rank ≤ the least of them, got "
                f"widths {self.widths} and rank {self.rank}."
            )
        if self.generic and min(self.widths[1:]) < self.widths[-1]:
            raise ValueError(
                f"Generic upper layers must reach all outputs: no width may be less than the last, got "
                f"{self.widths}."
            )

    @property
    def num_layers(self) -> int:
        """L."""
        return len(self.widths) - 1

    @property
    def num_weights(self) -> int:
        """Σ H_l H_{l+1}."""
        return sum(a * b for a, b in pairwise(self.widths))

    @property
    def rlct(self) -> Truth:
        """Aoyagi's λ; H_0 H_L / 2 where the upper layers are generic (a submersion onto all maps)."""
        if self.generic:
            return Truth(
                value=self.widths[0] * self.widths[-1] / 2,
                error=0.0,
                how="proved",
                source="layers 2 … have full rank: the map to the product is a submersion, so λ = H₀H_L/2",
            )
        value, _ = learning_coefficient(self.widths, self.rank)
        return Truth(
            value=float(value),
            error=0.0,
            how="proved",
            source="Aoyagi 2024, deep linear networks; 1,808 cases agree with Aoyagi & Watanabe 2005",
        )

    @property
    def multiplicity(self) -> int:
        """Of the pole, by the same formula."""
        return 1 if self.generic else learning_coefficient(self.widths, self.rank)[1]

    @property
    def truths(self) -> dict[Setting, Truth]:
        """Gold values; where the noise does not move L_n, both kinds of labels are the same numbers."""
        known = dict(super().truths)
        if self.label_noise == 0.0 or self.orthogonal_noise:
            known |= {
                (nbeta, localization, "model"): truth
                for (nbeta, localization, labels), truth in known.items()
                if labels == "data"
            }
        return known

    def weights(self) -> tuple[Matrix, ...]:
        """W_1 … W_L at w* in float64."""
        generator = self._generator()
        weights = self._true_weights(generator)
        if self._stands_at_least_squares():
            inputs, noise = self._draw(generator)
            return self._least_squares(weights, self._sums(inputs, weights, noise))
        return weights

    def model(self, dtype: torch.dtype = torch.float32) -> nn.Sequential:
        """Bias-free linear layers carrying w*."""
        return _network(self.weights(), dtype)

    def data(self) -> tuple[Float[Tensor, "datum in"], Float[Tensor, "datum out"]]:
        """X and Y in float32; P11 takes 400 MB and a few seconds."""
        generator = self._generator()
        truth = product(self._true_weights(generator)).float()
        inputs, noise = self._draw(generator)
        targets = inputs @ truth.T
        if noise is not None:
            targets.add_(noise, alpha=self.label_noise)
        return inputs, targets

    def moments(self) -> tuple[tuple[Matrix, ...], Moments]:
        """w* and the second moments of the data around it, in float64."""
        generator = self._generator()
        weights = self._true_weights(generator)
        inputs, noise = self._draw(generator)
        moments = self._sums(inputs, weights, noise)
        if self._stands_at_least_squares():
            moved = self._least_squares(weights, moments)
            shift = product(moved) - product(weights)
            return moved, moments._replace(gradient=moments.gradient + shift @ moments.inputs)
        return weights, moments

    def exact_loss(self, labels: Labels = "data") -> ExactLoss:
        """½ tr(D S Dᵀ) + ⟨D, G⟩, with G = 0 for the model's own labels."""
        weights, moments = self.moments()
        names = [name for name, _ in _network(weights, torch.float64).named_parameters()]
        at_center = product(weights)
        gradient = moments.gradient if labels == "data" else torch.zeros_like(moments.gradient)

        def excess_loss(stacked: dict[str, Tensor]) -> Float[Tensor, " chain"]:
            difference = product([stacked[name] for name in names]) - at_center
            slope = 0.5 * difference @ moments.inputs + gradient
            return (difference * slope).sum(dim=(-2, -1))

        return ExactLoss(excess_loss, dict(zip(names, weights, strict=True)))

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(1000 + self.seed)

    def _true_weights(self, generator: torch.Generator) -> tuple[Matrix, ...]:
        frames = [
            torch.linalg.qr(
                torch.randn(width, self.rank, generator=generator, dtype=torch.float64)
            ).Q
            for width in self.widths
        ]
        singular = torch.linspace(
            _LARGEST_SINGULAR_VALUE, _SMALLEST_SINGULAR_VALUE, self.rank, dtype=torch.float64
        ) ** (1 / self.num_layers)
        weights = [above * singular @ below.T for below, above in pairwise(frames)]
        if self.generic:
            for layer in range(1, self.num_layers):
                shape = self.widths[layer + 1], self.widths[layer]
                full = torch.randn(*shape, generator=generator, dtype=torch.float64)
                weights[layer] = full / math.sqrt(max(shape))
        # With an odd number of layers the last one has no partner and keeps its scale.
        for layer in range(self.num_layers - self.num_layers % 2):
            weights[layer] = weights[layer] * (
                self.imbalance if layer % 2 == 0 else 1 / self.imbalance
            )
        return tuple(weights)

    def _draw(
        self, generator: torch.Generator
    ) -> tuple[Float[Tensor, "datum in"], Float[Tensor, "datum out"] | None]:
        scale = torch.logspace(
            0, -math.log10(self.input_condition) / 2, self.widths[0], dtype=torch.float64
        )
        scale = scale / scale.square().mean().sqrt()
        inputs = torch.randn(
            self.num_data, self.widths[0], generator=generator, dtype=torch.float32
        )
        inputs.mul_(scale.float())
        if self.label_noise == 0.0:
            return inputs, None
        noise = torch.randn(
            self.num_data, self.widths[-1], generator=generator, dtype=torch.float32
        )
        return inputs, _residual(noise, inputs) if self.orthogonal_noise else noise

    def _sums(
        self,
        inputs: Float[Tensor, "datum in"],
        weights: Sequence[Matrix],
        noise: Float[Tensor, "datum out"] | None,
    ) -> Moments:
        """S and G at the true weights, where f − y = −σξ."""
        second = inputs.new_zeros(self.widths[0], self.widths[0], dtype=torch.float64)
        gradient = inputs.new_zeros(self.widths[-1], self.widths[0], dtype=torch.float64)
        for start in range(0, self.num_data, _ROWS_AT_A_TIME):
            rows = inputs[start : start + _ROWS_AT_A_TIME].double()
            second.addmm_(rows.T, rows)
            if noise is not None:
                errors = noise[start : start + _ROWS_AT_A_TIME].double()
                gradient.addmm_(errors.T, rows, alpha=-self.label_noise)
        return Moments(second / self.num_data, gradient / self.num_data)

    def _stands_at_least_squares(self) -> bool:
        return (
            self.label_noise > 0.0
            and not self.orthogonal_noise
            and self.rank == min(self.widths[0], self.widths[-1])
        )

    def _least_squares(self, weights: tuple[Matrix, ...], moments: Moments) -> tuple[Matrix, ...]:
        """The last layer of least norm that minimises L_n, the others kept."""
        below = product(weights[:-1])
        cross = product(weights) @ moments.inputs - moments.gradient  # mean y xᵀ
        hidden = below @ moments.inputs @ below.T
        last = cross @ below.T @ torch.linalg.pinv(hidden, rtol=1e-10, hermitian=True)
        return (*weights[:-1], last)


def _residual(
    noise: Float[Tensor, "datum out"], inputs: Float[Tensor, "datum in"]
) -> Float[Tensor, "datum out"]:
    """What a linear regression of the noise on the inputs leaves."""
    rows = inputs.double()
    slope = torch.linalg.solve(rows.T @ rows, rows.T @ noise.double())
    return noise - (rows @ slope).float()


def _network(weights: Sequence[Matrix], dtype: torch.dtype) -> nn.Sequential:
    layers = []
    for weight in weights:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta", dtype=dtype)
        layer.weight = nn.Parameter(weight.detach().to(dtype))
        layers.append(layer)
    return nn.Sequential(*layers)


def _case(
    number: int,
    widths: tuple[int, ...],
    rank: int,
    num_data: int,
    batch_size: int,
    *,
    label_noise: float = 0.0,
    input_condition: float = 1.0,
    imbalance: float = 1.0,
    generic: bool = False,
) -> DeepLinear:
    return DeepLinear(
        name=f"P{number}",
        widths=widths,
        rank=rank,
        num_data=num_data,
        batch_size=batch_size,
        seed=number,
        label_noise=label_noise,
        input_condition=input_condition,
        imbalance=imbalance,
        generic=generic,
    )


DEEP_LINEAR: tuple[DeepLinear, ...] = (
    _case(1, (10,) * 3, 10, 10_000, 64),
    _case(2, (10,) * 3, 3, 100_000, 128),
    _case(3, (8, 12, 8), 8, 10_000, 64, label_noise=1.0),
    _case(4, (5, 8, 8, 5), 2, 100_000, 128),
    _case(5, (12,) * 4, 12, 100_000, 128, input_condition=100.0),
    _case(6, (16, 8, 16), 4, 100_000, 256, label_noise=1.0, input_condition=100.0),
    _case(7, (16,) * 3, 16, 100_000, 128, imbalance=4.0),
    _case(8, (10,) * 4, 4, 100_000, 128, generic=True),
    _case(9, (20,) * 7, 5, 100_000, 256),
    _case(10, (20,) * 7, 20, 100_000, 256, label_noise=1.0),
    _case(11, (50, 60, 50), 25, 1_000_000, 512, label_noise=1.0),
    _case(12, (100,) * 5, 50, 100_000, 256),
    _case(13, (128,) * 7, 32, 100_000, 256),
)
