"""Finite sets of values that a weight may take.

Every function returns the values in float64, one entry per pattern that the machine can hold: +0 and −0 of a
float format are two patterns with one value, and are counted twice on purpose.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float

FORMATS: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
}
_LEAST = Fraction(1, 10**100)
_PATTERNS = {8: torch.uint8, 16: torch.int16}


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Weights that each take one of the same finite set of values, all settings equally likely."""

    values: tuple[float, ...]  # one per pattern; equal values are different settings

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a weight needs at least one level, got none.")
        if not all(np.isfinite(self.values)):
            raise ValueError("levels must be finite numbers, got NaN or infinity.")

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Weights N(0, scale²/fan-in) and biases N(0, bias_scale²): a measure on real weights, to be sampled."""

    scale: float = 1.0  # σ_w
    bias_scale: float = 1.0  # σ_b

    def __post_init__(self) -> None:
        if not (self.scale > 0 and self.bias_scale >= 0):
            raise ValueError(
                f"scale must be > 0 and bias_scale ≥ 0, got {self.scale} and {self.bias_scale}."
            )


def binary() -> Levels:
    """−1 and 1."""
    return Levels(values=(-1.0, 1.0))


def ternary() -> Levels:
    """−1, 0 and 1."""
    return Levels(values=(-1.0, 0.0, 1.0))


def uniform(num_levels: int, radius: float = 1.0) -> Levels:
    """``num_levels`` ≥ 2 values at equal distances from −radius to radius > 0.

    Example:
        >>> uniform(5).values
        (-1.0, -0.5, 0.0, 0.5, 1.0)
    """
    if num_levels < 2:
        raise ValueError(f"a grid needs at least 2 levels, got {num_levels}.")
    if not radius > 0:
        raise ValueError(f"radius must be > 0, got {radius}.")
    return Levels(values=tuple(np.linspace(-radius, radius, num_levels).tolist()))


def multiples(mesh: float | str | Fraction, radius: float | str | Fraction = 1) -> Levels:
    """The multiples of ``mesh`` > 0 in [−radius, radius].

    Both are read as exact decimals, so that 0.1 means 1/10 and a mesh of 0.1 reaches 1.

    Example:
        >>> len(multiples(0.1))
        21
    """
    step, reach = decimal(mesh, "mesh"), decimal(radius, "radius")
    half = int(reach / step)
    return Levels(values=tuple(float(k * step) for k in range(-half, half + 1)))


def float_format(name: str) -> Levels:
    """Every finite bit pattern of a float format of 8 or 16 bits."""
    return Levels(values=tuple(patterns(name).tolist()))


def patterns(name: str) -> Float[np.ndarray, " pattern"]:
    """The finite values of all bit patterns of a format in the order of their bits, in float64.

    Raises:
        ValueError: unknown format, or one of 32 bits, whose patterns are too many to list.
    """
    if name not in FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS)}, got {name!r}.")
    bits = torch.tensor([], dtype=FORMATS[name]).element_size() * 8
    if bits not in _PATTERNS:
        raise ValueError(f"{name} has 2^{bits} patterns; only formats of 8 and 16 bits are listed.")
    whole = torch.arange(2**bits).to(_PATTERNS[bits]).view(FORMATS[name])
    values = whole.to(torch.float64).numpy()
    return values[np.isfinite(values)]


def decimal(value: float | str | Fraction, name: str) -> Fraction:
    """A positive number read as the decimal that it is written as: 0.1 is 1/10.

    Raises:
        ValueError: not a number, not above 0, or beyond 10^±100.
    """
    told = str(value)
    exponent = re.search(r"e([+-]?[\d_]+)\s*$", told, re.IGNORECASE)
    try:
        # An exponent of many digits would be written out in full before anyone could look at it.
        far = exponent is not None and (len(exponent[1]) > 5 or abs(int(exponent[1])) > 400)
        exact = Fraction(0) if far else Fraction(told)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name} must be a number above 0, got {_short(told)!r}.") from None
    if exact <= 0 and not far:
        raise ValueError(f"{name} must be above 0, got {_short(told)}.")
    if far or not _LEAST <= exact <= 1 / _LEAST:
        raise ValueError(f"{name} must lie between 1e-100 and 1e100, got {_short(told)}.")
    return exact


def _short(told: str) -> str:
    return told if len(told) < 40 else f"{told[:36]}…"
