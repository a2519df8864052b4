"""The Boltzmann law over functions: chains and SGD against it, phases as data grow, fits that vanish or do not.

    singulab bench boltzmann

``chains``: Metropolis against the exact law at three β, and against a law that is wrong. ``training``: SGLD and SGD
from thousands of starts on a machine whose law is exact, each with χ² and total variation. ``phases``: which function
leads as data come in, by the envelope of lines and in data streams, and the free energy. ``vanishing``: the n beyond
which second-best fits have less than 1 % on a lattice, against the continuum, where there is none.

Draws are the last states of independent runs. A row is a check where theory says what must come out.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from singulab.cli.bench import BenchConfig
from singulab.discrete import (
    Agreement,
    Fibres,
    Machine,
    Optimiser,
    Rounding,
    agreement,
    fibres,
    free_energy,
    law,
    learning_coefficient,
    metropolis,
    mismatches,
    multiples,
    phases,
    sign_network,
    trained,
    vanishing_beta,
)
from singulab.evidence import FAR_OFF
from singulab.rng import Purpose, generator

ALARM = 1e-4  # p-value
FLIPPED = 0.2  # share of labels that are wrong in the streams of data
MESH = 1 / 16  # of the weights of the trained machine; its outputs are multiples of MESH²

Row = dict[str, Any]
OnProgress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Exact laws over functions, and what samples them."""

    num_chains: int = 20_000  # of Metropolis
    num_runs: int = 8192  # of SGLD and SGD
    num_streams: int = 400  # of data
    seed: int = 0


def run(config: Config, on_progress: OnProgress) -> dict[str, Any]:
    """Rows of all parts."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    for number, (name, part) in enumerate(PARTS.items()):
        on_progress(name, number / len(PARTS))
        rows += [{"part": name, **one} for one in part(config)]
    return {"rows": rows, "passed": all(row["passed"] is not False for row in rows)}


def row(
    quantity: str,
    value: float,
    se: float = 0.0,
    expected: float | None = None,
    *,
    check: bool = True,
    passed: bool | None = None,
) -> Row:
    """One number; a check if ``passed`` is a bool or something is expected of a number with an error."""
    z = (value - expected) / se if expected is not None and se > 0 else None
    if passed is None and check and z is not None:
        passed = abs(z) <= FAR_OFF
    return {
        "quantity": quantity,
        "value": value,
        "se": se,
        "expected": expected,
        "z": z,
        "passed": None if passed is None else bool(passed),
    }


def verdict_rows(what: str, seen: Agreement, *, follows: bool | None) -> list[Row]:
    """χ² and total variation of draws; ``follows`` says what must come out, None that it is a finding."""
    passed = None if follows is None else (seen.p_value >= ALARM) == follows
    excess = seen.total_variation - seen.expected_total_variation
    return [
        row(f"{what}: p of χ² with {seen.degrees} degrees", seen.p_value, passed=passed),
        row(f"{what}: total variation", seen.total_variation),
        row(
            f"{what}: total variation beyond that of exact draws",
            excess,
            seen.total_variation_se,
            0.0,
            check=bool(follows),
        ),
    ]


def chains(config: Config) -> list[Row]:
    machine, loss = sign_network(3, 3), mismatches([0, 0, 0, 1, 0, 1, 1, 1])
    found = fibres(machine)
    losses = loss(found.symbols)
    rows = []
    for place, beta in enumerate((0.0, 0.7, 2.0)):
        ended = metropolis(
            machine,
            loss,
            beta,
            num_chains=config.num_chains,
            num_steps=200,
            seed=config.seed + place,
        )
        seen = agreement(ended, found, law(found, losses, beta))
        rows += verdict_rows(f"Metropolis at β = {beta:g}", seen, follows=True)
    wrong = agreement(ended, found, law(found, losses, 2.2))
    return rows + verdict_rows("Metropolis at β = 2 against β = 2.2", wrong, follows=False)


# ── SGLD and SGD ──────────────────────────────────────────────────────────────────────────────────


def two_forms() -> Machine:
    """θ₁θ₂ and θ₁² + θ₂² as two data: up to 4 settings to a function, and a loss that confines both weights."""

    def network(weights: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        forms = torch.stack([weights.prod(1), weights.square().sum(1)], dim=1)
        return (forms @ inputs.T)[:, :, None]

    return Machine(
        network=network,
        num_weights=2,
        weights=multiples(MESH, 2),
        inputs=torch.eye(2, dtype=torch.float64),
        outputs=Rounding(MESH**2),
    )


def training(config: Config) -> list[Row]:
    machine = two_forms()
    found = fibres(machine)
    targets = (
        round(0.8 / MESH**2),
        round(1.0 / MESH**2),
    )  # |θ₁θ₂| ≤ ½(θ₁² + θ₂²): no setting fits both
    losses = ((found.symbols - np.array(targets)) ** 2 / 2).mean(axis=1)  # that of ``trained``
    unit = MESH**2  # losses are in meshes², so rates shrink and temperatures grow by its square
    temperature, rate = 0.1, 0.005
    langevin = Optimiser(
        learning_rate=rate * unit**2,
        temperature=temperature / unit**2,
        num_steps=4_000,
        until_fit=False,
    )
    minibatches = Optimiser(
        learning_rate=0.2 * unit**2, batch_size=1, num_steps=2_000, until_fit=False
    )
    rows = [
        row("functions of θ₁θ₂ and θ₁² + θ₂²", len(found)),
        row("most settings of one function", int(found.counts.max())),
    ]
    for name, optimiser, follows in (("SGLD", langevin, True), ("SGD", minibatches, None)):
        runs = trained(
            machine,
            targets,
            (0, 1),
            num_runs=config.num_runs,
            optimiser=optimiser,
            seed=config.seed,
        )
        alive = runs.functions[~runs.diverged]
        reached = losses[place_of(alive, found)]
        heat = float(reached.mean()), float(reached.std(ddof=1) / math.sqrt(len(reached)))
        beta = unit**2 / temperature if name == "SGLD" else beta_of_mean(found, losses, heat[0])
        exact = law(found, losses, beta)
        rows += [
            row(f"{name}: share of runs that diverged", float(runs.diverged.mean())),
            row(f"{name}: temperature of the law beside it", unit**2 / beta),
            row(
                f"{name}: mean loss",
                heat[0] * unit**2,
                heat[1] * unit**2,
                float(exact @ losses) * unit**2,
                check=bool(follows),
            ),
            *verdict_rows(
                f"{name} against the law", agreement(alive, found, exact), follows=follows
            ),
        ]
    return rows


def place_of(functions: np.ndarray, found: Fibres) -> np.ndarray:
    place = {words.tobytes(): index for index, words in enumerate(found.functions)}
    return np.array([place[words.tobytes()] for words in functions])


def beta_of_mean(found: Fibres, losses: np.ndarray, mean: float) -> float:
    """β at which the law has this mean loss, which falls with β."""
    low, high = 0.0, 1.0
    while float(law(found, losses, high) @ losses) > mean:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if float(law(found, losses, middle) @ losses) > mean else (low, middle)
        )
    return high


# ── more and more data ────────────────────────────────────────────────────────────────────────────


def phases_as_data_grow(config: Config) -> list[Row]:
    """A truth of the highest A-complexity, labels flipped at random, log-loss per datum."""
    found = fibres(sign_network(4, 3))
    truth = len(found) - 1
    cost = math.log((1 - FLIPPED) / FLIPPED)  # of a wrong answer more, nats
    wrong = (found.symbols != found.symbols[truth]).mean(axis=1)
    losses = (FLIPPED + (1 - 2 * FLIPPED) * wrong) * cost
    leaders = phases(found, losses)
    rows = []
    for phase in leaders:
        what = f"leader from n = {phase.start:.4g}"
        rows.append(row(f"{what}: A-complexity, nats", float(found.complexity[phase.function])))
        rows.append(
            row(f"{what}: loss above the least, nats", float(losses[phase.function] - losses.min()))
        )
    takes_over = leaders[-1].start
    better = leaders[-2].function
    exact = (found.complexity[truth] - found.complexity[better]) / (losses[better] - losses[truth])
    rows.append(
        row(
            "n at which the truth takes the lead, over Δc/ΔL",
            takes_over / exact,
            passed=abs(takes_over / exact - 1) < 1e-12,
        )
    )
    for n in (0.5 * takes_over, takes_over, 2 * takes_over):
        mass = law(found, losses, n)[truth]
        rows.append(row(f"posterior mass of the truth at n = {n:.4g}", float(mass)))
    for n in (10.0, 100.0, 1e4):
        left = free_energy(found, losses, n) - n * losses.min()
        rows.append(row(f"F(n) − n·L at n = {n:g}, nats", left))
    c = float(found.complexity[truth])
    rows.append(
        row(
            "the last over the A-complexity of the truth", left / c, passed=abs(left / c - 1) < 1e-9
        )
    )
    rows.append(stream_row(config, found, truth, cost, takes_over))
    return rows


def stream_row(config: Config, found: Fibres, truth: int, cost: float, predicted: float) -> Row:
    """The number of data after which the truth leads for good, in streams of drawn data."""
    random = generator(config.seed, Purpose.BATCH)
    length = int(8 * predicted)
    ends = []
    for _ in range(config.num_streams):
        places = random.integers(0, found.symbols.shape[1], length)
        labels = found.symbols[truth][places] ^ (random.random(length) < FLIPPED)
        score = -found.complexity.copy()
        last = 0
        for n, (place, label) in enumerate(zip(places, labels, strict=True), 1):
            score -= cost * (found.symbols[:, place] != label)
            if score.argmax() != truth:
                last = n
        ends.append(last)
    value, se = float(np.mean(ends)), float(np.std(ends, ddof=1) / math.sqrt(len(ends)))
    return row(
        "data until the truth leads for good, mean of streams", value, se, predicted, check=False
    )


def vanishing(config: Config) -> list[Row]:
    """K = θ₁²θ₂² on lattices and in the continuum."""
    rows, ends = [], []
    for denominator in (8, 16, 32, 64, 128):
        mesh = 1 / denominator
        found, losses = product_machine(f"1/{denominator}")
        n = vanishing_beta(found, losses)
        ends.append(n)
        rows.append(
            row(f"ε = 1/{denominator}: n beyond which second-best fits have less than 1 %", n)
        )
        rows.append(row(f"ε = 1/{denominator}: that in units of 1/gap = 1/ε⁴", n * mesh**4))
        for size in (1e2, 1e4, 1e6):
            lattice = learning_coefficient(found, losses, size)
            rows.append(
                row(
                    f"ε = 1/{denominator}: n(E[K] − min K) at n = {size:g}",
                    lattice,
                    0.0,
                    continuum(size),
                )
            )
            if size * mesh**2 < 1:  # √n·xy changes by less than 1 from point to point
                rows[-1]["passed"] = abs(lattice / continuum(size) - 1) < 0.02
    rows.append(
        row(
            "that n, at the finest over at the coarsest ε",
            ends[-1] / ends[0],
            passed=ends == sorted(ends),
        )
    )
    for size in (1e2, 1e6, 1e12, 1e18):
        rows.append(
            row(
                f"continuum: n(E[K] − min K) at n = {size:g}, never below ¼ again",
                continuum(size),
                passed=continuum(size) > 0.25,
            )
        )
    return rows


def product_machine(mesh: str) -> tuple[Fibres, np.ndarray]:
    """θ₁θ₂ on a lattice in [−1, 1]², and K of every function."""
    step = float(Fraction(mesh))
    machine = Machine(
        network=lambda weights, inputs: (weights.prod(1, keepdim=True) * inputs.T)[:, :, None],
        num_weights=2,
        weights=multiples(mesh),
        inputs=torch.ones(1, 1, dtype=torch.float64),
        outputs=Rounding(step**2),
    )
    found = fibres(machine)
    return found, (found.symbols[:, 0] * step**2) ** 2.0


def continuum(num_data: float) -> float:
    """n·E[x²y²] under e^{−nx²y²} on [−1, 1]²: −d log Z/d log n, by a quadrature in log x."""

    def log_z(log_n: float) -> float:
        node, weight = np.polynomial.legendre.leggauss(600)
        u = 30 * (node - 1)  # log x from −60 to 0
        root = math.exp(log_n / 2)
        inner = torch.erf(torch.from_numpy(np.exp(u) * root)).numpy() / root
        return math.log(float(30 * weight @ inner))

    step = 1e-3
    centre = math.log(num_data)
    return -(log_z(centre + step) - log_z(centre - step)) / (2 * step)


PARTS: dict[str, Callable[[Config], list[Row]]] = {
    "chains": chains,
    "training": training,
    "phases": phases_as_data_grow,
    "vanishing": vanishing,
}
