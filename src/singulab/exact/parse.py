"""Text to polynomials with rational coefficients. Nothing is evaluated but arithmetic on what is written."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from singulab.exact.deadline import Deadline, TimeUpError, tick
from singulab.exact.polynomial import Exponents, Polynomial, from_mapping

Rational = dict[Exponents, Fraction]

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_HIGHEST = 60  # power in the input
_HIGHEST_DEGREE = 600  # of what is multiplied out
_MOST_TERMS = 20_000
_LONGEST_NUMBER = 4000  # digits; Python writes no more than 4300
_CONSTANTS = ("pi", "π")  # names that nobody means as variables


class NotAPolynomialError(ValueError):
    """The input is no polynomial with rational coefficients."""


@contextmanager
def reading(deadline: Deadline) -> Iterator[None]:
    """A block in which polynomials are read: it ends with an error when the time is up."""
    try:
        with deadline.guard():
            yield
    except TimeUpError:
        raise NotAPolynomialError(
            "The time was up before the polynomial was multiplied out; give a larger time_limit, or fewer terms."
        ) from None
    except RecursionError:
        raise NotAPolynomialError(
            "The polynomial is nested too deeply to be read; write it with fewer terms."
        ) from None


def read(expression: Any) -> ast.expr:
    """The syntax of a text or of a sympy expression."""
    if isinstance(expression, bool) or not (
        isinstance(expression, str | int | Fraction) or hasattr(expression, "free_symbols")
    ):
        raise NotAPolynomialError(
            f"A polynomial is wanted, as text such as '(x*y)^2 + z^4' or as a sympy expression; "
            f"got {type(expression).__name__}."
        )
    if not isinstance(expression, str | int | Fraction):
        _refuse_constants(expression)
    text = str(expression).strip()
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: "^" + m[0].translate(_SUPERSCRIPTS), text)
    text = text.replace("·", "*").replace("−", "-").replace("^", "**")
    if len(text) > 100_000:
        raise NotAPolynomialError(f"A text of {len(text)} letters is too long for a polynomial.")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        reason = getattr(error, "msg", None) or type(error).__name__
        raise NotAPolynomialError(
            f"{_short(text)!r} cannot be read as a polynomial ({reason}); write products with *, powers with ^."
        ) from None


def _refuse_constants(expression: Any) -> None:
    """An error if a sympy expression contains a number that is not rational."""
    from sympy import Basic, I, NumberSymbol, nan, oo, zoo

    atoms = expression.atoms() if isinstance(expression, Basic) else set()
    if strange := [
        str(a) for a in atoms if isinstance(a, NumberSymbol) or a in (I, oo, -oo, zoo, nan)
    ]:
        raise NotAPolynomialError(_irrational(min(strange)))


def _irrational(name: str) -> str:
    return (
        f"{name} is no rational number, and coefficients must be rational; give a variable that is meant another "
        f"name."
    )


def names(syntax: ast.expr) -> list[str]:
    """The variables that occur, in alphabetical order."""
    called = {
        n.func.id
        for n in ast.walk(syntax)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    found = {n.id for n in ast.walk(syntax) if isinstance(n, ast.Name)} - called
    if found.intersection(_CONSTANTS):
        raise NotAPolynomialError(_irrational("pi"))
    return sorted(found)


def expand(syntax: ast.expr, variables: Sequence[str]) -> Rational:
    """The polynomial, multiplied out."""
    tick()
    size = len(variables)
    zero = (0,) * size
    if isinstance(syntax, ast.Constant):
        value = syntax.value
        if isinstance(value, float):
            raise NotAPolynomialError(
                f"The coefficient {value!r} is a float. λ jumps with coefficients, so give it exactly: "
                f"{value!r} as a fraction, such as {Fraction(str(value))}, if that is what is meant."
            )
        if isinstance(value, bool) or not isinstance(value, int):
            raise NotAPolynomialError(f"{value!r} is no rational number.")
        return {zero: Fraction(value)} if value else {}
    if isinstance(syntax, ast.Name):
        if syntax.id in _CONSTANTS:
            raise NotAPolynomialError(_irrational("pi"))
        if syntax.id not in variables:
            raise NotAPolynomialError(
                f"The symbol {syntax.id!r} is unknown; the variables are {', '.join(variables)}."
            )
        return {tuple(int(v == syntax.id) for v in variables): Fraction(1)}
    if isinstance(syntax, ast.UnaryOp) and isinstance(syntax.op, ast.USub | ast.UAdd):
        inner = expand(syntax.operand, variables)
        return {a: -c for a, c in inner.items()} if isinstance(syntax.op, ast.USub) else inner
    if isinstance(syntax, ast.BinOp):
        return _operation(syntax, variables)
    raise NotAPolynomialError(
        f"{_short(ast.unparse(syntax))!r} is no polynomial: +, -, *, / by numbers and whole powers are; an "
        f"analytic model goes through exact.from_model."
    )


def _operation(syntax: ast.BinOp, variables: Sequence[str]) -> Rational:
    left = expand(syntax.left, variables)
    if isinstance(syntax.op, ast.Pow):
        power = expand(syntax.right, variables)
        exponent = _number(power)
        if exponent is None or exponent.denominator != 1 or not 0 <= exponent <= _HIGHEST:
            raise NotAPolynomialError(
                f"{_short(ast.unparse(syntax))!r}: a power must be a whole number from 0 to {_HIGHEST}."
            )
        _refuse_degree(_degree(left) * int(exponent))
        result: Rational = {(0,) * len(variables): Fraction(1)}
        for _ in range(int(exponent)):
            result = times(result, left)
        return result
    right = expand(syntax.right, variables)
    if isinstance(syntax.op, ast.Add | ast.Sub):
        sign = 1 if isinstance(syntax.op, ast.Add) else -1
        total = dict(left)
        for a, c in right.items():
            total[a] = total.get(a, Fraction(0)) + sign * c
        return {a: c for a, c in total.items() if c}
    if isinstance(syntax.op, ast.Mult):
        return times(left, right)
    if isinstance(syntax.op, ast.Div):
        divisor = _number(right)
        if not divisor:
            raise NotAPolynomialError(
                f"{_short(ast.unparse(syntax))!r}: only division by a number other than 0 gives a polynomial."
            )
        return {a: c / divisor for a, c in left.items()}
    raise NotAPolynomialError(f"{_short(ast.unparse(syntax))!r} is no polynomial.")


def squares(syntax: ast.expr, variables: Sequence[str]) -> list[Rational] | None:
    """g₁, …, with K = Σ cᵢ gᵢ² and cᵢ > 0, where K is written as such a sum; else None."""
    if isinstance(syntax, ast.BinOp) and isinstance(syntax.op, ast.Add):
        left, right = squares(syntax.left, variables), squares(syntax.right, variables)
        return None if left is None or right is None else left + right
    if isinstance(syntax, ast.BinOp) and isinstance(syntax.op, ast.Mult | ast.Div):
        left, right = squares(syntax.left, variables), squares(syntax.right, variables)
        if left is None or right is None:
            return None
        return [times(p, q) for p in left for q in right]
    if isinstance(syntax, ast.BinOp) and isinstance(syntax.op, ast.Pow):
        exponent = _number(expand(syntax.right, variables))
        if exponent is not None and exponent > 0 and exponent % 2 == 0:
            half = ast.BinOp(syntax.left, ast.Pow(), ast.Constant(int(exponent) // 2))
            return [expand(half, variables)]
    number = _number(expand(syntax, variables)) if not names(syntax) else None
    if number is not None and number > 0:
        return [{(0,) * len(variables): Fraction(1)}]
    return None


def times(p: Mapping[Exponents, Fraction], q: Mapping[Exponents, Fraction]) -> Rational:
    """The product of two polynomials."""
    _refuse_degree(_degree(p) + _degree(q))
    if len(p) * len(q) > 50 * _MOST_TERMS:
        raise NotAPolynomialError("The polynomial has too many terms when it is multiplied out.")
    total: Rational = {}
    for a, c in p.items():
        tick()
        for b, d in q.items():
            e = tuple(i + j for i, j in zip(a, b, strict=True))
            total[e] = total.get(e, Fraction(0)) + c * d
    if len(total) > _MOST_TERMS:
        raise NotAPolynomialError("The polynomial has too many terms when it is multiplied out.")
    bits = max(
        (max(c.numerator.bit_length(), c.denominator.bit_length()) for c in total.values()),
        default=0,
    )
    if bits > _LONGEST_NUMBER * 3.32:
        raise NotAPolynomialError(
            f"A coefficient has more than {_LONGEST_NUMBER} digits when the polynomial is multiplied out."
        )
    return {a: c for a, c in total.items() if c}


def _degree(p: Mapping[Exponents, Fraction]) -> int:
    return max(map(sum, p), default=0)


def _refuse_degree(degree: int) -> None:
    if degree > _HIGHEST_DEGREE:
        raise NotAPolynomialError(
            f"A polynomial of degree {degree} is not multiplied out; the highest total degree is {_HIGHEST_DEGREE}."
        )


def moved(
    p: Mapping[Exponents, Fraction], point: Sequence[Fraction], signs: Sequence[int]
) -> Rational:
    """The polynomial in the coordinates w′ with w = point + sign·w′."""
    if not any(point) and all(s == 1 for s in signs):
        return dict(p)
    size = len(point)
    total: Rational = {}
    powers: dict[tuple[int, int], Rational] = {}
    one: Rational = {(0,) * size: Fraction(1)}
    for i, (value, sign) in enumerate(zip(point, signs, strict=True)):
        axis = {tuple(int(i == j) for j in range(size)): Fraction(sign)}
        if value:
            axis[(0,) * size] = value
        powers[i, 0], powers[i, 1] = one, axis
    for a, c in p.items():
        term = one
        for i, e in enumerate(a):
            for k in range(2, e + 1):
                if (i, k) not in powers:
                    powers[i, k] = times(powers[i, k - 1], powers[i, 1])
            term = times(term, powers[i, e])
        for b, d in term.items():
            total[b] = total.get(b, Fraction(0)) + c * d
    return {a: c for a, c in total.items() if c}


def integral(p: Mapping[Exponents, Fraction]) -> Polynomial:
    """A positive integer multiple with integer coefficients."""
    return from_mapping(p)


def rational(value: Any, what: str) -> Fraction:
    """A number that is given exactly: an integer, a fraction, a text or a sympy rational."""
    if isinstance(value, bool | float):
        raise NotAPolynomialError(f"{what} must be exact, such as 1/3 or '1/3', got {value!r}.")
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise NotAPolynomialError(f"{what} must be a rational number, got {value!r}.") from None


def _number(p: Mapping[Exponents, Fraction]) -> Fraction | None:
    if not p:
        return Fraction(0)
    (a, c), *rest = p.items()
    return c if not rest and not any(a) else None


def _short(text: str) -> str:
    text = text.replace("**", "^")
    return text if len(text) <= 60 else text[:57] + "…"
