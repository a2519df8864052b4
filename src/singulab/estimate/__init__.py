"""Estimators: functions of a trace."""

from singulab.estimate.limit import Limit, limit
from singulab.estimate.llc import (
    Estimate,
    Extrapolation,
    heat_capacity,
    llc,
    llc_extrapolated,
    llc_slope,
)

__all__ = [
    "Estimate",
    "Extrapolation",
    "Limit",
    "heat_capacity",
    "limit",
    "llc",
    "llc_extrapolated",
    "llc_slope",
]
