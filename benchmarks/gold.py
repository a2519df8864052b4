"""Gold values: λ̂ by long Hamiltonian Monte Carlo on all data, in float64, kept only if it equilibrated.

    singulab bench gold                                                  # all cells of the truth benchmark
    singulab bench gold --cases T1 T2 --localizations 1 10 100

A value becomes a truth of the zoo when its Monte Carlo error is at most 1 %, the mean of (w − w*)·∇U/d, which
is 1 under the posterior, is within 2 % of 1 and known to 2 %, and R-hat of energy and radius is at most 1.02.
Otherwise it is kept beside the truths, marked as not equilibrated, and never replaces one that was. The rule
and the budget know nothing of any other sampler.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
from singulab.zoo.case import Labels
from singulab.zoo.fresh import GOLD_CELLS, Cell

GOLD = Path(__file__).parents[1] / "src" / "singulab" / "zoo" / "gold.json"
SOURCE = "own HMC on all data (benchmarks/gold.py)"
LABELS: tuple[Labels, ...] = ("data", "model")

WINDOW = 4  # trajectories between changes of the step while it is tuned
NUM_WINDOWS = 12
TARGET_ACCEPTANCE = 0.8
TURN = 1.3  # radians that the flattest direction turns in a mean trajectory
LEAST_LEAPFROG, MOST_LEAPFROG = 12, 512
# Long trajectories carry the flat directions; short ones between them refresh the steep ones, which hold most
# of the noise of energy and virial, at a small part of the cost.
NUM_SHORT, SHORTER = 8, 32
CYCLES = 25  # of one long and the short trajectories, between looks at the errors
CYCLES_AT_LEAST = 75  # before a value is given up


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Make gold values by Hamiltonian Monte Carlo; without names, those the truth benchmark still lacks."""

    cases: tuple[str, ...] = ()  # names of the zoo; none = the cells of the truth benchmark
    localizations: tuple[float, ...] = (1.0, 10.0, 100.0)  # γ of named cases
    labels: tuple[Labels, ...] = LABELS  # of named cases
    num_chains: int | None = None  # default 400/λ, between 4 and 16
    max_evaluations: float = 120_000  # gradients per chain and value
    relative_error: float = 0.01  # of λ̂, one standard error
    virial_error: float = 0.02
    rhat: float = 1.02
    seed: int = 0
    minutes: float = math.inf  # begin no value after this long; the next call goes on from there
    keep: bool = True  # write src/singulab/zoo/gold.json


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """One row per value made; ``passed`` if every value asked for has been tried."""
    start = time.monotonic()
    rows: list[dict[str, Any]] = []
    wanted = list(cells(config))
    for done, cell in enumerate(wanted):

        def within(what: str, share: float, done: int = done) -> None:
            on_progress(what, (done + share) / len(wanted))

        if time.monotonic() - start > 60 * config.minutes:
            break
        if cell not in cells(config):  # another process has made it meanwhile
            continue
        record = gold(cell.case, cell.localization, cell.labels, config, within)
        if config.keep:
            keep(record)
        rows.append(_row(record))
    left = list(cells(config))[len(rows) if config.cases else 0 :]
    summary = {
        "values": len(rows),
        "left_out": sum(not row["equilibrated"] for row in rows),
        "not_begun": len(left),
    }
    return {"rows": rows, "summary": summary, "passed": not left}


def cells(config: Config) -> Iterator[Cell]:
    """What is to be made: all that was named, or what gold.json has no record of yet."""
    if config.cases:
        for name, localization, labels in product(
            config.cases, config.localizations, config.labels
        ):
            yield Cell(CASES[name], localization, labels)
        return
    records = json.loads(GOLD.read_text(encoding="utf-8"))["records"]
    known = {(row["case"], row["localization"], row["labels"]) for row in records}
    for cell in GOLD_CELLS:
        if (cell.case.name, cell.localization, cell.labels) not in known:
            yield cell


def gold(
    case: Case,
    localization: float,
    labels: Labels,
    config: Config,
    on_progress: Callable[[str, float], None],
) -> dict[str, Any]:
    """One record for gold.json."""
    start = time.monotonic()
    potential = case.exact_potential(localization, labels=labels)
    simulation = Simulation(
        potential,
        sl.HMC(step_size=_first_step(potential), num_leapfrog=LEAST_LEAPFROG),
        num_chains=config.num_chains or _num_chains(case),
        seed=config.seed,
    )
    kernel = _tuned(simulation)
    short = replace(kernel, num_leapfrog=max(4, kernel.num_leapfrog // SHORTER))
    simulation.restart(kernel, simulation.position)
    cycles, most = (
        0,
        config.max_evaluations / (kernel.num_leapfrog + NUM_SHORT * short.num_leapfrog),
    )
    while True:
        for _ in range(CYCLES):
            for chosen, steps in ((kernel, 1), (short, NUM_SHORT)):
                simulation.kernel = chosen
                simulation.advance(simulation.step + steps)
        cycles += CYCLES
        found = _summary(simulation.trace(), config)
        told = f"{case.name} γ={localization:g} {labels}: {found['value']} ± {found['error']}"
        on_progress(told, min(cycles / most, 1.0))
        hopeless = cycles >= CYCLES_AT_LEAST and cycles * _lack(found, config) > 2 * most
        if found["equilibrated"] or cycles >= most or hopeless:
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
            "num_chains": simulation.num_chains,
            "num_cycles": cycles,
            "step_size": kernel.step_size,
            "num_leapfrog": kernel.num_leapfrog,
            "seconds": round(time.monotonic() - start, 1),
            "singulab": installed("singulab"),
            "torch": torch.__version__,
        },
    }


def _num_chains(case: Case) -> int:
    """Energy scatters by λ^{-1/2}, so a small λ needs many draws for 1 %; R-hat needs a length whatever λ is."""
    expected = case.rlct.value if case.rlct else case.num_weights / 4
    return min(max(round(400 / expected), 4), 16)


def _first_step(potential: sl.LocalPotential) -> float:
    return 0.01 / (potential.nbeta + potential.localization)


def _tuned(simulation: Simulation) -> sl.HMC:
    """HMC whose step is accepted 80 % of the time and whose trajectories cross the tether."""
    assert isinstance(simulation.kernel, sl.HMC)
    assert isinstance(simulation.kernel.step_size, float)
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
    """Steps until the flattest direction, of size γ^{-1/2}, has turned by ``TURN``."""
    turn = math.exp(log_step / 2) * math.sqrt(simulation.potential.localization)
    return min(max(round(TURN / turn), LEAST_LEAPFROG), MOST_LEAPFROG)


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


def _lack(found: dict[str, Any], config: Config) -> float:
    """How many times longer the run would have to be: errors fall like 1/√draws, R-hat − 1 like 1/draws."""
    evidence = found["evidence"]
    return max(
        (found["error"] / (config.relative_error * abs(found["value"]))) ** 2,
        (evidence["virial_error"] / config.virial_error) ** 2,
        (evidence["rhat"] - 1) / (config.rhat - 1),
    )


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
        "cycles": made_by["num_cycles"],
        "leapfrog": made_by["num_leapfrog"],
        "seconds": made_by["seconds"],
        "equilibrated": record["equilibrated"],
    }
