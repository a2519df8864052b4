"""What SGD runs on: a loss with a random gradient, for all replicas at once.

The chain is w ← w − η g with E[g | w] = ∇L(w). A problem brings g; its noise may come from minibatches, from
labels, or be put there on purpose.
"""

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from singulab.dynamics.replicas import Draws

Weights = Float[Tensor, "replica dim"]
Matrix = Float[np.ndarray, "dim dim"]


class Problem(ABC):
    """A loss and a noisy gradient of it."""

    num_weights: int  # d

    @abstractmethod
    def gradient(self, w: Weights, draws: Draws, step: int) -> Weights:
        """One noisy gradient per replica, of noise that no other replica and no other step sees."""

    @abstractmethod
    def mean_gradient(self, w: Weights) -> Weights:
        """∇L(w), the mean of :meth:`gradient`."""

    @abstractmethod
    def loss(self, w: Weights) -> Float[Tensor, " replica"]:
        """L(w)."""


class LinearProblem(Problem):
    """A problem whose gradient is affine in w for every draw: g = A(w − w*) + b.

    E A = H and E b = 0; A and b may be random and depend on each other. The first two moments of SGD on it
    obey closed equations at every learning rate (:mod:`singulab.dynamics.law`).
    """

    center: Float[Tensor, " dim"]  # w*
    hessian: Matrix  # H
    noise: Matrix  # E[b bᵀ], the covariance of g at w*

    @abstractmethod
    def multiplicative(self, second_moment: Matrix) -> Matrix:
        """E[(A − H) S (A − H)ᵀ] for a symmetric S: noise that grows with the distance from w*."""

    def mean_gradient(self, w: Weights) -> Weights:
        return (w - self.center) @ torch.from_numpy(self.hessian)

    def loss(self, w: Weights) -> Float[Tensor, " replica"]:
        """The excess loss ½(w − w*)ᵀH(w − w*)."""
        return ((w - self.center) * self.mean_gradient(w)).sum(1) / 2


class Noisy(LinearProblem):
    """A linear problem with Gaussian noise added to its gradient.

    Args:
        problem: what the noise is added to.
        covariance: of the added noise, symmetric and positive semidefinite.

    Raises:
        ValueError: the covariance is not symmetric, not positive semidefinite or of the wrong shape.
    """

    def __init__(self, problem: LinearProblem, covariance: Matrix) -> None:
        d = problem.num_weights
        if covariance.shape != (d, d) or not np.allclose(covariance, covariance.T):
            raise ValueError(
                f"covariance must be a symmetric {d} × {d} matrix, got shape {covariance.shape}."
            )
        self.problem: LinearProblem = problem
        if isinstance(problem, Noisy):  # one stream of numbers for one Gaussian
            self.problem, covariance = problem.problem, covariance + problem.covariance
        values, vectors = np.linalg.eigh(covariance)
        if values[0] < -1e-12 * max(abs(values[-1]), 1e-300):
            raise ValueError(
                f"covariance must be positive semidefinite, its least eigenvalue is {values[0]:.3g}."
            )
        self.covariance: Matrix = covariance
        self.num_weights, self.center = d, problem.center
        self.hessian, self.noise = problem.hessian, self.problem.noise + covariance
        self._root = torch.from_numpy((vectors * np.sqrt(np.maximum(values, 0))).T.copy())

    def gradient(self, w: Weights, draws: Draws, step: int) -> Weights:
        added = draws.normal(step, self.num_weights, stream=1) @ self._root
        return self.problem.gradient(w, draws, step) + added

    def multiplicative(self, second_moment: Matrix) -> Matrix:
        return self.problem.multiplicative(second_moment)


class FullBatch(LinearProblem):
    """A linear problem without its noise: gradient descent."""

    def __init__(self, problem: LinearProblem) -> None:
        self.num_weights, self.center = problem.num_weights, problem.center
        self.hessian, self.noise = problem.hessian, np.zeros_like(problem.noise)

    def gradient(self, w: Weights, draws: Draws, step: int) -> Weights:
        return self.mean_gradient(w)

    def multiplicative(self, second_moment: Matrix) -> Matrix:
        return np.zeros_like(second_moment)


class Langevin(Problem):
    """The full gradient of any problem with Gaussian noise alike in all directions and everywhere.

    g = ∇L + √(2T/η)·ξ makes w ← w − ηg the Langevin chain of temperature T, whose law tends to e^{−L/T} as η → 0.

    Args:
        problem: its mean gradient is used.
        temperature: T > 0.
        rate: η that the chain will run at, > 0.

    Raises:
        ValueError: temperature or rate is not positive.
    """

    def __init__(self, problem: Problem, *, temperature: float, rate: float) -> None:
        if not (temperature > 0 and rate > 0):
            raise ValueError(
                f"temperature and rate must be positive, got {temperature:g} and {rate:g}."
            )
        self.problem, self.num_weights = problem, problem.num_weights
        self._scale = math.sqrt(2 * temperature / rate)

    def gradient(self, w: Weights, draws: Draws, step: int) -> Weights:
        added = draws.normal(step, self.num_weights, stream=1)
        return self.problem.mean_gradient(w) + self._scale * added

    def mean_gradient(self, w: Weights) -> Weights:
        return self.problem.mean_gradient(w)

    def loss(self, w: Weights) -> Float[Tensor, " replica"]:
        return self.problem.loss(w)


def isotropic(problem: LinearProblem, variance: float | None = None) -> Noisy:
    """The full gradient with the same noise in every direction.

    Args:
        problem: its loss is kept, its noise replaced.
        variance: of each component; None takes the mean over directions of the problem's own noise at w*.

    Raises:
        ValueError: the variance is negative.
    """
    if variance is None:
        variance = float(np.trace(problem.noise)) / problem.num_weights
    if variance < 0:
        raise ValueError(f"variance must not be negative, got {variance:g}.")
    return Noisy(FullBatch(problem), variance * np.eye(problem.num_weights))


def completed(problem: LinearProblem) -> Noisy:
    """The problem with as much Gaussian noise added as makes its noise at w* the same in every direction.

    With the largest eigenvalue c of E[b bᵀ], the added covariance is cI − E[b bᵀ].
    """
    largest = float(np.linalg.eigvalsh(problem.noise)[-1])
    return Noisy(problem, largest * np.eye(problem.num_weights) - problem.noise)
