"""Trained networks rounded to few bits: loss, function, generalisation, and critical bits against λ.

    singulab bench precision

``linear``: deep linear networks of several shapes and ranks, whose λ is known, trained to the bottom of the population
loss K = ½|W − C|². ``boolean``: 5-20-1 networks trained on half of the inputs of the majority function.

λ is a minimum over all weights that fit, and training ends elsewhere: half of the rank of the Hessian where it ended
stands beside. A uniform grid of mesh Δ costs Δ²·tr H/24 at first order, so bits are predicted by tr H and by the
largest weight; what λ adds to that is told by a partial correlation. Errors are over independent runs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from singulab.cli.bench import BenchConfig
from singulab.discrete import (
    Correlation,
    Optimiser,
    Reading,
    boolean_inputs,
    boolean_network,
    critical_bits,
    pearson,
    readings,
    trained,
)
from singulab.discrete.network import Layered
from singulab.discrete.training import datum_loss
from singulab.exact import formulas
from singulab.rng import Purpose, generator

SHAPES: dict[tuple[int, ...], tuple[int, ...]] = {  # widths → ranks of the truth
    (4, 4, 4, 4): (0, 1, 2, 3, 4),
    (6, 6, 6): (0, 2, 4, 6),
    (3, 3, 3, 3, 3): (0, 1, 2, 3),
}
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4)  # excess loss, nats
SHOWN = 1e-2  # the tolerance of correlations and tables
FORMATS = ("float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2")
GRIDS = tuple(range(2, 17))
_POLISH = 30  # steps
FLAT = 1e-4  # eigenvalues of the Hessian below this share of the largest count as 0

Row = dict[str, Any]
OnProgress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Bits that trained networks need."""

    num_runs: int = 64  # of each linear network
    num_boolean: int = 512  # runs of the Boolean network
    num_steps: int = 3_000  # of training a linear network
    seed: int = 0


def run(config: Config, on_progress: OnProgress) -> dict[str, Any]:
    """Rows of all networks, their correlations, and the table of precisions."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    networks: list[Row] = []
    jobs = [(widths, rank) for widths, ranks in SHAPES.items() for rank in ranks]
    made: dict[tuple[int, ...], list[Linear]] = {}
    for number, (widths, rank) in enumerate(jobs):
        on_progress(f"{'-'.join(map(str, widths))} rank {rank}", number / (len(jobs) + 1))
        one = linear(config, widths, rank)
        made.setdefault(widths, []).append(one)
        networks.append(one.to_dict())
        rows += linear_rows(one)
    for widths, ones in made.items():
        rows += correlations("-".join(map(str, widths)), ones)
    rows += correlations("all shapes", [one for ones in made.values() for one in ones])
    on_progress("boolean", len(jobs) / (len(jobs) + 1))
    precisions = boolean(config)
    rows += boolean_rows(precisions)
    passed = all(r["passed"] is not False for r in rows)
    return {"rows": rows, "networks": networks, "precisions": precisions, "passed": passed}


def row(
    network: str, quantity: str, value: float, se: float = 0.0, *, passed: bool | None = None
) -> Row:
    return {
        "network": network,
        "quantity": quantity,
        "value": value,
        "se": se,
        "z": value / se if se > 0 else None,
        "passed": passed,
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class Linear:
    """Runs of one deep linear network."""

    widths: tuple[int, ...]
    rank: int
    num_weights: int
    rlct: float  # exact, of the shape and rank
    half_rank: np.ndarray  # per run: ½ rank H where training ended
    trace: np.ndarray  # tr H there
    reach: np.ndarray  # largest weight
    loss: np.ndarray  # where training ended
    bits: dict[float, np.ndarray]  # tolerance → critical bits of every run
    disagreement: dict[
        str, float
    ]  # precision → share of outputs that round to another multiple of ¼

    @property
    def predicted(self) -> np.ndarray:
        """log₂ of the meshes that fit into [−reach, reach] at the mesh with Δ²·tr H/24 = tolerance."""
        return np.log2(2 * self.reach * np.sqrt(self.trace / (24 * SHOWN)) + 1)

    def slope(self) -> tuple[float, float]:
        """Bits of all weights together per halving of the tolerance, and its error."""
        x = -np.log2(TOLERANCES)
        x = x - x.mean()
        held = np.stack([self.bits[tolerance] for tolerance in TOLERANCES]) * self.num_weights
        return mean_se(x @ held / (x @ x))

    def to_dict(self) -> Row:
        return {
            "network": "-".join(map(str, self.widths)),
            "rank": self.rank,
            "num_weights": self.num_weights,
            "rlct": self.rlct,
            "half_rank_of_hessian": told(self.half_rank),
            "trace_of_hessian": told(self.trace),
            "largest_weight": told(self.reach),
            "loss": float(self.loss.max()),
            "critical_bits": {f"{tolerance:g}": told(bits) for tolerance, bits in self.bits.items()},
            "bits_per_halving": dict(zip(("value", "se"), self.slope(), strict=True)),
            "half_of_weights": self.num_weights / 2,
            "disagreement": self.disagreement,
        }  # fmt: skip


def linear_rows(one: Linear) -> list[Row]:
    """Training reached the bottom; how bits grow with precision, against λ and against half of the weights."""
    name = f"{'-'.join(map(str, one.widths))} rank {one.rank}"
    value, se = one.slope()
    return [
        row(
            name,
            "largest loss where training ended",
            float(one.loss.max()),
            passed=bool(one.loss.max() < 1e-9),
        ),
        row(
            name,
            "bits per halving of the tolerance less half of the weights",
            value - one.num_weights / 2,
            se,
        ),
        row(name, "bits per halving of the tolerance less λ", value - one.rlct, se),
    ]


def mean_se(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def told(values: np.ndarray) -> dict[str, float]:
    return dict(zip(("value", "se"), mean_se(values), strict=True))


def linear(config: Config, widths: tuple[int, ...], rank: int) -> Linear:
    """Train many runs, each with a truth of its own, and round each."""
    network = Layered(widths, "linear", False)
    random = torch.from_numpy(
        generator(config.seed, Purpose.START, *widths, rank).standard_normal(
            (config.num_runs, network.num_weights + widths[0] * widths[-1])
        )
    )
    weights, noise = random[:, : network.num_weights], random[:, network.num_weights :]
    weights = weights * network.deviations(1.0, 0.0).double()
    left, _, right = torch.linalg.svd(noise.view(-1, widths[-1], widths[0]), full_matrices=False)
    truth = left[:, :, :rank] @ right[:, :rank]  # singular values 1
    inputs = torch.eye(widths[0], dtype=torch.float64)

    def residuals(w: Tensor) -> Tensor:
        return (network(w, inputs).transpose(1, 2) - truth).flatten(1)

    weights = descended(weights, residuals, config)
    slopes = jacobian(residuals, weights)
    squares = torch.linalg.svdvals(slopes).square().numpy()  # at no residual H = JᵀJ
    found = [
        readings(
            w,
            lambda v, k=k: float((network(v[None], inputs)[0].T - truth[k]).square().sum() / 2),
            symbols=lambda v: (network(v[None], inputs)[0] * 4).round().numpy(),
            precisions=(*FORMATS, *GRIDS),
        )
        for k, w in enumerate(weights)
    ]
    names = (*FORMATS, *(f"grid of {b} bits" for b in GRIDS))
    return Linear(
        widths=widths,
        rank=rank,
        num_weights=network.num_weights,
        rlct=float(formulas.deep_linear(list(widths), rank=rank).lower.rlct),
        half_rank=(squares > FLAT * squares[:, :1]).sum(axis=1) / 2,
        trace=squares.sum(axis=1),
        reach=weights.abs().max(dim=1).values.numpy(),
        loss=residuals(weights).square().sum(1).numpy() / 2,
        bits={t: np.array([needed(one, t) for one in found], float) for t in TOLERANCES},
        disagreement={
            name: float(np.mean([one[place].disagreement for one in found]))
            for place, name in enumerate(names)
        },
    )


def needed(found: Sequence[Reading], tolerance: float) -> int:
    """Critical bits; one more than the finest grid where that is not enough."""
    bits = critical_bits(found, tolerance)
    return max(GRIDS) + 1 if bits is None else bits


def descended(weights: Tensor, residuals: Callable[[Tensor], Tensor], config: Config) -> Tensor:
    """Adam with a falling rate, then steps of Levenberg and Marquardt to the nearest bottom."""
    leaf = weights.clone().requires_grad_()
    optimiser = torch.optim.Adam([leaf], lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.num_steps)
    for _ in range(config.num_steps):
        optimiser.zero_grad()
        residuals(leaf).square().sum().div(2).backward()
        optimiser.step()
        schedule.step()
    weights = leaf.detach()
    for _ in range(_POLISH):
        left, slopes = residuals(weights), jacobian(residuals, weights)
        damped = slopes @ slopes.mT + torch.diag_embed(
            left.square().sum(1, keepdim=True).expand_as(left) + 1e-300
        )
        weights = (
            weights - (slopes.mT @ torch.linalg.lstsq(damped, left[:, :, None]).solution)[:, :, 0]
        )
    return weights


def jacobian(residuals: Callable[[Tensor], Tensor], weights: Tensor) -> Tensor:
    """∂ residual/∂ weight of every run: runs share nothing, so a sum over runs keeps them apart."""
    leaf = weights.clone().requires_grad_()
    totals = residuals(leaf).sum(0)
    rows = [torch.autograd.grad(total, leaf, retain_graph=True)[0] for total in totals]
    return torch.stack(rows, dim=1)


def correlations(name: str, ones: Sequence[Linear]) -> list[Row]:
    """Critical bits of a weight against λ and against what tr H predicts, over all runs."""
    rlct = np.concatenate([np.full(len(one.reach), one.rlct) for one in ones])
    local = np.concatenate([one.half_rank for one in ones])
    bits = np.concatenate([one.bits[SHOWN] for one in ones])
    predicted = np.concatenate([one.predicted for one in ones])
    told = [
        ("correlation of critical bits and λ", pearson(rlct, bits)),
        ("correlation of critical bits and ½ rank H", pearson(local, bits)),
        ("correlation of critical bits and what tr H predicts", pearson(predicted, bits)),
        ("the first, for equal predictions", partial(rlct, bits, predicted)),
        ("the third, for equal λ", partial(predicted, bits, rlct)),
    ]
    return [row(name, what, one.value, one.se) for what, one in told]


def partial(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> Correlation:
    """The correlation of what a straight line in ``given`` leaves of both."""

    def rest(values: np.ndarray) -> np.ndarray:
        slope, height = np.polyfit(given, values, 1)
        return values - slope * given - height

    return pearson(rest(x), rest(y))


# ── generalisation ────────────────────────────────────────────────────────────────────────────────


def boolean(config: Config) -> list[Row]:
    """One row per precision: excess loss, fit, function and error off the training set."""
    machine = boolean_network((5, 20, 1))
    targets = (boolean_inputs(5).sum(1) > 2.5).long().numpy()
    chosen = np.arange(0, 32, 2) + np.arange(16) // 4 % 2
    rest = np.setdiff1d(np.arange(32), chosen)
    runs = trained(
        machine, targets, chosen, num_runs=config.num_boolean, seed=config.seed,
        optimiser=Optimiser(learning_rate=0.5, num_steps=2_000, until_fit=False),
    )  # fmt: skip
    cost = datum_loss(machine, targets)

    def symbols(w: Tensor) -> np.ndarray:
        return machine.symbols(machine.functions(w[None]))[0]

    found = [
        readings(
            w,
            lambda v: float(cost(machine.network(v[None], machine.inputs))[0, chosen].mean()),
            symbols=symbols,
            error=lambda v: float((symbols(v)[rest] != targets[rest]).mean()),
            precisions=(*FORMATS, *GRIDS),
        )
        for w in runs.weights[torch.from_numpy(runs.fit)]
    ]
    rows = []
    for place, first in enumerate(found[0]):
        here = [one[place] for one in found]
        error = np.array([r.error for r in here])
        change = error - np.array([one[0].error for one in found])
        rows.append(
            {
                "precision": first.precision if first.precision != "grid" else f"grid of {first.bits} bits",
                "bits": first.bits,
                "excess": told(np.array([r.excess for r in here])),
                "disagreement": told(np.array([r.disagreement for r in here])),
                "error": told(error),
                "change": told(change),
            }
        )  # fmt: skip
    return rows


def boolean_rows(precisions: Sequence[Row]) -> list[Row]:
    """What rounding does to generalisation: findings, in units of their errors."""
    what = "error off the training set less that of float32"
    return [
        row("5-20-1", f"{one['precision']}: {what}", one["change"]["value"], one["change"]["se"])
        for one in precisions
    ]
