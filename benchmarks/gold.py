"""Gold values: λ̂ by long Hamiltonian Monte Carlo on all data, in float64, kept only if it equilibrated.

    singulab bench gold --cases T1 T2 --localizations 1 10 100

A value becomes a truth of the zoo when its Monte Carlo error is at most 1 %, the mean of (w − w*)·∇U/d, which
is 1 under the posterior, is within 2 % of 1 and known to 2 %, and R-hat of energy and radius is at most 1.02.
Otherwise it is kept beside the truths, marked as not equilibrated, and never replaces one that was.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import torch

import singulab as sl
from singulab.cli.bench import BenchConfig
from singulab.environment import installed
from singulab.estimate.diagnostics import mcse, rhat
from singulab.files import write_atomic
from singulab.sample.run import Simulation
from singulab.zoo import CASES, Case

GOLD = Path(__file__).parents[1] / "src" / "singulab" / "zoo" / "gold.json"
SOURCE = "own HMC on all data (benchmarks/gold.py)"
LABELS = ("data", "model")

WINDOW = 10  # trajectories between changes of the step while it is tuned
NUM_WINDOWS = 12
TARGET_ACCEPTANCE = 0.8
ROUND = 200  # draws per chain between looks at the errors


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Make gold values for cases of the zoo by Hamiltonian Monte Carlo."""

    cases: tuple[str, ...] = ("T1", "T2")
    localizations: tuple[float, ...] = (1.0, 10.0, 100.0)  # γ
    labels: tuple[str, ...] = LABELS
    num_chains: int = 8
    max_draws: int = 4000  # per chain and value
    max_seconds: float = 600.0  # per value
    relative_error: float = 0.01  # of λ̂, one standard error
    virial_error: float = 0.02
    rhat: float = 1.02
    seed: int = 0
    keep: bool = True  # write src/singulab/zoo/gold.json


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """One row per case, γ and labels."""
    rows: list[dict[str, Any]] = []
    wanted = list(product(config.cases, config.localizations, config.labels))
    for done, (name, localization, labels) in enumerate(wanted):

        def within(what: str, share: float, done: int = done) -> None:
            on_progress(what, (done + share) / len(wanted))

        record = gold(CASES[name], localization, labels, config, within)
        if config.keep:
            keep(record)
        rows.append(_row(record))
    return {"rows": rows, "passed": all(row["passed"] for row in rows)}


def gold(
    case: Case,
    localization: float,
    labels: str,
    config: Config,
    on_progress: Callable[[str, float], None],
) -> dict[str, Any]:
    """One record for gold.json."""
    start = time.monotonic()
    potential = case.exact_potential(localization, labels=labels)
    simulation = Simulation(
        potential,
        sl.HMC(step_size=_first_step(potential), num_leapfrog=16),
        num_chains=config.num_chains,
        seed=config.seed,
    )
    kernel = _tuned(simulation)
    first = simulation.step
    simulation.restart(kernel, simulation.position)
    while True:
        simulation.advance(simulation.step + ROUND)
        found = _summary(simulation.trace(), config)
        seconds, draws = time.monotonic() - start, simulation.step - first
        told = f"{case.name} γ={localization:g} {labels}: {found['value']} ± {found['error']}"
        on_progress(told, max(draws / config.max_draws, min(seconds / config.max_seconds, 1.0)))
        if found["equilibrated"] or draws >= config.max_draws or seconds > config.max_seconds:
            break
    return {
        "case": case.name,
        "nbeta": potential.nbeta,
        "localization": localization,
        "labels": labels,
        **found,
        "how": "numerical",
        "source": SOURCE,
        "made_by": {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "seed": config.seed,
            "num_chains": config.num_chains,
            "num_draws": draws,
            "step_size": kernel.step_size,
            "num_leapfrog": kernel.num_leapfrog,
            "seconds": round(seconds, 1),
            "singulab": installed("singulab"),
            "torch": torch.__version__,
        },
    }


def _first_step(potential: sl.LocalPotential) -> float:
    return 0.01 / (potential.nbeta + potential.localization)


def _tuned(simulation: Simulation) -> sl.HMC:
    """HMC whose step is accepted 80 % of the time and whose trajectories cross the tether."""
    log_step = math.log(simulation.kernel.step_size)
    settled: list[float] = []
    for window in range(NUM_WINDOWS):
        simulation.advance(simulation.step + WINDOW)
        acceptance = float(simulation.trace()["acceptance"].mean())
        # Steps are changed by up to e² at first; later windows are averaged.
        log_step += 4.0 * (acceptance - TARGET_ACCEPTANCE) / (1 + 0.3 * window)
        if window >= NUM_WINDOWS // 2:
            settled.append(log_step)
        kernel = sl.HMC(step_size=math.exp(log_step), num_leapfrog=_leapfrog(simulation, log_step))
        simulation.restart(kernel, simulation.position)
    log_step = sum(settled) / len(settled)
    return sl.HMC(step_size=math.exp(log_step), num_leapfrog=_leapfrog(simulation, log_step))


def _leapfrog(simulation: Simulation, log_step: float) -> int:
    """Steps until the flattest direction, of size γ^{-1/2}, has turned by one radian."""
    turn = math.exp(log_step / 2) * math.sqrt(simulation.potential.localization)
    return min(max(round(1.0 / turn), 16), 256)


def _summary(trace: sl.Trace, config: Config) -> dict[str, Any]:
    energy = trace.nbeta * trace["excess_loss"]
    virial, radius = trace["virial"], trace["radius_squared"]
    value, error = float(energy.mean()), mcse(energy)
    evidence = {
        "rhat": max(rhat(energy), rhat(radius)),
        "virial": float(virial.mean()),
        "virial_error": mcse(virial),
        "radius_squared": float(radius.mean()),
        "heat_capacity": float(energy.var()),
        "acceptance": float(trace["acceptance"].mean()),
    }
    equilibrated = (
        error <= config.relative_error * abs(value)
        and abs(evidence["virial"] - 1) <= config.virial_error
        and evidence["virial_error"] <= config.virial_error
        and evidence["rhat"] <= config.rhat
    )
    return {
        "value": float(f"{value:.6g}"),
        "error": float(f"{error:.3g}"),
        "equilibrated": bool(equilibrated),
        "evidence": {name: float(f"{number:.5g}") for name, number in evidence.items()},
    }


def keep(record: dict[str, Any], path: Path = GOLD) -> None:
    """Put a record into gold.json, unless that would replace a better one."""
    records = json.loads(path.read_text(encoding="utf-8"))["records"]

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["case"], row["labels"], round(row["nbeta"], 6), row["localization"]

    others = [row for row in records if key(row) != key(record)]
    old = [row for row in records if key(row) == key(record)]
    if old and old[0]["equilibrated"] and not record["equilibrated"]:
        return
    order = {name: index for index, name in enumerate(CASES)}
    records = sorted([*others, record], key=lambda row: (order[row["case"]], *key(row)[1:]))
    lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in records)
    write_atomic(path, f'{{\n "records": [\n{lines}\n ]\n}}\n'.encode())


def _row(record: dict[str, Any]) -> dict[str, Any]:
    evidence, made_by = record["evidence"], record["made_by"]
    return {
        "case": record["case"],
        "localization": record["localization"],
        "labels": record["labels"],
        "value": record["value"],
        "error": record["error"],
        "rhat": evidence["rhat"],
        "virial": evidence["virial"],
        "virial_error": evidence["virial_error"],
        "draws": made_by["num_draws"],
        "leapfrog": made_by["num_leapfrog"],
        "seconds": made_by["seconds"],
        "passed": record["equilibrated"],
    }
