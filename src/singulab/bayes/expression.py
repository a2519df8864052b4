"""A formula typed by a person, as a numpy function: no code of the text is ever run.

The text is read into Python's syntax tree, and only numbers, names, arithmetic and a short list of functions
are taken from it. Polynomials are factored first: (y − x²)² keeps full relative precision near its zeros,
its expansion only the square root of that.
"""

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from jaxtyping import Float

Points = Float[np.ndarray, "*batch dim"]
Values = Float[np.ndarray, "*batch"]

_MOST_LETTERS, _HIGHEST_POWER = 10_000, 64
_FACTORED_TERMS = 200  # larger polynomials are evaluated as they were written
_CONSTANTS = {"pi": sympy.pi}
_FUNCTIONS: dict[str, Any] = {
    "abs": sympy.Abs,
    "cos": sympy.cos,
    "exp": sympy.exp,
    "log": sympy.log,
    "max": sympy.Max,
    "min": sympy.Min,
    "sin": sympy.sin,
    "sqrt": sympy.sqrt,
    "tanh": sympy.tanh,
}
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


@dataclass(frozen=True)
class Expression:
    """A function of named real variables."""

    text: str
    names: tuple[str, ...]  # of the columns of its argument
    formula: Callable[..., Any]  # of one array per variable

    def __call__(self, points: Points) -> Values:
        columns = [points[..., index] for index in range(len(self.names))]
        return np.broadcast_to(self.formula(*columns), points.shape[:-1])


def expression(text: str, names: tuple[str, ...] | None = None) -> Expression:
    """Read a formula such as ``"x**2*y^2 + tanh(z)**2"``.

    Args:
        text: numbers, variables, ``+ - * / ** ^``, and abs, cos, exp, log, max, min, sin, sqrt, tanh, pi.
        names: order of the variables; default alphabetical, x2 before x10.

    Raises:
        ValueError: something else stands in the text.

    Example:
        >>> float(expression("(x - 2*y)^2")(np.array([3.0, 1.0])))
        1.0
    """
    tree = _tree(text)
    found = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    free = [name for name in found if name not in _FUNCTIONS and name not in _CONSTANTS]
    if not free:
        raise ValueError(f"A loss needs at least one variable, {text!r} has none.")
    if names is None:
        names = tuple(sorted(free, key=_natural))
    elif unknown := sorted(set(free) - set(names)):
        raise ValueError(f"{text!r} has {', '.join(unknown)} beside {', '.join(names)}.")
    symbols = {name: sympy.Symbol(name, real=True) for name in names}
    found_expression = _factored(_convert(tree.body, symbols), list(symbols.values()))
    return Expression(text, names, _compiled(found_expression, list(symbols.values())))


def _tree(text: str) -> ast.Expression:
    if not isinstance(text, str) or not text.strip():
        raise ValueError("A loss in words needs a formula, such as 'x**2*y**2'; got an empty text.")
    if len(text) > _MOST_LETTERS:
        raise ValueError(f"A formula has at most {_MOST_LETTERS} letters, got {len(text)}.")
    try:
        return ast.parse(text.strip().replace("^", "**"), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{text[:80]!r} is not a formula: write products with *, powers with ** or ^."
        ) from error


def _natural(name: str) -> tuple[str, int]:
    digits = len(name) - len(name.rstrip("0123456789"))
    head = name[: len(name) - digits]
    return head, int(name[len(head) :] or -1)


def _convert(node: ast.AST, symbols: dict[str, Any]) -> Any:
    """Syntax tree to sympy, one kind of node after the other."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        if not math.isfinite(node.value) or isinstance(node.value, bool):
            raise ValueError(f"A formula has finite numbers, got {node.value}.")
        return sympy.Integer(node.value) if isinstance(node.value, int) else _rational(node.value)
    if isinstance(node, ast.Name):
        if node.id in _FUNCTIONS:
            raise ValueError(f"{node.id} is a function: write {node.id}(…).")
        return _CONSTANTS.get(node.id, symbols.get(node.id))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _convert(node.operand, symbols)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        left, right = _convert(node.left, symbols), _convert(node.right, symbols)
        if isinstance(node.op, ast.Pow):
            return _power(left, right)
        if type(node.op) in _OPERATORS:
            if isinstance(node.op, ast.Div) and right == 0:
                raise ValueError("A formula divides by 0.")
            return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in _FUNCTIONS:
            raise ValueError(
                f"There is no function {node.func.id!r}; there are {', '.join(_FUNCTIONS)}."
            )
        arguments = [_convert(argument, symbols) for argument in node.args]
        wanted = 1 if node.func.id not in ("min", "max") else max(len(arguments), 1)
        if len(arguments) != wanted:
            raise ValueError(f"{node.func.id} takes one argument, got {len(arguments)}.")
        return _FUNCTIONS[node.func.id](*arguments)
    raise ValueError(
        "A formula is made of numbers, variables, + - * / ** and "
        f"{', '.join(_FUNCTIONS)}; {ast.unparse(node)[:60]!r} is something else."
    )


def _rational(value: float) -> Any:
    """The decimal that was typed, exactly: factoring must not see rounding."""
    return sympy.Rational(repr(value))


def _power(base: Any, exponent: Any) -> Any:
    if not exponent.is_Rational:
        raise ValueError(f"An exponent is a number, got {exponent}.")
    if abs(exponent) > _HIGHEST_POWER:
        raise ValueError(f"An exponent is at most {_HIGHEST_POWER}, got {exponent}.")
    return base**exponent


def _factored(value: Any, symbols: list[Any]) -> Any:
    if value.has(sympy.zoo, sympy.nan, sympy.oo):
        raise ValueError("The formula has no finite value anywhere.")
    if not value.is_polynomial(*symbols):
        return value
    polynomial = sympy.Poly(value, *symbols)
    if len(polynomial.terms()) > _FACTORED_TERMS or not polynomial.get_domain().is_QQ | (
        polynomial.get_domain().is_ZZ
    ):
        return value
    factored = sympy.factor_list(polynomial)
    if all(power == 1 for _, power in factored[1]):
        return value  # as it was written: a sum of squares stays one
    return factored[0] * sympy.prod([factor.as_expr() ** power for factor, power in factored[1]])


def _compiled(value: Any, symbols: list[Any]) -> Callable[..., Any]:
    """Numpy code with shared parts computed once, and powers as products: np.power is many times slower."""
    parts, (result,) = sympy.cse(value)
    names = {symbol: f"v{index}" for index, symbol in enumerate(symbols)}
    lines = [f"def formula({', '.join(names.values())}):"]
    for index, (symbol, part) in enumerate(parts):
        lines.append(f"    p{index} = {_code(part, names)}")
        names[symbol] = f"p{index}"
    lines.append(f"    return {_code(result, names)}")
    scope: dict[str, Any] = {"np": np, "power": _integer_power}
    # The lines hold nothing but what _code writes: numbers, numpy names and v0, p0, ….
    exec("\n".join(lines), scope)
    function: Callable[..., Any] = scope["formula"]
    return function


def _integer_power(base: Any, exponent: int) -> Any:
    result = None
    while exponent:
        if exponent & 1:
            result = base if result is None else result * base
        exponent >>= 1
        if exponent:
            base = base * base
    return result


_NUMPY = {
    sympy.Abs: "np.abs",
    sympy.cos: "np.cos",
    sympy.exp: "np.exp",
    sympy.log: "np.log",
    sympy.sin: "np.sin",
    sympy.tanh: "np.tanh",
}


def _code(value: Any, names: dict[Any, str]) -> str:
    if value in names:
        return names[value]
    if value.is_Number or value.is_NumberSymbol:
        return f"({float(value)!r})"
    parts = [_code(part, names) for part in value.args]
    if value.is_Add:
        return f"({' + '.join(parts)})"
    if value.is_Mul:
        return f"({' * '.join(parts)})"
    if value.is_Pow:
        exponent = value.exp
        if exponent.is_Integer:
            power = f"power({parts[0]}, {abs(int(exponent))})"
            return power if exponent > 0 else f"(1.0 / {power})"
        if exponent == sympy.Rational(1, 2):
            return f"np.sqrt({parts[0]})"
        return f"np.power({parts[0]}, {parts[1]})"
    if isinstance(value, sympy.Min | sympy.Max):
        name = "np.minimum" if isinstance(value, sympy.Min) else "np.maximum"
        code = parts[0]
        for part in parts[1:]:
            code = f"{name}({code}, {part})"
        return code
    if value.func in _NUMPY:
        return f"{_NUMPY[value.func]}({', '.join(parts)})"
    raise ValueError(f"{value} is no formula of real numbers.")
