"""λ̂ along training, as a series of points that may be compared.

λ̂ depends on nβ and γ far more than on the sampler. Re-tuning them per checkpoint manufactures stages, so
a curve takes only measurements of one quantity at one resolution.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from singulab.measurement import Measurement

# What every point of a curve must share: (field of a measurement, how it is called in words).
SHARED = (
    ("quantity", "quantity"),
    ("num_data", "number of data n"),
    ("unit", "unit of n"),
    ("nbeta", "inverse temperature nβ"),
    ("localization", "localization γ"),
)


@dataclass(frozen=True)
class Curve:
    """Measurements of one quantity at one resolution, in the order of training.

    A point whose measurement did not pass its checks stays in the curve, marked: it is drawn hollow and
    :func:`singulab.development.stages.stages` leaves it out aloud.

    Args:
        steps: training step of each point, ≥ 0 and strictly increasing.
        measurements: one :class:`Measurement` per step.
        label: name of the series in figures and tables, such as "true labels".

    Raises:
        ValueError: if lengths differ, steps do not increase, or points differ in quantity, n, its unit,
            nβ or γ; the message names them.
    """

    steps: tuple[float | int, ...]
    measurements: tuple[Measurement, ...]
    label: str = ""

    def __post_init__(self) -> None:
        if not self.steps or len(self.steps) != len(self.measurements):
            raise ValueError(
                f"A curve needs one measurement per step and at least one step, got "
                f"{len(self.steps)} steps and {len(self.measurements)} measurements."
            )
        if not all(math.isfinite(step) and step >= 0 for step in self.steps):
            raise ValueError(f"Steps of a curve are finite and not negative, got {self.steps}.")
        for before, after in pairwise(self.steps):
            if after <= before:
                raise ValueError(
                    f"Steps of a curve increase strictly, but {after:g} follows {before:g}."
                )
        require_one_resolution(
            [(f"step {s:g}", m) for s, m in zip(self.steps, self.measurements, strict=True)]
        )

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[float | int, Measurement]]:
        return iter(zip(self.steps, self.measurements, strict=True))

    @property
    def quantity(self) -> str:
        return str(self.measurements[0].quantity)

    @property
    def unit(self) -> str:
        return str(self.measurements[0].unit)

    @property
    def num_data(self) -> int | None:
        return self.measurements[0].num_data

    @property
    def nbeta(self) -> float:
        return float(self.measurements[0].nbeta)

    @property
    def localization(self) -> float:
        return float(self.measurements[0].localization)

    @property
    def values(self) -> Float[np.ndarray, " point"]:
        """λ̂ of each point; NaN where no chain lived."""
        return np.array([m.llc.value for m in self.measurements], dtype=float)

    @property
    def errors(self) -> Float[np.ndarray, " point"]:
        """Standard error of each λ̂."""
        return np.array([m.llc.se for m in self.measurements], dtype=float)

    @property
    def passed(self) -> tuple[bool, ...]:
        """Whether each point passed its checks with a finite value and error."""
        return tuple(
            bool(m.passed) and math.isfinite(m.llc.value) and math.isfinite(m.llc.se)
            for m in self.measurements
        )

    @property
    def failed_steps(self) -> tuple[float | int, ...]:
        """Steps of the points that did not pass."""
        return tuple(s for s, ok in zip(self.steps, self.passed, strict=True) if not ok)

    def where(self, keep: Callable[[float | int, Measurement], bool]) -> "Curve":
        """The points for which ``keep(step, measurement)`` holds; at least one must."""
        kept = [(s, m) for s, m in self if keep(s, m)]
        return Curve(tuple(s for s, _ in kept), tuple(m for _, m in kept), self.label)

    def shuffled(self, seed: int) -> "Curve":
        """The same measurements in random order over the same steps: a curve without stages."""
        order = np.random.default_rng(seed).permutation(len(self))
        return Curve(self.steps, tuple(self.measurements[i] for i in order), self.label)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: what the points share, then each measurement with its step."""
        return {
            "label": self.label,
            "quantity": self.quantity,
            "unit": self.unit,
            "num_data": self.num_data,
            "nbeta": self.nbeta,
            "localization": self.localization,
            "failed_steps": list(self.failed_steps),
            "points": [{"step": step, **m.to_dict()} for step, m in self],
        }


def require_one_resolution(named: Sequence[tuple[str, Measurement]]) -> None:
    """Refuse measurements that may not be compared.

    Args:
        named: (name, measurement) pairs; the names appear in the message.

    Raises:
        ValueError: if they differ in quantity, number of data, unit, nβ or γ.
    """
    for field, words in SHARED:
        first_name, first = named[0][0], getattr(named[0][1], field)
        for name, measurement in named[1:]:
            other = getattr(measurement, field)
            if not _same(first, other):
                raise ValueError(
                    f"Only measurements at one resolution can be compared, but the {words} differs: "
                    f"{_show(first)} for {first_name}, {_show(other)} for {name}. "
                    f"Measure all of them with one Settings."
                )


def _same(first: Any, other: Any) -> bool:
    if isinstance(first, float) and isinstance(other, float):
        return math.isclose(first, other, rel_tol=1e-9)
    return bool(first == other)


def _show(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
