"""SGD as a Markov chain against its exact laws.

    singulab bench dynamics

``--parts`` picks some of these. ``stationary``: covariance and excess loss at four rates under three kinds of noise,
each beside the exact discrete-time law, and their limits at rate 0. ``label noise``: θ₁θ₂ and its control without a
singular point, 40 000 replicas each. ``rate``: effective temperature beside the posterior's, the formula for the best
rate and the stability limit. ``regions``: temperature by place under noise that grows with the distance, and under
noise that does not. ``noise``: C(w) of a network, exact and streamed, and the mean squared gradient against the size.
``ring``: replicas under homoskedastic and state-dependent noise beside the exact law of their chain, on the way and at
the end.

A row holds if the value is within 4 of its errors of what is expected, where its error is a Monte Carlo error; within
the tolerance where one is stated; or if its p-value is above 10⁻⁴. Rows without an expectation are findings.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from singulab.cli.bench import BenchConfig
from singulab.dynamics import (
    Control,
    GaussianRegression,
    LinearProblem,
    Network,
    Product,
    RingChain,
    StationaryScan,
    TwoWells,
    completed,
    gradient_noise,
    isotropic,
    label_noise_drift,
    limit,
    mean_squared_gradient,
    rate_advice,
    regional_temperatures,
    regional_thermometers,
    ring_run,
    simulate,
    stationary,
    streamed_noise,
)
from singulab.dynamics.width import Scaling
from singulab.evidence import FAR_OFF

ALARM = 1e-4  # p-value
CURVATURES = (1.0, 0.5, 0.25, 0.1)
BATCH_SIZE = 4
RATES = (0.025, 0.05, 0.1, 0.2)

Row = dict[str, Any]
Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Exact laws of SGD against thousands of replicas, and the numbers behind the claims."""

    parts: tuple[str, ...] = (
        "stationary",
        "label noise",
        "rate",
        "regions",
        "noise",
        "ring",
    )
    num_replicas: int = 2048  # of stationary laws
    label_noise_replicas: int = 40_000
    ring_replicas: int = 8192
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := set(self.parts) - set(PARTS):
            raise ValueError(f"parts are some of {', '.join(PARTS)}, got {', '.join(unknown)}.")


def run(config: Config, on_progress: Progress) -> dict[str, Any]:
    """Rows of all parts, and the scans of the stationary part in full."""
    rows: list[Row] = []
    found: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for done, part in enumerate(config.parts):

        def report(what: str, share: float, done: int = done, part: str = part) -> None:
            on_progress(f"{part}: {what}", (done + share) / len(config.parts))

        report("", 0.0)
        start = time.monotonic()
        made, evidence = PARTS[part](config, report)
        seconds[part] = round(time.monotonic() - start, 1)
        rows += [{"part": part, **row} for row in made]
        found[part] = evidence
    return {
        "rows": rows,
        "evidence": found,
        "seconds_by_part": seconds,
        "passed": all(row["passed"] is not False for row in rows),
    }


def row(
    quantity: str,
    value: float,
    se: float,
    expected: float | None,
    *,
    tolerance: float | None = None,
    passed: bool | None = None,
) -> Row:
    """One number; ``passed`` is None for a finding."""
    z = (value - expected) / se if expected is not None and se > 0 else None
    if passed is None and tolerance is not None and expected is not None:
        passed = bool(abs(value - expected) <= tolerance)
    elif passed is None and z is not None:
        passed = bool(abs(z) <= FAR_OFF)
    return {
        "quantity": quantity,
        "value": value,
        "se": se,
        "expected": expected,
        "z": z,
        "tolerance": tolerance,
        "passed": passed,
    }


def _stationary(config: Config, report: Progress) -> tuple[list[Row], Any]:
    problem = GaussianRegression(np.array(CURVATURES), batch_size=BATCH_SIZE)
    noises: dict[str, LinearProblem] = {
        "minibatch": problem,
        "isotropic": isotropic(problem),
        "completed": completed(problem),
    }
    rows, scans = [], {}
    for number, (name, noisy) in enumerate(noises.items()):

        def within(what: str, share: float, name: str = name, number: int = number) -> None:
            report(f"{name} {what}", (number + share) / len(noises))

        scan = stationary(
            noisy,
            RATES,
            num_replicas=config.num_replicas,
            seed=config.seed + 1_000_000 * number,
            on_progress=within,
        )
        scans[name] = scan.to_dict()
        rows += _scan_rows(name, scan)
        work = sum(point.num_steps for point in scan.points) * config.num_replicas
        speed = work / sum(point.seconds for point in scan.points)
        rows.append(row(f"{name}: steps of one replica per second", speed, 0.0, None))
    return rows, scans


def _scan_rows(name: str, scan: StationaryScan) -> list[Row]:
    rows = []
    for point in scan.points:
        at = f"{name}, η = {point.rate:g}"
        p = point.p_value
        rows.append(row(f"{at}: p of Σ under the exact law", p, 0.0, None, passed=p > ALARM))
        loss = point.excess_loss
        rows.append(row(f"{at}: excess loss", loss.value, loss.se, point.exact_excess_loss))
        gap = point.dissipation[2]
        rows.append(row(f"{at}: E[w·∇L] − (η/2)E|g|²", gap.value, gap.se, 0.0))
    gibbs = name != "minibatch"
    verdict = scan.gibbs_limit()
    rows.append(
        row(
            f"{name}, η → 0: spread of temperatures, {verdict.verdict}",
            verdict.spread,
            max(t.se / t.value for t in verdict.temperatures),
            0.0 if gibbs else None,
            passed=verdict.verdict == ("gibbs" if gibbs else "not gibbs"),
        )
    )
    slope = scan.slope_limit()
    rows.append(
        row(f"{name}, η → 0: log Σ against log h", slope.value, slope.se, -1.0 if gibbs else 0.0)
    )
    # The noise of ``isotropic`` has the trace of the minibatch noise, which at first order sets the excess loss.
    h = np.array(CURVATURES)
    strength = {"completed": len(h) * h.max()}.get(name, h.sum()) / (4 * BATCH_SIZE)
    excess = scan.excess_limit()
    rows.append(row(f"{name}, η → 0: excess loss/η", excess.value, excess.se, float(strength)))
    missed = _limit_of_exact([p.exact_excess_loss / p.rate for p in scan.points]) - strength
    rows.append(row(f"{name}: what the parabola misses of that limit", missed, excess.se, 0.0))
    if not gibbs:
        wanted = (np.eye(len(h)) / (2 * BATCH_SIZE))[np.triu_indices(len(h))]
        pairs = np.transpose(np.triu_indices(len(h))) + 1
        for (i, j), found, expected in zip(
            pairs.tolist(), scan.covariance_limit(), wanted.tolist(), strict=True
        ):
            rows.append(row(f"{name}, η → 0: Σ_{i}{j}/η", found.value, found.se, expected))
    return rows


def _limit_of_exact(values: list[float]) -> float:
    return limit(np.array(RATES), np.array(values), np.array(RATES) ** -0.5, degree=2).value


def _label_noise(config: Config, report: Progress) -> tuple[list[Row], Any]:
    drifts = []
    for number, valley in enumerate((Product(), Control())):
        drifts.append(
            label_noise_drift(
                valley,
                num_replicas=config.label_noise_replicas,
                seed=config.seed + number,
                on_progress=lambda what, share, n=number: report(what, (n + share) / 2),
            )
        )
    product, control = drifts
    return [
        row("θ₁θ₂: √E[θ₁² − θ₂²]", *product.root_balance, 0.2825, tolerance=0.002),
        row("θ₁θ₂: E θ₁", *product.coordinate, 0.311, tolerance=0.001),
        row("θ₁θ₂: E|θ|", *product.distance, 0.335, tolerance=0.001),
        row("x√(1+y²): E y", *control.coordinate, 0.272, tolerance=0.001),
        row("x√(1+y²): standard deviation of y", control.deviation, 0.0, None),
        row(
            "θ₁θ₂: second-order law of √E[θ₁² − θ₂²]",
            product.second_order,
            0.0,
            product.root_balance.value,
            tolerance=0.001,
        ),
        row(
            "x√(1+y²): second-order law of E y",
            control.second_order,
            0.0,
            control.coordinate.value,
            tolerance=0.001,
        ),
        row("first-order law e^{−η²σ²n/2}", product.first_order, 0.0, 0.2865, tolerance=5e-5),
    ], None


def _rate(config: Config, report: Progress) -> tuple[list[Row], Any]:
    problem = GaussianRegression(np.array(CURVATURES), batch_size=BATCH_SIZE)
    rows = []
    for number, num_data in enumerate((10, 30, 100, 1000)):
        advice = rate_advice(problem, num_data, batch_size=BATCH_SIZE)
        rates = [advice.best, *([advice.formula] if advice.stable else [])]
        scan = stationary(
            problem,
            rates,
            num_replicas=config.num_replicas // 2,
            seed=config.seed + number,
            on_progress=lambda what, share, n=number: report(f"n {what}", (n + share) / 4),
        )
        at = f"n = {num_data}"
        rows += [
            row(f"{at}: formula's rate 2Bd/(n tr C)", advice.formula, 0.0, None),
            row(f"{at}: the post's rate with σ² = 1/d", advice.post, 0.0, None),
            row(f"{at}: stability limit", advice.stability_limit, 0.0, None),
            row(f"{at}: 2/λ_max", 2 / max(CURVATURES), 0.0, None),
            row(f"{at}: best rate by the exact law", advice.best, 0.0, None),
            row(f"{at}: divergence there, nats", advice.divergence, 0.0, None),
        ]
        factor = 2 * num_data / len(CURVATURES)
        for name, point in zip(("best", "formula's"), scan.points, strict=False):
            excess = point.excess_loss
            rows.append(
                row(
                    f"{at}: n·T at the {name} rate",
                    factor * excess.value,
                    factor * excess.se,
                    factor * point.exact_excess_loss,
                )
            )
    return rows, None


def _regions(config: Config, report: Progress) -> tuple[list[Row], Any]:
    problem = GaussianRegression(np.array([1.0, 1.0]), batch_size=1, label_noise=0.3)
    edges, rate = (0.0, 0.08, 0.16, 0.25, 0.45), 0.2
    rows = []
    noises: dict[str, LinearProblem] = {"minibatch": problem, "isotropic": isotropic(problem)}
    for number, (name, noisy) in enumerate(noises.items()):
        chains = simulate(
            noisy,
            rate=rate,
            num_steps=2000,
            burn_in=300,
            every=4,
            num_replicas=config.num_replicas,
            start=noisy.center,
            observables={
                "regions": regional_thermometers(
                    noisy,
                    center=noisy.center,
                    along=torch.tensor([1.0, 0.0]).double(),
                    edges=edges,
                    directions=torch.tensor([[0.0, 1.0]]).double(),
                )
            },
            seed=config.seed + number,
            on_progress=lambda what, share, n=number: report(what, (n + share) / 2),
        )
        # Noise alike everywhere: δ' = (1 − ηh)δ + ηξ in each direction, whatever the other one does.
        variance = float(noisy.noise[0, 0])
        still = rate**2 * variance / (1 - (1 - rate) ** 2) if name == "isotropic" else None
        for region in regional_temperatures(
            chains.averages["regions"], edges=edges, rate=rate, num_weights=2
        ):
            at = f"{name}, {region.low:g} < w₁ < {region.high:g}"
            rows += [
                row(f"{at}: temperature of w₂", *region.temperature, still),
                row(f"{at}: temperature of the noise", *region.noise_temperature,
                    rate * variance / 2 if still else None),
            ]  # fmt: skip
    return rows, None


def _noise(config: Config, report: Progress) -> tuple[list[Row], Any]:
    random = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = nn.Sequential(
            nn.Linear(10, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1)
        )
    x = torch.randn(1000, 10, generator=random, dtype=torch.float64)
    y = torch.randn(1000, 1, generator=random, dtype=torch.float64)
    network = Network(model, x, y, lambda f, t: (f - t).square().sum(1) / 2, batch_size=8)
    exact = gradient_noise(network.datum_gradients(network.weights))
    rows = [
        row(f"network of {network.num_weights} weights: tr C", *exact.trace, None),
        row("anisotropy d·tr C²/(tr C)², 1 if isotropic", exact.anisotropy(), 0.0, None),
    ]
    for rank in (8, 32, 128):
        stream = streamed_noise(network, network.weights, rank=rank)
        factor = stream.factor()
        lost = np.linalg.eigvalsh(exact.covariance - factor.T @ factor)
        share = float(lost[-1] / np.linalg.eigvalsh(exact.covariance)[-1])
        bound = stream.error_bound
        rows += [
            row(f"streamed, rank {rank}: tr C", stream.trace, 0.0, exact.trace.value, tolerance=1e-9),
            row(f"streamed, rank {rank}: largest error/largest eigenvalue", share, 0.0, None),
            row(f"streamed, rank {rank}: largest error/certain bound", float(lost[-1] / bound), 0.0, None,
                passed=bool(lost[0] > -1e-12 and lost[-1] <= bound)),
        ]  # fmt: skip
    widths = (8, 16, 32, 64, 128)
    scalings: tuple[tuple[Scaling, float], ...] = (("standard", -0.5), ("ntk", -1.0))
    for place, (scaling, expected) in enumerate(scalings):
        report(scaling, (1 + place) / 3)
        scan = mean_squared_gradient(widths, scaling=scaling, seed=config.seed)
        for count, square in zip(scan.num_weights, scan.mean_squares, strict=True):
            rows.append(row(f"{scaling}, {count} weights: mean squared gradient", *square, None))
        rows.append(row(f"{scaling}: its exponent in the size", *scan.exponent(), expected))
    return rows, None


def _ring(config: Config, report: Progress) -> tuple[list[Row], Any]:
    wells = TwoWells()
    rows, evidence = [], {}
    for number, (name, diffusion) in enumerate(
        (("homoskedastic", wells.homoskedastic()), ("state-dependent", wells.state_dependent()))
    ):
        chain = RingChain(diffusion, 0.02)
        on_way, made = (
            ring_run(
                chain,
                region=wells.flat,
                num_replicas=config.ring_replicas,
                relaxations=length,
                seed=config.seed + 2 * number + place,
                on_progress=lambda what, share, n=number: report(what, (n + share) / 2),
            )
            for place, length in enumerate((0.5, 12.0))
        )
        equilibrium = float(diffusion.stationary() @ wells.flat(diffusion.centers))
        rows += [
            row(f"{name}: p of the replicas under the exact law", made.p_value, 0.0, None,
                passed=made.p_value > ALARM),
            row(f"{name}: share of the flat well", *made.inside, made.exact_inside),
            row(f"{name}: p at half a relaxation time from the sharp well", on_way.p_value, 0.0, None,
                passed=on_way.p_value > ALARM),
            row(f"{name}: share of the flat well then", *on_way.inside, on_way.exact_inside),
            row(f"{name}: the same at η → 0, exact", equilibrium, 0.0, None),
            row(f"{name}: relaxation time, exact", diffusion.relaxation_time(), 0.0, None),
            row(f"{name}: the same of the chain at η = .02", chain.relaxation_time(), 0.0, None),
            row(f"{name}: time from the sharp well to 5 %", diffusion.time_to_reach(0.0), 0.0, None),
            row(f"{name}: time from the flat well to 5 %", diffusion.time_to_reach(math.pi), 0.0,
                None),
        ]  # fmt: skip
        evidence[name] = {
            "masses": made.masses.tolist(),
            "exact": made.exact.tolist(),
            "diffusion": made.diffusion.tolist(),
            "num_steps": made.num_steps,
        }
    return rows, evidence


PARTS: dict[str, Callable[[Config, Progress], tuple[list[Row], Any]]] = {
    "stationary": _stationary,
    "label noise": _label_noise,
    "rate": _rate,
    "regions": _regions,
    "noise": _noise,
    "ring": _ring,
}
