"""Reduced rank regression: a linear network of two layers, M inputs → H hidden → N outputs, of true rank r."""

from fractions import Fraction

from singulab.zoo.deep_linear import DeepLinear


def learning_coefficient(
    num_inputs: int, num_hidden: int, num_outputs: int, rank: int
) -> tuple[Fraction, int]:
    """λ and m, by the four cases of the theorem.

    | case | condition | λ | m |
    |---|---|---|---|
    | 1 | N+r ≤ M+H, M+r ≤ N+H, H+r ≤ M+N; sum M+N+H+r even | ⅛[2(H+r)(M+N) − (M−N)² − (H+r)²] | 1 |
    | 1 | the same, sum odd | ⅛[1 + 2(H+r)(M+N) − (M−N)² − (H+r)²] | 2 |
    | 2 | M+H < N+r | ½(HM − Hr + Nr) | 1 |
    | 3 | N+H < M+r | ½(HN − Hr + Mr) | 1 |
    | 4 | M+N < H+r | ½MN | 1 |

    Args:
        num_inputs: M.
        num_hidden: H.
        num_outputs: N.
        rank: r of the true map.

    Source: Aoyagi & Watanabe, "Stochastic complexities of reduced rank regression in Bayesian estimation",
        Neural Networks (2005).

    Example:
        >>> learning_coefficient(5, 3, 5, 0)
        (Fraction(13, 2), 2)
    """
    m, h, n, r = num_inputs, num_hidden, num_outputs, rank
    if min(m, h, n) < 1 or not 0 <= r <= min(m, h, n):
        raise ValueError(
            f"rank must lie between 0 and the least of M {m}, H {h} and N {n}, got {r}."
        )
    if m + h < n + r:
        return Fraction(h * m - h * r + n * r, 2), 1
    if n + h < m + r:
        return Fraction(h * n - h * r + m * r, 2), 1
    if m + n < h + r:
        return Fraction(m * n, 2), 1
    odd = (m + n + h + r) % 2
    return Fraction(odd + 2 * (h + r) * (m + n) - (m - n) ** 2 - (h + r) ** 2, 8), 1 + odd


def reduced_rank_regression(
    num_inputs: int,
    num_hidden: int,
    num_outputs: int,
    rank: int,
    *,
    name: str,
    seed: int,
    num_data: int = 10_000,
    batch_size: int = 64,
    label_noise: float = 0.0,
) -> DeepLinear:
    """Reduced rank regression as a case; constructed like :class:`DeepLinear` with two layers."""
    return DeepLinear(
        name=name,
        widths=(num_inputs, num_hidden, num_outputs),
        rank=rank,
        num_data=num_data,
        batch_size=batch_size,
        seed=seed,
        label_noise=label_noise,
    )


# One instance per case of the theorem, small enough for gold values in seconds.
REDUCED_RANK: tuple[DeepLinear, ...] = (
    reduced_rank_regression(6, 4, 6, 2, name="reduced-rank-1-even", seed=101),
    reduced_rank_regression(6, 3, 6, 2, name="reduced-rank-1-odd", seed=102),
    reduced_rank_regression(3, 4, 9, 2, name="reduced-rank-2", seed=103),
    reduced_rank_regression(9, 4, 3, 2, name="reduced-rank-3", seed=104),
    reduced_rank_regression(4, 8, 3, 2, name="reduced-rank-4", seed=105),
)
