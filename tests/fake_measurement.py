"""Measurements with chosen numbers, for what only reads them."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from singulab.trace import Trace


def estimate(value: float, se: float) -> SimpleNamespace:
    return SimpleNamespace(
        value=value,
        mcse=se,
        bias_se=0.0,
        se=se,
        per_chain=(value,) * 4,
        interval=lambda level: (value - 1.96 * se, value + 1.96 * se),
    )


def check(name: str, passed: bool = True) -> SimpleNamespace:
    advice = "" if passed else "Run longer, or choose a smaller step."
    return SimpleNamespace(name=name, value=0.5, limit="≤ 1", passed=passed, advice=advice)


def measurement(
    value: float = 10.0, se: float = 0.2, *, passed: bool = True, seed: int = 0, **changed: Any
) -> SimpleNamespace:
    """A measurement of λ̂ = value ± se with a trace that agrees with it."""
    random = np.random.default_rng(seed)
    mean = value if math.isfinite(value) else 5.0
    energy = mean * random.gamma(8, 1 / 8, (4, 400))
    nbeta = changed.get("nbeta", 169.0)
    facts = {
        "quantity": "behavioural_llc",
        "llc": estimate(value, se),
        "raw": estimate(value * 1.05, se),
        "heat_capacity": estimate(value * 0.8, 2 * se),
        "checks": (check("error"), check("drift", passed), check("rhat"), check("virial")),
        "passed": passed,
        "num_data": 1200,
        "unit": "datum",
        "beta": nbeta / 1200,
        "nbeta": nbeta,
        "localization": 100.0,
        "effective_localization": 101.0,
        "radius": 8.1,
        "relative_radius": 0.5,
        "num_weights": 6570,
        "corrections": {"tether": 0.3},
        "notes": (),
        "gradients": {"warm_up": 400.0, "sampling": 1600.0, "total": 2000.0},
        "seconds": 3.2,
        "settings": None,
        "trace": Trace.of_arrays(
            {"excess_loss": energy / nbeta}, nbeta=nbeta, localization=100.0, dim=6570
        ),
        "ladder": (),
        **changed,
    }
    made = SimpleNamespace(**facts)
    made.to_dict = lambda: {
        "quantity": made.quantity,
        "llc": {"value": value if math.isfinite(value) else None, "se": se},
        "passed": made.passed,
        "nbeta": made.nbeta,
        "localization": made.localization,
    }
    return made
