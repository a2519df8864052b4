"""Points of the lattice εℤ^d in a box at which a polynomial rounds to 0, counted exactly.

For θ₁θ₂ on [−R, R]², N = ⌊R/ε⌋ and X the largest integer below η/(2ε²),

    total = #{|θ₁θ₂| < η/2} = 4N + 1 + 4·#{1 ≤ i, j ≤ N : ij ≤ X},    origin = #{θ₁² + θ₂² ≤ η}.

η, ε and R are read as exact decimals and no count is ever rounded.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from jaxtyping import Float

from singulab.discrete.levels import decimal
from singulab.discrete.polynomial import Polynomial, at_most

Number = float | str | Fraction
Regime = Literal["area", "axes", "axes only"]

MOST_POINTS = 1 << 34  # lattice points that a polynomial is evaluated on
_AT_A_TIME = 1 << 20
_EULER = 0.577_215_664_901_532_9


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What the counts of θ₁θ₂ tend to, in closed form.

    * ``area``, ε ≪ η log(1/η): total = 2η(1 + ln(2R²/η))/ε², share = π/(2(1 + ln(2R²/η)));
    * ``axes``, ε² ≪ η ≪ ε: total = 4R/ε, share = πη/(4Rε), which falls to 0;
    * ``axes only``, η < ε²: nothing but the axes rounds to 0, and share = 1/(4R/ε + 1).
    """

    regime: Regime  # whichever of the two terms of the total is larger
    total: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """The count of θ₁θ₂ at one (η, ε), and what it should be close to."""

    eta: Fraction
    mesh: Fraction
    radius: Fraction
    total: int  # points with |θ₁θ₂| < η/2
    origin: int  # points with θ₁² + θ₂² ≤ η
    axes: int  # points with θ₁θ₂ = 0

    @property
    def share(self) -> float:
        """Of the points that round to 0, how many lie in the disk around the singular point."""
        return self.origin / self.total

    @property
    def limit(self) -> Limit:
        """The closed form of the regime that (η, ε) is in."""
        eta, mesh, radius = map(float, (self.eta, self.mesh, self.radius))
        area, lines = area_of_crossing(eta, radius) / mesh**2, 4 * radius / mesh
        if self.eta < self.mesh**2:
            return Limit(regime="axes only", total=lines + 1, share=1 / (lines + 1))
        disk = math.pi * eta / mesh**2
        if area < lines:
            return Limit(regime="axes", total=lines, share=disk / lines)
        return Limit(regime="area", total=area, share=disk / area)

    @property
    def uniform_total(self) -> float:
        """One closed form for all regimes: axes and divisors, 4N + 1 + 4(X ln X + (2γ_E − 1)X − …).

        The sum over the divisors that the box cuts off is a harmonic number. The error is of the order √X.
        """
        side, most = int(self.radius / self.mesh), _below(self.eta / (2 * self.mesh**2))
        return 4 * side + 1 + 4 * _approximate_pairs(most, side)


def crossing(eta: Number, mesh: Number, radius: Number = 1) -> Crossing:
    """Count the points of θ₁θ₂ that round to 0, and those of them in the disk around the origin.

    The work grows like √η/ε: ε = 10⁻⁷ takes a tenth of a second. A point of the disk with θ₁ = ±θ₂ and
    2θ₁² = η exactly is counted in ``origin`` and, since |θ₁θ₂| = η/2, not in ``total``.

    Args:
        eta: η > 0, the mesh of the outputs.
        mesh: ε > 0, the mesh of the weights.
        radius: R > 0; weights lie in [−R, R].

    Raises:
        ValueError: a number is not above 0, or ε is so fine that η/ε² exceeds 2⁶².

    Example:
        >>> crossing(0.01, 1e-3).total, crossing(0.01, 1e-3).origin
        (126121, 31417)
    """
    exact_eta, step, reach = decimal(eta, "eta"), decimal(mesh, "mesh"), decimal(radius, "radius")
    side = int(reach / step)
    most = min(_below(exact_eta / (2 * step**2)), side * side)
    most_of_disk = min(int(exact_eta / step**2), 2 * side * side)
    if max(most, most_of_disk) >= 2**62:
        raise ValueError(
            f"mesh {float(step):g} is too fine for eta {float(exact_eta):g}: η/ε² must stay below 2^62."
        )
    return Crossing(
        eta=exact_eta,
        mesh=step,
        radius=reach,
        total=4 * side + 1 + 4 * pairs(most, side),
        origin=disk(most_of_disk, side),
        axes=4 * side + 1,
    )


def square(eta: Number, mesh: Number, side: Number) -> int:
    """Points of |θ₁|, |θ₂| ≤ side at which θ₁θ₂ rounds to 0."""
    return crossing(eta, mesh, side).total


def row(eta: Number, mesh: Number, place: int, radius: Number = 1) -> int:
    """Points (place·ε, θ₂) at which θ₁θ₂ rounds to 0: about η/(place·ε²)."""
    exact_eta, step = decimal(eta, "eta"), decimal(mesh, "mesh")
    side, most = int(decimal(radius, "radius") / step), _below(exact_eta / (2 * step**2))
    return 2 * (side if place == 0 else min(most // abs(place), side)) + 1


def pairs(most: int, side: int) -> int:
    """Pairs 1 ≤ i, j ≤ side with ij ≤ most, by the hyperbola method.

    With s = min(⌊√most⌋, side) the pairs with i ≤ s and those with j ≤ s are equally many, and both hold
    the s² pairs with i, j ≤ s; no other pair exists. So the count is 2·Σ_{i≤s} min(⌊most/i⌋, side) − s².
    """
    if most >= side * side:
        return side * side
    s = min(math.isqrt(most), side)
    capped = min(most // side, s)  # below it ⌊most/i⌋ ≥ side
    total = capped * side
    for start in range(capped + 1, s + 1, _AT_A_TIME):
        i = np.arange(start, min(start + _AT_A_TIME, s + 1), dtype=np.int64)
        total += _whole_sum(most // i)
    return 2 * total - s * s


def disk(most: int, side: int) -> int:
    """Pairs |i|, |j| ≤ side with i² + j² ≤ most."""
    s = side = min(math.isqrt(most), side)
    total = 2 * s + 1
    for start in range(1, s + 1, _AT_A_TIME):
        i = np.arange(start, min(start + _AT_A_TIME, s + 1), dtype=np.int64)
        heights = np.minimum(_isqrt(most - i * i), side)
        total += 4 * _whole_sum(heights) + 2 * len(i)
    return total


def area_of_crossing(eta: float, radius: float) -> float:
    """Area of {|xy| < η/2, |x|, |y| < R}: 2η(1 + ln(2R²/η)), or 4R² where that is all."""
    half = eta / 2
    if half >= radius**2:
        return 4 * radius**2
    return 4 * half * (1 + math.log(radius**2 / half))


@dataclass(frozen=True, kw_only=True)
class Count:
    """The count of a polynomial at one (η, ε)."""

    total: int  # points with |p| < η/2
    near: int  # those of them within √η of the point
    points: int  # of the lattice in the box

    @property
    def share(self) -> float:
        """near/total; NaN if nothing rounds to 0."""
        return self.near / self.total if self.total else math.nan


def count(
    polynomial: Polynomial | str,
    eta: Number,
    mesh: Number,
    radius: Number = 1,
    *,
    point: Sequence[Number | int] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Count:
    """Count the points at which a polynomial rounds to 0, in the box and within √η of one point.

    Every point of the box is evaluated, so the work grows like (2R/ε)^d; θ₁θ₂ has :func:`crossing`.

    Args:
        polynomial: with rational coefficients, or its text, such as ``"y^2 - x^3"``.
        eta: η > 0, the mesh of the outputs.
        mesh: ε > 0, the mesh of the weights.
        radius: R > 0; the box is [−R, R]^d.
        point: a point of the box; None = the origin. Variables are in the order of the alphabet.
        on_progress: called with the points done and their number.

    Raises:
        ValueError: a number is not above 0, ``point`` has the wrong length, or the box holds over 2³⁴ points.

    Example:
        >>> count("x*y", 0.01, 0.01), crossing(0.01, 0.01).total
        (Count(total=1205, near=317, points=40401), 1205)
    """
    return counts(polynomial, [eta], mesh, radius, point=point, on_progress=on_progress)[0]


def counts(
    polynomial: Polynomial | str,
    etas: Sequence[Number],
    mesh: Number,
    radius: Number = 1,
    *,
    point: Sequence[Number | int] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Count, ...]:
    """:func:`count` at several η, for which the polynomial is evaluated once."""
    if isinstance(polynomial, str):
        polynomial = Polynomial.parse(polynomial)
    exact_etas = [decimal(eta, "eta") for eta in etas]
    step, reach = decimal(mesh, "mesh"), decimal(radius, "radius")
    dim = len(polynomial.variables)
    at = [Fraction(0)] * dim if point is None else [_coordinate(c) for c in point]
    if len(at) != dim:
        raise ValueError(f"{dim} variables need a point of as many coordinates, got {len(at)}.")
    half = int(reach / step)
    width = 2 * half + 1
    points = width ** min(dim, 100)
    if points > MOST_POINTS:
        raise ValueError(
            f"the box holds about 2^{points.bit_length() - 1} lattice points, and at most 2^34 are counted; take a "
            f"coarser mesh."
        )
    coefficients, factor = polynomial.scaled(step)
    limits = [_below(eta / (2 * factor)) for eta in exact_etas]
    # |k·ε − at|² ≤ η, multiplied by the square of a common denominator.
    common = math.lcm(*((c / step).denominator for c in at))
    ball = _ball([int(c / step * common) for c in at], common)
    within = [int(eta / step**2 * common**2) for eta in exact_etas]
    totals, nears, done = [0] * len(limits), [0] * len(limits), 0
    for leading, last in _slabs(dim, half):
        zeros = at_most(coefficients, [*leading, last], limits)
        for place, zero in enumerate(zeros):
            flat = np.flatnonzero(zero)
            totals[place] += len(flat)
            rows, columns = np.divmod(flat, zero.shape[1])
            chosen = [*(axis[rows, 0] for axis in leading), last[0, columns]]
            nears[place] += int(at_most(ball, chosen, [within[place]])[0].sum())
        done += zeros[0].size
        if on_progress is not None:
            on_progress(done, points)
    return tuple(
        Count(total=total, near=near, points=points)
        for total, near in zip(totals, nears, strict=True)
    )


def _slabs(dim: int, half: int) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """The box piece by piece: coordinates of all variables but the last as columns, the last as a row."""
    width = 2 * half + 1
    long = min(width, _AT_A_TIME)
    rows = max(1, _AT_A_TIME // long)
    for start in range(0, width ** (dim - 1), rows):
        rest = np.arange(start, min(start + rows, width ** (dim - 1)), dtype=np.int64)
        leading = []
        for _ in range(dim - 1):
            rest, k = np.divmod(rest, width)
            leading.append((k - half)[:, None])
        for begin in range(-half, half + 1, long):
            yield leading[::-1], np.arange(begin, min(begin + long, half + 1), dtype=np.int64)[None]


def _coordinate(value: Number | int) -> Fraction:
    told = str(value).strip()
    if re.fullmatch(r"[+-]?[0._]+(e[+-]?\d+)?", told, re.IGNORECASE):
        return Fraction(0)
    sign = -1 if told.startswith("-") else 1
    return sign * decimal(told.lstrip("+-"), "a coordinate of point")


def _ball(centre: Sequence[int], common: int) -> dict[tuple[int, ...], int]:
    """Σ(common·k − centre)² as a polynomial in k."""
    dim = len(centre)
    terms = {(0,) * dim: sum(c * c for c in centre)}
    for axis, c in enumerate(centre):
        for power, value in ((1, -2 * common * c), (2, common * common)):
            powers = tuple(power * (i == axis) for i in range(dim))
            terms[powers] = terms.get(powers, 0) + value
    return terms


@dataclass(frozen=True, kw_only=True)
class Exponent:
    """λ_eff at one output mesh: how the count grows between η/√2 and η√2."""

    eta: float
    value: float  # of the lattice
    continuum: float | None  # of the volume curve that was given


def exponents(
    counts: Callable[[Number], int],
    etas: Sequence[Number],
    *,
    power: int = 2,
    volume: Callable[[float], float] | None = None,
) -> tuple[Exponent, ...]:
    """The count read as a volume exponent: λ_eff(η) = (1/power)·d log count/d log η.

    |p| < η/2 is the set on which K = p² is below (η/2)², so λ of K is half of the slope in log η. As long as
    the lattice resolves the set this is the λ_eff of the volume; below, the count stands still and λ_eff is 0.

    Args:
        counts: η → number of points, such as ``lambda eta: crossing(eta, 1e-6).total``.
        etas: output meshes.
        power: 2 if the polynomial that was counted is an output p with K = p², 1 if it is K itself.
        volume: η → volume of the set in the continuum, or c·η^{power·λ} for a known λ.

    Example:
        >>> at = exponents(lambda eta: crossing(eta, 1e-5).total, [1e-2, 1e-12])
        >>> [round(one.value, 3) for one in at]
        [0.421, 0.0]
    """
    found = []
    for eta in etas:
        exact = decimal(eta, "eta")
        low, high = float(exact) / math.sqrt(2), float(exact) * math.sqrt(2)
        width = power * math.log(high / low)
        slope = math.log(counts(high) / counts(low)) / width
        smooth = None if volume is None else math.log(volume(high) / volume(low)) / width
        found.append(Exponent(eta=float(exact), value=slope, continuum=smooth))
    return tuple(found)


def plane(
    etas: Sequence[Number], meshes: Sequence[Number], radius: Number = 1
) -> Float[np.ndarray, "eta mesh"]:
    """The share of the singular point in θ₁θ₂ over a grid."""
    return np.array([[crossing(eta, mesh, radius).share for mesh in meshes] for eta in etas])


def _below(limit: Fraction) -> int:
    """The largest integer strictly below a positive number."""
    return -(-limit.numerator // limit.denominator) - 1


def _whole_sum(values: np.ndarray) -> int:
    """The sum of non-negative int64 numbers, which may exceed 2⁶³."""
    low, high = values & 0xFFFFFFFF, values >> 32
    return int(low.sum()) + (int(high.sum()) << 32)


def _isqrt(values: np.ndarray) -> np.ndarray:
    """⌊√v⌋ of int64 numbers below 2⁶²: the rounded root is off by at most 1."""
    root = np.sqrt(values.astype(np.float64)).astype(np.int64)
    root -= root * root > values
    root += (root + 1) * (root + 1) <= values
    return root


def _approximate_pairs(most: int, side: int) -> float:
    if most >= side * side:
        return float(side * side)
    if most == 0:
        return 0.0
    cut = most // side
    harmonic = _harmonic(cut)
    beyond = most * harmonic - cut / 2 - side * cut  # ⌊x⌋ is x − ½ on average
    return most * math.log(most) + (2 * _EULER - 1) * most - 2 * beyond


def _harmonic(n: int) -> float:
    if n < 20:
        return sum(1 / i for i in range(1, n + 1))
    return math.log(n) + _EULER + 1 / (2 * n) - 1 / (12 * n * n)
