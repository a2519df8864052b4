"""Off the training set: functions that fit, their posterior mass, complexity, frequency under SGD, and error.

    singulab bench generalisation

Machines are trained on some of their inputs and asked about the rest:

* ``θ₁(θ₂x₁ + θ₃x₂)`` seen at (1, 0) alone, every setting of a lattice counted, λ of each function by algebra;
* reduced-rank regression 3-1-2 and 3-2-2, seen at one input of three, counted in the same way, λ by Aoyagi's formula;
* Boolean networks trained on k of 2^b inputs, their A-complexities sampled, and one of ternary weights counted exactly.

Each is tried on a target that the simplest of the functions that fit get right (kind) and on one that they get all
wrong (unkind); others lie between. ``error`` is the share of wrong answers off the training set. A row is a check where
theory says what must come out; what SGD does is a finding, told in units of Monte Carlo error.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.systems import System, crossing_machine, crossing_rlct, systems
from singulab.cli.bench import BenchConfig
from singulab.discrete import (
    Comparison,
    Fibres,
    Interpolants,
    Trained,
    comparison,
    fibres,
    interpolants,
    spearman,
    trained,
)
from singulab.evidence import FAR_OFF

SHOWN = 6  # functions of a task that the record lists, the heaviest first
CLASSES = 8  # most complexity classes of a task that the record lists

Row = dict[str, Any]
OnProgress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Interpolating functions and their error off the training set, under Bayes and under SGD."""

    num_runs: int = 4096  # of SGD, per task
    num_draws: int = 4_000_000  # of sampled machines
    num_posterior: int = 4096  # independent draws of the posterior, as a control
    seed: int = 0


def run(config: Config, on_progress: OnProgress) -> dict[str, Any]:
    """Rows of all systems, and the functions behind them."""
    torch.set_num_threads(1)
    rows, functions, classes = [], [], []
    everything = systems(config.num_draws)
    for number, system in enumerate(everything):
        on_progress(system.name, number / len(everything))
        found = fibres(system.machine, num_draws=system.num_draws, seed=config.seed)
        for name, target in system.targets.items():
            made = task(config, system, found, name, target)
            rows += made[0]
            functions += made[1]
            classes += made[2]
    rows += volume_rows()
    return {
        "rows": rows,
        "functions": functions,
        "classes": classes,
        "passed": all(row["passed"] is not False for row in rows),
    }


def row(
    task: str,
    quantity: str,
    value: float,
    se: float = 0.0,
    expected: float | None = None,
    *,
    check: bool = True,
    passed: bool | None = None,
) -> Row:
    """One number; a check if ``passed`` is a bool, or if something is expected of it and it has an error."""
    z = (value - expected) / se if expected is not None and se > 0 else None
    if passed is None and z is not None and check:
        passed = bool(abs(z) <= FAR_OFF)
    return {
        "task": task, "quantity": quantity, "value": value, "se": se, "expected": expected, "z": z,
        "passed": passed,
    }  # fmt: skip


def task(
    config: Config, system: System, found: Fibres, name: str, target: tuple[int, ...]
) -> tuple[list[Row], list[Row], list[Row]]:
    """One target: its checks, its functions and its classes of complexity."""
    fits = interpolants(found, target, system.chosen)
    title = f"{system.name}, {name}"
    ranked = complexity(system, found, fits)
    # A sampled machine knows the posterior from as many draws as fit.
    num_fit = int(found.counts[fits.place].sum())
    variance = float(fits.mass @ (fits.error - fits.bayes_error) ** 2)
    bayes_se = 0.0 if found.exact else math.sqrt(variance / num_fit)
    sign = {"kind": -1, "unkind": 1}.get(name.split(":")[0])  # of what complexity does to the error
    control = comparison(posterior_draws(config, system, target), found, fits)
    rows = [
        *bayes_rows(title, fits, ranked, bayes_se, sign),
        row(title, "error of independent draws of the posterior", control.error,
            math.hypot(control.error_se, bayes_se), fits.bayes_error),
        excess_row(title, "independent draws", control, check=found.exact),
    ]  # fmt: skip
    seen: dict[str, Comparison] = {}
    for who, settings in system.optimisers.items():
        runs = trained(
            system.machine, target, system.chosen, num_runs=config.num_runs,
            optimiser=settings, seed=config.seed + 1,
        )  # fmt: skip
        rows.append(row(title, f"share of {who} runs that fit", float(runs.fit.mean())))
        if runs.fit.sum() >= 2:
            seen[who] = comparison(runs, found, fits)
            rows += optimiser_rows(title, who, seen[who], fits, bayes_se)
    return (
        rows,
        listed(title, system, found, fits, ranked, seen),
        by_class(title, system, fits, ranked, seen),
    )


def bayes_rows(
    title: str, fits: Interpolants, ranked: np.ndarray, bayes_se: float, sign: int | None
) -> list[Row]:
    """The posterior; on a kind target its error is below that of all functions that fit, on an unkind one above."""
    gap = fits.bayes_error - fits.uniform_error
    held = None if sign is None else bool(sign * gap > FAR_OFF * bayes_se)
    rows = [
        row(title, "functions that fit", len(fits)),
        row(title, "share of settings that fit", math.exp(fits.log_evidence)),
        row(title, "error of the simplest that fit", least_error(ranked, fits)),
        row(title, "error of all that fit, each counted once", fits.uniform_error),
        row(title, "error of the posterior", fits.bayes_error, bayes_se),
        row(title, "error of the posterior less that of all that fit", gap, bayes_se, 0.0, check=False, passed=held),
    ]  # fmt: skip
    if np.ptp(fits.error) > 0 and np.ptp(ranked) > 0:
        order = spearman(ranked, fits.error)
        what = "rank correlation of complexity and error"
        rows.append(row(title, what, order.value, order.se, 0.0, check=False))
    return rows


def optimiser_rows(
    title: str, who: str, one: Comparison, fits: Interpolants, bayes_se: float
) -> list[Row]:
    """What training does beside the posterior: findings, each with its distance from 0 in errors."""
    gap = one.error - fits.bayes_error
    order = one.correlation
    return [
        row(title, f"error of {who}", one.error, one.error_se),
        row(title, f"error of {who} less that of the posterior", gap, math.hypot(one.error_se, bayes_se), 0.0,
            check=False),
        row(title, f"rank correlation of {who} frequency and posterior mass", order.value, order.se, 0.0, check=False),
        excess_row(title, who, one, check=False),
    ]  # fmt: skip


def excess_row(title: str, who: str, one: Comparison, *, check: bool) -> Row:
    """Total variation beyond that of as many exact draws, in units of its spread."""
    verdict = one.verdict
    excess = verdict.total_variation - verdict.expected_total_variation
    what = f"total variation of {who} from the posterior, beyond that of exact draws"
    return row(title, what, excess, verdict.total_variation_se, 0.0, check=check)


def complexity(system: System, found: Fibres, fits: Interpolants) -> np.ndarray:
    """λ of every function that fits, or its A-complexity."""
    return fits.complexity if system.rlct is None else system.rlct(found.symbols[fits.place])


def least_error(ranked: np.ndarray, fits: Interpolants) -> float:
    return float(fits.error[ranked <= ranked.min() + 1e-12].mean())


def posterior_draws(config: Config, system: System, target: tuple[int, ...]) -> Trained:
    """Settings drawn afresh and kept if they fit: independent draws of the posterior."""
    machine, places = system.machine, list(system.chosen)
    weights, functions, wanted = [], [], np.asarray(target)[places]
    kept, block = 0, 0
    while kept < config.num_posterior and block * machine.block < 20_000_000:
        drawn = machine.draws(config.seed + 2, block)
        words = machine.functions(drawn)
        fit = (machine.symbols(words)[:, places] == wanted).all(axis=1)
        weights.append(drawn[torch.from_numpy(fit)])
        functions.append(words[fit])
        kept, block = kept + int(fit.sum()), block + 1
    words = np.concatenate(functions)[: config.num_posterior]
    alive = np.ones(len(words), bool)
    return Trained(
        weights=torch.cat(weights)[: len(words)], functions=words, fit=alive, diverged=~alive
    )


def listed(
    title: str, system: System, found: Fibres, fits: Interpolants, ranked: np.ndarray,
    seen: dict[str, Comparison],
) -> list[Row]:  # fmt: skip
    """The heaviest functions one by one."""
    return [
        {
            "task": title,
            "function": " ".join(map(str, found.symbols[fits.place[k]].tolist())),
            "complexity": float(ranked[k]),
            "measure": "A-complexity" if system.rlct is None else "λ",
            "mass": float(fits.mass[k]),
            "frequency": {name: float(one.frequency[k]) for name, one in seen.items()},
            "frequency_se": {
                name: math.sqrt(one.frequency[k] * (1 - one.frequency[k]) / one.num_fit)
                for name, one in seen.items()
            },
            "error": float(fits.error[k]),
        }
        for k in range(min(SHOWN, len(fits)))
    ]


def by_class(
    title: str, system: System, fits: Interpolants, ranked: np.ndarray, seen: dict[str, Comparison]
) -> list[Row]:
    """Mass, frequency and error of the functions of each λ, or between quantiles of A-complexity."""
    if system.rlct is None:
        edges = np.unique(
            np.quantile(ranked, np.linspace(0, 1, 5), weights=fits.mass, method="inverted_cdf")
        )
        groups = [
            (f"c from {low:.1f} to {high:.1f}", (ranked > low) & (ranked <= high))
            for low, high in itertools.pairwise([-math.inf, *edges.tolist()])
        ]  # fmt: skip
    else:
        groups = [(f"λ = {value:g}", ranked == value) for value in np.unique(ranked)]
    return [
        {
            "task": title,
            "class": name.replace("from -inf to", "up to"),
            "functions": int(chosen.sum()),
            "mass": float(fits.mass[chosen].sum()),
            "frequency": {who: float(one.frequency[chosen].sum()) for who, one in seen.items()},
            "frequency_se": {who: share_se(one, chosen) for who, one in seen.items()},
            "error": float(fits.mass[chosen] @ fits.error[chosen] / fits.mass[chosen].sum()),
        }
        for name, chosen in groups[:CLASSES]
        if chosen.any()
    ]


def share_se(one: Comparison, chosen: np.ndarray) -> float:
    share = float(one.frequency[chosen].sum())
    return math.sqrt(max(share * (1 - share), 0.0) / one.num_fit)


def volume_rows() -> list[Row]:
    """Mass against λ: how the odds of the function 0 against another one grow as outputs are read more finely.

    P(f) falls like η^{2λ}, so the odds grow like η^{−2Δλ}; the error is the change from η to η/2.
    """
    heights = []
    for mesh in (1 / 4, 1 / 8, 1 / 16):
        found = fibres(crossing_machine("1/128", mesh))
        other = found.count(np.array([0, round(0.5 / mesh)]))
        heights.append(math.log(found.count(np.array([0, 0])) / other))
    rough, value = (math.log2(math.exp(b - a)) for a, b in itertools.pairwise(heights))
    zero, other = crossing_rlct(np.array([[0, 0], [0, 1]]))
    return [
        row("θ₁(θ₂x₁ + θ₃x₂)", "power of 1/η in the odds of the function 0, against 2Δλ",
            value, abs(value - rough), 2 * (other - zero))
    ]  # fmt: skip
