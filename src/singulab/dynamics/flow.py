"""What gradient flow conserves, and how fast finite steps lose it.

For a product of layers f = W_L ⋯ W_1 and any loss of f, dW_l/dt = −∂L/∂W_l gives d/dt(W_{l+1}ᵀW_{l+1} − W_lW_lᵀ) = 0.
For θ₁θ₂ that is θ₁² − θ₂².
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import solve_ivp
from torch import Tensor

Layers = Sequence[Float[Tensor, "..."]]


def balance(layers: Layers) -> list[Float[Tensor, "..."]]:
    """W_{l+1}ᵀW_{l+1} − W_lW_lᵀ of neighbouring layers, first layer first.

    Args:
        layers: W_1, …, W_L as matrices that can be multiplied: W_{l+1}W_l.

    Raises:
        ValueError: fewer than 2 layers, or shapes that do not fit.
    """
    if len(layers) < 2:
        raise ValueError(f"A balance needs at least 2 layers, got {len(layers)}.")
    for lower, upper in pairwise(layers):
        if lower.ndim != 2 or upper.ndim != 2 or upper.shape[1] != lower.shape[0]:
            raise ValueError(
                f"Layers of shapes {tuple(lower.shape)} and {tuple(upper.shape)} cannot be multiplied."
            )
    return [upper.T @ upper - lower @ lower.T for lower, upper in pairwise(layers)]


def flow(
    loss: Callable[[list[Tensor]], Tensor], layers: Layers, time: float, *, tolerance: float = 1e-11
) -> list[Tensor]:
    """Gradient flow of any loss of some matrices, by an explicit Runge–Kutta method of order 8.

    Args:
        loss: a scalar function of the matrices.
        layers: where it starts; left as they are.
        time: how long, in units in which SGD advances η per step.
        tolerance: relative and absolute, of the integrator.

    Raises:
        ValueError: the time is not positive, or the integrator gives up.
    """
    if not time > 0:
        raise ValueError(f"time must be positive, got {time:g}.")
    sizes, shapes = [w.numel() for w in layers], [w.shape for w in layers]

    def unpacked(flat: Tensor) -> list[Tensor]:
        return [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]

    def velocity(_: float, flat: Float[np.ndarray, " dim"]) -> Float[np.ndarray, " dim"]:
        w = torch.from_numpy(flat.copy()).requires_grad_()
        (slope,) = torch.autograd.grad(loss(unpacked(w)), w)
        return -slope.numpy()

    begin = torch.cat([w.detach().double().reshape(-1) for w in layers]).numpy()
    found = solve_ivp(velocity, (0.0, time), begin, method="DOP853", rtol=tolerance, atol=tolerance)
    if not found.success:
        raise ValueError(f"The gradient flow could not be followed: {found.message}")
    return unpacked(torch.from_numpy(found.y[:, -1].copy()))


def conservation_error(before: Layers, after: Layers) -> float:
    """Largest change of any entry of the balance, relative to the largest entry of W_lW_lᵀ."""
    changes = [
        float((new - old).abs().max())
        for old, new in zip(balance(before), balance(after), strict=True)
    ]
    scale = max(float((w @ w.T).abs().max()) for w in before)
    return max(changes) / scale


def descent(
    loss: Callable[[list[Tensor]], Tensor], layers: Layers, *, rate: float, num_steps: int
) -> list[Tensor]:
    """Gradient descent, whose balance changes by η²(GᵀG − GGᵀ) per step: to first order in η over a fixed time."""
    if not rate > 0 or num_steps < 1:
        raise ValueError(f"descent needs rate > 0 and num_steps ≥ 1, got {rate:g} and {num_steps}.")
    w = [layer.detach().double().clone().requires_grad_() for layer in layers]
    for _ in range(num_steps):
        slopes = torch.autograd.grad(loss(w), w)
        w = [
            (layer - rate * slope).detach().requires_grad_()
            for layer, slope in zip(w, slopes, strict=True)
        ]
    return [layer.detach() for layer in w]
