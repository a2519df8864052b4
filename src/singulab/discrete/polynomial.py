"""Polynomials with rational coefficients: read from text, evaluated on integers without rounding."""

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

Terms = Mapping[tuple[int, ...], Fraction]

_MOST_POWER = 64
_MOST_TERMS = 2_000
_MOST_VALUE = 10**300


@dataclass(frozen=True)
class Polynomial:
    """Σ coefficient · product of variables to their powers.

    Example:
        >>> Polynomial.parse("x*y + 1/2").terms
        {(1, 1): Fraction(1, 1), (0, 0): Fraction(1, 2)}
    """

    variables: tuple[str, ...]
    terms: Terms  # powers of the variables → coefficient, none of them 0

    @classmethod
    def parse(cls, text: str) -> "Polynomial":
        """Read sums, differences, products and whole powers of names and numbers; ``^`` is a power.

        Variables are in the order of the alphabet. Decimals are exact: 0.1 is 1/10.

        Raises:
            ValueError: the text is something else.
        """
        try:
            tree = ast.parse(text.replace("^", "**").strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(
                f"polynomial must be text such as 'x*y' or 'y^2 - x^3', got {text!r}."
            ) from None
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        variables = tuple(sorted(names))
        if not variables:
            raise ValueError(f"polynomial needs at least one variable, got {text!r}.")
        terms = _read(tree, variables)
        if not any(terms.values()):
            raise ValueError(f"polynomial must not be 0 everywhere, got {text!r}.")
        return cls(variables, {powers: c for powers, c in terms.items() if c})

    @property
    def degree(self) -> int:
        return max(map(sum, self.terms))

    def scaled(self, mesh: Fraction) -> tuple[dict[tuple[int, ...], int], Fraction]:
        """Integer coefficients C and a factor s with p(mesh·k) = s·ΣC·k^powers."""
        exact = {powers: c * mesh ** sum(powers) for powers, c in self.terms.items()}
        common = math.lcm(*(c.denominator for c in exact.values()))
        whole = {powers: int(c * common) for powers, c in exact.items()}
        shared = math.gcd(*whole.values())
        return {p: c // shared for p, c in whole.items()}, Fraction(shared, common)


def at_most(
    coefficients: Mapping[tuple[int, ...], int],
    axes: Sequence[np.ndarray],
    limits: Sequence[int],
) -> list[np.ndarray]:
    """Whether |ΣC·k^powers| ≤ limit at integer points, exactly, for every limit.

    Where no value can leave 62 bits, in int64. Else in float64 with a bound of its rounding error, and
    points that this leaves open are computed with Python's integers.

    Args:
        coefficients: C by powers.
        axes: an int64 array per variable; their shapes broadcast to that of the points.
        limits: integers ≥ 0.

    Raises:
        ValueError: values can leave the range of floating point.
    """
    reach = [int(np.abs(axis).max(initial=0)) for axis in axes]
    largest = sum(
        abs(c) * math.prod(r**p for r, p in zip(reach, powers, strict=True))
        for powers, c in coefficients.items()
    )
    shape = np.broadcast_shapes(*(axis.shape for axis in axes))
    if largest < 2**62:
        whole = np.zeros(shape, np.int64)
        for powers, c in coefficients.items():
            whole += _monomial(np.int64(c), axes, powers)
        np.abs(whole, out=whole)
        return [whole <= min(limit, 2**62) for limit in limits]
    if largest >= _MOST_VALUE:
        raise ValueError(
            "the polynomial spans over 300 orders of magnitude on this lattice; take a coarser mesh or a lower degree."
        )
    limits = [min(limit, largest) for limit in limits]
    real = [axis.astype(np.float64) for axis in axes]
    value, size = np.zeros(shape), np.zeros(shape)
    for powers, c in coefficients.items():
        term = _monomial(np.float64(c), real, powers)
        value += term
        size += np.abs(term)
    error = size * (2.0**-52 * (len(coefficients) + 2 * max(map(sum, coefficients)) + 2))
    np.abs(value, out=value)
    found = []
    for limit in limits:
        below = value <= limit
        for place in zip(*np.nonzero(np.abs(value - float(limit)) <= error), strict=True):
            point = [int(np.broadcast_to(axis, shape)[place]) for axis in axes]
            exact = sum(
                c * math.prod(k**p for k, p in zip(point, powers, strict=True))
                for powers, c in coefficients.items()
            )
            below[place] = abs(exact) <= limit
        found.append(below)
    return found


def _monomial(c: np.generic, axes: Sequence[np.ndarray], powers: tuple[int, ...]) -> np.ndarray:
    """One term; variables that share a shape are multiplied before they are spread over the points."""
    factors: dict[tuple[int, ...], np.ndarray] = {}
    for axis, power in zip(axes, powers, strict=True):
        for _ in range(power):
            held = factors.get(axis.shape)
            factors[axis.shape] = axis if held is None else held * axis
    smallest_first = sorted(factors.values(), key=lambda factor: factor.size)
    value = np.asarray(c)
    for factor in smallest_first:
        value = value * factor
    return value


def _number(value: object) -> float:
    """A plain number as a float; infinity for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.inf
    return float(value) if abs(value) < 1e300 else math.inf


def _read(node: ast.expr, variables: tuple[str, ...]) -> dict[tuple[int, ...], Fraction]:
    constant = (0,) * len(variables)
    if isinstance(node, ast.Name):
        place = variables.index(node.id)
        return {tuple(int(i == place) for i in range(len(variables))): Fraction(1)}
    finite = isinstance(node, ast.Constant) and abs(_number(node.value)) < 1e100
    if isinstance(node, ast.Constant) and finite:
        return {constant: Fraction(str(node.value))}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign = -1 if isinstance(node.op, ast.USub) else 1
        return {p: sign * c for p, c in _read(node.operand, variables).items()}
    if isinstance(node, ast.BinOp):
        left, right = _read(node.left, variables), _read(node.right, variables)
        if isinstance(node.op, ast.Add):
            return _sum(left, right)
        if isinstance(node.op, ast.Sub):
            return _sum(left, {p: -c for p, c in right.items()})
        if isinstance(node.op, ast.Mult):
            return _product(left, right)
        fixed = right.get(constant, Fraction(0)) if set(right) <= {constant} else None
        if isinstance(node.op, ast.Div) and fixed:
            return {p: c / fixed for p, c in left.items()}
        whole = fixed is not None and fixed.denominator == 1 and 0 <= fixed <= _MOST_POWER
        if isinstance(node.op, ast.Pow) and whole:
            result = {constant: Fraction(1)}
            for _ in range(int(fixed or 0)):
                result = _product(result, left)
            return result
    raise ValueError(
        f"a polynomial is made of +, -, *, division by numbers and whole powers up to {_MOST_POWER}, "
        f"got {ast.unparse(node)!r}."
    )


def _sum(
    left: Mapping[tuple[int, ...], Fraction], right: Mapping[tuple[int, ...], Fraction]
) -> dict[tuple[int, ...], Fraction]:
    return {
        p: left.get(p, Fraction(0)) + right.get(p, Fraction(0))
        for p in dict.fromkeys((*left, *right))
    }


def _product(
    left: Mapping[tuple[int, ...], Fraction], right: Mapping[tuple[int, ...], Fraction]
) -> dict[tuple[int, ...], Fraction]:
    result: dict[tuple[int, ...], Fraction] = {}
    for p, c in left.items():
        for q, d in right.items():
            powers = tuple(a + b for a, b in zip(p, q, strict=True))
            result[powers] = result.get(powers, Fraction(0)) + c * d
    if len(result) > _MOST_TERMS or max(map(sum, result), default=0) > _MOST_POWER:
        raise ValueError(
            f"a polynomial has degree {_MOST_POWER} and {_MOST_TERMS} terms at most, once multiplied out."
        )
    return result
