"""Finite machines: the parameter–function map, its complexities, lattices and precision."""

from singulab.discrete.fibres import Fibres, Flexibility, Unseen, fibres
from singulab.discrete.levels import (
    Gaussian,
    Levels,
    binary,
    float_format,
    lattice,
    ternary,
    uniform,
)
from singulab.discrete.machine import (
    Machine,
    SignNetwork,
    boolean_inputs,
    boolean_network,
    sign_network,
)
from singulab.discrete.network import Layered
from singulab.discrete.outputs import Argmax, Rounding, Sign
from singulab.discrete.tally import Tally
