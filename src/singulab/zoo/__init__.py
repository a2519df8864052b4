"""Models, data and losses whose learning coefficient is known.

``CASES["P3"]`` is one of them, ``list(CASES)`` names them all, and ``CASES["P3"].truth(100.0)`` is what a
perfect sampler returns at γ = 100, with its error and its source.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from singulab.zoo.case import Case, ExactLoss, GoldRecord, NetworkCase, Truth, gold
from singulab.zoo.convolutional import (
    ConvolutionalConfig,
    ConvolutionalNetwork,
    convolutional_network,
)
from singulab.zoo.deep_linear import DEEP_LINEAR, DeepLinear
from singulab.zoo.digits import Digits, digits, multilayer_perceptron
from singulab.zoo.direct_sum import DirectSum
from singulab.zoo.duplicated import Duplicated
from singulab.zoo.fresh import FRESH, GOLD_CELLS
from singulab.zoo.polynomial_network import POLYNOMIAL_NETWORKS, PolynomialNetwork
from singulab.zoo.potentials import (
    MONOMIALS,
    PLANE_POTENTIALS,
    Monomial,
    PlanePotential,
    Potential,
)
from singulab.zoo.quadrature import Quadrature, plane_llc
from singulab.zoo.random_deep_linear import random_deep_linear
from singulab.zoo.reduced_rank import REDUCED_RANK, reduced_rank_regression
from singulab.zoo.relu_network import RELU_NETWORKS, ReluNetwork
from singulab.zoo.tanh_network import TANH_NETWORKS, TanhNetwork
from singulab.zoo.tanh_unit import TanhUnit, TanhUnits
from singulab.zoo.transformer import (
    AttentionOnlyTransformer,
    TransformerConfig,
    attention_only_transformer,
)


class _Cases(dict[str, Case]):
    """Cases by name; nothing is computed or drawn until a case is asked for it."""

    def __missing__(self, name: str) -> Case:
        close = get_close_matches(name, self, n=3) or sorted(self)
        raise ValueError(f"There is no case {name!r}. Did you mean {', '.join(close)}?")


CASES: Mapping[str, Case] = MappingProxyType(
    _Cases(
        (case.name, case)
        for family in (
            DEEP_LINEAR,
            REDUCED_RANK,
            TANH_NETWORKS,
            RELU_NETWORKS,
            PLANE_POTENTIALS,
            MONOMIALS,
            POLYNOMIAL_NETWORKS,
            [cell.case for cell in (*GOLD_CELLS, *FRESH)],
        )
        for case in family
    )
)

__all__ = [
    "CASES",
    "FRESH",
    "GOLD_CELLS",
    "AttentionOnlyTransformer",
    "Case",
    "ConvolutionalConfig",
    "ConvolutionalNetwork",
    "DeepLinear",
    "Digits",
    "DirectSum",
    "Duplicated",
    "ExactLoss",
    "GoldRecord",
    "Monomial",
    "NetworkCase",
    "PlanePotential",
    "PolynomialNetwork",
    "Potential",
    "Quadrature",
    "ReluNetwork",
    "TanhNetwork",
    "TanhUnit",
    "TanhUnits",
    "TransformerConfig",
    "Truth",
    "attention_only_transformer",
    "convolutional_network",
    "digits",
    "gold",
    "multilayer_perceptron",
    "plane_llc",
    "random_deep_linear",
    "reduced_rank_regression",
]
