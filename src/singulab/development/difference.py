"""Two measurements at one resolution, compared."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from singulab.development.curve import require_one_resolution
from singulab.measurement import Measurement


@dataclass(frozen=True, kw_only=True)
class Difference:
    """λ̂ of the second minus λ̂ of the first, with the error of the measurements alone.

    The error bar says how far the sampling of these two networks can be off. It does not say how much two
    other networks, trained from other seeds, would differ.
    """

    first: str  # name of the first
    second: str  # name of the second
    value: float  # λ̂₂ − λ̂₁
    se: float  # √(se₁² + se₂²): the two are sampled independently
    ratio: float  # λ̂₂ / λ̂₁, NaN unless λ̂₁ > 0
    ratio_se: float  # to first order

    @property
    def z(self) -> float:
        """The difference in units of its error."""
        return self.value / self.se if self.se > 0 else math.nan

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "z": self.z}


def difference(
    first: Measurement, second: Measurement, *, names: tuple[str, str] = ("first", "second")
) -> Difference:
    """Compare two independent measurements.

    Args:
        first: a :class:`Measurement`.
        second: another one of the same quantity, n, unit, nβ and γ.
        names: what they are called in messages and tables.

    Returns:
        Difference and ratio with their standard errors.

    Raises:
        ValueError: if the two were measured at different resolutions.
    """
    require_one_resolution([(names[0], first), (names[1], second)])
    low, high = first.llc, second.llc
    ratio = high.value / low.value if low.value > 0 else math.nan
    return Difference(
        first=names[0],
        second=names[1],
        value=high.value - low.value,
        se=math.hypot(low.se, high.se),
        ratio=ratio,
        ratio_se=math.hypot(high.se, ratio * low.se) / low.value if low.value > 0 else math.nan,
    )
