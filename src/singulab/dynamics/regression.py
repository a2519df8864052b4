"""Linear regression with the unit-variance likelihood: ℓ(w) = ½(y − x·w)², the problem whose law is exact."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from singulab.dynamics.problem import LinearProblem, Matrix, Weights
from singulab.dynamics.replicas import Draws

_NOISIEST = 1e100  # σ, whose square still is a number


class GaussianRegression(LinearProblem):
    """Fresh data at every step: x ~ N(0, H), y = x·w* + N(0, σ²), minibatches of B.

    The covariance of one datum's gradient at w* is σ²H, so at σ = 1 it is the Hessian itself, as at every
    minimum of a realisable likelihood. For Gaussian x

        E[xxᵀ S xxᵀ] = 2 H S H + H tr(HS),  hence  E[(A − H) S (A − H)ᵀ] = (H S H + H tr(HS))/B.

    Args:
        hessian: H, or its eigenvalues, all > 0.
        batch_size: B.
        label_noise: σ ≥ 0.

    Raises:
        ValueError: H is not symmetric and positive definite, B < 1 or σ < 0.
    """

    def __init__(
        self,
        hessian: Float[np.ndarray, "..."],
        *,
        batch_size: int = 1,
        label_noise: float = 1.0,
    ) -> None:
        _check(batch_size, label_noise)
        self.hessian = checked_hessian(hessian)
        self.num_weights = d = len(self.hessian)
        self.center = torch.zeros(d, dtype=torch.float64)
        self.batch_size, self.label_noise = batch_size, label_noise
        self.noise = label_noise**2 * self.hessian / batch_size
        diagonal = np.diag(self.hessian)
        self._diagonal = bool((self.hessian == np.diag(diagonal)).all())
        root = np.sqrt(diagonal) if self._diagonal else np.linalg.cholesky(self.hessian).T
        self._root = torch.from_numpy(np.ascontiguousarray(root))

    def gradient(self, w: Weights, draws: Draws, step: int) -> Weights:
        b, d = self.batch_size, self.num_weights
        drawn = draws.normal(step, b * (d + 1)).view(-1, b, d + 1)
        x = drawn[..., :d] * self._root if self._diagonal else drawn[..., :d] @ self._root
        residual = (x @ w[:, :, None])[..., 0] - self.label_noise * drawn[..., d]
        return (residual[:, None] @ x)[:, 0] / b

    def multiplicative(self, second_moment: Matrix) -> Matrix:
        half = self.hessian @ second_moment
        return (half @ self.hessian + self.hessian * np.trace(half)) / self.batch_size


class DataRegression(LinearProblem):
    """A fixed data set, minibatches drawn with or without replacement.

    w* is the least-squares solution, H = (1/n) Σ xxᵀ, and the noise at w* that of the residuals r:
    (1/n) Σ r² xxᵀ/B, times (n − B)/(n − 1) without replacement. A minibatch without replacement is drawn
    afresh at every step: this is not the order of an epoch.

    Args:
        inputs: x, of full column rank.
        targets: y.
        batch_size: B, at most n.
        replacement: whether a datum may come twice into a minibatch.

    Raises:
        ValueError: shapes do not fit, the inputs are degenerate, or B is out of range.
    """

    def __init__(
        self,
        inputs: Float[Tensor, "datum dim"],
        targets: Float[Tensor, " datum"],
        *,
        batch_size: int = 1,
        replacement: bool = True,
    ) -> None:
        _check(batch_size, 0.0)
        n, d = inputs.shape
        if targets.shape != (n,):
            raise ValueError(f"{n} inputs need as many targets, got shape {tuple(targets.shape)}.")
        if not replacement and batch_size > n:
            raise ValueError(
                f"batch_size must not exceed the {n} data without replacement, got {batch_size}."
            )
        self.inputs, self.targets = inputs.double(), targets.double()
        self.hessian = checked_hessian((self.inputs.T @ self.inputs / n).numpy())
        self.num_weights, self.num_data = d, n
        self.batch_size, self.replacement = batch_size, replacement
        self.center = torch.linalg.lstsq(self.inputs, self.targets[:, None]).solution[:, 0]
        residual = self.targets - self.inputs @ self.center
        self._share = batch_share(n, batch_size, replacement=replacement)
        scores = self.inputs * residual[:, None]
        self.noise = (scores.T @ scores / n).numpy() * self._share

    def gradient(self, w: Weights, draws: Draws, step: int) -> Weights:
        chosen = draws.indices(
            step,
            num_data=self.num_data,
            batch_size=self.batch_size,
            replacement=self.replacement,
        )
        x = self.inputs[chosen]
        residual = (x @ w[:, :, None])[..., 0] - self.targets[chosen]
        return (residual[:, None] @ x)[:, 0] / self.batch_size

    def multiplicative(self, second_moment: Matrix) -> Matrix:
        x = self.inputs.numpy()
        stretch = np.einsum("ni,ij,nj->n", x, second_moment, x, optimize=True)
        fourth = (x * stretch[:, None]).T @ x / len(x)
        return (fourth - self.hessian @ second_moment @ self.hessian) * self._share


def batch_share(num_data: int, batch_size: int, *, replacement: bool) -> float:
    """Covariance of a minibatch mean in units of that of one datum: 1/B, or less without replacement."""
    if replacement:
        return 1 / batch_size
    return (num_data - batch_size) / (batch_size * max(num_data - 1, 1))


def checked_hessian(hessian: Float[np.ndarray, "..."]) -> Matrix:
    """A symmetric positive definite matrix, from itself or from its eigenvalues.

    Raises:
        ValueError: it is something else.
    """
    matrix = np.array(np.diag(hessian) if hessian.ndim == 1 else hessian, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise ValueError(
            f"hessian must be a square matrix or a list of eigenvalues, got shape {hessian.shape}."
        )
    if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T):
        raise ValueError("hessian must be finite and symmetric.")
    values = np.linalg.eigvalsh(matrix)
    if values[0] <= 1e-12 * abs(values[-1]):
        raise ValueError(
            f"hessian must be positive definite, its least eigenvalue is {values[0]:.3g}: "
            "leave out the directions in which the loss is flat."
        )
    return matrix


def _check(batch_size: int, label_noise: float) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    if not 0 <= label_noise <= _NOISIEST:
        raise ValueError(f"label_noise must be between 0 and {_NOISIEST:g}, got {label_noise:g}.")
