"""Weights of few bits: what rounding does to a trained network, and how many weights a format makes one function."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from singulab.discrete.levels import FORMATS, patterns
from singulab.rng import Purpose, generator

GRIDS = tuple(range(2, 17))
_FLOATS = ("float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2")


def rounded(
    weights: Float[Tensor, " weight"], precision: str | int, *, radius: float | None = None
) -> Float[Tensor, " weight"]:
    """Weights as a format would hold them, in their own dtype.

    Args:
        weights: of a trained network.
        precision: a float format such as ``"bfloat16"``, or bits b ≥ 2 of a uniform grid: the 2^b − 1 equally
            distant values from −radius to radius, 0 among them.
        radius: of the grid; None = the largest weight.

    Raises:
        ValueError: unknown format, fewer than 2 bits, or weights beyond the largest finite number of the format.
    """
    if isinstance(precision, str):
        if precision not in FORMATS:
            raise ValueError(f"format is one of {', '.join(FORMATS)}, got {precision!r}.")
        held = weights.to(FORMATS[precision]).to(weights.dtype)
        if not held.isfinite().all():
            raise ValueError(
                f"{precision} ends at {torch.finfo(FORMATS[precision]).max:g}, and the largest weight is "
                f"{float(weights.abs().max()):g}."
            )
        return held
    if precision < 2:
        raise ValueError(f"a grid that holds 0 needs at least 2 bits, got {precision}.")
    reach = float(weights.abs().max()) if radius is None else radius
    if reach == 0:
        return weights.clone()
    mesh = reach / (2 ** (precision - 1) - 1)
    return (weights / mesh).round().mul_(mesh).clamp_(-reach, reach)


def bits(precision: str | int) -> int:
    """Bits of a weight."""
    if isinstance(precision, int):
        return precision
    return torch.tensor([], dtype=FORMATS[precision]).element_size() * 8


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A network at one precision."""

    precision: str  # name of the format, or grid
    bits: int  # of a weight
    loss: float
    excess: float  # loss − loss of the weights as they are
    disagreement: float | None  # share of inputs whose symbol has changed
    error: float | None  # off the training set


def readings(
    weights: Float[Tensor, " weight"],
    loss: Callable[[Tensor], float],
    *,
    symbols: Callable[[Tensor], np.ndarray] | None = None,
    error: Callable[[Tensor], float] | None = None,
    precisions: Sequence[str | int] = (*_FLOATS, *GRIDS),
) -> tuple[Reading, ...]:
    """Loss, function and generalisation of trained weights at several precisions.

    Args:
        weights: w*.
        loss: weights → training loss, nats per datum.
        symbols: weights → what the network answers on all inputs.
        error: weights → error off the training set.
        precisions: float formats, and bits of uniform grids.
    """
    base = loss(weights)
    reference = None if symbols is None else symbols(weights)
    found = []
    for precision in precisions:
        held = rounded(weights, precision)
        value = loss(held)
        changed = None
        if symbols is not None:
            changed = float((symbols(held) != reference).mean())
        found.append(
            Reading(
                precision=precision if isinstance(precision, str) else "grid",
                bits=bits(precision),
                loss=value,
                excess=value - base,
                disagreement=changed,
                error=None if error is None else error(held),
            )
        )
    return tuple(found)


def critical_bits(found: Sequence[Reading], tolerance: float) -> int | None:
    """The fewest bits of a uniform grid from which on no grid has an excess loss above ``tolerance``.

    Returns:
        None if the finest grid that was read is above it.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance must be > 0, got {tolerance}.")
    least = None
    for reading in sorted((r for r in found if r.precision == "grid"), key=lambda r: -r.bits):
        if not reading.excess <= tolerance:
            break
        least = reading.bits
    return least


@dataclass(frozen=True, kw_only=True)
class BitCost:
    """Bits of all weights together that a tolerance costs on a uniform grid, per halving of the tolerance."""

    slope: float  # d(weights × bits)/d log₂(1/tolerance)
    se: float
    tolerances: tuple[float, ...]
    bits: tuple[float, ...]  # weights × log₂(1/mesh) at each tolerance


def bit_cost(
    loss: Callable[[Float[Tensor, "point weight"]], Float[Tensor, " point"]],
    center: Float[Tensor, " weight"],
    tolerances: Sequence[float],
    *,
    num_offsets: int = 4_096,
    seed: int = 0,
) -> BitCost:
    """How many bits a uniform grid has to spend, to be compared with λ.

    A grid of mesh Δ whose place is random moves w* by ΔU, U uniform on [−½, ½]^d. The critical mesh has
    E[K(w* + ΔU)] = tolerance. If K vanishes to order k at w*, K ~ |w|^k, the slope is d/k. For a regular
    minimum and for sums of equal powers that is λ. It exceeds λ where some directions are flatter than others,
    because one mesh for all weights spends bits on the flat ones too.

    Args:
        loss: points [point, weight] → excess loss K ≥ 0.
        center: w*.
        tolerances: two or more excess losses, > 0.
        num_offsets: random places of the grid; the same for all meshes.
        seed: of the places.
    """
    if len(tolerances) < 2 or not min(tolerances) > 0:
        raise ValueError(f"bit_cost needs two or more tolerances > 0, got {list(tolerances)}.")
    dim = len(center)
    random = generator(seed, Purpose.START)
    offsets = torch.from_numpy(random.random((num_offsets, dim)) - 0.5).to(center.dtype)

    def spent(chosen: Tensor) -> list[float]:
        found = []
        for tolerance in tolerances:
            low, high = -60.0, 20.0  # log₂ of the mesh
            for _ in range(60):
                middle = (low + high) / 2
                above = float(loss(center + 2.0**middle * chosen).mean()) > tolerance
                low, high = (low, middle) if above else (middle, high)
            found.append(-dim * (low + high) / 2)
        return found

    x = -np.log2(np.asarray(tolerances, float))
    x = x - x.mean()
    parts = [float(x @ np.array(spent(part)) / (x @ x)) for part in offsets.chunk(8)]
    whole = spent(offsets)
    return BitCost(
        slope=float(x @ np.array(whole) / (x @ x)),
        se=float(np.std(parts, ddof=1) / math.sqrt(len(parts))),
        tolerances=tuple(tolerances),
        bits=tuple(whole),
    )


@dataclass(frozen=True, kw_only=True)
class VanishingPairs:
    """Pairs of finite bit patterns (x, y) of a format, and those whose rounded product is 0."""

    format: str
    pairs: int
    with_zero: int  # x or y is 0 itself
    underflow: int  # neither is, and the product rounds to 0

    @property
    def vanishing(self) -> int:
        """|A⁻¹(0)| of x·y."""
        return self.with_zero + self.underflow

    @property
    def share(self) -> float:
        return self.vanishing / self.pairs

    @property
    def complexity(self) -> float:
        """A-complexity of the function 0, nats."""
        return math.log(self.pairs / self.vanishing)


def vanishing_pairs(name: str) -> VanishingPairs:
    """Count the pairs with x·y = 0 in a float format with gradual underflow, exactly.

    To nearest, ties to even, a product rounds to 0 if |xy| is at most half of the smallest number s of the format.
    In sorted order the partners of x are those up to s/(2|x|), so the 2³² pairs of a format of 16 bits are counted
    through 2¹⁶ look-ups. Significands of 11 bits multiply exactly in float64.

    Example:
        >>> vanishing_pairs("float8_e4m3fn").vanishing
        3204
    """
    values = patterns(name)
    positive = np.sort(values[values > 0])
    half = positive[0] / 2
    partners = np.searchsorted(positive, half / positive, side="right")
    # The quotient was rounded: one step to either side decides it by the exact product.
    last = np.minimum(partners, len(positive) - 1)
    partners += (partners < len(positive)) & (positive * positive[last] <= half)
    before = np.maximum(partners - 1, 0)
    partners -= (partners > 0) & (positive * positive[before] > half)
    zeros = int((values == 0).sum())
    return VanishingPairs(
        format=name,
        pairs=len(values) ** 2,
        with_zero=2 * zeros * len(values) - zeros**2,
        underflow=4 * int(partners.sum()),
    )
