"""Label noise on models of two weights: SGD moves along its minima, towards flatter ones.

With f(θ) and labels e ~ N(0, σ²) around 0, SGD is θ ← θ − η(f − e)∇f. On the valley f = 0 the Hessian of
½f² has one eigenvalue, |∇f|² = tr H. Across the valley f is an AR(1) process with variance
ησ²|∇f|²/2 to first order; along it the mean drift per step is −(η²σ²/4)∇ tr H.

The second-order law follows what gradient flow conserves, Q(θ). It moves by ½η²(f − e)²·∇fᵀ∇²Q∇f per step, whose mean
takes only the variance v of the coordinate across the valley: v' = (1 − ηh)²v + η²σ²h, h = tr H, up to terms that are
smaller by another factor η.

Both functions here begin at tr H = 1 and obey the same first-order law, coordinate·e^{−η²σ²n/2}. The valley of
θ₁θ₂ is two crossing lines, singular at 0. The valley of x√(1 + y²) is the line x = 0 and has no singular point, λ = ½
and m = 1 everywhere: what moves SGD is the flatness.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from singulab.dynamics.chain import ProgressCallback, simulate
from singulab.dynamics.mean import Mean, mean
from singulab.dynamics.problem import Problem, Weights
from singulab.dynamics.replicas import Draws


class Valley(ABC):
    """A function of two weights whose zeros are the minima of ½f²."""

    name: str
    start: tuple[float, float]  # on the valley, tr H = 1 beyond its least value

    @abstractmethod
    def value(self, w: Weights) -> Float[Tensor, " replica"]:
        """The function f, one value per replica."""

    @abstractmethod
    def slope(self, w: Weights) -> Weights:
        """Its gradient."""

    @abstractmethod
    def coordinate(self, w: Weights) -> Float[Tensor, " replica"]:
        """Place along the valley, whose square is tr H up to a constant."""

    @abstractmethod
    def second_order(self, rate: float, label_noise: float, num_steps: int) -> float:
        """What is left of the coordinate, from 1, to second order in η."""


class Product(Valley):
    """f = θ₁θ₂; Δ = θ₁² − θ₂² obeys Δ' = Δ(1 − η²(f − e)²) exactly."""

    name = "θ₁θ₂"
    start = (1.0, 0.0)

    def value(self, w: Weights) -> Float[Tensor, " replica"]:
        return w[:, 0] * w[:, 1]

    def slope(self, w: Weights) -> Weights:
        return w.flip(1)

    def coordinate(self, w: Weights) -> Float[Tensor, " replica"]:
        return w[:, 0]

    def second_order(self, rate: float, label_noise: float, num_steps: int) -> float:
        """√E Δ, from E[Δ' | θ] = Δ(1 − η²(σ² + f²)) with E f² = θ₁²v."""
        balance, v = 1.0, 0.0
        for _ in range(num_steps):
            h = balance + v
            balance *= 1 - rate**2 * (label_noise**2 + h * v)
            v = (1 - rate * h) ** 2 * v + rate**2 * label_noise**2 * h
        return math.sqrt(balance)


class Control(Valley):
    """f = x√(1 + y²), weights (x, y): tr H = 1 + y² on the smooth valley x = 0."""

    name = "x√(1+y²)"
    start = (0.0, 1.0)

    def value(self, w: Weights) -> Float[Tensor, " replica"]:
        return w[:, 0] * (1 + w[:, 1] ** 2).sqrt()

    def slope(self, w: Weights) -> Weights:
        root = (1 + w[:, 1] ** 2).sqrt()
        return torch.stack([root, w[:, 0] * w[:, 1] / root], 1)

    def coordinate(self, w: Weights) -> Float[Tensor, " replica"]:
        return w[:, 1]

    def second_order(self, rate: float, label_noise: float, num_steps: int) -> float:
        """E y, from Q = log y + (y² − x²)/2, ∇fᵀ∇²Q∇f = (1 − y²)(−x²/h) − h and E x² = v."""
        log_y, v, q = 0.0, 0.0, 0.5
        for _ in range(num_steps):
            square = math.exp(2 * log_y)
            h = 1 + square
            kicked = label_noise**2 + h * v
            q -= 0.5 * rate**2 * kicked * (h + (1 - square) * v / h)
            v = (1 - rate * h) ** 2 * v + rate**2 * label_noise**2 * h
            for _ in range(3):  # Newton: Q hardly moves in a step
                square = math.exp(2 * log_y)
                log_y -= (log_y + square / 2 - v / 2 - q) / (1 + square)
        return math.exp(log_y)


class LabelNoise(Problem):
    """SGD on ½(f(θ)x − e)² with labels that are nothing but noise.

    Args:
        valley: f.
        label_noise: σ ≥ 0.
        random_inputs: x ~ N(0, 1) at every step instead of x = 1.

    Raises:
        ValueError: σ is negative.
    """

    num_weights = 2

    def __init__(self, valley: Valley, *, label_noise: float, random_inputs: bool = False) -> None:
        if not label_noise >= 0:
            raise ValueError(f"label_noise must be 0 or more, got {label_noise:g}.")
        self.valley, self.label_noise, self.random_inputs = valley, label_noise, random_inputs

    def gradient(self, w: Weights, draws: Draws, step: int) -> Weights:
        drawn = draws.normal(step, 2)
        x = drawn[:, 1] if self.random_inputs else 1.0
        residual = self.valley.value(w) * x - self.label_noise * drawn[:, 0]
        return (residual * x)[:, None] * self.valley.slope(w)

    def mean_gradient(self, w: Weights) -> Weights:
        return self.valley.value(w)[:, None] * self.valley.slope(w)

    def loss(self, w: Weights) -> Float[Tensor, " replica"]:
        """½f², without the constant ½σ²."""
        return self.valley.value(w) ** 2 / 2


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Replicas of label-noise SGD after some steps."""

    valley: str
    rate: float  # η
    label_noise: float  # σ
    num_steps: int  # n
    num_replicas: int
    seed: int
    coordinate: Mean  # E of the place along the valley
    distance: Mean  # E|θ|
    deviation: float  # its standard deviation over replicas
    root_balance: Mean  # √E[θ₁² − θ₂²]; for the control √E[y² − x²], which nothing conserves
    first_order: float  # e^{−η²σ²n/2}
    second_order: float  # of √E Δ for the product, of E y for the control


def label_noise_drift(
    valley: Valley,
    *,
    rate: float = 0.05,
    label_noise: float = 1.0,
    num_steps: int = 1000,
    num_replicas: int = 10_000,
    seed: int = 0,
    on_progress: ProgressCallback | None = None,
) -> Drift:
    """Start every replica on the valley and see how far label noise carries it.

    Args:
        valley: :class:`Product` or :class:`Control`, or another of the kind.
        rate: η.
        label_noise: σ.
        num_steps: n.
        num_replicas: independent runs.
        seed: of all random numbers.
        on_progress: told what is under way and which share is done.

    Raises:
        ValueError: a number is out of range, or η·tr H ≥ 2 at the start.
        DivergedError: weights are no longer finite.
    """
    start = torch.tensor(valley.start, dtype=torch.float64)
    curvature = float(valley.slope(start[None]).square().sum())
    if rate * curvature >= 2:
        raise ValueError(
            f"Rate {rate:g} is unstable at the start: it must be below 2/tr H = {2 / curvature:.4g}."
        )
    chains = simulate(
        LabelNoise(valley, label_noise=label_noise),
        rate=rate,
        num_steps=num_steps,
        num_replicas=num_replicas,
        start=start,
        seed=seed,
        on_progress=on_progress,
    )
    place = valley.coordinate(chains.w).numpy()
    square = chains.w.square().sum(1).numpy()
    balance = mean(2 * place**2 - square)
    root = math.sqrt(balance.value) if balance.value > 0 else math.nan
    return Drift(
        valley=valley.name,
        rate=rate,
        label_noise=label_noise,
        num_steps=num_steps,
        num_replicas=num_replicas,
        seed=seed,
        coordinate=mean(place),
        distance=mean(np.sqrt(square)),
        deviation=float(place.std(ddof=1)),
        root_balance=Mean(root, balance.se / (2 * root)),
        first_order=first_order(rate, label_noise, num_steps),
        second_order=valley.second_order(rate, label_noise, num_steps),
    )


def first_order(rate: float, label_noise: float, num_steps: int) -> float:
    """e^{−η²σ²n/2}: what n steps leave of the coordinate along either valley, to lowest order in η.

    Example:
        >>> round(first_order(0.05, 1.0, 1000), 4)
        0.2865
    """
    return math.exp(-(rate**2) * label_noise**2 * num_steps / 2)


def noiseless_drift(
    start: Sequence[float] = (1.0, 0.3),
    *,
    rate: float = 0.05,
    num_steps: int = 1000,
    num_replicas: int = 4096,
    seed: int = 0,
) -> Mean:
    """Δ/Δ₀ after SGD on ½(θ₁θ₂x)², x ~ N(0, 1), labels without noise.

    Δ' = Δ(1 − η²f²x⁴) falls only as long as f has not decayed: SGD without label noise stops where it meets the
    valley instead of moving along it.

    Raises:
        ValueError: θ₁² = θ₂² at the start.
    """
    theta = torch.tensor(start, dtype=torch.float64)
    begin = float(theta[0] ** 2 - theta[1] ** 2)
    if begin == 0:
        raise ValueError("Δ = θ₁² − θ₂² is 0 at the start and stays 0: start elsewhere.")
    chains = simulate(
        LabelNoise(Product(), label_noise=0.0, random_inputs=True),
        rate=rate,
        num_steps=num_steps,
        num_replicas=num_replicas,
        start=theta,
        seed=seed,
    )
    squares = chains.w.square().numpy()
    return mean((squares[:, 0] - squares[:, 1]) / begin)
