"""Measurements with chosen numbers, for what only reads them."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from singulab.checks import Check
from singulab.estimate.llc import Estimate
from singulab.measurement import Measurement
from singulab.trace import Trace


def check(name: str, passed: bool = True) -> Check:
    advice = "" if passed else "Run longer, or choose a smaller step."
    return Check(name, 0.5, "≤ 1", passed, advice)


def measurement(
    value: float = 10.0, se: float = 0.2, *, passed: bool = True, seed: int = 0, **changed: Any
) -> Measurement:
    """A measurement of λ̂ = value ± se with a trace that agrees with it."""
    random = np.random.default_rng(seed)
    mean = value if math.isfinite(value) else 5.0
    energy = mean * random.gamma(8, 1 / 8, (4, 400))
    nbeta = changed.get("nbeta", 169.0)
    made = Measurement(
        quantity="behavioural_llc",
        llc=Estimate(value, se, 0.0, (value,) * 4),
        raw=Estimate(value * 1.05, se),
        heat_capacity=Estimate(value * 0.8, 2 * se),
        checks=(check("error"), check("drift", passed), check("rhat"), check("virial")),
        num_data=1200,
        unit="datum",
        nbeta=nbeta,
        localization=100.0,
        effective_localization=101.0,
        radius=8.1,
        relative_radius=0.5,
        num_weights=6570,
        gradients={"warm_up": 400.0, "sampling": 1600.0, "total": 2000.0},
        seconds=3.2,
        trace=Trace.of_arrays(
            {"excess_loss": energy / nbeta}, nbeta=nbeta, localization=100.0, dim=6570
        ),
    )
    return replace(made, **changed)
