"""Kernels that move chains, and the loop that turns them into a trace."""

from singulab.sample.baoab import BAOAB
from singulab.sample.elliptical_slice import EllipticalSlice
from singulab.sample.hmc import HMC
from singulab.sample.leimkuhler_matthews import LeimkuhlerMatthews
from singulab.sample.mala import MALA
from singulab.sample.rmsprop_sgld import RMSpropSGLD
from singulab.sample.run import sample
from singulab.sample.sgld import SGLD
from singulab.sample.sgnht import SGNHT

KERNELS = {
    "sgld": SGLD,
    "leimkuhler_matthews": LeimkuhlerMatthews,
    "baoab": BAOAB,
    "rmsprop_sgld": RMSpropSGLD,
    "sgnht": SGNHT,
    "mala": MALA,
    "hmc": HMC,
    "elliptical_slice": EllipticalSlice,
}

__all__ = [
    "BAOAB",
    "HMC",
    "KERNELS",
    "MALA",
    "SGLD",
    "SGNHT",
    "EllipticalSlice",
    "LeimkuhlerMatthews",
    "RMSpropSGLD",
    "sample",
]
