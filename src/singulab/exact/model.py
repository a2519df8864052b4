"""From a parametric model to the ideal of K.

Regression with Gaussian noise: f(x, θ) − truth(x) = Σ_j g_j(θ) e_j(x) with linearly independent e_j has
K ~ Σ g_j². For a polynomial f the e_j are monomials of the inputs. With units a·σ(b·x) they are those of the Taylor
series, of which finitely many coefficients generate all others: :mod:`singulab.exact.activation` says which.

A discrete model with probabilities p_x(θ) and a truth q has K ~ Σ_x (p_x(θ) − q_x)².
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import factorial
from typing import Any, NamedTuple

from singulab.exact.activation import BIASED, ODD, odd_coefficient, tanh_polynomials
from singulab.exact.deadline import Deadline
from singulab.exact.parse import (
    NotAPolynomialError,
    Rational,
    expand,
    names,
    rational,
    read,
    reading,
    times,
)
from singulab.exact.polynomial import Exponents
from singulab.exact.problem import Interval, mapping, of_polynomials
from singulab.exact.result import RLCT
from singulab.exact.threshold import solve


class _Unit(NamedTuple):
    """coefficient·σ(inner + bias)."""

    activation: str
    coefficient: Rational
    inner: Rational
    bias: int | None = None  # the parameter that it is, by its place


class _Parts(NamedTuple):
    """A polynomial and a sum of units."""

    polynomial: Rational
    units: list[_Unit]


def from_model(
    f: Any,
    parameters: Sequence[Any],
    inputs: Sequence[Any],
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
            with polynomials a of the parameters and b·x linear in the inputs; σ is one of tanh, sin, sinh,
            atan, erf. Up to three units of tanh may have a bias, ``a*tanh(b*x + c)``, that is a parameter of its
            own and 0 at the point. Without inputs: the probabilities of all outcomes.
        parameters: names of θ.
        inputs: names of x; empty for a discrete model.
        truth: the true function, of the same kind and in the inputs alone, or true probabilities.
        at: the true parameter, by name; others are 0.
        domain: (low, high) by parameter.
        prior: a monomial that the prior behaves like.
        time_limit: seconds.

    Raises:
        ValueError: f is of no supported kind, a name is repeated, or the parameter does not realise the truth.
        TypeError: an argument is of another kind than told above.

    Source: M. Aoyagi and S. Watanabe, Neural Networks 18 (2005); S. Watanabe (2009), chapter 7.

    Example:
        >>> found = from_model("a*tanh(b*x)", ["a", "b"], ["x"], "0")
        >>> str(found.value), found.multiplicity
        ('1/2', 2)
    """
    deadline = Deadline.after(time_limit)
    parameters = _names(parameters, "parameters")
    inputs = _names(inputs, "inputs")
    values = {} if at is None else mapping(at, "at", "{'a': 1}")
    domain = {} if domain is None else mapping(domain, "domain", "{'a': (0, None)}")
    with reading(deadline):
        point = {name: rational(value, f"The value of {name}") for name, value in values.items()}
        special = [*domain, *(names(read(prior)) if prior is not None else [])]
        generators, point = ideal_of_model(f, parameters, inputs, truth, point, special)
        problem = of_polynomials(parameters, generators, point, domain, prior)
    return solve(problem, deadline)


def _names(given: Any, what: str) -> list[str]:
    """Names that differ."""
    if not isinstance(given, Sequence) or not all(
        isinstance(name, str) or hasattr(name, "free_symbols") for name in given
    ):
        raise TypeError(f"{what} must be a list of names such as ['a', 'b'], got {given!r:.60}.")
    found = [str(name) for name in given]
    if repeated := sorted({name for name in found if found.count(name) > 1}):
        raise ValueError(f"The {what} must differ, but these are repeated: {', '.join(repeated)}.")
    return found


def _texts(given: Any, what: str) -> list[Any]:
    """One expression or several, as a list."""
    if isinstance(given, str | int | Fraction) or hasattr(given, "free_symbols"):
        return [given]
    if not isinstance(given, Sequence):
        raise TypeError(
            f"{what} must be a text such as 'a*tanh(b*x)', or a list of them, got {given!r:.60}."
        )
    return list(given)


def ideal_of_model(
    f: Any,
    parameters: Sequence[str],
    inputs: Sequence[str],
    truth: Any,
    point: Mapping[str, Fraction] | None = None,
    fixed: Sequence[str] = (),
) -> tuple[list[Rational], dict[str, Fraction]]:
    """Generators g_j of K ~ Σ g_j² as polynomials of the parameters, and the point.

    Of a unit a·σ(b·x) of its own parameters with b ≠ 0 at the point, a·b and b² are coordinates as good as a
    and b, and p_k is linear in the first. They take the places of a and b, unless one of these is ``fixed``.
    tanh(c) takes the place of a bias c.
    """
    outputs, truths = _texts(f, "f"), _texts(truth, "truth")
    if len(truths) != len(outputs):
        raise ValueError(
            f"The model has {len(outputs)} outputs and the truth {len(truths)}; they must agree."
        )
    if both := set(parameters) & set(inputs):
        raise ValueError(
            f"{', '.join(sorted(both))}: a parameter and an input cannot share a name."
        )
    variables = [*parameters, *inputs]
    told = [_told(true, inputs, variables) for true in truths]
    models = [_parts(read(output), variables) for output in outputs]
    here = {name: Fraction(0) for name in parameters} | dict(point or {})
    models = _biased([*models, *told], parameters, here)[: len(outputs)]
    generators: list[Rational] = []
    lonely: list[tuple[int, int]] = []
    for model, target in zip(models, told, strict=True):
        polynomial = dict(model.polynomial)
        for a, c in target.polynomial.items():
            polynomial[a] = polynomial.get(a, Fraction(0)) - c
        minus = {(0,) * len(variables): Fraction(-1)}
        units = [*model.units, *_scaled(target, minus).units]
        bare = not any(any(a) for a in polynomial) and all(unit.bias is None for unit in units)
        if len(outputs) == 1 and bare:
            lonely = _lonely(units, parameters, here, fixed)
        generators.extend(_coefficients(polynomial, units, parameters, lonely))
    for outer, within in lonely:
        here[parameters[outer]] *= here[parameters[within]]
        here[parameters[within]] **= 2
    return [g for g in generators if g], here


def _told(truth: Any, inputs: Sequence[str], variables: Sequence[str]) -> _Parts:
    """The truth, of inputs alone."""
    syntax = read(truth if not isinstance(truth, float) else str(truth))
    if strange := [name for name in names(syntax) if name not in inputs]:
        raise ValueError(f"The truth may contain inputs only, got {', '.join(strange)}.")
    return _parts(syntax, variables)


def _biased(
    models: Sequence[_Parts], parameters: Sequence[str], point: Mapping[str, Fraction]
) -> list[_Parts]:
    """The same with biases apart from what is linear in the inputs."""
    dim = len(parameters)
    inners = [unit.inner for model in models for unit in model.units]
    others = [model.polynomial for model in models]
    others += [unit.coefficient for model in models for unit in model.units]
    found = []
    for model in models:
        units = []
        for unit in model.units:
            linear = {a: c for a, c in unit.inner.items() if any(a[dim:])}
            bias = [a for a in unit.inner if a not in linear]
            if not bias:
                units.append(unit)
                continue
            place = bias[0].index(1) if len(bias) == 1 and sum(bias[0]) == 1 else None
            if place is None:
                raise NotAPolynomialError(
                    "A bias must be one parameter, such as c in tanh(b*x + c); in a truth there is none, for tanh of a "
                    "rational bias is irrational."
                )
            name = parameters[place]
            if (
                any(a[place] for p in others for a in p)
                or any(a[place] for p in inners if p != unit.inner for a in p)
                or any(a[place] for a in linear)
            ):
                raise NotAPolynomialError(
                    f"The bias {name} occurs elsewhere too, so tanh({name}) cannot take its place as a coordinate."
                )
            if point[name]:
                raise NotAPolynomialError(
                    f"The bias {name} is {point[name]} at the point, where tanh({name}) is irrational; biases must be "
                    f"0 there."
                )
            units.append(unit._replace(inner=linear, bias=place))
        found.append(model._replace(units=units))
    return found


def _lonely(
    units: Sequence[_Unit],
    parameters: Sequence[str],
    point: Mapping[str, Fraction],
    fixed: Sequence[str],
) -> list[tuple[int, int]]:
    """Places of a and b in units a·σ(b·x) that share neither with another unit, b not 0 at the point."""
    dim = len(parameters)
    told = [
        {i for p in (unit.coefficient, unit.inner) for e in p for i in range(dim) if e[i]}
        for unit in units
    ]
    found = []
    for k, (_, coefficient, inner, _) in enumerate(units):
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
    units: Sequence[_Unit],
    parameters: Sequence[str],
    lonely: Sequence[tuple[int, int]],
) -> list[Rational]:
    """Coefficients of all input monomials that are needed."""
    dim = len(parameters)
    if len({unit.activation for unit in units}) > 1:
        raise NotAPolynomialError("Units of one model must have one activation.")
    if any(sum(a[dim:]) != 1 for unit in units for a in unit.inner):
        raise NotAPolynomialError(
            "The argument of an activation must be linear in the inputs, such as b*x + c*y or b*x + c."
        )
    total = dict(polynomial)
    biased = any(unit.bias is not None for unit in units)
    for k, factors in _series(polynomial, units, dim) if biased else _odd(polynomial, units, dim):
        for unit, factor in zip(units, factors, strict=True):
            term = times(unit.coefficient, factor)
            for _ in range(k):
                term = times(term, unit.inner)
            for a, c in term.items():
                for _, b in lonely:
                    if a[b]:  # a·b^{2k+1} = (a·b)·(b²)^k
                        a = (*a[:b], a[b] // 2, *a[b + 1 :])
                total[a] = total.get(a, Fraction(0)) + c
    parts: dict[Exponents, Rational] = {}
    for a, c in total.items():
        if c:
            parts.setdefault(a[dim:], {})[a[:dim]] = c
    return [parts[key] for key in sorted(parts, key=lambda e: (sum(e), e))]


def _odd(
    polynomial: Rational, units: Sequence[_Unit], dim: int
) -> Iterator[tuple[int, list[Rational]]]:
    """Orders that generate the others, each with the Taylor coefficient of every unit."""
    if not units:
        return
    one = (0,) * len(next(iter(units[0].inner)))
    highest = max((sum(a[dim:]) for a in polynomial), default=0)
    for k in range(1, 2 * ((highest + 1) // 2 + len(units)), 2):
        yield k, [{one: odd_coefficient(units[0].activation, k)}] * len(units)


def _series(
    polynomial: Rational, units: Sequence[_Unit], dim: int
) -> Iterator[tuple[int, list[Rational]]]:
    """The same with biases: the coefficient of order k is P_k(t)/k!, a polynomial of t = tanh(bias)."""
    if units[0].activation != "tanh":
        raise NotAPolynomialError(
            f"A bias inside {units[0].activation} is not supported: tanh alone has Taylor coefficients that are "
            f"polynomials of its value."
        )
    if len(units) not in BIASED:
        raise NotAPolynomialError(
            f"{len(units)} units of which some have biases (those of the truth included): how many Taylor "
            f"coefficients generate the others is known up to {max(BIASED)}."
        )
    if any(sum(a[dim:]) for a in polynomial):
        raise NotAPolynomialError(
            "Beside units with biases the polynomial part may not contain inputs."
        )
    size = len(next(iter(units[0].inner)))
    for k, powers in enumerate(tanh_polynomials(BIASED[len(units)])):
        factors: list[Rational] = []
        for unit in units:
            t = [int(i == unit.bias) for i in range(size)]
            factors.append(
                {
                    tuple(e * i for i in t): c / factorial(k)
                    for e, c in powers.items()
                    if unit.bias is not None or e == 0
                }
            )
        yield k, factors


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
        return _Parts({}, [_Unit(name, one, expand(syntax.args[0], variables))])
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
    units = [unit._replace(coefficient=times(unit.coefficient, factor)) for unit in parts.units]
    return _Parts(times(parts.polynomial, factor), units)
