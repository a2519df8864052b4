"""What each check catches: runs that are broken on purpose, with their error and the checks that fail.

Every row is one fault that users meet: a step too large, gradient noise that nothing corrects, a chain far too
short, weights that are no minimum, a saddle, a bad loss. The truth is a long exact run. A row keeps the
promise if a value off by more than 10 % or four errors comes with a failed check, or is no number at all.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

import singulab as sl
from singulab.cli.bench import BenchConfig
from singulab.rng import Purpose
from singulab.sample.curvature import top_curvature
from singulab.sample.precondition import Identity
from singulab.zoo import CASES, DeepLinear

LOCALIZATION = 100.0
WRONG, WRONG_Z = 0.1, 4.0


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Runs broken on purpose, and the checks that catch them."""

    seeds: tuple[int, ...] = (0, 1, 2)
    max_gradients: float = 16_000.0  # gradient units of the runs that are not too short on purpose


class Fault(NamedTuple):
    """A run of a case that is broken in one way."""

    name: str
    case: str
    measure: Callable[[DeepLinear, int, Config], sl.Measurement]
    localization: float = LOCALIZATION
    sound: bool = False  # nothing is broken: the reference


def run(config: Config, on_progress: Callable[[str, float], None] | None = None) -> dict[str, Any]:
    """One row per fault and seed."""
    rows: list[dict[str, Any]] = []
    chosen = list(faults())
    for number, fault in enumerate(chosen):
        for seed in config.seeds:
            rows.append(told(fault, seed, config))
        if on_progress is not None:
            on_progress(fault.name, (number + 1) / len(chosen))
    unflagged = [row for row in rows if not row["promise_kept"]]
    return {
        "rows": rows,
        "summary": {"runs": len(rows), "wrong_and_not_flagged": len(unflagged)},
        "passed": not unflagged,
    }


def told(fault: Fault, seed: int, config: Config) -> dict[str, Any]:
    """A row: what was broken, how far off the value is, and what was said about it."""
    case = CASES[fault.case]
    assert isinstance(case, DeepLinear)
    truth = case.truth(fault.localization)
    m = fault.measure(case, seed, config)
    error = m.llc.value / truth.value - 1
    z = (m.llc.value - truth.value) / math.hypot(m.llc.se, truth.error)
    wrong = math.isfinite(error) and (abs(error) > WRONG or abs(z) > WRONG_Z)
    return {
        "fault": fault.name,
        "case": fault.case,
        "seed": seed,
        "truth": truth.value,
        "llc": m.llc.value,
        "se": m.llc.se,
        "error": error,
        "z": z,
        "passed": m.passed,
        "failed_checks": ", ".join(check.name for check in m.checks if not check.passed),
        "promise_kept": not (wrong and m.passed),
    }


def faults() -> Iterator[Fault]:
    """What can go wrong."""
    yield Fault("nothing", "P2", automatic, sound=True)
    yield Fault("nothing", "P3", automatic, sound=True)
    for courant in (0.8, 1.5):
        yield Fault(f"SGLD with a step of {courant} / curvature", "P2", partial(sgld, courant))
    yield Fault("SGLD with a step of 1.5 / curvature", "P9", partial(sgld, 1.5))
    yield Fault("SGLD beyond its stable step", "P2", partial(sgld, 5.0))
    yield Fault("gradient noise, large step", "P3", partial(sgld, 0.3))
    yield Fault("100 gradient units", "P9", partial(automatic, budget=100.0))
    yield Fault("1 000 gradient units", "P9", partial(automatic, budget=1000.0), 10.0)
    yield Fault("SGLD with a step of 0.005 / curvature", "P2", partial(sgld, 0.005))
    for case in ("P3", "P9"):
        yield Fault("weights moved off the minimum", case, partial(automatic, moved=0.1))
    yield Fault("a saddle: all weights near zero", "P2", partial(automatic, shrunk=1e-3))
    yield Fault("a loss that is NaN away from w*", "P2", partial(automatic, poisoned=True))


def automatic(
    case: DeepLinear,
    seed: int,
    config: Config,
    *,
    budget: float | None = None,
    moved: float = 0.0,
    shrunk: float = 1.0,
    poisoned: bool = False,
) -> sl.Measurement:
    """The automatic measurement, of a model that may stand in the wrong place."""
    model = copy.deepcopy(case.model())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            shift = torch.randn(parameter.shape, generator=generator)
            parameter.mul_(shrunk).add_(moved * shift)
    loss: Any = sl.gaussian()
    if poisoned:
        start = copy.deepcopy(model)
        loss = partial(_poisoned, start, next(start.parameters()).detach().clone())
    localization = 10.0 if budget == 1000.0 else LOCALIZATION
    return sl.measure(
        model,
        case.data(),
        loss,
        localization=localization,
        batch_size=case.batch_size,
        seed=seed,
        max_gradients=budget or config.max_gradients,
    )


def _poisoned(start: nn.Module, first: torch.Tensor, model: nn.Module, batch: Any) -> torch.Tensor:
    """½|y − f|², and NaN as soon as the first tensor has moved by 1 % of its length."""
    inputs, targets = batch
    weight = next(iter(model.parameters()))
    moved = (weight - first).norm() > 0.01 * first.norm()
    losses = 0.5 * (model(inputs) - targets).square().sum(-1)
    return torch.where(moved, torch.full_like(losses, torch.nan), losses)


def sgld(courant: float, case: DeepLinear, seed: int, config: Config) -> sl.Measurement:
    """Plain SGLD with ε = 2c/k, k the largest curvature at w*, for the whole budget."""
    potential = sl.LocalPotential.of(
        case.model(),
        case.data(),
        sl.gaussian(),
        localization=LOCALIZATION,
        batch_size=case.batch_size,
    )
    feed = potential.landscape.feed(
        seed=seed, num_chains=1, batch_size=case.batch_size, purpose=Purpose.BATCH_FOR_CURVATURE
    )
    with potential.landscape.ready():
        top, _ = top_curvature(
            potential, potential.center[None], Identity(), feed, [[0]], seed=seed, step=0
        )
    settings = sl.Settings(
        kernel="sgld", step_size=2 * courant / top, max_gradients=config.max_gradients
    )
    return sl.measure(potential, settings=settings, seed=seed)
