"""Polynomial networks of two weights: a benchmark with exact λ on which plain SGLD fails by factors.

    f(x) = W σ(W σ(⋯ W x)),   W(θ) = [[θ₁+θ₂, θ₁²], [θ₁², θ₂²]] used L times,   σ(x) = x^r,
    K(θ) = sum of the squared coefficients of both outputs as polynomials in x₁, x₂.

Give u = θ₁+θ₂ the weight 2 and v = θ₁ the weight 1: every entry of W then has leading weight 2 (θ₂² = v² + …),
the outputs have weight 2(1 + r + … + r^{L−1}), and K twice that, without further zeros near 0. So
λ = (2 + 1)/(4(1 + r + … + r^{L−1})) = 3(r−1)/(4(r^L−1)) and m = 1.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from singulab.exact import formulas
from singulab.zoo.case import Truth
from singulab.zoo.potentials import QuadraturePotential
from singulab.zoo.quadrature import Grid, Quadrature, plane_llc

# SGLD of devinterp as printed in arXiv:2608.20183 (γ = 1, ε = 1e-5, 5 chains, 10 000 steps); the rest diverged.
PUBLISHED_SGLD: dict[tuple[int, int], float] = {
    (2, 1): 0.677,
    (2, 2): 0.154,
    (2, 3): 0.038,
    (2, 4): 0.014,
    (2, 5): 0.006,
    (3, 1): 0.677,
    (3, 2): 0.081,
    (3, 3): 0.025,
    (3, 4): 0.007,
    (4, 1): 0.677,
    (4, 2): 0.093,
    (4, 3): 0.019,
}


def learning_coefficient(power: int, num_layers: int) -> Fraction:
    """λ = 3/(4(1 + r + … + r^{L−1})), with m = 1; see :func:`singulab.exact.formulas.polynomial_network`.

    Example:
        >>> learning_coefficient(2, 3)
        Fraction(3, 28)
    """
    found = formulas.polynomial_network(power, num_layers)
    assert found.value is not None
    return found.value


def squared_coefficients(
    first: Float[Tensor, " chain"], second: Float[Tensor, " chain"], *, power: int, num_layers: int
) -> Float[Tensor, " chain"]:
    """K at (θ₁, θ₂) of every chain.

    Both outputs are homogeneous of degree D = r^{L−1}, so their coefficients are those of f(1, z), and by
    Parseval Σ|c_j|² is the mean of |f(1, z)|² over any N > D roots of unity: the network is run on these, and
    on one of two that are conjugate, since both give the same modulus.
    """
    count = power ** (num_layers - 1) + 1
    index = torch.arange(count // 2 + 1, dtype=first.dtype, device=first.device)
    roots = torch.polar(torch.ones_like(index), index * (2 * torch.pi / count))
    shares = torch.where((index == 0) | (2 * index == count), 1.0, 2.0).to(first.dtype) / count
    outputs = _run(first[:, None], second[:, None], roots, power, num_layers)
    return sum(_squared_modulus(output) for output in outputs) @ shares


class _SquaredCoefficients(torch.autograd.Function):
    """:func:`squared_coefficients` in float64, with its gradient carried along on the way forward.

    Automatic differentiation of so few numbers is mostly overhead: this takes half the time.
    """

    @staticmethod
    def forward(
        ctx: Any, first: Tensor, second: Tensor, power: int, num_layers: int
    ) -> Float[Tensor, " chain"]:
        # Beyond the largest number K is infinite or NaN, as in torch without a warning; samplers turn back there.
        with np.errstate(over="ignore", invalid="ignore"):
            value, *slopes = _value_and_slopes(first.numpy(), second.numpy(), power, num_layers)
        ctx.slopes = [torch.from_numpy(slope) for slope in slopes]
        return torch.from_numpy(value)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return *(slope * upstream for slope in ctx.slopes), None, None


def _value_and_slopes(
    first: Float[np.ndarray, " chain"],
    second: Float[np.ndarray, " chain"],
    power: int,
    num_layers: int,
) -> tuple[Float[np.ndarray, " chain"], ...]:
    """K and its derivatives by θ₁ and θ₂: both outputs carry theirs through the layers."""
    roots, shares = _roots(power ** (num_layers - 1) + 1)
    a, b = first[:, None], second[:, None]
    w11, w12, w22 = a + b, a * a, b * b
    twice_a, twice_b = 2 * a, 2 * b
    x, y = w11 + w12 * roots, w12 + w22 * roots
    by_a = [1 + twice_a * roots, twice_a + 0 * roots]
    by_b = [1 + 0 * roots, twice_b * roots]
    for _ in range(num_layers - 1):
        steep_x, steep_y = power * _power(x, power - 1), power * _power(y, power - 1)
        x, y = steep_x * x / power, steep_y * y / power
        xa, ya, xb, yb = steep_x * by_a[0], steep_y * by_a[1], steep_x * by_b[0], steep_y * by_b[1]
        by_a = [x + w11 * xa + twice_a * y + w12 * ya, twice_a * x + w12 * xa + w22 * ya]
        by_b = [x + w11 * xb + w12 * yb, w12 * xb + twice_b * y + w22 * yb]
        x, y = w11 * x + w12 * y, w12 * x + w22 * y
    value = (_squared_modulus(x) + _squared_modulus(y)) @ shares
    x, y = 2 * x.conj(), 2 * y.conj()
    return value, *((x * d[0] + y * d[1]).real @ shares for d in (by_a, by_b))


@cache
def _roots(count: int) -> tuple[np.ndarray, Float[np.ndarray, " root"]]:
    """One of every two conjugate roots of unity, and its share of the mean over all."""
    index = np.arange(count // 2 + 1)
    shares = np.where((index == 0) | (2 * index == count), 1.0, 2.0) / count
    return np.exp(2j * np.pi * index / count), shares


def _squared_coefficients_on_grid(
    first: Grid, second: Grid, *, power: int, num_layers: int
) -> Grid:
    """The same for arrays, one root at a time; conjugate roots give the same modulus."""
    count = power ** (num_layers - 1) + 1
    total = np.zeros(np.broadcast_shapes(first.shape, second.shape))
    for index in range(count // 2 + 1):
        multiplicity = 1 if index == 0 or 2 * index == count else 2
        root = np.exp(2j * np.pi * index / count)
        for output in _run(first, second, root, power, num_layers):
            total += multiplicity * _squared_modulus(output)
    return total / count


def _run(first: Any, second: Any, root: Any, power: int, num_layers: int) -> tuple[Any, Any]:
    """f(1, z), for tensors and arrays alike."""
    w11, w12, w22 = first + second, first * first, second * second
    x, y = w11 + w12 * root, w12 + w22 * root
    for _ in range(num_layers - 1):
        x, y = _power(x, power), _power(y, power)
        x, y = w11 * x + w12 * y, w12 * x + w22 * y
    return x, y


def _squared_modulus(z: Any) -> Any:
    return z.real * z.real + z.imag * z.imag


def _power(base: Any, exponent: int) -> Any:
    """base^exponent by multiplication: exact at 0, where complex powers are not differentiable."""
    result = base
    for _ in range(exponent - 1):
        result = result * base
    return result


@dataclass(frozen=True, kw_only=True)
class PolynomialNetwork(QuadraturePotential):
    """K of a polynomial network at its most singular point θ = 0."""

    center: tuple[float, ...] = (0.0, 0.0)
    power: int  # r ≥ 2 of the activation
    num_layers: int  # L ≥ 1

    def __post_init__(self) -> None:
        if self.power < 2 or self.num_layers < 1:
            raise ValueError(
                f"A polynomial network needs power ≥ 2 and num_layers ≥ 1, got {self.power} and "
                f"{self.num_layers}."
            )

    @property
    def rlct(self) -> Truth:
        """The closed form of :func:`learning_coefficient`."""
        return Truth(
            value=float(learning_coefficient(self.power, self.num_layers)),
            error=0.0,
            how="proved",
            source="arXiv:2608.20183; λ = 3(r−1)/(4(r^L−1)) by quasi-homogeneity with weights (2, 1)",
        )

    @property
    def multiplicity(self) -> int:
        return 1

    def value(self, w: Float[Tensor, "chain dim"]) -> Float[Tensor, " chain"]:
        if w.dtype == torch.float64 and not w.is_cuda:
            found: Tensor = _SquaredCoefficients.apply(
                w[:, 0], w[:, 1], self.power, self.num_layers
            )
            return found
        return squared_coefficients(w[:, 0], w[:, 1], power=self.power, num_layers=self.num_layers)

    def quadrature(self, localization: float, *, nbeta: float | None = None) -> Quadrature:
        """λ̂ and its companions at (nβ, γ), in the coordinates u = θ₁+θ₂, v = θ₁."""
        return _quadrature(
            self.power, self.num_layers, self.nbeta if nbeta is None else nbeta, localization
        )


@cache
def _quadrature(power: int, num_layers: int, nbeta: float, localization: float) -> Quadrature:
    # nβ K passes 1 at v ~ (nβ)^{-λ/3} and u ~ v².
    narrowest = nbeta ** float(-2 * learning_coefficient(power, num_layers) / 3)
    return plane_llc(
        partial(_squared_coefficients_on_grid, power=power, num_layers=num_layers),
        (0.0, 0.0),
        nbeta=nbeta,
        localization=localization,
        chart=_from_sum_and_first,
        finest=1e-4 * narrowest,
    )


def _from_sum_and_first(u: Grid, v: Grid) -> tuple[Grid, Grid]:
    """θ from u = θ₁+θ₂ and v = θ₁: the valley of every K here is u ≈ 0."""
    first = v + 0.0 * u
    return first, u - first


POLYNOMIAL_NETWORKS: tuple[PolynomialNetwork, ...] = tuple(
    PolynomialNetwork(name=f"polynomial-{power}-{num_layers}", power=power, num_layers=num_layers)
    for power in (2, 3, 4)
    for num_layers in (1, 2, 3, 4, 5)
)
