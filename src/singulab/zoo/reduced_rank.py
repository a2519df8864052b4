"""Reduced rank regression: a linear network of two layers, M inputs → H hidden → N outputs, of true rank r."""

from fractions import Fraction

from singulab.exact import formulas
from singulab.zoo.deep_linear import DeepLinear


def learning_coefficient(
    num_inputs: int, num_hidden: int, num_outputs: int, rank: int
) -> tuple[Fraction, int]:
    """λ and m by the four cases of the theorem; see :func:`singulab.exact.formulas.reduced_rank`.

    Example:
        >>> learning_coefficient(5, 3, 5, 0)
        (Fraction(13, 2), 2)
    """
    found = formulas.reduced_rank(num_inputs, num_hidden, num_outputs, rank)
    assert found.value is not None
    assert found.multiplicity is not None
    return found.value, found.multiplicity


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
