"""Learning coefficients by algebra: polynomials to (λ, m), with a certificate. No floats, no sampler."""

from singulab.exact import formulas as formulas
from singulab.exact.checker import RefutedError as RefutedError
from singulab.exact.checker import check as check
from singulab.exact.model import from_model as from_model
from singulab.exact.result import RLCT as RLCT
from singulab.exact.result import Bound as Bound
from singulab.exact.result import Stratum as Stratum
from singulab.exact.second_opinion import NoOpinionError as NoOpinionError
from singulab.exact.second_opinion import Opinion as Opinion
from singulab.exact.second_opinion import second_opinion as second_opinion
from singulab.exact.strata import rlct_over as rlct_over
from singulab.exact.threshold import rlct as rlct
from singulab.exact.threshold import rlct_of_ideal as rlct_of_ideal

__all__ = [
    "RLCT",
    "Bound",
    "NoOpinionError",
    "Opinion",
    "RefutedError",
    "Stratum",
    "check",
    "formulas",
    "from_model",
    "rlct",
    "rlct_of_ideal",
    "rlct_over",
    "second_opinion",
]
