"""The exact second moments of constant-rate SGD on a linear problem.

With g = A(w − w*) + b, E A = H, E b = 0, δ = w − w*, the chain δ ← (I − ηA)δ − ηb has at stationarity mean 0,
and its covariance Σ = E δδᵀ solves

    HΣ + ΣH − ηHΣH − η E[(A − H)Σ(A − H)ᵀ] = η E[b bᵀ].

No step is small here: the equation is exact at every rate for which Σ exists. Leaving out both terms with −η
gives the law of the diffusion, HΣ + ΣH = ηE[b bᵀ].

Proof: E[δ'δ'ᵀ] = E[(I − ηA)Σ(I − ηAᵀ)] + η²E[b bᵀ], because a draw is independent of where the chain stands and the
terms linear in δ have mean 0; put E[AΣAᵀ] = HΣH + E[(A − H)Σ(A − H)ᵀ] and demand Σ' = Σ.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_continuous_lyapunov
from scipy.optimize import brentq
from scipy.sparse.linalg import LinearOperator, eigs, gmres

from singulab.dynamics.problem import LinearProblem, Matrix

_DENSE = 24  # dimension up to which second moments are mapped by a matrix


def stationary_covariance(problem: LinearProblem, rate: float) -> Matrix:
    """Σ at learning rate η, multiplicative noise included.

    Args:
        problem: a problem with affine gradients.
        rate: η, below :func:`stability_limit`.

    Raises:
        ValueError: the rate is not positive or the second moment diverges at it.

    Example:
        >>> from singulab.dynamics import GaussianRegression
        >>> float(stationary_covariance(GaussianRegression(np.array([1.0])), 0.5)[0, 0])
        0.5
    """
    require_stable(problem, rate)
    d = problem.num_weights
    inverse = _Lyapunov(problem.hessian, rate)
    wanted = inverse(rate * problem.noise)

    def apply(flat: Float[np.ndarray, " square"]) -> Float[np.ndarray, " square"]:
        s = _symmetric(flat.reshape(d, d))
        return (s - inverse(rate * problem.multiplicative(s))).ravel()

    if d <= _DENSE:
        matrix = np.stack([apply(unit) for unit in np.eye(d * d)], axis=1)
        # An antisymmetric S is mapped to 0: the identity there makes the system regular.
        swap = np.eye(d * d).reshape(d, d, d * d).transpose(1, 0, 2).reshape(d * d, d * d)
        solved = np.linalg.solve(matrix + (np.eye(d * d) - swap) / 2, wanted.ravel())
    else:
        operator = LinearOperator((d * d, d * d), matvec=apply, dtype=np.float64)
        solved, info = gmres(operator, wanted.ravel(), rtol=1e-12, atol=0.0, restart=60)
        if info:
            raise ValueError(
                f"The covariance at rate {rate:g} did not converge: the rate is too close to its limit."
            )
    return _symmetric(solved.reshape(d, d))


def diffusion_covariance(problem: LinearProblem, rate: float) -> Matrix:
    """Σ to first order in η: HΣ + ΣH = η E[b bᵀ]."""
    _positive(rate)
    return _symmetric(solve_continuous_lyapunov(problem.hessian, rate * problem.noise))


def excess_loss(problem: LinearProblem, covariance: Matrix) -> float:
    """½ tr(HΣ), the mean excess loss of a law with covariance Σ around w*."""
    return float(np.sum(problem.hessian * covariance)) / 2


def growth(problem: LinearProblem, rate: float) -> float:
    """Factor by which the second moment of δ grows per step in the long run; the law exists below 1."""
    d = problem.num_weights
    step = np.eye(d) - rate * problem.hessian

    def apply(flat: Float[np.ndarray, " square"]) -> Float[np.ndarray, " square"]:
        s = _symmetric(flat.reshape(d, d))
        return (step @ s @ step + rate**2 * problem.multiplicative(s)).ravel()

    if d <= _DENSE:
        matrix = np.stack([apply(unit) for unit in np.eye(d * d)], axis=1)
        return float(np.abs(np.linalg.eigvals(matrix)).max())
    operator = LinearOperator((d * d, d * d), matvec=apply, dtype=np.float64)
    return float(abs(eigs(operator, k=1, v0=np.eye(d).ravel(), return_eigenvectors=False)[0]))


def stability_limit(problem: LinearProblem) -> float:
    """The rate from which the second moment diverges, at most 2/λ_max(H) and smaller with multiplicative noise."""
    high = 2 / float(np.linalg.eigvalsh(problem.hessian)[-1])
    if growth(problem, high * (1 - 1e-9)) < 1:
        return high
    # The stable rates are an interval that begins at 0. Let T_η be the adjoint of one step on second moments, and
    # T_η P < P. Since T_η P is a convex quadratic in η with T_0 P = P, also T_θη P < P for 0 < θ < 1.
    low = high * 1e-6
    while growth(problem, low) >= 1:
        low /= 10
        if low < 1e-15 * high:
            raise ValueError("The second moment diverges at every rate.")
    return float(brentq(lambda rate: growth(problem, rate) - 1, low, high, rtol=1e-10))


def require_stable(problem: LinearProblem, rate: float) -> None:
    """Check that the law exists at this rate.

    Raises:
        ValueError: it does not.
    """
    _positive(rate)
    if not rate * float(np.linalg.eigvalsh(problem.hessian)[-1]) < 2 or growth(problem, rate) >= 1:
        raise ValueError(
            f"At rate {rate:g} the second moment of SGD diverges; it exists below "
            f"{stability_limit(problem):.4g} (2/λ_max = "
            f"{2 / float(np.linalg.eigvalsh(problem.hessian)[-1]):.4g})."
        )


class _Lyapunov:
    """Solves HX + XH − ηHXH = R in the eigenbasis of H, where it is X_ij(h_i + h_j − ηh_i h_j) = R_ij."""

    def __init__(self, hessian: Matrix, rate: float) -> None:
        values, self._vectors = np.linalg.eigh(hessian)
        self._divisor = values[:, None] + values - rate * np.multiply.outer(values, values)

    def __call__(self, right: Matrix) -> Matrix:
        q = self._vectors
        return q @ (q.T @ right @ q / self._divisor) @ q.T


def _symmetric(matrix: Matrix) -> Matrix:
    return (matrix + matrix.T) / 2


def _positive(rate: float) -> None:
    if not (rate > 0 and math.isfinite(rate)):
        raise ValueError(f"A learning rate must be positive and finite, got {rate:g}.")
