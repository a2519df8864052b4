"""Networks with one hidden layer of an analytic activation, and polynomial networks of two weights."""

from fractions import Fraction

from singulab.exact.formulas.hypothesis import whole
from singulab.exact.result import RLCT

_MOST_LAYERS = 60  # r^L has to be a number one can print


def vandermonde(num_hidden: int, *, num_outputs: int = 1, period: int = 1) -> RLCT:
    """f(x) = Σ_j a_j φ(b_j x) with one input, M outputs and zero truth, φ with the powers 1, 1+Q, 1+2Q, ….

    With k = max{i : 2H ≥ M(i(i−1)Q + 2i)}:  λ = (MQk(k+1) + 2H)/(4(1 + kQ)),  m = 2 if the inequality is an
    equality at k, else 1.

    Args:
        num_hidden: H ≥ 1.
        num_outputs: M ≥ 1.
        period: Q; 2 for odd functions such as tanh, 1 if all powers occur.

    Source: M. Aoyagi, "A Bayesian learning coefficient of generalization error and Vandermonde matrix-type
        singularities", Communications in Statistics (2010), as cited elsewhere, not looked up. Proved by algebra here
        for M = 1 up to H = 3 and Q = 3, for M = 1, H = 4, Q = 2 (tanh), and for M = 2 up to H = 2; beyond that it rests
        on the citation, and algebra confirms it as an upper bound for H = 3 with M = 2.

    Example:
        >>> vandermonde(2).value
        Fraction(3, 4)
    """
    whole(num_hidden=num_hidden, num_outputs=num_outputs, period=period)
    h, m, q = num_hidden, num_outputs, period

    def needed(i: int) -> int:
        return m * (i * (i - 1) * q + 2 * i)

    k = 0
    while needed(k + 1) <= 2 * h:
        k += 1
    value = Fraction(m * q * k * (k + 1) + 2 * h, 4 * (1 + k * q))
    return RLCT.proved(value, 2 if 2 * h == needed(k) else 1, how="Vandermonde type (Aoyagi 2010)")


def tanh_network(num_hidden: int, *, num_outputs: int = 1) -> RLCT:
    """f(x) = Σ_j a_j tanh(b_j x) with one input, no biases and zero truth: λ = (H + k² + k)/(4k + 2), k = ⌊√H⌋.

    The formula is for one output; more are of Vandermonde type with Q = 2 as well.

    Args:
        num_hidden: H ≥ 1.
        num_outputs: M ≥ 1.

    Source: as :func:`vandermonde`.

    Example:
        >>> tanh_network(4).value, tanh_network(4).multiplicity
        (Fraction(1, 1), 2)
    """
    return vandermonde(num_hidden, num_outputs=num_outputs, period=2)


def polynomial_network(power: int, num_layers: int) -> RLCT:
    """K of W σ(⋯σ(W x)), W = [[θ₁+θ₂, θ₁²], [θ₁², θ₂²]] used L times, σ(x) = x^r: λ = 3(r−1)/(4(r^L−1)), m = 1.

    Give u = θ₁+θ₂ the weight 2 and v = θ₁ the weight 1: every entry of W has leading weight 2, the outputs
    2(1 + r + … + r^{L−1}), and K twice that, without further zeros near 0.

    Args:
        power: r ≥ 2.
        num_layers: L ≥ 1.

    Source: arXiv:2608.20183 for the networks; the closed form by the weights above.

    Example:
        >>> polynomial_network(2, 3).value
        Fraction(3, 28)
    """
    whole(power=power, num_layers=num_layers)
    if power < 2:
        raise ValueError(f"power is at least 2, got {power}: with 1 the network is linear.")
    if num_layers > _MOST_LAYERS:
        raise ValueError(f"num_layers is at most {_MOST_LAYERS}, got {num_layers}.")
    total = sum(power**layer for layer in range(num_layers))
    return RLCT.proved(
        Fraction(3, 4 * total), 1, how="quasihomogeneous leading form (weights 2, 1)"
    )
