"""Rescaling of a ReLU network: the function stays as it is, and λ̂ stays if its units are rescaled too.

    singulab bench rescaling

W₁ → αW₁, b₁ → αb₁, W₂ → W₂/α leaves 10 → 20 → 20 → 10 as a function what it is. The loss as a function of the
weights is stretched, and so is the posterior, except for its tether. With ``units=`` the tether is stretched alike, and
λ̂ has to be the same within error bars; ``same_tether`` shows what the unstretched one makes of it.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

import singulab as sl
from singulab.cli.bench import BenchConfig
from singulab.zoo import CASES, ReluNetwork

FAR_OFF = 3.0  # combined errors


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """λ̂ of a rescaled ReLU network, with the tether in matching and in old units."""

    factors: tuple[float, ...] = (1.0, 1e-4, 1e-2, 1e2, 1e4)  # α; the first is compared with
    num_data: int = 1_000  # n
    localization: float = 100.0  # γ
    max_gradients: float = 8_000.0  # of each measurement, in gradient units
    seed: int = 0


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """One row per α."""
    case = CASES[f"relu-{config.num_data}"]
    assert isinstance(case, ReluNetwork)
    rows: list[dict[str, Any]] = []
    first: sl.Estimate | None = None
    for done, factor in enumerate(config.factors):
        on_progress(f"α = {factor:g}", done / len(config.factors))
        start = time.monotonic()
        # Seeds of their own, so that agreement is no artefact of equal random numbers.
        same = rescaled(case, factor, config, units=True, seed=config.seed + done)
        plain = rescaled(case, factor, config, units=False, seed=config.seed + done)
        first = same.llc if first is None else first
        joint = math.hypot(same.llc.se, first.se)
        z = 0.0 if done == 0 else (same.llc.value - first.value) / joint
        rows.append(
            {
                "alpha": factor,
                "llc": same.llc.value,
                "se": same.llc.se,
                "z": z,
                "checks": _verdict(same),
                "same_tether": plain.llc.value,
                "same_tether_se": plain.llc.se,
                "same_tether_checks": _verdict(plain),
                "seconds": time.monotonic() - start,
                "passed": same.passed and abs(z) <= FAR_OFF,
            }
        )
    return {"rows": rows, "passed": all(row["passed"] for row in rows)}


def rescaled(
    case: ReluNetwork, factor: float, config: Config, *, units: bool, seed: int
) -> sl.Measurement:
    """The network with its first hidden layer α times as large."""
    model = case.model()
    with torch.no_grad():
        for parameter in model.get_submodule("layer0").parameters():
            parameter *= factor
        model.get_parameter("layer1.weight").div_(factor)
    return sl.measure(
        model,
        case.data(),
        sl.gaussian(),
        units={"layer0.*": factor, "layer1.weight": 1 / factor} if units else None,
        localization=config.localization,
        batch_size=case.batch_size,
        max_gradients=config.max_gradients,
        seed=seed,
    )


def _verdict(measured: sl.Measurement) -> str:
    failed = [check.name for check in measured.checks if not check.passed]
    return "failed " + ", ".join(failed) if failed else "passed"
