"""Learning coefficients by algebra: how many are proved, how fast, and that every certificate replays.

Groups: ``random`` ideals drawn by seed without rejection, ``coordinates`` (nine ideals, each under five changes of
coordinates), ``table`` (rows with known values), ``networks`` (many variables), ``size`` (time against variables
and degree). The seeds are those of the test; development had others.
"""

import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from singulab.cli.bench import BenchConfig
from singulab.exact import RLCT, RefutedError, check, rlct, rlct_of_ideal

GROUPS = ("table", "random", "coordinates", "networks", "size")
Term = tuple[int, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Prove learning coefficients and replay the proofs."""

    groups: tuple[str, ...] = GROUPS  # which parts are run
    draws: int = 70  # random ideals for each number of variables
    seed: int = 20261122  # of the random ideals and of the changes of coordinates
    time_limit: float = 10.0  # seconds for each random ideal
    time_limit_coordinates: float = 25.0  # seconds for each changed ideal
    time_limit_networks: float = 60.0  # seconds for each network


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────

NAMES = "xyzwv"


def text(terms: dict[tuple[int, ...], int], names: str) -> str:
    """A polynomial as a person writes it."""
    parts = []
    for a, c in terms.items():
        powers = "*".join(f"{n}^{e}" if e > 1 else n for n, e in zip(names, a, strict=True) if e)
        parts.append(f"{c:+d}*{powers}" if powers else f"{c:+d}")
    return "".join(parts) or "0"


def random_ideal(dice: random.Random, dim: int) -> list[str]:
    """1–3 generators of 2–4 terms of degree 2–4 with coefficients ±1, ±2; whatever is drawn is kept."""
    generators = []
    for _ in range(dice.randint(1, 3)):
        terms: dict[tuple[int, ...], int] = {}
        for _ in range(dice.randint(2, 4)):
            powers = [0] * dim
            for _ in range(dice.randint(2, 4)):
                powers[dice.randrange(dim)] += 1
            terms[tuple(powers)] = dice.choice((-2, -1, 1, 2))
        generators.append(text(terms, NAMES[:dim]))
    return generators


NINE = {
    "smooth and parabola": ["x + y^2", "z"],
    "cusp": ["x^2 - y^3"],
    "cone with a cubic": ["x^2 + y^2 + z^2 - w^3"],
    "one hidden unit twice": ["x*y + z*w"],
    "umbrella": ["x^2 - y^2*z"],
    "tanh, two units": ["x*y + z*w", "x*y^3 + z*w^3"],
    "all powers, two units": ["x*y + z*w", "x*y^2 + z*w^2"],
    "product and input": ["x*y", "x*z"],
    "nilpotent matrix": ["x^2 + y*z", "x*y + y*w", "x*z + z*w", "y*z + w^2"],
}


def changes(dice: random.Random, names: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Three unimodular changes of three or four elementary factors, and two with a quadratic shear added."""
    for kind in ("linear", "linear", "linear", "sheared", "sheared"):
        images = {n: n for n in names}
        for _ in range(dice.randint(3, 4)):
            i, j = dice.sample(names, 2)
            images = {n: t.replace(i, f"({i}{dice.choice(('+', '-'))}{j})") if False else t for n, t in images.items()}
            sign = dice.choice("+-")
            images = {n: "".join(f"({i}{sign}{j})" if s == i else s for s in t) for n, t in images.items()}
        if kind == "sheared":
            i = dice.choice(names)
            j, k = (dice.choice([n for n in names if n != i]) for _ in range(2))
            sign = dice.choice("+-")
            images = {n: "".join(f"({i}{sign}{j}*{k})" if s == i else s for s in t) for n, t in images.items()}
        yield kind, images


def matrix_product(rows: int, inner: int, columns: int) -> list[str]:
    """Entries of the product of two matrices of variables: a linear network at rank 0."""
    return [
        "+".join(f"a{i}{k}*b{k}{j}" for k in range(inner)) for i in range(rows) for j in range(columns)
    ]


def units(count: int, power: int, orders: int) -> list[str]:
    """Σ a_i b_i^{power·k+1}: a network of hidden units of Vandermonde type at the zero function."""
    return ["+".join(f"a{i}*b{i}^{power * k + 1}" for i in range(count)) for k in range(orders)]


NETWORKS: list[tuple[str, list[str], str, int]] = [
    ("linear 2-2-2", matrix_product(2, 2, 2), "3/2", 1),
    ("linear 3-2-2", matrix_product(2, 2, 3), "2", 2),
    ("linear 2-3-2", matrix_product(2, 3, 2), "2", 2),
    ("linear 3-3-3", matrix_product(3, 3, 3), "7/2", 2),
    ("linear 4-4-4", matrix_product(4, 4, 4), "6", 1),
    ("linear 5-5-5", matrix_product(5, 5, 5), "19/2", 2),
    ("tanh, H = 2", units(2, 2, 2), "2/3", 1),
    ("tanh, H = 3", units(3, 2, 3), "5/6", 1),
    ("all powers, H = 3", units(3, 1, 3), "1", 2),
]


def table() -> list[tuple[str, list[str], str, int]]:
    from tests import known_rlct as known

    rows = [(k, [k], v, m) for k, v, m in (*known.LOSSES, *known.TRAPS)]
    return rows + [(k, k.split(","), v, m) for k, v, m in known.MODELS]
