"""λ from volumes against known λ: tables of published values, and random expressions that no constant was chosen on.

    singulab bench volume                    # everything, and the record; about half an hour on one core
    singulab bench volume --shard 0/4        # every fourth case; rows are shared through --folder

Two groups, both in the box [−1, 1]^d, m not told:

* ``table``: closed forms and resolutions of up to eight variables, the traps among them. The fit was tuned on these.
* ``random``: sums and products of monomials and of powers of quadratic forms in separate variables, drawn by seed,
  whose λ follows from the rules of :mod:`singulab.exact.formulas`.

Finished rows stand in ``--folder``, one line each: a run that was cut off goes on where it stood, as long as the code
of :mod:`singulab.bayes` is the same.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import singulab as sl
from singulab.bayes import volume_exponent
from singulab.cli.bench import BenchConfig
from singulab.exact import formulas
from singulab.exact.result import RLCT

CLOSE = 0.02  # of λ, for most cases
FAR, ERRORS = 0.05, 3.0  # of λ, or reported errors, for all
SHARE_CLOSE = 0.8
DECADES = 8.0  # of volume
SECONDS = 60.0  # of processor time for each


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """λ from the volume of sublevel sets against its known value."""

    groups: tuple[str, ...] = ("table", "random")
    num_random: int = 16  # random expressions
    seed: int = 0  # of all Monte Carlo
    shard: str = "0/1"  # i/k: every k-th case from the i-th on
    folder: Path = Path("runs/volume")  # where finished rows are kept


class Case(NamedTuple):
    """An expression with its λ and m."""

    group: str
    name: str
    text: str
    rlct: Fraction
    multiplicity: int
    seed: int = 0  # errors of random cases are independent of each other


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """Measure what is not measured yet; ``passed`` says whether every promise holds."""
    index, of = map(int, config.shard.split("/"))
    asked = [case for case in cases(config.num_random) if case.group in config.groups]
    done, code = finished(config), fingerprint(config)
    config.folder.mkdir(parents=True, exist_ok=True)
    mine = asked[index::of]
    with (config.folder / f"rows-{index}-of-{of}.jsonl").open("a", encoding="utf-8") as file:
        for count, case in enumerate(mine):
            on_progress(case.name, count / len(mine))
            if (case.group, case.name) not in done:
                file.write(json.dumps(answered(case, config) | {"code": code}) + "\n")
                file.flush()
    done = finished(config)
    rows = [done[case.group, case.name] for case in asked if (case.group, case.name) in done]
    summaries = {
        group: summary([r for r in rows if r["group"] == group]) for group in config.groups
    }
    promises = promised(rows) if len(rows) == len(asked) else {"every_case_was_run": False}
    return {
        "rows": [{k: v for k, v in row.items() if k != "code"} for row in rows],
        "summary": summaries,
        "promises": promises,
        "passed": all(promises.values()),
    }


def answered(case: Case, config: Config) -> dict[str, Any]:
    """One row."""
    start = time.process_time()
    found = volume_exponent(case.text, seed=config.seed + case.seed)
    seconds = time.process_time() - start
    true = float(case.rlct)
    return {
        "group": case.group,
        "case": case.name,
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
    if not rows:
        return {"cases": 0}
    z = np.abs([row["z"] for row in rows])
    errors = np.abs([row["error"] for row in rows])
    single = [row for row in rows if row["m"] == 1]
    multiple = [row for row in rows if row["m"] > 1]
    return {
        "cases": len(rows),
        "within_2_percent": float((errors <= CLOSE).mean()),
        "median_error": float(np.median(errors)),
        "worst_error": float(errors.max()),
        "within_1_error": float((z <= 1).mean()),
        "within_2_errors": float((z <= 2).mean()),
        "worst_z": float(z.max()),
        "least_decades": min(row["decades"] for row in rows),
        "most_processor_seconds": max(row["processor_seconds"] for row in rows),
        "single_poles_suspected": sum("suspected" in row["verdict"] for row in single),
        "single_poles": len(single),
        "multiple_poles_called_plausible": sum(
            row["verdict"] == "m = 1 plausible" for row in multiple
        ),
        "multiple_poles": len(multiple),
    }


def promised(rows: list[dict[str, Any]]) -> dict[str, bool]:
    """Each promise, and whether it is kept."""
    close = [abs(row["error"]) <= CLOSE for row in rows]
    near = [
        abs(row["error"]) <= max(FAR, ERRORS * row["se"] / float(Fraction(row["rlct"])))
        for row in rows
    ]
    return {
        "at_least_80%_within_2%": sum(close) >= SHARE_CLOSE * len(rows),
        "all_within_5%_or_3_errors": all(near),
        "all_over_8_decades": all(row["decades"] >= DECADES for row in rows),
        "each_under_a_minute_on_one_core": all(row["processor_seconds"] <= SECONDS for row in rows),
    }


def finished(config: Config) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of this code, of all shards; a line that was cut off is no row."""
    rows, code = {}, fingerprint(config)
    for file in sorted(config.folder.glob("rows-*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            with suppress(json.JSONDecodeError):
                row = json.loads(line)
                if row["code"] == code:
                    rows[row["group"], row["case"]] = row
    return rows


def fingerprint(config: Config) -> str:
    """Sha256 of the code that rows depend on, and of the settings that change them."""
    digest = sha256(json.dumps(config.seed).encode())
    folder = Path(sl.__file__).parent / "bayes"
    for name in ("box", "expression", "slice_move", "splitting", "volume"):
        digest.update((folder / f"{name}.py").read_bytes())
    return digest.hexdigest()


def cases(num_random: int) -> list[Case]:
    """Both groups."""
    table = [Case("table", *entry) for entry in table_entries()]
    assert len({case.name for case in table}) == len(table)
    return [*table, *random_cases(num_random)]


def table_entries() -> Iterator[tuple[str, str, Fraction, int]]:
    """Published values and resolutions; networks are written out as sums of squares."""
    for text, rlct, multiplicity in TABLE:
        yield text, text, Fraction(rlct), multiplicity
    for name, text, rlct, multiplicity in NAMED:
        yield name, text, Fraction(rlct), multiplicity


TABLE = (
    ("x^4 + y^4", "1/2", 1),
    ("x^2 + y^4", "3/4", 1),
    ("x^2*y^2", "1/2", 2),
    ("x^2*y^2*z^2", "1/2", 3),
    ("x^2*y^4", "1/4", 1),
    ("x^2*y^2 + x^6 + y^6", "1/2", 2),
    ("(x*y)^2 + (z*w)^2", "1", 3),
    ("(x*y + z*w)^2", "1/2", 1),
    ("x^2*y^2*(x + y)^2", "1/3", 1),
    ("(y - x^2)^2", "1/2", 1),
    ("x^4 + x^2*y + y^2", "3/4", 1),
    ("(x^2 - y^2)^2", "1/2", 2),
    ("(y^2 - x^3)^2", "5/12", 1),
    ("(y^2 - x^3)^4", "5/24", 1),
    ("(x + y^2)^2 + z^2", "1", 1),
    ("abs(x*(x^2 + y^2))", "2/3", 1),
    ("(a*b*c*d)^2", "1/2", 4),
    ("(x^3 + y^4 + z^5)^2", "47/120", 1),
    ("((y^2 - x^3)^2 - x^5*y)^2", "5/24", 1),
    ("(x^2 + y^2 - z^2)^2", "1/2", 1),
    ("(x^2 - y^2*z)^2", "1/2", 2),
    ("(x^2 + y^2 - z^2)^2 + x^6", "2/3", 2),
    ("x^2*y^2 + y^2*z^2 + z^2*x^2", "3/4", 1),
    ("x^2*y^2 + x^4 + y^6", "1/2", 2),
    ("(x^2*y + y^3)^2", "1/3", 1),
    ("x^4*y^2 + x^2*y^4 + z^6 - 3*x^2*y^2*z^2", "1/2", 1),
    ("(x^2 + y^2 + z^2 - w^3)^2", "1/2", 1),
)
NAMED = (
    ("W² = 0", "(a*a + b*c)^2 + (b*(a + d))^2 + (c*(a + d))^2 + (d*d + b*c)^2", "1", 2),
    ("cone over the twisted cubic", "(a*c - b^2)^2 + (a*d - b*c)^2 + (b*d - c^2)^2", "1", 2),
    ("Gaussian mixture 2 at 1",
     "(a*b + (1 - a)*c)^2 + (a*b^2 + (1 - a)*c^2)^2 + (a*b^3 + (1 - a)*c^3)^2", "3/4", 1),
    ("tanh H = 2", "(a*b + c*d)^2 + (a*b^3 + c*d^3)^2", "2/3", 1),
    ("tanh H = 3",
     "(a*b + c*d + e*f)^2 + (a*b^3 + c*d^3 + e*f^3)^2 + (a*b^5 + c*d^5 + e*f^5)^2", "5/6", 1),
    ("tanh H = 2, two outputs",
     "(a*b + c*d)^2 + (a*b^3 + c*d^3)^2 + (e*b + f*d)^2 + (e*b^3 + f*d^3)^2", "1", 2),
    ("polynomial type H = 2", "(a*b + c*d)^2 + (a*b^2 + c*d^2)^2", "3/4", 1),
    ("polynomial type H = 3",
     "(a*b + c*d + e*f)^2 + (a*b^2 + c*d^2 + e*f^2)^2 + (a*b^3 + c*d^3 + e*f^3)^2", "1", 2),
    ("rank-1 tensor", "(a^2 + b^2)*(c^2 + d^2)*(e^2 + f^2)", "1", 3),
    ("linear 2-1-1", "(a*c)^2 + (b*c)^2", "1/2", 1),
    ("linear 1-2-1", "(a*c + b*d)^2", "1/2", 1),
    ("linear 1-3-1", "(a*d + b*e + c*f)^2", "1/2", 1),
    ("linear 2-1-2", "(a^2 + b^2)*(c^2 + d^2)", "1", 2),
    ("linear 1-2-2", "(a*c + b*d)^2 + (a*e + b*f)^2", "1", 2),
    ("linear 3-1-3", "(a^2 + b^2 + c^2)*(d^2 + e^2 + f^2)", "3/2", 2),
    ("linear 2-2-2", "(a*e + b*g)^2 + (a*f + b*h)^2 + (c*e + d*g)^2 + (c*f + d*h)^2", "3/2", 1),
    ("linear 2-1-1-2", "(a^2 + b^2)*c^2*(d^2 + e^2)", "1/2", 1),
    ("linear 1-2-2-1", "(a*(c*g + d*h) + b*(e*g + f*h))^2", "1/2", 1),
)  # fmt: skip


def random_cases(count: int) -> Iterator[Case]:
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
        yield Case("random", f"{seed}: {text}", text, found.value, found.multiplicity, seed + 1)


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
