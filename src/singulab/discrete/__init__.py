"""Finite machines: the parameter–function map counted, its complexities, lattices and precision.

:func:`fibres` counts how many settings of its weights give a machine each function. What follows from that needs no
gradient and no posterior: A-complexity, the Boltzmann law, generalisation off the training set, simplicity bias.
Beside it stand lattices, on which the weight of a singular point is counted exactly, and weights of few bits.
Machines come from :func:`boolean_network`, :func:`sign_network` or :class:`Machine`; weights from
:class:`Gaussian`, :func:`binary`, :func:`ternary`, :func:`uniform`, :func:`multiples` and :func:`float_format`.
"""

from singulab.discrete.boltzmann import (
    Agreement,
    Phase,
    agreement,
    free_energy,
    law,
    learning_coefficient,
    metropolis,
    mismatches,
    phases,
    vanishing_beta,
)
from singulab.discrete.complexity import (
    compressed,
    diagram_size,
    formula_size,
    lempel_ziv,
)
from singulab.discrete.evidence import EVIDENCE
from singulab.discrete.fibres import Fibres, Flexibility, Unseen, fibres
from singulab.discrete.generalisation import Comparison, Interpolants, comparison, interpolants
from singulab.discrete.lattice import (
    Count,
    Crossing,
    Exponent,
    Limit,
    count,
    counts,
    crossing,
    exponents,
)
from singulab.discrete.levels import (
    Gaussian,
    Levels,
    binary,
    float_format,
    multiples,
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
from singulab.discrete.outputs import Argmax, Rounding, Sign, text
from singulab.discrete.polynomial import Polynomial
from singulab.discrete.precision import (
    BitCost,
    Reading,
    VanishingPairs,
    bit_cost,
    critical_bits,
    readings,
    rounded,
    vanishing_pairs,
)
from singulab.discrete.simplicity import (
    Bound,
    Correlation,
    RankFrequency,
    pearson,
    predicted_bound,
    rank_frequency,
    spearman,
    upper_bound,
)
from singulab.discrete.tally import Tally
from singulab.discrete.training import Optimiser, Trained, trained

__all__ = [
    "EVIDENCE",
    "Agreement",
    "Argmax",
    "BitCost",
    "Bound",
    "Comparison",
    "Correlation",
    "Count",
    "Crossing",
    "Exponent",
    "Fibres",
    "Flexibility",
    "Gaussian",
    "Interpolants",
    "Layered",
    "Levels",
    "Limit",
    "Machine",
    "Optimiser",
    "Phase",
    "Polynomial",
    "RankFrequency",
    "Reading",
    "Rounding",
    "Sign",
    "SignNetwork",
    "Tally",
    "Trained",
    "Unseen",
    "VanishingPairs",
    "agreement",
    "binary",
    "bit_cost",
    "boolean_inputs",
    "boolean_network",
    "comparison",
    "compressed",
    "count",
    "counts",
    "critical_bits",
    "crossing",
    "diagram_size",
    "exponents",
    "fibres",
    "float_format",
    "formula_size",
    "free_energy",
    "interpolants",
    "law",
    "learning_coefficient",
    "lempel_ziv",
    "metropolis",
    "mismatches",
    "multiples",
    "pearson",
    "phases",
    "predicted_bound",
    "rank_frequency",
    "readings",
    "rounded",
    "sign_network",
    "spearman",
    "ternary",
    "text",
    "trained",
    "uniform",
    "upper_bound",
    "vanishing_beta",
    "vanishing_pairs",
]
