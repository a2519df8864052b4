"""The ReLU network 10 → 20 → 20 → 10 of the SGLD–MALA table, against long exact runs.

    singulab bench relu

Per n: λ̂ at γ = 1 by long Hamiltonian Monte Carlo on all data (gold), by ``sl.measure`` with no setting
but γ and the batch size of the paper, and by the schedule of the paper: SGLD, ε = 1e-5, 10 000 steps from w*. Such
a short chain has not spread as far as γ = 1 lets it; its value belongs to γ_eff, and gold at that γ stands beside
it. The paper does not print its w*, its inputs or its noise, so its figures are for orientation.

Gold equilibrated if the mean of (w − w*)·∇U/d is within 2 % of 1 and R-hat of energy and radius at most 1.02.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

import singulab as sl
from benchmarks.book import Book, digest, sampler
from singulab.cli.bench import BenchConfig
from singulab.estimate.diagnostics import mcse, rhat
from singulab.rng import Purpose
from singulab.sample import curvature, spread
from singulab.sample.precondition import Identity, Preconditioner
from singulab.sample.run import Simulation
from singulab.zoo import CASES, ReluNetwork
from singulab.zoo.relu_network import PUBLISHED

FAR_OFF = 3.0  # combined errors
VIRIAL, RHAT = 0.02, 1.02  # of gold
TURNS = (
    1.4,
    2.0,
    2.0,
    4.0,
    4.0,
)  # length of a trajectory in whitened units, by stage; the last is kept
FIRST_STEP = 0.003  # ε
WINDOW, NUM_WINDOWS, ACCEPTANCE = 2, 5, 0.8  # of the tuning of each stage
BURN_IN = 0.2  # of the trajectories that are kept
CURVATURE_BATCH = 200
ROAMING_STEP, ROAMING_MEMORY = 5e-4, 0.95  # of the chains before they are accepted or not
STRETCHES, LONGEST_STRETCH = 60, 1000  # at most so many, of so many steps
LOOK_BACK = 8  # stretches over which the mean virial must be 1
NUM_BLOCKS = 8  # equal parts of a run, whose mean energies are recorded chain by chain
ZOO = "zoo/relu_network.py"


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """ReLU 10-20-20-10: gold, own and published λ̂."""

    num_data: tuple[int, ...] = (1_000, 10_000)  # n
    localization: float = 1.0  # γ of the table
    max_gradients: float = 640_000.0  # of each measurement, in gradient units
    published_chains: int = 8  # of the published schedule, which ran one
    gold_chains: int = 4
    gold_minutes: float = 30.0  # of processor time for each gold value, at most
    gold_error: float = 0.005  # relative, wanted
    seed: int = 0
    runs: Path = Path("runs/relu.jsonl")  # every value that is done; delete it to begin again


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
    history: list[list[float]]  # mean energy by chain and part of the run, burn-in included

    @property
    def equilibrated(self) -> bool:
        return abs(self.virial - 1) <= VIRIAL and self.rhat <= RHAT


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """One row per n; ``gold`` holds the exact values."""
    book = Book(config.runs)
    rows: list[dict[str, Any]] = []
    values: list[dict[str, Any]] = []
    for done, num_data in enumerate(config.num_data):
        case = CASES[f"relu-{num_data}"]
        assert isinstance(case, ReluNetwork)

        def told(what: str, case: ReluNetwork = case, done: int = done) -> None:
            on_progress(f"{case.name}, {what}", done / len(config.num_data))

        row, made = table_row(case, config, book, told)
        rows.append(row)
        values += made
    return {"rows": rows, "gold": values, "passed": all(row["passed"] for row in rows)}


def table_row(
    case: ReluNetwork, config: Config, book: Book, told: Callable[[str], None]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One n of the table."""

    def exact(localization: float) -> Gold:
        names = ("gold_chains", "gold_minutes", "gold_error", "seed")
        key = {"case": case.name, "gold": localization, "code": _code()}
        key |= {name: getattr(config, name) for name in names}
        return Gold(**book.get(key, lambda: gold(case, localization, config, told)._asdict()))

    def measured(what: str, make: Callable[[], sl.Measurement], **knobs: float) -> dict[str, Any]:
        told(what)
        key = {"case": case.name, "measured": what, "seed": config.seed, **knobs}
        return book.get(key | {"code": sampler(ZOO)}, lambda: _told(make()))

    own = measured(
        "own",
        lambda: sl.measure(
            case.model(),
            case.data(),
            sl.gaussian(),
            localization=config.localization,
            batch_size=case.batch_size,
            max_gradients=config.max_gradients,
            seed=config.seed,
        ),
        localization=config.localization,
        max_gradients=config.max_gradients,
    )
    schedule = sl.Settings.published("lau2023_mala_table")
    short = measured(
        "published schedule",
        lambda: sl.measure(
            case.model(),
            case.data(),
            sl.gaussian(),
            settings=replace(schedule, num_chains=config.published_chains),
            seed=config.seed,
        ),
        num_chains=config.published_chains,
    )
    there = exact(float(f"{short['effective_localization']:.3g}"))
    truth = exact(config.localization)
    z = (own["llc"] - truth.value) / math.hypot(own["se"], truth.error)
    sgld, mala = PUBLISHED[case.num_data]
    row = {
        "n": case.num_data,
        "gold": truth.value,
        "gold_error": truth.error,
        "virial": truth.virial,
        "rhat": truth.rhat,
        "llc": own["llc"],
        "se": own["se"],
        "z": z,
        "checks": own["checks"],
        "own_gamma_eff": own["effective_localization"],
        "own_gradients": own["gradients"],
        "own_history": own["history"],
        "published_sgld": sgld,
        "published_mala": mala,
        "short": short["raw"],
        "short_error": short["raw_se"],
        "gamma_eff": short["effective_localization"],
        "gold_there": there.value,
        "gold_there_error": there.error,
        "seconds": own["seconds"] + sum(made.seconds for made in (truth, there)),
        "passed": abs(truth.virial - 1) <= VIRIAL
        and abs(there.virial - 1) <= VIRIAL
        and abs(z) <= FAR_OFF,
    }
    made = [
        {"case": case.name, "nbeta": case.nbeta, "localization": gamma, **value._asdict()}
        | {"equilibrated": value.equilibrated}
        for gamma, value in (
            (config.localization, truth),
            (short["effective_localization"], there),
        )
    ]
    return row, made


def _code() -> str:
    return digest([Path(__file__), Path(sl.__file__).parent / ZOO])


def _told(measured: sl.Measurement) -> dict[str, Any]:
    failed = [check.name for check in measured.checks if not check.passed]
    return {
        "llc": measured.llc.value,
        "se": measured.llc.se,
        "raw": measured.raw.value,
        "raw_se": measured.raw.se,
        "checks": "failed " + ", ".join(failed) if failed else "passed",
        "effective_localization": measured.effective_localization,
        "gradients": measured.gradients["total"],
        "seconds": measured.seconds,
        "history": _history(measured.trace.energy),
    }


def _history(energy: np.ndarray) -> list[list[float]]:
    """Mean energy by chain and part of the run."""
    parts = np.array_split(energy, NUM_BLOCKS, axis=1)
    return np.round([part.mean(1) for part in parts], 1).T.tolist()


def gold(
    case: ReluNetwork, localization: float, config: Config, told: Callable[[str], None]
) -> Gold:
    """λ̂ by preconditioned Hamiltonian Monte Carlo on all data in float32.

    The chains first spread by underdamped Langevin dynamics on minibatches, for a hundredth of the cost, until the
    virial is that of the posterior; after each stage of the tuning, on all data, displacements are stretched until it
    is, as the automatic sampler does in warm-up. The preconditioner is that of the automatic sampler too, from
    Gauss–Newton curvature where the chains stand, made anew in each stage of the tuning and frozen after. None of this
    decides where the accepted chains end, only how fast they get there.
    """
    start = time.process_time()
    function, center = case.exact_loss()
    potential = sl.LocalPotential.from_function(
        function,
        {name: weight.float() for name, weight in center.items()},
        num_data=case.num_data,
        localization=localization,
    )
    simulation = _tuned(case, potential, config, told)
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
            seconds=time.process_time() - start,
            history=_history(trace.energy),
        )
        told(
            f"γ = {localization:g}: {found.value:.1f} ± {found.error:.1f}, virial {found.virial:.3f}, "
            f"R-hat {found.rhat:.3f}"
        )
        precise = found.error <= config.gold_error * found.value and found.num_draws >= 40
        if (precise and found.equilibrated) or found.seconds > 60 * config.gold_minutes:
            return found


def _spread(
    curved: sl.LocalPotential, basis: Callable[[Simulation, int], Preconditioner], config: Config
) -> Tensor:
    """Where chains are once minibatches have taken them as far as the tether lets them."""
    scale: Preconditioner = Identity()

    def kernel() -> sl.BAOAB:
        return sl.BAOAB(step_size=ROAMING_STEP, memory=ROAMING_MEMORY, preconditioner=scale)

    simulation = Simulation(curved, kernel(), num_chains=config.gold_chains, seed=config.seed)
    virials: list[float] = []
    for stretch in range(STRETCHES):
        if stretch < 8 or stretch % 8 == 0:
            scale = basis(simulation, stretch)
        simulation.restart(kernel(), simulation.position)
        simulation.advance(simulation.step + min(LONGEST_STRETCH, 16 * 2**stretch))
        virials.append(float(simulation.trace()["virial"].mean()))
        if stretch >= LOOK_BACK and sum(virials[-LOOK_BACK:]) >= LOOK_BACK:
            break
    return simulation.position


def _tuned(
    case: ReluNetwork, potential: sl.LocalPotential, config: Config, told: Callable[[str], None]
) -> Simulation:
    """Chains that have spread, with a preconditioner and a step that are accepted 80 % of the time."""
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

    def basis(simulation: Simulation, stage: int) -> Preconditioner:
        with curved.landscape.ready():
            return curvature.preconditioner(
                curved, simulation.position, feed,
                kind="ekfac", seed=config.seed, step=1000 * stage, repeats=16,
            )[0]  # fmt: skip

    def kernel(turn: float) -> sl.HMC:
        length = max(2, round(turn * math.exp(-log_step / 2)))
        return sl.HMC(step_size=math.exp(log_step), num_leapfrog=length, preconditioner=scale)

    simulation = Simulation(
        potential,
        sl.HMC(step_size=1e-6),
        num_chains=config.gold_chains,
        seed=config.seed,
        position=_spread(curved, basis, config),
    )
    log_step = math.log(FIRST_STEP)
    for stage, turn in enumerate(TURNS):
        scale = basis(simulation, STRETCHES + stage)
        settled, found = [], []
        for window in range(NUM_WINDOWS):
            simulation.restart(kernel(turn), simulation.position)
            simulation.advance(simulation.step + WINDOW)
            trace = simulation.trace()
            acceptance = float(trace["acceptance"].mean())
            log_step += 2.5 * (acceptance - ACCEPTANCE) / (1 + 0.3 * window)
            settled.append(log_step)
            quantities = trace["virial"], trace["radius_squared"], trace.energy
            found.append([float(quantity.mean()) for quantity in quantities])
        log_step = sum(settled[-3:]) / 3
        virial, radius_squared, energy = (
            sum(column) / 3 for column in zip(*found[-3:], strict=True)
        )
        factor = spread.wanted(potential, virial, radius_squared, 0.0)
        position, factor, _ = spread.stretch(
            curved, simulation.position, factor, energy, feed, [list(range(config.gold_chains))],
            step=2000 * STRETCHES + stage,
        )  # fmt: skip
        told(f"γ = {potential.localization:g}: virial {virial:.3f}, stretched by {factor:.3f}")
        simulation.restart(kernel(turn), position)
    simulation.restart(kernel(TURNS[-1]), simulation.position)
    return simulation
