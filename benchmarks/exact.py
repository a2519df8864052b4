"""Learning coefficients by algebra: how many are proved, how fast, and that every certificate replays.

Groups: ``random`` ideals drawn by seed without rejection, ``coordinates`` (nine ideals, each under five changes of
coordinates), ``table`` (rows with known values), ``networks`` (many variables), ``size`` (time against variables
and degree). The seeds are those of the test; development had others.
"""

import json
import random
import re
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
    time_limit_networks: float = 150.0  # seconds for each network


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
            images = replaced(images, i, f"({i}{dice.choice('+-')}{j})")
        if kind == "sheared":
            i = dice.choice(names)
            j, k = (dice.choice([n for n in names if n != i]) for _ in range(2))
            images = replaced(images, i, f"({i}{dice.choice('+-')}{j}*{k})")
        yield kind, images


def replaced(images: dict[str, str], name: str, by: str) -> dict[str, str]:
    """The images with a text in the place of a variable."""
    return {n: "".join(by if letter == name else letter for letter in t) for n, t in images.items()}


def matrix_product(rows: int, inner: int, columns: int) -> list[str]:
    """Entries of the product of two matrices of variables: a linear network at rank 0."""
    return [
        "+".join(f"a{i}{k}*b{k}{j}" for k in range(inner))
        for i in range(rows)
        for j in range(columns)
    ]


def units(count: int, power: int, orders: int) -> list[str]:
    """Σ a_i b_i^{power·k+1}: a network of hidden units of Vandermonde type at the zero function."""
    return ["+".join(f"a{i}*b{i}^{power * k + 1}" for i in range(count)) for k in range(orders)]


NETWORKS: list[tuple[str, Any, str, int]] = [
    ("linear 2-2-2", matrix_product(2, 2, 2), "3/2", 1),
    ("linear 3-2-2", matrix_product(2, 2, 3), "2", 2),
    ("linear 2-3-2", matrix_product(2, 3, 2), "2", 2),
    ("linear 3-3-3", matrix_product(3, 3, 3), "7/2", 2),
    ("linear 4-4-4", matrix_product(4, 4, 4), "6", 1),
    ("linear 5-2-5", matrix_product(5, 2, 5), "9/2", 1),
    ("linear 5-5-5", matrix_product(5, 5, 5), "19/2", 2),
    ("tanh, H = 2", units(2, 2, 2), "2/3", 1),
    ("tanh, H = 3", units(3, 2, 3), "5/6", 1),
    ("all powers, H = 3", units(3, 1, 3), "1", 2),
]


def table() -> list[tuple[str, Any, str, int]]:
    """Rows with known values; the tests hold them too."""
    from tests import known_rlct as known

    rows = [(k, k, v, m) for k, v, m in (*known.LOSSES, *known.TRAPS)]
    return rows + [(k, k.split(","), v, m) for k, v, m in known.MODELS]


# ── answers ───────────────────────────────────────────────────────────────────────────────────────


def asked(expression: Any, time_limit: float) -> tuple[RLCT, dict[str, Any]]:
    """The result, and what the record keeps of it; certificates go through JSON and the checker."""
    ask: Callable[..., RLCT] = rlct if isinstance(expression, str) else rlct_of_ideal
    start = time.monotonic()
    found = ask(expression, time_limit=time_limit)
    seconds = time.monotonic() - start
    start = time.monotonic()
    try:
        low, high = check(json.loads(json.dumps(found.to_dict()["certificate"])))
        accepted = found.status == "bounds" or low == high == found.upper
    except RefutedError:
        accepted = False
    told = {
        "status": found.status,
        "rlct": None if found.value is None else str(found.value),
        "multiplicity": found.multiplicity,
        "lower": str(found.lower.rlct),
        "upper": str(found.upper.rlct),
        "seconds": round(seconds, 3),
        "check_seconds": round(time.monotonic() - start, 3),
        "certificate_accepted": accepted,
    }
    if found.reasons:
        told["reason"] = found.reasons[0]
    return found, told


def known(group: str, rows: Any, time_limit: float) -> Iterator[dict[str, Any]]:
    for name, expression, value, multiplicity in rows:
        found, told = asked(expression, time_limit)
        right = (str(found.value), found.multiplicity) == (value, multiplicity)
        generators = [expression] if isinstance(expression, str) else expression
        yield {
            "group": group,
            "name": name,
            "parameters": len({word for g in generators for word in re.findall("[a-z][0-9]*", g)}),
            "truth": f"{value}, {multiplicity}",
            **told,
            "right": right,
        }


def drawn(config: Config) -> Iterator[dict[str, Any]]:
    for dim in (2, 3, 4):
        for k in range(config.draws):
            ideal = random_ideal(random.Random(f"{config.seed} {dim} {k}"), dim)
            _, told = asked(ideal, config.time_limit)
            yield {"group": f"random {dim}", "name": ", ".join(ideal), **told}


def moved(config: Config) -> Iterator[dict[str, Any]]:
    for name, ideal in NINE.items():
        truth = rlct_of_ideal(ideal)
        names = "".join(sorted({c for g in ideal for c in g if c.isalpha()}))
        for kind, images in changes(random.Random(f"{config.seed} {name}"), names):
            there = ["".join(f"({images[c]})" if c in images else c for c in g) for g in ideal]
            found, told = asked(there, config.time_limit_coordinates)
            right = found.upper == truth.upper if found.status == "proved" else None
            yield {"group": "coordinates", "name": f"{name}, {kind}", **told, "right": right}


def sizes(config: Config) -> Iterator[dict[str, Any]]:
    """Median time over ideals of two generators with three terms of one degree."""
    for dim in (2, 3, 4, 5, 6):
        for degree in (2, 3, 4, 6, 8):
            seconds, proved = [], 0
            for k in range(5):
                dice = random.Random(f"{config.seed} {dim} {degree} {k}")
                ideal = []
                for _ in range(2):
                    terms: dict[tuple[int, ...], int] = {}
                    for _ in range(3):
                        powers = [0] * dim
                        for _ in range(degree):
                            powers[dice.randrange(dim)] += 1
                        terms[tuple(powers)] = dice.choice((-2, -1, 1, 2))
                    ideal.append(text(terms, "xyzwvu"[:dim]))
                found, told = asked(ideal, 5.0)
                seconds.append(told["seconds"])
                proved += found.status == "proved"
            yield {
                "group": "size",
                "name": f"{dim} variables, degree {degree}",
                "dim": dim,
                "degree": degree,
                "proved_of_5": proved,
                "seconds": statistics.median(seconds),
                "certificate_accepted": True,
            }


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """All groups that are asked for, with the shares that are promised."""
    sources = {
        "table": lambda: known("table", table(), config.time_limit),
        "random": lambda: drawn(config),
        "coordinates": lambda: moved(config),
        "networks": lambda: known("networks", NETWORKS, config.time_limit_networks),
        "size": lambda: sizes(config),
    }
    if unknown := set(config.groups) - set(sources):
        raise ValueError(f"The groups are {', '.join(GROUPS)}, got {', '.join(sorted(unknown))}.")
    rows: list[dict[str, Any]] = []
    for k, group in enumerate(config.groups):
        for row in sources[group]():
            rows.append(row)
            on_progress(f"{group}: {row['name']}"[:60], k / len(config.groups))
    summary = {name: share(rows, name) for name in dict.fromkeys(row["group"] for row in rows)}
    accepted = all(row["certificate_accepted"] for row in rows)
    wrong = [row["name"] for row in rows if row.get("right") is False and row["status"] == "proved"]
    randoms = [row for row in rows if row["group"].startswith("random")]
    passed = accepted and not wrong
    if randoms:
        passed &= sum(r["status"] == "proved" for r in randoms) >= 0.92 * len(randoms)
        passed &= summary["random 2"]["proved"] == summary["random 2"]["asked"]
    if "coordinates" in summary:
        passed &= summary["coordinates"]["proved"] >= 0.8 * summary["coordinates"]["asked"]
    if "table" in summary:
        passed &= summary["table"]["proved"] == summary["table"]["asked"]
    return {"rows": rows, "summary": summary, "wrong": wrong, "passed": passed}


def share(rows: list[dict[str, Any]], group: str) -> dict[str, Any]:
    """How many of a group are proved, and in what time."""
    mine = [row for row in rows if row["group"] == group]
    seconds = [row["seconds"] for row in mine]
    proved = sum(row.get("status") == "proved" or row.get("proved_of_5", 0) == 5 for row in mine)
    return {
        "asked": len(mine),
        "proved": proved,
        "median_seconds": statistics.median(seconds),
        "longest_seconds": max(seconds),
    }
