"""Bayesian learning of small models, seen whole: volumes, posteriors, phases, free energies and criteria."""

from singulab.bayes.posterior import Crossing, FreeEnergy, Phase, Posterior, PosteriorAt
from singulab.bayes.splitting import Splitting
from singulab.bayes.tempering import Tempering
from singulab.bayes.volume import VolumeCurve, VolumeExponent, volume_curve, volume_exponent

__all__ = [
    "Crossing",
    "FreeEnergy",
    "Phase",
    "Posterior",
    "PosteriorAt",
    "Splitting",
    "Tempering",
    "VolumeCurve",
    "VolumeExponent",
    "volume_curve",
    "volume_exponent",
]
