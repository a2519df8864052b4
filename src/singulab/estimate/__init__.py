"""Estimators: functions of a trace."""

from singulab.estimate.llc import (
    Estimate,
    Extrapolation,
    heat_capacity,
    llc,
    llc_extrapolated,
    llc_slope,
)

__all__ = ["Estimate", "Extrapolation", "heat_capacity", "llc", "llc_extrapolated", "llc_slope"]
