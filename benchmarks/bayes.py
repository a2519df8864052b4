"""Bayesian learning of small models seen whole: jumps, generalisation, WAIC and WBIC, against exact values.

    singulab bench bayes                     # everything, and the record; about a quarter of an hour on one core
    singulab bench bayes --parts jumps       # only the jumps of posteriors that are integrals

Parts:

* ``jumps``: the default two wells, two jumps in a row, a jump by λ alone: masses, n_c predicted and true.
* ``sampled``: the two wells and the network of seven weights with sampled data: the law of n_c over data sets.
* ``learning``: the network of seven weights at f = 0, a mixture, reduced rank regression: n·G_n, WAIC, WBIC, F_n
  over data sets at several n, beside λ and m by theorem or algebra.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from singulab.bayes import (
    Model,
    Posterior,
    Tempering,
    gaussian_mixture,
    learning,
    reduced_rank,
    sampled_jump,
    tanh_network,
    two_wells,
)
from singulab.cli.bench import BenchConfig
from singulab.exact import rlct_of_ideal

AGREEMENT = 0.01  # of a predicted crossing …
LOG_LOG = 0.05  # … and where m > 1: log log n hides a constant that dies like 1/log n
SLOPE = 0.15  # of the growth of F between the two largest n
ERRORS = 4.0  # of a mean over data sets
NUM_DATA_SETS = 100  # at least, for a law of n_c
KNOWN_MASSES = {9_000: "0.0016", 10_000: "0.093", 10_500: "0.456", 11_000: "0.872", 12_000: "0.998"}

Row = dict[str, Any]
Mask = Bool[np.ndarray, " draw"]

# One unit explains most of the truth, the second a bump on top of it.
TWO_UNITS = (1.0, 1.5, 0.0, 0.8, 3.0, -2.5, 0.0)


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Jumps, generalisation and criteria of small models."""

    parts: tuple[str, ...] = ("jumps", "sampled", "learning")
    num_data_sets: int = 150  # sequences of data
    num_particles: int = 1500  # of each of 4 populations
    seed: int = 0


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """All rows, and what they promise."""
    rows: list[Row] = []
    promises: dict[str, bool] = {}
    laws: dict[str, Any] = {}
    if "jumps" in config.parts:
        on_progress("jumps", 0.0)
        found = jumps()
        rows += found
        promises |= {
            "default_masses_to_the_digits_given": all(
                row["told"] == row["known"] for row in found if "told" in row
            ),
            "crossings_predicted_within_1%_or_5%_with_a_log_log": all(
                abs(row["predicted"] / row["true"] - 1) <= (LOG_LOG if row["m"] > 1 else AGREEMENT)
                for row in found
                if "predicted" in row
            ),
        }
    if "sampled" in config.parts:
        for share, (name, law) in enumerate(sampled(config, on_progress).items()):
            on_progress(name, 0.2 + 0.1 * share)
            rows.append(law["row"])
            laws[name] = law["law"]
        promises["n_c_on_100_data_sets"] = all(
            len(law["crossings"]) >= NUM_DATA_SETS for law in laws.values()
        )
    if "learning" in config.parts:
        found = learned(config, on_progress)
        rows += found
        promises |= {
            "waic_is_the_generalisation_error_on_average": all(
                abs(row["waic_minus_generalisation"]) <= ERRORS * row["difference_se"] + 0.02
                for row in found
            ),
            "free_energy_grows_like_lambda_log_n": all(
                row["slope_error"] <= SLOPE for row in found if "slope_error" in row
            ),
            # WBIC = nL + λ log n + U·√(λ log n/2): the scale of what it may be off by.
            "wbic_is_the_free_energy_within_its_own_scale": all(
                abs(row["wbic_minus_free_energy"])
                <= math.sqrt(float(Fraction(row["rlct"])) * math.log(row["n"]) / 2)
                for row in found
            ),
        }
    return {
        "rows": [line for row in rows for line in lines(row)],
        "details": rows,
        "laws_of_crossings": laws,
        "promises": promises,
        "passed": all(promises.values()),
    }


def lines(row: Row) -> list[Row]:
    """What a table shows of a row: one number and what it should be."""
    case = {"part": row["part"], "case": row["case"], "n": row.get("n")}
    if "told" in row:
        return [{**case, "what": "mass", "value": row["told"], "expected": row["known"]}]
    if "predicted" in row:
        return [{**case, "what": "n_c", "value": row["true"], "expected": row["predicted"]}]
    if "crossed" in row:
        return [
            {**case, "what": f"n_c, {q}", "value": row[f"n_c_{q}"]} for q in ("5%", "50%", "95%")
        ]
    told = [
        {**case, "what": "nG", "value": row["nG"], "se": row["nG_se"], "expected": row["rlct"]},
        {**case, "what": "nWAIC − nG", "value": row["waic_minus_generalisation"],
         "se": row["difference_se"], "expected": 0},
        {**case, "what": "WBIC − F", "value": row["wbic_minus_free_energy"]},
    ]  # fmt: skip
    if "slope" in row:
        slope = {"what": "slope of F", "value": row["slope"], "expected": row["lambda_at_this_n"]}
        told.append({**case, **slope})
    return told


def jumps() -> list[Row]:
    """Posteriors of one weight, integrated."""
    rows: list[Row] = []
    default = Posterior("min(44/10500 + x^2, (x - 9.4)^2)", prior="normal")
    for n, known in KNOWN_MASSES.items():
        told = f"{default.at(n).mass('9.4'):.{len(known) - 2}f}"
        rows.append({"part": "jumps", "case": "two wells", "n": n, "told": told, "known": known})
    several = Posterior(
        "min(0.02 + x^2, 0.004 + (x - 4)^2, (x - 9)^2)", prior="normal", barrier=0.0
    )
    by_rlct = Posterior("min((x + 1)^4 + 0.002, (x - 1)^2)", [(-2, 2)], rlct={"-1": (0.25, 1)})
    by_order = Posterior(
        "min(x^2*y^2 + 0.004, (x - 2)^2 + (y - 2)^2)",
        [(-1, 3), (-1, 3)],
        rlct={"(0, -1)": (0.5, 2)},
    )
    for name, posterior, between, multiplicity in (
        ("two wells", default, (1_000, 100_000), 1),
        ("three wells", several, (50, 50_000), 1),
        ("λ = 1/4 against 1/2 at equal prior density", by_rlct, (20, 50_000), 1),
        ("x²y² against a parabola", by_order, (20, 50_000), 2),
    ):
        for jump in posterior.jumps(between=between):
            rows.append(
                {
                    "part": "jumps",
                    "case": f"{name}: {jump.before} to {jump.after}",
                    "true": jump.true,
                    "predicted": jump.predicted,
                    "width": jump.relative_width,
                    "m": multiplicity,
                }
            )
    return rows


def sampled(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """Laws of n_c."""
    on_progress("two wells, sampled data", 0.05)
    wells = sampled_jump(
        two_wells(),
        {"worse": lambda w: w[:, 0] < 4.7, "better": lambda w: w[:, 0] >= 4.7},
        np.geomspace(2_000, 60_000, 24).astype(int).tolist(),
        before="worse",
        after="better",
        num_data_sets=config.num_data_sets,
        seed=config.seed,
    )
    on_progress("seven weights, sampled data", 0.15)
    network = sampled_jump(
        tanh_network(2, TWO_UNITS),
        regions(),
        [20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_240],
        before="fewer than two units",
        after="two units",
        num_data_sets=config.num_data_sets,
        tempering=Tempering(num_particles=3 * config.num_particles),
        seed=config.seed,
    )
    found = {}
    for name, jump in (("two wells", wells), ("seven weights", network)):
        low, _, middle, _, high = jump.quantiles()
        found[name] = {
            "row": {
                "part": "sampled",
                "case": name,
                "num_data_sets": len(jump.crossings),
                "crossed": len(jump.sound),
                "n_c_5%": low,
                "n_c_50%": middle,
                "n_c_95%": high,
            },
            "law": jump.to_dict(),
        }
    return found


def regions() -> dict[str, Callable[[Float[np.ndarray, "draw dim"]], Mask]]:
    """Whether the function of the draws is that of one unit (or none), or needs two.

    The outputs of both units, without their means over the inputs, span a plane; its second singular value says how
    far the function is from what one unit can do along the first.
    """
    inputs = np.linspace(-2.0, 2.0, 16)

    def second(draws: Float[np.ndarray, "draw dim"]) -> Float[np.ndarray, " draw"]:
        units = draws[:, :6].reshape(len(draws), 2, 3)
        outputs = units[:, :, :1] * np.tanh(units[:, :, 1:2] * inputs + units[:, :, 2:])
        outputs = outputs - outputs.mean(axis=2, keepdims=True)
        return np.linalg.svd(outputs, compute_uv=False)[:, 1] / math.sqrt(len(inputs))

    return {
        "two units": lambda draws: second(draws) >= 0.1,
        "fewer than two units": lambda draws: second(draws) < 0.1,
    }


def learned(config: Config, on_progress: Callable[[str, float], None]) -> list[Row]:
    """Means over data sets at several n."""
    rows: list[Row] = []
    models: list[tuple[Model, tuple[int, ...]]] = [
        (tanh_network(2, rlct=seven_weights()), (30, 300, 3_000, 30_000)),
        (gaussian_mixture(2), (30, 300, 1_000)),
        (reduced_rank(2, 1, 2), (30, 300, 3_000, 30_000)),
        (reduced_rank(2, 2, 2), (30, 300, 3_000, 30_000)),
    ]
    for place, (model, ns) in enumerate(models):
        on_progress(model.name, 0.4 + 0.15 * place)
        start = time.process_time()
        previous = None
        assert model.rlct is not None
        rlct, multiplicity = model.rlct
        for found in learning(
            model,
            ns,
            num_data_sets=config.num_data_sets,
            tempering=Tempering(num_particles=config.num_particles),
            seed=config.seed,
        ):
            told = found.to_dict()
            n, gap = found.num_data, found.waic - found.generalisation
            row: Row = {
                "part": "learning",
                "case": model.name,
                "n": n,
                "rlct": str(rlct),
                "m": multiplicity,
                "data_sets": len(gap),
                "nG": told["generalisation"],
                "nG_se": told["generalisation_se"],
                "nWAIC": told["waic"],
                "waic_minus_generalisation": float(gap.mean()),
                "difference_se": float(gap.std(ddof=1) / math.sqrt(len(gap))),
                "fluctuation": told["fluctuation"],
                "free_energy": told["free_energy"],
                "free_energy_se": told["free_energy_se"],
                "wbic": told["wbic"],
                "wbic_minus_free_energy": told["wbic"] - told["free_energy"],
                "without_noise": found.population,
                "effective": told["effective"],
            }
            if previous is not None:
                # Noise-free F between two n against λ log n − (m − 1) log log n.
                before, at = previous
                step = math.log(n / before)
                slope = (found.population - at) / step
                loglog = math.log(math.log(n) / math.log(before)) / step
                row["slope"] = slope
                row["lambda_at_this_n"] = float(rlct) - (multiplicity - 1) * loglog
            previous = (n, found.population)
            rows.append(row)
        last = rows[-1]
        last["slope_error"] = abs(last["slope"] / last["lambda_at_this_n"] - 1)
        last["processor_seconds"] = round(time.process_time() - start, 1)
    return rows


def seven_weights() -> tuple[Fraction, int]:
    """λ and m of 1-2-1 tanh with biases at f = 0 and the origin, by algebra.

    In t = tanh c the coefficients of x^k are a·b^k·P_k(t) with polynomials P_k: tanh(bx + c) solves u′ = b(1 − u²).
    """
    found = rlct_of_ideal(coefficients(3), time_limit=60.0)
    assert found.value is not None
    assert found.multiplicity is not None
    return found.value, found.multiplicity


def coefficients(highest: int) -> list[str]:
    """Generators of the ideal of 1-2-1 tanh networks with biases, up to x^highest."""
    import sympy

    t = sympy.Symbol("t")
    derivatives = [t]
    for _ in range(highest):
        derivatives.append(sympy.expand(sympy.diff(derivatives[-1], t) * (1 - t**2)))
    generators = []
    for k, polynomial in enumerate(derivatives):
        terms = [
            f"{a}*{b}^{k}*({polynomial.subs(t, sympy.Symbol(c))})".replace("**", "^")
            for a, b, c in (("p", "q", "r"), ("u", "v", "w"))
        ]
        generators.append(" + ".join(terms) + (" + d" if k == 0 else ""))
    return generators
