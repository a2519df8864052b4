"""From a parametric model to the ideal of K.

Regression with Gaussian noise: f(x, θ) − truth(x) = Σ_j g_j(θ) e_j(x) with linearly independent e_j has
K ~ Σ g_j². For a polynomial f the e_j are monomials of the inputs. For units a·σ(b·x) with an odd analytic σ all
of whose odd Taylor coefficients differ from 0,

    p_k(x) = Σ_i a_i (b_i·x)^{2k+1}

are the coefficients of the Taylor series, and finitely many generate all of them: with H units, e_j the elementary
symmetric functions of the (b_i·x)², p_k = Σ_{j=1}^{H} ±e_j p_{k−j} from k = H on.

A discrete model with probabilities p_x(θ) and a truth q has K ~ Σ_x (p_x(θ) − q_x)².
"""

import ast
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from singulab.exact.parse import (
    NotAPolynomialError,
    Rational,
    expand,
    names,
    rational,
    read,
    times,
)
from singulab.exact.polynomial import Exponents
from singulab.exact.problem import Interval, of_polynomials
from singulab.exact.result import RLCT
from singulab.exact.threshold import solve

ODD = ("tanh", "sin", "sinh", "atan", "erf")  # odd, with no odd Taylor coefficient 0


class _Parts(NamedTuple):
    """polynomial + Σ coefficient·σ(inner)."""

    polynomial: Rational
    units: list[tuple[str, Rational, Rational]]  # σ, coefficient, inner


def from_model(
    f: str | Sequence[str],
    parameters: Sequence[str],
    inputs: Sequence[str],
    truth: Any,
    *,
    at: Mapping[str, Any] | None = None,
    domain: Mapping[str, Interval] | None = None,
    prior: Any = None,
    time_limit: float = 10.0,
) -> RLCT:
    """λ and m of a regression model or of a discrete model at a parameter that realises the truth.

    The inputs are thought to have a density, so that functions that differ are told apart.

    Args:
        f: the output, or several, as polynomials of parameters and inputs plus terms such as ``a*tanh(b*x)``
            with polynomials a of the parameters and b·x linear in the inputs without bias; σ is one of tanh,
            sin, sinh, atan, erf. Without inputs: the probabilities of all outcomes.
        parameters: names of θ.
        inputs: names of x; empty for a discrete model.
        truth: the true function, of the same kind and in the inputs alone, or true probabilities.
        at: the true parameter, by name; others are 0.
        domain: (low, high) by parameter.
        prior: a monomial that the prior behaves like.
        time_limit: seconds.

    Raises:
        ValueError: f is of no supported kind, or the parameter does not realise the truth.

    Source: M. Aoyagi and S. Watanabe, Neural Networks 18 (2005); S. Watanabe (2009), chapter 7.

    Example:
        >>> found = from_model("a*tanh(b*x)", ["a", "b"], ["x"], "0")
        >>> str(found.value), found.multiplicity
        ('1/2', 2)
    """
    point = {name: rational(value, f"The value of {name}") for name, value in (at or {}).items()}
    special = [*(domain or {}), *(names(read(prior)) if prior is not None else [])]
    generators, point = ideal_of_model(f, parameters, inputs, truth, point, special)
    return solve(of_polynomials(parameters, generators, point, domain, prior), time_limit)


def ideal_of_model(
    f: str | Sequence[str],
    parameters: Sequence[str],
    inputs: Sequence[str],
    truth: Any,
    point: Mapping[str, Fraction] | None = None,
    fixed: Sequence[str] = (),
) -> tuple[list[Rational], dict[str, Fraction]]:
    """Generators g_j of K ~ Σ g_j² as polynomials of the parameters, and the point.

    Of a unit a·σ(b·x) of its own parameters with b ≠ 0 at the point, a·b and b² are coordinates as good as a
    and b, and p_k is linear in the first. They take the places of a and b, unless one of these is ``fixed``.
    """
    outputs = [f] if isinstance(f, str) else list(f)
    truths = [truth] if isinstance(truth, str | int | Fraction) else list(truth)
    if len(truths) != len(outputs):
        raise ValueError(
            f"The model has {len(outputs)} outputs and the truth {len(truths)}; they must agree."
        )
    if both := set(parameters) & set(inputs):
        raise ValueError(
            f"{', '.join(sorted(both))}: a parameter and an input cannot share a name."
        )
    variables = [*parameters, *inputs]
    generators: list[Rational] = []
    here = {name: Fraction(0) for name in parameters} | dict(point or {})
    lonely: list[tuple[int, int]] = []
    for output, true in zip(outputs, truths, strict=True):
        told = read(str(true))
        if strange := [n for n in names(told) if n not in inputs]:
            raise ValueError(f"The truth may contain inputs only, got {', '.join(strange)}.")
        model, target = _parts(read(output), variables), _parts(told, variables)
        polynomial = dict(model.polynomial)
        for a, c in target.polynomial.items():
            polynomial[a] = polynomial.get(a, Fraction(0)) - c
        units = [*model.units, *((s, {a: -c for a, c in k.items()}, b) for s, k, b in target.units)]
        if len(outputs) == 1 and not any(any(a) for a in polynomial):
            lonely = _lonely(units, parameters, here, fixed)
        generators.extend(_coefficients(polynomial, units, len(parameters), lonely))
    for outer, within in lonely:
        here[parameters[outer]] *= here[parameters[within]]
        here[parameters[within]] **= 2
    return [g for g in generators if g], here


def _lonely(
    units: Sequence[tuple[str, Rational, Rational]],
    parameters: Sequence[str],
    point: Mapping[str, Fraction],
    fixed: Sequence[str],
) -> list[tuple[int, int]]:
    """Places of a and b in units a·σ(b·x) that share neither with another unit, b not 0 at the point."""
    dim = len(parameters)
    told = [{i for p in unit[1:] for e in p for i in range(dim) if e[i]} for unit in units]
    found = []
    for k, (_, coefficient, inner) in enumerate(units):
        if len(coefficient) != 1 or len(inner) != 1:
            continue
        ((outer, c),), ((within, d),) = coefficient.items(), inner.items()
        places = [[i for i in range(dim) if e[i]] for e in (outer, within)]
        plain = c == d == 1 and sum(outer) == 1 and sum(within[:dim]) == 1
        if not plain or len(places[0]) != 1 or len(places[1]) != 1:
            continue
        a, b = places[0][0], places[1][0]
        alone = all(not told[j] & {a, b} for j in range(len(units)) if j != k)
        if (
            a != b
            and alone
            and point[parameters[b]]
            and not {parameters[a], parameters[b]} & set(fixed)
        ):
            found.append((a, b))
    return found


def _coefficients(
    polynomial: Rational,
    units: Sequence[tuple[str, Rational, Rational]],
    dim: int,
    lonely: Sequence[tuple[int, int]],
) -> list[Rational]:
    """Coefficients of all input monomials that are needed."""
    if len({s for s, _, _ in units}) > 1:
        raise NotAPolynomialError("Units of one model must have one activation.")
    for _, _, inner in units:
        if any(sum(a[dim:]) != 1 for a in inner):
            raise NotAPolynomialError(
                "The argument of an activation must be linear in the inputs without a bias, such as b*x + c*y."
            )
    highest = max((sum(a[dim:]) for a in polynomial), default=0)
    total = dict(polynomial)
    for k in range((highest + 1) // 2 + len(units) if units else 0):
        factor = _taylor(units[0][0], 2 * k + 1)
        for _, coefficient, inner in units:
            term = dict(coefficient)
            for _ in range(2 * k + 1):
                term = times(term, inner)
            for a, c in term.items():
                for _, b in lonely:
                    if a[b]:  # a·b^{2k+1} = (a·b)·(b²)^k
                        a = (*a[:b], a[b] // 2, *a[b + 1 :])
                total[a] = total.get(a, Fraction(0)) + factor * c
    parts: dict[Exponents, Rational] = {}
    for a, c in total.items():
        if c:
            parts.setdefault(a[dim:], {})[a[:dim]] = c
    return [parts[key] for key in sorted(parts, key=lambda e: (sum(e), e))]


def _taylor(name: str, order: int) -> Fraction:
    """The Taylor coefficient of an activation, up to a common factor of all of them."""
    factorial = 1
    for i in range(2, order + 1):
        factorial *= i
    k = order // 2
    if name == "sin":
        return Fraction((-1) ** k, factorial)
    if name == "sinh":
        return Fraction(1, factorial)
    if name == "atan":
        return Fraction((-1) ** k, order)
    if name == "erf":
        small = 1
        for i in range(2, k + 1):
            small *= i
        return Fraction((-1) ** k, small * order)
    # tanh′ = 1 − tanh²
    series = [Fraction(0)] * (order + 2)
    for n in range(order):
        square = sum((series[i] * series[n - i] for i in range(n + 1)), Fraction(0))
        series[n + 1] = (int(n == 0) - square) / (n + 1)
    return series[order]


def _parts(syntax: ast.expr, variables: Sequence[str]) -> _Parts:
    """An expression as a polynomial and units."""
    if not any(isinstance(n, ast.Call) for n in ast.walk(syntax)):
        return _Parts(expand(syntax, variables), [])
    if isinstance(syntax, ast.Call):
        name = syntax.func.id if isinstance(syntax.func, ast.Name) else ""
        if name not in ODD or len(syntax.args) != 1 or syntax.keywords:
            raise NotAPolynomialError(
                f"{ast.unparse(syntax)[:60]!r}: activations are {', '.join(ODD)}, of one argument."
            )
        one: Rational = {(0,) * len(variables): Fraction(1)}
        return _Parts({}, [(name, one, expand(syntax.args[0], variables))])
    if isinstance(syntax, ast.UnaryOp) and isinstance(syntax.op, ast.USub | ast.UAdd):
        return _scaled(_parts(syntax.operand, variables), {(0,) * len(variables): _sign(syntax.op)})
    if isinstance(syntax, ast.BinOp) and isinstance(syntax.op, ast.Add | ast.Sub):
        left, right = _parts(syntax.left, variables), _parts(syntax.right, variables)
        right = _scaled(right, {(0,) * len(variables): _sign(syntax.op)})
        total = dict(left.polynomial)
        for a, c in right.polynomial.items():
            total[a] = total.get(a, Fraction(0)) + c
        return _Parts(total, left.units + right.units)
    if isinstance(syntax, ast.BinOp) and isinstance(syntax.op, ast.Mult):
        left, right = _parts(syntax.left, variables), _parts(syntax.right, variables)
        if not left.units or not right.units:
            with_units, factor = (
                (left, right.polynomial) if left.units else (right, left.polynomial)
            )
            return _scaled(with_units, factor)
    raise NotAPolynomialError(
        f"{ast.unparse(syntax)[:60]!r} is no sum of a polynomial and of terms such as a*tanh(b*x)."
    )


def _sign(operator: ast.AST) -> Fraction:
    return Fraction(-1 if isinstance(operator, ast.USub | ast.Sub) else 1)


def _scaled(parts: _Parts, factor: Rational) -> _Parts:
    return _Parts(
        times(parts.polynomial, factor), [(s, times(k, factor), b) for s, k, b in parts.units]
    )
