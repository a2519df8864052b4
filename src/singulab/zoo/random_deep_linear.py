"""Deep linear networks drawn by seed, for benchmarks on networks that nobody has looked at."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from singulab.zoo.deep_linear import DeepLinear

FEWEST, MOST = 100, 100_000  # weights
MOST_LAYERS = 8

_SPREAD = 0.4  # widths lie within e^{±0.4} of their common scale
_LEAST_WIDTH = 2
_FIRST_SEED = 100_000  # of the data, far from the seeds of the fixed instances


def random_deep_linear(seed: int, *, fewest: int = FEWEST, most: int = MOST) -> DeepLinear:
    """The deep linear network of a seed.

    | what | law |
    |---|---|
    | weights | log-uniform from ``fewest`` to ``most`` |
    | layers | uniform on 2 … 8 |
    | widths | a common scale times log-uniform factors within e^{±0.4}; at least 2 |
    | rank | half of the seeds: the least width; else uniform below it |
    | condition of the inputs | log-uniform from 1 to 100 |
    | imbalance | log-uniform from 1 to 4 |
    | label noise | half of the seeds: none; else uniform from 0 to 2, orthogonal to the inputs |
    | data | log-uniform from 5 000 to 50 000, a multiple of 16; 5 120 from 10 000 weights on |
    | batch size | 64; 128 from 1 000 weights on; 256 from 10 000 on |

    Args:
        seed: a non-negative integer; the same seed and bounds give the same network, data included.
        fewest: weights at least, 100 or more.
        most: weights at most, twice ``fewest`` or more.

    Example:
        >>> random_deep_linear(3) == random_deep_linear(3)
        True
    """
    if seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed}.")
    if not FEWEST <= fewest <= most / 2:
        raise ValueError(
            f"weights need bounds from {FEWEST} on that are a factor 2 apart, got {fewest} and {most}."
        )
    # random() alone is used: numpy may change what its other methods make of the same bits.
    uniform = np.random.Generator(np.random.PCG64(seed)).random
    widths, num_weights = _widths(uniform, fewest, most)
    is_full, rank, is_noisy, noise, condition, imbalance, num_data = uniform(7).tolist()
    least = min(widths)
    bounds = "" if (fewest, most) == (FEWEST, MOST) else f"{fewest}-{most}-"
    return DeepLinear(
        name=f"deep-linear-{bounds}{seed}",
        widths=widths,
        rank=least if is_full < 0.5 else 1 + int(rank * (least - 1)),
        # A large network with many data is so steep that exact chains do not get through it.
        num_data=16 * round(5_000 / 16 * 10**num_data) if num_weights < 10_000 else 5_120,
        batch_size=64 if num_weights < 1_000 else 128 if num_weights < 10_000 else 256,
        seed=_FIRST_SEED + seed,
        label_noise=2 * noise if is_noisy < 0.5 else 0.0,
        orthogonal_noise=is_noisy < 0.5,
        input_condition=100**condition,
        imbalance=4**imbalance,
    )


def _widths(
    uniform: Callable[[int], np.ndarray], fewest: int, most: int
) -> tuple[tuple[int, ...], int]:
    """Widths and the number of weights; drawn again where rounding carries that over a bound."""
    while True:
        size, depth = uniform(2)
        num_layers = 2 + int(depth * (MOST_LAYERS - 1))
        factors = np.exp(_SPREAD * (2 * uniform(num_layers + 1) - 1))
        wanted = fewest * (most / fewest) ** size
        scale = np.sqrt(wanted / (factors[1:] * factors[:-1]).sum())
        widths = tuple(max(_LEAST_WIDTH, round(width)) for width in (scale * factors).tolist())
        num_weights = sum(below * above for below, above in pairwise(widths))
        if fewest <= num_weights <= most:
            return widths, num_weights
