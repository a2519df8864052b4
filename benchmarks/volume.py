"""λ from volumes against known λ: tables of published values, and random expressions.

    singulab bench volume                    # everything, and the record; about half an hour on one core
    singulab bench volume --shard 0/4        # every fourth case; rows are shared through --folder

Two groups, all in the box [−1, 1]^d, m not told, each case with random numbers of its own:

* ``table``: closed forms, resolutions and networks of up to eight variables, the traps among them, from
  ``tests/known_rlct.py``.
* ``random``: sums and products of monomials and of powers of quadratic forms in separate variables, drawn by seed,
  whose λ follows from the rules of :mod:`singulab.exact.formulas`.

Up to three weights the default is quadrature, and in every second case splitting is asked too. The fit was made on
other polynomials and on curves of random poles; the tolerances of quadrature on closed forms, a few of which stand
here, and the spacing of its nodes was halved after a case of this table had shown it to be too wide.

Finished rows stand in ``--folder``, one line each: a run that was cut off goes on where it stood, as long as the code
of :mod:`singulab.bayes` is the same.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import singulab as sl
from benchmarks.book import digest
from benchmarks.shards import Shards
from singulab.bayes import volume_exponent
from singulab.bayes.expression import expression
from singulab.bayes.quadrature import MOST_DIMENSIONS
from singulab.bayes.volume import Method
from singulab.cli.bench import BenchConfig
from singulab.exact import formulas
from singulab.exact.result import RLCT

CLOSE = 0.02  # of λ, for most cases
FAR, ERRORS = 0.05, 3.0  # of λ, or reported errors, for all
SHARE_CLOSE = 0.8
DECADES = 8.0  # of volume
SECONDS = 60.0  # of processor time for each
AGREE = 4.0  # errors between the two methods
VERDICTS = ("m = 1 plausible, m > 1 not excluded", "m > 1 suspected")
MODULES = (
    "fits", "bayes/approach", "bayes/box", "bayes/chords", "bayes/exponent", "bayes/expression",
    "bayes/quadrature", "bayes/slice_move", "bayes/splitting", "bayes/volume",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """λ from the volume of sublevel sets against its known value."""

    groups: tuple[str, ...] = ("table", "random")
    num_random: int = 20  # random expressions
    seed: int = 0  # of all Monte Carlo
    shard: str = "0/1"  # i/k: every k-th case from the i-th on
    folder: Path = Path("runs/volume")  # where finished rows are kept


class Case(NamedTuple):
    """An expression with its λ and m, and how it is to be measured."""

    group: str
    name: str
    text: str
    rlct: Fraction
    multiplicity: int
    method: Method
    seed: int  # errors of different cases are independent of each other

    @property
    def key(self) -> str:
        return f"{self.group}: {self.name}, {self.method}"


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """Measure what is not measured yet; ``passed`` says whether every promise holds."""
    asked = [case for case in cases(config) if case.group in config.groups]
    shards = Shards(config.folder, config.shard, f"{code()} {config.seed}")
    shards.fill([(case.key, partial(answered, case)) for case in asked], on_progress)
    done = shards.rows()
    rows = [done[case.key] for case in asked if case.key in done]
    parts = {
        f"{group}, {method}": [
            row for row in rows if row["group"] == group and row["method"] == method
        ]
        for group in config.groups
        for method in ("quadrature", "splitting")
    }
    promises = promised(rows) if len(rows) == len(asked) else {"every_case_was_run": False}
    return {
        "rows": rows,
        "summary": {name: summary(part) for name, part in parts.items() if part},
        "promises": promises,
        "passed": all(promises.values()),
    }


def answered(case: Case) -> dict[str, Any]:
    """One row."""
    start = time.process_time()
    found = volume_exponent(case.text, method=case.method, seed=case.seed)
    seconds = time.process_time() - start
    true = float(case.rlct)
    return {
        "group": case.group,
        "case": case.name,
        "asked": case.method,
        "method": found.curve.method,
        "dim": found.curve.box.dim,
        "rlct": str(case.rlct),
        "m": case.multiplicity,
        "exponent": found.value,
        "se": found.se,
        "error": found.value / true - 1,
        "z": (found.value - true) / found.se,
        "verdict": found.multiplicity,
        "logarithm": found.kinds.get("logarithm", 0.0),
        "decades": found.curve.decades,
        "evaluations": found.curve.evaluations,
        "processor_seconds": round(seconds, 1),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers that the promises are about."""
    z = np.abs([row["z"] for row in rows])
    errors = np.abs([row["error"] for row in rows])
    found: dict[str, Any] = {
        "cases": len(rows),
        "within_2_percent": float((errors <= CLOSE).mean()),
        "median_error": float(np.median(errors)),
        "worst_error": float(errors.max()),
        "within_1_error": float((z <= 1).mean()),
        "within_2_errors": float((z <= 2).mean()),
        "worst_z": float(z.max()),
        "least_decades": min(row["decades"] for row in rows),
        "most_processor_seconds": max(row["processor_seconds"] for row in rows),
    }
    for name, kept in (("single", True), ("multiple", False)):
        verdicts = [row["verdict"] for row in rows if (row["m"] == 1) is kept]
        found[f"{name}_poles"] = len(verdicts)
        for verdict in VERDICTS:
            told = sum(text.startswith(verdict) for text in verdicts)
            found[f"{name}_poles_told_{verdict}"] = told
    return found


def off(row: dict[str, Any]) -> bool:
    """Whether λ is wrong by more than 5 % and more than 3 errors."""
    return bool(abs(row["error"]) > max(FAR, ERRORS * row["se"] / float(Fraction(row["rlct"]))))


def promised(rows: list[dict[str, Any]]) -> dict[str, bool]:
    """Each promise, and whether it is kept."""
    default = [row for row in rows if row["asked"] == "auto"]
    split = {(row["group"], row["case"]): row for row in rows if row["asked"] == "splitting"}
    pairs = [
        (row, split[row["group"], row["case"]])
        for row in default
        if row["method"] == "quadrature" and (row["group"], row["case"]) in split
    ]
    return {
        "at_least_80%_within_2%": sum(abs(row["error"]) <= CLOSE for row in default)
        >= SHARE_CLOSE * len(default),
        "all_within_5%_or_3_errors": not any(off(row) for row in default),
        "by_splitting_alone_too": not any(off(row) for row in rows),
        "both_methods_agree_within_4_errors": all(
            abs(one["exponent"] - other["exponent"]) <= AGREE * np.hypot(one["se"], other["se"])
            for one, other in pairs
        ),
        "no_double_pole_is_called_a_single_one": not any(
            row["m"] > 1 and row["verdict"] == "m = 1 plausible" for row in rows
        ),
        "all_over_8_decades": all(row["decades"] >= DECADES for row in default),
        "each_under_a_minute_on_one_core": all(
            row["processor_seconds"] <= SECONDS for row in default
        ),
    }


def code() -> str:
    """The digest of the modules that rows depend on."""
    package = Path(sl.__file__).parent
    return digest(package / f"{name}.py" for name in MODULES)


def cases(config: Config) -> list[Case]:
    """Both groups; up to three weights every second case is asked by splitting too."""
    known = dict.fromkeys(table_entries())  # a trap may stand among the losses too
    entries = [("table", *entry) for entry in known]
    entries += [("random", *entry) for entry in random_entries(config.num_random)]
    found = []
    for index, entry in enumerate(entries):
        case = Case(*entry, method="auto", seed=config.seed + index)
        found.append(case)
        if index % 2 == 0 and len(expression(case.text).names) <= MOST_DIMENSIONS:
            found.append(case._replace(method="splitting"))
    return found


def table_entries() -> Iterator[tuple[str, str, Fraction, int]]:
    """What the tests hold as known; ideals are written out as sums of squares."""
    from tests import known_rlct as known

    for text, rlct, multiplicity in (*known.LOSSES, *known.TRAPS):
        yield text, text, Fraction(rlct), multiplicity
    for text, rlct, multiplicity in known.MODELS:
        squares = " + ".join(f"({generator})^2" for generator in text.split(", "))
        yield f"⟨{text}⟩", squares, Fraction(rlct), multiplicity
    for name, text, rlct, multiplicity in known.VOLUMES:
        yield name, text, Fraction(rlct), multiplicity


def random_entries(count: int) -> Iterator[tuple[str, str, Fraction, int]]:
    """Sums and products of two or three parts in separate variables."""
    for seed in range(count):
        rng = np.random.default_rng([2026, seed])
        parts, used = [], 0
        for _ in range(int(rng.integers(2, 4))):
            text, known, size = random_part(rng, used)
            parts.append((text, known))
            used += size
        rule, sign = ((formulas.sum_rule, " + "), (formulas.product_rule, "*"))[seed % 2]
        found = rule(*(known for _, known in parts))
        assert found.value is not None
        assert found.multiplicity is not None
        text = sign.join(f"({part})" for part, _ in parts)
        yield f"{seed}: {text}", text, found.value, found.multiplicity


def random_part(rng: np.random.Generator, used: int) -> tuple[str, RLCT, int]:
    """A monomial, a sum of powers, or a power of a quadratic form."""
    names = [f"x{used + index}" for index in range(1, 4)]
    kind = int(rng.integers(3))
    if kind == 0:
        exponents = [2 * int(k) for k in rng.integers(1, 4, size=int(rng.integers(1, 3)))]
        text = "*".join(f"{name}^{k}" for name, k in zip(names, exponents, strict=False))
        return text, formulas.monomial(exponents), len(exponents)
    if kind == 1:
        exponents = [2 * int(k) for k in rng.integers(1, 4, size=2)]
        text = " + ".join(f"{name}^{k}" for name, k in zip(names, exponents, strict=False))
        return text, formulas.powers(exponents), 2
    size, power = int(rng.integers(2, 4)), int(rng.integers(1, 3))
    definite = bool(rng.integers(2))
    squares = " + ".join(f"{name}^2" for name in names[: size - 1])
    last = "+" if definite else "-"
    # An indefinite form is squared at least, for the loss is not negative.
    power = power if definite else 2
    text = f"({squares} {last} {names[size - 1]}^2)^{power}"
    return text, formulas.quadratic_power(size, power, definite=definite), size
