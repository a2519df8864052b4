"""Learning coefficients that are known in closed form, one function each, cited, with their hypotheses checked.

Every function returns an :class:`~singulab.exact.result.RLCT`: proved, or bounds where the source has no more. Unless a
function says otherwise λ is the least over all parameters that realise the truth, the prior is positive and
bounded there, and the log-loss is meant.
"""

from singulab.exact.formulas.matrix import (
    deep_linear,
    latent_dirichlet_allocation,
    nonnegative_matrix_factorization,
    reduced_rank,
)
from singulab.exact.formulas.mixture import (
    gaussian_mixture,
    naive_bayes,
    sbic_factor_analysis,
    sbic_latent_forest,
    sbic_mixture,
)
from singulab.exact.formulas.network import polynomial_network, tanh_network, vandermonde
from singulab.exact.formulas.rule import (
    monomial,
    powers,
    product_rule,
    quadratic_power,
    regular,
    sum_rule,
)

__all__ = [
    "deep_linear",
    "gaussian_mixture",
    "latent_dirichlet_allocation",
    "monomial",
    "naive_bayes",
    "nonnegative_matrix_factorization",
    "polynomial_network",
    "powers",
    "product_rule",
    "quadratic_power",
    "reduced_rank",
    "regular",
    "sbic_factor_analysis",
    "sbic_latent_forest",
    "sbic_mixture",
    "sum_rule",
    "tanh_network",
    "vandermonde",
]
