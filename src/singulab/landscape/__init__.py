"""The excess loss L(w) − L(w*) and its gradient, at the positions of many chains.

Two landscapes share one interface: a model with data (noisy minibatches, paired with the losses at w*),
and a loss given as a function (exact). Positions are rows of a (chain, dim) matrix of selected weights.
"""

from singulab.landscape.function import FunctionLandscape
from singulab.landscape.model import FORWARD, ModelLandscape
from singulab.landscape.slope import Landscape, Slope

__all__ = ["FORWARD", "FunctionLandscape", "Landscape", "ModelLandscape", "Slope"]
