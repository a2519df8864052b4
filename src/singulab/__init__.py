"""singulab: the laboratory for singular learning theory.

A public name is imported when it is first used, so that ``singulab --help`` answers at once.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from singulab import bayes as bayes
    from singulab import discrete as discrete
    from singulab import dynamics as dynamics
    from singulab import estimate as estimate
    from singulab import exact as exact
    from singulab.checks import Check
    from singulab.data import Data
    from singulab.estimate.llc import Estimate
    from singulab.losses import Losses, gaussian, next_token
    from singulab.measure import calibrate, measure
    from singulab.measurement import Measurement
    from singulab.params import head
    from singulab.polish import Polished, polish
    from singulab.potential import LocalPotential
    from singulab.sample import (
        BAOAB,
        HMC,
        MALA,
        SGLD,
        SGNHT,
        EllipticalSlice,
        LeimkuhlerMatthews,
        RMSpropSGLD,
        sample,
    )
    from singulab.sample.plan import Progress
    from singulab.scale_curve import ScaleCurve, scale_curve
    from singulab.settings import Settings
    from singulab.trace import Trace

_HOMES = {
    "bayes": ("bayes",),
    "checks": ("Check",),
    "data": ("Data",),
    "discrete": ("discrete",),
    "dynamics": ("dynamics",),
    "estimate": ("estimate",),
    "estimate.llc": ("Estimate",),
    "exact": ("exact",),
    "losses": ("Losses", "gaussian", "next_token"),
    "measure": ("calibrate", "measure"),
    "measurement": ("Measurement",),
    "params": ("head",),
    "polish": ("Polished", "polish"),
    "potential": ("LocalPotential",),
    "sample": (
        "BAOAB",
        "HMC",
        "MALA",
        "SGLD",
        "SGNHT",
        "EllipticalSlice",
        "LeimkuhlerMatthews",
        "RMSpropSGLD",
        "sample",
    ),
    "sample.plan": ("Progress",),
    "scale_curve": ("ScaleCurve", "scale_curve"),
    "settings": ("Settings",),
    "trace": ("Trace",),
}
_HOME = {name: f"singulab.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "BAOAB",
    "HMC",
    "MALA",
    "SGLD",
    "SGNHT",
    "Check",
    "Data",
    "EllipticalSlice",
    "Estimate",
    "LeimkuhlerMatthews",
    "LocalPotential",
    "Losses",
    "Measurement",
    "Polished",
    "Progress",
    "RMSpropSGLD",
    "ScaleCurve",
    "Settings",
    "Trace",
    "bayes",
    "calibrate",
    "discrete",
    "dynamics",
    "estimate",
    "exact",
    "gaussian",
    "head",
    "measure",
    "next_token",
    "polish",
    "sample",
    "scale_curve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'singulab' has no attribute {name!r}")
    module = import_module(_HOME[name])
    value = getattr(module, name, module)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Front(ModuleType):
    """A function keeps its name when the module of that name is imported: ``sl.measure`` and others."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and name not in ("bayes", "estimate", "exact"):
            value = getattr(value, name, value)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Front
