"""What each estimator says where w* is not a minimum, with exact sampling and γ = 100.

    singulab bench off_minimum

A deep linear network is moved from its minimum to w' = w* + τ·N(0, 1). The law p(w) ∝ exp(−nβL − γ/2·|w − w'|²)
is sampled by Hamiltonian Monte Carlo on the sufficient statistics of all data, so nothing here is the error of
a sampler. Then, with δ = w − w', g = ∇L and g' = g(w'):

    raw               nβ(E[L] − L(w'))
    without_slope     nβ E[L − L(w') − g'·δ]
    virial            ½nβ E[δ·(g − g')]
    of_the_mean       nβ(E[L] − L(E[w]))
    centred_virial    ½nβ E[(w − E[w])·g]
    heat_capacity     (nβ)² Var L
    polished          raw, where sl.polish leads from w'
    behavioural       raw, of the loss with the model's own outputs at w' as labels

``reference`` is what an earlier, independent implementation gave for other random displacements, to the digits
that it printed. Two are trusted: polished, which speaks of the basin, and behavioural, which speaks of w'
itself. They have to be within 10 % of the reference.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

import singulab as sl
from singulab.cli.bench import BenchConfig
from singulab.estimate.diagnostics import mcse
from singulab.report.table import rounded
from singulab.sample.run import Simulation
from singulab.zoo import CASES, DeepLinear
from singulab.zoo.deep_linear import product

Weights = dict[str, Tensor]

# λ̂ for τ = .01, .03, .1.
REFERENCE: dict[str, dict[str, tuple[float, ...]]] = {
    "P3": {
        "raw": (22, -47, -876),
        "without_slope": (38, 99, 868),
        "virial": (39, 101, 870),
        "of_the_mean": (31, 30, 29),
        "centred_virial": (31.7, 30.6, 29.8),
        "heat_capacity": (31.3, 28.3, 33.1),
        "polished": (30.3, 30.5, 30.4),
        "behavioural": (30.5, 30.9, 30.9),
    },
    "P2": {
        "raw": (4, -258, -3691),
        "without_slope": (67, 314, 3813),
        "virial": (81, 332, 3757),
        "of_the_mean": (37, 37, 29),
        "centred_virial": (49.6, 49.6, 43.8),
        "heat_capacity": (34.5, 35.7, 42.5),
        "polished": (37.5, 37.5, 39.2),
        "behavioural": (37.7, 38.7, 46.0),
    },
    "P10": {
        "raw": (-1011, -11132, -181052),
        "without_slope": (1215, 9932, 217245),
        "virial": (1335, 10738, 199198),
        "of_the_mean": (54, -14, -1121),
        "centred_virial": (225, 217, 194),
        "heat_capacity": (197, 194, 207),
        "polished": (199, 201, 190),
        "behavioural": (199.8, 199.3, 198.3),
    },
}
OFFSETS = (0.01, 0.03, 0.1)
TRUSTED = ("polished", "behavioural")
WRONG = 0.1  # of the reference, that they may differ by
VIRIAL = 0.02  # that E[δ·∇U]/d may differ from 1 by
WINDOW, NUM_WINDOWS, ACCEPTANCE = 4, 12, 0.8  # of the tuning of HMC


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """The table of estimators away from a minimum, by exact sampling."""

    cases: tuple[str, ...] = ("P3", "P2", "P10")
    offsets: tuple[float, ...] = OFFSETS  # τ
    localization: float = 100.0  # γ
    num_chains: int = 8
    num_draws: int = 200  # trajectories kept per chain
    seed: int = 0


class Value(NamedTuple):
    """An estimate with its Monte Carlo error."""

    value: float
    error: float


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """One row per network and estimator; ``values`` has one per offset too."""
    values: list[dict[str, Any]] = []
    cells = [(name, offset) for name in config.cases for offset in config.offsets]
    for done, (name, offset) in enumerate(cells):
        on_progress(f"{name} at {offset:g}", done / len(cells))
        case = CASES[name]
        assert isinstance(case, DeepLinear)
        values += cell(case, offset, config)
    passed = all(value["passed"] is not False for value in values)
    return {"rows": _table(values), "values": values, "passed": passed}


def _table(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Value ± error (reference) in a column per offset."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for value in values:
        key = value["case"], value["estimator"]
        row = rows.setdefault(key, {"case": key[0], "estimator": key[1]})
        told = "" if value["reference"] is None else f" ({value['reference']:g})"
        row[f"τ = {value['offset']:g}"] = rounded(value["value"], value["error"]) + told
        if value["passed"] is not None:
            row["passed"] = row.get("passed", True) and value["passed"]
    return list(rows.values())


def cell(case: DeepLinear, offset: float, config: Config) -> list[dict[str, Any]]:
    """All estimators at one displacement of one network."""
    start = time.monotonic()
    function, center = case.exact_loss()
    moved = displaced(center, offset, config.seed)
    model = case.model()
    model.load_state_dict(moved)
    down = sl.polish(model, case.data(), sl.gaussian(), batch_size=case.batch_size)
    below = {name: weight.double() for name, weight in down.weights.items()}

    def sampled(anchor: Weights, loss: Any = function, begin: Weights = below) -> Posterior:
        potential = sl.LocalPotential.from_function(
            loss, anchor, num_data=case.num_data, localization=config.localization
        )
        return Posterior(potential, begin, config)

    here, there = sampled(moved), sampled(below)
    own = sampled(moved, behavioural_loss(case, moved), moved)
    found: dict[str, Value] = {
        **estimators(here),
        "polished": raw(there),
        "behavioural": raw(own),
    }
    chains = {"polished": there, "behavioural": own}
    rows = []
    for name, estimate in found.items():
        reference = _reference(case.name, name, offset)
        equilibrated = abs(chains.get(name, here).virial - 1) <= VIRIAL
        agrees = reference is None or abs(estimate.value / reference - 1) <= WRONG
        rows.append(
            {
                "case": case.name,
                "offset": offset,
                "estimator": name,
                "value": estimate.value,
                "error": estimate.error,
                "reference": reference,
                "at_minimum": case.truth(config.localization).value,
                "virial_of_chains": chains.get(name, here).virial,
                "passed": equilibrated and agrees if name in TRUSTED else None,
            }
        )
    rows[-2] |= {"energy_drop": down.energy_drop, "distance": down.distance}
    rows[-1]["seconds"] = time.monotonic() - start
    return rows


def _reference(case: str, estimator: str, offset: float) -> float | None:
    if case not in REFERENCE or offset not in OFFSETS:
        return None
    return REFERENCE[case][estimator][OFFSETS.index(offset)]


def displaced(center: Mapping[str, Tensor], offset: float, seed: int) -> Weights:
    """w* + τ·N(0, 1)."""
    generator = torch.Generator().manual_seed(4000 + seed)
    return {
        name: weight + offset * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
        for name, weight in center.items()
    }


def behavioural_loss(
    case: DeepLinear, anchor: Mapping[str, Tensor]
) -> Callable[[dict[str, Tensor]], Tensor]:
    """½ mean ‖f_w − f_w'‖² = ½ tr(D S Dᵀ) with D the difference of the products."""
    inputs = case.moments()[1].inputs
    at_anchor = product(list(anchor.values()))

    def loss(stacked: dict[str, Tensor]) -> Float[Tensor, " chain"]:
        difference = product([stacked[name] for name in anchor]) - at_anchor
        return 0.5 * (difference @ inputs * difference).sum(dim=(-2, -1))

    return loss


class Posterior:
    """Exact draws: displacements, losses and gradients of L."""

    def __init__(self, potential: sl.LocalPotential, begin: Weights, config: Config) -> None:
        self.potential = potential
        start = torch.cat([begin[name].reshape(-1) for name in potential.components])
        simulation = Simulation(
            potential,
            sl.HMC(step_size=0.1 / potential.nbeta, num_leapfrog=8),
            num_chains=config.num_chains,
            seed=config.seed,
            position=start.expand(config.num_chains, -1).clone(),
        )
        simulation.restart(_tuned(simulation), simulation.position)
        displacements, excess, gradients = [], [], []
        for draw in range(-config.num_draws // 5, config.num_draws):
            simulation.advance(simulation.step + 1)
            if draw < 0:
                continue
            (state,) = simulation.states
            displacements.append(state.position - potential.center)
            excess.append(state.excess)
            gradients.append(state.gradient)
        self.displacement = torch.stack(displacements, 1)  # δ, (chain, draw, weight)
        self.excess = torch.stack(excess, 1)  # L(w) − L(w')
        total = torch.stack(gradients, 1)  # ∇U
        tether = potential.localization * self.displacement
        self.gradient = (total - tether) / potential.nbeta  # ∇L
        self.virial = float((self.displacement * total).sum(2).mean()) / potential.dim

    def slope(self, displacement: Tensor) -> tuple[Tensor, float]:
        """∇L and L − L(w') at w' + δ."""
        position = (self.potential.center + displacement)[None]
        gradient, excess, _ = self.potential.landscape.full(position, None)
        return gradient[0], float(excess[0])


def _tuned(simulation: Simulation) -> sl.HMC:
    """HMC with 80 % of its moves accepted, and trajectories that cross the tether."""
    log_step = math.log(0.1 / simulation.potential.nbeta)
    for window in range(NUM_WINDOWS):
        simulation.advance(simulation.step + WINDOW)
        acceptance = float(simulation.trace()["acceptance"].mean())
        log_step += 4.0 * (acceptance - ACCEPTANCE) / (1 + 0.5 * window)
        crossing = 0.5 * math.pi / math.sqrt(simulation.potential.localization)
        length = max(4, round(crossing * math.exp(-log_step / 2)))
        kernel = sl.HMC(step_size=math.exp(log_step), num_leapfrog=length)
        simulation.restart(kernel, simulation.position)
    return kernel


def raw(draws: Posterior) -> Value:
    """nβ(E[L] − L(w'))."""
    return _mean(draws.potential.nbeta * draws.excess)


def estimators(draws: Posterior) -> dict[str, Value]:
    """All that can be said of one set of draws around w'."""
    nbeta, delta, gradient = draws.potential.nbeta, draws.displacement, draws.gradient
    slope, _ = draws.slope(torch.zeros_like(delta[0, 0]))
    mean = delta.mean((0, 1))
    slope_of_mean, excess_of_mean = draws.slope(mean)
    energy = nbeta * draws.excess
    # L(E[w]) moves with the draws, by its slope times their mean.
    beyond = energy - nbeta * excess_of_mean - nbeta * (delta - mean) @ slope_of_mean
    return {
        "raw": raw(draws),
        "without_slope": _mean(energy - nbeta * delta @ slope),
        "virial": _mean(0.5 * nbeta * (delta * (gradient - slope)).sum(2)),
        "of_the_mean": _mean(beyond),
        "centred_virial": _mean(0.5 * nbeta * ((delta - mean) * gradient).sum(2)),
        "heat_capacity": _mean((energy - energy.mean()).square()),
    }


def _mean(draws: Tensor) -> Value:
    values = draws.numpy()
    return Value(float(values.mean()), mcse(values))
