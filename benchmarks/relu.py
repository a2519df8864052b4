"""The ReLU network 10 → 20 → 20 → 10 of the SGLD–MALA table, against long exact runs.

    singulab bench relu

Per n: λ̂ at γ = 1 by long Hamiltonian Monte Carlo on all data (gold), by ``sl.measure`` with no setting
but γ and the batch size of the paper, and by the schedule of the paper: SGLD, ε = 1e-5, 10 000 steps from w*. Such
a short chain has not spread as far as γ = 1 lets it; its value belongs to γ_eff, and gold at that γ stands beside
it. The paper does not print its w*, its inputs or its noise, so its figures are for orientation.

Gold is kept if the mean of (w − w*)·∇U/d is within 2 % of 1 and R-hat of energy and radius at most 1.02.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

import singulab as sl
from singulab.cli.bench import BenchConfig
from singulab.estimate.diagnostics import mcse, rhat
from singulab.rng import Purpose
from singulab.sample import curvature
from singulab.sample.precondition import Preconditioner
from singulab.sample.run import Simulation
from singulab.zoo import CASES, ReluNetwork
from singulab.zoo.relu_network import PUBLISHED

FAR_OFF = 3.0  # combined errors
VIRIAL, RHAT = 0.02, 1.02  # of gold
TURNS = (
    1.4,
    1.4,
    2.0,
    4.0,
)  # length of a trajectory in whitened units, stage by stage; the last is kept
WINDOW, NUM_WINDOWS, ACCEPTANCE = 2, 5, 0.8  # of the tuning of each stage
BURN_IN = 0.2  # of the trajectories that are kept
CURVATURE_BATCH = 200


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """ReLU 10-20-20-10: gold, own and published λ̂."""

    num_data: tuple[int, ...] = (1_000, 10_000)  # n
    localization: float = 1.0  # γ of the table
    max_gradients: float = 16_000.0  # of each measurement, in gradient units
    published_chains: int = 8  # of the published schedule, which ran one
    gold_chains: int = 4
    gold_minutes: float = 30.0  # for each gold value, at most
    gold_error: float = 0.005  # relative, wanted
    seed: int = 0


class Gold(NamedTuple):
    """λ̂ by Hamiltonian Monte Carlo, and whether it equilibrated."""

    value: float
    error: float
    virial: float
    virial_error: float
    rhat: float
    radius: float
    num_draws: int
    seconds: float

    @property
    def equilibrated(self) -> bool:
        return abs(self.virial - 1) <= VIRIAL and self.rhat <= RHAT


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """One row per n; ``gold`` holds the exact values."""
    rows: list[dict[str, Any]] = []
    values: list[dict[str, Any]] = []
    for done, num_data in enumerate(config.num_data):
        case = CASES[f"relu-{num_data}"]
        assert isinstance(case, ReluNetwork)
        on_progress(case.name, done / len(config.num_data))
        row, made = table_row(case, config)
        rows.append(row)
        values += made
    return {"rows": rows, "gold": values, "passed": all(row["passed"] for row in rows)}


def table_row(case: ReluNetwork, config: Config) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One n of the table."""
    start = time.monotonic()
    truth = gold(case, config.localization, config)
    own = sl.measure(
        case.model(),
        case.data(),
        sl.gaussian(),
        localization=config.localization,
        batch_size=case.batch_size,
        max_gradients=config.max_gradients,
        seed=config.seed,
    )
    schedule = sl.Settings.published("lau2023_mala_table")
    short = sl.measure(
        case.model(),
        case.data(),
        sl.gaussian(),
        settings=replace(schedule, num_chains=config.published_chains),
        seed=config.seed,
    )
    there = gold(case, float(f"{short.effective_localization:.3g}"), config)
    z = (own.llc.value - truth.value) / math.hypot(own.llc.se, truth.error)
    sgld, mala = PUBLISHED[case.num_data]
    row = {
        "n": case.num_data,
        "gold": truth.value,
        "gold_error": truth.error,
        "virial": truth.virial,
        "llc": own.llc.value,
        "se": own.llc.se,
        "z": z,
        "checks": _verdict(own),
        "published_sgld": sgld,
        "published_mala": mala,
        "short": short.raw.value,
        "short_error": short.raw.se,
        "gamma_eff": short.effective_localization,
        "gold_there": there.value,
        "gold_there_error": there.error,
        "seconds": time.monotonic() - start,
        "passed": truth.equilibrated and there.equilibrated and abs(z) <= FAR_OFF,
    }
    made = [
        {"case": case.name, "nbeta": case.nbeta, "localization": gamma, **value._asdict()}
        for gamma, value in ((config.localization, truth), (short.effective_localization, there))
    ]
    return row, made


def _verdict(measured: sl.Measurement) -> str:
    failed = [check.name for check in measured.checks if not check.passed]
    return "failed " + ", ".join(failed) if failed else "passed"


def gold(case: ReluNetwork, localization: float, config: Config) -> Gold:
    """λ̂ by preconditioned Hamiltonian Monte Carlo on all data in float32, from w*.

    The preconditioner is that of the automatic sampler, from Gauss–Newton curvature where the chains stand, made anew
    in each stage of the tuning and frozen after. It decides how fast the chains move, not where they end.
    """
    start = time.monotonic()
    function, center = case.exact_loss()
    potential = sl.LocalPotential.from_function(
        function,
        {name: weight.float() for name, weight in center.items()},
        num_data=case.num_data,
        localization=localization,
    )
    simulation = _tuned(case, potential, config)
    while True:
        simulation.advance(simulation.step + 10)
        trace = simulation.trace()
        first = int(BURN_IN * trace.num_draws)
        energy, virial = trace.energy[:, first:], trace["virial"][:, first:]
        radius = trace["radius_squared"][:, first:]
        found = Gold(
            value=float(energy.mean()),
            error=mcse(energy),
            virial=float(virial.mean()),
            virial_error=mcse(virial),
            rhat=max(rhat(energy), rhat(radius)),
            radius=float(np.sqrt(radius.mean())),
            num_draws=trace.num_draws - first,
            seconds=time.monotonic() - start,
        )
        precise = found.error <= config.gold_error * found.value and found.num_draws >= 40
        if (precise and found.equilibrated) or found.seconds > 60 * config.gold_minutes:
            return found


def _tuned(case: ReluNetwork, potential: sl.LocalPotential, config: Config) -> Simulation:
    """Chains that have left w*, with a preconditioner and a step that are accepted 80 % of the time."""
    curved = sl.LocalPotential.of(
        case.model(),
        case.data(),
        sl.gaussian(),
        nbeta=potential.nbeta,
        localization=potential.localization,
        batch_size=CURVATURE_BATCH,
    )
    feed = curved.landscape.feed(
        seed=config.seed,
        num_chains=config.gold_chains,
        batch_size=CURVATURE_BATCH,
        purpose=Purpose.BATCH_FOR_CURVATURE,
    )

    def basis(stage: int) -> Preconditioner:
        with curved.landscape.ready():
            return curvature.preconditioner(
                curved, simulation.position, feed,
                kind="ekfac", seed=config.seed, step=1000 * stage, repeats=16,
            )[0]  # fmt: skip

    def kernel(turn: float) -> sl.HMC:
        length = max(2, round(turn * math.exp(-log_step / 2)))
        return sl.HMC(step_size=math.exp(log_step), num_leapfrog=length, preconditioner=scale)

    simulation = Simulation(
        potential, sl.HMC(step_size=1e-6), num_chains=config.gold_chains, seed=config.seed
    )
    log_step = math.log(0.02)
    for stage, turn in enumerate(TURNS):
        scale = basis(stage)
        settled = []
        for window in range(NUM_WINDOWS):
            simulation.restart(kernel(turn), simulation.position)
            simulation.advance(simulation.step + WINDOW)
            acceptance = float(simulation.trace()["acceptance"].mean())
            log_step += 2.5 * (acceptance - ACCEPTANCE) / (1 + 0.3 * window)
            settled.append(log_step)
        log_step = sum(settled[-3:]) / 3
    simulation.restart(kernel(TURNS[-1]), simulation.position)
    return simulation
