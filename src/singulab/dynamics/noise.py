"""The covariance of gradient noise, C(w) = E[(∇ℓ − ∇L)(∇ℓ − ∇L)ᵀ] over data at one w."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from singulab.dynamics.mean import Mean
from singulab.dynamics.network import Network
from singulab.dynamics.problem import Matrix
from singulab.dynamics.regression import batch_share


@dataclass(frozen=True, kw_only=True)
class GradientNoise:
    """Exact first and second moments of the gradients of a data set at one vector of weights.

    The data are taken as the whole population: C has no error then. For data that are a sample of something
    larger, ``trace`` and ``mean_square`` carry the standard error of that sampling.
    """

    mean: Float[np.ndarray, " dim"]  # ∇L
    covariance: Matrix  # C, with 1/n
    trace: Mean  # tr C
    mean_square: Mean  # E|∇ℓ|²/d: the post's σ², mean included
    num_data: int

    def batch(self, batch_size: int, *, replacement: bool = True) -> Matrix:
        """Covariance of a minibatch gradient.

        Raises:
            ValueError: the batch size is out of range.
        """
        _check(batch_size, self.num_data, replacement)
        return self.covariance * batch_share(self.num_data, batch_size, replacement=replacement)

    def temperature(self, rate: float, batch_size: int) -> Mean:
        """(η/2B)·tr C/d, the mean temperature of this noise over directions."""
        factor = rate / (2 * batch_size * len(self.mean))
        return Mean(factor * self.trace.value, factor * self.trace.se)

    def anisotropy(self) -> float:
        """d·tr C²/(tr C)²: 1 for isotropic noise, d for noise in a single direction."""
        square = float(np.sum(self.covariance**2))
        return len(self.mean) * square / float(np.trace(self.covariance)) ** 2


def gradient_noise(gradients: Float[Tensor, "datum dim"]) -> GradientNoise:
    """C from the gradient of every datum.

    Args:
        gradients: one row per datum; :meth:`Network.datum_gradients` makes them.

    Raises:
        ValueError: fewer than 2 data.
    """
    g = gradients.double().numpy()
    n, d = g.shape
    if n < 2:
        raise ValueError(f"Gradient noise needs at least 2 data, got {n}.")
    mean = g.mean(axis=0)
    centred = g - mean
    lengths = (centred**2).sum(axis=1)
    squares = (g**2).sum(axis=1) / d
    return GradientNoise(
        mean=mean,
        covariance=centred.T @ centred / n,
        trace=Mean(float(lengths.mean()), float(lengths.std(ddof=1) / math.sqrt(n))),
        mean_square=Mean(float(squares.mean()), float(squares.std(ddof=1) / math.sqrt(n))),
        num_data=n,
    )


class StreamingNoise:
    """C of a stream of gradients in memory of rank × d, by frequent directions.

    Mean, trace and mean square are exact. The covariance is kept as SᵀS/n with at most ``rank`` rows S, and

        0 ≤ C − SᵀS/n ≤ ``error_bound``·I

    holds for certain: each time the rows overflow, the same amount is taken off all squared singular values, and
    the bound is the sum of what was taken. Rows are centred exactly by the update of Chan, Golub and LeVeque.

    Args:
        dim: d.
        rank: rows kept; from ``dim`` on nothing is lost.

    Raises:
        ValueError: a size below 1.

    Source: Ghashami, Liberty, Phillips & Woodruff (2016), SIAM J. Comput. 45.
    """

    def __init__(self, dim: int, *, rank: int) -> None:
        if dim < 1 or rank < 1:
            raise ValueError(f"dim and rank must be at least 1, got {dim} and {rank}.")
        self.dim, self.rank = dim, min(rank, dim)
        self.num_data = 0
        self._mean = torch.zeros(dim, dtype=torch.float64)
        self._rows = torch.zeros(0, dim, dtype=torch.float64)
        self._taken = self._scatter = self._squares = 0.0

    def update(self, gradients: Float[Tensor, "datum dim"]) -> None:
        """Take in the gradients of more data.

        Raises:
            ValueError: they have another dimension.
        """
        if gradients.ndim != 2 or gradients.shape[1] != self.dim:
            raise ValueError(
                f"Gradients must have shape (datum, {self.dim}), got {tuple(gradients.shape)}."
            )
        size = len(gradients)
        if size == 0:
            return
        g = gradients.double()
        mean = g.mean(0)
        jump = (mean - self._mean) * math.sqrt(size * self.num_data / (size + self.num_data))
        fresh = torch.cat([g - mean, jump[None]])
        self._squares += float(g.square().sum())
        self._scatter += float(fresh.square().sum())
        self._mean = self._mean + (mean - self._mean) * (size / (size + self.num_data))
        self.num_data += size
        for part in fresh.split(self.rank):
            self._rows = torch.cat([self._rows, part])
            if len(self._rows) > self.rank:
                self._shrink()

    def _shrink(self) -> None:
        _, singular, right = torch.linalg.svd(self._rows, full_matrices=False)
        squares = singular.square()
        taken = float(squares[self.rank]) if len(squares) > self.rank else 0.0
        kept = (squares[: self.rank] - taken).clamp_min(0.0)
        self._taken += taken
        self._rows = kept.sqrt()[:, None] * right[: self.rank]

    @property
    def mean(self) -> Float[np.ndarray, " dim"]:
        """∇L."""
        return self._mean.numpy().copy()

    @property
    def trace(self) -> float:
        """Exact trace of C."""
        return self._scatter / self._some()

    @property
    def mean_square(self) -> float:
        """E|∇ℓ|²/d, exact."""
        return self._squares / self._some() / self.dim

    @property
    def error_bound(self) -> float:
        """Largest eigenvalue that C can have beyond the sketch."""
        return self._taken / self._some()

    def factor(self) -> Float[np.ndarray, "rank dim"]:
        """F with FᵀF ≈ C, from below."""
        return (self._rows / math.sqrt(self._some())).numpy()

    def eigenvalues(self) -> Float[np.ndarray, " rank"]:
        """The largest eigenvalues of C, descending, each too small by 0 to ``error_bound``."""
        return np.linalg.svd(self.factor(), compute_uv=False) ** 2

    def _some(self) -> int:
        if self.num_data < 2:
            raise ValueError(f"Gradient noise needs at least 2 data, got {self.num_data}.")
        return self.num_data


def streamed_noise(
    network: Network, w: Float[Tensor, " dim"], *, rank: int, chunk: int = 256
) -> StreamingNoise:
    """C of a network at w in one pass over its data, without ever holding all gradients."""
    stream = StreamingNoise(network.num_weights, rank=rank)
    for first in range(0, network.num_data, chunk):
        stream.update(network.datum_gradients(w, first, first + chunk))
    return stream


def _check(batch_size: int, num_data: int, replacement: bool) -> None:
    if batch_size < 1 or (not replacement and batch_size > num_data):
        raise ValueError(f"batch_size must lie between 1 and {num_data}, got {batch_size}.")
