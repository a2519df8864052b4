"""Bayesian learning of small models, seen whole: volumes, posteriors, phases, free energies and criteria."""

from singulab.bayes.criteria import Waic, Wbic, singular_fluctuation, waic, wbic
from singulab.bayes.crossing import Crossing
from singulab.bayes.exponent import VolumeExponent, volume_exponent
from singulab.bayes.learning import Learning, learning
from singulab.bayes.model import (
    Model,
    gaussian_mixture,
    reduced_rank,
    regression,
    tanh_network,
    two_wells,
)
from singulab.bayes.phases import FreeEnergy, Phase
from singulab.bayes.posterior import Posterior, PosteriorAt
from singulab.bayes.sampled_jump import SampledJump, sampled_jump
from singulab.bayes.select import Score, Selection, sbic, select
from singulab.bayes.splitting import Splitting
from singulab.bayes.tempering import Tempering
from singulab.bayes.volume import VolumeCurve, volume_curve
from singulab.bayes.zeta import (
    MonomialZeta,
    Pole,
    monomial_zeta,
    state_density,
    zeta,
    zeta_pole,
)

__all__ = [
    "Crossing",
    "FreeEnergy",
    "Learning",
    "Model",
    "MonomialZeta",
    "Phase",
    "Pole",
    "Posterior",
    "PosteriorAt",
    "SampledJump",
    "Score",
    "Selection",
    "Splitting",
    "Tempering",
    "VolumeCurve",
    "VolumeExponent",
    "Waic",
    "Wbic",
    "gaussian_mixture",
    "learning",
    "monomial_zeta",
    "reduced_rank",
    "regression",
    "sampled_jump",
    "sbic",
    "select",
    "singular_fluctuation",
    "state_density",
    "tanh_network",
    "two_wells",
    "volume_curve",
    "volume_exponent",
    "waic",
    "wbic",
    "zeta",
    "zeta_pole",
]
