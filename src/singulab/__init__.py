"""singulab: the laboratory for singular learning theory."""

from singulab import estimate as estimate
from singulab.checks import Check
from singulab.data import Data
from singulab.estimate.llc import Estimate
from singulab.losses import Losses, gaussian, next_token
from singulab.measure import Measurement, calibrate, measure
from singulab.params import head
from singulab.potential import LocalPotential
from singulab.sample import BAOAB, HMC, MALA, SGLD, SGNHT, LeimkuhlerMatthews, RMSpropSGLD, sample
from singulab.sample.plan import Progress
from singulab.scale_curve import ScaleCurve, scale_curve
from singulab.settings import Settings
from singulab.trace import Trace

__all__ = [
    "BAOAB",
    "HMC",
    "MALA",
    "SGLD",
    "SGNHT",
    "Check",
    "Data",
    "Estimate",
    "LeimkuhlerMatthews",
    "LocalPotential",
    "Losses",
    "Measurement",
    "Progress",
    "RMSpropSGLD",
    "ScaleCurve",
    "Settings",
    "Trace",
    "calibrate",
    "estimate",
    "gaussian",
    "head",
    "measure",
    "next_token",
    "sample",
    "scale_curve",
]
