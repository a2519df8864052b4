"""Which constant learning rate makes SGD sample the posterior of n data, and may it be used at all?

The posterior of a regular model is close to N(w*, (nH)⁻¹). With the law Σ = ηΣ₁ of the diffusion, the divergence

    KL(N(0, Σ) | N(0, (nH)⁻¹)) = ½(n tr(HΣ) − d − log det(nHΣ))

is least at η* = d/(n tr HΣ₁) = 2d/(n tr E[b bᵀ]) = 2Bd/(n tr C), the best constant rate of Mandt, Hoffman and Blei.
The rule η = 2N·n_b/D of a post on singular learning theory, here *the post*, is the same formula with tr C = 1.
Neither knows that SGD diverges above 2/λ_max, nor that Σ ∝ H⁻¹ needs isotropic noise.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from singulab.dynamics.law import excess_loss, stability_limit, stationary_covariance
from singulab.dynamics.problem import LinearProblem


@dataclass(frozen=True, kw_only=True)
class RateAdvice:
    """Learning rates that are meant to reproduce the posterior of n data."""

    formula: float  # 2Bd/(n tr C): Mandt's, and the post's with the measured σ² = tr C/d
    post: float  # 2dB/n: the post's with σ² = 1/d
    best: float  # where the exact law is closest to the posterior, among stable rates
    stability_limit: float  # the second moment diverges above
    divergence: float  # KL at ``best``, nats
    temperature: float  # 2·excess loss/d at ``best``, in units of the posterior's 1/n
    num_data: int  # n

    @property
    def stable(self) -> bool:
        """Whether the formula's rate can be used."""
        return self.formula < self.stability_limit


def rate_advice(problem: LinearProblem, num_data: int, *, batch_size: int = 1) -> RateAdvice:
    """The formula's rate, the post's, the best by the exact discrete-time law, and the stability limit.

    Args:
        problem: a problem with affine gradients.
        num_data: n of the posterior, 1 or more.
        batch_size: B, for the post's rule, which takes σ² as 1/d.

    Raises:
        ValueError: a count is below 1 or the problem has no noise.
    """
    if num_data < 1 or batch_size < 1:
        raise ValueError(
            f"num_data and batch_size must be at least 1, got {num_data} and {batch_size}."
        )
    noise = float(np.trace(problem.noise))
    if noise <= 0:
        raise ValueError("Without gradient noise no rate reproduces a posterior.")
    d, limit = problem.num_weights, stability_limit(problem)
    found = minimize_scalar(
        lambda log_rate: divergence(problem, math.exp(log_rate), num_data),
        bounds=(math.log(limit) - 40, math.log(limit * (1 - 1e-6))),
        method="bounded",
        options={"xatol": 1e-8},
    )
    best = math.exp(found.x)
    covariance = stationary_covariance(problem, best)
    return RateAdvice(
        formula=2 * d / (num_data * noise),
        post=2 * d * batch_size / num_data,
        best=best,
        stability_limit=limit,
        divergence=float(found.fun),
        temperature=2 * excess_loss(problem, covariance) / d * num_data,
        num_data=num_data,
    )


def divergence(problem: LinearProblem, rate: float, num_data: int) -> float:
    """KL from the posterior N(w*, (nH)⁻¹) to the Gaussian with the exact covariance of SGD, in nats.

    The law itself is Gaussian only without multiplicative noise.
    """
    d = problem.num_weights
    product = num_data * problem.hessian @ stationary_covariance(problem, rate)
    return float(np.trace(product) - d - np.linalg.slogdet(product)[1]) / 2


@dataclass(frozen=True, kw_only=True)
class PostNumbers:
    """The post's own model of a large network: N weights, σ² = 1/N, D = 20N data."""

    rate: float  # 2N·n_b/D, which is meant to reproduce the posterior
    limit: float  # 2/λ_max of a network that is trained at the edge of stability with ``used``
    temperature: float  # T = ησ²/(2n_b) at the rate in use
    posterior_temperature: float  # 1/D


def post_numbers(
    *, num_weights: float = 1e9, batch_size: float = 1e6, used: float = 1e-3, ratio: float = 20.0
) -> PostNumbers:
    """What the post's rule asks for, and what runs do.

    Args:
        num_weights: N.
        batch_size: n_b, in tokens.
        used: η of real runs. Training drives λ_max up to about 2/η, so η itself is the limit.
        ratio: data per weight.

    Raises:
        ValueError: a number is not positive.

    Example:
        >>> post_numbers().temperature < 1e-6 * post_numbers().posterior_temperature
        True
    """
    if not min(num_weights, batch_size, used, ratio) > 0:
        raise ValueError("All numbers of the post's model must be positive.")
    data = ratio * num_weights
    return PostNumbers(
        rate=2 * num_weights * batch_size / data,
        limit=used,
        temperature=used / num_weights / (2 * batch_size),
        posterior_temperature=1 / data,
    )
